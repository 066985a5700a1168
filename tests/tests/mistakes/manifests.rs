//! Mistakes in the manifest and in what it names.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Row;

#[test]
fn inv_pnp_01_mistakes_in_the_manifest_are_told_with_their_cure() {
    super::told(rows());
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = members();
    rows.extend(capabilities());
    rows.extend(versions());
    rows.extend(text());
    rows.extend(schemas());
    rows
}

fn remove(manifest: &mut Value, name: &str) {
    manifest.as_object_mut().unwrap().remove(name);
}

fn members() -> Vec<Row> {
    vec![
        Row::manifest(
            "a member that is missing",
            |manifest| remove(manifest, "vendor"),
            "/vendor: is missing",
            "add 'vendor'",
        ),
        Row::manifest(
            "a number in quotes",
            |manifest| manifest["limits"]["max_ms"] = json!("5000"),
            "it is \"5000\"",
            "an integer of at least 100",
        ),
        Row::manifest(
            "a member with a slip of the pen",
            |manifest| manifest["descripton"] = json!("x"),
            "unknown field 'descripton'",
            "write 'description'",
        ),
        Row::manifest(
            "a member of another system",
            |manifest| manifest["permissions"] = json!(["network"]),
            "unknown field 'permissions'",
            "remove it",
        ),
        Row::manifest(
            "an id with capitals",
            |manifest| manifest["plugin_id"] = json!("P.Test.Hello"),
            "it is \"P.Test.Hello\"",
            "for instance \"p.text.hello\"",
        ),
        Row::manifest(
            "an id that is too short",
            |manifest| manifest["plugin_id"] = json!("ab"),
            "it is \"ab\"",
            "for instance \"p.text.hello\"",
        ),
        Row::manifest(
            "an id with a space",
            |manifest| manifest["plugin_id"] = json!("my plugin"),
            "it is \"my plugin\"",
            "for instance \"p.text.hello\"",
        ),
        Row::manifest(
            "an entrypoint that is a string",
            |manifest| manifest["entrypoint"] = json!("./program"),
            "it is \"./program\"",
            "\"type\"",
        ),
        Row::manifest(
            "a command that is a string",
            |manifest| manifest["entrypoint"]["command"] = json!("./program"),
            "it is \"./program\"",
            "an array of at least one string: first a path inside the package",
        ),
        Row::manifest(
            "an entrypoint of another type",
            |manifest| manifest["entrypoint"]["type"] = json!("docker"),
            "\"docker\"",
            "process",
        ),
        Row::manifest(
            "no calls at once",
            |manifest| manifest["limits"]["max_concurrency"] = json!(0),
            "it is 0",
            "1 to 100",
        ),
        Row::manifest(
            "too short a time",
            |manifest| manifest["limits"]["max_ms"] = json!(5),
            "it is 5",
            "at least 100",
        ),
        Row::manifest(
            "too long a time",
            |manifest| manifest["limits"]["max_ms"] = json!(600_000),
            "600000 ms exceeds",
            "write 60000 or less",
        )
        .code(0),
        Row::manifest(
            "a determinism of one's own",
            |manifest| manifest["determinism"]["mode"] = json!("exact"),
            "\"exact\"",
            "deterministic or probabilistic",
        ),
        Row::manifest(
            "a log level of another system",
            |manifest| manifest["evidence"]["log_level"] = json!("debug"),
            "\"debug\"",
            "full, summary or minimal",
        ),
        Row::manifest(
            "a redaction that can hit nothing",
            |manifest| manifest["evidence"]["redactions"] = json!(["/secret"]),
            "/secret",
            "/payload",
        ),
        Row::manifest(
            "a kind of another system",
            |manifest| manifest["io"]["inputs"][0]["kind"] = json!("csv"),
            "\"csv\"",
            "one of text, json, binary_ref and dataset_slice",
        ),
    ]
}

fn capabilities() -> Vec<Row> {
    vec![
        Row::manifest(
            "a capability with a slip of the pen",
            |manifest| manifest["capabilities"] = json!(["read_txt", "write_report"]),
            "unknown capability 'read_txt'",
            "did you mean read_text?",
        ),
        Row::manifest(
            "a forbidden capability",
            |manifest| {
                manifest["capabilities"] = json!(["read_text", "write_report", "network_access"])
            },
            "Forbidden capability declared: network_access",
            "remove it",
        ),
        Row::manifest(
            "an output without its capability",
            |manifest| manifest["capabilities"] = json!(["read_text"]),
            "an output requires capability",
            "add one of them to capabilities",
        ),
        Row::manifest(
            "an input without its capability",
            |manifest| manifest["capabilities"] = json!(["write_report"]),
            "requires capability 'read_text'",
            "add \"read_text\" to capabilities",
        ),
        Row::manifest(
            "a capability twice",
            |manifest| manifest["capabilities"] = json!(["read_text", "read_text", "write_report"]),
            "is declared twice",
            "remove one",
        ),
        Row::manifest(
            "no capability",
            |manifest| manifest["capabilities"] = json!([]),
            "an array of 0",
            "at least one",
        ),
    ]
}

fn versions() -> Vec<Row> {
    vec![
        Row::manifest(
            "a version of two parts",
            |manifest| manifest["version"] = json!("1.0"),
            "it is \"1.0\"",
            "MAJOR.MINOR.PATCH",
        ),
        Row::manifest(
            "a version with a v",
            |manifest| manifest["version"] = json!("v1.0.0"),
            "it is \"v1.0.0\"",
            "MAJOR.MINOR.PATCH",
        ),
        Row::manifest(
            "another plugin API",
            |manifest| manifest["api_version"] = json!("2.0.0"),
            "plugin API 2.0.0 is not supported",
            "write 1.x.y",
        ),
        Row::manifest(
            "a range that leaves this gateway out",
            |manifest| manifest["supported_omega_api_versions"] = json!(">=2.0.0"),
            "leaves out this gateway's version",
            "write for instance \">=1.0.0 <2.0.0\"",
        ),
        Row::manifest(
            "a range that is none",
            |manifest| manifest["supported_omega_api_versions"] = json!("latest"),
            "latest",
            ">=1.0.0 <2.0.0",
        ),
    ]
}

/// Changes the text of the manifest.
fn edit(folder: &Path, change: impl FnOnce(String) -> Vec<u8>) {
    let file = folder.join("plugin.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, change(text)).unwrap();
}

fn text() -> Vec<Row> {
    vec![
        Row::folder(
            "a comma too many",
            |folder| {
                edit(folder, |text| {
                    format!("{},\n}}", text.trim_end_matches('}').trim_end()).into_bytes()
                })
            },
            "not valid JSON",
            "remove the comma",
        ),
        Row::folder(
            "a comment",
            |folder| edit(folder, |text| format!("// my plugin\n{text}").into_bytes()),
            "not valid JSON",
            "JSON has no comments",
        ),
        Row::folder(
            "a member twice",
            |folder| {
                edit(folder, |text| {
                    text.replacen('{', "{\"name\":\"a\",", 1).into_bytes()
                })
            },
            "duplicate key",
            "give each key of an object once",
        ),
        Row::folder(
            "a manifest in UTF-16",
            |folder| {
                edit(folder, |text| {
                    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
                })
            },
            "UTF-16",
            "save it as UTF-8",
        ),
        Row::folder(
            "a manifest with a byte order mark",
            |folder| edit(folder, |text| format!("\u{feff}{text}").into_bytes()),
            "byte order mark",
            "without",
        ),
        Row::folder(
            "an empty manifest",
            |folder| edit(folder, |_| Vec::new()),
            "not valid JSON",
            "`plugin-gateway new",
        ),
    ]
}

/// Names a schema for the result, and writes it.
fn schema(folder: &Path, text: Option<&str>) {
    edit(folder, |manifest| {
        let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
        manifest["schemas"] = json!({ "any/1": "any.json" });
        manifest.to_string().into_bytes()
    });
    if let Some(text) = text {
        fs::write(folder.join("any.json"), text).unwrap();
    }
}

fn schemas() -> Vec<Row> {
    vec![
        Row::folder(
            "a schema that is not in the package",
            |folder| schema(folder, None),
            "'any.json' is not in the package",
            "add the file",
        ),
        Row::folder(
            "a schema that is no JSON",
            |folder| schema(folder, Some("{type: object}")),
            "not valid JSON",
            "any.json",
        ),
        Row::folder(
            "a schema with an unknown type",
            |folder| schema(folder, Some("{\"type\":\"dict\"}")),
            "dict",
            "object",
        ),
        Row::folder(
            "a schema that refers to the web",
            |folder| schema(folder, Some("{\"$ref\":\"https://example.com/x.json\"}")),
            "https://example.com/x.json",
            "$defs",
        ),
        Row::folder(
            "a pattern that no linear engine knows",
            |folder| {
                schema(
                    folder,
                    Some("{\"properties\":{\"a\":{\"pattern\":\"(a)\\\\1\"}}}"),
                )
            },
            "a reference back to a group is not supported",
            "write the repeated text out",
        ),
        Row::package(
            "a result that its schema does not want",
            || {
                campaigns::answers::prompt("p.test.mistake")
                    .with(|manifest| manifest["schemas"] = json!({ "any/1": "any.json" }))
                    .file(
                        "any.json",
                        b"{\"type\":\"object\",\"required\":[\"count\"]}",
                        0o644,
                    )
            },
            "count",
            "add 'count'",
        ),
    ]
}
