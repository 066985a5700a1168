//! Plugins of the usual runtimes run with no policy written, their standard libraries included. A runtime that is not
//! installed here is skipped, and the reason printed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::support::{
    Link, compile, limits, package, run, run_within, sandbox, script, text, with_arguments,
};
use crate::{End, Report, Runtimes};

const LINE: &str = "{\"type\":\"invoke\"}\n";

pub(super) fn has(name: &str) -> bool {
    let found = Runtimes::default().get(name).is_some();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    assert!(
        found || !installed,
        "{name} is installed here and was not found"
    );
    match (found, name) {
        (true, _) => {}
        (false, "deno" | "bun") => {
            skip::skip_for_registry(&format!("{name} is not among a distribution's packages"));
        }
        (false, _) => skip::skip(&format!("{name} is not installed")),
    }
    found
}

fn answers(report: &Report, expected: &str) {
    let errors = String::from_utf8_lossy(&report.stderr.bytes);
    assert_eq!(
        (&report.end, text(report).as_str()),
        (&End::Answered, expected),
        "{errors}"
    );
}

/// Runs one script under a runtime, if it is installed, and compares its answer.
fn script_answers(runtime: &str, files: &[(&str, &str)], expected: &str) {
    if !has(runtime) {
        return;
    }
    let folder = package(files);
    let entry = script(runtime, files.first().unwrap().0);
    answers(&run(&sandbox(), &entry, folder.path(), LINE), expected);
}

#[test]
fn python_with_its_standard_library() {
    let source = r#"
import sys, json, re, hashlib, decimal, unicodedata, datetime, collections, random, struct, base64, zlib, math, itertools, functools, dataclasses, typing, statistics, string, textwrap, uuid, enum, copy, csv, io, fractions, threading
request = json.loads(sys.stdin.readline())
facts = [
    request["type"],
    re.sub("[aeiou]", "*", "gateway"),
    hashlib.sha256(b"abc").hexdigest()[:8],
    str(decimal.Decimal("0.1") + decimal.Decimal("0.2")),
    unicodedata.normalize("NFC", "e\u0301"),
    len(zlib.compress(b"x" * 1000)) < 100,
]
thread = threading.Thread(target=lambda: facts.append("thread"))
thread.start()
thread.join()
print(json.dumps(facts, ensure_ascii=False))
"#;
    let expected = "[\"invoke\", \"g*t*w*y\", \"ba7816bf\", \"0.3\", \"é\", true, \"thread\"]\n";
    script_answers("python3", &[("main.py", source)], expected);
}

#[test]
fn python_with_packages_of_its_own() {
    let files = [
        (
            "app/main.py",
            "import json\nfrom words import count\nfrom words.deep import VALUE\nprint(json.dumps([count('a b c'), VALUE]))\n",
        ),
        (
            "app/words/__init__.py",
            "def count(text):\n    return len(text.split())\n",
        ),
        (
            "app/words/deep.py",
            "from . import count\nVALUE = count('x y')\n",
        ),
    ];
    script_answers("python3", &files, "[3, 2]\n");
}

#[test]
fn node_with_its_standard_library() {
    let source = r#"
const crypto = require("node:crypto");
const zlib = require("node:zlib");
const { Buffer } = require("node:buffer");
let text = "";
process.stdin.setEncoding("utf8").on("data", (part) => { text += part; }).on("end", async () => {
  const packed = zlib.gzipSync(Buffer.alloc(1000, "x"));
  const inflated = await new Promise((done) => zlib.gunzip(packed, (error, data) => done(error ?? data.length)));
  const key = await new Promise((done) => crypto.scrypt("a", "b", 16, (error, data) => done(error ?? data.length)));
  console.log(JSON.stringify([
    JSON.parse(text).type,
    crypto.createHash("sha256").update("abc").digest("hex").slice(0, 8),
    crypto.randomBytes(8).length,
    inflated,
    key,
    "e\u0301".normalize("NFC"),
    new Intl.NumberFormat("de").format(1234.5),
  ]));
});
"#;
    let expected = "[\"invoke\",\"ba7816bf\",8,1000,16,\"é\",\"1.234,5\"]\n";
    script_answers("node", &[("main.js", source)], expected);
}

#[test]
fn node_with_packages_of_its_own() {
    let files = [
        (
            "main.mjs",
            "import { readFileSync } from 'node:fs';\nimport { count } from './lib/count.mjs';\nimport pad from 'pad';\nconst names = JSON.parse(readFileSync(new URL('data.json', import.meta.url)));\nconsole.log(JSON.stringify([count('a b c'), pad('x'), names]));\n",
        ),
        (
            "lib/count.mjs",
            "export const count = (text) => text.split(' ').length;\n",
        ),
        (
            "node_modules/pad/package.json",
            "{\"name\":\"pad\",\"main\":\"index.js\"}",
        ),
        (
            "node_modules/pad/index.js",
            "module.exports = (text) => text.padStart(3, '.');\n",
        ),
        ("data.json", "[\"one\"]"),
    ];
    script_answers("node", &files, "[3,\"..x\",[\"one\"]]\n");
}

#[test]
fn perl_with_its_standard_library() {
    let source = r#"use strict; use warnings; use utf8; use lib "/package/lib"; use JSON::PP; use List::Util qw(sum); use Digest::SHA qw(sha256_hex); use Words;
my $request = decode_json(scalar <STDIN>);
print encode_json([$request->{type}, sum(1, 2), substr(sha256_hex("abc"), 0, 8), Words::count("a b c")]), "\n";
"#;
    let module =
        "package Words; sub count { my @words = split / /, shift; return scalar @words } 1;\n";
    let files = [("main.pl", source), ("lib/Words.pm", module)];
    script_answers("perl", &files, "[\"invoke\",3,\"ba7816bf\",3]\n");
}

#[test]
fn ruby_with_its_standard_library() {
    let source = "require 'json'\nrequire 'digest'\nrequire_relative 'words'\nrequest = JSON.parse($stdin.gets)\nputs JSON.generate([request['type'], Digest::SHA256.hexdigest('abc')[0, 8], count('a b c')])\n";
    let files = [
        ("main.rb", source),
        ("words.rb", "def count(text) = text.split.length\n"),
    ];
    script_answers("ruby", &files, "[\"invoke\",\"ba7816bf\",3]\n");
}

#[test]
fn deno_with_packages_of_its_own() {
    let source = "import { count } from './words.ts';\nlet text = '';\nfor await (const part of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) text += part;\nconsole.log(JSON.stringify([JSON.parse(text).type, count('a b c')]));\n";
    let words = "export const count = (text: string): number => text.split(' ').length;\n";
    script_answers(
        "deno",
        &[("main.ts", source), ("words.ts", words)],
        "[\"invoke\",3]\n",
    );
}

/// It starts in an empty environment as everybody does, and sets some variables for itself.
#[test]
fn bun_with_packages_of_its_own() {
    let source = "import { count } from './words.ts';\nimport pad from 'pad';\nconst request = JSON.parse(await Bun.stdin.text());\nconsole.log(JSON.stringify([request.type, count('a b c'), pad('x'), Object.keys(process.env).filter((name) => !/^(npm_.*|NODE|PATH)$/.test(name)).length]));\n";
    let words = "export const count = (text: string): number => text.split(' ').length;\n";
    let files = [
        ("main.ts", source),
        ("words.ts", words),
        (
            "node_modules/pad/package.json",
            "{\"name\":\"pad\",\"main\":\"index.js\"}",
        ),
        (
            "node_modules/pad/index.js",
            "module.exports = (text) => text.padStart(3, '.');\n",
        ),
    ];
    script_answers("bun", &files, "[\"invoke\",3,\"..x\",0]\n");
}

/// The map of its own memory is all that it gets of /proc, and it is its own.
#[test]
fn bun_sees_nothing_else_of_proc() {
    let source = "import { readFileSync } from 'node:fs';\nconst seen = [];\nfor (const name of ['/proc/self/maps', '/proc/self/environ', '/proc/self/../self/maps', '/proc/1/maps', '/proc/self/mem', '/etc/passwd']) {\n  try { seen.push(readFileSync(name, 'utf8').includes('/bun')); } catch { seen.push('none'); }\n}\nconsole.log(...seen);\n";
    script_answers(
        "bun",
        &[("main.ts", source)],
        "true none none none none none\n",
    );
}

#[test]
fn r_with_the_packages_that_come_with_it() {
    let source = r#"
unlockBinding("Sys.which", baseenv())
assign("Sys.which", function(names) { names[] <- ""; names }, baseenv())
library(stats)
folder <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
if (length(folder) == 0) folder <- dirname(commandArgs()[match("-f", commandArgs()) + 1])
source(file.path(folder, "words.R"))
line <- readLines(file("stdin"), n = 1)
kind <- sub('.*"type":"([a-z]+)".*', "\\1", line)
cat(kind, count("a b c"), median(c(1, 2, 6)), toupper(commandArgs(trailingOnly = TRUE)), "\n")
"#;
    let words = "count <- function(text) length(strsplit(text, \" \")[[1]])\n";
    if !has("R") {
        return;
    }
    let folder = package(&[("main.R", source), ("words.R", words)]);
    let entry = with_arguments(&script("R", "main.R"), vec!["x".to_owned()]);
    // Those of a manifest that says nothing of them: R ends where it is allowed fewer open files than it may want.
    let limits = crate::Limits {
        open_files: 256,
        ..limits()
    };
    let time = std::time::Duration::from_secs(60);
    let report = run_within(&sandbox(), &entry, folder.path(), LINE, time, limits);
    answers(&report, "invoke 3 2 X \n");
    // It starts `rm` at its end, if it comes to that.
    let calls: Vec<&str> = report.denied.calls.keys().copied().collect();
    assert!(calls.is_empty() || calls == ["clone"], "{calls:?}");
}

/// A plugin starts in an empty folder that it can ask for and list, and can neither change it nor look further.
#[test]
fn the_working_folder_is_an_ordinary_empty_one() {
    let enforced = |layer| {
        let mut rows = sandbox().protections().to_vec().into_iter();
        rows.any(|row| row.layer == layer && row.enforced)
    };
    if !enforced(crate::Layer::MountNs) {
        return skip::skip("without a mount namespace the working folder has no name");
    }
    let python = "import os\nwords = [os.getcwd(), os.listdir('.')]\nfor act in [lambda: os.mkdir('x'), lambda: open('x', 'w')]:\n    try:\n        words.append(act())\n    except OSError as error:\n        words.append(error.errno)\nprint(*words)\n";
    script_answers("python3", &[("main.py", python)], "/empty [] 30 30\n");
    let node =
        "const fs = require('node:fs');\nconsole.log(process.cwd(), fs.readdirSync('.').length);\n";
    script_answers("node", &[("main.js", node)], "/empty 0\n");
    if !enforced(crate::Layer::Landlock) {
        return skip::skip("without Landlock every folder of the private root can be listed");
    }
    let above = "import os\nfor name in ['/', '..', '/empty/..']:\n    try:\n        print(os.listdir(name))\n    except PermissionError:\n        pass\nprint('none')\n";
    script_answers("python3", &[("main.py", above)], "none\n");
}

#[test]
fn a_shell_with_its_builtins() {
    let source = "read -r line\nset -- $line\ntotal=0\nfor number in 1 2 3; do total=$((total + number)); done\ncase $line in *invoke*) printf '%s %s\\n' \"$total\" yes ;; esac\n";
    script_answers("sh", &[("main.sh", source)], "6 yes\n");
}

#[test]
fn bash_with_its_builtins() {
    let source = "read -r line\ndeclare -A seen=([b]=2 [a]=1)\n[[ $line =~ \\\"type\\\":\\\"([a-z]+) ]] && echo \"${BASH_REMATCH[1]} $((seen[a] + seen[b]))\" 2>/dev/null\n";
    script_answers("bash", &[("main.sh", source)], "invoke 3\n");
}

#[test]
fn awk_with_its_functions() {
    let source = "{ count = split($0, part, \"\\\"\"); print toupper(part[4]), count, (\"PATH\" in ENVIRON) }\n";
    script_answers("awk", &[("main.awk", source)], "INVOKE 5 0\n");
}

#[test]
fn jq_with_its_functions() {
    let source = "# A filter.\n{type, letters: (.type | explode | length)}\n";
    script_answers(
        "jq",
        &[("main.jq", source)],
        "{\"type\":\"invoke\",\"letters\":6}\n",
    );
}

#[test]
fn lua_with_modules_of_its_own() {
    let source = "local words = require 'lib.words'\nlocal kind = io.read():match('\"type\":\"(%a+)')\nprint(kind, words.count('a b c'), os.getenv('PATH'))\n";
    let module = "return { count = function(text) return select(2, text:gsub('%S+', '')) end }\n";
    let files = [("main.lua", source), ("lib/words.lua", module)];
    script_answers("lua", &files, "invoke\t3\tnil\n");
}

#[test]
fn php_with_functions_of_its_own() {
    let source = "<?php require __DIR__ . '/words.php'; $request = json_decode(fgets(STDIN), true); echo json_encode([$request['type'], words('a b c'), substr(hash('sha256', 'abc'), 0, 8), preg_replace('/[aeiou]/', '*', 'gateway'), count(getenv())]), \"\\n\";\n";
    let words = "<?php function words(string $text): int { return count(explode(' ', $text)); }\n";
    let files = [("main.php", source), ("words.php", words)];
    script_answers("php", &files, "[\"invoke\",3,\"ba7816bf\",\"g*t*w*y\",0]\n");
}

/// P9: `python`, and each version that is there, is a runtime.
#[test]
fn every_python_3_is_a_runtime_of_its_own() {
    if !has("python3") {
        return;
    }
    let source = "import sys\nprint('python3.%d' % sys.version_info.minor)\n";
    let folder = package(&[("main.py", source)]);
    let names = Runtimes::default().names();
    let versions = names.iter().filter(|name| name.starts_with("python3."));
    let mut ran = 0;
    // The folder of a version manager's shims has names of versions that are not chosen.
    for name in versions.filter(|name| Runtimes::default().get(name).is_some()) {
        let report = run(&sandbox(), &script(name, "main.py"), folder.path(), LINE);
        answers(&report, &format!("{name}\n"));
        ran += 1;
    }
    assert!(ran > 0, "{names:?}");
    let report = run(
        &sandbox(),
        &script("python", "main.py"),
        folder.path(),
        LINE,
    );
    assert_eq!(report.end, End::Answered, "{report:?}");
}

const JAVA: &str = r#"
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
public class Main {
    public static void main(String[] args) throws Exception {
        String line = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).readLine();
        byte[] digest = MessageDigest.getInstance("SHA-256").digest("abc".getBytes(StandardCharsets.UTF_8));
        int[] sum = new int[1];
        Thread thread = new Thread(() -> sum[0] = IntStream.rangeClosed(1, 100).sum());
        thread.start();
        thread.join();
        boolean invoke = Pattern.compile("\"type\":\"invoke\"").matcher(line).find();
        System.out.println(invoke + " " + String.format("%02x", digest[0]) + " " + new BigDecimal("0.1").add(new BigDecimal("0.2")) + " " + sum[0] + " " + System.getenv().size());
    }
}
"#;

#[test]
fn java_with_its_standard_library() {
    if !has("java") {
        return;
    }
    let folder = package(&[("Main.java", JAVA), ("manifest", "Main-Class: Main\n")]);
    if !built(folder.path(), "javac", &["Main.java"]) {
        return;
    }
    assert!(built(
        folder.path(),
        "jar",
        &["cfm", "main.jar", "manifest", "Main.class"]
    ));
    let jar = folder.path().join("main.jar");
    fs::set_permissions(&jar, fs::Permissions::from_mode(0o644)).unwrap();
    let report = run(&sandbox(), &script("java", "main.jar"), folder.path(), LINE);
    answers(&report, "true ba 0.3 5050 0\n");
}

/// Runs a tool that builds a test's plugin; says why when it is not installed.
fn built(folder: &Path, tool: &str, args: &[&str]) -> bool {
    match Command::new(tool).args(args).current_dir(folder).output() {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            true
        }
        Err(error) => {
            skip::skip(&format!("{tool}: {error}"));
            false
        }
    }
}

#[test]
fn asking_who_the_user_is_is_no_attack_but_a_socket_is() {
    let python = "import os\nprint(os.path.expanduser('~'))\n";
    script_answers("python3", &[("main.py", python)], "~\n");
    let cases = [
        (
            "python3",
            "main.py",
            "import socket\nsocket.socket(socket.AF_UNIX)\n",
        ),
        (
            "node",
            "main.js",
            "require('node:net').connect({ path: '/run/x' });\n",
        ),
    ];
    for (runtime, name, source) in cases {
        let folder = package(&[(name, source)]);
        let report = run(&sandbox(), &script(runtime, name), folder.path(), LINE);
        assert!(
            report
                .denied
                .first
                .iter()
                .any(|denial| denial.call == "socket"),
            "{report:?}"
        );
    }
}

/// Like BusyBox, it acts as the program whose name it is called by.
const MULTI_CALL: &str = r#"int main(int count, char **words) {
    char *slash = strrchr(words[0], '/'), *name = slash ? slash + 1 : words[0];
    if (strcmp(name, "sh")) { fprintf(stderr, "%s: applet not found\n", name); return 127; }
    if (!strcmp(words[1], "-c")) { printf("/proc/%d/exe\n", getpid()); fflush(stdout); return getchar() != EOF; }
    request();
    printf("sh runs %s\n", words[1]);
}"#;

#[test]
fn an_interpreter_keeps_the_name_that_it_was_found_by() {
    let folder = package(&[("bin/empty", ""), ("main.sh", "")]);
    let bin = folder.path().join("bin");
    for link in [Link::Static, Link::Dynamic] {
        let program = compile(&bin, MULTI_CALL, link);
        let shell = bin.join("sh");
        drop(fs::remove_file(&shell));
        std::os::unix::fs::symlink(program.file_name().unwrap(), &shell).unwrap();
        let mut runtimes = Runtimes::default();
        let choice = crate::RuntimeChoice {
            interpreter: Some(shell),
            ..crate::RuntimeChoice::default()
        };
        runtimes.choose("sh", choice);
        let settings = crate::Settings {
            runtimes,
            ..crate::Settings::default()
        };
        let sandbox = crate::Sandbox::open(settings).unwrap();
        let report = run(&sandbox, &script("sh", "main.sh"), folder.path(), LINE);
        answers(&report, "sh runs /package/main.sh\n");
    }
}
