//! The system-call filter: which calls a plugin of each class may make. It only builds programs; the child attaches them.

pub(crate) mod calls;
mod conditions;
mod policy;
mod program;

use std::collections::BTreeMap;

use libc::sock_filter;

use self::policy::{Answer, Row};
use self::program::Verdict;
use crate::error::Error;
use crate::image::Class;

/// What decides a filter, apart from the launcher's mark.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    /// The kind of program.
    pub(crate) class: Class,
    /// Whether it makes code at run time.
    pub(crate) makes_code: bool,
    /// Whether its C library ends threads by futexes that are not marked private. musl does; a static program's library is unknown.
    pub(crate) wakes_shared: bool,
    /// Whether it has a root of its own.
    pub(crate) private_root: bool,
    /// Whether refused and hostile calls are reported. If not, the filter itself answers refused calls with an error and kills for hostile ones.
    pub(crate) reported: bool,
    /// Whether the filter, where nothing is reported, kills for refused calls too.
    pub(crate) kills_refused: bool,
    /// Whether files that are opened to read are reported as well, and then let through.
    pub(crate) names_reads: bool,
    /// Further calls that are let through.
    pub(crate) extra_calls: Vec<String>,
}

/// A filter program with placeholders for the mark of one launcher.
#[derive(Debug)]
pub(crate) struct Filter {
    program: Vec<sock_filter>,
}

impl Filter {
    /// Builds the filter.
    ///
    /// # Errors
    /// When an extra call has a name that no call has.
    pub(crate) fn build(wanted: &Wanted) -> Result<Self, Error> {
        let mut verdicts = BTreeMap::new();
        for row in tables(wanted).into_iter().flatten() {
            for number in row.calls.split_whitespace().filter_map(calls::number) {
                verdicts.insert(number, plain(row.answer, wanted));
            }
        }
        for (name, verdict) in conditions::table(wanted) {
            verdicts.extend(calls::number(name).map(|number| (number, verdict)));
        }
        for name in &wanted.extra_calls {
            let number = calls::number(name).ok_or_else(|| Error::Unusable {
                subject: "system call name",
                value: name.clone(),
            })?;
            verdicts.insert(number, Verdict::Allow);
        }
        for number in conditions::LAUNCHER_CALLS
            .into_iter()
            .filter_map(calls::number)
        {
            let verdict = verdicts.remove(&number).unwrap_or(UNKNOWN);
            verdicts.insert(number, or_marked(verdict));
        }
        Ok(Self {
            program: program::assemble(&verdicts, &UNKNOWN),
        })
    }

    /// The program of one launcher, which lets through the launcher's own calls that carry this mark.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the halves are wanted apart"
    )]
    pub(crate) fn with_mark(&self, mark: u64) -> Vec<sock_filter> {
        let mut program = self.program.clone();
        for instruction in &mut program {
            match instruction.k {
                conditions::MARK_LOWER => instruction.k = mark as u32,
                conditions::MARK_UPPER => instruction.k = (mark >> 32) as u32,
                _ => {}
            }
        }
        program
    }
}

/// The verdict for plugins, except that a call with the launcher's mark is let through.
fn or_marked(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Allow => Verdict::Allow,
        Verdict::When(mut lists, otherwise) => {
            lists.push(conditions::marked());
            Verdict::When(lists, otherwise)
        }
        plain @ (Verdict::Errno(_) | Verdict::Report | Verdict::Kill | Verdict::FailsWhen(..)) => {
            Verdict::When(vec![conditions::marked()], Box::new(plain))
        }
    }
}

/// "No such call", as a filter returns it.
const ENOSYS: u16 = 38;

/// The verdict for calls that are in no table.
const UNKNOWN: Verdict = Verdict::Errno(ENOSYS);

fn tables(wanted: &Wanted) -> Vec<&'static [Row]> {
    let mut tables = of_class(wanted.class);
    if wanted.class == Class::Static {
        tables.push(if wanted.private_root {
            policy::STATIC_IN_EMPTY_ROOT
        } else {
            policy::STATIC_IN_HOST_ROOT
        });
    }
    tables
}

/// The tables of a class, wherever it runs.
fn of_class(class: Class) -> Vec<&'static [Row]> {
    match class {
        Class::Static => vec![policy::EVERYONE, policy::BY_ARGUMENTS, policy::STATIC],
        Class::Dynamic | Class::Runtime => vec![
            policy::EVERYONE,
            policy::BY_ARGUMENTS,
            policy::READERS,
            policy::WRITES,
        ],
    }
}

fn answer_of(class: Class, name: &str) -> Option<Answer> {
    policy::answer(&of_class(class), name)
}

/// The error number that answers a refused call of this name; `None` for a hostile one.
pub(crate) fn refusal(class: Class, name: &str) -> Option<i32> {
    match answer_of(class, name) {
        Some(Answer::Refuse(errno)) => Some(errno),
        // Calls that go through or are answered by the filter are never reported.
        Some(Answer::Allow | Answer::Fail(_) | Answer::Hostile) | None => None,
    }
}

/// Whether a file that is opened with these flags is opened to be read, and in the usual way.
pub(crate) fn opens_to_read(flags: u32) -> bool {
    flags & conditions::OPEN_OTHERWISE == 0
}

fn plain(answer: Answer, wanted: &Wanted) -> Verdict {
    let errno = |errno| Verdict::Errno(u16::try_from(errno).unwrap_or(ENOSYS));
    match answer {
        Answer::Allow => Verdict::Allow,
        Answer::Fail(number) => errno(number),
        Answer::Refuse(_) | Answer::Hostile if wanted.reported => Verdict::Report,
        Answer::Refuse(number) if !wanted.kills_refused => errno(number),
        Answer::Refuse(_) | Answer::Hostile => Verdict::Kill,
    }
}

#[cfg(test)]
mod tests;
