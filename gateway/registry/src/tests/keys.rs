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
    let wrong_half = PublicKey::from_pem(&private).unwrap_err().to_string();
    assert!(wrong_half.contains(".pub"), "{wrong_half}");
    assert!(PublicKey::from_pem("").is_err());
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
    assert!(key.public().verifies(digest, signature.as_bytes()));
    assert!(
        !key.public()
            .verifies(PackageDigest::of(b"b"), signature.as_bytes())
    );
    let other = SigningKey::generate().unwrap().public();
    assert!(!other.verifies(digest, signature.as_bytes()));
    let mut flipped = *signature.as_bytes();
    flipped[5] ^= 1;
    assert!(!key.public().verifies(digest, &flipped));
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
        format!("{}{good}", " ".repeat(5_000)),
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
        PublicKey::from_pem(&String::from_utf8(read.stdout).unwrap()).unwrap(),
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
    assert!(ours.public().verifies(digest, &theirs));

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
