//! A process that was started and has seen no request. Only a permit feeds it, and whoever lets go of it ends it.

use std::marker::PhantomData;
use std::time::Instant;

use crate::error::Error;
use crate::job::Ask;
use crate::layer::Layer;
use crate::report::Report;
use crate::watch::process::{Process, Standing};
use crate::watch::run::never_started;
use crate::watch::streams::{Feed, Inlet};
use crate::watch::watching::{Seen, end_unasked, watch};

/// A started, jailed process that has seen no request, for callers who hold a permit of type `P`. It serves one request or none: feeding
/// takes it, and so does whatever ends it.
#[derive(Debug)]
pub struct Started<P> {
    /// None where it could not be started in time.
    process: Option<Waiting>,
    since: Instant,
    layers: Vec<Layer>,
    reads_named: bool,
    permit: PhantomData<fn(&P)>,
}

#[derive(Debug)]
struct Waiting {
    process: Process,
    inlet: Inlet,
    /// Whether it was started before anybody had a request for it.
    ahead: bool,
}

impl<P> Started<P> {
    pub(crate) fn new(
        process: Option<(Process, Inlet)>,
        ahead: bool,
        since: Instant,
        layers: Vec<Layer>,
        reads_named: bool,
    ) -> Self {
        let process = process.map(|(process, inlet)| Waiting {
            process,
            inlet,
            ahead,
        });
        Self {
            process,
            since,
            layers,
            reads_named,
            permit: PhantomData,
        }
    }

    /// Whether what it reads in vain is named.
    #[must_use]
    pub fn names_reads(&self) -> bool {
        self.reads_named
    }

    /// Lets it go on as if it had a request: on a busy machine one that waits hardly gets anywhere, and a test would wait for it.
    #[cfg(test)]
    pub(crate) fn hurry(&mut self) {
        let process = self.process.as_mut().map(|waiting| &mut waiting.process);
        let Some(process) = process else { return };
        let set = process.group.as_mut().map(|group| group.set(process.caps));
        assert!(matches!(set, Some(Ok(()))), "{set:?}");
    }

    /// How much memory it may hold at most, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let waiting = self.process.as_ref();
        waiting.map_or(0, |waiting| waiting.process.caps.memory_bytes)
    }

    /// How it stands with it: only one that waits is worth a request.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn standing(&self) -> Result<Standing, Error> {
        let waiting = self.process.as_ref();
        waiting.map_or(Ok(Standing::Lost), |waiting| waiting.process.standing())
    }

    /// Hands it its request and watches it to its end. The permit is proof that this was allowed and recorded.
    ///
    /// # Errors
    /// Only the host's or the gateway's own faults; whatever the plugin does is in the report.
    pub fn feed(self, permit: &P, ask: &Ask<'_>) -> Result<Report, Error> {
        // Holding a permit is enough; what it says, its maker decides.
        let _: &P = permit;
        let seen = match self.process {
            None => never_started(self.since),
            Some(Waiting {
                mut process,
                inlet,
                ahead,
            }) => {
                if ahead {
                    process.begin(ask.deadline)?;
                }
                let feed = Feed::new(inlet, ask.input, ask.listener.is_some())?;
                watch(process, feed, ask)?
            }
        };
        Ok(report(seen, self.layers, self.reads_named))
    }

    /// Ends it without a request; says what was seen of it, none where it never came to be.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn end(self) -> Result<Option<Report>, Error> {
        let Some(Waiting { process, .. }) = self.process else {
            return Ok(None);
        };
        let seen = end_unasked(process)?;
        Ok(Some(report(seen, self.layers, self.reads_named)))
    }
}

pub(crate) fn report(seen: Seen, layers: Vec<Layer>, reads_named: bool) -> Report {
    let Seen {
        end,
        answer,
        stderr,
        usage,
        denied,
        probes,
    } = seen;
    Report {
        end,
        answer,
        stderr,
        usage,
        layers,
        denied,
        reads_named,
        probes,
    }
}
