//! T3: which plugins a gateway of this version takes, and how one version takes the place of another.

use campaigns::package::manifest;
use campaigns::request::with;
use campaigns::{Host, Package};
use plugin_gateway::Gateway;
use serde_json::{Value, json};

/// The report for the usual manifest with these versions.
fn report(api_version: &str, range: &str) -> Value {
    let manifest = manifest("p.test.versions", &["./program"]);
    let manifest = with(manifest, "/api_version", json!(api_version));
    let manifest = with(manifest, "/supported_omega_api_versions", json!(range));
    validate(&manifest)
}

fn validate(manifest: &Value) -> Value {
    serde_json::to_value(Gateway::validate_manifest(manifest.to_string().as_bytes())).unwrap()
}

/// The message of the error at `field`.
#[track_caller]
fn error_at(report: &Value, field: &str) -> String {
    assert_eq!(report["valid"], false, "{report}");
    let issues = report["issues"].as_array().unwrap();
    let found = issues
        .iter()
        .find(|issue| issue["severity"] == "error" && issue["field"] == field);
    let found = found.unwrap_or_else(|| panic!("no error at {field}: {report}"));
    found["message"].as_str().unwrap().to_owned()
}

fn versioned(id: &str, version: &str) -> Package {
    Package::script(id, "sh", "exit 1\n").with(|manifest| manifest["version"] = json!(version))
}

/// "Ranges are written the npm way (`>=1.0.0 <2.0.0`, spaces mean "and", `||` means "or", `^`, `~`, `x`);
/// accept that and the comma form."
#[test]
fn inv_pnp_09_every_way_to_write_a_fitting_range_is_accepted() {
    for range in [
        ">=1.0.0 <2.0.0",
        ">=1.0.0, <2.0.0",
        ">=1.0.0,<2.0.0",
        ">= 1.0.0 < 2.0.0",
        "^1.0.0",
        "^1",
        "~1.0.0",
        "~1.0",
        "~1",
        "1.x",
        "1.0.x",
        "1.X.X",
        "1",
        "1.0",
        "1.0.0",
        "=1.0.0",
        "v1.0.0",
        "*",
        "x",
        ">=0.0.1",
        "<=1.0.0",
        "0.9.0 - 1.2.3",
        "0.9 - 1.0",
        "<0.5.0 || >=1.0.0",
        "2.x || 1.x",
        "^0.9.0 || ^1.0.0 || ^2.0.0",
        ">=1.0.0 <1.0.1",
    ] {
        let report = report("1.0.0", range);
        assert_eq!(report["valid"], true, "{range}: {report}");
    }
}

/// "A plugin is compatible when its `api_version` has the same major (and that major is at least 1) **and** the
/// gateway's version satisfies its `supported_omega_api_versions` range."
#[test]
fn inv_pnp_09_a_range_that_leaves_this_gateway_out_is_refused_by_field_and_fix() {
    for range in [
        ">=2.0.0",
        ">=2.0.0 <3.0.0",
        ">=2.0.0, <3.0.0",
        "^2.0.0",
        "^0.9.0",
        "~1.1.0",
        "~0.9",
        "0.x",
        "2.x",
        "1.1.x",
        "<1.0.0",
        ">1.0.0",
        "=1.0.1",
        "1.0.1",
        "1.0.1 - 1.9.9",
        "2.x || 3.x",
        "<1.0.0 || >1.0.0",
        ">=1.0.0 <1.0.0",
        ">=2.0.0 <1.0.0",
    ] {
        let message = error_at(&report("1.0.0", range), "/supported_omega_api_versions");
        assert!(
            message.contains("1.0.0") && message.contains("write"),
            "{range}: {message}"
        );
    }
}

/// "`supported_omega_api_versions` | a range that parses"
#[test]
fn inv_pnp_09_what_is_no_range_is_refused() {
    for range in [
        "banana",
        ">=",
        ">= <2.0.0",
        "1.0.0.0",
        ">=1.0.0 && <2.0.0",
        "|| |",
        "^^1.0.0",
        "1.0.0 -",
        "one.x",
        "1,0,0,",
        ">=1.0.0 <2.0.0;",
        "1.0.0\u{0}",
    ] {
        error_at(&report("1.0.0", range), "/supported_omega_api_versions");
    }
    for range in [json!(1), json!(null), json!(["^1.0.0"])] {
        let manifest = manifest("p.test.versions", &["./program"]);
        let report = validate(&with(manifest, "/supported_omega_api_versions", range));
        error_at(&report, "/supported_omega_api_versions");
    }
}

/// "its `api_version` has the same major (and that major is at least 1)"
#[test]
fn inv_pnp_09_only_the_same_major_fits() {
    for api_version in ["1.0.0", "1.0.1", "1.7.0", "1.999.999"] {
        let report = report(api_version, "^1.0.0");
        assert_eq!(report["valid"], true, "{api_version}: {report}");
    }
    // A range that fits does not help a plugin of another major, not even one that is below 1.
    for api_version in ["0.0.0", "0.1.0", "0.99.99", "2.0.0", "10.0.0", "11.0.0"] {
        let message = error_at(&report(api_version, "*"), "/api_version");
        assert!(message.contains("1.0.0"), "{api_version}: {message}");
    }
}

/// "`version`, `api_version` | `MAJOR.MINOR.PATCH`, digits only"
#[test]
fn inv_pnp_09_versions_are_three_numbers() {
    for wrong in [
        "",
        "1",
        "1.0",
        "1.0.0.0",
        "v1.0.0",
        "1.0.0-beta",
        "1.0.0+build",
        "1.0.x",
        "1..0",
        " 1.0.0",
        "1.0.0\n",
        "-1.0.0",
        "+1.0.0",
        "1.0.0a",
        "١.٠.٠",
        "1,0,0",
    ] {
        for field in ["/version", "/api_version"] {
            let manifest = manifest("p.test.versions", &["./program"]);
            error_at(&validate(&with(manifest, field, json!(wrong))), field);
        }
    }
    for right in ["0.0.0", "1.2.3", "10.20.30", "2026.11.25"] {
        let manifest = manifest("p.test.versions", &["./program"]);
        let report = validate(&with(manifest, "/version", json!(right)));
        assert_eq!(report["valid"], true, "{right}: {report}");
    }
}

/// "Missing, malformed, wrong or untrusted-key signatures, and revoked keys: the plugin is recorded with status
/// `rejected`", and so is one whose version does not fit: "fail closed". Exit code 1: "invalid".
#[test]
fn inv_pnp_09_an_incompatible_package_is_never_enabled_however_well_signed() {
    let host = Host::new();
    let package = versioned("p.test.future", "1.0.0").with(|manifest| {
        manifest["api_version"] = json!("2.0.0");
        manifest["supported_omega_api_versions"] = json!(">=2.0.0 <3.0.0");
    });
    let folder = host.signed(&package);

    let info = host.register(&folder).expect(1).json();
    assert_eq!(info["status"], "rejected");
    assert_eq!(host.row("p.test.future")["status"], "rejected");
    host.say(["enable", "p.test.future"]).expect(3);
    let shown = host
        .say(["--json", "show", "p.test.future"])
        .expect(0)
        .json();
    let reason = shown["reason"].as_str().unwrap();
    assert!(
        reason.contains("/api_version") && reason.contains("/supported_omega_api_versions"),
        "every finding is named: {reason}"
    );
    let response = host.ask("p.test.future", "hello");
    assert_eq!(response["status"], "rejected");
    assert!(
        host.events().iter().all(|event| event["kind"] != "INVOKE"),
        "it never ran"
    );
}

/// "A registered id is replaced only by `register --replace` with a higher version, which starts again as `registered`."
#[test]
fn inv_pnp_09_only_a_higher_version_takes_the_place_of_another() {
    let host = Host::new();
    let id = "p.test.replaced";
    let folder_of = |version: &str| host.signed(&versioned(id, version));
    let replace = |version: &str| {
        let folder = folder_of(version);
        host.say(["--json", "register", folder.to_str().unwrap(), "--replace"])
    };
    host.register(&folder_of("1.9.0")).expect(0);
    host.say(["enable", id]).expect(0);

    // Without --replace nothing moves, whatever the version.
    for version in ["1.8.0", "1.9.0", "2.0.0"] {
        let said = host.register(&folder_of(version)).expect(3);
        assert!(
            said.stdout.contains("Plugin already registered") && said.stdout.contains("--replace"),
            "{said:?}"
        );
    }
    // The same or a lower version never replaces.
    for version in ["1.9.0", "1.8.99", "0.99.0"] {
        let said = replace(version).expect(3);
        assert!(said.stdout.contains("not higher"), "{said:?}");
    }
    assert_eq!(host.row(id)["status"], "enabled", "the holder is untouched");
    assert_eq!(host.row(id)["version"], "1.9.0");

    // Versions are numbers: as text this one would be lower.
    let info = replace("1.10.0").expect(0).json();
    assert_eq!(info["status"], "registered", "it starts again");
    assert_eq!(host.row(id)["version"], "1.10.0");
    let response = host.ask(id, "hello");
    assert_eq!(response["status"], "rejected", "it was not enabled");
    host.say(["enable", id]).expect(0);
    assert_eq!(host.row(id)["status"], "enabled");
    host.verified();
}
