//! The strict scanner and the fast encoder, held against reading and writing through the types.

use proptest::prelude::*;

use super::*;
use crate::line::text::unescape;
use crate::line::{Clock, batch_of, scan, seal};

/// What the scanner must agree with: read as an event, written again, the same bytes; and the time in the contract's form.
fn reference(line: &[u8]) -> bool {
    let Ok(event) = plugin_protocol::json::read_as::<Event>(line) else {
        return false;
    };
    let ts = event.ts.as_str();
    event.line() == line && ts.len() == 24 && ts.ends_with('Z') && ts.as_bytes()[10] == b'T'
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,20}",
        Just(String::new()),
        "[\"\\\\\\x00-\\x1f\\x7f]{1,5}",
        prop::sample::select(vec![
            "\u{e000}",
            "😀",
            "\u{ffff}",
            "a\u{fb33}",
            "é",
            "\u{2028}"
        ])
        .prop_map(str::to_owned),
    ]
}

fn drafts() -> impl Strategy<Value = Draft> {
    let ids = (
        text(),
        text(),
        proptest::option::of("[a-z0-9][a-z0-9._-]{2,20}"),
    );
    let kind = prop::sample::select(vec![
        EventKind::Register,
        EventKind::Invoke,
        EventKind::ProofExport,
        EventKind::Error,
    ]);
    let hashes = (
        proptest::option::of(any::<[u8; 32]>()),
        proptest::option::of(any::<[u8; 32]>()),
    );
    let meta = proptest::collection::btree_map(text(), text(), 0..6);
    (ids, kind, hashes, meta).prop_map(|((run, request, plugin), kind, (input, output), meta)| {
        Draft {
            run_id: RunId::parse(&run).unwrap_or(RunId::system()),
            kind,
            plugin_id: plugin.map(|id| PluginId::parse(&id).unwrap()),
            request_id: RequestId::parse(&request).ok(),
            input_hash: input.map(PayloadHash::from_bytes),
            output_hash: output.map(PayloadHash::from_bytes),
            meta,
        }
    })
}

fn sealed(draft: Draft) -> (Event, Vec<u8>) {
    let mut stamp = Clock::new(std::time::SystemTime::now).stamp().unwrap();
    let id = stamp.next_id().unwrap();
    let mut line = Vec::new();
    let event = seal(draft, id, stamp.ts().clone(), None, &mut line);
    (event, line)
}

proptest! {
    #[test]
    fn sealing_writes_exactly_the_canonical_form(draft in drafts()) {
        let (event, line) = sealed(draft);
        prop_assert_eq!(String::from_utf8(event.line()).unwrap(), String::from_utf8(line.clone()).unwrap());
        prop_assert_eq!(event.computed_hash(), event.event_hash);
        let scanned = scan(&line).unwrap();
        prop_assert_eq!(scanned.event_hash, event.event_hash);
        prop_assert_eq!(unescape(scanned.run_id), event.run_id.as_str());
        prop_assert_eq!(scanned.event_id, event.event_id.to_string());
        prop_assert!(reference(&line));
    }

    #[test]
    fn the_scanner_agrees_with_reading_and_writing_again(draft in drafts(), at in any::<prop::sample::Index>(), edit in 0..5, byte in any::<u8>()) {
        let (_, mut line) = sealed(draft);
        let at = at.index(line.len());
        match edit {
            0 => line[at] = byte,
            1 => line.insert(at, byte),
            2 => drop(line.remove(at)),
            3 => line[at] ^= 1 << (byte % 8),
            _ => line.truncate(at),
        }
        prop_assert_eq!(scan(&line).is_ok(), reference(&line), "{}", String::from_utf8_lossy(&line));
    }
}

/// Stands for the line's time in [`HARD_CASES`].
const TIME: &str = "TIME";

/// Replacements, each as what is replaced and by what: changes that single edits never reach.
const HARD_CASES: &[(&str, &str)] = &[
    ("run-name", r"\u0001"),
    ("run-name", r"\u001F"),
    ("run-name", r"\u000a"),
    ("run-name", r"\n"),
    ("run-name", r"\/"),
    ("run-name", r"\u0041"),
    ("run-name", r"\ud800"),
    ("run-name", r"\ud83d\ude00"),
    ("run-name", r"\"),
    ("run-name", "\u{7f}"),
    ("run-name", "\t"),
    ("run-name", ""),
    ("request-name", ""),
    ("p.text.hello", ""),
    ("p.text.hello", "P.text"),
    ("p.text.hello", "ab"),
    ("\"RESULT\"", "\"ANSWER\""),
    ("\"RESULT\"", "7"),
    ("\"RESULT\"", "null"),
    (r#"{"layers":"seccomp landlock"}"#, "{}"),
    (r#"{"layers":"seccomp landlock"}"#, r#"{"a":"","a":""}"#),
    (r#"{"layers":"seccomp landlock"}"#, r#"{"b":"","a":""}"#),
    (r#"{"layers":"seccomp landlock"}"#, r#"{"a":"","b":"",}"#),
    (r#"{"layers":"seccomp landlock"}"#, r#"{"a":1}"#),
    (r#"{"layers":"seccomp landlock"}"#, r#"{"a":{}}"#),
    (r#"{"layers":"seccomp landlock"}"#, r#"[]"#),
    (
        r#"{"layers":"seccomp landlock"}"#,
        "{\"😀\":\"\",\"\u{e000}\":\"\"}",
    ),
    (
        r#"{"layers":"seccomp landlock"}"#,
        "{\"\u{e000}\":\"\",\"😀\":\"\"}",
    ),
    (r#"{"layers":"seccomp landlock"}"#, r#"{"\n":"","\r":""}"#),
    (r#"{"layers":"seccomp landlock"}"#, r#"{"\\":"","a":""}"#),
    (r#"{"layers":"seccomp landlock"}"#, r#"{"a":"","\\":""}"#),
    (TIME, "2026-02-29T12:00:00.000Z"),
    (TIME, "2028-02-29T12:00:00.000Z"),
    (TIME, "2026-04-31T12:00:00.000Z"),
    (TIME, "2026-12-31T23:59:60.000Z"),
    (TIME, "2026-12-31T24:00:00.000Z"),
    (TIME, "0000-01-01T00:00:00.000Z"),
    (TIME, "9999-12-31T23:59:59.999Z"),
    (TIME, "2026-12-31t12:00:00.000Z"),
    (TIME, "2026-12-31T12:00:00.000z"),
    (TIME, "2026-12-31T12:00:00.00Z"),
    (TIME, "2026-12-31T12:00:00+00:00"),
    ("\"run_id\":", " \"run_id\":"),
    ("\"run_id\":", "\"run_id\": "),
    ("\"run_id\"", "\"run\\u005fid\""),
    ("}", "} "),
    ("{", "\u{feff}{"),
];

#[test]
fn the_scanner_agrees_on_the_hard_cases() {
    let (event, line) = sealed(draft(EventKind::Result, "run-name", "request-name"));
    let line = String::from_utf8(line).unwrap();
    let ts = event.ts.as_str().to_owned();
    assert!(reference(line.as_bytes()));
    let mut accepted = 0;
    for (from, to) in HARD_CASES {
        let from = if *from == TIME { ts.as_str() } else { from };
        let changed = line.replacen(from, to, 1);
        assert_ne!(changed, line, "{from}");
        let verdict = scan(changed.as_bytes()).is_ok();
        assert_eq!(verdict, reference(changed.as_bytes()), "{changed}");
        accepted += usize::from(verdict);
    }
    assert!(
        (8..30).contains(&accepted),
        "both verdicts occur: {accepted} accepted"
    );
    for (name, chars) in [
        ("run-name", 256),
        ("run-name", 257),
        ("request-name", 256),
        ("request-name", 257),
    ] {
        let changed = line.replacen(name, &"é".repeat(chars), 1);
        assert_eq!(scan(changed.as_bytes()).is_ok(), chars == 256);
        assert_eq!(reference(changed.as_bytes()), chars == 256);
    }
    let mut not_text = line.clone().into_bytes();
    not_text[100] = 0xff;
    assert!(scan(&not_text).is_err() && !reference(&not_text));
}

#[test]
fn the_scanner_agrees_on_every_digit_of_a_name() {
    let (event, line) = sealed(draft(EventKind::Result, "run-name", "request-name"));
    let (line, name) = (String::from_utf8(line).unwrap(), event.event_id.to_string());
    let mut accepted = 0;
    for at in 0..name.len() {
        for digit in "0123456789abcdefg-".chars() {
            let mut changed = name.clone();
            changed.replace_range(at..=at, &digit.to_string());
            let changed = line.replacen(&name, &changed, 1);
            let verdict = scan(changed.as_bytes()).is_ok();
            assert_eq!(verdict, reference(changed.as_bytes()), "{changed}");
            accepted += usize::from(verdict);
        }
    }
    // 30 digits are free, one is the version, one is the variant, and four places hold a hyphen.
    assert_eq!(accepted, 30 * 16 + 1 + 4 + 4);
}

#[test]
fn meta_values_are_found_by_their_whole_name_only() {
    let mut draft = draft(EventKind::Error, "r", "q");
    draft
        .meta
        .insert("a\"invoke".to_owned(), "wrong".to_owned());
    draft
        .meta
        .insert("b".to_owned(), ",\"invoke\":\"wrong".to_owned());
    draft.meta.insert("xinvoke".to_owned(), "wrong".to_owned());
    let (_, line) = sealed(draft.clone());
    assert_eq!(scan(&line).unwrap().meta_value("invoke"), None);
    draft.meta.insert("invoke".to_owned(), "right".to_owned());
    let (_, line) = sealed(draft);
    assert_eq!(scan(&line).unwrap().meta_value("invoke"), Some("right"));
}

#[test]
fn names_carry_their_batch() {
    let mut clock = Clock::new(std::time::SystemTime::now);
    let mut first = clock.stamp().unwrap();
    let mut second = clock.stamp().unwrap();
    let ids = [
        first.next_id().unwrap(),
        first.next_id().unwrap(),
        second.next_id().unwrap(),
    ];
    assert!(ids.is_sorted());
    assert_eq!(batch_of(&ids[0]), batch_of(&ids[1]));
    assert!(batch_of(&ids[1]) < batch_of(&ids[2]));
}
