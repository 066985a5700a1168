//! The record of one started plugin's refused and hostile calls. It only counts and remembers; others answer and kill.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::ASKED_MAX;
use crate::denial::judge::Asker;
use crate::denial::pace::Pace;
use crate::denial::view::{Place, View};
use crate::job::WhenRefused;
use crate::report::{Denial, Denials, End};
use crate::sys::spawn::Child;

/// How often a plugin may raise SIGABRT in itself. A library's abort does it twice; each time costs the gateway some work.
const ABORTS_MAX: u32 = 64;

/// A started plugin and what was reported of it.
#[derive(Debug)]
pub(crate) struct Run {
    /// The process.
    pub(crate) child: Child,
    /// What decides how its calls are judged.
    pub(crate) asker: Asker,
    /// What it is shown, where reads of what it is not shown are named.
    pub(crate) view: Option<Arc<View>>,
    when_refused: WhenRefused,
    seen: Mutex<Seen>,
    pace: Mutex<Pace>,
}

#[derive(Debug, Default)]
struct Seen {
    refused: Denials,
    answered: u64,
    aborts: u32,
    /// How often it has opened a file of its package.
    package_reads: u32,
    end: Option<End>,
}

/// Whether a plugin goes on after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The call is answered.
    GoesOn,
    /// The plugin is to be killed.
    Ends,
}

impl Run {
    /// A run of which nothing was reported.
    pub(crate) fn new(
        child: Child,
        asker: Asker,
        view: Option<Arc<View>>,
        when_refused: WhenRefused,
    ) -> Self {
        let pace = if view.is_some() || asker.reads_own_map {
            Pace::LOOKED_AT
        } else {
            Pace::NEW
        };
        Self {
            child,
            asker,
            view,
            when_refused,
            seen: Mutex::default(),
            pace: Mutex::new(pace),
        }
    }

    /// Until when its next report has to wait, where it asks without end; none when it is to be judged now.
    pub(crate) fn waits(&self, now: Instant) -> Option<Instant> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.wait(now)
    }

    /// Counts a probe that is answered. `words` describes it, and is called only when it is one probe too many.
    pub(crate) fn answer(&self, words: impl FnOnce() -> Denial) -> Fate {
        let mut seen = self.seen();
        seen.answered += 1;
        seen.bound(words)
    }

    /// Counts a refused call.
    pub(crate) fn refuse(&self, denial: Denial, name: &'static str) -> Fate {
        let mut seen = self.seen();
        seen.refused.add(denial.clone(), name);
        match self.when_refused {
            WhenRefused::GoOn => seen.bound(|| denial),
            WhenRefused::End => seen.ends(End::Violation(denial)),
        }
    }

    /// Notes a file that it opens to read. What is not there for it is named like any refused call; it never ends it, as nobody hears of it in
    /// other runs. What an interpreter looks for before it begins with the package is its own affair, and the operator's.
    pub(crate) fn read(&self, place: Place, words: impl FnOnce() -> Denial, name: &'static str) {
        let Some(view) = &self.view else {
            return;
        };
        let mut seen = self.seen();
        match place {
            Place::Package => seen.package_reads = seen.package_reads.saturating_add(1),
            Place::Outside if seen.package_reads >= view.reads_before_start => {
                seen.refused.add(words(), name);
            }
            Place::Outside | Place::Shown => {}
        }
    }

    /// Notes a hostile call.
    pub(crate) fn condemn(&self, denial: Denial) -> Fate {
        self.seen().ends(End::Violation(denial))
    }

    /// Counts a SIGABRT that the plugin raises in itself.
    pub(crate) fn abort(&self) -> Fate {
        let mut seen = self.seen();
        seen.aborts = seen.aborts.saturating_add(1);
        if seen.aborts > ABORTS_MAX {
            Fate::Ends
        } else {
            Fate::GoesOn
        }
    }

    /// Whether the plugin raised SIGABRT in itself. A handler of its own may have caught it.
    pub(crate) fn aborted(&self) -> bool {
        self.seen().aborts > 0
    }

    /// Whether it was ended because it did so too often.
    pub(crate) fn aborted_too_often(&self) -> bool {
        self.seen().aborts > ABORTS_MAX
    }

    /// How its own calls ended it; the first such call stands.
    pub(crate) fn end(&self) -> Option<End> {
        self.seen().end.clone()
    }

    /// What it was refused.
    pub(crate) fn refused(&self) -> Denials {
        self.seen().refused.clone()
    }

    /// How many benign probes were answered.
    pub(crate) fn probes(&self) -> u64 {
        self.seen().answered
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Ends a plugin that asks without end, since each report costs the gateway work that is not counted as the plugin's.
    fn bound(&mut self, words: impl FnOnce() -> Denial) -> Fate {
        if self.answered.saturating_add(self.refused.total) <= ASKED_MAX {
            return Fate::GoesOn;
        }
        self.ends(End::Flood(words()))
    }

    fn ends(&mut self, end: End) -> Fate {
        self.end.get_or_insert(end);
        Fate::Ends
    }
}
