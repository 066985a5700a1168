//! The checks that serde's derives do not make: that a struct is read from an object only, and the bounds of plain fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Implements serde's traits for types that derive them with `#[serde(remote = "Self")]`, so that
/// they are read from objects only.
///
/// The derived code alone would read a struct from an array of its fields in order, and a tagged
/// enum from an array that starts with the tag; the contract knows neither.
macro_rules! objects {
    ($($name:ident),+) => { $(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                Self::deserialize($crate::shape::ObjectOnly(input))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, out)
            }
        }
    )+ };
}
pub(crate) use objects;

/// As [`objects`], for enums with `#[serde(tag = …)]`.
///
/// Inside a buffered value the derived code alone would also accept a number as a tag, as the index of a variant.
/// [`serde_json::Value`] gives tags as text only.
macro_rules! tagged {
    ($($name:ident),+) => { $(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let members = serde_json::Map::deserialize(input)?;
                Self::deserialize(serde_json::Value::Object(members)).map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, out)
            }
        }
    )+ };
}
pub(crate) use tagged;

/// As [`objects`], for enums of plain words: read from text only.
///
/// The derived code alone would also read the object `{"word": null}`.
macro_rules! words {
    ($($name:ident),+) => { $(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let word = String::deserialize(input)?;
                Self::deserialize(serde::de::value::StringDeserializer::new(word))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, out)
            }
        }
    )+ };
}
pub(crate) use words;

/// A deserializer, and also a visitor, that lets nothing through but objects.
pub(crate) struct ObjectOnly<T>(pub(crate) T);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectOnly<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(ObjectOnly(visitor))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for ObjectOnly<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object: ")?;
        self.0.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(members)
    }
}

/// Reads a text of `MIN` to `MAX` characters.
pub(crate) fn text<'de, D: Deserializer<'de>, const MIN: usize, const MAX: usize>(
    input: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    let chars = text.chars().count();
    if (MIN..=MAX).contains(&chars) {
        Ok(text)
    } else if MIN == 0 {
        Err(D::Error::custom(format_args!(
            "{chars} characters: use at most {MAX}"
        )))
    } else {
        Err(D::Error::custom(format_args!(
            "{chars} characters: use {MIN} to {MAX}"
        )))
    }
}

/// Reads a text that is not empty.
pub(crate) fn non_empty<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    not_empty(&text).map_err(D::Error::custom)?;
    Ok(text)
}

/// Reads a text that the system can take as a path or an argument: not empty, without NUL.
pub(crate) fn path<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    usable(&text).map_err(D::Error::custom)?;
    Ok(text)
}

/// Reads a program and its arguments: at least one text, the first not empty, none with NUL.
pub(crate) fn command<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let command = Vec::<String>::deserialize(input)?;
    match command.as_slice() {
        [] => Err(D::Error::custom("no program: name one")),
        [program, arguments @ ..] => {
            usable(program).map_err(D::Error::custom)?;
            for argument in arguments {
                without_nul(argument).map_err(D::Error::custom)?;
            }
            Ok(command)
        }
    }
}

/// Reads an optional map from names that are not empty to paths.
pub(crate) fn paths<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    let paths = BTreeMap::<String, String>::deserialize(input)?;
    for (name, path) in &paths {
        not_empty(name).map_err(D::Error::custom)?;
        usable(path).map_err(D::Error::custom)?;
    }
    Ok(Some(paths))
}

/// Reads at least one text, each once.
pub(crate) fn set<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(input)?;
    let mut seen = BTreeSet::new();
    if texts.is_empty() {
        return Err(D::Error::custom("no entry: give at least one"));
    }
    match texts.iter().find(|text| !seen.insert(text.as_str())) {
        Some(text) => Err(D::Error::custom(format_args!(
            "'{text}' is listed twice: remove one"
        ))),
        None => Ok(texts),
    }
}

/// Reads JSON pointers (RFC 6901).
pub(crate) fn pointers<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let pointers = Vec::<String>::deserialize(input)?;
    match pointers.iter().find(|pointer| !is_pointer(pointer)) {
        Some(wrong) => Err(D::Error::custom(format_args!(
            "'{wrong}' is not a JSON pointer: write it like /payload/content"
        ))),
        None => Ok(pointers),
    }
}

/// Reads an integer from `MIN` to `MAX`.
pub(crate) fn bounded<'de, D, T, const MIN: u64, const MAX: u64>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let number = u64::deserialize(input)?;
    let wrong = || D::Error::custom(format_args!("{number} is not within {MIN} to {MAX}"));
    if !(MIN..=MAX).contains(&number) {
        return Err(wrong());
    }
    T::try_from(number).map_err(|_| wrong())
}

/// Reads an integer from `MIN` to `MAX` where the field is present; `null` is refused.
pub(crate) fn bounded_if_present<'de, D, const MIN: u64, const MAX: u64>(
    input: D,
) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    bounded::<D, u64, MIN, MAX>(input).map(Some)
}

/// Reads a value or `null`, where leaving the field out is an error.
pub(crate) fn nullable<'de, D, T>(input: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(input)
}

fn not_empty(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("text is empty: give at least one character")
    } else {
        Ok(())
    }
}

fn without_nul(text: &str) -> Result<(), &'static str> {
    if text.contains('\0') {
        Err("text holds a NUL character, which no path or argument can: leave it out")
    } else {
        Ok(())
    }
}

fn usable(text: &str) -> Result<(), &'static str> {
    not_empty(text)?;
    without_nul(text)
}

/// Steps that each start with `/`, with `~` only as `~0` or `~1`.
fn is_pointer(text: &str) -> bool {
    let escapes_hold = text
        .split('~')
        .skip(1)
        .all(|after| after.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes_hold
}
