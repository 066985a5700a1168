use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;

use super::*;

/// An old plugin as its author keeps it, with the folder that the package is made in.
struct Old(TempDir);

impl Old {
    fn new() -> Self {
        let old = Self(TempDir::new().unwrap());
        old.manifest(&manifest());
        old.write("src/worker.ts", "export const x = 1;");
        old.write(
            "dist/worker.js",
            "exports.handleRequest = require('./part').x;",
        );
        old.write("dist/part/index.js", "exports.x = 1;");
        old.write(
            "package.json",
            r#"{"scripts": {"build": "tsc"}, "devDependencies": {"typescript": "5"}}"#,
        );
        old.write("node_modules/typescript/index.js", "");
        old
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("old")
    }

    fn place(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn manifest(&self, manifest: &Value) {
        self.write("omega-plugin.json", &manifest.to_string());
    }

    fn made(&self) -> Made {
        from_omega(&self.place("new"), &self.folder()).unwrap()
    }

    /// It is refused, in those words, and nothing is left.
    #[track_caller]
    fn is_refused(&self, words: &str) {
        let error = from_omega(&self.place("new"), &self.folder()).unwrap_err();
        let said = format!("{} {}", crate::error::chain(&error), error.hint());
        assert!(said.contains(words), "{said}");
        assert!(!self.place("new").exists(), "{said}");
    }
}

fn manifest() -> Value {
    json!({
        "plugin_id": "p.sample.neutral", "name": "Neutral", "vendor": "V", "description": "",
        "version": "1.0.0", "api_version": "1.0.0", "supported_omega_api_versions": ">=1.0.0 <2.0.0",
        "capabilities": ["read_text", "write_report"],
        "io": {
            "inputs": [{"kind": "text", "schema_ref": "text/1", "limits": {"max_bytes": 1024}}],
            "outputs": [{"kind": "json", "schema_ref": "out/1", "limits": {"max_bytes": 1024}}],
        },
        "limits": {"max_bytes": 4096, "max_ms": 1000, "max_concurrency": 1},
        "determinism": {"mode": "deterministic", "notes": ""},
        "evidence": {"log_level": "summary", "redactions": []},
        "entrypoint": {"type": "worker", "file": "dist/worker.js", "export": "handleRequest"},
    })
}

fn files(folder: &Path) -> Vec<String> {
    let mut open = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(here) = open.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_worker_is_a_package_in_one_step_and_the_original_stays() {
    let old = Old::new();
    let before = files(&old.folder());
    let made = old.made();
    assert_eq!(made.plugin_id.as_str(), "p.sample.neutral");
    assert_eq!(made.program, old.place("new/dist/worker.js"));
    assert_eq!(made.to_do, [""; 0]);
    assert_eq!(
        files(&old.place("new")),
        [
            "dist/part/index.js",
            "dist/worker.js",
            "package.json",
            "plugin.json"
        ]
    );
    assert_eq!(read(&old.place("new/plugin.json")), manifest());
    let text = fs::read_to_string(old.place("new/plugin.json")).unwrap();
    assert!(text.starts_with("{\n  \"plugin_id\""), "{text}");
    assert_eq!(files(&old.folder()), before);
    let mode = |path: &str| fs::metadata(old.place(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("new/dist/worker.js"), 0o644);
}

#[test]
fn a_whole_id_as_the_name_renames_it() {
    let old = Old::new();
    let place = old.place("p.mine.neutral");
    let made = from_omega(&place, &old.folder()).unwrap();
    assert_eq!(made.plugin_id.as_str(), "p.mine.neutral");
    assert_eq!(
        read(&place.join("plugin.json"))["plugin_id"],
        "p.mine.neutral"
    );
}

#[test]
fn an_id_that_does_not_fit_asks_for_another() {
    let old = Old::new();
    for odd in [
        json!("Neutral"),
        json!("a"),
        json!(7),
        json!("x".repeat(999)),
    ] {
        let mut wrong = manifest();
        wrong["plugin_id"] = odd;
        old.manifest(&wrong);
        old.is_refused("as in `new p.example.new --from-omega FOLDER`");
        let place = old.place("p.mine.neutral");
        from_omega(&place, &old.folder()).unwrap();
        fs::remove_dir_all(place).unwrap();
    }
}

#[test]
fn what_is_not_built_is_said_with_its_command() {
    let old = Old::new();
    fs::remove_dir_all(old.folder().join("dist")).unwrap();
    let made = old.made();
    let [to_do] = &made.to_do[..] else {
        panic!("{:?}", made.to_do)
    };
    let (folder, place) = (old.folder(), old.place("new"));
    let (folder, place) = (folder.display(), place.display());
    assert_eq!(
        *to_do,
        format!(
            "build dist/worker.js, which is not there: run `npm install && npm run build` in {folder}, then `cp -R {folder}/dist {place}/`"
        )
    );
    assert_eq!(files(&old.place("new")), ["package.json", "plugin.json"]);
    // A folder that lacks the file alone, and other ways to build.
    fs::remove_dir_all(old.place("new")).unwrap();
    fs::remove_file(old.folder().join("package.json")).unwrap();
    old.write("dist/other.js.map", "");
    assert!(old.made().to_do[0].contains("run its build in"));
    fs::remove_dir_all(old.place("new")).unwrap();
    old.write("tsconfig.json", "{}");
    assert!(old.made().to_do[0].contains("run `npx tsc` in"));
}

#[test]
fn the_entrypoint_is_pointed_at_the_built_file() {
    let old = Old::new();
    old.write("package.json", r#"{"main": "./lib/main.cjs"}"#);
    // None is the only one.
    old.write("dist/another.js", "");
    for (named, built) in [
        ("./dist/worker.js", "dist/worker.js"),
        ("src/worker.ts", "dist/worker.js"),
        ("worker.js", "dist/worker.js"),
        ("src/worker.mts", "dist/worker.mjs"),
        ("src/deep/other.ts", "dist/deep/other.js"),
    ] {
        let mut odd = manifest();
        odd["entrypoint"]["file"] = named.into();
        old.manifest(&odd);
        old.made();
        let file = read(&old.place("new/plugin.json"))["entrypoint"]["file"].clone();
        assert_eq!(file, built, "{named}");
        fs::remove_dir_all(old.place("new")).unwrap();
    }
    old.write("lib/main.cjs", "");
    old.made();
    let file = read(&old.place("new/plugin.json"))["entrypoint"]["file"].clone();
    assert_eq!(file, "lib/main.cjs");
    assert!(old.place("new/lib/main.cjs").is_file());
}

/// A bundler calls it what it likes.
#[test]
fn the_only_script_that_is_built_is_taken_and_said() {
    let old = Old::new();
    let dist = |name: &str| format!("dist/{name}");
    fs::remove_file(old.folder().join(dist("worker.js"))).unwrap();
    for name in ["index.js", "bundle.mjs", "main.cjs"] {
        old.write(&dist(name), "");
        old.write(&dist("index.d.ts"), "");
        let made = old.made();
        assert_eq!(made.program, old.place("new").join(dist(name)));
        let file = read(&old.place("new/plugin.json"))["entrypoint"]["file"].clone();
        assert_eq!(file, dist(name));
        let said = format!(
            "see that {} is the worker: it is the only script in dist, and dist/worker.js is not there",
            dist(name)
        );
        assert_eq!(made.to_do, [said]);
        fs::remove_dir_all(old.place("new")).unwrap();
        fs::remove_file(old.folder().join(dist(name))).unwrap();
    }
    // Of two nobody can tell.
    old.write("dist/one.js", "");
    old.write("dist/two.js", "");
    assert!(old.made().to_do[0].starts_with("build dist/worker.js"));
}

#[test]
fn schemas_are_copied_and_libraries_are_named() {
    let old = Old::new();
    let mut more = manifest();
    more["schemas"] = json!({"out/1": "schemas/out.json", "text/1": "./dist/part/index.js", "a/1": "missing.json"});
    old.manifest(&more);
    old.write("schemas/out.json", "{}");
    old.write("schemas/unused.json", "{}");
    old.write(
        "package.json",
        r#"{"dependencies": {"ajv": "8", "zod": "3"}}"#,
    );
    old.write("package-lock.json", "{}");
    let made = old.made();
    let said = made.to_do.join("\n");
    assert!(said.contains("put 'missing.json' into"), "{said}");
    assert!(
        said.contains("npm install --omit=dev") && said.contains("ajv, zod"),
        "{said}"
    );
    assert_eq!(
        files(&old.place("new")),
        [
            "dist/part/index.js",
            "dist/worker.js",
            "package-lock.json",
            "package.json",
            "plugin.json",
            "schemas/out.json"
        ]
    );
}

#[test]
fn a_missing_or_bad_manifest_is_told() {
    let old = Old::new();
    for (text, words) in [
        ("[]", "is no manifest: it has to be a JSON object"),
        ("{", "is no manifest"),
        ("{}", "has no entrypoint of type \"worker\""),
        (
            r#"{"entrypoint": {"type": "process", "command": ["./a"]}}"#,
            "needs no change",
        ),
        (
            r#"{"plugin_id": "p.a.b", "entrypoint": {"type": "worker"}}"#,
            "the manifest is not valid",
        ),
        (
            r#"{"plugin_id": "p.a.b", "plugin_id": "p.a.c"}"#,
            "is no manifest",
        ),
    ] {
        old.write("omega-plugin.json", text);
        old.is_refused(words);
    }
    let mut odd = manifest();
    odd["permissions"] = json!([]);
    old.manifest(&odd);
    old.is_refused("permissions");
    odd = manifest();
    odd["entrypoint"]["file"] = json!("../worker.js");
    old.manifest(&odd);
    old.is_refused("the manifest is not valid");
    old.write("omega-plugin.json", &" ".repeat(2 * 1024 * 1024 + 1));
    old.is_refused("is longer than");
    fs::remove_file(old.folder().join("omega-plugin.json")).unwrap();
    old.is_refused("there is no manifest in");
    // Two more names are known.
    old.write("manifest.json", &manifest().to_string());
    old.write("package.json", "{");
    old.is_refused("is no JSON");
    fs::remove_dir_all(old.folder()).unwrap();
    old.is_refused("cannot open folder");
}

#[test]
fn what_is_there_already_is_never_written_over() {
    let old = Old::new();
    fs::create_dir(old.place("new")).unwrap();
    fs::write(old.place("new/plugin.json"), "mine").unwrap();
    let error = from_omega(&old.place("new"), &old.folder()).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(
        fs::read_to_string(old.place("new/plugin.json")).unwrap(),
        "mine"
    );
    // A place inside of what is copied copies nothing of itself.
    let inside = old.folder().join("dist/new");
    from_omega(&inside, &old.folder()).unwrap();
    assert!(!inside.join("dist/new").exists());
}

#[test]
fn links_stay_inside_or_nothing_is_made() {
    let old = Old::new();
    symlink("part/index.js", old.folder().join("dist/near.js")).unwrap();
    old.made();
    let link = fs::read_link(old.place("new/dist/near.js")).unwrap();
    assert_eq!(link, Path::new("part/index.js"));
    fs::remove_dir_all(old.place("new")).unwrap();
    // Further down, at the top, and on the way to a schema.
    let secret = old.place("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("worker.js"), "secret").unwrap();
    symlink(&secret, old.folder().join("dist/away")).unwrap();
    old.is_refused("symbolic link");
    fs::remove_file(old.folder().join("dist/away")).unwrap();
    symlink("../../secret/worker.js", old.folder().join("dist/away.js")).unwrap();
    old.is_refused("symbolic link");
    fs::remove_file(old.folder().join("dist/away.js")).unwrap();
    let mut more = manifest();
    more["schemas"] = json!({"out/1": "schemas/worker.js"});
    old.manifest(&more);
    symlink(&secret, old.folder().join("schemas")).unwrap();
    old.is_refused("leads out of the plugin's folder");
    old.manifest(&manifest());
    fs::rename(old.folder().join("dist"), old.folder().join("built")).unwrap();
    symlink(&secret, old.folder().join("dist")).unwrap();
    old.is_refused("leads out of the plugin's folder");
    // A link at the top to another place inside is that place.
    fs::remove_file(old.folder().join("dist")).unwrap();
    symlink("built", old.folder().join("dist")).unwrap();
    old.made();
    assert!(old.place("new/dist/worker.js").is_file());
    assert!(!old.place("new/dist").is_symlink());
}

#[test]
fn what_no_package_holds_is_told() {
    let old = Old::new();
    nix::unistd::mkfifo(
        &old.folder().join("dist/pipe"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
    old.is_refused("is no file, folder or link");
    fs::remove_file(old.folder().join("dist/pipe")).unwrap();
    let large = fs::File::create(old.folder().join("dist/large")).unwrap();
    large.set_len(MAX_BYTES).unwrap();
    old.is_refused("more than a package holds");
}
