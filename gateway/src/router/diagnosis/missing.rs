//! What is not in the package, as each language's own run-time system says it, and what is there and does not fit what runs it.

use super::rows::{LINE, Name, Row, Spelling, WORD, named, plain};

const NODE_MODULE: &str = "the Node module '{}' is not in the package";
const NODE_FIX: &str = "put it there: `npm install --prefix PACKAGE {}`";
const NODE_FILE: &str = "the file '{}' that it imports is not in the package";
const NODE_FILE_FIX: &str =
    "put it there, or mend the path, which is relative to the file that imports it";
const JAVA_CLASS: &str = "the Java class '{}' is not in the package";
const JAVA_FIX: &str = "put the jar that has it there, and name it as `Class-Path` in the manifest of the jar that is run, or build one jar with all in it";
const ANOTHER_PYTHON: &str =
    "a compiled part of the Python module '{}' is missing, or was compiled for another Python";
const ANOTHER_PYTHON_FIX: &str =
    "install it by the Python that will run it: `python3 -m pip install --target PACKAGE {}`";
const FOREIGN_PART: &str = "'{}' is not in the package, or is for another kind of processor";
const FOREIGN_PART_FIX: &str = "put in a build for x86_64 and Linux: `pip install --target PACKAGE --platform manylinux2014_x86_64 --only-binary=:all: NAME`, or `npm install` on such a machine";

/// The rows, the more exact before the more general.
pub(super) const ROWS: &[Row] = &[
    named(
        "No module named '",
        Name::Until(&['\'']),
        Spelling::PythonPart,
        ANOTHER_PYTHON,
        ANOTHER_PYTHON_FIX,
    ),
    plain(
        "undefined symbol: Py",
        "a compiled part of a Python module was compiled for another Python",
        "install the module by the Python that will run it: `python3 -m pip install --target PACKAGE NAME`",
    ),
    plain(
        "undefined symbol: _Py",
        "a compiled part of a Python module was compiled for another Python",
        "install the module by the Python that will run it: `python3 -m pip install --target PACKAGE NAME`",
    ),
    plain(
        "was compiled against a different Node.js version",
        "an addon was compiled for another Node",
        "build it by the Node that will run it: `npm rebuild` in the package",
    ),
    named(
        ": invalid ELF header",
        Name::Before,
        Spelling::AsItIs,
        FOREIGN_PART,
        FOREIGN_PART_FIX,
    ),
    named(
        ": wrong ELF class",
        Name::Before,
        Spelling::AsItIs,
        FOREIGN_PART,
        FOREIGN_PART_FIX,
    ),
    named(
        ": cannot open shared object file",
        Name::Before,
        Spelling::InPackage,
        FOREIGN_PART,
        FOREIGN_PART_FIX,
    ),
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
    named(
        "Invalid or corrupt jarfile ",
        Name::Until(LINE),
        Spelling::AsItIs,
        "'{}' is no jar, or was cut off on its way",
        "build it anew: `jar --create --file app.jar --main-class Main -C classes .`",
    ),
    named(
        "no main manifest attribute, in ",
        Name::Until(LINE),
        Spelling::AsItIs,
        "the jar '{}' does not say which class is run",
        "build it with `jar --create --file app.jar --main-class Main -C classes .`",
    ),
    named(
        "has been compiled by a more recent version of the Java Runtime (class file version ",
        Name::Until(&[')', '\n']),
        Spelling::AsItIs,
        "its classes (version {}) were compiled for a newer Java than this host has",
        "compile them for this one: `javac --release N`, where `plugin-gateway doctor` names the version",
    ),
];

/// Why a program could not be started, by the gateway's own words.
pub(super) const NOT_STARTED: &[Row] = &[plain(
    "cannot find a program's loader",
    "the program was linked for a C library that this host does not have, as musl's",
    "link it with `-static`, or build it on a system like this one",
)];

#[cfg(test)]
mod tests {
    use super::super::read;

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
}
