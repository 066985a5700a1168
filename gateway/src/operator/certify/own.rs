//! The author's own payloads: `tests/*.json` in the package or beside it, each a payload and, where its author says so, what is expected.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use plugin_protocol::json;
use plugin_protocol::message::{Response, Status};
use plugin_protocol::{canonical, shown};
use serde_json::{Value, json};

use super::samples::Sample;
use crate::error::Error;

/// The folder's name.
const FOLDER: &str = "tests";

/// The most files that are run: each is a call, so that this many take a minute.
const MAX_FILES: usize = 256;

/// The largest file, in bytes: above any manifest's usual `max_bytes`.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The most characters of a result that a detail repeats.
const SHOWN_CHARS: usize = 160;

/// What was found in the author's folder.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) samples: Vec<Sample>,
    /// Files that cannot be run, each with the reason.
    pub(super) unusable: Vec<String>,
    /// Files beside the package that are no test of it.
    pub(super) passed_over: Vec<String>,
}

/// Reads the tests in the package, or else those beside it.
pub(super) fn read(package: &Path) -> Result<Own, Error> {
    let inside = package.join(FOLDER);
    if inside.is_dir() {
        return read_folder(&inside, true);
    }
    // `package` may be `.`, whose parent only the system knows.
    let whole = fs::canonicalize(package).unwrap_or_else(|_| package.to_owned());
    match whole.parent().map(|parent| parent.join(FOLDER)) {
        Some(beside) if beside.is_dir() => read_folder(&beside, false),
        Some(_) | None => Ok(Own::default()),
    }
}

/// In the package each file is a test; beside it others may lie, which have no `payload`.
fn read_folder(folder: &Path, inside: bool) -> Result<Own, Error> {
    let failed = |source| Error::File {
        action: "read the tests in",
        path: folder.to_owned(),
        source,
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && path.is_file()
        {
            files.push(path);
        }
    }
    if files.len() > MAX_FILES {
        return Err(Error::Invalid {
            message: format!(
                "'{}' has {} tests: at most {MAX_FILES} are run",
                folder.display(),
                files.len()
            ),
        });
    }
    files.sort();
    let mut own = Own::default();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{FOLDER}/{}", shown::cut(&name, SHOWN_CHARS));
        match sample(&file) {
            Ok(Some((payload, expected))) => own.samples.push(Sample {
                name,
                payload,
                expected,
            }),
            Ok(None) if !inside => own.passed_over.push(name),
            Ok(None) => own.unusable.push(format!(
                "{name}: it has no `payload`: write {{\"payload\": …, \"expected\": …}}"
            )),
            Err(reason) => own.unusable.push(format!("{name}: {reason}")),
        }
    }
    Ok(own)
}

/// The payload and the expectation in a file; none where it is JSON without a payload.
fn sample(file: &Path) -> Result<Option<(Value, Option<Value>)>, String> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    let read = json::read(&bytes).map_err(|error| error.to_string())?;
    let payload = read.get("payload").cloned();
    Ok(payload.map(|payload| (payload, read.get("expected").cloned())))
}

/// What is not as expected, in words; none where all is.
pub(super) fn difference(expected: &Value, response: &Response) -> Option<String> {
    let result = json!(response.result);
    let not_ok = || {
        (response.status != Status::Ok).then(|| {
            format!(
                "expected a result, got {}: {}",
                response.status, response.notes
            )
        })
    };
    match expected {
        // `"expected": "rejected"`
        Value::String(status) => status_differs(status, response),
        // `"expected": {"status": "rejected", "notes": "…"}`
        Value::Object(members) if is_response(expected) => {
            let status = members.get("status").and_then(Value::as_str);
            let status = status.and_then(|status| status_differs(status, response));
            let notes = members
                .get("notes")
                .filter(|notes| **notes != response.notes);
            let notes = notes.map(|notes| differs("notes", notes, &json!(response.notes)));
            let wanted = members.get("result");
            status
                .or_else(|| wanted.and_then(|wanted| unlike("result", wanted, &result)))
                .or(notes)
        }
        // `"expected": {"kind": "json", "schema_ref": …, "data": …}`
        Value::Object(members) if members.contains_key("kind") => {
            not_ok().or_else(|| unlike("result", expected, &result))
        }
        Value::Null => unlike("result", expected, &result),
        // `"expected": {"words": 3}`, the data of a json result.
        Value::Object(_) | Value::Array(_) | Value::Number(_) | Value::Bool(_) => not_ok()
            .or_else(|| unlike("data", expected, result.get("data").unwrap_or(&Value::Null))),
    }
}

/// Whether this is a response, or a part of one, and no data of a result.
fn is_response(expected: &Value) -> bool {
    let known = |name: &String| ["status", "result", "notes"].contains(&name.as_str());
    let members = expected.as_object();
    let status = expected.get("status").and_then(Value::as_str);
    status.is_some_and(|status| {
        [Status::Ok, Status::Rejected, Status::Error, Status::Timeout]
            .iter()
            .any(|known| known.as_str() == status)
    }) && members.is_some_and(|members| members.keys().all(known))
}

fn status_differs(status: &str, response: &Response) -> Option<String> {
    (status != response.status.as_str()).then(|| {
        format!(
            "expected {}, got {} ({})",
            shown::cut(status, SHOWN_CHARS),
            response.status,
            response.notes
        )
    })
}

fn unlike(what: &str, expected: &Value, got: &Value) -> Option<String> {
    // In canonical form, so that 1 and 1.0 are the same number.
    (canonical::bytes(expected) != canonical::bytes(got)).then(|| differs(what, expected, got))
}

fn differs(what: &str, expected: &Value, got: &Value) -> String {
    let short = |value: &Value| shown::cut(&value.to_string(), SHOWN_CHARS);
    format!("expected {what} {}, got {}", short(expected), short(got))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: &str, data: &Value) -> Response {
        let result = if status == "ok" {
            json!({ "kind": "json", "schema_ref": "x/1", "data": data })
        } else {
            Value::Null
        };
        serde_json::from_value(json!({
            "request_id": "r", "plugin_id": "p.test.x", "status": status, "result": result,
            "evidence_hashes": { "input_hash": "", "output_hash": "" }, "duration_ms": 1, "notes": "why",
        }))
        .unwrap()
    }

    #[test]
    fn what_is_expected_may_be_written_as_its_author_likes() {
        let ok = response("ok", &json!({ "words": 3 }));
        let no = response("rejected", &Value::Null);
        let whole = json!({ "kind": "json", "schema_ref": "x/1", "data": { "words": 3.0 } });
        for (expected, response, same) in [
            (json!("ok"), &ok, true),
            (json!("rejected"), &ok, false),
            (json!("rejected"), &no, true),
            (json!({ "status": "rejected" }), &no, true),
            (json!({ "status": "rejected", "notes": "why" }), &no, true),
            (json!({ "status": "rejected", "notes": "else" }), &no, false),
            (json!({ "status": "ok", "result": whole }), &ok, true),
            (json!({ "status": "ok", "result": null }), &ok, false),
            (whole.clone(), &ok, true),
            (whole, &no, false),
            (json!({ "words": 3 }), &ok, true),
            (json!({ "words": 4 }), &ok, false),
            (json!({ "words": 3 }), &no, false),
            (json!({ "status": "green" }), &ok, false),
            (Value::Null, &no, true),
        ] {
            let found = difference(&expected, response);
            assert_eq!(found.is_none(), same, "{expected}: {found:?}");
        }
    }

    #[test]
    fn files_that_are_no_test_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("package");
        for tests in [folder.path().join(FOLDER), package.join(FOLDER)] {
            fs::create_dir_all(&tests).unwrap();
            fs::write(
                tests.join("a.json"),
                r#"{"payload":{"kind":"text"},"expected":"ok"}"#,
            )
            .unwrap();
            fs::write(tests.join("b.json"), "[]").unwrap();
            fs::write(tests.join("c.json"), "{").unwrap();
            fs::write(tests.join("d.txt"), "{").unwrap();
        }
        let own = read(&package).unwrap();
        assert_eq!((own.samples.len(), own.unusable.len()), (1, 2), "{own:?}");
        fs::remove_dir_all(package.join(FOLDER)).unwrap();
        let own = read(&package).unwrap();
        assert_eq!((own.samples.len(), own.unusable.len()), (1, 1), "{own:?}");
        assert_eq!(own.passed_over, ["tests/b.json"]);
    }
}
