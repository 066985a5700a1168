//! Where the state is found, and keys and signatures.

use super::*;

/// "`init` | makes the state folder …; again: says so, changes nothing"
#[test]
fn inv_pnp_01_init_makes_a_state_once() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("a/b/state");
    let say = |arguments: &[&str]| {
        bare(
            [OsStr::new("--state"), state.as_os_str()]
                .into_iter()
                .chain(arguments.iter().map(OsStr::new)),
        )
    };

    let message = error_of(&say(&["--json", "list"]), 2, "usage");
    assert!(message.contains(state.to_str().unwrap()), "{message}");
    assert!(
        say(&["--json", "list"]).stdout.contains("init"),
        "the hint says what to do"
    );
    let made = say(&["--json", "init"]).expect(0).json();
    assert_eq!(made["created"], true);
    let again = say(&["--json", "init"]).expect(0).json();
    assert_eq!(again["created"], false);
    assert!(say(&["init"]).expect(0).stdout.contains("already"));
    assert_eq!(say(&["--json", "list"]).expect(0).json(), json!([]));
    assert_eq!(
        say(&["--json", "trust", "list"]).expect(0).json(),
        json!([])
    );
    let verified = say(&["--json", "ledger", "verify"]).expect(0).json();
    assert_eq!(
        verified,
        json!({ "valid": true, "events": 0, "bytes": 0, "head": "", "broken_at": null, "reason": "" })
    );
    let mode = fs::metadata(&state).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "the state is its owner's alone");
}

/// The next command works on the same state: it names the folder where the command line did, and only there.
#[test]
fn inv_pnp_01_the_next_command_names_the_state() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("my state");
    let say = |by_option: bool, words: &[&str]| {
        let mut command = Command::new(binary());
        if by_option {
            command.arg("--state").arg(&state);
        } else {
            command.env("PLUGIN_GATEWAY_STATE", &state);
        }
        command.args(words);
        let said = finish(command, b"");
        format!("{}{}", said.stdout, said.stderr)
    };
    say(true, &["init"]);
    for (words, next) in [
        (vec!["list"], "register PACKAGE"),
        (vec!["trust", "list"], "trust add FILE.pub"),
        (vec!["enable", "p.none"], "list"),
        (vec!["invoke", "p.none", "--text", "x"], "enable p.none"),
    ] {
        let said = say(true, &words);
        let named = format!("`plugin-gateway {next} --state '{}'`", state.display());
        assert!(said.contains(&named), "{named}: {said}");
        let said = say(false, &words);
        let plain = format!("`plugin-gateway {next}`");
        assert!(said.contains(&plain), "{plain}: {said}");
    }
}

/// "`--state DIR` (default `$PLUGIN_GATEWAY_STATE`, else the XDG state folder)"
#[test]
fn inv_pnp_01_the_state_is_found_where_it_is_said_to_be() {
    let folder = TempDir::new().unwrap();
    let init = |change: &dyn Fn(&mut Command)| {
        let mut command = Command::new(binary());
        command
            .args(["--json", "init"])
            .env_clear()
            .env("HOME", folder.path().join("home"));
        change(&mut command);
        finish(command, b"").expect(0).json()["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(init(&|_| {}), path("home/.local/state/plugin-gateway"));
    let xdg = |command: &mut Command| {
        command.env("XDG_STATE_HOME", path("xdg"));
    };
    assert_eq!(init(&xdg), path("xdg/plugin-gateway"));
    let named = |command: &mut Command| {
        xdg(command);
        command.env("PLUGIN_GATEWAY_STATE", path("named"));
    };
    assert_eq!(init(&named), path("named"));
    let given = |command: &mut Command| {
        named(command);
        command.args(["--state", &path("given")]);
    };
    assert_eq!(init(&given), path("given"));
}

/// "Private keys are PKCS#8 PEM files (mode 0600), public keys SPKI PEM (`FILE.pub` beside `FILE`); OpenSSL reads both. A key's id is
/// the first 16 hex digits of SHA-256 of its 32 raw bytes. `plugin.sig` is `{"algorithm":"ed25519","key_id":…,"signature":base64}` over
/// the bytes `plugin-gateway/package/1\n<package digest>\n`."
#[test]
fn inv_pnp_10_keys_and_signatures_are_those_that_openssl_knows() {
    let host = Host::new();
    let key = host.key();
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(
        fs::read_to_string(&key)
            .unwrap()
            .starts_with("-----BEGIN PRIVATE KEY-----\n")
    );
    assert!(
        fs::read_to_string(host.public_key())
            .unwrap()
            .starts_with("-----BEGIN PUBLIC KEY-----\n")
    );
    let folder = host.lay_out(&quiet("p.test.signed"));
    let signed = host
        .say([
            "--json",
            "sign",
            folder.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
        ])
        .expect(0)
        .json();
    let signature: Value =
        serde_json::from_slice(&fs::read(folder.join("plugin.sig")).unwrap()).unwrap();
    assert_eq!(
        names(&signature),
        ["algorithm", "files", "key_id", "signature"]
    );
    assert_eq!(
        (&signature["algorithm"], &signature["key_id"]),
        (&json!("ed25519"), &signed["key_id"])
    );
    let listed = |path: &str, bytes: &[u8], mode: &str| json!({ "path": path, "mode": mode, "sha256": sha256(bytes) });
    let bytes_of = |name: &str| fs::read(folder.join(name)).unwrap();
    let mode = "regular";
    let list = json!([
        listed("plugin.json", &bytes_of("plugin.json"), mode),
        listed("script", &bytes_of("script"), mode)
    ]);
    let digest = signed["package_digest"].as_str().unwrap();
    assert_eq!(digest, hash(&list), "{list}");

    // A second key never lands on the first.
    let said = host.say(["--json", "keygen", "--out", key.to_str().unwrap()]);
    assert!(error_of(&said, 2, "usage").contains("never overwritten"));

    if !Command::new("openssl")
        .arg("version")
        .output()
        .is_ok_and(|out| out.status.success())
    {
        skip("openssl is not installed");
        return;
    }
    let openssl = |arguments: &[&str], files: &[&Path], input: &[u8]| {
        let mut command = Command::new("openssl");
        command.args(arguments).args(files);
        finish(command, input)
    };
    let text = openssl(&["pkey", "-noout", "-text", "-in"], &[&key], b"")
        .expect(0)
        .stdout;
    assert!(text.contains("ED25519"), "{text}");
    let raw_of = |mark: &str| -> Vec<u8> {
        let (_, rest) = text.split_once(mark).unwrap();
        let hex: String = rest
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with(' '))
            .flat_map(|line| line.chars())
            .filter(char::is_ascii_hexdigit)
            .collect();
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    let raw = raw_of("pub:");
    assert_eq!(raw.len(), 32);
    assert_eq!(signature["key_id"], sha256(&raw)[..16]);

    let message = host.folder().join("message");
    fs::write(&message, format!("plugin-gateway/package/1\n{digest}\n")).unwrap();
    let raw_signature = host.folder().join("signature");
    let decoded = openssl(
        &["base64", "-d", "-A", "-out"],
        &[&raw_signature],
        signature["signature"].as_str().unwrap().as_bytes(),
    );
    decoded.expect(0);
    let verify = |message: &Path| {
        let mut command = Command::new("openssl");
        command
            .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"])
            .arg(host.public_key());
        command
            .arg("-in")
            .arg(message)
            .arg("-sigfile")
            .arg(&raw_signature);
        finish(command, b"").code
    };
    assert_eq!(verify(&message), 0, "OpenSSL verifies it");
    fs::write(&message, format!("plugin-gateway/package/1\n{digest}")).unwrap();
    assert_ne!(verify(&message), 0, "and nothing else");

    // The other way round: a key that OpenSSL made signs here.
    let made = host.folder().join("made.key");
    openssl(&["genpkey", "-algorithm", "ed25519", "-out"], &[&made], b"").expect(0);
    let public = host.folder().join("made.pub");
    let mut command = Command::new("openssl");
    command
        .args(["pkey", "-pubout", "-in"])
        .arg(&made)
        .arg("-out")
        .arg(&public);
    finish(command, b"").expect(0);
    host.say(["trust", "add", public.to_str().unwrap()])
        .expect(0);
    host.say([
        "sign",
        folder.to_str().unwrap(),
        "--key",
        made.to_str().unwrap(),
    ])
    .expect(0);
    host.register(&folder).expect(0);
}

/// "Ed25519": other keys, and files that are no keys, are refused with words. Exit code 1: "invalid".
#[test]
fn inv_pnp_10_what_is_no_key_is_refused() {
    let host = Host::new();
    let folder = host.lay_out(&quiet("p.test.keys"));
    let file = host.folder().join("bad.key");
    let private = fs::read_to_string(host.key()).unwrap();
    let public = fs::read_to_string(host.public_key()).unwrap();
    let cut = |text: &str| text.replacen('M', "", 1);
    let bad = [
        String::new(),
        "hello".to_owned(),
        "\0".repeat(1000),
        cut(&private),
        cut(&public),
        "A".repeat(1 << 20),
    ];
    for content in &bad {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let said = host.say(["--json", "trust", "add", file.to_str().unwrap()]);
        error_of(&said, 1, "invalid");
        let said = host.say([
            "--json",
            "sign",
            folder.to_str().unwrap(),
            "--key",
            file.to_str().unwrap(),
        ]);
        error_of(&said, 1, "invalid");
    }
    // The halves are not mistaken for one another, and a private key is never taken in.
    error_of(
        &host.say(["--json", "trust", "add", host.key().to_str().unwrap()]),
        1,
        "invalid",
    );
    error_of(
        &host.say([
            "--json",
            "sign",
            folder.to_str().unwrap(),
            "--key",
            host.public_key().to_str().unwrap(),
        ]),
        1,
        "invalid",
    );
    assert!(!folder.join("plugin.sig").exists());
    assert_eq!(
        host.events().len(),
        1,
        "only the first key was ever trusted"
    );
}
