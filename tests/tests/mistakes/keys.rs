//! Mistakes with keys, signatures and trust.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use campaigns::answers::prompt;
use campaigns::{Host, Package, Said};
use tempfile::TempDir;

use super::Row;

#[test]
fn inv_pnp_06_mistakes_with_keys_are_told_with_their_cure() {
    super::told(rows());
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = signatures();
    rows.extend(files());
    rows
}

/// A verb with a path at its end.
fn on(host: &Host, verb: &[&str], path: &Path, behind: &[&str]) -> Said {
    let words = verb.iter().map(OsStr::new).chain([path.as_os_str()]);
    host.say(words.chain(behind.iter().map(OsStr::new)))
}

/// A key of the host's that it does not trust.
fn foreign_key(host: &Host) -> PathBuf {
    let file = TempDir::new_in(host.folder())
        .unwrap()
        .keep()
        .join("other.key");
    on(host, &["keygen", "--out"], &file, &[]).expect(0);
    file
}

fn sign(host: &Host, folder: &Path, key: &Path) -> Said {
    on(host, &["sign", "--key"], key, &[folder.to_str().unwrap()])
}

fn register(host: &Host, folder: &Path) -> Said {
    on(host, &["register"], folder, &[])
}

fn signatures() -> Vec<Row> {
    vec![
        Row::verbs(
            "a package that nobody signed",
            3,
            |host| register(host, &host.lay_out(&prompt("p.key.unsigned"))),
            "the package has no signature",
            "sign it with `plugin-gateway sign PACKAGE --key FILE`",
        ),
        Row::verbs(
            "a key that nobody trusts",
            3,
            |host| {
                let folder = host.lay_out(&prompt("p.key.untrusted"));
                sign(host, &folder, &foreign_key(host)).expect(0);
                register(host, &folder)
            },
            "signed by the untrusted key",
            "`plugin-gateway trust add FILE.pub`",
        ),
        Row::verbs(
            "a file edited after signing",
            3,
            |host| {
                let folder = host.signed(&prompt("p.key.edited"));
                fs::write(folder.join("program"), "other").unwrap();
                register(host, &folder)
            },
            "'program' changed",
            "sign it again",
        )
        .code(1),
        Row::verbs(
            "a file added after signing",
            3,
            |host| {
                let folder = host.signed(&prompt("p.key.added"));
                fs::write(folder.join("notes.txt"), "x").unwrap();
                register(host, &folder)
            },
            "'notes.txt' is new",
            "sign it again",
        ),
        Row::verbs(
            "a file lost after signing",
            3,
            |host| {
                let package = prompt("p.key.lost").file("notes.txt", b"x", 0o644);
                let folder = host.signed(&package);
                fs::remove_file(folder.join("notes.txt")).unwrap();
                register(host, &folder)
            },
            "'notes.txt' is gone",
            "sign it again",
        ),
        Row::verbs(
            "the signature of another package",
            3,
            |host| {
                let other = host.signed(&prompt("p.key.other"));
                let folder = host.lay_out(&prompt("p.key.borrowed"));
                fs::copy(other.join("plugin.sig"), folder.join("plugin.sig")).unwrap();
                register(host, &folder)
            },
            "the signature by key",
            "sign it again",
        ),
        Row::verbs(
            "a signature that is none",
            3,
            |host| {
                let folder = host.signed(&prompt("p.key.broken"));
                fs::write(folder.join("plugin.sig"), "c2lnbmF0dXJl").unwrap();
                register(host, &folder)
            },
            "plugin.sig is malformed",
            "sign the package again",
        ),
        Row::verbs(
            "a signature by GnuPG",
            3,
            |host| {
                let folder = host.signed(&prompt("p.key.gpg"));
                let text = "-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n";
                fs::write(folder.join("plugin.sig"), text).unwrap();
                register(host, &folder)
            },
            "plugin.sig is malformed",
            "sign the package again",
        ),
        Row::verbs(
            "a key whose trust was taken away",
            3,
            |host| {
                let key = foreign_key(host);
                let public = PathBuf::from(format!("{}.pub", key.display()));
                let added = on(host, &["--json", "trust", "add"], &public, &[])
                    .expect(0)
                    .json();
                let id = added["key_id"].as_str().unwrap();
                host.say(["trust", "remove", id]).expect(0);
                let folder = host.lay_out(&prompt("p.key.revoked"));
                sign(host, &folder, &key).expect(0);
                register(host, &folder)
            },
            "whose trust was revoked",
            "sign it with a trusted key",
        ),
    ]
}

/// What a tool made, in the file that its last argument names.
fn made(host: &Host, tool: &str, arguments: &[&str]) -> PathBuf {
    let file = TempDir::new_in(host.folder()).unwrap().keep().join("key");
    let mut command = Command::new(tool);
    command.args(arguments).arg(&file);
    assert!(command.output().unwrap().status.success(), "{command:?}");
    file
}

fn to_sign() -> Package {
    prompt("p.key.sign")
}

fn files() -> Vec<Row> {
    vec![
        Row::verbs(
            "the public key to sign with",
            1,
            |host| sign(host, &host.lay_out(&to_sign()), &host.public_key()),
            "it is a public key",
            "sign with the private one beside it",
        ),
        Row::verbs(
            "a private key that others may read",
            0,
            |host| {
                let key = foreign_key(host);
                fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
                sign(host, &host.lay_out(&to_sign()), &key)
            },
            "others on this host may read or change the private key",
            "`chmod 600`",
        ),
        Row::verbs(
            "the private key to trust",
            1,
            |host| on(host, &["trust", "add"], &host.key(), &[]),
            "it is a private key",
            "give its .pub file",
        ),
        Row::verbs(
            "an RSA key to sign with",
            1,
            |host| {
                let key = made(host, "openssl", &["genpkey", "-algorithm", "RSA", "-out"]);
                sign(host, &host.lay_out(&to_sign()), &key)
            },
            "it is an RSA key",
            "`plugin-gateway keygen --out FILE` writes one",
        )
        .needs("openssl"),
        Row::verbs(
            "an encrypted key",
            1,
            |host| {
                let key = made(
                    host,
                    "openssl",
                    &[
                        "genpkey",
                        "-algorithm",
                        "ed25519",
                        "-aes256",
                        "-pass",
                        "pass:x",
                        "-out",
                    ],
                );
                sign(host, &host.lay_out(&to_sign()), &key)
            },
            "it is encrypted",
            "decrypt a copy with `openssl pkey",
        )
        .needs("openssl"),
        Row::verbs(
            "an RSA key of OpenSSH",
            1,
            |host| {
                let key = made(host, "ssh-keygen", &["-q", "-t", "rsa", "-N", "", "-f"]);
                on(host, &["trust", "add"], &key.with_extension("pub"), &[])
            },
            "it is a key of type ssh-rsa",
            "ssh-keygen -t ed25519",
        )
        .needs("ssh-keygen"),
        Row::verbs(
            "a key of OpenSSH with a passphrase",
            1,
            |host| {
                let key = made(
                    host,
                    "ssh-keygen",
                    &["-q", "-t", "ed25519", "-N", "secret", "-f"],
                );
                sign(host, &host.lay_out(&to_sign()), &key)
            },
            "it is an OpenSSH key with a passphrase",
            "ssh-keygen -Y sign",
        )
        .needs("ssh-keygen"),
        Row::verbs(
            "a key that is not there",
            2,
            |host| {
                sign(
                    host,
                    &host.lay_out(&to_sign()),
                    Path::new("/nowhere/vendor.key"),
                )
            },
            "/nowhere/vendor.key",
            "`plugin-gateway keygen --out FILE`",
        ),
        Row::verbs(
            "the key's id in place of its file",
            2,
            |host| host.say(["trust", "add", "0123456789abcdef"]),
            "0123456789abcdef",
            "FILE.pub",
        ),
        Row::verbs(
            "a file in place of the key's id",
            2,
            |host| on(host, &["trust", "remove"], &host.public_key(), &[]),
            "is not valid",
            "`plugin-gateway trust list` shows the keys",
        ),
        Row::verbs(
            "a key that was never trusted",
            1,
            |host| host.say(["trust", "remove", "0123456789abcdef"]),
            "no key with the id 0123456789abcdef",
            "`plugin-gateway trust list`",
        ),
        Row::verbs(
            "a key written over another",
            2,
            |host| on(host, &["keygen", "--out"], &host.key(), &[]),
            "exists already",
            "choose another name",
        ),
        Row::verbs(
            "a text that is no key",
            1,
            |host| {
                let file = host.folder().join("notes.pub");
                fs::write(&file, "my key").unwrap();
                on(host, &["trust", "add"], &file, &[])
            },
            "a public key begins with",
            "`plugin-gateway keygen --out FILE` writes one",
        ),
    ]
}
