//! What the registry's events hold in `meta`: writer and reader side by side, so that they cannot drift apart.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_protocol::digest::{KeyId, ManifestHash, PackageDigest};
use plugin_protocol::event::{Event, EventKind, meta};
use plugin_protocol::report::{PluginInfo, PluginStatus};

use super::{Error, PublicKey};

/// Facts of an event by name.
pub(super) type Meta = BTreeMap<String, String>;

/// The longest plugin name that is recorded, in characters (contract, section 4).
const MAX_NAME_CHARS: usize = 128;
/// The longest reason that is recorded, in characters: enough for a sentence with names in it.
const MAX_REASON_CHARS: usize = 1_024;
/// The longest label of a key, in characters.
pub(super) const MAX_LABEL_CHARS: usize = 128;
/// The most capabilities that are recorded of a refused manifest, and the longest of them: more than the contract has.
const MAX_CAPABILITIES: usize = 32;
const MAX_CAPABILITY_BYTES: usize = 64;

/// The content of a REGISTER event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registration {
    /// Whether the plugin was registered; otherwise it was rejected.
    pub(super) accepted: bool,
    pub(super) signature_valid: bool,
    pub(super) manifest_hash: ManifestHash,
    pub(super) package_digest: PackageDigest,
    /// The signer, where the signature could be read.
    pub(super) key_id: Option<KeyId>,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) capabilities: Vec<String>,
    /// Why it was rejected.
    pub(super) reason: Option<String>,
    /// The version that it replaces.
    pub(super) replaces: Option<String>,
}

impl Registration {
    /// The event's `meta`.
    pub(super) fn to_meta(&self) -> Meta {
        let status = if self.accepted {
            PluginStatus::Registered
        } else {
            PluginStatus::Rejected
        };
        let capabilities: Vec<&str> = self
            .capabilities
            .iter()
            .map(String::as_str)
            .filter(|word| is_one_word(word))
            .take(MAX_CAPABILITIES)
            .collect();
        let mut meta = Meta::from([
            (meta::STATUS.to_owned(), status.as_str().to_owned()),
            (
                meta::SIGNATURE_VALID.to_owned(),
                self.signature_valid.to_string(),
            ),
            (
                meta::MANIFEST_HASH.to_owned(),
                self.manifest_hash.to_string(),
            ),
            (
                meta::PACKAGE_DIGEST.to_owned(),
                self.package_digest.to_string(),
            ),
            (
                meta::NAME.to_owned(),
                first_chars(&self.name, MAX_NAME_CHARS),
            ),
            (
                meta::VERSION.to_owned(),
                first_chars(&self.version, MAX_NAME_CHARS),
            ),
            (meta::CAPABILITIES.to_owned(), capabilities.join(" ")),
        ]);
        let optional = [
            (meta::KEY_ID, self.key_id.map(|id| id.to_string())),
            (
                meta::REASON,
                self.reason
                    .as_ref()
                    .map(|why| first_chars(why, MAX_REASON_CHARS)),
            ),
            (meta::REPLACES, self.replaces.clone()),
        ];
        for (name, value) in optional {
            meta.extend(value.map(|value| (name.to_owned(), value)));
        }
        meta
    }

    /// Reads what [`Self::to_meta`] wrote.
    pub(super) fn from_event(event: &Event) -> Result<Self, Error> {
        let needed = |name: &str| {
            let value = event.meta.get(name);
            value
                .cloned()
                .ok_or_else(|| malformed(event, &format!("its meta has no `{name}`")))
        };
        let bad = |name: &str| malformed(event, &format!("its meta has a bad `{name}`"));
        let key_id = event
            .meta
            .get(meta::KEY_ID)
            .map(|id| KeyId::parse(id))
            .transpose();
        Ok(Self {
            accepted: match needed(meta::STATUS)?.as_str() {
                "registered" => true,
                "rejected" => false,
                _ => return Err(bad(meta::STATUS)),
            },
            signature_valid: needed(meta::SIGNATURE_VALID)?
                .parse()
                .map_err(|_| bad(meta::SIGNATURE_VALID))?,
            manifest_hash: ManifestHash::parse(&needed(meta::MANIFEST_HASH)?)
                .map_err(|_| bad(meta::MANIFEST_HASH))?,
            package_digest: PackageDigest::parse(&needed(meta::PACKAGE_DIGEST)?)
                .map_err(|_| bad(meta::PACKAGE_DIGEST))?,
            key_id: key_id.map_err(|_| bad(meta::KEY_ID))?,
            name: needed(meta::NAME)?,
            version: needed(meta::VERSION)?,
            capabilities: needed(meta::CAPABILITIES)?
                .split(' ')
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect(),
            reason: event.meta.get(meta::REASON).cloned(),
            replaces: event.meta.get(meta::REPLACES).cloned(),
        })
    }
}

/// What an ENABLE or DISABLE event is about.
#[derive(Debug)]
pub(super) enum Subject {
    /// The plugin of its `plugin_id`.
    Plugin(plugin_protocol::ids::PluginId),
    /// The same, which the registry forgets.
    Removed(plugin_protocol::ids::PluginId),
    /// A key that becomes trusted.
    TrustedKey { key: PublicKey, label: String },
    /// A key that loses its trust.
    RevokedKey(KeyId),
    /// A run's evidence was erased, which does not concern the registry.
    Evidence,
}

impl Subject {
    /// Reads the subject of an ENABLE (`enable`) or DISABLE event.
    pub(super) fn from_event(event: &Event, enable: bool) -> Result<Self, Error> {
        if let Some(id) = event.plugin_id.clone() {
            let removed = event
                .meta
                .get(meta::REMOVED)
                .is_some_and(|removed| removed == "true");
            return Ok(if removed && !enable {
                Self::Removed(id)
            } else {
                Self::Plugin(id)
            });
        }
        let meta = |name: &str| event.meta.get(name).map_or("", String::as_str);
        let about_records = [meta::SUBJECT_EVIDENCE, meta::SUBJECT_LEDGER];
        if about_records.contains(&meta(meta::SUBJECT)) && !enable {
            return Ok(Self::Evidence);
        }
        if meta(meta::SUBJECT) != meta::SUBJECT_KEY {
            return Err(malformed(event, "it names neither a plugin nor a key"));
        }
        let key_id = KeyId::parse(meta(meta::KEY_ID))
            .map_err(|error| malformed(event, &error.to_string()))?;
        if !enable {
            return Ok(Self::RevokedKey(key_id));
        }
        let raw = STANDARD
            .decode(meta(meta::PUBLIC_KEY))
            .ok()
            .and_then(|raw| raw.try_into().ok());
        let key = raw.and_then(|raw: [u8; 32]| PublicKey::from_raw(&raw).ok());
        match key {
            Some(key) if key.id() == key_id => Ok(Self::TrustedKey {
                key,
                label: meta(meta::LABEL).to_owned(),
            }),
            Some(_) | None => Err(malformed(
                event,
                "its `public_key` is not the key of its `key_id`",
            )),
        }
    }
}

/// The `meta` of an ENABLE event for a key.
pub(super) fn trusted_key_meta(key: &PublicKey, label: &str) -> Meta {
    let mut meta = revoked_key_meta(key.id());
    meta.insert(meta::PUBLIC_KEY.to_owned(), STANDARD.encode(key.raw()));
    if !label.is_empty() {
        meta.insert(meta::LABEL.to_owned(), first_chars(label, MAX_LABEL_CHARS));
    }
    meta
}

/// The `meta` of a DISABLE event for a key.
pub(super) fn revoked_key_meta(key_id: KeyId) -> Meta {
    Meta::from([
        (meta::SUBJECT.to_owned(), meta::SUBJECT_KEY.to_owned()),
        (meta::KEY_ID.to_owned(), key_id.to_string()),
    ])
}

/// The `meta` of a DISABLE event for a plugin that is removed.
pub(super) fn removal_meta() -> Meta {
    Meta::from([(meta::REMOVED.to_owned(), true.to_string())])
}

/// The inventory's row that a REGISTER event describes, as it is right after that event.
///
/// # Errors
/// When the event is no well-formed REGISTER event.
pub fn plugin_info(event: &Event) -> Result<PluginInfo, Error> {
    if event.kind != EventKind::Register {
        return Err(malformed(event, "it is not a REGISTER event"));
    }
    let id = event.plugin_id.clone();
    let plugin_id = id.ok_or_else(|| malformed(event, "it names no plugin"))?;
    let registration = Registration::from_event(event)?;
    Ok(PluginInfo {
        plugin_id,
        name: registration.name,
        version: registration.version,
        status: if registration.accepted {
            PluginStatus::Registered
        } else {
            PluginStatus::Rejected
        },
        capabilities: registration.capabilities,
        registered_at: event.ts.clone(),
        signature_valid: registration.signature_valid,
    })
}

pub(super) fn malformed(event: &Event, why: &str) -> Error {
    Error::MalformedEvent {
        event_id: event.event_id.to_string(),
        why: why.to_owned(),
    }
}

fn is_one_word(word: &str) -> bool {
    (1..=MAX_CAPABILITY_BYTES).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_graphic())
}

fn first_chars(text: &str, count: usize) -> String {
    text.chars().take(count).collect()
}
