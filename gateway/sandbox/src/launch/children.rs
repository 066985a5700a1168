//! The plugins that one launcher has made: those that were handed over to a run, and the end of those that never will be.
//!
//! A launcher can end, or a descriptor get lost, after a plugin was made and before anybody knows of it. Such a plugin would
//! run on without supervision, under a user id and in a control group that the next run gets. So nobody gives those back
//! before the launcher's strangers are gone.

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
    /// Handed over and not yet reaped. A number can stand here twice for a moment: reaped, and given to the next.
    known: Vec<i32>,
    /// How many requests have been sent whose outcome is not known.
    asked: usize,
    /// The launcher is gone, and so is every child that nobody knew of.
    swept: bool,
}

/// What the thread holds that all of the children are of. It ends those that nobody knows of when it is dropped.
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
        // A copy that is older than the look at each process: what is in neither is a stranger for good.
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

    /// Waits until that has been done.
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
        // Also when the thread panics, or those who wait for this would wait for ever.
        self.0.sweep();
    }
}

impl Asked {
    /// The child has come, and whoever asked will reap it.
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
