use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::canonical;

fn refusal(text: &str) -> Error {
    match read(text.as_bytes()) {
        Err(error) => error,
        Ok(value) => panic!("{text:.80} was read as {value}"),
    }
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn plain_values_are_read() {
    for (text, value) in [
        ("null", json!(null)),
        (" \t\r\n[true, false]\n", json!([true, false])),
        (
            r#"{"a":{"b":[1,-2,0.5]}}"#,
            json!({"a": {"b": [1, -2, 0.5]}}),
        ),
        (r#""é\u00e9\ud83d\ude00\n""#, json!("éé😀\n")),
    ] {
        assert_eq!(read(text.as_bytes()), Ok(value), "{text}");
    }
}

#[test]
fn utf_8_without_byte_order_mark() {
    assert_eq!(read(b"\xEF\xBB\xBF{}"), Err(Error::ByteOrderMark));
    let place = Position {
        byte: 5,
        line: 2,
        column: 3,
    };
    assert_eq!(read(b"[\n\"\xC3\xA9\xFF\""), Err(Error::NotUtf8(place)));
    assert!(
        matches!(read(b"\"\xED\xA0\x80\""), Err(Error::NotUtf8(_))),
        "an encoded surrogate"
    );
    assert!(
        matches!(read(b"\"\xC0\xAF\""), Err(Error::NotUtf8(_))),
        "an overlong form"
    );
    assert!(matches!(read(b"{\0}\0"), Err(Error::Syntax(_))), "UTF-16");
}

#[test]
fn keys_are_unique_after_unescaping() {
    for (text, pointer) in [
        (r#"{"a":1,"a":1}"#, "/a"),
        (r#"{"a":1,"\u0061":2}"#, "/a"),
        (r#"{"x":[0,{"~/":1,"b":{},"~\/":1}]}"#, "/x/1/~0~1"),
        (r#"{"":1,"":2}"#, "/"),
    ] {
        let error = refusal(text);
        let expected = format!("JSON pointer '{pointer}': give each key of an object once");
        assert!(
            matches!(error, Error::DuplicateKey { .. }),
            "{text}: {error}"
        );
        assert!(error.to_string().ends_with(&expected), "{text}: {error}");
    }
    assert_eq!(
        refusal("{\"é\":1,\n \"é\":2}").to_string(),
        "duplicate key at line 2 column 5 (byte 14), JSON pointer '/é': give each key of an object once"
    );
    assert!(read(r#"{"a":{"a":{"a":1}},"b":{"a":1},"A":1}"#.as_bytes()).is_ok());
    assert!(
        read("{\"é\":1,\"e\u{301}\":1}".as_bytes()).is_ok(),
        "keys are not normalised"
    );
}

#[test]
fn the_library_s_reserved_key_does_not_smuggle_json_in() {
    let smuggled = r#"{"$serde_json::private::RawValue":"{\"a\":1,\"a\":2}"}"#;
    let library: Value = serde_json::from_str(smuggled).unwrap();
    assert_eq!(library, json!({"a": 2}), "the library takes the text apart");
    assert!(matches!(refusal(smuggled), Error::ReservedKey { .. }));
    let later = r#"{"x":[{"a":1,"\u0024serde_json::private::RawValue":"1e999"}]}"#;
    let error = refusal(later).to_string();
    let pointer = "JSON pointer '/x/0/$serde_json::private::RawValue'";
    assert!(error.contains(pointer), "{error}");
}

#[test]
fn nesting_is_bounded() {
    assert!(read(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert!(matches!(
        refusal(&nested(MAX_DEPTH + 1)),
        Error::TooDeep(Position { byte: 128, .. })
    ));
    let objects = |levels| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert!(read(objects(MAX_DEPTH).as_bytes()).is_ok());
    assert!(matches!(
        refusal(&objects(MAX_DEPTH + 1)),
        Error::TooDeep(_)
    ));
    assert!(matches!(
        refusal(&"[".repeat(10_000_000)),
        Error::TooDeep(_)
    ));
    let side_by_side = format!("[{}[]]", "[],".repeat(1000));
    assert!(read(side_by_side.as_bytes()).is_ok());
    let in_a_string = format!("[\"{}\\\"{}\"]", "[".repeat(300), "{".repeat(300));
    assert!(read(in_a_string.as_bytes()).is_ok());
}

#[test]
fn closing_brackets_do_not_buy_depth() {
    let text = format!("{}{}", "]".repeat(1000), "[".repeat(MAX_DEPTH));
    assert!(matches!(refusal(&text), Error::Syntax(_)));
}

#[test]
fn lone_surrogates_are_refused() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\uDBFFx""#,
        r#""\ud800\n""#,
        r#""\ud800\ud800\udc00""#,
        r#""\udc00\ud800""#,
        r#"{"\ud800":1}"#,
    ] {
        assert!(matches!(refusal(text), Error::LoneSurrogate(_)), "{text}");
    }
    for text in [
        r#""\ud800\udc00""#,
        r#""\uD83D\uDE00""#,
        r#""\\ud800""#,
        r#""\uFFFF""#,
    ] {
        assert!(read(text.as_bytes()).is_ok(), "{text}");
    }
    for text in [
        r#""\u12""#,
        r#""\u12G4""#,
        r#""\u+123""#,
        r#""\x""#,
        r#""\"#,
        r#""\u"#,
    ] {
        assert!(matches!(refusal(text), Error::Syntax(_)), "{text}");
    }
}

#[test]
fn numbers_that_doubles_do_not_hold_are_refused() {
    for text in [
        "9007199254740992",
        "-9007199254740992",
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740991.9",
        "1e17",
        "1E+20",
        "123456789012345678901",
        "18446744073709551615",
        "18446744073709551616",
        &"9".repeat(400),
        &format!("1{}", "0".repeat(30)),
        "999999999999999900000.0",
    ] {
        let error = refusal(text);
        assert!(
            matches!(error, Error::IntegerTooLarge { .. }),
            "{text}: {error}"
        );
        assert!(error.to_string().ends_with(": send it as a string"));
    }
    for text in [
        "1e999",
        "-1e309",
        "1.8e308",
        &format!("{}.0", "9".repeat(400)),
    ] {
        let error = refusal(text);
        assert!(matches!(error, Error::Overflow { .. }), "{text}: {error}");
        assert!(error.to_string().ends_with(": send it as a string"));
    }
    for text in ["1e-400", "-1e-999", "2e-324", "0.000001e-320"] {
        let error = refusal(text);
        assert!(matches!(error, Error::Underflow { .. }), "{text}: {error}");
        assert!(error.to_string().ends_with(": send it as a string"));
    }
    assert!(matches!(
        refusal(r#"{"a":[1,1e999]}"#),
        Error::Overflow {
            at: Position { byte: 8, .. },
            ..
        }
    ));
}

#[test]
fn numbers_that_doubles_hold_are_read_by_value() {
    for (text, canonical_form) in [
        ("9007199254740991", "9007199254740991"),
        ("-9007199254740991", "-9007199254740991"),
        ("9007199254740991.0", "9007199254740991"),
        ("1E30", "1e+30"),
        ("1e21", "1e+21"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-0e5", "0"),
        ("0e999", "0"),
        ("0.0e-999", "0"),
        ("100.0", "100"),
        ("1e2", "100"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("0.1", "0.1"),
        ("4.50", "4.5"),
        ("333333333.33333329", "333333333.3333333"),
    ] {
        let value = read(text.as_bytes()).unwrap();
        assert_eq!(canonical::text(&value), canonical_form, "{text}");
        assert_eq!(read(canonical_form.as_bytes()), Ok(value), "{text}");
    }
    assert_eq!(read_as::<u64>(b"100.0"), Ok(100));
}

#[test]
fn exactly_one_value() {
    assert!(matches!(
        refusal("{} {}"),
        Error::Trailing(Position { byte: 3, .. })
    ));
    assert!(matches!(refusal("1 2"), Error::Trailing(_)));
    assert!(matches!(refusal("{}\0"), Error::Trailing(_)));
    assert!(read(b"{} \n\t\r").is_ok());
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "{a:1}",
        "nul",
        "NaN",
        "Infinity",
        "-",
        "+1",
        "01",
        "1.",
        ".5",
        "1e",
        "--1",
        "1-1",
        "[1 2]",
        "\"\n\"",
        "\"",
        "// c\n1",
        "\u{a0}1",
        "[1,,2]",
    ] {
        let refused = refusal(text);
        assert!(
            matches!(refused, Error::Syntax(_) | Error::Trailing(_)),
            "{text}: {refused}"
        );
    }
}

#[test]
fn size_is_checked_first() {
    assert_eq!(read_bounded(b"[1]", 3), Ok(json!([1])));
    assert_eq!(
        read_bounded(b"\xFF\xFF\xFF\xFF", 3),
        Err(Error::TooLarge {
            bytes: 4,
            max_bytes: 3
        })
    );
}

#[test]
fn another_shape_is_named() {
    assert!(matches!(read_as::<u64>(b"\"1\""), Err(Error::Shape(_))));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1e3..1e3).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_bytes_are_a_fixed_point(value in any_json()) {
        // Doubles whose canonical form is a long integer are refused, by rule; all else is read.
        if let Ok(read_once) = read(value.to_string().as_bytes()) {
            let bytes = canonical::bytes(&read_once);
            let again = read(&bytes).expect("canonical bytes are readable");
            prop_assert_eq!(&again, &read_once);
            prop_assert_eq!(canonical::bytes(&again), bytes);
        }
    }

    #[test]
    fn it_reads_nothing_that_the_library_does_not(bytes in "[\\[\\]{}\",:0-9eE+\\-.\\\\u tn ]{0,40}") {
        let library = serde_json::from_str::<Value>(&bytes);
        match read(bytes.as_bytes()) {
            Ok(value) => {
                let library = library.expect("the library reads it too");
                prop_assert_eq!(canonical::bytes(&value), canonical::bytes(&library));
            }
            Err(Error::Syntax(_) | Error::Trailing(_)) => prop_assert!(library.is_err()),
            Err(_) => {}
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _outcome = read(&bytes);
    }
}

#[test]
fn a_schema_may_hold_every_integer_of_64_bits() {
    for exact in [
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "9007199254740993",
    ] {
        let value = read_schema(exact.as_bytes(), 100).unwrap();
        assert_eq!(value.to_string(), exact);
        assert!(read(exact.as_bytes()).is_err(), "{exact}");
    }
    for beyond in [
        "18446744073709551616",
        "-9223372036854775809",
        "1e999",
        "9007199254740993.0",
    ] {
        assert!(read_schema(beyond.as_bytes(), 100).is_err(), "{beyond}");
    }
    assert!(read_schema(b"[1,2]", 4).is_err());
}
