//! The pace at which one run's questions are answered, so that the work they make is no more than its share. It only says when; who asks waits in
//! the kernel meanwhile, which costs nothing.
//!
//! Each question is work of the gateway's, some 10 µs of a processor that no control group counts as the plugin's. The first ones are free:
//! all of them together are about as much work as the start of the plugin was.

use std::time::{Duration, Instant};

/// Questions that are answered at once. The start-up code of C, Go, Java and interpreters asks five or fewer (measured); a shell script asks for each file
/// that it discards output into.
const FREE: u32 = 128;

/// The same where each file that is opened is a question: an interpreter with a large library opens some hundred at its start.
const FREE_LOOKED_AT: u32 = 1024;

/// Questions that are answered after each pause. Together with the pause this is a tenth of a processor.
const AFTER_EACH_PAUSE: u32 = 32;

/// The pause. It is long beside the time that so many answers take, and short beside a call.
const PAUSE: Duration = Duration::from_millis(4);

/// How far a run has used up what is answered at once.
#[derive(Debug)]
pub(crate) struct Pace {
    left: u32,
    /// The end of the pause that was begun.
    again: Option<Instant>,
}

impl Pace {
    /// Nothing was asked.
    pub(crate) const NEW: Self = Self {
        left: FREE,
        again: None,
    };

    /// The same for a run whose reads are named.
    pub(crate) const LOOKED_AT: Self = Self {
        left: FREE_LOOKED_AT,
        again: None,
    };

    /// Counts a question that is to be answered now, or says until when it has to wait. It is asked anew then.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Instant> {
        if self.left == 0 {
            let again = *self.again.get_or_insert(now + PAUSE);
            if now < again {
                return Some(again);
            }
            *self = Self {
                left: AFTER_EACH_PAUSE,
                again: None,
            };
        }
        self.left -= 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many questions in a row are answered at once.
    fn answered(pace: &mut Pace, now: Instant) -> (u32, Option<Instant>) {
        for count in 0..=FREE {
            if let Some(until) = pace.wait(now) {
                return (count, Some(until));
            }
        }
        (FREE + 1, None)
    }

    #[test]
    fn whoever_asks_without_end_is_answered_at_a_pace_and_no_question_is_lost() {
        let (mut pace, mut now) = (Pace::NEW, Instant::now());
        assert_eq!(answered(&mut pace, now), (FREE, Some(now + PAUSE)));
        for _ in 0..3 {
            // Other threads that ask meanwhile wait for the same moment, and make it no later.
            let between = now + PAUSE / 2;
            assert_eq!(pace.wait(between), Some(now + PAUSE));
            now += PAUSE;
            assert_eq!(
                answered(&mut pace, now),
                (AFTER_EACH_PAUSE, Some(now + PAUSE))
            );
        }
    }
}
