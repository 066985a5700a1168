//! Programs and interpreters have inside the libraries that they have outside: those beside them, and no others of the same name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::support::{PRELUDE, Permit, digest, limits, package, run, sandbox, script, soon, text};
use crate::{End, Entry, Error, Image, Job, Layer, RuntimeChoice, Runtimes, Sandbox, Settings};

/// A library of the host's that every C library of glibc comes with, and no program of these tests needs.
const DECOY: &str = "libresolv.so.2";

/// Says which library it has. The host's has no such function, and is loaded without a word all the same.
const INTERPRETER: &str = r#"
#include <dlfcn.h>
int main(int count, char **words) {
    const char *(*mark)(void) = dlsym(RTLD_DEFAULT, "own_mark");
    request();
    printf("%s runs %s\n", mark ? mark() : "a stranger", words[count - 1]);
}"#;

/// A folder that can be moved as a whole: `bin/prog`, and beside it `lib` with a library of a name that the host has as well.
fn relocatable(soname: &str, options: &[&str]) -> (TempDir, PathBuf) {
    let folder = package(&[
        (
            "lib/own.c",
            "const char *own_mark(void) { return \"its own\"; }",
        ),
        ("bin/prog.c", &format!("{PRELUDE}\n{INTERPRETER}")),
    ]);
    let library = format!("lib/{DECOY}");
    let name = format!("-Wl,-soname,{soname}");
    cc(
        folder.path(),
        &["-shared", "-fPIC", &name, "-o", &library, "lib/own.c"],
    );
    let common = ["-w", "-o", "bin/prog", "bin/prog.c", "-Wl,--no-as-needed"];
    cc(
        folder.path(),
        &[&common[..], &[library.as_str()], options].concat(),
    );
    for path in ["lib", "bin", "bin/prog", &library] {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path().join(path), mode).unwrap();
    }
    let program = folder.path().canonicalize().unwrap().join("bin/prog");
    (folder, program)
}

/// The program as a plugin of its folder.
fn plugin(program: &Path, path: &str) -> Entry {
    let bytes = fs::read(program).unwrap();
    let image = Image::seal(&bytes, &digest(&bytes)).unwrap();
    Entry::Program {
        image: image.lying_at(path.into()).into(),
        args: vec!["last".to_owned()],
    }
}

fn cc(folder: &Path, arguments: &[&str]) {
    let output = Command::new("cc")
        .args(arguments)
        .current_dir(folder)
        .output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

fn with_interpreter(interpreter: &Path) -> (Runtimes, Settings) {
    let mut runtimes = Runtimes::default();
    let choice = RuntimeChoice {
        interpreter: Some(interpreter.to_owned()),
        ..RuntimeChoice::default()
    };
    runtimes.choose("prog", choice);
    let settings = Settings {
        runtimes: runtimes.clone(),
        ..Settings::default()
    };
    (runtimes, settings)
}

/// H3. The two ways in which relocatable interpreters name their libraries: by a place to look, and by the path itself.
#[test]
fn a_relocatable_interpreter_has_the_library_beside_it() {
    let by_path = format!("$ORIGIN/../lib/{DECOY}");
    let place = "-Wl,-rpath,$ORIGIN/../lib";
    for (soname, options) in [
        (DECOY, &[place][..]),
        (DECOY, &[place, "-Wl,--disable-new-dtags"]),
        (&by_path, &[]),
    ] {
        let (_folder, program) = relocatable(soname, options);
        let (_, settings) = with_interpreter(&program);
        let package = package(&[("main.x", "")]);
        let sandbox = Sandbox::open(settings).unwrap();
        // The second time nothing is compared.
        for _ in 0..2 {
            let report = run(&sandbox, &script("prog", "main.x"), package.path(), "{}\n");
            assert_eq!(
                (&report.end, text(&report).as_str()),
                (&End::Answered, "its own runs /package/main.x\n"),
                "{soname} {options:?}: {report:?}"
            );
        }
    }
}

/// H3: "or a refusal that names the one that is not the same".
#[test]
fn an_interpreter_whose_library_would_be_another_is_refused_by_the_librarys_name() {
    let (folder, program) = relocatable(DECOY, &["-Wl,-rpath,$ORIGIN/../lib"]);
    let (runtimes, settings) = with_interpreter(&program);
    assert!(runtimes.get("prog").is_some());
    // It is found as it is there, and exchanged before the first run.
    let link = folder.path().join("other");
    fs::rename(folder.path().join("lib"), &link).unwrap();
    let sandbox = Sandbox::<Permit>::open(settings).unwrap();
    let package = package(&[("main.x", "")]);
    let entry = script("prog", "main.x");
    let job = Job {
        entry: &entry,
        package: package.path(),
        input: b"{}\n",
        deadline: soon(),
        limits: limits(),
        when_refused: crate::WhenRefused::GoOn,
        deterministic: false,
        names_reads: false,
        cancel: None,
        listener: None,
    };
    let refused = || {
        let refused = sandbox.run(&Permit, &job).unwrap_err();
        let Error::OtherLibraries { difference, .. } = refused else {
            panic!("{refused}");
        };
        difference
    };
    // What the loader would find in its place is the host's.
    assert!(refused().ends_with("' is not there any more"));
    fs::create_dir(folder.path().join("lib")).unwrap();
    fs::write(folder.path().join("lib").join(DECOY), "no library").unwrap();
    assert!(refused().contains(DECOY), "{}", refused());
}

/// H4. The program's own library comes before the host's of the same name.
#[test]
fn a_program_has_the_library_of_its_package() {
    for options in [
        &["-Wl,-rpath,$ORIGIN/../lib"][..],
        &["-Wl,-rpath,${ORIGIN}/../lib", "-Wl,--disable-new-dtags"],
    ] {
        let (folder, program) = relocatable(DECOY, options);
        let report = run(
            &sandbox(),
            &plugin(&program, "./bin/prog"),
            folder.path(),
            "{}\n",
        );
        assert_eq!(
            (&report.end, text(&report).as_str()),
            (&End::Answered, "its own runs last\n"),
            "{options:?}: {report:?}"
        );
        // What is read from the package is no sealed copy, and no event says so.
        assert!(!report.layers.contains(&Layer::SealedImage));
    }
}

/// Whoever does not look for the folder is run from the sealed copy, wherever it lies.
#[test]
fn a_program_without_libraries_of_its_own_is_run_from_its_sealed_copy() {
    let (folder, program) = relocatable(DECOY, &[]);
    let entry = plugin(&program, "bin/prog");
    fs::write(&program, "exchanged").unwrap();
    let report = run(&sandbox(), &entry, folder.path(), "{}\n");
    assert_eq!(text(&report), "a stranger runs last\n", "{report:?}");
    assert!(report.layers.contains(&Layer::SealedImage));
}
