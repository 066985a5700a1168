//! Programs that hurt whoever runs them, and how each must end; the code is in `poison.c`.

use crate::program::{self, Link};

/// How a poison must end.
#[derive(Debug, Clone, Copy)]
pub struct Poison {
    /// The name of its function.
    pub name: &'static str,
    /// The answer's status.
    pub status: &'static str,
    /// The cause in the ledger: one of these.
    pub causes: &'static [&'static str],
    /// Words that the notes must hold.
    pub words: &'static str,
    /// A name in the ledger's meta and its value.
    pub fact: Option<(&'static str, &'static str)>,
}

const fn pill(
    name: &'static str,
    status: &'static str,
    causes: &'static [&'static str],
    words: &'static str,
) -> Poison {
    Poison {
        name,
        status,
        causes,
        words,
        fact: None,
    }
}

impl Poison {
    const fn fact(self, name: &'static str, value: &'static str) -> Self {
        Self {
            fact: Some((name, value)),
            ..self
        }
    }
}

const fn timeout(name: &'static str) -> Poison {
    pill(name, "timeout", &["timeout"], "timeout")
}

const fn bad_answer(name: &'static str) -> Poison {
    pill(name, "rejected", &["bad_answer"], "")
}

const fn answered(name: &'static str) -> Poison {
    pill(name, "ok", &["answer"], "")
}

const fn exits(name: &'static str, code: &'static str) -> Poison {
    pill(name, "error", &["exit"], "exited").fact("exit_code", code)
}

const fn signalled(name: &'static str, signal: &'static str) -> Poison {
    pill(name, "error", &["signal"], "signal").fact("signal", signal)
}

/// Poisons that end by themselves, or at a wall of the sandbox.
pub const QUICK: &[Poison] = &[
    // Asking without end is charged to whoever does it.
    pill(
        "fork_bomb",
        "rejected",
        &["violation"],
        "violation: more than",
    )
    .fact("denied_call", "clone"),
    pill(
        "vfork_bomb",
        "rejected",
        &["violation"],
        "violation: more than",
    )
    .fact("denied_call", "vfork"),
    exits("daemon_maker", "0").fact("denied_counts", "clone 1"),
    // A program that is refused memory and gives up has used it up, whichever way the limit is kept.
    pill("private_memory", "error", &["memory", "exit"], ""),
    pill("heap_memory", "error", &["memory", "exit"], ""),
    pill("shared_memory", "error", &["memory", "exit"], ""),
    pill("locked_memory", "error", &["memory", "exit"], ""),
    pill("stack_memory", "error", &["memory", "signal"], ""),
    pill(
        "endless_line",
        "rejected",
        &["answer_too_large"],
        "limits.max_bytes",
    ),
    pill(
        "endless_lines",
        "rejected",
        &["extra_output"],
        "more than one line",
    ),
    answered("loud_answer"),
    exits("closed_stdout", "0"),
    bad_answer("half_line"),
    answered("no_newline"),
    answered("no_newline_and_stay"),
    answered("answer_and_stay"),
    answered("answer_and_spin"),
    answered("answer_and_die"),
    pill(
        "two_lines",
        "rejected",
        &["extra_output"],
        "more than one line",
    ),
    pill(
        "line_and_garbage",
        "rejected",
        &["extra_output"],
        "more than one line",
    ),
    // "blank lines are nothing"
    answered("line_and_newline"),
    exits("empty_line", "0"),
    bad_answer("not_json"),
    bad_answer("not_utf8"),
    bad_answer("zero_bytes"),
    bad_answer("byte_order_mark"),
    bad_answer("deep_json"),
    bad_answer("deep_data"),
    pill(
        "huge_json",
        "rejected",
        &["answer_too_large"],
        "limits.max_bytes",
    ),
    bad_answer("large_result"),
    bad_answer("duplicate_key"),
    bad_answer("huge_number"),
    bad_answer("unsafe_integer"),
    bad_answer("lone_surrogate"),
    bad_answer("undeclared_kind"),
    bad_answer("unknown_field"),
    bad_answer("unknown_status"),
    bad_answer("claims_timeout"),
    pill("own_rejected", "rejected", &["answer"], ""),
    pill("own_error", "error", &["answer"], ""),
    pill("wrong_request", "rejected", &["bad_answer"], "request_id"),
    exits("exit_0", "0"),
    exits("exit_1", "1"),
    exits("exit_42", "42"),
    exits("exit_127", "127"),
    exits("exit_255", "255"),
    signalled("segfault", "11"),
    pill("aborted", "error", &["signal"], "signal"),
    signalled("bad_instruction", "4"),
    signalled("division", "8"),
    // The first process of a pid namespace is deaf to what it sends itself (pid_namespaces(7)), and goes on to its end.
    pill("killed_by_itself", "error", &["signal", "exit"], ""),
    pill("terminated_by_itself", "error", &["signal", "exit"], ""),
    pill("bus_error", "error", &["signal", "exit"], ""),
];

/// Poisons that only their deadline ends.
pub const ENDLESS: &[Poison] = &[
    timeout("many_violations").fact("denied_counts", "socket 16"),
    timeout("closed_stdout_and_stay"),
    timeout("all_closed_and_stay"),
    timeout("closed_stdin_and_stay"),
    timeout("stop_itself"),
    timeout("ignore_signals"),
    timeout("block_signals"),
    timeout("half_line_and_stay"),
    timeout("slow_line"),
    timeout("sleep_long"),
    timeout("timer_flood"),
    timeout("endless_stderr"),
];

/// Poisons that use up their processor time before their deadline.
pub const BUSY: &[Poison] = &[
    pill("processor_spin", "error", &["cpu"], "processor time"),
    pill("clock_spin", "error", &["cpu"], "processor time"),
    pill("busy_threads", "error", &["cpu"], "processor time"),
    pill("signal_flood", "error", &["cpu"], "processor time"),
];

/// Poisons that answer with how much they got.
pub const HOARDS: [&str; 2] = ["thread_bomb", "pipe_memory"];

/// All of them as one program: the request's text names the poison.
pub fn program(link: Link) -> Vec<u8> {
    let names = [QUICK, ENDLESS, BUSY]
        .into_iter()
        .flatten()
        .map(|poison| poison.name)
        .chain(HOARDS);
    let source = super::assemble(
        include_str!("poison.c"),
        names,
        include_str!("poison_end.h"),
    );
    program::c(&source, link)
}
