//! How much time a request has and whether it may be tried again: pure arithmetic, no clock of its own.

use std::time::{Duration, Instant};

use plugin_protocol::manifest::{Limits, MAX_CALL_MS};
use plugin_protocol::message::{Policy, Status};

/// The shortest remaining time in which another attempt is worth starting.
const LEAST_ATTEMPT: Duration = Duration::from_millis(10);

/// The time and the attempts of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// When the whole request ends, waiting and retries included.
    end: Instant,
    /// The longest that one attempt may take.
    attempt: Duration,
    retries_left: u8,
}

impl Budget {
    /// The budget of a request that arrived at `start`: one total time, the smallest of what the
    /// request, the manifest (for each attempt), the gateway and the pipeline around it (which ends
    /// at `within`) allow.
    pub(crate) fn new(
        start: Instant,
        policy: Policy,
        limits: &Limits,
        within: Option<Instant>,
    ) -> Self {
        let own = start + Duration::from_millis(policy.timeout_ms.min(MAX_CALL_MS));
        Self {
            end: within.map_or(own, |end| end.min(own)),
            attempt: Duration::from_millis(limits.call_ms()),
            retries_left: policy.max_retries,
        }
    }

    /// When the whole request ends.
    pub(crate) fn end(&self) -> Instant {
        self.end
    }

    /// When an attempt that starts at `now` ends.
    pub(crate) fn attempt_end(&self, now: Instant) -> Instant {
        self.end.min(now + self.attempt)
    }

    /// Takes one retry when `status` allows one, one is left, and time remains.
    pub(crate) fn retry(&mut self, status: Status, now: Instant) -> bool {
        let may = match status {
            Status::Error | Status::Timeout => self.retries_left > 0,
            Status::Ok | Status::Rejected => false,
        };
        if may && self.end.saturating_duration_since(now) >= LEAST_ATTEMPT {
            self.retries_left -= 1;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_ms: u64) -> Limits {
        Limits {
            max_bytes: 1,
            max_ms,
            max_concurrency: 1,
            max_memory_bytes: None,
            max_cpu_ms: None,
            max_open_files: None,
        }
    }

    fn policy(timeout_ms: u64, max_retries: u8) -> Policy {
        Policy {
            deterministic_only: false,
            timeout_ms,
            max_retries,
        }
    }

    #[test]
    fn the_smallest_of_three_times_is_allowed() {
        let start = Instant::now();
        let ms = |request, manifest| {
            let budget = Budget::new(start, policy(request, 0), &limits(manifest), None);
            u64::try_from((budget.attempt_end(start) - start).as_millis()).unwrap()
        };
        assert_eq!(ms(200, 5_000), 200);
        assert_eq!(ms(5_000, 200), 200);
        assert_eq!(ms(100_000_000, 100_000_000), MAX_CALL_MS);
    }

    #[test]
    fn retries_follow_error_and_timeout_only_and_stay_inside_the_total() {
        let start = Instant::now();
        let mut budget = Budget::new(start, policy(1_000, 2), &limits(400), None);
        assert!(!budget.retry(Status::Ok, start));
        assert!(!budget.retry(Status::Rejected, start));
        assert!(budget.retry(Status::Error, start));
        assert!(
            !budget.retry(Status::Timeout, start + Duration::from_millis(995)),
            "no time is left"
        );
        assert!(budget.retry(Status::Timeout, start));
        assert!(!budget.retry(Status::Error, start), "none is left");
    }

    #[test]
    fn a_pipeline_s_time_bounds_its_steps_with_their_retries() {
        let start = Instant::now();
        let end = start + Duration::from_millis(300);
        let mut budget = Budget::new(start, policy(5_000, 5), &limits(5_000), Some(end));
        assert_eq!(budget.attempt_end(start), end);
        assert!(!budget.retry(Status::Error, end), "no time is left");
    }
}
