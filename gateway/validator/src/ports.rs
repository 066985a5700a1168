//! Whether a payload fits what the manifest declares for inputs or outputs: kind, schema and size. Requests and answers have the same rule.

use plugin_protocol::manifest::{Io, Port};
use plugin_protocol::payload::Payload;
use serde_json::Value;

use super::Schemas;
use super::words::{listed, quoted};

/// One payload with what was computed of it.
pub(super) struct Sized<'a> {
    pub(super) payload: &'a Payload,
    /// The same payload as JSON.
    pub(super) value: &'a Value,
    /// Its canonical size in bytes.
    pub(super) bytes: usize,
}

/// Which side of a plugin a payload is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// What the host gives it.
    Inputs,
    /// What it gives back.
    Outputs,
}

/// Checks a payload against what the manifest declares for one side: one of its ports must take it.
///
/// A `json` payload names its schema itself. In a result only a declared name is accepted. In a request that is so where the
/// manifest brings schemas for that kind, since any other would go by unchecked; without schemas the name is a mere label.
pub(super) fn fit(io: &Io, side: Side, sized: &Sized<'_>, schemas: &Schemas) -> Result<(), String> {
    let (ports, side_shown): (&[Port], _) = match side {
        Side::Inputs => (&io.inputs, "io.inputs"),
        Side::Outputs => (&io.outputs, "io.outputs"),
    };
    let kind = sized.payload.kind();
    let of_kind: Vec<&Port> = ports.iter().filter(|port| port.kind == kind).collect();
    if of_kind.is_empty() {
        let declared = match ports {
            [] => "it declares none".to_owned(),
            _ => format!(
                "it declares {}",
                listed(ports.iter().map(|port| port.kind.as_str()))
            ),
        };
        return Err(format!(
            "payload kind '{kind}' is not in the plugin's {side_shown}: {declared}"
        ));
    }
    let named = sized.payload.schema_ref();
    let matching: Vec<&Port> = match named {
        Some(name) => of_kind
            .iter()
            .copied()
            .filter(|port| port.schema_ref == name)
            .collect(),
        None => of_kind.clone(),
    };
    let candidates = if !matching.is_empty() {
        matching
    } else if side == Side::Outputs
        || of_kind
            .iter()
            .any(|port| schemas.contains(&port.schema_ref))
    {
        return Err(format!(
            "schema_ref {} is not in the plugin's {side_shown}: use {}",
            quoted(named.unwrap_or_default()),
            listed(of_kind.iter().map(|port| port.schema_ref.as_str()))
        ));
    } else {
        of_kind
    };
    let mut first = Ok(());
    for port in candidates {
        let judged = take(port, sized, schemas);
        if judged.is_ok() {
            return judged;
        }
        first = first.and(judged);
    }
    first
}

fn take(port: &Port, sized: &Sized<'_>, schemas: &Schemas) -> Result<(), String> {
    let max_bytes = port.limits.max_bytes;
    if sized.bytes as u64 > max_bytes {
        return Err(format!(
            "the payload has {} bytes of canonical JSON, more than the {max_bytes} that the plugin declares for '{}': send less, or raise `limits.max_bytes` of that port in plugin.json",
            sized.bytes, port.kind
        ));
    }
    let name = sized.payload.schema_ref().unwrap_or(&port.schema_ref);
    // Only `json` carries free data; the other kinds are checked as the payload object that they are.
    let checked = match sized.payload {
        Payload::Json { .. } if !schemas.describes_payload(name) => {
            sized.value.get("data").unwrap_or(&Value::Null)
        }
        Payload::Json { .. }
        | Payload::Text { .. }
        | Payload::BinaryRef { .. }
        | Payload::DatasetSlice { .. } => sized.value,
    };
    schemas.check(name, checked)
}
