//! Mistakes in the program itself, as its language says them: where it looks for the request, how it imports, what nobody catches.

use plugin_protocol::shown;

use super::Diagnosis;
use super::rows::{LINE, Name, Row, Spelling, named, plain};

/// The most characters of an exception that a diagnosis repeats.
const EXCEPTION_CHARS: usize = 160;

const REQUEST: &str =
    "the line on stdin has no member '{}' there: the request stands in its member `request`";
const REQUEST_FIX: &str =
    "read `json.loads(line)[\"request\"]` in Python, `JSON.parse(line).request` in Node";
const UNCAUGHT_FIX: &str = "mend the line that the trace names, or catch it: answer `rejected` where the input is not valid, else `error`, \
                            with words in `notes`";
const SYNTAX: &str = "it has a syntax error: {}";
const SYNTAX_FIX: &str = "mend the line that stderr names; code for a newer version of the language looks like that, too";
const SHADOWED_FIX: &str =
    "rename that file, or put in the version of the module that the code was written for";
const LINE_ENDS: &str = "its script has Windows line ends";
const LINE_ENDS_FIX: &str = "take them off: `sed -i 's/\\r$//' FILE`";

const TYPESCRIPT: &str = "Node reads the file as JavaScript, and it is TypeScript";
const TYPESCRIPT_FIX: &str = "compile it into the package first (`tsc`, or as `plugin-gateway new NAME --lang ts` does), and let the manifest and the \
                              imports name what comes out; if it is JavaScript, mend the line that stderr names";

/// What Node says of TypeScript in a file that it reads as JavaScript, beside the beginning of a line that it shows.
const fn typescript(said: &'static str, beside: &'static str) -> Row {
    plain(said, TYPESCRIPT, TYPESCRIPT_FIX).beside(beside)
}

const fn typescript_file(said: &'static str) -> Row {
    plain(
        said,
        "this Node does not read TypeScript",
        "compile it into the package first (`tsc`, or as `plugin-gateway new NAME --lang ts` does), and let the manifest and the imports name the .js files that come out",
    )
}

const fn request(said: &'static str, member: &'static str) -> Row {
    named(
        said,
        Name::Always(member),
        Spelling::AsItIs,
        REQUEST,
        REQUEST_FIX,
    )
}

/// The rows, the more exact before the more general.
pub(super) const ROWS: &[Row] = &[
    request("KeyError: 'payload", "payload"),
    request("KeyError: 'request_id", "request_id"),
    request("KeyError: 'content'", "content"),
    request("KeyError: 'context'", "context"),
    request("undefined (reading 'content')", "payload"),
    request("undefined (reading 'data')", "payload"),
    request("undefined (reading 'payload')", "request"),
    plain(
        "IndexError: list index out of range",
        "there is no such argument: a plugin has those of the manifest's command, and the request is none of them",
        "read the request: it is the one line on stdin",
    )
    .beside("sys.argv"),
    plain(
        "EOFError: EOF when reading a line",
        "stdin holds one line, and that was read already",
        "read it once, and keep it",
    ),
    plain(
        "attempted relative import with no known parent package",
        "a relative import works only inside of a Python package, and the main file is in none",
        "write `import helper` in place of `from . import helper`: its folder is the first on the path",
    ),
    named(
        "cannot import name '",
        Name::Until(&['\'']),
        Spelling::AsItIs,
        "the module has no '{}': it is another version than the code was written for, or a file of the package hides it by its name",
        SHADOWED_FIX,
    ),
    named(
        "AttributeError: partially initialized module '",
        Name::Until(&['\'']),
        Spelling::AsItIs,
        "a file of the package has the name of a module, '{}', and hides it",
        SHADOWED_FIX,
    ),
    named(
        "AttributeError: module '",
        Name::Until(&['\'']),
        Spelling::AsItIs,
        "the module '{}' lacks that: a file of the package has the name of a module and hides it, or it is another version",
        SHADOWED_FIX,
    ),
    plain(
        "SyntaxError: Missing parentheses in call to 'print'",
        "it is written for Python 2",
        "convert it: `2to3 -w FILE`, or mend the line that stderr names",
    ),
    plain(
        "Cannot use import statement outside a module",
        "a file that Node reads as CommonJS has an `import`, which only a module may have",
        "name it .mjs, or write \"type\": \"module\" into package.json",
    ),
    plain(
        "require is not defined in ES module scope",
        "a file that is a module has a `require`, which only CommonJS has",
        "write `import`, or name the file .cjs",
    ),
    typescript_file("Unknown file extension \".ts\""),
    typescript_file("Unknown file extension \".tsx\""),
    typescript_file("Unknown file extension \".mts\""),
    typescript_file("Unknown file extension \".cts\""),
    named(
        "Unknown file extension \"",
        Name::Until(&['"', '\n']),
        Spelling::AsItIs,
        "Node does not run files that end in '{}'",
        "name it .mjs, .cjs or .js; what a bundler takes beside them has to be compiled into the package first",
    ),
    plain(
        "[ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX]",
        "this Node only leaves types out, and the file has TypeScript that has to be compiled (an enum, a namespace, a parameter property)",
        TYPESCRIPT_FIX,
    ),
    typescript("SyntaxError: Unexpected token ':'", ""),
    typescript("SyntaxError: Missing initializer in const declaration", ""),
    typescript("SyntaxError: Unexpected identifier 'as'", ""),
    typescript("SyntaxError: Unexpected token '{'", "\nimport type "),
    typescript("SyntaxError: Unexpected identifier '", "interface "),
    typescript("SyntaxError: Unexpected identifier '", "\ntype "),
    typescript("SyntaxError: Unexpected identifier '", "private "),
    typescript("SyntaxError: Unexpected strict mode reserved word", "interface "),
    typescript("SyntaxError: Unexpected reserved word", "\nenum "),
    named("SyntaxError: ", Name::Until(LINE), Spelling::AsItIs, SYNTAX, SYNTAX_FIX),
    named("IndentationError: ", Name::Until(LINE), Spelling::AsItIs, SYNTAX, SYNTAX_FIX),
    named("TabError: ", Name::Until(LINE), Spelling::AsItIs, SYNTAX, SYNTAX_FIX),
    plain("\r: ", LINE_ENDS, LINE_ENDS_FIX),
    plain("$'\\r'", LINE_ENDS, LINE_ENDS_FIX),
    plain("\r' not found", LINE_ENDS, LINE_ENDS_FIX),
];

/// An exception that ended the program, by the form of its language's trace.
pub(super) fn uncaught(stderr: &str) -> Option<Diagnosis> {
    let lines = || stderr.lines().map(str::trim_end).rev();
    let line = if stderr.contains("Traceback (most recent call last):") {
        lines().find(|line| !line.is_empty())
    } else if stderr.contains("\nNode.js v") {
        lines().find(|line| is_error(line))
    } else {
        const JAVA: &str = "Exception in thread \"";
        lines().find_map(|line| {
            line.strip_prefix(JAVA)?
                .split_once("\" ")
                .map(|(_, what)| what)
        })
    };
    let cause = shown::cut(line?, EXCEPTION_CHARS);
    Some(Diagnosis {
        cause: format!("nobody caught {cause}"),
        fix: UNCAUGHT_FIX.to_owned(),
    })
}

/// Whether a line of Node's begins with the name of an error, `TypeError: …` or `Error [CODE]: …`.
fn is_error(line: &str) -> bool {
    let name = line.split([':', ' ']).next().unwrap_or_default();
    name.ends_with("Error") && name.chars().all(|letter| letter.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Node 20 and 22 write it.
    #[test]
    fn typescript_that_node_reads_is_told_apart_from_a_slip() {
        for (stderr, cause) in [
            (
                "TypeError [ERR_UNKNOWN_FILE_EXTENSION]: Unknown file extension \".ts\" for /package/main.ts\n",
                "this Node does not read TypeScript",
            ),
            (
                "TypeError [ERR_UNKNOWN_FILE_EXTENSION]: Unknown file extension \".vue\" for /package/a.vue\n",
                "files that end in '.vue'",
            ),
            (
                "SyntaxError [ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX]: TypeScript enum is not supported in strip-only mode\n",
                "has to be compiled",
            ),
            (
                "/package/main.js:1\nfunction f(a: string): void {}\n            ^\n\nSyntaxError: Unexpected token ':'\n",
                TYPESCRIPT,
            ),
            (
                "/package/main.js:1\nconst x: number = 1;\n      ^\n\nSyntaxError: Missing initializer in const declaration\n",
                TYPESCRIPT,
            ),
            (
                "/package/main.js:1\ninterface A { x: number }\n          ^\n\nSyntaxError: Unexpected identifier 'A'\n",
                TYPESCRIPT,
            ),
            (
                "file:///package/main.mjs:1\ninterface A { x: number }\n^^^^^^^^^\n\nSyntaxError: Unexpected strict mode reserved word\n",
                TYPESCRIPT,
            ),
            (
                "file:///package/main.mjs:1\nimport type { A } from \"./x\";\n            ^\n\nSyntaxError: Unexpected token '{'\n",
                TYPESCRIPT,
            ),
            (
                "/package/main.js:1\nconst y = x as string;\n            ^^\n\nSyntaxError: Unexpected identifier 'as'\n",
                TYPESCRIPT,
            ),
            (
                "/package/main.js:1\nenum A { B }\n^^^^\n\nSyntaxError: Unexpected reserved word\n",
                TYPESCRIPT,
            ),
            (
                "/package/main.js:1\nlet a b = 1;\n      ^\n\nSyntaxError: Unexpected identifier 'b'\n",
                "it has a syntax error",
            ),
        ] {
            let found = super::super::read(stderr).unwrap_or_else(|| panic!("{stderr}"));
            assert!(found.cause.contains(cause), "{stderr}: {found:?}");
        }
    }

    #[test]
    fn an_exception_is_told_by_its_own_line() {
        for (stderr, said) in [
            (
                "Traceback (most recent call last):\n  File \"x\"\nValueError: no\n",
                "ValueError: no",
            ),
            (
                "/package/m.js:4\nx\n^\n\nTypeError: x is not a function\n    at f (x)\n\nNode.js v20.1.0\n",
                "TypeError: x is not",
            ),
            (
                "Exception in thread \"main\" java.lang.IllegalStateException: no\n\tat M.main(M.java)\n",
                "caught java.lang.IllegalState",
            ),
        ] {
            let found = uncaught(stderr).unwrap_or_else(|| panic!("{stderr}"));
            assert!(found.cause.contains(said), "{found:?}");
        }
        assert_eq!(uncaught("ValueError: no\n"), None);
        assert_eq!(uncaught("words\nNode.js v20\n"), None);
    }
}
