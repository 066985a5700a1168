//! Attacks through what is already open, and through terminals; the code is in `descriptors.c`.

use super::Outside::{Depends, Works};
use super::{Attack, named, quiet};

/// Every attack on descriptors, environment and terminals.
pub const ATTACKS: &[Attack] = &[
    quiet("write_inherited", Works).marks(),
    quiet("read_environment", Works),
    quiet(
        "terminal_master",
        Depends("there may be no pseudo-terminals"),
    ),
    quiet(
        "controlling_terminal",
        Depends("the test may have no terminal"),
    ),
    quiet(
        "type_into_terminal",
        Depends("dev.tty.legacy_tiocsti may be off, and then it needs root"),
    ),
    quiet(
        "console_request",
        Depends("only root on a machine with a console can"),
    ),
    quiet("pipe_signals", Works),
    quiet("pipe_signals_upper_half", Works),
    quiet("huge_pipe", Works),
    quiet(
        "many_descriptors",
        Depends("the test's own descriptor limit may be low"),
    ),
    quiet("raise_descriptor_limit", Works),
    quiet("own_signal_by_pipe", Works).marks(),
    quiet("owner_of_stdin", Works),
    quiet("lock_stdin", Works),
    named("pass_descriptor", Works, &["sendmsg"]),
    quiet("splice_pipes", Works),
];

/// Any descriptor but the three; not for a runtime that opens some for itself before a plugin's code runs.
pub const ANY: &[Attack] = &[quiet("inherited_descriptor", Works)];
