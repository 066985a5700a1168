//! Keys and checkpoints, held against OpenSSL and the published note format.

use std::process::Command;

use crate::tree::{Checkpoint, LogKey, LogSigner};

fn signer() -> LogSigner {
    LogSigner::generate().unwrap()
}

#[test]
fn a_checkpoint_opens_with_either_form_of_the_key_and_with_no_other() {
    let signer = signer();
    let checkpoint = Checkpoint {
        size: 7,
        root: [3; 32],
    };
    let note = signer.sign(&checkpoint);
    for key in [
        signer.vkey(),
        signer.public_pem().unwrap(),
        format!("{}\n", signer.vkey()),
    ] {
        assert_eq!(LogKey::parse(&key).unwrap().open(&note), Ok(checkpoint));
    }
    let other = self::signer();
    assert!(LogKey::parse(&other.vkey()).unwrap().open(&note).is_err());
    assert!(
        LogKey::parse(&other.public_pem().unwrap())
            .unwrap()
            .open(&note)
            .is_err()
    );
    // The other log's key under this log's name.
    let disguised = other.sign_text(signer.name(), note.split_once("\n\n").unwrap().0.trim_end());
    assert!(
        LogKey::parse(&signer.vkey())
            .unwrap()
            .open(&disguised)
            .is_err()
    );
}

#[test]
fn every_changed_byte_of_a_checkpoint_is_refused() {
    let signer = signer();
    let note = signer.sign(&Checkpoint {
        size: 1_234,
        root: [9; 32],
    });
    let keys = [
        signer.public(),
        LogKey::parse(&signer.public_pem().unwrap()).unwrap(),
    ];
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut changed = note.clone().into_bytes();
            changed[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(changed) else {
                continue;
            };
            assert!(
                keys.iter().all(|key| key.open(&changed).is_err()),
                "{changed}"
            );
        }
        let mut shorter = note.clone();
        if note.is_char_boundary(at) {
            shorter.remove(at);
            assert!(keys[0].open(&shorter).is_err());
            let mut longer = note.clone();
            longer.insert(at, '\n');
            assert!(keys[0].open(&longer).is_err());
        }
    }
    assert!(keys[0].open(&format!("{note}\n")).is_err());
}

#[test]
fn keys_that_are_not_keys_are_refused() {
    let vkey = signer().vkey();
    assert!(LogKey::parse(&vkey).is_ok());
    for at in 0..vkey.len() {
        let mut changed = vkey.clone().into_bytes();
        changed[at] ^= 1;
        assert!(
            String::from_utf8(changed).is_ok_and(|changed| LogKey::parse(&changed).is_err()),
            "byte {at}"
        );
    }
    for bad in [
        "",
        "a+b+c",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    ] {
        assert!(LogKey::parse(bad).is_err(), "{bad}");
    }
}

/// The example key and note of Go's `sumdb/note` package, with its published signature.
#[test]
fn the_example_of_the_note_format_verifies() {
    let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key = LogKey::parse(vkey).unwrap();
    let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    // The signature holds; what it is over is no checkpoint.
    assert_eq!(
        key.open(note),
        Err(crate::InvalidNote::Form(
            "it has not exactly three lines of text"
        ))
    );
    assert_eq!(
        key.open(&note.replace("problem is", "question is")),
        Err(crate::InvalidNote::BadSignature)
    );
}

#[test]
fn openssl_reads_the_keys_and_checks_the_signature() {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer();
    let note = signer.sign(&Checkpoint {
        size: 5,
        root: [1; 32],
    });
    let (text, line) = note.split_once("\n\n").unwrap();
    let encoded = line.trim_end().rsplit(' ').next().unwrap();
    let signature =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    put("key", signer.private_pem().as_bytes());
    put("pub", signer.public_pem().unwrap().as_bytes());
    put("text", format!("{text}\n").as_bytes());
    put("sig", &signature[4..]);
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(folder.path())
            .output();
        output
            .ok()
            .map(|output| (output.status.success(), output.stdout))
    };
    let Some((read, public)) = openssl(&["pkey", "-in", "key", "-pubout"]) else {
        skip::skip("openssl is not installed");
        return;
    };
    assert!(read);
    assert_eq!(public, signer.public_pem().unwrap().as_bytes());
    let check = [
        "pkeyutl", "-verify", "-pubin", "-inkey", "pub", "-rawin", "-in", "text", "-sigfile", "sig",
    ];
    assert!(openssl(&check).unwrap().0);
    put("text", format!("{text} \n").as_bytes());
    assert!(!openssl(&check).unwrap().0);
    assert_eq!(
        LogSigner::from_pem(&signer.private_pem()).unwrap().vkey(),
        signer.vkey()
    );
}
