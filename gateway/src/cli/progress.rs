//! Progress bars on stderr for long verbs; hidden when stderr is not a terminal, with --quiet and with --json.

use std::cell::Cell;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use registry::Step;

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
        let bar = if is_seen(out) {
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

/// Whether there is somebody who looks.
fn is_seen(out: Output) -> bool {
    !out.json && !out.quiet && io::stderr().is_terminal()
}

/// From so many files on, a package is worth a bar at once.
const MANY_FILES: usize = 1_000;

/// After this time, any package is.
const LONG: Duration = Duration::from_millis(500);

/// What people see of a package that is read and kept. Its bar appears only where that takes a while.
#[derive(Debug)]
pub(super) struct Packing {
    bar: ProgressBar,
    seen: bool,
    begun: Instant,
    step: Cell<Option<Step>>,
}

impl Packing {
    pub(super) fn start(out: Output) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            seen: is_seen(out),
            begun: Instant::now(),
            step: Cell::new(None),
        }
    }

    /// Tells how many files of a step are done, and of how many.
    pub(super) fn tell(&self, step: Step, done: usize, of: Option<usize>) {
        let is_long = done >= MANY_FILES
            || of.is_some_and(|of| of >= MANY_FILES)
            || self.begun.elapsed() >= LONG;
        if !self.seen || !is_long {
            return;
        }
        if self.step.replace(Some(step)) != Some(step) {
            self.begin(step, of);
        }
        self.bar.set_position(done as u64);
    }

    fn begin(&self, step: Step, of: Option<usize>) {
        let word = match step {
            Step::Reading => "reading ",
            Step::Keeping => "keeping ",
            Step::Checking => "checking",
        };
        let style = ProgressStyle::with_template(match of {
            Some(_) => "{msg} {bar:40} {human_pos}/{human_len} files",
            None => "{msg} {spinner} {human_pos} files",
        });
        self.bar
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_position(0);
        self.bar.set_length(of.unwrap_or(0) as u64);
        self.bar.set_message(word);
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(DRAWN_EVERY);
        }
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
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
