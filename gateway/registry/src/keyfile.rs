//! Reads the key files that people have; whatever is no Ed25519 key is named for what it is, with the way to one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use plugin_protocol::shown;

use super::trust::invalid;
use super::{Error, PublicKey, SigningKey};

/// The longest name of a foreign key's type that is shown, in characters.
const NAME_CHARS: usize = 40;

/// A public key: SPKI PEM, or the line that OpenSSH writes.
pub(super) fn public(what: &str, bytes: &[u8]) -> Result<PublicKey, Error> {
    let text = text(what, bytes)?;
    if text.contains("PRIVATE KEY-----") {
        return Err(invalid(what, "it is a private key; give its .pub file"));
    }
    if text.starts_with("-----BEGIN PUBLIC KEY-----") {
        let key = VerifyingKey::from_public_key_pem(text);
        let key = key.map_err(|_| invalid(what, &not_ed25519(text)))?;
        return PublicKey::checked(what, key);
    }
    if let Some(why) = foreign(text) {
        return Err(invalid(what, why));
    }
    let kind = text.split(' ').next().unwrap_or_default();
    if is_openssh_type(kind) {
        if kind != "ssh-ed25519" {
            return Err(ssh_type(what, kind));
        }
        let key = ssh_key::PublicKey::from_openssh(text);
        let key = key.map_err(|error| {
            invalid(
                what,
                &format!("its OpenSSH line cannot be read ({error}); copy it whole"),
            )
        })?;
        let raw = key
            .key_data()
            .ed25519()
            .ok_or_else(|| ssh_type(what, kind))?;
        let key = VerifyingKey::from_bytes(&raw.0);
        let key =
            key.map_err(|_| invalid(what, "it is no point of the curve; make another key"))?;
        return PublicKey::checked(what, key);
    }
    Err(invalid(
        what,
        "a public key begins with -----BEGIN PUBLIC KEY----- or ssh-ed25519; `plugin-gateway keygen --out FILE` writes one",
    ))
}

/// A private key: PKCS#8 PEM, or OpenSSH's own form.
pub(super) fn private(what: &str, bytes: &[u8]) -> Result<SigningKey, Error> {
    let text = text(what, bytes)?;
    if text.starts_with("-----BEGIN PRIVATE KEY-----") {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(text);
        return key
            .map(SigningKey::from_key)
            .map_err(|_| invalid(what, &not_ed25519(text)));
    }
    if text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
        return private_ssh(what, text);
    }
    if text.contains("BEGIN PUBLIC KEY-----") || is_openssh_type(text) {
        return Err(invalid(
            what,
            "it is a public key; sign with the private one beside it",
        ));
    }
    let why = foreign(text).unwrap_or(
        "a private key begins with -----BEGIN PRIVATE KEY----- or -----BEGIN OPENSSH PRIVATE KEY-----; `plugin-gateway keygen --out FILE` writes one",
    );
    Err(invalid(what, why))
}

fn private_ssh(what: &str, text: &str) -> Result<SigningKey, Error> {
    let key = ssh_key::PrivateKey::from_openssh(text);
    if matches!(&key, Err(ssh_key::Error::AlgorithmUnknown)) {
        return Err(ssh_type(what, "that is not Ed25519"));
    }
    let key = key.map_err(|error| {
        invalid(
            what,
            &format!("its OpenSSH form cannot be read ({error}); copy it whole"),
        )
    })?;
    if key.is_encrypted() {
        return Err(invalid(
            what,
            "it is an OpenSSH key with a passphrase; let `ssh-keygen -Y sign -n plugin-gateway` sign the package's digest, or take the passphrase off a copy (`ssh-keygen -p`)",
        ));
    }
    let name = key.algorithm().as_str().to_owned();
    let pair = key.key_data().ed25519();
    let pair = pair.ok_or_else(|| ssh_type(what, &name))?;
    let key = ed25519_dalek::SigningKey::from_bytes(&pair.private.to_bytes());
    Ok(SigningKey::from_key(key))
}

/// Whether a text begins as the name of an OpenSSH key's type does.
fn is_openssh_type(text: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"]
        .iter()
        .any(|begin| text.starts_with(begin))
}

/// What a PKCS#8 or SPKI key that is none of Ed25519 is, by the object identifier of its algorithm (RFC 5280, 8410).
fn not_ed25519(pem: &str) -> String {
    /// In DER, each with its name.
    const ALGORITHMS: [(&[u8], &str); 8] = [
        (
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
            "it is an RSA key",
        ),
        (
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a",
            "it is an RSA key",
        ),
        (b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", "it is an EC key"),
        (b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01", "it is a DSA key"),
        (
            b"\x06\x03\x2b\x65\x6e",
            "it is an X25519 key, which cannot sign",
        ),
        (
            b"\x06\x03\x2b\x65\x6f",
            "it is an X448 key, which cannot sign",
        ),
        (b"\x06\x03\x2b\x65\x71", "it is an Ed448 key"),
        (b"\x06\x03\x2b\x65\x70", "it is an Ed25519 key, but damaged"),
    ];
    /// The identifier stands among the first bytes.
    const HEAD_BYTES: usize = 48;
    let body: String = pem
        .lines()
        .take_while(|line| !line.starts_with("-----END"))
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    let der = STANDARD.decode(body).unwrap_or_default();
    let head = der.get(..HEAD_BYTES).unwrap_or(&der);
    let has = |id: &[u8]| head.windows(id.len()).any(|part| part == id);
    let known = ALGORITHMS.iter().find(|(id, _)| has(id));
    let what = known.map_or("it is damaged", |(_, what)| what);
    format!(
        "{what}; only Ed25519 keys are taken, and `plugin-gateway keygen --out FILE` writes one"
    )
}

fn ssh_type(what: &str, name: &str) -> Error {
    let name = shown::cut(name, NAME_CHARS);
    invalid(
        what,
        &format!(
            "it is a key of type {name}; only Ed25519 keys are taken (`ssh-keygen -t ed25519`)"
        ),
    )
}

/// The text without what editors put around it.
fn text<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    const BINARY: &str = "it is no text; if it is a key in DER, convert it with `openssl pkey -inform DER -in FILE -out FILE.pem` (`-pubin -pubout` for a public one)";
    let text = std::str::from_utf8(bytes).map_err(|_| invalid(what, BINARY))?;
    if text.contains('\0') {
        return Err(invalid(what, BINARY));
    }
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(invalid(what, "it is empty"));
    }
    Ok(text)
}

/// What other programs' key files begin with, and what to do about each.
const FOREIGN: [(&str, &str); 10] = [
    (
        "-----BEGIN EC PARAMETERS-----",
        "it is an EC key; only Ed25519 keys are taken, and `plugin-gateway keygen --out FILE` writes one",
    ),
    (
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "it is encrypted; decrypt a copy with `openssl pkey -in FILE -out FILE.pem`",
    ),
    (
        "-----BEGIN RSA PRIVATE KEY-----",
        "it is an RSA key; only Ed25519 keys are taken, and `plugin-gateway keygen --out FILE` writes one",
    ),
    (
        "-----BEGIN RSA PUBLIC KEY-----",
        "it is an RSA key; only Ed25519 keys are taken, and `plugin-gateway keygen --out FILE` writes one",
    ),
    (
        "-----BEGIN EC PRIVATE KEY-----",
        "it is an EC key; only Ed25519 keys are taken, and `plugin-gateway keygen --out FILE` writes one",
    ),
    (
        "-----BEGIN DSA PRIVATE KEY-----",
        "it is a DSA key; only Ed25519 keys are taken, and `plugin-gateway keygen --out FILE` writes one",
    ),
    (
        "-----BEGIN CERTIFICATE-----",
        "it is a certificate; take its key out with `openssl x509 -in FILE -noout -pubkey`, which must be Ed25519",
    ),
    (
        "-----BEGIN PGP",
        "it is a PGP key, which is not taken; `plugin-gateway keygen --out FILE` writes one that is",
    ),
    (
        "---- BEGIN SSH2 PUBLIC KEY ----",
        "it is in the SSH2 form; convert it with `ssh-keygen -i -f FILE`",
    ),
    (
        "PuTTY-User-Key-File",
        "it is a PuTTY key; convert it with `puttygen FILE -O private-openssh-new -o FILE.key`",
    ),
];

fn foreign(text: &str) -> Option<&'static str> {
    let known = FOREIGN.iter().find(|(begin, _)| text.starts_with(begin));
    known.map(|(_, why)| *why)
}
