//! The inventory and allow-list as a fold over the ledger's events; it reads no disk and keeps nothing that the events do not say.

use std::collections::{BTreeMap, BTreeSet};

use plugin_protocol::digest::{KeyId, ManifestHash, PackageDigest};
use plugin_protocol::event::{Event, EventKind};
use plugin_protocol::ids::PluginId;
use plugin_protocol::report::{PluginInfo, PluginStatus};
use plugin_protocol::time::Timestamp;
use plugin_protocol::version::Version;

use super::record::{Registration, Subject, malformed, plugin_info};
use super::{Error, PublicKey};

/// Every known plugin and key, as of the last applied event.
///
/// **Invariant** A plugin is `enabled` only while the key that vouched for it is trusted.
#[derive(Debug, Default)]
pub struct Registry {
    plugins: BTreeMap<PluginId, Plugin>,
    keys: BTreeMap<KeyId, TrustedKey>,
    /// Which plugins each key vouches for, so that a revocation looks only at those that it disables.
    vouched: BTreeMap<KeyId, BTreeSet<PluginId>>,
}

/// One known plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its row of the inventory.
    pub info: PluginInfo,
    /// Its manifest in the store.
    pub manifest_hash: ManifestHash,
    /// Its package in the store.
    pub package_digest: PackageDigest,
    /// The key that signed it, where the signature could be read.
    pub key_id: Option<KeyId>,
    /// Why it was rejected.
    pub reason: Option<String>,
}

/// One key that is or was in the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// The operator's word for it; may be empty.
    pub label: String,
    /// Whether it is trusted now; otherwise its trust was removed.
    pub trusted: bool,
    /// When that was decided.
    pub since: Timestamp,
}

impl Registry {
    /// A registry that knows nothing, as before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one event. Events that are not the registry's change nothing.
    ///
    /// # Errors
    /// When a registry event is malformed or does not follow from the events before; nothing is changed then.
    pub fn apply(&mut self, event: &Event) -> Result<(), Error> {
        match event.kind {
            EventKind::Register | EventKind::Enable | EventKind::Disable
                if !event.run_id.is_system() =>
            {
                Err(malformed(event, "its run_id is not `system`"))
            }
            EventKind::Register => self.apply_register(event),
            EventKind::Enable => self.apply_switch(event, true),
            EventKind::Disable => self.apply_switch(event, false),
            EventKind::Invoke
            | EventKind::Result
            | EventKind::Reject
            | EventKind::Error
            | EventKind::ProofExport => Ok(()),
        }
    }

    /// The plugin called `id`, rejected ones included.
    #[must_use]
    pub fn get(&self, id: &PluginId) -> Option<&Plugin> {
        self.plugins.get(id)
    }

    /// Every plugin's row, sorted by id.
    #[must_use]
    pub fn list(&self) -> Vec<PluginInfo> {
        self.plugins
            .values()
            .map(|plugin| plugin.info.clone())
            .collect()
    }

    /// Whether a plugin has this package, rejected ones included.
    #[must_use]
    pub fn uses(&self, package: PackageDigest) -> bool {
        self.plugins
            .values()
            .any(|plugin| plugin.package_digest == package)
    }

    /// Every key that is or was trusted, sorted by id.
    pub fn keys(&self) -> impl Iterator<Item = &TrustedKey> {
        self.keys.values()
    }

    /// The key called `id`, revoked ones included.
    #[must_use]
    pub(crate) fn key(&self, id: KeyId) -> Option<&TrustedKey> {
        self.keys.get(&id)
    }

    /// The plugin that holds `id`: a rejected one does not.
    pub(super) fn holder(&self, id: &PluginId) -> Option<&Plugin> {
        self.plugins
            .get(id)
            .filter(|plugin| plugin.info.status != PluginStatus::Rejected)
    }

    /// Whether the key that vouched for `plugin` is trusted now.
    pub(super) fn vouched_now(&self, plugin: &Plugin) -> bool {
        let key = plugin.key_id.and_then(|id| self.keys.get(&id));
        key.is_some_and(|key| key.trusted)
    }

    fn apply_register(&mut self, event: &Event) -> Result<(), Error> {
        let info = plugin_info(event)?;
        let id = info.plugin_id.clone();
        let registration = Registration::from_event(event)?;
        let held = self.holder(&id);
        if !registration.accepted {
            // The id stays with its holder; only the event records the attempt.
            if held.is_none() {
                self.insert(id, info, registration);
            }
            return Ok(());
        }
        let trusted = |id: KeyId| self.keys.get(&id).is_some_and(|key| key.trusted);
        if !registration.signature_valid || !registration.key_id.is_some_and(trusted) {
            return Err(malformed(event, "no trusted key vouches for the plugin"));
        }
        let version = Version::parse(&registration.version)
            .map_err(|error| malformed(event, &error.to_string()))?;
        if let Some(held) = held {
            let named = registration.replaces.as_deref() == Some(held.info.version.as_str());
            let higher = Version::parse(&held.info.version).is_ok_and(|held| version > held);
            if !named || !higher {
                return Err(malformed(event, "its plugin_id is held by another version"));
            }
        }
        self.insert(id, info, registration);
        Ok(())
    }

    fn insert(&mut self, id: PluginId, info: PluginInfo, registration: Registration) {
        let replaced = self.plugins.get(&id).and_then(|plugin| plugin.key_id);
        if let Some(plugins) = replaced.and_then(|key_id| self.vouched.get_mut(&key_id)) {
            plugins.remove(&id);
        }
        if registration.accepted
            && let Some(key_id) = registration.key_id
        {
            self.vouched.entry(key_id).or_default().insert(id.clone());
        }
        let plugin = Plugin {
            info,
            manifest_hash: registration.manifest_hash,
            package_digest: registration.package_digest,
            key_id: registration.key_id,
            reason: registration.reason,
        };
        self.plugins.insert(id, plugin);
    }

    fn apply_switch(&mut self, event: &Event, enable: bool) -> Result<(), Error> {
        match Subject::from_event(event, enable)? {
            Subject::Plugin(id) => self.switch_plugin(event, &id, enable),
            Subject::Removed(id) => self.remove_plugin(event, &id),
            Subject::TrustedKey { key, label } => self.trust(event, key, label),
            Subject::RevokedKey(key_id) => self.revoke(event, key_id),
            Subject::Evidence => Ok(()),
        }
    }

    fn switch_plugin(&mut self, event: &Event, id: &PluginId, enable: bool) -> Result<(), Error> {
        let Some(plugin) = self.holder(id) else {
            return Err(malformed(
                event,
                "its plugin was never registered, or was rejected",
            ));
        };
        if enable && !self.vouched_now(plugin) {
            return Err(malformed(event, "no trusted key vouches for the plugin"));
        }
        if let Some(plugin) = self.plugins.get_mut(id) {
            plugin.info.status = if enable {
                PluginStatus::Enabled
            } else {
                PluginStatus::Disabled
            };
        }
        Ok(())
    }

    fn remove_plugin(&mut self, event: &Event, id: &PluginId) -> Result<(), Error> {
        let Some(plugin) = self.plugins.remove(id) else {
            return Err(malformed(event, "its plugin is not known"));
        };
        if let Some(plugins) = plugin
            .key_id
            .and_then(|key_id| self.vouched.get_mut(&key_id))
        {
            plugins.remove(id);
        }
        Ok(())
    }

    fn trust(&mut self, event: &Event, key: PublicKey, label: String) -> Result<(), Error> {
        let key_id = key.id();
        if self.keys.get(&key_id).is_some_and(|known| known.key != key) {
            return Err(malformed(event, "its key_id already names a different key"));
        }
        let entry = TrustedKey {
            key,
            label,
            trusted: true,
            since: event.ts.clone(),
        };
        self.keys.insert(key_id, entry);
        self.each_vouched(key_id, |info| info.signature_valid = true);
        Ok(())
    }

    fn revoke(&mut self, event: &Event, key_id: KeyId) -> Result<(), Error> {
        let Some(key) = self.keys.get_mut(&key_id) else {
            return Err(malformed(event, "its key was never trusted"));
        };
        key.trusted = false;
        key.since = event.ts.clone();
        // They stay disabled: trusting the key again later must not enable anything by itself.
        self.each_vouched(key_id, |info| {
            info.status = PluginStatus::Disabled;
            info.signature_valid = false;
        });
        Ok(())
    }

    fn each_vouched(&mut self, key_id: KeyId, change: impl Fn(&mut PluginInfo)) {
        for id in self.vouched.get(&key_id).into_iter().flatten() {
            if let Some(plugin) = self.plugins.get_mut(id) {
                change(&mut plugin.info);
            }
        }
    }
}
