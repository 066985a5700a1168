//! Access to a state for verbs that change it: a gateway of this process, or the running one that holds it. The verbs need not know which.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plugin_protocol::digest::KeyId;
use plugin_protocol::ids::{PluginId, RunId};
use plugin_protocol::message::Response;
use plugin_protocol::report::{Issue, PipelinePolicy, PipelineResponse, PluginInfo};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::live::{Live, methods};
use super::validation::host_warning_by;
use crate::api::{Gateway, Registration};
use crate::config::Config;
use crate::error::{Error, Kind};
use crate::router::Rejection;
use crate::router::{CONTENT_TYPE, Counts, Outcome, told_denials};
use ledger::{self, Checkpoint, Dropped, Erased, Recorded};
use registry::{PublicKey, Tell};

/// How `serve` was asked to work.
#[derive(Debug, Clone)]
pub(crate) struct Serve {
    /// Whether there is no host, and operators alone are served.
    pub(crate) socket_only: bool,
    /// The folder of the ledger's anchor, in place of the settings'.
    pub(crate) anchor: Option<PathBuf>,
    /// How long another command that holds the state is waited for.
    pub(crate) wait: Duration,
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Quiet,
    Usual,
    Verbose,
}

/// Access to a state.
#[derive(Debug)]
pub(crate) enum Door {
    /// No gateway holds the state, so this process opened it.
    Own(Box<Gateway>),
    /// A running gateway holds it.
    Live(Live),
}

/// A registration's outcome.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Registered {
    pub(crate) info: PluginInfo,
    pub(crate) rejection: Option<Rejection>,
    /// Why the host that the gateway is on has nothing to run it with.
    #[serde(default)]
    pub(crate) warning: Option<Issue>,
}

/// A call's outcome, and what a person wants to see with it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) response: Response,
    /// The tail of the plugin's standard error.
    pub(crate) stderr: String,
    pub(crate) stderr_dropped: u64,
    /// The layers that held the plugin; empty when none was started.
    pub(crate) layers: Vec<String>,
    /// The calls that the plugin was refused, in one line; empty when there was none.
    #[serde(default)]
    pub(crate) denied: String,
}

/// A change to the allow-list.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TrustChange {
    pub(crate) key_id: KeyId,
    pub(crate) changed: bool,
}

/// What was counted, as text for monitoring.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MetricsText {
    pub(crate) content_type: String,
    pub(crate) text: String,
}

/// A plugin that was removed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Removed {
    pub(crate) plugin_id: PluginId,
    /// Whether its package left the store as well.
    pub(crate) package_removed: bool,
}

impl Registered {
    /// Registers a package here.
    ///
    /// # Errors
    /// As [`Gateway::register_plugin`].
    pub(crate) fn here(
        gateway: &Gateway,
        registration: Registration<'_>,
        tell: &Tell<'_>,
    ) -> Result<Self, Error> {
        let (info, rejection) = gateway.register_telling(registration, tell)?;
        let warning = match rejection {
            None => host_warning_by(registration.package, gateway.runtimes()),
            Some(_) => None,
        };
        Ok(Self {
            info,
            rejection,
            warning,
        })
    }
}

impl Told {
    pub(crate) fn of(outcome: Recorded<Outcome>) -> Self {
        let receipt = Some(outcome.receipt());
        let outcome = outcome.into_inner();
        let report = outcome.report;
        let denied = report.as_ref().map(|report| told_denials(&report.denied));
        Self {
            denied: denied.unwrap_or_default(),
            response: Response {
                receipt,
                ..outcome.response
            },
            stderr: report
                .as_ref()
                .map(|report| String::from_utf8_lossy(&report.stderr.bytes).into_owned())
                .unwrap_or_default(),
            stderr_dropped: report.as_ref().map_or(0, |report| report.stderr.dropped),
            layers: report
                .iter()
                .flat_map(|report| &report.layers)
                .map(ToString::to_string)
                .collect(),
        }
    }
}

impl Door {
    /// Opens the state, or reaches the gateway that holds it. Another command that holds it is waited for, `waiting` hears once which.
    ///
    /// # Errors
    /// When the state cannot be opened; when it is held for longer than `wait`, and its holder does not answer.
    pub(crate) fn open(
        state: &Path,
        anchor: Option<&Path>,
        wait: Duration,
        waiting: &dyn Fn(&str),
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + wait;
        let mut told = false;
        loop {
            // Tried first: a connection succeeds or fails at once, whereas opening waits for a lock that is held, a while at a time. In
            // between a gateway may have started.
            if let Ok(live) = Live::connect(state) {
                return anchored(live, anchor).map(Self::Live);
            }
            match Gateway::open_anchored(state, anchor) {
                Ok(gateway) => return Ok(Self::Own(Box::new(gateway))),
                Err(Error::Ledger(ledger::Error::Locked { holder, .. }))
                    if Instant::now() < deadline =>
                {
                    if !std::mem::replace(&mut told, true) {
                        waiting(&holder);
                    }
                }
                Err(held @ Error::Ledger(ledger::Error::Locked { .. })) => {
                    let live = Live::connect(state).map_err(|_| held)?;
                    return anchored(live, anchor).map(Self::Live);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// `tell` hears how far it is, where it is done in this process.
    pub(crate) fn register(
        &mut self,
        package: &Path,
        replace: bool,
        tell: &Tell<'_>,
    ) -> Result<Registered, Error> {
        match self {
            Self::Own(gateway) => {
                let registration = Registration {
                    package,
                    signature: None,
                    replace,
                };
                Registered::here(gateway, registration, tell)
            }
            Self::Live(live) => {
                // The other process has a working folder of its own.
                let package = absolute(package)?;
                live.call(
                    methods::OPERATOR_REGISTER,
                    json!({ "package": package, "replace": replace }),
                )
            }
        }
    }

    pub(crate) fn enable(&mut self, id: &PluginId) -> Result<PluginInfo, Error> {
        match self {
            Self::Own(gateway) => gateway.enable_plugin(id),
            Self::Live(live) => live.call(methods::ENABLE, json!({ "plugin_id": id })),
        }
    }

    pub(crate) fn disable(&mut self, id: &PluginId) -> Result<PluginInfo, Error> {
        match self {
            Self::Own(gateway) => gateway.disable_plugin(id),
            Self::Live(live) => live.call(methods::DISABLE, json!({ "plugin_id": id })),
        }
    }

    pub(crate) fn remove(&mut self, id: &PluginId) -> Result<Removed, Error> {
        match self {
            Self::Own(gateway) => gateway.remove_plugin(id).map(|package_removed| Removed {
                plugin_id: id.clone(),
                package_removed,
            }),
            Self::Live(live) => live.call(methods::REMOVE, json!({ "plugin_id": id })),
        }
    }

    pub(crate) fn trust_add(&mut self, key: &PublicKey, label: &str) -> Result<bool, Error> {
        match self {
            Self::Own(gateway) => gateway.trust_add(key, label),
            Self::Live(live) => {
                let params = json!({ "key": key.to_pem()?, "label": label });
                live.call::<TrustChange>(methods::TRUST_ADD, params)
                    .map(|change| change.changed)
            }
        }
    }

    pub(crate) fn trust_remove(&mut self, key_id: KeyId) -> Result<bool, Error> {
        match self {
            Self::Own(gateway) => gateway.trust_remove(key_id),
            Self::Live(live) => live
                .call::<TrustChange>(methods::TRUST_REMOVE, json!({ "key_id": key_id }))
                .map(|change| change.changed),
        }
    }

    /// With `names_reads`, what the plugin reads in vain is named, which makes the call slower.
    pub(crate) fn invoke(
        &mut self,
        plugin_id: &str,
        request: &Value,
        names_reads: bool,
    ) -> Result<Told, Error> {
        match self {
            Self::Own(gateway) if names_reads => {
                let outcome = gateway.invoke_naming_reads(plugin_id, request, None)?;
                Ok(Told::of(outcome))
            }
            Self::Own(gateway) => Ok(Told::of(gateway.invoke(plugin_id, request, None)?)),
            Self::Live(live) => live.call(
                methods::OPERATOR_INVOKE,
                json!({ "plugin_id": plugin_id, "request": request, "names_reads": names_reads }),
            ),
        }
    }

    pub(crate) fn pipeline(
        &mut self,
        policy: &PipelinePolicy,
        request: &Value,
    ) -> Result<PipelineResponse, Error> {
        match self {
            Self::Own(gateway) => gateway.invoke_pipeline(policy, request, None),
            Self::Live(live) => live.call(
                methods::PIPELINE,
                json!({ "policy": policy, "request": request }),
            ),
        }
    }
}

impl Door {
    /// A checkpoint over all events: one that is signed now, or the one that the running gateway signs without being asked, soon after an event.
    pub(crate) fn checkpoint(
        &mut self,
        state: &Path,
    ) -> Result<Option<(Checkpoint, String)>, Error> {
        match self {
            Self::Own(gateway) => gateway.checkpoint(),
            Self::Live(_) => signed_by_now(state),
        }
    }

    /// Removes what is kept of a run's requests and results.
    pub(crate) fn erase(&mut self, run: &RunId) -> Result<Erased, Error> {
        match self {
            Self::Own(gateway) => gateway.erase_evidence(run),
            Self::Live(live) => live.call(methods::ERASE, json!({ "run_id": run })),
        }
    }

    /// Drops the lines of old events.
    pub(crate) fn prune(&mut self, before: u64) -> Result<Dropped, Error> {
        match self {
            Self::Own(gateway) => gateway.prune(before),
            Self::Live(live) => live.call(methods::PRUNE, json!({ "before": before })),
        }
    }

    /// Exports the proof of a run: the bundle as JSON.
    pub(crate) fn export_proof(&mut self, run: &RunId) -> Result<Value, Error> {
        match self {
            Self::Own(gateway) => Ok(json!(gateway.export_proof(run)?)),
            Self::Live(live) => live.call(methods::EXPORT_PROOF, json!({ "run_id": run })),
        }
    }
}

/// The running gateway's checkpoint over all events that there are now.
fn signed_by_now(state: &Path) -> Result<Option<(Checkpoint, String)>, Error> {
    /// Some times what it takes by itself: a second.
    const LONGEST: Duration = Duration::from_secs(10);
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    let last = ledger::tail(state, 1)?.pop();
    let events = last.map_or(0, |last| last.index.saturating_add(1));
    let end = Instant::now() + LONGEST;
    loop {
        let newest = ledger::newest_checkpoint(state)?;
        let size = newest.as_ref().map_or(0, |(newest, _)| newest.size);
        if size >= events {
            return Ok(newest);
        }
        if Instant::now() >= end {
            return Err(Error::Live {
                kind: Kind::Ledger,
                message: format!(
                    "the running gateway has signed for {size} of {events} events, and for no more in {} s",
                    LONGEST.as_secs()
                ),
                hint: "its log says why; a full disk is the usual reason".to_owned(),
            });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The gateway that holds the state; none where nobody answers.
///
/// # Errors
/// When it anchors its ledger elsewhere than the caller wants.
pub(crate) fn reach(state: &Path, anchor: Option<&Path>) -> Result<Option<Live>, Error> {
    let Ok(mut live) = Live::connect(state) else {
        return Ok(None);
    };
    // One that is about to end is still connected to by the system, and answers nothing.
    match live.call::<Value>(methods::PING, json!({})) {
        Ok(_) => anchored(live, anchor).map(Some),
        Err(Error::File { .. }) => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// The running gateway, if it anchors its ledger where the caller wants.
fn anchored(mut live: Live, wanted: Option<&Path>) -> Result<Live, Error> {
    let Some(wanted) = wanted else {
        return Ok(live);
    };
    let version: Value = live.call(methods::PING, json!({}))?;
    let anchor = version["anchor"].as_str().unwrap_or_default();
    let same = fs::canonicalize(wanted)
        .is_ok_and(|wanted| fs::canonicalize(anchor).is_ok_and(|anchor| anchor == wanted));
    if same {
        return Ok(live);
    }
    let place = if anchor.is_empty() {
        "inside the state folder".to_owned()
    } else {
        format!("in '{anchor}'")
    };
    Err(Error::Usage {
        message: format!(
            "the running gateway of this state anchors its ledger {place}, not in '{}'",
            wanted.display()
        ),
        hint: "start it with the same --anchor, or set ledger.anchor in config.toml".to_owned(),
    })
}

/// Checks that the state has the events that its anchor was signed for.
///
/// # Errors
/// When it has not, the settings cannot be used, or the system refuses.
pub(crate) fn check_anchor(state: &Path, anchor: Option<&Path>) -> Result<(), Error> {
    let settings = Config::load(state)?.anchored(anchor);
    Ok(ledger::check_anchor(
        state,
        settings.ledger.anchor_folder(),
    )?)
}

/// Makes the state folder. If an anchor or a name for the log is given, it is written into the settings first. Returns whether the folder is new.
///
/// # Errors
/// When the system refuses, or there are settings already that an anchor would have to change.
pub(crate) fn init(
    state: &Path,
    anchor: Option<&Path>,
    origin: Option<&str>,
) -> Result<bool, Error> {
    // A folder that was made for it, with whatever mode the umask gave, becomes the user's alone. One that holds something is left as it is.
    if fs::read_dir(state).is_ok_and(|mut entries| entries.next().is_none()) {
        let own = fs::Permissions::from_mode(0o700);
        // Of a folder that is somebody else's, the next verb says what is wrong.
        fs::set_permissions(state, own).unwrap_or_default();
    }
    if (anchor.is_some() || origin.is_some()) && !state.join("ledger/seg").is_dir() {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state);
        made.map_err(|source| Error::File {
            action: "make the state folder",
            path: state.to_owned(),
            source,
        })?;
        let settings = Config::load(state)?.ledger;
        let same = anchor.is_none_or(|anchor| settings.anchor == anchor)
            && origin.is_none_or(|origin| settings.origin == origin);
        if !same {
            Config::save_ledger(state, anchor, origin)?;
        }
    }
    let settings = Config::load(state)?.ledger;
    let origin = origin.or(settings.chosen_origin());
    Ok(ledger::init_named(state, origin)?.created)
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::File {
        action: "find",
        path: path.to_owned(),
        source,
    })
}

/// What a running gateway counted since its start.
pub(crate) fn metrics_of(gateway: &Gateway) -> MetricsText {
    MetricsText {
        content_type: CONTENT_TYPE.to_owned(),
        text: gateway.metrics(),
    }
}

/// What the running gateway of `state` counted; where none runs, what the whole ledger holds.
pub(crate) fn metrics(state: &Path) -> Result<MetricsText, Error> {
    if let Ok(mut live) = Live::connect(state) {
        return live.call(methods::METRICS, json!({}));
    }
    let mut counts = Counts::default();
    for stored in ledger::events(state)? {
        counts.take_event(&stored?.event);
    }
    Ok(MetricsText {
        content_type: CONTENT_TYPE.to_owned(),
        text: counts.render(None),
    })
}

/// Who answers, for `ping`.
pub(crate) fn version(state: &Path, gateway: &Gateway) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "api_version": plugin_protocol::OMEGA_PLUGIN_API_VERSION,
        "state": state,
        "anchor": gateway.anchor(),
        "pid": std::process::id(),
    })
}

/// The settings of `state`.
pub(crate) fn settings(state: &Path) -> Result<Config, Error> {
    Ok(Config::load(state)?)
}
