//! What opening does in each case that it can find. Nothing is mended here, only decided.

use crate::tree::Standing;

/// What stands behind the last good line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    Clean,
    /// A write that a crash tore.
    Torn,
    /// Something that no crash leaves, or anything before the last segment.
    Damaged,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Go on at the end.
    Open,
    /// Move what is torn to quarantine, then go on.
    Cut,
    /// Refuse and name the bad line.
    RefuseLine,
    /// Refuse and name the checkpoint that the events do not match.
    RefuseClaim,
}

/// One case, decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) decision: Decision,
    /// Why.
    pub(crate) because: &'static str,
}

/// Every combination of what opening can find, and what is done about it.
pub(crate) const fn decide(tail: Tail, standing: Standing) -> Case {
    let (decision, because) = match (tail, standing) {
        (Tail::Clean, Standing::Kept) => (Decision::Open, "all is as it was left"),
        (Tail::Torn, Standing::Kept) => (
            Decision::Cut,
            "a crash came before the sync, so nobody was told of what is torn",
        ),
        (Tail::Damaged, Standing::Kept) => (Decision::RefuseLine, "what was synced has changed"),
        (Tail::Clean, Standing::Differs) => (
            Decision::RefuseClaim,
            "another history was put in the place of the one that was signed",
        ),
        (Tail::Torn, Standing::Differs) => (Decision::RefuseClaim, "the same, and then a crash"),
        (Tail::Damaged, Standing::Differs) => (
            Decision::RefuseLine,
            "the bad line says more than the checkpoint does",
        ),
        (Tail::Clean, Standing::Ahead) => (
            Decision::RefuseClaim,
            "events that were signed for are gone: the end was cut off, or an old copy was put back",
        ),
        (Tail::Torn, Standing::Ahead) => (
            Decision::RefuseClaim,
            "what is torn was signed for, and so had been synced: no crash did this",
        ),
        (Tail::Damaged, Standing::Ahead) => (
            Decision::RefuseLine,
            "the bad line is why the signed events cannot be reached",
        ),
    };
    Case { decision, because }
}
