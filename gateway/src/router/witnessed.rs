//! Whether enough witnesses have cosigned what the ledger signed, in time. It asks no witness: `witness sync` does, in another process.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cause::Cause;
use super::refusal::TurnedAway;
use crate::config::Witness;
use crate::error::{Error, chain};
use ledger::{Awaited, Ledger, Policy, Witnesses};

/// How long what was seen counts: short beside any time that an operator gives to witnesses.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Watches over the cosignatures of one ledger.
#[derive(Debug)]
pub(crate) struct Witnessed {
    ledger: Ledger,
    rules: Witness,
    seen: Mutex<Seen>,
}

/// What was seen when it was last looked at.
#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    /// The oldest checkpoint that has too few cosignatures, as far as is known: how many events it is over, and since when.
    waiting: Option<(u64, Instant)>,
    standing: Standing,
}

/// How the ledger stands with its witnesses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is asked of them, or they are in time.
    #[default]
    Fine,
    /// Too few have cosigned, for longer than they may take.
    Overdue(String),
    /// One of them has a checkpoint of this log that the ledger does not go on from.
    RolledBack(String),
}

impl Witnessed {
    pub(crate) fn new(ledger: Ledger, rules: Witness) -> Self {
        Self {
            ledger,
            rules,
            seen: Mutex::default(),
        }
    }

    /// How it stands now.
    pub(crate) fn standing(&self) -> Standing {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if seen.at.is_none_or(|at| now >= at + LOOK_EVERY) {
            seen.at = Some(now);
            seen.standing = self
                .look(&mut seen.waiting, now)
                .unwrap_or_else(|error| Standing::Overdue(chain(&error)));
        }
        seen.standing.clone()
    }

    /// Why no call is begun now, if none is.
    pub(super) fn refusal(&self) -> Option<TurnedAway> {
        match self.standing() {
            Standing::Fine => None,
            Standing::Overdue(_) if !self.rules.required => None,
            Standing::Overdue(words) | Standing::RolledBack(words) => {
                Some(TurnedAway::new(Cause::Unwitnessed, words))
            }
        }
    }

    fn look(&self, waiting: &mut Option<(u64, Instant)>, now: Instant) -> Result<Standing, Error> {
        let state = self.ledger.state();
        if let Some(ahead) = ledger::ahead(state)? {
            return Ok(Standing::RolledBack(format!(
                "unwitnessed: a witness has a checkpoint of this log over {} events that this ledger does not go on from: an old copy was put back, or two gateways use one key",
                ahead.size
            )));
        }
        if self.rules.quorum == 0 {
            return Ok(Standing::Fine);
        }
        let policy = self.policy()?;
        let cosigned = ledger::newest_cosigned(state, 1, &policy)?;
        let cosigned = cosigned.map_or(0, |(checkpoint, ..)| checkpoint.size);
        let signed = self.ledger.signed();
        *waiting = waiting
            .filter(|(size, _)| *size > cosigned)
            .or((signed > cosigned).then_some((signed, now)));
        let late = waiting.filter(|(_, since)| now.duration_since(*since) > self.rules.wait());
        Ok(match late {
            None => Standing::Fine,
            Some((size, _)) => Standing::Overdue(format!(
                "unwitnessed: {} witnesses have to cosign, and have not for {size} events within {} ms: `plugin-gateway witness sync` asks them",
                self.rules.quorum, self.rules.wait_ms
            )),
        })
    }

    fn policy(&self) -> Result<Policy, Error> {
        let witnesses = Witnesses::load(self.ledger.state())?;
        Ok(witnesses.policy(None, self.rules.quorum)?.1)
    }

    /// [`awaiting`] for this ledger.
    pub(crate) fn awaiting<T>(
        &self,
        make: impl FnOnce(Option<&Awaited<'_>>) -> Result<T, ledger::Error>,
    ) -> Result<T, Error> {
        awaiting(self.ledger.state(), self.rules, make)
    }
}

/// Makes something with the witnesses that are waited for, if there are any. Where more have to cosign than there are, nobody is waited for.
pub(crate) fn awaiting<T>(
    state: &Path,
    rules: Witness,
    make: impl FnOnce(Option<&Awaited<'_>>) -> Result<T, ledger::Error>,
) -> Result<T, Error> {
    let witnesses = Witnesses::load(state)?;
    let policy = witnesses.policy(None, rules.quorum).ok();
    let Some((_, policy)) = policy.filter(|_| !witnesses.list().is_empty()) else {
        return Ok(make(None)?);
    };
    let wait = match rules.quorum {
        0 => Duration::ZERO,
        _ => rules.wait(),
    };
    let awaited = Awaited {
        policy: &policy,
        wait,
    };
    Ok(make(Some(&awaited))?)
}
