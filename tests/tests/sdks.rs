//! The SDKs through the gateway, for each language that is installed: "SDKs and the worker form move stray prints to stderr" (contract,
//! section 8), what a plugin throws is `error` with its message, and invalid input is `rejected`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use campaigns::command::finish;
use campaigns::request::{data, request};
use campaigns::{Host, Package, skip};
use serde_json::{Value, json};
use tempfile::TempDir;

const ID: &str = "p.test.noisy";

/// Prints in each way that the language has, before it is served and after; throws over the text `throw`, else says the text.
const PYTHON: &str = r#"
import os, sys
import omega_plugin as omega
print("early")

def handle(request):
    print("aside")
    sys.__stdout__.write("aside\n")
    os.write(1, b"aside\n")
    if request["payload"]["content"] == "throw":
        raise ValueError("out of ink \ud83d")
    return omega.ok(omega.json_payload("any/1", {"said": request["payload"]["content"]}))

omega.run(handle, takes=["text"])
print("late")
"#;

const NODE: &str = r#"
const omega = require('./omega-plugin.js');
omega.run((request) => {
  console.log('aside');
  console.dir('aside');
  process.stdout.write('aside\n');
  if (request.payload.content === 'throw') throw new Error('out of ink \ud83d');
  return omega.ok(omega.jsonPayload('any/1', { said: request.payload.content }));
}, { takes: ['text'] });
"#;

const GO: &str = r#"package main

import (
	"fmt"
	"omega/omegaplugin"
	"syscall"
)

func handle(request omegaplugin.Request) omegaplugin.Answer {
	fmt.Println("aside")
	syscall.Write(1, []byte("aside\n"))
	if request.Payload.Content == "throw" {
		panic("out of ink \xed\xa0\xbd")
	}
	return omegaplugin.OK(omegaplugin.JSON("any/1", map[string]string{"said": request.Payload.Content}))
}

func main() {
	omegaplugin.Run(handle, omegaplugin.KindText)
	fmt.Println("late")
}
"#;

const GO_MOD: &str = "module noisy\n\ngo 1.21\n\nrequire omega/omegaplugin v0.0.0\n\nreplace omega/omegaplugin => ./omegaplugin\n";

/// C throws nothing: this is what its author writes in place of it.
const C: &str = r#"
#include "plugin.h"

int main(void)
{
    static char text[OMEGA_MAX_LINE], answer[OMEGA_MAX_LINE];
    struct omega_json request;
    long length;
    printf("early");
    if (!omega_read(&request) || !omega_takes(request, "text"))
        return 1;
    puts("aside");
    fflush(stdout);
    length = omega_text(omega_get(omega_get(request, "payload"), "content"), text);
    if (length == 5 && memcmp(text, "throw", 5) == 0)
        return omega_error(request, "out of ink \xed\xa0\xbd");
    snprintf(answer, sizeof answer, "{\"said\":\"%.*s\"}", (int)length, text);
    length = omega_ok(request, "any/1", answer);
    puts("late");
    return (int)length;
}
"#;

const SH: &str = r#"
. "${0%/*}/omega-plugin.sh"
echo early
omega_read text || exit 1
echo aside
[ "$OMEGA_CONTENT" != throw ] || exit 3
omega_ok any/1 "{\"said\":\"$OMEGA_CONTENT\"}"
echo late
"#;

fn sdk(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../plugin-protocol/sdk")
        .join(path)
}

/// Whether `program` is here and does as it is told.
fn has(program: &str, argument: &str) -> bool {
    let said = Command::new(program).arg(argument).output();
    said.is_ok_and(|said| said.status.success())
}

/// Runs a compiler to its end; whether it did it.
fn compiles(command: &mut Command) -> Result<(), String> {
    let said = command.output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    said.status.success().then_some(()).ok_or(words)
}

fn script(runtime: &str, text: &str, file: &str) -> Package {
    let name = Path::new(file).file_name().unwrap().to_str().unwrap();
    Package::script(ID, runtime, text).file(name, &fs::read(sdk(file)).unwrap(), 0o644)
}

fn in_c() -> Package {
    let folder = TempDir::new().unwrap();
    let (source, program) = (folder.path().join("noisy.c"), folder.path().join("noisy"));
    fs::write(&source, C).unwrap();
    let compile = |more: &[&str]| {
        let mut cc = Command::new("cc");
        cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-I"]);
        cc.arg(sdk("c")).args(more).arg("-o").arg(&program);
        compiles(cc.arg(&source))
    };
    // Without the static C library it is dynamic, and the gateway shows it the libraries.
    compile(&["-static"]).or_else(|_| compile(&[])).unwrap();
    Package::native(ID, &fs::read(program).unwrap())
}

fn in_go() -> Package {
    let folder = TempDir::new().unwrap();
    let library = folder.path().join("omegaplugin");
    fs::create_dir(&library).unwrap();
    for name in [
        "go.mod",
        "omegaplugin.go",
        "stdout_linux.go",
        "stdout_other.go",
    ] {
        fs::copy(sdk("go").join(name), library.join(name)).unwrap();
    }
    fs::write(folder.path().join("go.mod"), GO_MOD).unwrap();
    fs::write(folder.path().join("main.go"), GO).unwrap();
    let mut go = Command::new("go");
    go.current_dir(&folder).args(["build", "-o", "program"]);
    // Nothing is fetched, and no other toolchain asked for.
    go.envs([
        ("CGO_ENABLED", "0"),
        ("GOPROXY", "off"),
        ("GOTOOLCHAIN", "local"),
    ]);
    compiles(&mut go).unwrap();
    Package::native(ID, &fs::read(folder.path().join("program")).unwrap())
        .with(|manifest| manifest["limits"]["max_memory_bytes"] = json!(1_u64 << 30))
}

fn in_rust() -> Package {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/noisy");
    let bytes = fs::read(&program).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: run `cargo build --examples --package plugin-protocol` first",
            program.display()
        )
    });
    Package::native(ID, &bytes)
}

/// The command that the gateway would start, without it.
fn directly(folder: &Path, manifest: &Value) -> Command {
    let words = manifest["entrypoint"]["command"].as_array().unwrap();
    let words: Vec<OsString> = words
        .iter()
        .map(|word| word.as_str().unwrap())
        .map(|word| {
            let inside = folder.join(word);
            if inside.exists() {
                inside.into_os_string()
            } else {
                word.into()
            }
        })
        .collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear();
    // A version manager's launcher looks for these; the rest (PYTHONUNBUFFERED and its like) no plugin has.
    for name in ["PATH", "HOME"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// All that is asked of an SDK; `thrown` stands in the notes of the answer `error`.
#[track_caller]
fn keeps_to_its_answer(package: Package, thrown: &str) {
    let package = package.with(|manifest| {
        manifest["capabilities"] = json!(["read_text", "read_json", "write_report"]);
        let inputs = manifest["io"]["inputs"].as_array_mut().unwrap();
        inputs.push(json!({ "kind": "json", "schema_ref": "any/1" }));
    });
    let host = Host::new();
    host.install(&package);

    let printed = host.ask(ID, "print");
    assert_eq!(printed["status"], "ok", "{printed}");
    assert_eq!(printed["result"]["data"], json!({ "said": "print" }));

    let failed = host.ask(ID, "throw");
    assert_eq!(failed["status"], "error", "{failed}");
    let notes = failed["notes"].as_str().unwrap();
    assert!(notes.contains(thrown), "{notes}");

    // The manifest has this kind, and the program does not take it.
    let other = request(data("any/1", json!({})));
    let refused = host.invoke(ID, &other).expect(1).json();
    assert_eq!(refused["status"], "rejected", "{refused}");
    let notes = refused["notes"].as_str().unwrap();
    assert!(
        notes.contains("this plugin takes") && notes.contains("text"),
        "{notes}"
    );

    // The gateway itself never sends these.
    let folder = host.lay_out(&package);
    for input in [
        &b""[..],
        b"hello\n",
        b"\xff\n",
        b"{}\n",
        b"{\"type\":\"invoke\"}\n",
    ] {
        let said = finish(directly(&folder, &package.manifest), input);
        let answer = said.json();
        assert_eq!(answer["response"]["status"], "rejected", "{said:?}");
        assert_eq!(answer["response"]["request_id"], "", "{said:?}");
        assert_eq!(said.stdout.matches('\n').count(), 1, "{said:?}");
    }
}

/// What the SDKs are there for: without one, the same print spoils the answer.
#[test]
fn inv_pnp_10_a_stray_print_without_an_sdk_is_refused() {
    let spoiled = SH.replace(
        ". \"${0%/*}/omega-plugin.sh\"\n",
        ". \"${0%/*}/omega-plugin.sh\"\nexec 1>&9\n",
    );
    assert_ne!(spoiled, SH);
    let host = Host::new();
    host.install(&script("sh", &spoiled, "sh/omega-plugin.sh"));
    let refused = host.ask(ID, "print");
    assert_eq!(refused["status"], "rejected", "{refused}");
    assert!(
        refused["notes"].as_str().unwrap().contains("early"),
        "{refused}"
    );
}

/// "an SDK plugin raises an exception whose text has a lone surrogate | `error`, the character written out" (P13)
#[test]
fn inv_pnp_10_a_plugin_in_python_keeps_to_its_answer() {
    if !has("python3", "--version") {
        return skip("python3 is not installed");
    }
    let package = script("python3", PYTHON, "python/omega_plugin.py");
    keeps_to_its_answer(package, "ValueError: out of ink \\ud83d");
}

/// P13, too.
#[test]
fn inv_pnp_10_a_plugin_for_node_keeps_to_its_answer() {
    if !has("node", "--version") {
        return skip("node is not installed");
    }
    let package = script("node", NODE, "node/omega-plugin.js");
    keeps_to_its_answer(package, "Error: out of ink \\ud83d");
}

/// P13, too: what is no UTF-8 is written out.
#[test]
fn inv_pnp_10_a_plugin_in_go_keeps_to_its_answer() {
    if !has("go", "version") {
        return skip("go is not installed");
    }
    keeps_to_its_answer(in_go(), "plugin panicked: out of ink \\xed\\xa0\\xbd");
}

/// P13, too: what is no UTF-8 is written out.
#[test]
fn inv_pnp_10_a_plugin_in_c_keeps_to_its_answer() {
    if !has("cc", "--version") {
        return skip("cc is not installed");
    }
    keeps_to_its_answer(in_c(), "out of ink \\xed\\xa0\\xbd");
}

#[test]
fn inv_pnp_10_a_plugin_in_rust_keeps_to_its_answer() {
    keeps_to_its_answer(in_rust(), "plugin panicked: out of ink");
}

#[test]
fn inv_pnp_10_a_plugin_in_the_shell_keeps_to_its_answer() {
    let package = script("sh", SH, "sh/omega-plugin.sh");
    keeps_to_its_answer(package, "with exit code 3");
}
