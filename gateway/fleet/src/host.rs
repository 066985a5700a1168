//! The gateway that a node is the host of: one that serves the state already, or one that the node starts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::channel::Channel;
use crate::fault::{Fault, Kind};

/// How long a gateway may take to open its state: it recovers what a crash left, and waits for one that ends.
const OPENING: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// How long a gateway that is to end may finish what it does; its own setting is shorter.
const ENDING: Duration = Duration::from_secs(30);

/// The way to the gateway of one state.
#[derive(Debug)]
pub(crate) struct Host {
    state: PathBuf,
    command: PathBuf,
    channel: Mutex<Option<Arc<Channel>>>,
    /// The gateway that was started here. Its stdin is held open: when this process dies, however it dies, the gateway ends too.
    child: tokio::sync::Mutex<Option<Child>>,
}

impl Host {
    pub(crate) fn new(state: &Path, command: Option<PathBuf>) -> Self {
        Self {
            state: state.to_owned(),
            command: command.unwrap_or_else(beside),
            channel: Mutex::new(None),
            child: tokio::sync::Mutex::new(None),
        }
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The open channel; where there is none, the gateway is reached or started first.
    pub(crate) async fn channel(&self) -> Result<Arc<Channel>, Fault> {
        if let Some(channel) = self.open_channel() {
            return Ok(channel);
        }
        let mut child = self.child.lock().await;
        if let Some(channel) = self.open_channel() {
            return Ok(channel);
        }
        let deadline = Instant::now() + OPENING;
        loop {
            if let Some(channel) = self.reach().await {
                let channel = Arc::new(channel);
                let mut held = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
                *held = Some(Arc::clone(&channel));
                return Ok(channel);
            }
            match child.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => {}
                Some(Ok(Some(status))) if status.code().is_some_and(|code| code != 0) => {
                    *child = None;
                    return Err(Fault::internal(format!(
                        "`{} --state {} serve` ended with {status}; its words stand above",
                        self.command.display(),
                        self.state.display()
                    )));
                }
                Some(_) | None => *child = Some(self.start()?),
            }
            if Instant::now() > deadline {
                return Err(Fault::internal(format!(
                    "the gateway of '{}' does not answer",
                    self.state.display()
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn open_channel(&self) -> Option<Arc<Channel>> {
        let held = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|channel| channel.is_open()).cloned()
    }

    /// One that is about to end is still connected to, and answers nothing.
    async fn reach(&self) -> Option<Channel> {
        let channel = Channel::connect(&self.state).await.ok()?;
        channel.call("ping", &json!({})).await.ok()?;
        Some(channel)
    }

    fn start(&self) -> Result<Child, Fault> {
        let mut command = Command::new(&self.command);
        command
            .arg("--state")
            .arg(&self.state)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        // A signal for the node from a terminal is not one for its gateway, which is to finish what it does.
        command.process_group(0);
        command.spawn().map_err(|error| {
            Fault::internal(format!(
                "cannot start '{}': {error}",
                self.command.display()
            ))
            .hint("install plugin-gateway beside plugin-gateway-fleet, or name it with --gateway")
        })
    }

    /// Asks the local command, which reads the state without a lock.
    pub(crate) async fn ask(&self, verb: &[&str]) -> Result<Value, Fault> {
        let said = Command::new(&self.command)
            .arg("--state")
            .arg(&self.state)
            .arg("--json")
            .args(verb)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .await;
        let said = said.map_err(|error| {
            Fault::internal(format!("cannot run '{}': {error}", self.command.display()))
        })?;
        plugin_protocol::json::read(&said.stdout).map_err(|error| {
            Fault::new(
                Kind::Internal,
                format!("`{}` says nothing usable: {error}", verb.join(" ")),
            )
        })
    }

    /// Ends the gateway that was started here, after it has finished what it does.
    pub(crate) async fn end(&self) {
        let Some(mut child) = self.child.lock().await.take() else {
            return;
        };
        drop(child.stdin.take());
        if tokio::time::timeout(ENDING, child.wait()).await.is_err() {
            // It is killed, and its plugins die with it.
            child.kill().await.unwrap_or_default();
        }
    }
}

/// The command beside this one; where it is not there, by its name alone.
fn beside() -> PathBuf {
    const NAME: &str = "plugin-gateway";
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| Some(own.parent()?.join(NAME)));
    let found = beside.filter(|beside| beside.is_file());
    found.unwrap_or_else(|| NAME.into())
}
