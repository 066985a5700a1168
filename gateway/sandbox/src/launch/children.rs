//! Tracks the plugins that one launcher has made: those that were handed over to a run, and the strangers, which nobody knows of and
//! which are ended.
//!
//! After a plugin was made and before anybody knows of it, its launcher can end or its descriptor can get lost. Such a stranger
//! would run on without supervision, with a user id and a control group that the next run gets. So neither is given back before
//! the launcher's strangers are gone.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::sys::wait;

/// The children of one launcher, as its keeper and those who ask for plugins know them.
#[derive(Debug, Default)]
pub(crate) struct Children {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The process ids of plugins that were handed over and not yet reaped. For a moment an id can be here twice: of a plugin that was just reaped,
    /// and of a new one that got its number.
    known: Vec<i32>,
    /// How many requests have been sent whose outcome is not known.
    asked: usize,
    /// The launcher is gone, and so is every child that nobody knew of.
    swept: bool,
}

/// Held by the thread whose children these are. When it is dropped, it ends the children that nobody knows of.
#[derive(Debug)]
pub(crate) struct Keeping(pub(crate) Arc<Children>);

/// One request under way.
#[derive(Debug)]
pub(crate) struct Asked {
    children: Arc<Children>,
}

impl Children {
    /// A request is about to be sent.
    pub(crate) fn ask(self: &Arc<Self>) -> Asked {
        self.lock().asked += 1;
        Asked {
            children: Arc::clone(self),
        }
    }

    /// A child that was handed over has been reaped.
    pub(crate) fn forget(&self, pid: i32) {
        let known = &mut self.lock().known;
        if let Some(at) = known.iter().position(|&other| other == pid) {
            known.swap_remove(at);
        }
    }

    /// Ends the children that nobody knows of, the launcher among them if it has not been reaped.
    fn sweep(&self) {
        let none_asked = |state: &mut State| state.asked > 0;
        let waited = self.changed.wait_while(self.lock(), none_asked);
        // The copy is older than the list of processes, so a child of that list which is not in the copy is and stays a stranger.
        let known = waited.unwrap_or_else(PoisonError::into_inner).known.clone();
        for pid in wait::children_of_thread() {
            if !known.contains(&pid) {
                let ended = wait::end_child(pid);
                tracing::warn!(?ended, "a plugin that nobody knew of was ended");
            }
        }
        self.lock().swept = true;
        self.changed.notify_all();
    }

    /// Waits until [`Self::sweep`] has been done.
    pub(crate) fn wait_for_sweep(&self) {
        let state = self
            .changed
            .wait_while(self.lock(), |state| !state.swept)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        // This also runs when the thread panics; otherwise those who wait for the sweep would wait for ever.
        self.0.sweep();
    }
}

impl Asked {
    /// The child was handed over, and the caller that asked for it will reap it.
    pub(crate) fn know(&self, pid: i32) {
        self.children.lock().known.push(pid);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.children.lock().asked -= 1;
        self.children.changed.notify_all();
    }
}
