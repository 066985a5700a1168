//! Input of every bad kind, and text that must not steer a terminal.

use super::*;

/// Whatever comes in as a request: exit code 1 with a message, or 2 for a file that is not there; never a panic, never a hang.
#[test]
fn inv_pnp_10_input_of_every_bad_kind_gives_a_message() {
    let host = Host::new();
    let id = host.install(&quiet("p.test.input"));
    let huge_text = request(text(&"x".repeat(2_000_000)))
        .to_string()
        .into_bytes();
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("text", b"hello".to_vec()),
        ("half", b"{\"kind\":\"text\",".to_vec()),
        ("binary", (0..=255).cycle().take(100_000).collect()),
        ("zeros", vec![0; 100_000]),
        (
            "an endless string",
            [b"\"".to_vec(), vec![b'x'; 3_000_000]].concat(),
        ),
        ("deep", vec![b'['; 3_000_000]),
        ("a huge text", huge_text),
        ("beyond all bounds", vec![b' '; 64 * 1024 * 1024 + 1]),
        ("a number", b"7".to_vec()),
        ("null", b"null".to_vec()),
        ("an array", b"[{}]".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("a payload of no kind", b"{\"kind\":\"\"}".to_vec()),
        (
            "a manifest",
            campaigns::package::manifest("p.test.x", &["./x"])
                .to_string()
                .into_bytes(),
        ),
    ];
    for (name, bytes) in &bad {
        let said = host
            .say_with(["--json", "invoke", &id, "--input", "-"], bytes)
            .expect(1);
        let document = said.json();
        let message = document
            .pointer("/error/message")
            .or(document.get("notes"))
            .and_then(Value::as_str)
            .unwrap();
        assert!(message.contains("Invalid request"), "{name}: {message}");
        assert!(
            message.len() < 2000,
            "{name}: a message is for people: {}",
            message.len()
        );
        assert!(said.stderr.is_empty(), "{name}: {}", said.stderr);
        let said = host
            .say_with(["invoke", &id, "--input", "-"], bytes)
            .expect(1);
        assert!(!said.stderr.contains("panicked"), "{name}: {said:?}");
    }
    assert!(host.events().iter().all(|event| event["kind"] != "INVOKE"));
    let missing = host.say(["--json", "invoke", &id, "--input", "/does/not/exist"]);
    assert!(error_of(&missing, 2, "usage").contains("/does/not/exist"));
    let folder = host.say(["--json", "invoke", &id, "--input", "/"]);
    assert_ne!(folder.code, 0);
    assert!(
        folder.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("'/'"),
        "{folder:?}"
    );
    host.verified();
}

/// Paths and words that are no UTF-8, or empty, are refused like any other.
#[test]
fn inv_pnp_10_arguments_of_every_bad_kind_give_a_message() {
    let host = Host::new();
    let odd = OsString::from_vec(vec![b'/', 0xff, 0xfe]);
    for verb in ["validate", "register", "run", "show", "enable"] {
        let said = host.say([OsStr::new("--json"), OsStr::new(verb), &odd]);
        assert!((1..=2).contains(&said.code), "{verb}: {said:?}");
        assert!(
            said.stdout.contains("error") && !said.stderr.contains("panicked"),
            "{verb}: {said:?}"
        );
    }
    let long = "a".repeat(100_000);
    for arguments in [
        ["enable", &long],
        ["validate", &long],
        ["register", ""],
        ["show", ""],
        ["validate", ""],
    ] {
        let said = host.say(["--json"].iter().chain(&arguments));
        assert!(
            said.code != 0 && !said.stderr.contains("panicked"),
            "{said:?}"
        );
        let document = said.json();
        assert!(
            !document["error"]["message"].as_str().unwrap().is_empty(),
            "{said:?}"
        );
    }
}

/// Names that strangers chose never move a terminal's cursor.
#[test]
fn inv_pnp_08_foreign_text_does_not_steer_the_terminal() {
    let host = Host::new();
    let id = host.install(
        &quiet("p.test.loud").with(|manifest| manifest["name"] = json!("\u{1b}[2Jgone\r\u{7}")),
    );
    let crash = "echo '\u{1b}]0;title\u{7}' >&2\nexit 3\n";
    let noisy = host.install(&Package::script("p.test.noisy", "sh", crash));
    let request_id = with(request(text("x")), "/request_id", json!("\u{1b}[31m"));
    let file = host.folder().join("request.json");
    fs::write(&file, request_id.to_string()).unwrap();
    let said = [
        host.say(["list"]),
        host.say(["show", &id]),
        host.say(["invoke", &noisy, "--input", file.to_str().unwrap()]),
        host.say(["invoke", "\u{1b}[31m", "--text", "x"]),
        host.say(["ledger", "tail"]),
        host.say(["-v", "invoke", &noisy, "--text", "x"]),
    ];
    let shows_stderr = said.iter().any(|said| said.stderr.contains("title"));
    assert!(
        shows_stderr,
        "\"stderr …: its tail shown by the CLI\": {said:#?}"
    );
    for said in said {
        let all = said.stdout + &said.stderr;
        assert!(
            all.chars()
                .all(|c| c == '\n' || c == '\t' || !c.is_control()),
            "{all:?}"
        );
    }
}

/// "People's words go to stderr or, without `--json`, to stdout"; "`-q`, `-v`".
#[test]
fn inv_pnp_01_words_for_people_and_for_programs_are_kept_apart() {
    let host = Host::new();
    let id = host.install(&Package::script(
        "p.test.talks",
        "sh",
        "echo 'a word on the side' >&2\nexit 3\n",
    ));
    let json = host.say(["--json", "invoke", &id, "--text", "x"]).expect(1);
    json.json();
    assert!(json.stderr.contains("a word on the side"), "{json:?}");
    let plain = host.say(["invoke", &id, "--text", "x"]).expect(1);
    assert!(
        plain.stdout.starts_with("error in ") && plain.stderr.contains("a word on the side"),
        "{plain:?}"
    );
    let quiet = host.say(["-q", "invoke", &id, "--text", "x"]).expect(1);
    assert!(
        quiet.stdout.starts_with("error in ") && quiet.stderr.is_empty(),
        "{quiet:?}"
    );
    let verbose = host.say(["-v", "invoke", &id, "--text", "x"]).expect(1);
    assert!(verbose.stderr.contains("layers: "), "{verbose:?}");
    assert!(
        host.say(["list"]).expect(0).stdout.contains("PLUGIN"),
        "a table with a head"
    );
}

/// A reader that leaves is no failure: "0 done", and nothing is said.
#[test]
fn inv_pnp_10_a_closed_pipe_is_no_failure() {
    let host = Host::new();
    for id in 0..20 {
        host.ask(&format!("p.test.nobody-{id}"), "x");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = host
        .command()
        .args(["--json", "ledger", "tail", "-n", "1000"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut words).unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), words.as_str()),
        (Some(0), "")
    );
}

/// "`trust add|list|remove`": idempotent, and a key that was never trusted cannot be removed: exit code 1, "the answer is no".
#[test]
fn inv_pnp_10_trust_verbs_say_what_changed() {
    let host = Host::new();
    let public = host.public_key();
    let again = host
        .say(["--json", "trust", "add", public.to_str().unwrap()])
        .expect(0)
        .json();
    assert_eq!(
        (&again["trusted"], &again["changed"]),
        (&json!(true), &json!(false))
    );
    let key = again["key_id"].as_str().unwrap().to_owned();
    let removed = host
        .say(["--json", "trust", "remove", &key])
        .expect(0)
        .json();
    assert_eq!(
        (&removed["trusted"], &removed["changed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        host.say(["--json", "trust", "remove", &key])
            .expect(0)
            .json()["changed"],
        false
    );
    assert_eq!(
        host.say(["--json", "trust", "list"]).expect(0).json()[0]["trusted"],
        false
    );
    error_of(
        &host.say(["--json", "trust", "remove", "0000000000000000"]),
        1,
        "not_found",
    );
    host.verified();
}

/// `run` judges like `register` and `invoke`: a package that is not valid is refused with every finding. Exit code 1.
#[test]
fn inv_pnp_01_run_refuses_what_could_not_be_registered() {
    let host = Host::new();
    let bad = host.lay_out(
        &quiet("p.test.bad").with(|manifest| manifest["capabilities"] = json!(["env_access"])),
    );
    let said = host.say(["--json", "run", bad.to_str().unwrap(), "--text", "x"]);
    assert!(error_of(&said, 1, "invalid").contains("Forbidden capability declared: env_access"));
    let fine = host.lay_out(&quiet("p.test.fine"));
    let said = host.say(["--json", "run", fine.to_str().unwrap(), "--input", "-"]);
    assert!(said.stdout.contains("Invalid request"), "{said:?}");
    let said = host.say_with(
        ["--json", "run", fine.to_str().unwrap(), "--input", "-"],
        data("any/1", json!({})).to_string().as_bytes(),
    );
    assert_eq!(
        (said.code, &said.json()["status"]),
        (1, &json!("rejected")),
        "{said:?}"
    );
}
