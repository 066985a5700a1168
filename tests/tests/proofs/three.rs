//! Three verifiers that share no code (the command, `scripts/verify_proof.py`, and the page's script under Node) say the same of each bundle
//! and each signature. What the page says in a browser is tried in `gateway/page/test`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use campaigns::canonical::canonical;
use campaigns::command::finish;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::auditor::{gateway_verdict, outcomes, project, runs};
use crate::{exported, keys, read};

/// Bundles with one changed value that the suite tries; `scripts/verdicts` sets another number.
const MUTATIONS: usize = 200;
const MUTATIONS_VARIABLE: &str = "VERDICTS_MUTATIONS";
/// Threads that ask, and bundles that each asks about at a time.
const AT_ONCE: usize = 2;
const AT_A_TIME: usize = 100;

/// Asks one of the two that judge many in one process.
fn asked(program: &str, script: &str, verifier: &str, words: &[&Path]) -> Vec<Value> {
    let mut command = Command::new(program);
    let (mode, files) = words.split_first().unwrap();
    command.arg(project(script)).arg(project(verifier));
    command.arg(mode).args(files);
    let Value::Array(found) = finish(command, b"").expect(0).json() else {
        panic!("{script} gives no array");
    };
    found
}

fn python(words: &[&Path]) -> Vec<Value> {
    let [script, verifier] = ["tests/tests/proofs/verdicts.py", "scripts/verify_proof.py"];
    asked("python3", script, verifier, words)
}

fn page(words: &[&Path]) -> Vec<Value> {
    let [script, verifier] = [
        "tests/tests/proofs/verdicts.mjs",
        "gateway/page/built/page.html",
    ];
    asked("node", script, verifier, words)
}

fn all_are_here() -> bool {
    runs("python3", "--version") && runs("node", "--version")
}

/// A sequence of numbers that looks random and is the same each time (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// Where the values are that are no object or array.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, member)| places(member, &format!("{at}/{name}"), found)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| places(item, &format!("{at}/{index}"), found)),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {
            found.push(at.to_owned());
        }
    }
}

/// Another value in the place of this one.
fn other(value: &Value, like: &Value, numbers: &mut Numbers) -> Value {
    match (numbers.below(8), value) {
        (0, _) => like.clone(),
        (1, _) => {
            [json!(null), json!(""), json!(0), json!([]), json!({})][numbers.below(5)].clone()
        }
        (2, Value::Number(number)) => json!(number.to_string()),
        (_, Value::Number(number)) => {
            let number = number.as_u64().unwrap();
            let others = [number + 1, number ^ 1, number * 2 + 1, number + (1 << 40)];
            json!(others[numbers.below(others.len())])
        }
        (_, Value::Bool(bool)) => json!(!bool),
        (choice, Value::String(text)) => json!(other_text(text, choice, numbers)),
        (_, Value::Null | Value::Array(_) | Value::Object(_)) => json!("x"),
    }
}

/// The text with one character changed, added or taken away, or in another case.
fn other_text(text: &str, choice: usize, numbers: &mut Numbers) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let at = numbers.below(characters.len() + 1);
    let strange = [
        '0',
        'a',
        'A',
        'g',
        '=',
        '+',
        '\n',
        ' ',
        '\u{e9}',
        '\u{1f600}',
        '\u{0}',
    ];
    let strange = strange[numbers.below(strange.len())];
    match choice {
        2 => characters.insert(at, strange),
        3 if at < characters.len() => drop(characters.remove(at)),
        4 => return text.to_uppercase(),
        _ if at < characters.len() => {
            let bit = 1 << numbers.below(7);
            characters[at] = char::from_u32(u32::from(characters[at]) ^ bit).unwrap_or(strange);
        }
        _ => characters.push(strange),
    }
    characters.into_iter().collect()
}

/// So many bundles, each with one value changed, as lines of one file.
fn mutated(bundle: &Value, count: usize) -> Vec<String> {
    let (mut found, mut numbers, mut made) =
        (Vec::new(), Numbers(0x9e37_79b9_7f4a_7c15), Vec::new());
    places(bundle, "", &mut found);
    while made.len() < count {
        // Every value has its turn before any has a second one.
        let place = &found[made.len() % found.len()];
        let like = bundle.pointer(&found[numbers.below(found.len())]).unwrap();
        let value = bundle.pointer(place).unwrap();
        let changed = other(value, like, &mut numbers);
        if changed != *value {
            let mut bundle = bundle.clone();
            *bundle.pointer_mut(place).unwrap() = changed;
            made.push(canonical(&bundle));
        }
    }
    made
}

/// What Python and the page say of these bundles: the outcome of each check.
pub(crate) fn asked_many(bundles: &[String], key: &Path) -> (Vec<Value>, Vec<Value>) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("many");
    let encoded: Vec<_> = bundles.iter().map(|bundle| BASE64.encode(bundle)).collect();
    fs::write(&file, lined(&encoded)).unwrap();
    let words = [Path::new("bundles"), &file, key];
    (python(&words), page(&words))
}

/// Asks all three about these bundles, and compares what they say of each check.
fn compare(bundles: &[String], key: &Path) {
    let folder = TempDir::new().unwrap();
    let one = folder.path().join("one");
    let (second, third) = asked_many(bundles, key);
    assert_eq!((second.len(), third.len()), (bundles.len(), bundles.len()));
    for (at, bundle) in bundles.iter().enumerate() {
        fs::write(&one, bundle).unwrap();
        // Nothing that was changed is valid.
        let said = gateway_verdict(&one, key).expect(1).json();
        let found = outcomes(&said).into_iter().map(|(_, outcome)| outcome);
        let ours = json!(found.collect::<Vec<_>>());
        assert_eq!(second[at], ours, "Python and the command: {bundle}");
        assert_eq!(third[at], ours, "the page and the command: {bundle}");
    }
}

fn lined<T: AsRef<str>>(lines: &[T]) -> String {
    let lines = lines.iter().map(|line| format!("{}\n", line.as_ref()));
    lines.collect()
}

/// "10,000 single-value mutations of a bundle": the same outcome of each check from all three, and no mutation is valid.
#[test]
fn contract_10_three_verifiers_say_the_same_of_every_mutation() {
    if !all_are_here() {
        return;
    }
    let count = std::env::var(MUTATIONS_VARIABLE).map_or(MUTATIONS, |count| count.parse().unwrap());
    let (host, bundles) = exported();
    let [key, _] = keys(&host);
    let good = read(&bundles[0]);
    let (second, third) = asked_many(&[canonical(&good)], &key);
    for report in [second, third] {
        assert!(!report[0].to_string().contains("fail"), "{report:?}");
    }
    let made = mutated(&good, count);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let parts = || {
                    made.chunks(AT_A_TIME)
                        .nth(next.fetch_add(1, Ordering::Relaxed))
                };
                while let Some(part) = parts() {
                    compare(part, &key);
                }
            });
        }
    });
    println!("{count} mutations");
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// How the command checks a signature (`ledger/tree`): the key is not weak, and the check is the strict one.
fn strict(key: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    let signature = Signature::from_slice(signature).ok()?;
    Some(!key.is_weak() && key.verify_strict(message, &signature).is_ok())
}

/// The verdict on each line of a file of signatures, which all three have to share.
fn signatures(lines: &[&str]) -> Vec<bool> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("signatures");
    fs::write(&file, lined(lines)).unwrap();
    let words = [Path::new("signatures"), &file];
    let (second, third) = (python(&words), page(&words));
    assert_eq!((second.len(), third.len()), (lines.len(), lines.len()));
    let judge = |(at, line): (usize, &&str)| {
        let parts: Vec<_> = line.split(',').map(bytes).collect();
        let ours = strict(&parts[0], &parts[1], &parts[2]).unwrap_or(false);
        assert_eq!(second[at], json!(ours), "Python and the command: {line}");
        assert_eq!(third[at], json!(ours), "the page and the command: {line}");
        ours
    };
    lines.iter().enumerate().map(judge).collect()
}

/// "all Wycheproof Ed25519 vectors": all three say what Wycheproof says.
#[test]
fn contract_10_three_verifiers_say_what_wycheproof_says() {
    const VECTORS: usize = 151;
    if !all_are_here() {
        return;
    }
    let text = include_str!("wycheproof.txt");
    let rows: Vec<_> = text
        .lines()
        .skip(1)
        .map(|line| line.rsplit_once(',').unwrap())
        .collect();
    assert_eq!(rows.len(), VECTORS);
    let lines: Vec<_> = rows.iter().map(|(line, _)| *line).collect();
    for (found, (line, result)) in signatures(&lines).into_iter().zip(&rows) {
        assert_eq!(found, *result == "valid", "{line}");
    }
}

/// "WebCrypto in Chromium and Node accepts small-order keys and the page must not": nor R of small order, S beyond the order, or another
/// encoding. That WebCrypto alone takes some of these is shown first.
#[test]
fn contract_10_three_verifiers_are_strict_where_webcrypto_is_not() {
    if !all_are_here() {
        return;
    }
    let mut command = Command::new("python3");
    command.arg(project("tests/tests/proofs/verdicts.py"));
    command.arg(project("scripts/verify_proof.py")).arg("odd");
    let odd = finish(command, b"").expect(0).stdout;
    let lines: Vec<&str> = odd.lines().collect();
    let found = signatures(&lines);
    let holding = found.iter().filter(|holds| **holds).count();
    assert!(holding >= 8, "the plain ones hold, {holding} do");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("odd");
    fs::write(&file, &odd).unwrap();
    let library = page(&[Path::new("library"), &file]);
    let taken = library.iter().zip(&found);
    let taken = taken.filter(|(library, ours)| **library == json!(true) && !**ours);
    assert!(
        taken.count() > 0,
        "WebCrypto alone is as strict: this shows nothing"
    );
}
