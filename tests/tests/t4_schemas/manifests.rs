//! Manifests: each field, each bound, at every level.

use super::*;

/// "## 4. Manifest (unknown fields are rejected at every level)"
#[test]
fn inv_pnp_04_an_unknown_field_is_refused_at_every_level_of_the_manifest() {
    accepted(&full());
    let mut levels = 0;
    for (place, value) in places(&full()) {
        // `schemas` is a map: its names are the author's own.
        if value.is_object() && place != "/schemas" {
            refused_at(
                &with(full(), &format!("{place}/extra"), json!(1)),
                &format!("{place}/extra"),
            );
            levels += 1;
        }
    }
    assert_eq!(
        levels, 10,
        "the whole, io, two ports with limits each, limits, determinism, evidence, entrypoint"
    );
}

/// "| field | rule |": a field without "optional" must be there.
#[test]
fn inv_pnp_04_a_missing_field_is_refused_by_name() {
    const OPTIONAL: [&str; 17] = [
        "/description",
        "/supported_omega_api_versions",
        "/io/inputs/0/limits",
        "/io/outputs/0/limits",
        "/limits",
        "/limits/max_bytes",
        "/limits/max_ms",
        "/limits/max_concurrency",
        "/limits/max_memory_bytes",
        "/limits/max_cpu_ms",
        "/determinism",
        "/determinism/mode",
        "/determinism/notes",
        "/evidence",
        "/evidence/log_level",
        "/evidence/redactions",
        "/schemas",
    ];
    let mut needed = 0;
    for (place, _) in places(&full()) {
        let is_item = place.rsplit('/').next().unwrap().parse::<usize>().is_ok();
        if place.is_empty() || is_item || place.starts_with("/schemas/") {
            continue;
        }
        let less = without(full(), &place);
        if OPTIONAL.contains(&place.as_str()) {
            accepted(&less);
        } else {
            refused_at(&less, &place);
            needed += 1;
        }
    }
    assert!(needed > 15, "{needed} fields were taken away");
}

/// "Optional with these defaults": a small manifest is the whole one, by its hash too; a value that is there counts.
#[test]
fn inv_pnp_04_what_a_small_manifest_leaves_out_is_filled_in_before_it_is_hashed() {
    let defaults = [
        ("/description", json!("")),
        ("/supported_omega_api_versions", json!("^1.0.0")),
        (
            "/limits",
            json!({"max_bytes": 65_536, "max_ms": 5_000, "max_concurrency": 4}),
        ),
        (
            "/determinism",
            json!({"mode": "probabilistic", "notes": ""}),
        ),
        (
            "/evidence",
            json!({"log_level": "summary", "redactions": []}),
        ),
        ("/io/inputs/0/limits", json!({"max_bytes": 65_536})),
        ("/io/outputs/0/limits", json!({"max_bytes": 65_536})),
    ];
    let (mut small, mut whole) = (full(), full());
    for (place, value) in &defaults {
        small = without(small, place);
        whole = with(whole, place, value.clone());
    }
    accepted(&small);
    let hash = |manifest: &Value| validate(manifest)["manifest_hash"].clone();
    assert_eq!(hash(&small), hash(&whole));
    for (place, _) in &defaults {
        let other = with(whole.clone(), place, full().pointer(place).unwrap().clone());
        let is_default = full().pointer(place) == whole.pointer(place);
        assert_eq!(hash(&other) == hash(&whole), is_default, "{place}");
    }
}

/// "| field | rule |": each field has its type; nothing is converted.
#[test]
fn inv_pnp_04_a_field_of_another_type_is_refused_at_its_place() {
    let others = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1.5),
        json!("7"),
        json!([]),
        json!({}),
    ];
    let same_type = |a: &Value, b: &Value| std::mem::discriminant(a) == std::mem::discriminant(b);
    let mut tried = 0;
    for (place, value) in places(&full()) {
        for other in others.iter().filter(|other| !same_type(other, &value)) {
            if place.is_empty() {
                assert_eq!(validate(other)["valid"], false, "{other}");
                continue;
            }
            let report = validate(&with(full(), &place, other.clone()));
            assert_eq!(report["valid"], false, "{place} as {other}");
            let named = error_fields(&report);
            assert!(
                named
                    .iter()
                    .any(|field| place.starts_with(field) || field.starts_with(&place)),
                "{place} as {other}: {report}"
            );
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried} were tried");
}

/// A place and the values there that are accepted and refused.
struct Bound {
    place: &'static str,
    good: Vec<Value>,
    bad: Vec<Value>,
}

/// "`plugin_id` | `^[a-z0-9][a-z0-9._-]{2,63}$`", "`name`, `vendor` | 1–128 characters", "`description` | at most 1024
/// characters", "`limits` | `max_bytes ≥ 1`, `max_ms ≥ 100` …, `max_concurrency` 1–100", "`determinism` | `mode` =
/// `deterministic` or `probabilistic`", "`evidence` | `log_level` = `full`, `summary` or `minimal`; `redactions` array of JSON pointers"
#[test]
fn inv_pnp_04_every_bound_of_the_manifest_holds_exactly() {
    let bounds = [
        Bound {
            place: "/plugin_id",
            good: ["abc", "0ab", "p.a-b_c", &"a".repeat(64)]
                .map(|id| json!(id))
                .into(),
            bad: [
                "",
                "ab",
                "Abc",
                ".ab",
                "-ab",
                "_ab",
                "a b",
                "a/b",
                "abc\n",
                "äbc",
                "../x",
                &"a".repeat(65),
            ]
            .map(|id| json!(id))
            .into(),
        },
        Bound {
            place: "/name",
            good: vec![chars(1), chars(128)],
            bad: vec![chars(0), chars(129)],
        },
        Bound {
            place: "/vendor",
            good: vec![chars(1), chars(128)],
            bad: vec![chars(0), chars(129)],
        },
        Bound {
            place: "/description",
            good: vec![chars(0), chars(1024)],
            bad: vec![chars(1025)],
        },
        Bound {
            place: "/limits/max_bytes",
            good: vec![json!(1)],
            bad: vec![json!(0), json!(-1), json!(1.5)],
        },
        Bound {
            place: "/limits/max_ms",
            good: vec![json!(100), json!(60_000)],
            bad: vec![json!(99), json!(0), json!(100.5)],
        },
        Bound {
            place: "/limits/max_concurrency",
            good: vec![json!(1), json!(100)],
            bad: vec![json!(0), json!(101)],
        },
        Bound {
            place: "/io/inputs/0/limits/max_bytes",
            good: vec![json!(1)],
            bad: vec![json!(0)],
        },
        Bound {
            place: "/io/outputs/0/limits/max_bytes",
            good: vec![json!(1)],
            bad: vec![json!(0)],
        },
        Bound {
            place: "/io/inputs/0/schema_ref",
            good: vec![json!("x")],
            bad: vec![json!("")],
        },
        Bound {
            place: "/io/outputs/0/schema_ref",
            good: vec![json!("x")],
            bad: vec![json!("")],
        },
        Bound {
            place: "/io/inputs/0/kind",
            good: vec![json!("text")],
            bad: vec![json!("Text"), json!("file"), json!("")],
        },
        Bound {
            place: "/determinism/mode",
            good: vec![json!("deterministic"), json!("probabilistic")],
            bad: vec![json!("Deterministic"), json!("random"), json!("")],
        },
        Bound {
            place: "/evidence/log_level",
            good: vec![json!("full"), json!("summary"), json!("minimal")],
            bad: vec![json!("none"), json!("FULL"), json!("")],
        },
        Bound {
            place: "/evidence/redactions",
            good: vec![
                json!([]),
                json!(["/payload/content"]),
                json!(["/context/a~0b~1c"]),
            ],
            bad: vec![
                json!([1]),
                json!(["payload"]),
                json!(["/secret"]),
                json!(["/a~2"]),
                json!(["/a~"]),
            ],
        },
        Bound {
            place: "/entrypoint/type",
            good: vec![json!("process")],
            bad: vec![json!("thread"), json!("wasm")],
        },
    ];
    for Bound { place, good, bad } in bounds {
        for value in good {
            accepted(&with(full(), place, value));
        }
        for value in bad {
            let report = validate(&with(full(), place, value.clone()));
            assert_eq!(report["valid"], false, "{place} = {value}");
            assert!(
                error_fields(&report)
                    .iter()
                    .any(|field| field.starts_with(place)),
                "{place} = {value}: {report}"
            );
        }
    }
}

/// "`command[0]` is a path inside the package, or one of the operator's runtimes … followed by a path inside the
/// package — or the older form `{"type":"worker","file":"dist/worker.js","export":"handleRequest"}`"
#[test]
fn inv_pnp_04_an_entrypoint_never_leaves_the_package() {
    let process = |command: Value| {
        with(
            full(),
            "/entrypoint",
            json!({ "type": "process", "command": command }),
        )
    };
    let worker = |file: &str, export: &str| {
        with(
            full(),
            "/entrypoint",
            json!({ "type": "worker", "file": file, "export": export }),
        )
    };
    accepted(&process(json!(["./program"])));
    accepted(&process(json!(["bin/program", "--flag"])));
    accepted(&process(json!(["python3", "main.py"])));
    accepted(&worker("dist/worker.js", "handleRequest"));
    for command in [
        json!([]),
        json!([""]),
        json!(["/bin/sh"]),
        json!(["../program"]),
        json!(["./a/../../b"]),
        json!(["./a//b"]),
        json!(["./plugin.sig"]),
        json!(["python3", "/etc/passwd"]),
        json!(["python3", "../main.py"]),
        json!(["Python 3", "main.py"]),
        json!(["./program", 1]),
    ] {
        let report = validate(&process(command.clone()));
        assert_eq!(report["valid"], false, "{command}");
        assert!(
            error_fields(&report)[0].starts_with("/entrypoint/command"),
            "{report}"
        );
    }
    for (file, export) in [
        ("/worker.js", "f"),
        ("../worker.js", "f"),
        ("", "f"),
        ("w.js", ""),
        ("w.js", "a-b"),
        ("w.js", "x;y"),
    ] {
        let report = validate(&worker(file, export));
        assert_eq!(report["valid"], false, "{file} {export}");
        assert!(
            error_fields(&report)[0].starts_with("/entrypoint/"),
            "{report}"
        );
    }
    let both = json!({ "type": "process", "command": ["./a"], "file": "w.js", "export": "f" });
    refused_at(&with(full(), "/entrypoint", both), "/entrypoint/file");
}
