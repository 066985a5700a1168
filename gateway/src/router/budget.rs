//! How much time a request has and whether it may be tried again: pure arithmetic, no clock of its own.

use std::time::{Duration, Instant};

use plugin_protocol::manifest::{Limits, MAX_CALL_MS};
use plugin_protocol::message::{Policy, Status};

/// The shortest remaining time in which another attempt is worth starting.
const LEAST_ATTEMPT: Duration = Duration::from_millis(10);

/// What set the time that an attempt had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeSetBy {
    /// The plugin's `limits.max_ms`.
    Manifest,
    /// The request's `policy.timeout_ms`, or what was left of it.
    Request,
    /// The `timeout_ms` of the pipeline around the call, or what was left of it.
    Pipeline,
    /// The longest time that the gateway allows.
    Gateway,
}

impl TimeSetBy {
    /// What set it, and what to change, in words.
    pub(super) fn told(self) -> String {
        match self {
            Self::Manifest => "limits.max_ms in the manifest sets that: raise it, or do less".to_owned(),
            Self::Request => "the request's policy.timeout_ms sets that, with all its attempts: allow more, or do less".to_owned(),
            Self::Pipeline => "the pipeline's timeout_ms sets that, for all its steps: allow more, or do less".to_owned(),
            Self::Gateway => format!("no call may take longer than {MAX_CALL_MS} ms: do less in one call"),
        }
    }
}

/// The time and the attempts of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// When the whole request ends, waiting and retries included.
    end: Instant,
    /// What set that end.
    end_set_by: TimeSetBy,
    /// The longest that one attempt may take.
    attempt: Duration,
    /// What set that.
    attempt_set_by: TimeSetBy,
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
        let clamped = |asked_ms: u64, by| {
            if asked_ms >= MAX_CALL_MS {
                TimeSetBy::Gateway
            } else {
                by
            }
        };
        let (end, end_set_by) = match within {
            Some(end) if end < own => (end, TimeSetBy::Pipeline),
            Some(_) | None => (own, clamped(policy.timeout_ms, TimeSetBy::Request)),
        };
        Self {
            end,
            end_set_by,
            attempt_set_by: clamped(limits.max_ms, TimeSetBy::Manifest),
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

    /// What sets when an attempt that starts at `now` ends.
    pub(super) fn attempt_set_by(&self, now: Instant) -> TimeSetBy {
        if now + self.attempt <= self.end {
            self.attempt_set_by
        } else {
            self.end_set_by
        }
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

    /// Whoever is told that time ran out is told whose number to change.
    #[test]
    fn what_set_the_time_is_known() {
        let start = Instant::now();
        let soon = Some(start + Duration::from_millis(150));
        for (request, manifest, within, by, said) in [
            (5_000, 200, None, TimeSetBy::Manifest, "limits.max_ms"),
            (200, 5_000, None, TimeSetBy::Request, "policy.timeout_ms"),
            (
                5_000,
                5_000,
                soon,
                TimeSetBy::Pipeline,
                "pipeline's timeout_ms",
            ),
            (
                100_000_000,
                100_000_000,
                None,
                TimeSetBy::Gateway,
                "60000 ms",
            ),
        ] {
            let budget = Budget::new(start, policy(request, 0), &limits(manifest), within);
            assert_eq!(budget.attempt_set_by(start), by);
            assert!(by.told().contains(said), "{}", by.told());
        }
        let budget = Budget::new(start, policy(300, 1), &limits(200), None);
        let later = start + Duration::from_millis(250);
        assert_eq!(budget.attempt_set_by(later), TimeSetBy::Request);
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
