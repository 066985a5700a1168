//! Beside a gateway that serves: it says when witnesses are late, and starts the program that asks them, where the settings want that.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hub::Hub;
use crate::config::Witness;
use crate::error::{Error, chain};
use crate::operator;
use crate::router::Standing;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a program that ended by itself is given before it is started again.
const PAUSE: Duration = Duration::from_secs(5);

/// Begins to watch, until the gateway stops. Where nothing is asked of witnesses it looks only whether one of them has seen more.
pub(super) fn watch(hub: &Arc<Hub>, rules: Witness) -> Result<(), Error> {
    let sync = rules.sync.then(operator::edge).transpose()?;
    let hub = Arc::downgrade(hub);
    std::thread::Builder::new()
        .name("witnesses".to_owned())
        .spawn(move || {
            let mut told = Standing::Fine;
            let mut asking = sync.map(Asking::new);
            loop {
                std::thread::sleep(LOOK_EVERY);
                // The hub is let go of between looks, so that this never keeps the ledger open.
                let Some(hub) = hub.upgrade().filter(|hub| !hub.stop.is_thrown()) else {
                    return;
                };
                if let Some(asking) = &mut asking {
                    asking.keep_up(&hub.state);
                }
                let standing = hub.gateway.witnesses();
                if standing != told {
                    tell(&standing);
                    told = standing;
                }
            }
        })?;
    Ok(())
}

fn tell(standing: &Standing) {
    match standing {
        Standing::Fine => tracing::info!("enough witnesses have cosigned"),
        Standing::Overdue(words) => tracing::warn!("{words}"),
        Standing::RolledBack(words) => tracing::error!("{words}"),
    }
}

/// The program that asks witnesses, as a child.
struct Asking {
    program: PathBuf,
    child: Option<Child>,
    begun: Option<Instant>,
}

impl Asking {
    fn new(program: PathBuf) -> Self {
        Self {
            program,
            child: None,
            begun: None,
        }
    }

    /// Starts it where it does not run.
    fn keep_up(&mut self, state: &Path) {
        match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => return,
            Some(Ok(Some(status))) => {
                tracing::warn!(status = %status, "witness sync ended, and is started again");
            }
            Some(Err(error)) => {
                let reason = error.to_string();
                tracing::warn!(reason, "witness sync cannot be waited for");
            }
            None => {}
        }
        self.child = None;
        if self.begun.is_some_and(|begun| begun.elapsed() < PAUSE) {
            return;
        }
        self.begun = Some(Instant::now());
        match start(&self.program, state) {
            Ok(child) => self.child = Some(child),
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(reason, "witness sync cannot be started");
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It ends by itself when this end of its input closes, and even so when this process is killed.
            drop(child.stdin.take());
            drop(child.wait());
        }
    }
}

fn start(program: &Path, state: &Path) -> io::Result<Child> {
    Command::new(program)
        .args(["sync", "--until-eof", "--state"])
        .arg(state)
        // Its words go to the log; the channel's output is the host's alone.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
}
