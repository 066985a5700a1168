//! What a plugin answers, held against its contract.

use super::*;

/// A parrot in a gateway of its own.
struct Cage {
    gateway: Gateway,
    _host: Host,
}

const PARROT: &str = "p.test.parrot";

impl Cage {
    fn new() -> Self {
        Self::of(parrot::package(PARROT))
    }

    fn of(package: Package) -> Self {
        let host = Host::new();
        host.install(&package);
        Self {
            gateway: open(&host),
            _host: host,
        }
    }

    fn hear(&self, bytes: impl AsRef<[u8]>) -> Answered {
        let answered = call(&self.gateway, PARROT, &request(parrot::saying(bytes)));
        assert!(answered.reached_the_plugin(), "{answered:?}");
        answered
    }
}

fn ok(result: &Value) -> String {
    parrot::answer("request-1", "ok", result, "")
}

/// "`ok` only for a valid answer." "(its newline may be missing when it closes stdout)" "`notes` may be left out; any `plugin_id`,
/// `evidence_hashes`, `duration_ms` in it are ignored."
#[test]
fn inv_pnp_04_a_valid_answer_is_taken_and_hashed_by_the_gateway_itself() {
    let cage = Cage::new();
    let result = data(
        "any/1",
        json!({ "é": ["\u{1}", "\u{20ac}", null, true, -7], "a": {} }),
    );
    let without_notes = json!({ "type": "result", "response": { "request_id": "request-1", "status": "ok", "result": result } });
    let with_lies = json!({ "type": "result", "response": {
        "request_id": "request-1", "status": "ok", "result": result, "notes": "",
        "plugin_id": "p.someone.else", "duration_ms": -1, "evidence_hashes": { "input_hash": "x", "output_hash": "y" }
    } });
    let lines = [
        ok(&result),
        ok(&result).trim_end().to_owned(),
        format!("  {without_notes}\n"),
        with_lies.to_string(),
    ];
    for line in lines {
        let answered = cage.hear(&line);
        assert_eq!(answered.status(), "ok", "{line}: {answered:?}");
        assert_eq!(answered.response["result"], result);
        assert_eq!(answered.response["plugin_id"], PARROT);
        let hashes = &answered.response["evidence_hashes"];
        assert_eq!(
            hashes["output_hash"],
            campaigns::canonical::hash(&result).as_str()
        );
        assert_eq!(
            hashes["input_hash"],
            campaigns::canonical::hash(&parrot::saying(&line)).as_str()
        );
        assert!(answered.response["duration_ms"].is_u64());
        assert_eq!(answered.event["kind"], "RESULT");
    }
}

/// "`rejected`: … an answer the gateway cannot accept (schema, kind not declared in `io.outputs`, too large, more than one line,
/// not UTF-8, wrong `request_id`)"
#[test]
fn inv_pnp_04_an_answer_that_cannot_be_accepted_is_rejected_and_gives_no_result() {
    let cage = Cage::new();
    let fine = data("any/1", json!({}));
    let response =
        json!({ "request_id": "request-1", "status": "ok", "result": fine, "notes": "" });
    let message = |response: Value| json!({ "type": "result", "response": response }).to_string();
    let changed = |place: &str, value: Value| message(with(response.clone(), place, value));
    let refused_answers: Vec<(&str, Vec<u8>)> = vec![
        ("another request", changed("/request_id", json!("request-2")).into()),
        ("no request", message(without(response.clone(), "/request_id")).into()),
        ("kind not declared", changed("/result", json!({ "kind": "dataset_slice", "slice_ids": ["a"], "source": "s", "filters": {} })).into()),
        ("unknown kind", changed("/result/kind", json!("file")).into()),
        ("no payload", changed("/result", json!({ "answer": 42 })).into()),
        ("ok without result", changed("/result", json!(null)).into()),
        ("unknown status", changed("/status", json!("fine")).into()),
        ("a status that is the gateway's to give", changed("/status", json!("timeout")).into()),
        ("unknown field", changed("/extra", json!(1)).into()),
        ("notes of another type", changed("/notes", json!(7)).into()),
        ("another type of message", with(json!({ "type": "result", "response": response }), "/type", json!("invoke")).to_string().into()),
        ("no message", response.to_string().into()),
        ("two lines", format!("{}{}", ok(&fine), ok(&fine)).into()),
        ("a line and a half", format!("{}{{", ok(&fine)).into()),
        ("not UTF-8", [&b"\xff\xfe"[..], ok(&fine).as_bytes()].concat()),
        ("not JSON", b"hello\n".to_vec()),
        ("zeros", vec![0; 100]),
    ];
    for (name, bytes) in refused_answers {
        let answered = cage.hear(&bytes);
        refused(&answered, &[]);
        assert!(!answered.notes().is_empty(), "{name} is explained");
        assert_eq!(answered.event["output_hash"], "", "{name}");
    }
    // Nothing at all is no answer: "`error`: the plugin crashed, exited without an answer".
    for nothing in ["", "\n", " \r\n\n\t"] {
        let answered = cage.hear(nothing);
        assert_eq!(answered.status(), "error", "{answered:?}");
        assert!(answered.notes().contains("flush"), "{answered:?}");
        assert_eq!(answered.event["meta"]["cause"], "exit");
    }
}

/// "Anything more on stdout is a rejection, but blank lines are nothing; its words quote the first 200 bytes of what was there."
#[test]
fn inv_pnp_04_blank_lines_around_an_answer_are_nothing_and_other_output_is_quoted() {
    let cage = Cage::new();
    let fine = ok(&data("any/1", json!({})));
    for blank in ["\n", "\n\n\r\n", " \t\n"] {
        for around in [
            format!("{blank}{fine}"),
            format!("{fine}{blank}"),
            format!("{blank}{fine}{blank} "),
        ] {
            let answered = cage.hear(&around);
            assert_eq!(answered.status(), "ok", "{around:?}: {answered:?}");
        }
    }
    for (output, quoted) in [
        (format!("Loading model\n{fine}"), "\"Loading model\\n"),
        (format!("{fine}\ndone\u{1b}[2J\n"), "\"done\u{fffd}[2J\\n\""),
        ("hello\n".to_owned(), "\"hello\""),
        (format!("{fine}{}", "\n".repeat(5000)), "blank lines"),
    ] {
        let answered = cage.hear(&output);
        refused(&answered, &[quoted, "stderr"]);
        let kept = answered.event.to_string();
        assert!(
            !kept.contains("Loading") && !kept.contains("done"),
            "{kept}"
        );
    }
}

/// The JSON rules again, "the same at every door (manifest, request, answer, …)".
#[test]
fn inv_pnp_04_the_json_rules_hold_for_answers() {
    let cage = Cage::new();
    let inside = ok(&data("any/1", json!({ "x": "@" })))
        .trim_end()
        .replace("\"@\"", "@");
    let taken = cage.hear(inside.replace('@', "9007199254740991"));
    assert_eq!(taken.status(), "ok", "{taken:?}");
    for (name, bytes, word) in unreadable(&inside) {
        if name == "empty" {
            continue;
        }
        let answered = cage.hear(&bytes);
        refused(&answered, &[]);
        // Bytes with a newline among them are refused for that first.
        assert!(
            bytes.contains(&b'\n') || answered.notes().contains(word),
            "{name}: {answered:?}"
        );
    }
}

/// "validated against it both ways"; "the `io` limits bound each payload's canonical bytes"; "`limits.max_bytes` bounds … the answer line"
#[test]
fn inv_pnp_04_answers_are_held_against_schema_and_size_to_the_byte() {
    let schema = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } });
    let cage = Cage::of(
        parrot::package(PARROT)
            .with(|manifest| manifest["schemas"] = json!({ "any/1": "s.json" }))
            .file("s.json", schema.to_string().as_bytes(), 0o644),
    );
    assert_eq!(
        cage.hear(ok(&data("any/1", json!({ "n": 1 })))).status(),
        "ok"
    );
    refused(&cage.hear(ok(&data("any/1", json!({ "n": "1" })))), &["/n"]);
    refused(
        &cage.hear(ok(&data("other/1", json!({ "n": 1 })))),
        &["other/1"],
    );

    let sized = |bytes: usize| {
        let empty = campaigns::canonical::canonical(&text("")).len();
        text(&"x".repeat(bytes - empty))
    };
    assert_eq!(cage.hear(ok(&sized(1024))).status(), "ok");
    refused(&cage.hear(ok(&sized(1025))), &["1025", "1024"]);

    // Blanks before the answer make its line longer and leave its payload as it is.
    let limit = 300_000;
    let answer = ok(&data("any/1", json!({ "n": 1 })));
    let padded = |bytes: usize| {
        let blanks = bytes - answer.trim_end().len();
        let payload = parrot::saying_after_blanks(blanks, &answer);
        call(&cage.gateway, PARROT, &request(payload))
    };
    assert_eq!(padded(limit).status(), "ok");
    refused(&padded(limit + 1), &["max_bytes", &limit.to_string()]);
}

/// "A result whose `schema_ref` is not declared in `io.outputs` is rejected", also where the package has no schemas.
#[test]
fn inv_pnp_04_a_result_names_a_declared_schema() {
    let cage = Cage::new();
    assert_eq!(cage.hear(ok(&data("any/1", json!({})))).status(), "ok");
    for name in ["any/2", "text/1", "Any/1"] {
        let answered = cage.hear(ok(&data(name, json!({}))));
        refused(&answered, &[name, "io.outputs", "use any/1"]);
    }
}

/// "A schema whose root requires both `kind` and `data` describes the whole payload (the older OMEGA form)"; patterns have ECMAScript's meaning.
#[test]
fn inv_pnp_04_a_schema_of_the_older_form_and_its_patterns_hold() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object", "required": ["kind", "data"],
        "properties": { "kind": { "const": "json" }, "data": { "$ref": "#/definitions/Named%3Cstring%3E" } },
        "definitions": { "Named<string>": {
            "required": ["name"],
            "properties": { "name": { "type": "string", "pattern": "^(?!test)\\bcaf\\b" }, "n": { "maximum": i64::MAX } }
        } }
    });
    let cage = Cage::of(
        parrot::package(PARROT)
            .with(|manifest| manifest["schemas"] = json!({ "any/1": "s.json" }))
            .file("s.json", schema.to_string().as_bytes(), 0o644),
    );
    let named = |name: &str| cage.hear(ok(&data("any/1", json!({ "name": name, "n": 1 }))));
    assert_eq!(
        named("caf\u{e9}").status(),
        "ok",
        "an accented letter ends a word"
    );
    refused(&named("cafe"), &["/data/name"]);
    refused(&named("test caf"), &["/data/name"]);
}

/// "or the plugin's own `rejected`. `error`: the plugin … answered `error`."
#[test]
fn inv_pnp_04_a_plugins_own_no_is_passed_on_without_a_result() {
    let cage = Cage::new();
    for (status, kind) in [("rejected", "REJECT"), ("error", "ERROR")] {
        let answered = cage.hear(parrot::answer(
            "request-1",
            status,
            &Value::Null,
            "I will not",
        ));
        assert_eq!(answered.status(), status);
        assert_eq!(answered.notes(), "I will not");
        assert_eq!(answered.event["kind"], kind);
        let answered = cage.hear(parrot::answer(
            "request-1",
            status,
            &data("any/1", json!({})),
            "no",
        ));
        assert_eq!(
            (answered.status(), &answered.response["result"]),
            (status, &Value::Null)
        );
    }
}
