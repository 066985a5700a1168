//! Where the results of one payload differ, and whether in their order alone: then they come out of a set, a map or several threads.

use plugin_protocol::shown;
use serde_json::Value;

/// The most characters of a place that is named.
const PLACE_CHARS: usize = 80;

/// Where two values first differ.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Difference {
    /// A JSON pointer into the result.
    place: String,
    /// Whether the same things stand there, only in another order.
    is_order: bool,
}

/// What follows the count of different results: where they differ first, and what to do about it.
pub(super) fn what_differs(results: &[Value]) -> String {
    let Some((first, others)) = results.split_first() else {
        return String::new();
    };
    let found: Vec<Difference> = others
        .iter()
        .flat_map(|other| differences(first, other))
        .collect();
    // What differs otherwise is to be mended first: order may only follow from it.
    let worst = found
        .iter()
        .find(|one| !one.is_order)
        .or_else(|| found.first());
    match worst {
        Some(Difference {
            place,
            is_order: true,
        }) => format!(
            " that differ only in their order, at {}: sort what comes out of a set or a map, of a folder's listing or of several threads, before it is answered",
            shown(place)
        ),
        Some(Difference {
            place,
            is_order: false,
        }) => format!(
            ", which differ at {}: leave out times, addresses and random numbers, or say `probabilistic`",
            shown(place)
        ),
        None => String::new(),
    }
}

fn shown(place: &str) -> String {
    if place.is_empty() {
        "the whole".to_owned()
    } else {
        format!("'{}'", shown::cut(place, PLACE_CHARS))
    }
}

/// Each place where the two differ; below one that differs in more than its order, none is looked for.
fn differences(one: &Value, other: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(one, other, "", &mut found);
    found
}

fn compare(one: &Value, other: &Value, place: &str, found: &mut Vec<Difference>) {
    if one == other {
        return;
    }
    let mut note = |is_order| {
        found.push(Difference {
            place: place.to_owned(),
            is_order,
        });
    };
    match (one, other) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            for ((name, a), b) in a.iter().zip(b.values()) {
                let name = name.replace('~', "~0").replace('/', "~1");
                compare(a, b, &format!("{place}/{name}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if unordered(one) == unordered(other) => {
            // Those in the same order differ further below.
            if a.iter().zip(b).all(|(a, b)| unordered(a) == unordered(b)) {
                for (at, (a, b)) in a.iter().zip(b).enumerate() {
                    compare(a, b, &format!("{place}/{at}"), found);
                }
            } else {
                note(true);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                compare(a, b, &format!("{place}/{at}"), found);
            }
        }
        (Value::String(a), Value::String(b)) => note(words(a) == words(b)),
        _ => note(false),
    }
}

/// The value as text, in which order counts nowhere.
fn unordered(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let mut items: Vec<String> = items.iter().map(unordered).collect();
            items.sort_unstable();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{name:?}:{}", unordered(value)))
                .collect();
            members.sort_unstable();
            format!("{{{}}}", members.join(","))
        }
        Value::String(text) => format!("{:?}", words(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The words of a text, sorted: a set that is printed into a text is one.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_alone_is_told_apart_from_what_is_really_another_result() {
        let result = |data: Value| json!({ "kind": "json", "schema_ref": "x/1", "data": data });
        for (one, other, said) in [
            (
                json!({ "a/b": [1, 2, 3] }),
                json!({ "a/b": [3, 1, 2] }),
                "only in their order, at '/data/a~1b': sort",
            ),
            (
                json!({ "x": [{ "t": ["a", "b"] }] }),
                json!({ "x": [{ "t": ["b", "a"] }] }),
                "only in their order, at '/data/x/0/t': sort",
            ),
            (
                json!({ "x": "{'a', 'b'}" }),
                json!({ "x": "{'b', 'a'}" }),
                "only in their order, at '/data/x': sort",
            ),
            (
                json!({ "x": [1, 2], "when": 1 }),
                json!({ "x": [2, 1], "when": 2 }),
                ", which differ at '/data/when': leave out times",
            ),
            (
                json!({ "x": [1, 2] }),
                json!({ "x": [1, 3] }),
                ", which differ at '/data/x/1': leave out times",
            ),
            (
                json!({ "x": 0.5 }),
                json!({ "y": 0.5 }),
                ", which differ at '/data': leave out times",
            ),
        ] {
            let words = what_differs(&[result(one.clone()), result(one), result(other)]);
            assert!(words.contains(said), "{said}: {words}");
        }
        assert_eq!(what_differs(&[]), "");
    }
}
