//! What opening does in each case. Nothing is mended here, only decided.

use crate::tree::Agreement;

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

/// What opening does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Go on at the end.
    Open,
    /// Move the torn write to quarantine, then go on.
    Cut,
    /// Refuse and name the bad line.
    RefuseLine,
    /// Refuse and name the checkpoint that the events do not match.
    RefuseClaim,
}

/// What is done in one case, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision {
    pub(crate) action: Action,
    /// The reason, as a clause.
    pub(crate) because: &'static str,
}

/// Every combination of what opening can find, and what is done about it.
pub(crate) const fn decide(tail: Tail, agreement: Agreement) -> Decision {
    let (action, because) = match (tail, agreement) {
        (Tail::Clean, Agreement::Holds) => (Action::Open, "all is as it was left"),
        (Tail::Torn, Agreement::Holds) => (
            Action::Cut,
            "a crash came before the sync, so nobody was told of the torn events",
        ),
        (Tail::Damaged, Agreement::Holds) => (Action::RefuseLine, "what was synced has changed"),
        (Tail::Clean, Agreement::Differs) => (
            Action::RefuseClaim,
            "the signed events were replaced by others",
        ),
        (Tail::Torn, Agreement::Differs) => (
            Action::RefuseClaim,
            "the signed events were replaced by others, and a crash came later",
        ),
        (Tail::Damaged, Agreement::Differs) => (
            Action::RefuseLine,
            "a signed checkpoint does not match either, but the bad line says where to look",
        ),
        (Tail::Clean, Agreement::EventsMissing) => (
            Action::RefuseClaim,
            "events that were signed for are gone: the end was cut off, or an old copy was put back",
        ),
        (Tail::Torn, Agreement::EventsMissing) => (
            Action::RefuseClaim,
            "the torn events were signed for, so they had been synced: no crash did this",
        ),
        (Tail::Damaged, Agreement::EventsMissing) => (
            Action::RefuseLine,
            "the bad line is why the signed events cannot be reached",
        ),
    };
    Decision { action, because }
}
