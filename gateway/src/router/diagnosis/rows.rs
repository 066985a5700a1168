//! One row: what is written, and what it means.

use plugin_protocol::shown;

use super::Diagnosis;

/// The most characters of a name that a plugin wrote and a diagnosis repeats.
const NAME_CHARS: usize = 80;

/// The end of a line.
pub(super) const LINE: &[char] = &['\n', '\r'];

/// The end of a line or of a word.
pub(super) const WORD: &[char] = &['\n', '\r', ' ', ',', ';', ')'];

/// What is written, and what it means. `{}` stands for the name.
pub(super) struct Row {
    said: &'static str,
    /// What must stand somewhere else; empty where nothing need.
    beside: &'static str,
    name: Name,
    spelling: Spelling,
    cause: &'static str,
    fix: &'static str,
}

/// Where the name stands that a row's words are about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Name {
    /// There is none.
    None,
    /// It is always this one.
    Always(&'static str),
    /// Behind the pattern, up to one of these characters.
    Until(&'static [char]),
    /// Before the pattern, the last word there.
    Before,
}

/// How a name is written where its language's tools take it, and which names a row is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spelling {
    AsItIs,
    /// `numpy.linalg` is in `numpy`.
    Python,
    /// `numpy._core` is a part of `numpy` that is compiled, by custom; no other name is meant.
    PythonPart,
    /// `@a/b/c` is in `@a/b`, and `b/c` in `b`.
    Node,
    /// `Text/CSV.pm` is `Text::CSV`.
    Perl,
    /// `com/x/Y` is `com.x.Y`.
    Java,
    /// A file that lies in the package, as a plugin sees it.
    InPackage,
    /// The name of a command, which begins with a small letter, unlike that of an exception.
    Command,
    /// A path from the root, or from a home folder.
    FromRoot,
    /// A path from the working folder.
    FromHere,
}

/// Where a plugin sees its package.
const PACKAGE: &str = "/package/";

/// A row about words alone.
pub(super) const fn plain(said: &'static str, cause: &'static str, fix: &'static str) -> Row {
    named(said, Name::None, Spelling::AsItIs, cause, fix)
}

/// A row about something that is named.
pub(super) const fn named(
    said: &'static str,
    name: Name,
    spelling: Spelling,
    cause: &'static str,
    fix: &'static str,
) -> Row {
    Row {
        said,
        beside: "",
        name,
        spelling,
        cause,
        fix,
    }
}

impl Row {
    /// The same, where these words stand somewhere too.
    pub(super) const fn beside(self, words: &'static str) -> Self {
        Self {
            beside: words,
            ..self
        }
    }

    /// What the words mean by this row.
    pub(super) fn reads(&self, words: &str) -> Option<Diagnosis> {
        // The last one counts: what came before may have been caught.
        let at = words.rfind(self.said)?;
        if !words.contains(self.beside) {
            return None;
        }
        let name = self.name_at(words, at)?;
        let name = self.spelling.of(&shown::cut(name, NAME_CHARS))?;
        let filled = |text: &str| text.replace("{}", &name);
        Some(Diagnosis {
            cause: filled(self.cause),
            fix: filled(self.fix),
        })
    }

    /// The name that the row is about, empty where it is about none; `None` where one should be and is not.
    fn name_at<'a>(&self, words: &'a str, at: usize) -> Option<&'a str> {
        let name = match self.name {
            Name::None => return Some(""),
            Name::Always(name) => name,
            // A path's first character stands in the pattern.
            Name::Until(ends) => {
                let path = self.said.ends_with(['/', '.']);
                let rest = words.get(at + self.said.len() - usize::from(path)..)?;
                rest.split(ends).next()?.trim().trim_end_matches('.')
            }
            Name::Before => {
                let word = words.get(..at)?.split_whitespace().next_back()?;
                word.trim_start_matches('\'')
            }
        };
        (!name.is_empty()).then_some(name)
    }
}

impl Spelling {
    /// The name as it is to be written; none where the row is not about such a name.
    fn of(self, name: &str) -> Option<String> {
        let first = |count: usize| name.split('/').take(count).collect::<Vec<_>>().join("/");
        let module = || name.split('.').next().unwrap_or_default().to_owned();
        match self {
            Self::AsItIs => Some(name.to_owned()),
            Self::Python => Some(module()),
            Self::PythonPart => name.contains("._").then(module),
            Self::Node => Some(first(if name.starts_with('@') { 2 } else { 1 })),
            Self::Perl => Some(name.trim_end_matches(".pm").replace('/', "::")),
            Self::Java => Some(name.replace('/', ".")),
            Self::InPackage => name.strip_prefix(PACKAGE).map(ToOwned::to_owned),
            Self::Command => name
                .starts_with(|first: char| first.is_ascii_lowercase())
                .then(|| name.to_owned()),
            Self::FromRoot => name.starts_with(['/', '~']).then(|| name.to_owned()),
            Self::FromHere => {
                let path = name.trim_start_matches("./");
                (!name.starts_with(['/', '~'])).then(|| path.to_owned())
            }
        }
    }
}
