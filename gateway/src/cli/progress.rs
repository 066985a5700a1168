//! A progress bar on stderr for long verbs, and the rate at the end; hidden when stderr is not a terminal.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::output::Output;

/// Ten redraws a second look smooth.
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// What people see of a verb that reads many bytes.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    pub(super) fn start(out: Output) -> Self {
        let seen = !out.json && !out.quiet && io::stderr().is_terminal();
        let bar = if seen {
            let style = ProgressStyle::with_template(
                "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            );
            let bar = ProgressBar::new(0);
            bar.enable_steady_tick(DRAWN_EVERY);
            // The template is ours and fixed; were it wrong, the usual bar would do.
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        } else {
            ProgressBar::hidden()
        };
        Self {
            bar,
            begun: Instant::now(),
        }
    }

    /// Tells how far it is; from any thread.
    pub(super) fn tell(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        // Threads overtake each other on the way here; the bar only goes on.
        if done > self.bar.position() {
            self.bar.set_position(done);
        }
    }

    /// Removes the bar, and returns the speed in words.
    pub(super) fn end(self, events: u64, bytes: u64) -> String {
        self.bar.finish_and_clear();
        format!(
            "{} events/s, {}/s",
            HumanCount(per_second(events, self.begun.elapsed())),
            HumanBytes(per_second(bytes, self.begun.elapsed()))
        )
    }
}

/// The rate per second, over at least one microsecond.
fn per_second(count: u64, time: Duration) -> u64 {
    const MICROSECONDS: u128 = 1_000_000;
    let rate = u128::from(count) * MICROSECONDS / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_whole_and_never_divides_by_nothing() {
        assert_eq!(per_second(3, Duration::from_millis(500)), 6);
        assert_eq!(per_second(5, Duration::ZERO), 5_000_000);
        assert_eq!(per_second(u64::MAX, Duration::ZERO), u64::MAX);
    }
}
