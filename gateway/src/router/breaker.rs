//! A soft circuit breaker: a plugin that keeps failing is refused for a time; then one trial call is let through, and where that
//! fails too the time doubles.
//!
//! It never disables a plugin, and its state ends with the process. Its decisions show only as refusals, and as
//! the fact `circuit` in the event of the call that changed the circuit.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_protocol::ids::PluginId;
use plugin_protocol::message::Status;

use super::cause::Cause;

use crate::config::Circuit as Settings;

/// The circuits of all plugins that failed recently.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: Settings,
    circuits: Mutex<HashMap<PluginId, Circuit>>,
}

/// The state of one plugin. A plugin whose last call was answered has none.
#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    wait: Duration,
    /// Whether the one trial call is in progress.
    trial_running: bool,
}

/// Why a plugin is refused for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// How many calls failed in a row.
    pub(crate) failures: u32,
    /// How long it is still refused; none while the trial call is in progress.
    pub(crate) remaining: Option<Duration>,
}

/// How a call that was let through ended, as far as the circuit is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The plugin failed or was killed at its time.
    Failed,
    /// The plugin gave an answer, even one that was refused.
    Answered,
    /// Nothing is known of the plugin: the host cancelled, or the fault was the gateway's.
    Unknown,
}

/// What an ending changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CircuitChange {
    /// The plugin is refused from now on, for this long.
    Opened { failures: u32, wait: Duration },
    /// The plugin answered again and is no longer refused.
    Closed,
}

/// Permission to start one call. Dropped without an ending, it changes nothing.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    plugin: PluginId,
    trial: bool,
}

impl Breaker {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            circuits: Mutex::default(),
        }
    }

    /// Whether a call would be refused now; it changes nothing.
    pub(crate) fn check(&self, plugin: &PluginId, now: Instant) -> Result<(), Refused> {
        let circuits = self.lock();
        circuits
            .get(plugin)
            .map_or(Ok(()), |circuit| circuit.check(now))
    }

    /// Lets one call through, or says why not. After the waiting time one trial call goes through alone.
    pub(crate) fn admit(&self, plugin: &PluginId, now: Instant) -> Result<Pass<'_>, Refused> {
        let mut circuits = self.lock();
        let mut trial = false;
        if let Some(circuit) = circuits.get_mut(plugin) {
            circuit.check(now)?;
            if let Some(open) = &mut circuit.open {
                open.trial_running = true;
                trial = true;
            }
        }
        Ok(Pass {
            breaker: self,
            plugin: plugin.clone(),
            trial,
        })
    }

    /// Forgets a plugin's failures: an operator enabled or replaced it.
    pub(crate) fn forget(&self, plugin: &PluginId) {
        self.lock().remove(plugin);
    }

    /// How many plugins are refused now.
    pub(crate) fn open_count(&self) -> usize {
        self.lock()
            .values()
            .filter(|circuit| circuit.open.is_some())
            .count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PluginId, Circuit>> {
        self.circuits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn check(&self, now: Instant) -> Result<(), Refused> {
        let refused = |remaining| {
            Err(Refused {
                failures: self.failures,
                remaining,
            })
        };
        match &self.open {
            None => Ok(()),
            Some(open) if now < open.until => refused(Some(open.until - now)),
            Some(open) if open.trial_running => refused(None),
            Some(_) => Ok(()),
        }
    }

    fn fail(&mut self, trial: bool, settings: &Settings, now: Instant) -> Option<CircuitChange> {
        self.failures = self.failures.saturating_add(1);
        let wait = match &self.open {
            Some(open) if trial => (open.wait * 2).min(settings.longest_wait()),
            // Calls that were in progress when the circuit opened do not count.
            Some(_) => return None,
            None if self.failures >= settings.failures => settings.first_wait(),
            None => return None,
        };
        self.open = Some(Open {
            until: now + wait,
            wait,
            trial_running: false,
        });
        Some(CircuitChange::Opened {
            failures: self.failures,
            wait,
        })
    }
}

impl Ending {
    /// What a call's end says about its plugin.
    pub(super) fn of(status: Status, cause: Cause) -> Self {
        match status {
            Status::Ok | Status::Rejected => Self::Answered,
            Status::Error | Status::Timeout
                if matches!(cause, Cause::Cancelled | Cause::Gateway) =>
            {
                Self::Unknown
            }
            Status::Error | Status::Timeout => Self::Failed,
        }
    }
}

impl Pass<'_> {
    /// Tells how the call ended.
    pub(crate) fn end(mut self, ending: Ending, now: Instant) -> Option<CircuitChange> {
        let mut circuits = self.breaker.lock();
        // Once the trial call has decided, there is no trial left to give back.
        let trial = self.trial;
        self.trial = trial && ending == Ending::Unknown;
        match ending {
            Ending::Failed => circuits.entry(self.plugin.clone()).or_default().fail(
                trial,
                &self.breaker.settings,
                now,
            ),
            Ending::Answered => {
                let open = circuits
                    .get(&self.plugin)
                    .is_some_and(|circuit| circuit.open.is_some());
                if open && !trial {
                    return None;
                }
                circuits.remove(&self.plugin);
                open.then_some(CircuitChange::Closed)
            }
            Ending::Unknown => None,
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.trial {
            return;
        }
        let mut circuits = self.breaker.lock();
        if let Some(open) = circuits
            .get_mut(&self.plugin)
            .and_then(|circuit| circuit.open.as_mut())
        {
            open.trial_running = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURES: u32 = 3;
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(3);

    fn breaker() -> Breaker {
        Breaker::new(Settings {
            failures: FAILURES,
            first_wait_ms: 1_000,
            longest_wait_ms: 3_000,
        })
    }

    fn plugin() -> PluginId {
        PluginId::parse("p.test.fails").unwrap()
    }

    fn end(breaker: &Breaker, ending: Ending, now: Instant) -> Option<CircuitChange> {
        breaker.admit(&plugin(), now).unwrap().end(ending, now)
    }

    fn opened(breaker: &Breaker, now: Instant) {
        for _ in 1..FAILURES {
            assert_eq!(end(breaker, Ending::Failed, now), None);
        }
        let change = end(breaker, Ending::Failed, now);
        assert_eq!(
            change,
            Some(CircuitChange::Opened {
                failures: FAILURES,
                wait: FIRST
            })
        );
    }

    #[test]
    fn a_plugin_is_refused_after_failures_in_a_row_only() {
        let (breaker, now) = (breaker(), Instant::now());
        for _ in 0..4 {
            assert_eq!(end(&breaker, Ending::Failed, now), None);
            assert_eq!(end(&breaker, Ending::Failed, now), None);
            assert_eq!(end(&breaker, Ending::Answered, now), None);
        }
        opened(&breaker, now);
        let refused = breaker.admit(&plugin(), now).unwrap_err();
        assert_eq!(refused.remaining, Some(FIRST));
        let other = PluginId::parse("p.test.other").unwrap();
        assert!(
            breaker.admit(&other, now).is_ok(),
            "another plugin is not concerned"
        );
    }

    #[test]
    fn one_call_finds_out_and_a_failing_one_doubles_the_wait_up_to_the_longest() {
        let (breaker, start) = (breaker(), Instant::now());
        opened(&breaker, start);
        let mut now = start;
        for wait in [FIRST, FIRST * 2, LONGEST, LONGEST] {
            now += wait;
            let trial = breaker.admit(&plugin(), now).unwrap();
            let refused = breaker.admit(&plugin(), now).unwrap_err();
            assert_eq!(refused.remaining, None, "only one finds out");
            assert!(matches!(
                trial.end(Ending::Failed, now),
                Some(CircuitChange::Opened { .. })
            ));
        }
        now += LONGEST;
        assert_eq!(
            end(&breaker, Ending::Answered, now),
            Some(CircuitChange::Closed)
        );
        assert!(breaker.admit(&plugin(), now).is_ok());
        assert_eq!(breaker.open_count(), 0);
    }

    #[test]
    fn a_probe_that_says_nothing_leaves_the_place_to_the_next() {
        let (breaker, start) = (breaker(), Instant::now());
        opened(&breaker, start);
        let now = start + FIRST;
        drop(breaker.admit(&plugin(), now).unwrap());
        assert_eq!(end(&breaker, Ending::Unknown, now), None);
        assert!(breaker.admit(&plugin(), now).is_ok());
    }

    #[test]
    fn calls_under_way_when_it_opened_change_nothing() {
        let (breaker, now) = (breaker(), Instant::now());
        let slow: Vec<_> = (0..4)
            .map(|_| breaker.admit(&plugin(), now).unwrap())
            .collect();
        opened(&breaker, now);
        for (pass, ending) in slow.into_iter().zip([
            Ending::Failed,
            Ending::Answered,
            Ending::Unknown,
            Ending::Failed,
        ]) {
            assert_eq!(pass.end(ending, now), None);
        }
        assert!(breaker.admit(&plugin(), now).is_err());
        breaker.forget(&plugin());
        assert!(breaker.admit(&plugin(), now).is_ok());
    }
}
