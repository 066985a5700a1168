//! Why a call ended as it did, in one word: for the ledger's `meta.cause` and for counting.

use std::fmt;

/// Why a call ended as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The plugin gave an answer that counts.
    Answer,
    /// Its answer breaks the contract.
    BadAnswer,
    /// It wrote more than one line.
    ExtraOutput,
    /// Its answer is longer than its limit.
    AnswerTooLarge,
    /// It tried what the sandbox forbids.
    Violation,
    /// It exited without an answer.
    Exit,
    /// A signal ended it.
    Signal,
    /// It used up its processor time.
    Cpu,
    /// It used up its memory.
    Memory,
    /// Time ran out.
    Timeout,
    /// The host cancelled the call.
    Cancelled,
    /// The gateway itself could not run the plugin.
    Gateway,
    /// The result's evidence could not be kept.
    Evidence,
    /// The request breaks a rule.
    Request,
    /// No plugin has that id.
    NotFound,
    /// The plugin is not enabled.
    NotEnabled,
    /// Its stored package cannot be used.
    Package,
    /// This host cannot isolate plugins.
    Isolation,
    /// No place came free, or none could be waited for.
    Overloaded,
    /// The plugin failed too often recently.
    CircuitOpen,
    /// Too few witnesses have cosigned the ledger in time, or one of them knows more of it.
    Unwitnessed,
}

impl Cause {
    /// The word in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::BadAnswer => "bad_answer",
            Self::ExtraOutput => "extra_output",
            Self::AnswerTooLarge => "answer_too_large",
            Self::Violation => "violation",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Gateway => "gateway",
            Self::Evidence => "evidence",
            Self::Request => "request",
            Self::NotFound => "not_found",
            Self::NotEnabled => "not_enabled",
            Self::Package => "package",
            Self::Isolation => "isolation",
            Self::Overloaded => "overloaded",
            Self::CircuitOpen => "circuit_open",
            Self::Unwitnessed => "unwitnessed",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
