//! What goes into a plugin and comes out of it, tagged by kind.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::canonical;
use crate::digest::{FileHash, PayloadHash};
use crate::shape;

/// A payload (contract, section 3). No field beside the named ones is accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    remote = "Self",
    tag = "kind",
    rename_all = "snake_case",
    deny_unknown_fields
)]
pub enum Payload {
    /// Text with metadata.
    Text {
        /// The text.
        content: String,
        /// Always UTF-8.
        encoding: Encoding,
        /// Free words about the text.
        metadata: BTreeMap<String, String>,
    },
    /// A JSON object that follows a named schema.
    Json {
        /// The object.
        data: Map<String, Value>,
        /// The name of its schema.
        schema_ref: NonEmpty,
    },
    /// A reference to bytes that the host keeps.
    BinaryRef {
        /// The host's name for the bytes.
        artifact_id: NonEmpty,
        /// SHA-256 of the bytes.
        artifact_hash: FileHash,
        /// Their media type.
        mime_type: NonEmpty,
    },
    /// A reference to parts of a data set that the host keeps.
    DatasetSlice {
        /// The parts, at least one.
        slice_ids: SliceIds,
        /// The data set.
        source: NonEmpty,
        /// How the parts were chosen.
        filters: BTreeMap<String, String>,
    },
}

shape::tagged!(Payload);

/// The kind of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum PayloadKind {
    /// `text`.
    Text,
    /// `json`.
    Json,
    /// `binary_ref`.
    BinaryRef,
    /// `dataset_slice`.
    DatasetSlice,
}

shape::words!(PayloadKind);

/// The encoding of a text payload, of which there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Encoding {
    /// UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
}

shape::words!(Encoding);

/// A text of at least one character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NonEmpty(String);

/// At least one slice id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct SliceIds(Vec<String>);

/// Something that must hold at least one part holds none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must not be empty")]
pub struct Empty;

impl Payload {
    /// A `text` payload without metadata.
    #[must_use]
    pub fn text(content: impl Into<String>) -> Self {
        Self::Text {
            content: content.into(),
            encoding: Encoding::Utf8,
            metadata: BTreeMap::new(),
        }
    }

    /// A `json` payload.
    ///
    /// # Errors
    /// When `schema_ref` is empty.
    pub fn json(data: Map<String, Value>, schema_ref: impl Into<String>) -> Result<Self, Empty> {
        Ok(Self::Json {
            data,
            schema_ref: NonEmpty::try_from(schema_ref.into())?,
        })
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> PayloadKind {
        match self {
            Self::Text { .. } => PayloadKind::Text,
            Self::Json { .. } => PayloadKind::Json,
            Self::BinaryRef { .. } => PayloadKind::BinaryRef,
            Self::DatasetSlice { .. } => PayloadKind::DatasetSlice,
        }
    }

    /// The name of the schema that the payload says it follows, which only `json` carries.
    #[must_use]
    pub fn schema_ref(&self) -> Option<&str> {
        match self {
            Self::Json { schema_ref, .. } => Some(schema_ref.as_str()),
            Self::Text { .. } | Self::BinaryRef { .. } | Self::DatasetSlice { .. } => None,
        }
    }

    /// The canonical JSON of the payload (RFC 8785), the bytes that limits count and hashes cover.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        canonical::bytes(self)
    }

    /// SHA-256 of the canonical JSON.
    #[must_use]
    pub fn hash(&self) -> PayloadHash {
        PayloadHash::of(&self.canonical())
    }
}

impl PayloadKind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::BinaryRef => "binary_ref",
            Self::DatasetSlice => "dataset_slice",
        }
    }
}

impl fmt::Display for PayloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl NonEmpty {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NonEmpty {
    type Error = Empty;

    fn try_from(text: String) -> Result<Self, Empty> {
        if text.is_empty() {
            Err(Empty)
        } else {
            Ok(Self(text))
        }
    }
}

impl From<NonEmpty> for String {
    fn from(text: NonEmpty) -> Self {
        text.0
    }
}

impl SliceIds {
    /// The ids.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for SliceIds {
    type Error = Empty;

    fn try_from(ids: Vec<String>) -> Result<Self, Empty> {
        if ids.is_empty() {
            Err(Empty)
        } else {
            Ok(Self(ids))
        }
    }
}

impl From<SliceIds> for Vec<String> {
    fn from(ids: SliceIds) -> Self {
        ids.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json as strict;

    #[test]
    fn a_payload_is_hashed_over_its_canonical_bytes() {
        let payload = Payload::text("é\n");
        let canonical = r#"{"content":"é\n","encoding":"utf-8","kind":"text","metadata":{}}"#;
        assert_eq!(payload.canonical(), canonical.as_bytes());
        assert_eq!(payload.hash(), PayloadHash::of(canonical.as_bytes()));
        assert_eq!(
            strict::read_as::<Payload>(canonical.as_bytes()),
            Ok(payload)
        );
    }

    #[test]
    fn no_other_kind_and_no_other_field_is_read() {
        for bad in [
            json!({"kind": "html", "content": ""}),
            json!({"content": "", "encoding": "utf-8", "metadata": {}}),
            json!({"kind": "text", "content": "", "encoding": "utf-8", "metadata": {}, "x": 1}),
            json!({"kind": "text", "content": "", "encoding": "utf-16", "metadata": {}}),
            json!({"kind": "json", "data": [], "schema_ref": "s"}),
            json!({"kind": "json", "data": {}, "schema_ref": ""}),
            json!({"kind": 0, "content": "", "encoding": "utf-8", "metadata": {}}),
            json!(["text", "", "utf-8", {}]),
        ] {
            assert!(
                serde_json::from_value::<Payload>(bad.clone()).is_err(),
                "{bad}"
            );
        }
        assert!(Payload::json(Map::new(), "").is_err());
    }
}
