//! A compliance report as SARIF 2.1.0, which code hosts and editors show beside the files. It holds the failed checks as results, and
//! all ten as rules.

use std::path::Path;

use serde_json::{Value, json};

use super::ComplianceReport;

/// The report of the package at `folder`, whose manifest is the place of every finding.
pub(crate) fn sarif(report: &ComplianceReport, folder: &Path) -> Value {
    let rules: Vec<Value> = report
        .checks
        .iter()
        .map(|check| {
            json!({
                "id": check.id,
                "name": check.name,
                "shortDescription": { "text": format!("{} {}", check.id, check.name) },
                "properties": { "law": check.law, "invariant": check.invariant },
            })
        })
        .collect();
    let place = uri(&folder.join("plugin.json"));
    let failed = report.checks.iter().enumerate();
    let failed = failed.filter(|(_, check)| !check.passed);
    let results: Vec<Value> = failed
        .map(|(index, check)| {
            json!({
                "ruleId": check.id,
                "ruleIndex": index,
                "level": "error",
                "message": { "text": format!("{}: {}", check.name, check.detail) },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": place },
                    "region": { "startLine": 1 },
                } }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "plugin-gateway certify",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": results,
        }],
    })
}

/// The path as a URI reference (RFC 3986): relative where it is, a file URI where it is not.
fn uri(path: &Path) -> String {
    let clean: std::path::PathBuf = path
        .components()
        .filter(|part| *part != std::path::Component::CurDir)
        .collect();
    let mut text = if clean.is_absolute() {
        "file://".to_owned()
    } else {
        String::new()
    };
    for byte in clean.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(*byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri() {
        assert_eq!(uri(Path::new("./a b/plugin.json")), "a%20b/plugin.json");
        assert_eq!(uri(Path::new("/x/ü")), "file:///x/%C3%BC");
    }
}
