//! A gateway in a throw-away state with a key of its own: for one-shots, `certify` and replays, and for others' tests (`testing`).

use std::ops::Deref;
use std::path::Path;

use plugin_protocol::ids::PluginId;

use crate::api::{Gateway, Registration};
use crate::config::{self, Config};
use crate::error::Error;
use registry::{Package, SigningKey};
use sandbox::ThrowAwayFolder;

/// A gateway in a throw-away state, with a throw-away key that vouches for whatever is installed.
///
/// It is a whole gateway: it runs plugins in the sandbox and records every call. Dropping it removes the state.
#[derive(Debug)]
pub(crate) struct Harness {
    // Stands before the folder, so that it is dropped, and the ledger closed, before the files are removed.
    gateway: Gateway,
    key: SigningKey,
    state: ThrowAwayFolder,
}

impl Harness {
    /// Makes a state, a key, and trusts the key.
    pub(crate) fn new() -> Result<Self, Error> {
        Self::with(None)
    }

    /// The same, with the settings of the state in `like`, but for where its ledger is anchored.
    pub(super) fn with_settings_of(like: &Path) -> Result<Self, Error> {
        Self::with(Some(&Config {
            ledger: config::Ledger::default(),
            witness: config::Witness::default(),
            ..Config::load(like)?
        }))
    }

    fn with(config: Option<&Config>) -> Result<Self, Error> {
        // The ledger's key is in it: it must be gone whatever ends this process.
        let state = ThrowAwayFolder::new().map_err(|source| Error::File {
            action: "make a passing state in",
            path: std::env::temp_dir(),
            source,
        })?;
        ledger::init(state.path())?;
        config.map_or(Ok(()), |config| config.save(state.path()))?;
        let gateway = Gateway::open(state.path())?;
        let key = SigningKey::generate()?;
        gateway.trust_add(&key.public(), "this run only")?;
        Ok(Self {
            gateway,
            key,
            state,
        })
    }

    /// Signs the package in `folder` with the throw-away key (the folder stays as it is), registers and enables it.
    pub(crate) fn install(&self, folder: &Path) -> Result<PluginId, Error> {
        self.try_install(folder)?
            .map_err(|message| Error::Invalid { message })
    }

    /// As [`Self::install`], except that a rejected package is no error: the inner `Err` is the reason.
    pub(super) fn try_install(&self, folder: &Path) -> Result<Result<PluginId, String>, Error> {
        let signature = self.signature(&Package::read(folder)?);
        let (info, rejection) = self.gateway.register(Registration {
            package: folder,
            signature: Some(&signature),
            replace: false,
        })?;
        if let Some(rejection) = rejection {
            return Ok(Err(rejection.reason));
        }
        self.gateway.enable_plugin(&info.plugin_id)?;
        Ok(Ok(info.plugin_id))
    }

    /// The throw-away key's signature for `package`, as `plugin.sig` would hold it.
    pub(super) fn signature(&self, package: &Package) -> Vec<u8> {
        self.key.sign(package.digest()).to_file_bytes()
    }

    /// The state folder.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }
}

impl Deref for Harness {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use plugin_protocol::message::Status;
    use sandbox::{Layer, Pretend, Settings};
    use serde_json::json;

    use super::*;
    use crate::router::{Call, Cause};

    /// A script, by the shell that every host has.
    fn script(folder: &Path) {
        let manifest = json!({
            "plugin_id": "p.a.script", "name": "A script", "vendor": "A test", "description": "Answers nothing.", "version": "1.0.0",
            "api_version": "1.0.0", "supported_omega_api_versions": ">=1.0.0 <2.0.0", "capabilities": ["read_text", "write_report"],
            "io": {
                "inputs": [{ "kind": "text", "schema_ref": "text/1", "limits": { "max_bytes": 1024 } }],
                "outputs": [{ "kind": "json", "schema_ref": "any/1", "limits": { "max_bytes": 1024 } }]
            },
            "limits": { "max_bytes": 2048, "max_ms": 5000, "max_concurrency": 1 },
            "determinism": { "mode": "deterministic", "notes": "" },
            "evidence": { "log_level": "minimal", "redactions": [] },
            "entrypoint": { "type": "process", "command": ["sh", "script"] }
        });
        fs::write(folder.join("plugin.json"), manifest.to_string()).unwrap();
        fs::write(folder.join("script"), "exit 3\n").unwrap();
    }

    /// "Refused before anything is started": nothing says that a plugin of a class ran which this host cannot hold.
    #[test]
    fn a_class_that_the_host_cannot_hold_is_refused_before_it_is_written_down_as_run() {
        let package = ThrowAwayFolder::new().unwrap();
        script(package.path());
        let harness = Harness::new().unwrap();
        let id = harness.install(package.path()).unwrap();
        // Of static programs the filter alone keeps files away; for scripts there is nothing then.
        let poor = Settings {
            pretend: Pretend {
                landlock: Some(0),
                no_namespaces: true,
                ..Pretend::default()
            },
            allow_missing: vec![Layer::NetNs, Layer::PidNs],
            ..Settings::default()
        };
        let request = json!({
            "request_id": "r-1", "run_id": "run-of-the-test", "timestamp": "2026-01-31T12:00:00.000Z",
            "payload": { "kind": "text", "content": "x", "encoding": "utf-8", "metadata": {} },
            "context": {},
            "policy": { "deterministic_only": false, "timeout_ms": 5000, "max_retries": 0 }
        });
        let router = harness.router_under(poor);
        let before = harness.events();
        let outcome = router
            .invoke(Call::new(id.as_str(), &request, None))
            .unwrap();
        let notes = &outcome.response.notes;
        assert_eq!(
            (outcome.response.status, outcome.cause),
            (Status::Rejected, Cause::Isolation),
            "{notes}"
        );
        assert!(
            notes.starts_with("scripts are refused on this host"),
            "{notes}"
        );
        assert_eq!(outcome.event().meta.get("invoke"), None);
        assert_eq!(
            harness.events(),
            before + 1,
            "there is one event, of the refusal"
        );
        // On this host it runs: what refuses it is the host.
        let outcome = harness.router_under(Settings::default());
        let outcome = outcome
            .invoke(Call::new(id.as_str(), &request, None))
            .unwrap();
        assert_eq!(outcome.cause, Cause::Exit, "{}", outcome.response.notes);
    }
}
