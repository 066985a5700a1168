//! The system calls that a plugin was refused, in words for people and for the ledger. It decides nothing.

use plugin_protocol::event::meta;
use sandbox::{Denial, Denials};

/// The most characters of one refused call: room for any call and a path of usual length. What is longer ends with a mark.
const CALL_CHARS: usize = 200;

/// Calls that change files or folders, wherever they succeed, beside those that open them to write.
const CHANGES: [&str; 24] = [
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "truncate",
    "chmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchownat",
    "setxattr",
    "utimensat",
];

/// Ways to open a file that change it, or could.
const WRITING_FLAGS: [&str; 4] = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"];

/// Whether the call would have left something behind in files or folders.
pub(crate) fn changes_files(denial: &Denial) -> bool {
    CHANGES.contains(&denial.call.as_str())
        || WRITING_FLAGS
            .iter()
            .any(|flag| denial.detail.contains(flag))
}

/// Refused calls in a line: `socket(AF_INET, SOCK_STREAM); … 23 in all`; nothing where there were none. It has at most 16 calls of
/// [`CALL_CHARS`] and so fits into an event's line several times over; the sandbox has escaped what is not printable.
pub(crate) fn told(denials: &Denials) -> String {
    let mut calls: Vec<String> = denials.first.iter().map(shortened).collect();
    if denials.total > calls.len() as u64 {
        calls.push(format!("… {} in all", denials.total));
    }
    calls.join("; ")
}

/// What the ledger keeps of the refused calls; nothing where there were none.
pub(super) fn facts(denials: &Denials) -> Vec<(String, String)> {
    if denials.total == 0 {
        return Vec::new();
    }
    let counts = denials.calls.iter();
    let counts: Vec<String> = counts
        .map(|(call, count)| format!("{call} {count}"))
        .collect();
    vec![
        (meta::DENIED.to_owned(), told(denials)),
        (meta::DENIED_COUNTS.to_owned(), counts.join(" ")),
    ]
}

/// The counts of an event, by call.
pub(super) fn counts(fact: &str) -> impl Iterator<Item = (&str, u64)> {
    let mut words = fact.split(' ');
    std::iter::from_fn(move || Some((words.next()?, words.next()?.parse().ok()?)))
}

/// A refused call, cut off where it is very long.
pub(super) fn shortened(denial: &Denial) -> String {
    let whole = denial.to_string();
    match whole.char_indices().nth(CALL_CHARS) {
        Some((end, _)) => format!("{}…)", whole.get(..end).unwrap_or_default()),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_calls_are_told_within_bounds() {
        let mut denials = Denials::default();
        assert!(told(&denials).is_empty() && facts(&denials).is_empty());
        for at in 0..16 {
            denials.first.push(Denial {
                call: "openat".to_owned(),
                detail: format!("\"/{at}/{}\"", "x".repeat(3_000)),
            });
        }
        denials.total = 23;
        denials.calls.insert("openat", 23);
        let text = told(&denials);
        assert!(
            text.ends_with("; … 23 in all") && text.chars().count() < 4_000,
            "{text}"
        );
        denials.first.truncate(1);
        denials.first[0].detail = "\"/x\"".to_owned();
        denials.total = 1;
        assert_eq!(told(&denials), "openat(\"/x\")");
        let [_, (_, fact)] = facts(&denials).try_into().unwrap();
        assert_eq!(counts(&fact).collect::<Vec<_>>(), [("openat", 23)]);
        assert_eq!(counts("socket x").count(), 0);
    }
}
