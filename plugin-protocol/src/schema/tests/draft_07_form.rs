//! The schemas in draft-07 say what those in 2020-12 say.

use super::*;

/// The same in draft-07, in the same order.
const OLDER: [&str; 5] = [
    draft_07::MANIFEST,
    draft_07::REQUEST,
    draft_07::RESPONSE,
    draft_07::ANSWER,
    draft_07::EVENT,
];

/// What stands for `format: date-time` in draft-07, whose strict checkers know no format: a day of the calendar, then the time.
const DAY: &str = "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))\
|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
const TIME: &str = "[Tt](?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\
|23:59:60(?:\\.[0-9]+)?(?:[Zz]|[+-]00:00))";
/// Where the schema has a pattern of its own: in UTC with milliseconds.
const UTC_TIME: &str = "T(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]|23:59:60)\\.[0-9]{3}Z";

/// A schema in the words of draft-07.
fn in_draft_07(schema: &Value) -> Value {
    let Value::Object(members) = schema else {
        return match schema {
            Value::Array(parts) => parts.iter().map(in_draft_07).collect(),
            Value::String(text) => text.replace("#/$defs/", "#/definitions/").into(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => schema.clone(),
        };
    };
    let is_time = members.get("format") == Some(&json!("date-time"));
    let in_utc = members.contains_key("pattern");
    let is_tuple = members.contains_key("prefixItems");
    let mut said = Map::new();
    for (key, part) in members {
        let (key, part) = match key.as_str() {
            "$schema" => (
                key.as_str(),
                json!("http://json-schema.org/draft-07/schema#"),
            ),
            "$id" => (
                key.as_str(),
                json!(part.as_str().map(|id| format!("{id}:draft-07"))),
            ),
            "$defs" => ("definitions", in_draft_07(part)),
            "prefixItems" => ("items", in_draft_07(part)),
            "items" if is_tuple => ("additionalItems", in_draft_07(part)),
            "format" if is_time && in_utc => ("pattern", json!(format!("^{DAY}{UTC_TIME}$"))),
            "format" if is_time => ("pattern", json!(format!("^{DAY}{TIME}$"))),
            "pattern" if is_time => continue,
            other => (other, in_draft_07(part)),
        };
        said.insert(key.to_owned(), part);
    }
    said.into()
}

#[test]
fn each_draft_07_form_is_the_schema_in_that_draft_s_words() {
    for ((name, newer), older) in ALL.into_iter().zip(OLDER) {
        let expected = in_draft_07(&parsed(newer));
        assert!(
            parsed(older) == expected,
            "schemas/draft-07/{name}.schema.json has to hold {expected:#}"
        );
        let left = ["$defs", "prefixItems", "\"format\"", "2020-12"];
        assert!(!left.iter().any(|word| older.contains(word)), "{name}");
    }
}

/// What the page says of the one difference between the two forms.
#[test]
fn only_a_leap_second_elsewhere_than_in_utc_is_refused_in_draft_07_alone() {
    let [newer, older] = [REQUEST, draft_07::REQUEST].map(compiled);
    for (time, by_newer, by_older) in [
        ("2016-12-31T23:59:60Z", true, true),
        ("2016-12-31t23:59:60.25-00:00", true, true),
        ("2017-01-01T01:29:60+01:30", true, false),
        ("2016-12-31T22:59:60Z", false, false),
        ("2024-02-29T00:00:00Z", true, true),
        ("2000-02-29T00:00:00Z", true, true),
        ("2023-02-29T00:00:00Z", false, false),
        ("1900-02-29T00:00:00Z", false, false),
        ("2026-04-31T00:00:00Z", false, false),
        ("2026-12-31T23:59:59+23:59", true, true),
        ("2026-12-31T23:59:59+23:60", false, false),
    ] {
        let mut request = requests().remove(0);
        request["timestamp"] = time.into();
        assert_eq!(newer.is_valid(&request), by_newer, "{time}");
        assert_eq!(older.is_valid(&request), by_older, "{time} in draft-07");
    }
}

/// Years of each sort, with days that there are and days that there are not.
#[test]
fn the_pattern_of_draft_07_knows_the_calendar() {
    let older = compiled(draft_07::REQUEST);
    let mut request = requests().remove(0);
    for year in [
        0, 1896, 1900, 1904, 1999, 2000, 2023, 2024, 2100, 2400, 9999,
    ] {
        for (month, day) in (0..=13).flat_map(|month| (0..=32).map(move |day| (month, day))) {
            let text = format!("{year:04}-{month:02}-{day:02}T12:00:00Z");
            let known = crate::time::Timestamp::parse(&text).is_ok();
            request["timestamp"] = text.clone().into();
            assert_eq!(older.is_valid(&request), known, "{text}");
        }
    }
}
