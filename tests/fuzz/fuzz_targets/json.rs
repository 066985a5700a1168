//! The strict JSON reader beside serde_json: it takes nothing that serde_json refuses, reads the same value, and its
//! canonical form reads back as itself.

#![no_main]

use plugin_protocol::{canonical, json};
use serde::Deserialize;
use serde_json::Value;

fn loose(bytes: &[u8]) -> Option<Value> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    reader.disable_recursion_limit();
    let value = Value::deserialize(&mut reader).ok()?;
    reader.end().ok().map(|()| value)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(strict) = json::read(bytes) else {
        return;
    };
    let loose = loose(bytes).expect("what the strict reader takes, serde_json takes");
    let text = canonical::bytes(&strict);
    assert_eq!(canonical::bytes(&loose), text, "both read the same value");
    let again = json::read(&text).expect("a canonical form can be read");
    assert_eq!(again, strict);
});
