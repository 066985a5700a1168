//! Builds the value, and finds keys that are not allowed; it relies on [`super::scan`] for depth and numbers.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::{Error, MAX_SAFE_INTEGER, Position};

/// `serde_json` replaces an object with this key by the JSON inside the key's text. None of the rules would have seen that JSON,
/// and its canonical bytes are not those of the object that was sent.
const RESERVED_KEY: &str = "$serde_json::private::RawValue";

/// Parses `text`, which [`super::scan`] has passed.
pub(super) fn build(text: &str) -> Result<Value, Error> {
    let fault = RefCell::new(None);
    let mut parser = serde_json::Deserializer::from_str(text);
    // Nesting is already known to be within the bound; the library's own limit is one level lower.
    parser.disable_recursion_limit();
    let value = Strict(&fault)
        .deserialize(&mut parser)
        .map_err(|error| explain(text, &error, fault.take()))?;
    parser.end().map_err(|error| {
        Error::Trailing(Position::of_line(
            text,
            error.line(),
            error.column().saturating_sub(1),
        ))
    })?;
    Ok(value)
}

fn explain(text: &str, error: &serde_json::Error, fault: Option<KeyFault>) -> Error {
    let Some(fault) = fault else {
        return Error::Syntax(error.to_string());
    };
    let at = Position::of_line(text, error.line(), error.column());
    let pointer = fault.pointer();
    match fault.rule {
        Rule::Duplicate => Error::DuplicateKey { pointer, at },
        Rule::Reserved => Error::ReservedKey { pointer, at },
    }
}

/// A key that is not allowed, with the path to it, innermost step first.
struct KeyFault {
    rule: Rule,
    steps: Vec<String>,
}

#[derive(Clone, Copy)]
enum Rule {
    Duplicate,
    Reserved,
}

impl KeyFault {
    fn pointer(&self) -> String {
        let step = |step: &String| format!("/{}", step.replace('~', "~0").replace('/', "~1"));
        self.steps.iter().rev().map(step).collect()
    }
}

/// Reads any value; a bad key is put into the cell, since the parser's own error can hold only text.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a RefCell<Option<KeyFault>>);

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, rule: Rule, key: &str) -> E {
        let steps = vec![key.to_owned()];
        self.0.replace(Some(KeyFault { rule, steps }));
        E::custom("key refused")
    }

    fn came_through(self, step: impl FnOnce() -> String) {
        if let Some(fault) = self.0.borrow_mut().as_mut() {
            fault.steps.push(step());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        number(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            match items.next_element_seed(self) {
                Ok(Some(item)) => array.push(item),
                Ok(None) => return Ok(Value::Array(array)),
                Err(error) => {
                    self.came_through(|| array.len().to_string());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if key == RESERVED_KEY {
                return Err(self.refuse(Rule::Reserved, &key));
            }
            match object.entry(key) {
                Entry::Occupied(taken) => return Err(self.refuse(Rule::Duplicate, taken.key())),
                Entry::Vacant(place) => match members.next_value_seed(self) {
                    Ok(value) => {
                        place.insert(value);
                    }
                    Err(error) => {
                        self.came_through(|| place.key().clone());
                        return Err(error);
                    }
                },
            }
        }
        Ok(Value::Object(object))
    }
}

/// The number by its value: whole ones within the safe range become integers, -0 becomes 0.
fn number(value: f64) -> Option<Number> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 − 1 is held exactly")]
    let safe = MAX_SAFE_INTEGER as f64;
    if value.fract() == 0.0 && value.abs() <= safe {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within ±(2^53 − 1)"
        )]
        let whole = value as i64;
        Some(whole.into())
    } else {
        Number::from_f64(value)
    }
}
