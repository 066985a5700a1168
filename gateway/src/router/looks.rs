//! Which calls have what the plugin reads in vain named. Naming it makes a call dearer, so it is done for some: the first of a package,
//! one after a call that did not end well, and one in ten otherwise. It never decides what a plugin may do.

use std::sync::{Mutex, PoisonError};

use plugin_protocol::message::Status;

/// How many calls a look is paid for with where the last call did not end well, so that calls that never do cost no more than this. A look
/// was measured to take at most a fifth of a cold call; one in five is at most a twentieth of them all.
const PAUSE_AFTER_FAILURE: u32 = 5;

/// The same otherwise.
const PAUSE: u32 = 10;

/// The looks at one package since it was made ready.
#[derive(Debug)]
pub(super) struct Looks {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Calls since the last look.
    since: u32,
    /// Whether the next call is of more interest than others.
    suspect: bool,
}

impl Looks {
    /// Nobody has looked yet, and so the first call is looked at.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                since: PAUSE_AFTER_FAILURE,
                suspect: true,
            }),
        }
    }

    /// Whether the next call is of more interest than others, and is looked at.
    pub(super) fn is_suspect(&self) -> bool {
        self.with(|state| state.suspect && state.since.saturating_add(1) >= PAUSE_AFTER_FAILURE)
    }

    /// Whether the call that begins now is looked at.
    pub(super) fn begin(&self) -> bool {
        self.with(|state| {
            state.since = state.since.saturating_add(1);
            let pause = if state.suspect {
                PAUSE_AFTER_FAILURE
            } else {
                PAUSE
            };
            let looks = state.since >= pause;
            if looks {
                *state = State {
                    since: 0,
                    suspect: false,
                };
            }
            looks
        })
    }

    /// Notes how a call ended.
    pub(super) fn end(&self, status: Status) {
        if status != Status::Ok {
            self.with(|state| state.suspect = true);
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the calls are looked at, when they end so.
    fn looked_at(looks: &Looks, ends: &[Status]) -> Vec<bool> {
        let call = |end: &Status| {
            let looked = looks.begin();
            looks.end(*end);
            looked
        };
        ends.iter().map(call).collect()
    }

    #[test]
    fn the_first_call_is_looked_at_and_then_one_in_ten() {
        let seen = looked_at(&Looks::new(), &[Status::Ok; 41]);
        let looked: Vec<usize> = (0..41).filter(|at| seen[*at]).collect();
        assert_eq!(looked, [0, 10, 20, 30, 40]);
    }

    #[test]
    fn the_call_after_one_that_did_not_end_well_is_looked_at() {
        for end in [Status::Error, Status::Rejected, Status::Timeout] {
            let looks = Looks::new();
            looked_at(&looks, &[Status::Ok; 6]);
            assert_eq!(
                looked_at(&looks, &[end, Status::Ok, Status::Ok]),
                [false, true, false],
                "{end:?}"
            );
        }
    }

    #[test]
    fn calls_that_never_end_well_are_looked_at_once_in_five() {
        let seen = looked_at(&Looks::new(), &[Status::Error; 50]);
        assert_eq!(seen.iter().filter(|looked| **looked).count(), 10);
        assert!(seen[0]);
    }
}
