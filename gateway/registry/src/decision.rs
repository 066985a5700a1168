//! The registry's decisions. Each is pure: it takes what is known and what is asked, says what to record, and changes nothing.
//!
//! A caller holds the registry from the decision until its event is durable and applied, so that no
//! other decision comes between.

use plugin_protocol::digest::{KeyId, ManifestHash, PackageDigest};
use plugin_protocol::event::EventKind;
use plugin_protocol::ids::PluginId;
use plugin_protocol::report::PluginStatus;
use plugin_protocol::version::Version;

use super::record::{Meta, Registration, removal_meta, revoked_key_meta, trusted_key_meta};
use super::{Error, Package, PublicKey, Registry, Signature, SignatureFault};

/// What is known of a package that asks to be registered.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationFacts<'a> {
    /// The manifest's `plugin_id`.
    pub plugin_id: &'a PluginId,
    /// The manifest's `name`.
    pub name: &'a str,
    /// The manifest's `version`.
    pub version: &'a str,
    /// The manifest's `capabilities`.
    pub capabilities: &'a [String],
    /// The manifest's hash.
    pub manifest_hash: ManifestHash,
    /// The package's digest, as computed here.
    pub package_digest: PackageDigest,
    /// The package itself, by which the files are named that changed since it was signed.
    pub package: Option<&'a Package>,
    /// The bytes of `plugin.sig`.
    pub signature: Option<&'a [u8]>,
    /// Whether a lower version under the same id may be replaced.
    pub replace: bool,
    /// What is wrong with the manifest or the package, if anything: it is then rejected, whoever signed it.
    pub fault: Option<&'a str>,
}

/// What to record for a registration.
#[derive(Debug)]
pub enum RegistrationDecision {
    /// A REGISTER event that registers the plugin.
    Registered {
        /// The event's `meta`.
        meta: Meta,
    },
    /// A REGISTER event that says why it was rejected; a plugin that holds the id keeps it.
    Rejected {
        /// The event's `meta`.
        meta: Meta,
        /// Why, in words.
        reason: String,
    },
    /// Nothing: the operation is refused without an event.
    Refused(Error),
}

/// What to record for enabling or disabling a plugin, or for a change of trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the state is already the one asked for.
    None,
    /// An event of this kind with this `meta`.
    Record {
        /// ENABLE or DISABLE.
        kind: EventKind,
        /// The event's `meta`.
        meta: Meta,
    },
}

impl Registry {
    /// Judges a registration (contract, section 5).
    #[must_use]
    pub fn judge_registration(&self, facts: RegistrationFacts<'_>) -> RegistrationDecision {
        let held = self
            .holder(facts.plugin_id)
            .map(|plugin| plugin.info.version.as_str());
        if let (Some(held), false) = (held, facts.replace) {
            return RegistrationDecision::Refused(Error::AlreadyRegistered {
                id: facts.plugin_id.clone(),
                held: held.to_owned(),
            });
        }
        let signer = self.judge_signature(facts.signature, facts.package_digest, facts.package);
        let version = Version::parse(facts.version);
        let fault = facts.fault.map(str::to_owned).or_else(|| match &version {
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        });
        match (signer, fault) {
            (Ok(key_id), None) => accept(facts, held, key_id),
            (Ok(key_id), Some(fault)) => reject(facts, Some(key_id), true, fault),
            (Err(fault), None) => reject(facts, fault.key_id(), false, fault.to_string()),
            (Err(signature), Some(fault)) => reject(
                facts,
                signature.key_id(),
                false,
                format!("{fault}; {signature}"),
            ),
        }
    }

    /// Says which trusted key vouches for the package with this digest.
    ///
    /// # Errors
    /// When none does, with the reason.
    pub(crate) fn judge_signature(
        &self,
        signature: Option<&[u8]>,
        digest: PackageDigest,
        package: Option<&Package>,
    ) -> Result<KeyId, SignatureFault> {
        let signature = Signature::parse(signature.ok_or(SignatureFault::Missing)?)?;
        let key_id = signature.key_id();
        let known = self
            .key(key_id)
            .ok_or(SignatureFault::UntrustedKey(key_id))?;
        if !known.trusted {
            return Err(SignatureFault::RevokedKey(key_id));
        }
        if known.key.verifies(digest, &signature) {
            Ok(key_id)
        } else {
            let now = package.map(|package| package.list().files());
            let changed = now.and_then(|now| signature.differences(now));
            Err(SignatureFault::Wrong { key_id, changed })
        }
    }

    /// Judges switching a plugin on; idempotent.
    ///
    /// # Errors
    /// When the plugin is unknown, rejected, or no longer vouched for by a trusted key.
    pub fn enable(&self, id: &PluginId) -> Result<Change, Error> {
        let plugin = self
            .get(id)
            .ok_or_else(|| Error::PluginNotFound(id.clone()))?;
        match (plugin.info.status, plugin.key_id) {
            (PluginStatus::Rejected, _) => Err(Error::CannotEnableRejected(id.clone())),
            (PluginStatus::Enabled, _) => Ok(Change::None),
            (PluginStatus::Registered | PluginStatus::Disabled, Some(key_id))
                if !self.vouched_now(plugin) =>
            {
                Err(Error::KeyNotTrusted {
                    id: id.clone(),
                    key_id,
                })
            }
            (PluginStatus::Registered | PluginStatus::Disabled, _) => {
                Ok(record(EventKind::Enable, Meta::new()))
            }
        }
    }

    /// Judges switching a plugin off; idempotent.
    ///
    /// # Errors
    /// When the plugin is unknown or rejected.
    pub fn disable(&self, id: &PluginId) -> Result<Change, Error> {
        let plugin = self
            .get(id)
            .ok_or_else(|| Error::PluginNotFound(id.clone()))?;
        match plugin.info.status {
            PluginStatus::Rejected => Err(Error::CannotDisableRejected(id.clone())),
            PluginStatus::Disabled => Ok(Change::None),
            PluginStatus::Registered | PluginStatus::Enabled => {
                Ok(record(EventKind::Disable, Meta::new()))
            }
        }
    }

    /// Judges removing a plugin, whatever its status: its id is free again.
    ///
    /// # Errors
    /// When the plugin is unknown.
    pub fn remove(&self, id: &PluginId) -> Result<Change, Error> {
        match self.get(id) {
            Some(_) => Ok(record(EventKind::Disable, removal_meta())),
            None => Err(Error::PluginNotFound(id.clone())),
        }
    }

    /// Judges trusting a key; idempotent for a key that is trusted, whatever its label.
    ///
    /// # Errors
    /// When its id already names a different key.
    pub fn trust_add(&self, key: &PublicKey, label: &str) -> Result<Change, Error> {
        match self.key(key.id()) {
            Some(known) if known.key != *key => Err(Error::KeyIdTaken(key.id())),
            Some(known) if known.trusted => Ok(Change::None),
            Some(_) | None => Ok(record(EventKind::Enable, trusted_key_meta(key, label))),
        }
    }

    /// Judges removing trust from a key, which disables what it vouched for; idempotent.
    ///
    /// # Errors
    /// When the key was never trusted.
    pub fn trust_remove(&self, key_id: KeyId) -> Result<Change, Error> {
        let known = self.key(key_id).ok_or(Error::KeyNotFound(key_id))?;
        if known.trusted {
            Ok(record(EventKind::Disable, revoked_key_meta(key_id)))
        } else {
            Ok(Change::None)
        }
    }
}

fn accept(facts: RegistrationFacts<'_>, held: Option<&str>, key_id: KeyId) -> RegistrationDecision {
    let higher =
        held.is_none_or(|held| Version::parse(facts.version).ok() > Version::parse(held).ok());
    if let (Some(held), false) = (held, higher) {
        return RegistrationDecision::Refused(Error::NotHigher {
            id: facts.plugin_id.clone(),
            held: held.to_owned(),
            offered: facts.version.to_owned(),
        });
    }
    let registration = Registration {
        replaces: held.map(str::to_owned),
        ..described(facts, Some(key_id), true)
    };
    RegistrationDecision::Registered {
        meta: Registration {
            accepted: true,
            ..registration
        }
        .to_meta(),
    }
}

fn reject(
    facts: RegistrationFacts<'_>,
    key_id: Option<KeyId>,
    signature_valid: bool,
    reason: String,
) -> RegistrationDecision {
    let registration = Registration {
        reason: Some(reason.clone()),
        ..described(facts, key_id, signature_valid)
    };
    RegistrationDecision::Rejected {
        meta: registration.to_meta(),
        reason,
    }
}

fn described(
    facts: RegistrationFacts<'_>,
    key_id: Option<KeyId>,
    signature_valid: bool,
) -> Registration {
    Registration {
        accepted: false,
        signature_valid,
        manifest_hash: facts.manifest_hash,
        package_digest: facts.package_digest,
        key_id,
        name: facts.name.to_owned(),
        version: facts.version.to_owned(),
        capabilities: facts.capabilities.to_vec(),
        reason: None,
        replaces: None,
    }
}

fn record(kind: EventKind, meta: Meta) -> Change {
    Change::Record { kind, meta }
}

impl SignatureFault {
    /// The key that the signature names, where it could be read.
    #[must_use]
    pub(crate) fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Missing | Self::Malformed(_) => None,
            Self::UntrustedKey(id) | Self::RevokedKey(id) | Self::Wrong { key_id: id, .. } => {
                Some(*id)
            }
        }
    }
}
