//! Keys and signatures, held against OpenSSL where it is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use plugin_protocol::digest::{KeyId, PackageDigest};

use super::super::signature::signed_bytes;
use super::*;

/// Whether OpenSSL is installed; where it is not, the tests that need it say that they are skipped.
fn openssl(args: &[&str]) -> Option<std::process::Output> {
    match Command::new("openssl").args(args).output() {
        Ok(output) => Some(output),
        Err(_) => {
            skip::skip("openssl is not installed");
            None
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// "Private keys are PKCS#8 PEM files (mode 0600), public keys SPKI PEM (`FILE.pub` beside `FILE`)"
#[test]
fn keygen_writes_a_pair_and_never_over_one() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("dev.key");
    let public = keygen(&out).unwrap();
    assert_eq!(
        fs::metadata(&out).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(SigningKey::read(&out).unwrap().public(), public);
    assert_eq!(
        PublicKey::read(&dir.path().join("dev.key.pub")).unwrap(),
        public
    );
    let before = fs::read(&out).unwrap();
    assert!(matches!(keygen(&out), Err(Error::KeyExists(_))));
    fs::remove_file(&out).unwrap();
    assert!(
        matches!(keygen(&out), Err(Error::KeyExists(_))),
        "the .pub alone stands in the way"
    );
    assert!(!out.exists() && !before.is_empty());
}

/// "A key's id is the first 16 hex digits of SHA-256 of its 32 raw bytes."
#[test]
fn key_ids_are_hashes_of_raw_bytes() {
    let key = SigningKey::generate().unwrap().public();
    let hash = plugin_protocol::digest::FileHash::of(key.raw()).to_string();
    assert_eq!(key.id().to_string(), hash[..16]);
}

#[test]
fn foreign_and_weak_keys_are_refused_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("k");
    keygen(&out).unwrap();
    let private = fs::read_to_string(&out).unwrap();
    let wrong_half = PublicKey::from_text(&private).unwrap_err().to_string();
    assert!(wrong_half.contains(".pub"), "{wrong_half}");
    assert!(PublicKey::from_text("").is_err());
    assert!(SigningKey::read(&dir.path().join("k.pub")).is_err());
    // Under the neutral element, a forged signature verifies.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert!(
        PublicKey::from_raw(&neutral)
            .unwrap_err()
            .to_string()
            .contains("weak")
    );
}

/// "over the bytes `plugin-gateway/package/1\n<package digest>\n`"
#[test]
fn signatures_cover_the_digest_and_nothing_else() {
    let key = SigningKey::generate().unwrap();
    let digest = PackageDigest::of(b"a");
    let signature = key.sign(digest);
    assert!(key.public().verifies(digest, &signature));
    assert!(!key.public().verifies(PackageDigest::of(b"b"), &signature));
    let other = SigningKey::generate().unwrap().public();
    assert!(!other.verifies(digest, &signature));
    let mut flipped = *signature.as_bytes();
    flipped[5] ^= 1;
    assert!(
        !key.public()
            .verifies(digest, &Signature::new(key.public().id(), flipped))
    );
    let expected = format!("plugin-gateway/package/1\n{digest}\n");
    assert_eq!(signed_bytes(digest), expected.as_bytes());
}

#[test]
fn only_the_contracts_form_is_a_signature() {
    let signature = SigningKey::generate()
        .unwrap()
        .sign(PackageDigest::of(b"a"));
    let file = signature.to_file_bytes();
    assert_eq!(Signature::parse(&file), Ok(signature.clone()));
    let good = String::from_utf8(file).unwrap();
    let key_id = signature.key_id().to_string();
    let bad = [
        String::new(),
        "null".to_owned(),
        good.replace("ed25519", "rsa"),
        good.replace("algorithm", "alg"),
        good.replace("{", "{\"extra\":1,"),
        good.replace("{", "{\"key_id\":\"0000000000000000\","),
        good.replace("==", ""),
        good.replace("\"signature\":\"", "\"signature\":\"AAAA"),
        good.replace(
            &key_id,
            &key_id.to_uppercase().replace(char::is_numeric, "A"),
        ),
        format!("{good}{good}"),
        format!("{}{good}", " ".repeat(32 << 20)),
        good.replace("{", "{\"files\":7,"),
    ];
    for bad in bad {
        let judged = Signature::parse(bad.as_bytes());
        assert!(matches!(judged, Err(SignatureFault::Malformed(_))), "{bad}");
    }
}

/// "OpenSSL reads both."
#[test]
fn openssl_reads_our_keys() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("k");
    let public = keygen(&out).unwrap();
    let Some(read) = openssl(&["pkey", "-in", text(&out), "-pubout"]) else {
        return;
    };
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    assert_eq!(
        PublicKey::from_text(&String::from_utf8(read.stdout).unwrap()).unwrap(),
        public
    );
    let read = openssl(&[
        "pkey",
        "-pubin",
        "-in",
        text(&dir.path().join("k.pub")),
        "-noout",
        "-text",
    ]);
    assert!(read.unwrap().status.success());
}

#[test]
fn openssl_signs_what_we_verify_and_verifies_what_we_sign() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let digest = PackageDigest::of(b"package");
    fs::write(at("message"), signed_bytes(digest)).unwrap();
    let (key, message, sig) = (at("key"), at("message"), at("sig"));
    let Some(made) = openssl(&["genpkey", "-algorithm", "ed25519", "-out", text(&key)]) else {
        return;
    };
    assert!(made.status.success());
    let sign = [
        "pkeyutl",
        "-sign",
        "-rawin",
        "-inkey",
        text(&key),
        "-in",
        text(&message),
        "-out",
        text(&sig),
    ];
    assert!(openssl(&sign).unwrap().status.success());
    let ours = SigningKey::read(&key).unwrap();
    let theirs: [u8; 64] = fs::read(&sig).unwrap().try_into().unwrap();
    assert!(
        ours.public()
            .verifies(digest, &Signature::new(ours.public().id(), theirs))
    );

    fs::write(&sig, ours.sign(digest).as_bytes()).unwrap();
    fs::write(at("pub"), ours.public().to_pem().unwrap()).unwrap();
    let public = at("pub");
    let verify = [
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        text(&public),
        "-in",
        text(&message),
        "-sigfile",
        text(&sig),
    ];
    assert!(openssl(&verify).unwrap().status.success());
    fs::write(&message, b"something else").unwrap();
    assert!(!openssl(&verify).unwrap().status.success());
}

#[test]
fn private_keys_are_not_shown() {
    let key = SigningKey::generate().unwrap();
    assert_eq!(
        format!("{key:?}"),
        format!("SigningKey(of {})", key.public().id())
    );
    assert_eq!(KeyId::of(key.public().raw()), key.public().id());
}

/// Runs ssh-keygen in a folder; none where OpenSSH is not installed.
fn ssh_keygen(folder: &Path, words: &[&str], input: &str) -> Option<std::process::Output> {
    use std::io::Write as _;
    use std::process::Stdio;
    let child = Command::new("ssh-keygen")
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        skip::skip("ssh-keygen (OpenSSH) is not installed");
        return None;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    Some(output)
}

/// "SSH keys do too: `sign --key` and `trust add` take an OpenSSH Ed25519 key"
#[test]
fn openssh_keys_sign_and_are_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let make = ["-q", "-t", "ed25519", "-N", "", "-f", "id", "-C", "me@host"];
    if ssh_keygen(dir.path(), &make, "").is_none() {
        return;
    }
    let private = SigningKey::read(&dir.path().join("id")).unwrap();
    let public = PublicKey::read(&dir.path().join("id.pub")).unwrap();
    assert_eq!(private.public(), public);
    let digest = PackageDigest::of(b"package");
    assert!(public.verifies(digest, &private.sign(digest)));
}

/// "`plugin.sig` may instead be what `ssh-keygen -Y sign -n plugin-gateway` writes over the package digest's text"
#[test]
fn what_ssh_keygen_signs_is_a_signature() {
    let dir = tempfile::tempdir().unwrap();
    let make = |kind: &str, name: &str| {
        ssh_keygen(dir.path(), &["-q", "-t", kind, "-N", "", "-f", name], "")
    };
    if make("ed25519", "id").is_none() {
        return;
    }
    make("rsa", "old").unwrap();
    let sign = |key: &str, namespace: &str, text: &str| {
        let words = ["-Y", "sign", "-q", "-n", namespace, "-f", key];
        ssh_keygen(dir.path(), &words, text).unwrap().stdout
    };
    let public = PublicKey::read(&dir.path().join("id.pub")).unwrap();
    let digest = PackageDigest::of(b"package");
    for text in [digest.to_string(), format!("{digest}\n")] {
        let signature = Signature::parse(&sign("id", "plugin-gateway", &text)).unwrap();
        assert_eq!(signature.key_id(), public.id());
        assert!(public.verifies(digest, &signature));
        assert!(!public.verifies(PackageDigest::of(b"other"), &signature));
        // The same bytes are none in the contract's own frame.
        let moved = Signature::new(public.id(), *signature.as_bytes());
        assert!(!public.verifies(digest, &moved));
    }
    let refused = |bytes: &[u8]| Signature::parse(bytes).unwrap_err().to_string();
    let other = refused(&sign("id", "file", &digest.to_string()));
    assert!(
        other.contains("namespace") && other.contains("-n plugin-gateway"),
        "{other}"
    );
    let rsa = refused(&sign("old", "plugin-gateway", &digest.to_string()));
    assert!(rsa.contains("type rsa") && rsa.contains("ed25519"), "{rsa}");
    let mut cut = sign("id", "plugin-gateway", "x");
    cut.truncate(cut.len() / 2);
    assert!(refused(&cut).contains("malformed"));
}

/// What is said of a file that is no key to sign with, and of one that is none to trust.
fn said_of(folder: &Path, name: &str) -> (String, String) {
    let path = folder.join(name);
    let private = SigningKey::read(&path).unwrap_err().to_string();
    (private, PublicKey::read(&path).unwrap_err().to_string())
}

#[test]
fn foreign_key_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let make = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let made = Command::new("openssl")
            .args(&words)
            .current_dir(dir.path())
            .output();
        match made {
            Err(_) => false,
            Ok(made) => {
                assert!(made.status.success(), "{words:?} {made:?}");
                true
            }
        }
    };
    if !make("genpkey -algorithm ed25519 -out ed") {
        return skip::skip("openssl is not installed");
    }
    make("genpkey -algorithm rsa -out rsa");
    make("genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out ec");
    make("genpkey -algorithm x25519 -out x25519");
    make("genpkey -algorithm ed448 -out ed448");
    make("pkey -in rsa -pubout -out rsa.pub");
    let torn = "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n";
    fs::write(at("torn"), torn).unwrap();
    make("rsa -traditional -in rsa -out rsa1");
    make("pkey -in ed -outform DER -out der");
    make("pkcs8 -topk8 -passout pass:x -in ed -out encrypted");
    fs::write(at("empty"), "\n").unwrap();
    fs::write(at("putty"), "PuTTY-User-Key-File-3: ssh-ed25519\n").unwrap();
    let rows = [
        ("rsa", "it is an RSA key; only Ed25519"),
        ("ec", "it is an EC key; only Ed25519"),
        ("x25519", "it is an X25519 key, which cannot sign"),
        ("ed448", "it is an Ed448 key"),
        ("torn", "it is damaged"),
        ("rsa1", "it is an RSA key"),
        ("der", "-inform DER"),
        ("encrypted", "it is encrypted; decrypt a copy"),
        ("empty", "it is empty"),
        ("putty", "it is a PuTTY key"),
    ];
    for (name, word) in rows {
        let (said, _) = said_of(dir.path(), name);
        assert!(said.contains(word), "{name}: {said}");
    }
    for name in ["ed", "rsa1", "encrypted"] {
        let said = PublicKey::read(&at(name)).unwrap_err().to_string();
        assert!(said.contains("it is a private key"), "{name}: {said}");
    }
    let said = PublicKey::read(&at("rsa.pub")).unwrap_err().to_string();
    assert!(said.contains("it is an RSA key"), "{said}");
    let private = fs::read_to_string(at("ed")).unwrap();
    fs::write(at("edited"), format!("\u{feff}{private}\n\n")).unwrap();
    assert!(SigningKey::read(&at("edited")).is_ok());
}

#[test]
fn foreign_openssh_keys_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let make = |kind: &str, name: &str, phrase: &str| {
        let words = ["-q", "-t", kind, "-N", phrase, "-f", name];
        ssh_keygen(dir.path(), &words, "")
    };
    if make("rsa", "rsa", "").is_none() {
        return;
    }
    make("ed25519", "locked", "long enough").unwrap();
    let (private, public) = said_of(dir.path(), "rsa");
    assert!(private.contains("type ssh-rsa"), "{private}");
    assert!(public.contains("it is a private key"), "{public}");
    let (private, public) = said_of(dir.path(), "rsa.pub");
    assert!(private.contains("it is a public key"), "{private}");
    assert!(public.contains("type ssh-rsa"), "{public}");
    make("ecdsa", "ec", "").unwrap();
    let (private, _) = said_of(dir.path(), "ec");
    assert!(private.contains("only Ed25519 keys are taken"), "{private}");
    let (private, public) = said_of(dir.path(), "ec.pub");
    assert!(private.contains("it is a public key"), "{private}");
    assert!(public.contains("type ecdsa-sha2-nistp256"), "{public}");
    let (private, _) = said_of(dir.path(), "locked");
    assert!(private.contains("with a passphrase"), "{private}");
    assert!(PublicKey::read(&dir.path().join("locked.pub")).is_ok());
}
