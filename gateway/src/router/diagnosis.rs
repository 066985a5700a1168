//! What a plugin's last words mean: one table from what a language's own run-time system writes to the likely mistake and its fix.
//! Anybody can write the same, so that a diagnosis only adds words and decides nothing.

use plugin_protocol::shown;
use sandbox::{End, Report};

use super::cause::Cause;
use super::denial;
use super::record::Outcome;

/// The most characters of a name that a plugin wrote and a diagnosis repeats.
const NAME_CHARS: usize = 80;

/// Below this part of its time a plugin did not compute but wait.
const WAITED_PART: u32 = 10;

/// A likely mistake, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    pub(crate) cause: String,
    pub(crate) fix: String,
}

/// Where the name stands that a row's words are about.
#[derive(Debug, Clone, Copy)]
enum Name {
    /// There is none.
    None,
    /// Behind the pattern, up to one of these characters.
    Until(&'static [char]),
    /// Before the pattern, the last word there.
    Before,
}

/// How a name is written where its language's tools take it.
#[derive(Debug, Clone, Copy)]
enum Spelling {
    AsItIs,
    /// `numpy.linalg` is in `numpy`.
    Python,
    /// `@a/b/c` is in `@a/b`, and `b/c` in `b`.
    Node,
    /// `Text/CSV.pm` is `Text::CSV`.
    Perl,
    /// `com/x/Y` is `com.x.Y`.
    Java,
}

/// What is written, and what it means. `{}` stands for the name.
struct Row {
    said: &'static str,
    name: Name,
    spelling: Spelling,
    cause: &'static str,
    fix: &'static str,
}

/// The end of a line.
const LINE: &[char] = &['\n', '\r'];

/// The end of a line or of a word.
const WORD: &[char] = &['\n', '\r', ' ', ',', ';', ')'];

const fn plain(said: &'static str, cause: &'static str, fix: &'static str) -> Row {
    Row {
        said,
        name: Name::None,
        spelling: Spelling::AsItIs,
        cause,
        fix,
    }
}

const fn named(
    said: &'static str,
    name: Name,
    spelling: Spelling,
    cause: &'static str,
    fix: &'static str,
) -> Row {
    Row {
        said,
        name,
        spelling,
        cause,
        fix,
    }
}

const JAVASCRIPT_HEAP: &str =
    "its JavaScript heap was full, which is as large as limits.max_memory_bytes";
const GO_MEMORY: &str = "Go got no more memory";
const MORE_MEMORY: &str = "raise limits.max_memory_bytes, or hold less";
const MANY_FILES: &str = "it had more files open at once than limits.max_open_files, which is 256 where the manifest does not name it";
const MORE_FILES: &str = "raise that, to at most 4096";
const NODE_MODULE: &str = "the Node module '{}' is not in the package";
const NODE_FIX: &str = "put it there: `npm install --prefix PACKAGE {}`";
const NODE_FILE: &str = "the file '{}' that it imports is not in the package";
const NODE_FILE_FIX: &str =
    "put it there, or mend the path, which is relative to the file that imports it";
const JAVA_CLASS: &str = "the Java class '{}' is not in the package";
const JAVA_FIX: &str = "put the jar that has it there, and name it as `Class-Path` in the manifest of the jar that is run, or build one jar with all in it";
const NETWORK: &str = "it asked for the network, which no plugin has";
const NETWORK_FIX: &str =
    "have the host fetch what is needed, and take it in the payload or put it into the package";
const WRITING: &str = "it wrote to a file, which no plugin may";
const WRITING_FIX: &str = "hold it in memory, and give what matters in the answer";

/// The rows, the more exact before the more general: the first that fits is taken.
const ROWS: &[Row] = &[
    // Memory.
    plain(
        "JavaScript heap out of memory",
        JAVASCRIPT_HEAP,
        MORE_MEMORY,
    ),
    plain("<--- Last few GCs --->", JAVASCRIPT_HEAP, MORE_MEMORY),
    plain(
        "java.lang.OutOfMemoryError",
        "its Java heap was full, which is as large as limits.max_memory_bytes",
        MORE_MEMORY,
    ),
    plain(
        "There is insufficient memory for the Java Runtime Environment",
        "the Java virtual machine got no more memory",
        MORE_MEMORY,
    ),
    plain(
        "fatal error: runtime: out of memory",
        GO_MEMORY,
        MORE_MEMORY,
    ),
    plain(
        "fatal error: runtime: cannot allocate memory",
        GO_MEMORY,
        MORE_MEMORY,
    ),
    plain("(NoMemoryError)", "Ruby got no more memory", MORE_MEMORY),
    plain("MemoryError", "Python got no more memory", MORE_MEMORY),
    plain(
        "memory allocation of ",
        "Rust got no more memory",
        MORE_MEMORY,
    ),
    plain("std::bad_alloc", "C++ got no more memory", MORE_MEMORY),
    // Descriptors.
    plain("EMFILE", MANY_FILES, MORE_FILES),
    plain("Too many open files", MANY_FILES, MORE_FILES),
    // What is not in the package.
    plain(
        "No module named 'omega_plugin'",
        "the SDK's file omega_plugin.py is not in the package",
        "copy it there, beside the program",
    ),
    named(
        "ModuleNotFoundError: No module named '",
        Name::Until(&['\'']),
        Spelling::Python,
        "the Python module '{}' is not in the package",
        "put it there, beside the program: `pip install --target PACKAGE {}`",
    ),
    named(
        "Cannot find package '",
        Name::Until(&['\'']),
        Spelling::Node,
        NODE_MODULE,
        NODE_FIX,
    ),
    named(
        "Cannot find module '/",
        Name::Until(&['\'']),
        Spelling::AsItIs,
        NODE_FILE,
        NODE_FILE_FIX,
    ),
    named(
        "Cannot find module '.",
        Name::Until(&['\'']),
        Spelling::AsItIs,
        NODE_FILE,
        NODE_FILE_FIX,
    ),
    named(
        "Cannot find module '",
        Name::Until(&['\'']),
        Spelling::Node,
        NODE_MODULE,
        NODE_FIX,
    ),
    named(
        "Relative import path \"",
        Name::Until(&['"']),
        Spelling::AsItIs,
        "the import '{}' is a bare name, for which Deno would go to the network",
        "put the module into the package, and import it by its relative path",
    ),
    named(
        "error while loading shared libraries: ",
        Name::Until(&[':', '\n']),
        Spelling::AsItIs,
        "the library '{}' is not in the package and not where this host has its libraries",
        "put it there, as lib/{}, and link the program with `-Wl,-rpath,'$ORIGIN/lib'`, or link it with `-static`",
    ),
    named(
        "Error loading shared library ",
        Name::Until(&[':', '\n']),
        Spelling::AsItIs,
        "the library '{}' is not in the package and not where this host has its libraries",
        "put it there, as lib/{}, and link the program with `-Wl,-rpath,'$ORIGIN/lib'`, or link it with `-static`",
    ),
    named(
        ": cannot open shared object file",
        Name::Before,
        Spelling::AsItIs,
        "the library '{}', which an extension module needs, is not in the package",
        "put it there, where the module's rpath looks (`$ORIGIN`), or take a build of the module that carries it",
    ),
    named(
        "cannot load such file -- ",
        Name::Until(&['\n', ' ', '(']),
        Spelling::AsItIs,
        "the Ruby file or gem '{}' is not in the package",
        "put it there: `gem unpack {} --target PACKAGE/vendor`, and add its lib folder to `$LOAD_PATH`",
    ),
    named(
        "Can't locate ",
        Name::Until(WORD),
        Spelling::Perl,
        "the Perl module '{}' is not in the package",
        "put it there: `cpanm -L PACKAGE/local {}`, and `use lib` with the folder local/lib/perl5 beside the program",
    ),
    named(
        "Could not find or load main class ",
        Name::Until(LINE),
        Spelling::Java,
        JAVA_CLASS,
        JAVA_FIX,
    ),
    named(
        "java.lang.ClassNotFoundException: ",
        Name::Until(LINE),
        Spelling::Java,
        JAVA_CLASS,
        JAVA_FIX,
    ),
    named(
        "java.lang.NoClassDefFoundError: ",
        Name::Until(LINE),
        Spelling::Java,
        JAVA_CLASS,
        JAVA_FIX,
    ),
    named(
        "java.lang.UnsatisfiedLinkError: no ",
        Name::Until(&[' ', '\n']),
        Spelling::AsItIs,
        "the native library '{}' is not in the package",
        "put it there, and say where with `-Djava.library.path`",
    ),
    named(
        "' not found:\n\tno field",
        Name::Before,
        Spelling::AsItIs,
        "the Lua module '{}' is not in the package",
        "put it there, and add its folder to `package.path`",
    ),
    named(
        "there is no package called ‘",
        Name::Until(&['’']),
        Spelling::AsItIs,
        "the R package '{}' is not in the package",
        "put it there: `install.packages(\"{}\", lib = \"PACKAGE/lib\")`, and add that folder to `.libPaths()`",
    ),
    // What no plugin has.
    plain("socket.gaierror", NETWORK, NETWORK_FIX),
    plain("getaddrinfo E", NETWORK, NETWORK_FIX),
    plain(
        "Address family not supported by protocol",
        NETWORK,
        NETWORK_FIX,
    ),
    plain("Read-only file system", WRITING, WRITING_FIX),
    plain("EROFS", WRITING, WRITING_FIX),
    plain(
        "can't start new thread",
        "it started more threads or processes than it may",
        "do with fewer: a plugin starts no process, and few threads",
    ),
];

impl Row {
    fn reads(&self, words: &str) -> Option<Diagnosis> {
        // The last one counts: what came before may have been caught.
        let at = words.rfind(self.said)?;
        let name = self.name_at(words, at)?;
        let name = self.spelling.of(&shown::cut(name, NAME_CHARS));
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
            // A path's first character stands in the pattern.
            Name::Until(ends) => {
                let path = self.said.ends_with(['/', '.']);
                let rest = words.get(at + self.said.len() - usize::from(path)..)?;
                rest.split(ends).next()?.trim()
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
    fn of(self, name: &str) -> String {
        let first = |count: usize| name.split('/').take(count).collect::<Vec<_>>().join("/");
        match self {
            Self::AsItIs => name.to_owned(),
            Self::Python => name.split('.').next().unwrap_or_default().to_owned(),
            Self::Node => first(if name.starts_with('@') { 2 } else { 1 }),
            Self::Perl => name.trim_end_matches(".pm").replace('/', "::"),
            Self::Java => name.replace('/', "."),
        }
    }
}

/// What the words of a plugin mean, where that is known.
fn read(words: &str) -> Option<Diagnosis> {
    ROWS.iter().find_map(|row| row.reads(words))
}

/// What the standard error of a plugin that gave no answer means.
pub(super) fn of_stderr(report: &Report) -> Option<Diagnosis> {
    read(&String::from_utf8_lossy(&report.stderr.bytes))
}

/// The likely mistake behind a call that is not `ok`, for its author.
pub(crate) fn likely(outcome: &Outcome) -> Option<Diagnosis> {
    let report = outcome.report.as_ref()?;
    match outcome.cause {
        Cause::Answer => read(&outcome.response.notes),
        Cause::Exit | Cause::Signal | Cause::BadAnswer | Cause::ExtraOutput | Cause::Memory => {
            of_stderr(report).or_else(|| after_refusal(report))
        }
        Cause::Timeout => waited(report),
        Cause::AnswerTooLarge
        | Cause::Violation
        | Cause::Cpu
        | Cause::Cancelled
        | Cause::Gateway
        | Cause::Evidence
        | Cause::Request
        | Cause::NotFound
        | Cause::NotEnabled
        | Cause::Package
        | Cause::Isolation
        | Cause::Overloaded
        | Cause::CircuitOpen => None,
    }
}

/// It failed, and before that it was refused something.
fn after_refusal(report: &Report) -> Option<Diagnosis> {
    report.denied.first.last().map(|last| Diagnosis {
        cause: format!("it was refused {}, and failed", denial::shortened(last)),
        fix: "leave that out, or catch its error and go on: what a plugin needs is in its package or its payload".to_owned(),
    })
}

/// It used up its time, and hardly computed.
fn waited(report: &Report) -> Option<Diagnosis> {
    let usage = report.usage;
    (report.end == End::TimedOut && usage.cpu < usage.wall / WAITED_PART).then(|| Diagnosis {
        cause: "it hardly computed: it waited for something that never came".to_owned(),
        fix: "look for a sleep, a lock, or a read of anything but the one line on stdin".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the run-time systems really write, each with a name from the cause and a piece of the fix.
    const WRITTEN: [(&str, &str, &str); 16] = [
        (
            "Traceback (most recent call last):\n  File \"/package/m.py\", line 1, in <module>\n    import numpy.linalg\nModuleNotFoundError: No module named 'numpy'\n",
            "the Python module 'numpy' is not in the package",
            "pip install --target PACKAGE numpy`",
        ),
        (
            "ModuleNotFoundError: No module named 'google.protobuf'\n",
            "module 'google'",
            "PACKAGE google`",
        ),
        (
            "ModuleNotFoundError: No module named 'omega_plugin'\n",
            "the SDK's file omega_plugin.py",
            "copy it there",
        ),
        (
            "Error [ERR_MODULE_NOT_FOUND]: Cannot find package '@scope/left-pad' imported from /package/m.mjs\n",
            "'@scope/left-pad'",
            "npm install --prefix PACKAGE @scope/left-pad`",
        ),
        (
            "Error: Cannot find module 'lodash/fp'\nRequire stack:\n- /package/m.js\n",
            "'lodash'",
            "npm install --prefix PACKAGE lodash`",
        ),
        (
            "Error: Cannot find module './help.js'\nRequire stack:\n",
            "the file './help.js'",
            "mend the path",
        ),
        (
            "Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/package/src/a.js' imported from /package/m.mjs\n",
            "the file '/package/src/a.js'",
            "mend the path",
        ),
        (
            "./m: error while loading shared libraries: libfoo.so.1: cannot open shared object file: No such file or directory\n",
            "the library 'libfoo.so.1'",
            "lib/libfoo.so.1, and link",
        ),
        (
            "Error loading shared library libfoo.so.1: No such file or directory (needed by /m)\n",
            "the library 'libfoo.so.1'",
            "$ORIGIN/lib",
        ),
        (
            "ImportError: libGL.so.1: cannot open shared object file: No such file or directory\n",
            "the library 'libGL.so.1', which an extension module needs",
            "put it there",
        ),
        (
            "m.rb:1:in `require': cannot load such file -- nokogiri (LoadError)\n",
            "the Ruby file or gem 'nokogiri'",
            "gem unpack nokogiri --target",
        ),
        (
            "Can't locate Text/CSV.pm in @INC (you may need to install the Text::CSV module) (@INC entries checked: /x)\n",
            "the Perl module 'Text::CSV'",
            "cpanm -L PACKAGE/local Text::CSV`",
        ),
        (
            "Error: Could not find or load main class Main\nCaused by: java.lang.ClassNotFoundException: Main\n",
            "the Java class 'Main'",
            "Class-Path",
        ),
        (
            "Exception in thread \"main\" java.lang.NoClassDefFoundError: org/json/JSONObject\n",
            "the Java class 'org.json.JSONObject'",
            "Class-Path",
        ),
        (
            "lua: m.lua:1: module 'cjson' not found:\n\tno field package.preload['cjson']",
            "the Lua module 'cjson'",
            "package.path",
        ),
        (
            "Error in library(dplyr) : there is no package called ‘dplyr’\n",
            "'dplyr'",
            "install.packages(\"dplyr\"",
        ),
    ];

    #[test]
    fn what_is_not_in_the_package_is_named_with_the_way_to_put_it_there() {
        for (stderr, cause, fix) in WRITTEN {
            let found = read(stderr).unwrap_or_else(|| panic!("{stderr}"));
            assert!(found.cause.contains(cause), "{found:?}");
            assert!(found.fix.contains(fix), "{found:?}");
        }
    }

    #[test]
    fn what_means_nothing_is_given_no_meaning() {
        for words in [
            "",
            "hello",
            "No module named ",
            "ModuleNotFoundError: No module named '",
            "Can't locate ",
            "AttributeError: module 'math' has no attribute 'x'",
        ] {
            assert_eq!(read(words), None, "{words}");
        }
        let hostile = format!(
            "ModuleNotFoundError: No module named '\u{1b}[2J{}'",
            "x".repeat(9_000)
        );
        let found = read(&hostile).unwrap();
        assert!(
            found.cause.chars().count() < 300 && !found.cause.contains('\u{1b}'),
            "{found:?}"
        );
    }
}
