//! Canonical JSON (RFC 8785): the one byte form that is hashed, signed and stored.

use serde::Serialize;

/// The canonical JSON of `value`.
///
/// For values that the strict reader accepted this is a fixed point: reading the bytes and writing
/// them again gives the same bytes.
///
/// # Panics
/// Never for the types of this crate: they hold no map with non-text keys and no number that is not finite.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the documented precondition holds for every type of this crate"
)]
pub fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value)
        .expect("a type of the protocol is always writable as JSON")
}

/// The canonical JSON of `value` as text.
///
/// # Panics
/// Never for the types of this crate, as [`bytes`].
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the documented precondition holds for every type of this crate"
)]
pub fn text<T: Serialize>(value: &T) -> String {
    serde_json_canonicalizer::to_string(value)
        .expect("a type of the protocol is always writable as JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::json;

    /// RFC 8785, appendix B: the bits of a double and its text.
    const APPENDIX_B: &[(u64, &str)] = &[
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];

    #[test]
    fn numbers_are_written_as_appendix_b_says() {
        for (bits, expected) in APPENDIX_B {
            assert_eq!(text(&f64::from_bits(*bits)), *expected, "{bits:016x}");
        }
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(serde_json_canonicalizer::to_string(&none).is_err());
        }
    }

    #[test]
    fn the_reader_takes_back_exactly_the_numbers_that_are_no_long_integers() {
        for (bits, expected) in APPENDIX_B {
            let double = f64::from_bits(*bits);
            let long_integer = double.abs() >= 9_007_199_254_740_992.0 && double.abs() < 1e21;
            match json::read(expected.as_bytes()) {
                Ok(value) => {
                    assert!(!long_integer, "{expected}");
                    assert_eq!(value.as_f64(), Some(double + 0.0), "{expected}");
                    assert_eq!(text(&value), *expected);
                }
                Err(error) => {
                    assert!(long_integer, "{expected}: {error}");
                    assert!(matches!(error, json::Error::IntegerTooLarge { .. }));
                }
            }
        }
    }

    #[test]
    fn the_example_of_section_3_2_2() {
        let input = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let output = concat!(
            r#"{"literals":[null,true,false],"#,
            r#""numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
            r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        assert_eq!(text(&json::read(input.as_bytes()).unwrap()), output);
    }

    #[test]
    fn keys_are_sorted_by_utf_16_units_as_in_section_3_2_3() {
        let input = r#"{
            "\u20ac": "Euro Sign",
            "\r": "Carriage Return",
            "\ufb33": "Hebrew Letter Dalet With Dagesh",
            "1": "One",
            "\ud83d\ude00": "Emoji: Grinning Face",
            "\u0080": "Control",
            "\u00f6": "Latin Small Letter O With Diaeresis"
        }"#;
        let value = json::read(input.as_bytes()).unwrap();
        let order = [
            "Carriage Return",
            "One",
            "Control",
            "Latin Small Letter O With Diaeresis",
            "Euro Sign",
            "Emoji: Grinning Face",
            "Hebrew Letter Dalet With Dagesh",
        ];
        let written = text(&value);
        let places: Vec<usize> = order.map(|word| written.find(word).unwrap()).into();
        assert!(places.is_sorted(), "{written}");
        // By UTF-8 bytes, and so by Rust's own order, the emoji would come last.
        assert!("\u{fb33}" < "\u{1f600}");
    }

    #[test]
    fn equal_values_have_equal_bytes_however_they_were_written() {
        let one = r#"{"b":[1.0,1e0,-0],"a":"\u00e9"}"#;
        let two = "{ \"a\" : \"é\", \"b\" : [ 1, 1, 0 ] }\n";
        let read = |text: &str| -> Value { json::read(text.as_bytes()).unwrap() };
        assert_eq!(bytes(&read(one)), bytes(&read(two)));
        assert_eq!(text(&read(one)), r#"{"a":"é","b":[1,1,0]}"#);
    }
}
