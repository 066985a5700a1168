//! The supervisor channel: JSON-RPC 2.0, one message a line, for the host on stdin and stdout and for operators on the control socket.
//! It decides nothing: it reads, hands over to the gateway, and answers.
//!
//! # Messages
//! A message is one line of JSON (UTF-8, the contract's JSON rules) of at most `channel.max_line_bytes`:
//! `{"jsonrpc":"2.0","id":…,"method":…,"params":{…}}`. `id` is a string or an integer of at most 256
//! bytes. A message without `id` is a notification: it is carried out and not answered. Batches are not
//! taken. Answers, `{"jsonrpc":"2.0","id":…,"result":…}` or `{…,"error":{"code","message","data"}}`, come
//! in the order in which calls finish; each call is answered once. The last line may lack its newline.
//!
//! | method | params | result |
//! |---|---|---|
//! | `validateManifest` | `manifest` | ValidationReport |
//! | `registerPlugin` | `package` (its folder; or a manifest without its package, which is recorded as `rejected`), `signature` (content of `plugin.sig`, as object or text; optional), `replace` (optional) | PluginInfo |
//! | `enablePlugin`, `disablePlugin` | `plugin_id` | PluginInfo |
//! | `listPlugins` | | array of PluginInfo |
//! | `invoke` | `plugin_id`, `request` | Response |
//! | `invokePipeline` | `policy`, `request` | PipelineResponse |
//! | `exportProof` | `run_id` | the proof bundle |
//! | `ping` | | `{version, api_version, state, anchor, pid}` |
//! | `cancel` | `id` of a call in flight | `{cancelled}`: whether there was such a call. That call is still answered, by its own answer (`status: "error"`, `notes` with `cancelled`) where it was not finished |
//! | `verifyLedger` | | `{valid, events, bytes, head, broken_at, reason}`, and `pruned` where lines were pruned |
//! | `metrics` | | `{content_type, text}`: OpenMetrics text |
//! | `subscribe` | `from` (index of the first event wanted, optional: the next one), `run_id`, `plugin_id`, `kind` (optional) | `{subscribed, from, subscription}`, then notifications `event` `{subscription, index, event}` for each durable event that is wanted, `eventsPast` `{subscription, next}` where the past is over, and at the end one `eventsEnd` `{subscription, reason}` |
//! | `unsubscribe` | `subscription` (optional: all) | `{subscribed, changed}` |
//! | `shutdown` | | `{stopped: true}`, the last line, after every call in flight was answered |
//!
//! The control socket has eight more methods, for the command's own verbs: `operator.register`, `operator.invoke`,
//! `operator.remove`, `operator.trustAdd`, `operator.trustRemove`, `operator.recordRefusal`, `operator.erase` and `operator.prune`. A host decides neither what is trusted nor what is erased.
//!
//! # Errors
//! | code | when |
//! |---|---|
//! | -32700 | the line is not JSON under the contract's rules; answered under its `id` where that can be read, else `null` |
//! | -32600 | no request: a batch, a wrong `jsonrpc`, an unusable `id`, an unknown member, a line too long, an `id` that is in flight |
//! | -32601 | there is no such method here |
//! | -32602 | the method does not take these params, or what they name is not valid or not there |
//! | -32603 | the gateway or its host failed, or has no room |
//! | -32001 | a registry verb names an unknown plugin |
//! | -32002 | refused by policy or trust |
//! | -32003 | the ledger is unavailable |
//!
//! `data` is `{kind, hint}` where the message was read and the gateway says no to what it asks for.
//!
//! # Bounds
//! The host may have `calls_at_once` + `calls_waiting` calls in flight, and as many bytes of requests and unread
//! answers as `channel.max_held_bytes`; of one plugin three times as many as are left free. A call beyond is answered at once: `invoke` and each step of `invokePipeline`
//! with `status: "rejected"` and `overloaded` in `notes`; what is cheap is carried out all the same. A host
//! that does not read its answers is not read from any more once 64 answers wait and the calls in flight
//! are finished; nothing is lost, and all goes on when it reads again.
//!
//! # The end
//! `serve --socket-only` has no host: it reads no input, and stops at a signal or an operator's `shutdown`. End of input, `shutdown`: nothing new is read, what is in flight is answered, exit 0. SIGTERM, SIGINT, SIGHUP: the same, but
//! after `channel.drain_ms` (or at a second signal) the calls in flight are cancelled. When the host has closed the end that reads
//! the answers, it is gone, and the calls in flight are cancelled at once.

mod control;
mod crew;
mod holding;
mod hub;
mod lines;
pub(crate) mod log;
mod manager;
pub(crate) mod message;
mod out;
pub(crate) mod poll;
mod session;
mod subscribe;
mod task;
mod witnesses;
mod work;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, at, never, select};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::PollFlags;

use self::control::Control;
use self::hub::{Hub, StopReason};
use self::message::Id;
use self::poll::Woken;
use self::session::Session;
use crate::api::Gateway;
use crate::config::Config;
use crate::error::Error;
use crate::operator::{self, Serve};
use sandbox::Cancel;

pub(crate) use self::holding::{Holding, Inside};
pub(crate) use self::lines::{Line, Lines};
pub(crate) use self::out::Out;

/// How long a cancelled call may take to end: its plugin is killed and reaped.
const CANCEL: Duration = Duration::from_secs(5);

/// How long operators and followers may take to read what is queued for them.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves the state until the host closes its end, or a signal or `shutdown` stops it.
///
/// # Errors
/// When the state cannot be opened, or the system refuses a thread or a descriptor.
pub(crate) fn serve(state: &Path, options: &Serve) -> Result<(), Error> {
    let signals = hold_signals()?;
    let log = log::start(options.format, options.level)?;
    let Some(Opened {
        hub,
        reasons,
        control,
    }) = open_in_turn(state, options, &signals)?
    else {
        return Ok(());
    };
    watch_signals(&hub, signals)?;
    witnesses::watch(&hub, Config::load(state)?.witness)?;
    let host = if options.socket_only {
        None
    } else {
        Some(meet_host(&hub)?)
    };
    manager::tell("READY=1");
    Ending {
        hub: &hub,
        reasons: &reasons,
        deadline: None,
        drain: None,
        cancelled: false,
        asked: Vec::new(),
    }
    .run(host.as_deref());
    control.join();
    drop(host);
    let freed = release(hub);
    tracing::info!(in_good_order = freed, "stopped");
    drop(log);
    Ok(())
}

/// Keeps the ending signals for the one thread that will wait for them, and takes as many descriptors as there may be. It must be called
/// before any thread starts, so that every thread inherits the mask.
pub(crate) fn hold_signals() -> Result<SigSet, Error> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    signals.thread_block().map_err(io::Error::from)?;
    // Each call in flight holds a few descriptors; when they run out, calls are answered `overloaded`.
    drop(rlimit::increase_nofile_limit(u64::MAX));
    Ok(signals)
}

/// A state that is open, with its control socket.
struct Opened {
    hub: Arc<Hub>,
    reasons: Receiver<StopReason>,
    control: Control,
}

/// Opens the state, and waits for another command that holds it; none where a signal came meanwhile. A gateway that serves it will not let go,
/// and is not waited for.
fn open_in_turn(state: &Path, options: &Serve, signals: &SigSet) -> Result<Option<Opened>, Error> {
    let deadline = Instant::now() + options.wait;
    let anchor = options.anchor.as_deref();
    let mut told = false;
    loop {
        let holder = match open(state, anchor) {
            Err(Error::Ledger(ledger::Error::Locked { holder, .. }))
                if Instant::now() < deadline && !is_served(state) =>
            {
                holder
            }
            other => return other.map(Some),
        };
        if !std::mem::replace(&mut told, true) {
            tracing::info!(holder, "waits for another command that holds this state");
        }
        let pending = SignalFd::with_flags(signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
        let came = pending.and_then(|pending| pending.read_signal());
        if came.map_err(io::Error::from)?.is_some() {
            return Ok(None);
        }
    }
}

/// Whether a gateway that serves the state answers.
fn is_served(state: &Path) -> bool {
    operator::reach(state, None).is_ok_and(|live| live.is_some())
}

fn open(state: &Path, anchor: Option<&Path>) -> Result<Opened, Error> {
    let config = Config::load(state)?.anchored(anchor);
    let gateway = Gateway::open_anchored(state, anchor)?;
    greet(&gateway, state);
    gateway.start_ahead();
    let in_flight = config.calls_at_once + config.calls_waiting;
    let (hub, reasons) = Hub::new(gateway, state, config.channel, in_flight)?;
    let control = Control::open(&hub).map_err(|source| Error::File {
        action: "open control socket in",
        path: state.to_owned(),
        source,
    })?;
    Ok(Opened {
        hub,
        reasons,
        control,
    })
}

/// Logs the first line: the version, the state folder, and the layers that hold plugins.
fn greet(gateway: &Gateway, state: &Path) {
    let (version, state) = (env!("CARGO_PKG_VERSION"), state.display().to_string());
    match gateway.isolation() {
        Ok(layers) => {
            let isolation: Vec<&str> = layers.iter().map(|layer| layer.as_str()).collect();
            tracing::info!(target: log::START, version, state, isolation = isolation.join(" "), "plugin-gateway serves");
        }
        Err(reason) => {
            tracing::info!(target: log::START, version, state, isolation = "none: plugins are refused", reason, "plugin-gateway serves");
        }
    }
    let opening = gateway.opening();
    for cut in &opening.cuts {
        tracing::warn!(
            bytes = cut.bytes,
            "an unfinished write at the ledger's end was moved to quarantine"
        );
    }
    for invoke in &opening.closed {
        tracing::warn!(
            request_id = invoke
                .request_id
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            run_id = invoke.run_id.as_str(),
            "a call was cut off when the gateway last ended; its outcome is unknown"
        );
    }
}

fn watch_signals(hub: &Arc<Hub>, signals: SigSet) -> io::Result<()> {
    let reasons = hub.reasons();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            while let Ok(signal) = signals.wait() {
                drop(reasons.try_send(StopReason::Signal(signal)));
            }
        })?;
    Ok(())
}

/// Reports when the host has closed the end that reads the answers.
fn watch_answers(hub: &Arc<Hub>) -> io::Result<()> {
    let (reasons, over) = (hub.reasons(), Cancel::new()?);
    std::thread::Builder::new()
        .name("host".to_owned())
        .spawn(move || {
            let answers = io::stdout();
            if let Ok(Woken::Ready) = poll::wait(&over, answers.as_fd(), PollFlags::empty()) {
                drop(reasons.try_send(StopReason::HostGone));
            }
        })?;
    Ok(())
}

/// Begins to listen to the host on stdin, and to watch whether it still reads its answers.
fn meet_host(hub: &Arc<Hub>) -> io::Result<Arc<Session>> {
    let host = Session::of_host(hub)?;
    watch_answers(hub)?;
    read_host(hub, &host)?;
    Ok(host)
}

fn read_host(hub: &Arc<Hub>, host: &Arc<Session>) -> io::Result<()> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let lines = Lines::new(input, Arc::clone(&hub.stop), hub.settings.max_line_bytes);
    let (told, host) = (Arc::clone(hub), Arc::clone(host));
    let on_end: control::OnEnd = Box::new(move |end| match end {
        Ok(Line::Stopped) => {}
        Ok(_) => told.tell(StopReason::EndOfInput),
        Err(error) => {
            tracing::error!(reason = error.to_string(), "the host cannot be read from");
            told.tell(StopReason::EndOfInput);
        }
    });
    let reading: crew::Work = Box::new(move || control::read_host(&host, lines, on_end));
    let started = hub.crew.run(reading);
    started.map_err(|_| io::Error::other("no thread could be started"))
}

/// Shuts everything down, in order.
struct Ending<'a> {
    hub: &'a Arc<Hub>,
    reasons: &'a Receiver<StopReason>,
    /// When calls in flight are cancelled.
    deadline: Option<Instant>,
    /// How long they may go on after the end of input; a host that is served may take as long as it likes.
    drain: Option<Duration>,
    cancelled: bool,
    /// The sessions that asked for the shutdown, to be answered last.
    asked: Vec<(Arc<Session>, Option<Id>)>,
}

impl Ending<'_> {
    fn run(mut self, host: Option<&Session>) {
        while !(self.hub.stop.is_thrown() && self.hub.is_idle()) {
            let reason = match self.deadline {
                None => self
                    .reasons
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(deadline) => self.reasons.recv_deadline(deadline),
            };
            match reason {
                Ok(reason) => self.hear(reason),
                Err(_) if self.cancelled => break,
                Err(_) => self.cancel(),
            }
        }
        self.hub.quiet.cancel();
        self.wait_for_followers();
        for (session, id) in self.asked.drain(..) {
            session.answer_with(id.as_ref(), Ok(serde_json::json!({ "stopped": true })));
        }
        self.bid_farewell(host);
    }

    fn hear(&mut self, reason: StopReason) {
        match reason {
            StopReason::Idle => return,
            StopReason::EndOfInput => match self.drain {
                None => tracing::info!(
                    "end of input: finishing what is in flight (a service without a host on stdin runs with --socket-only)"
                ),
                Some(drain) => self.deadline = Instant::now().checked_add(drain),
            },
            StopReason::Shutdown(session, id) => {
                tracing::info!("shutdown: finishing what is in flight");
                self.asked.push((session, id));
            }
            StopReason::HostGone => {
                tracing::warn!(
                    "the host no longer reads the answers: cancelling what is in flight"
                );
                self.cancel();
            }
            StopReason::Signal(signal) if self.deadline.is_some() => {
                tracing::warn!(
                    signal = signal.as_str(),
                    "again: cancelling what is in flight"
                );
                self.cancel();
            }
            StopReason::Signal(signal) => {
                let drain_ms = self.hub.settings.drain_ms;
                tracing::info!(
                    signal = signal.as_str(),
                    drain_ms,
                    "finishing what is in flight"
                );
                self.deadline = Instant::now().checked_add(Duration::from_millis(drain_ms));
            }
        }
        if !self.hub.stop.is_thrown() {
            manager::tell("STOPPING=1");
        }
        self.hub.stop.cancel();
    }

    fn cancel(&mut self) {
        self.hub.stop.cancel();
        self.hub.cancel_all();
        self.cancelled = true;
        self.deadline = Some(Instant::now() + CANCEL);
    }

    fn wait_for_followers(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(2);
        let end = Instant::now() + FAREWELL;
        while self.hub.subscribers() > 0 && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Lets every reader take what is queued. The host may take as long as it likes, unless a signal has set a deadline.
    fn bid_farewell(mut self, host: Option<&Session>) {
        let written = host.map(Session::finish);
        while let Some(written) = written.as_ref().filter(|_| !self.cancelled) {
            let patience = self.deadline.map_or_else(never, at);
            select! {
                recv(written) -> _ => break,
                recv(patience) -> _ => break,
                recv(self.reasons) -> reason => match reason {
                    Ok(reason) => self.hear(reason),
                    Err(_) => break,
                },
            }
        }
        let end = Instant::now() + FAREWELL;
        for session in self.hub.sessions() {
            let written = session.finish();
            // Nothing is ever sent on it.
            if written.recv_deadline(end) == Err(RecvTimeoutError::Timeout) {
                session.abandon();
            }
        }
    }
}

/// Waits until the last thread has released the hub, so that the ledger is closed in good order.
fn release(hub: Arc<Hub>) -> bool {
    const LOOK_EVERY: Duration = Duration::from_millis(1);
    let gateway = Arc::clone(&hub.gateway);
    drop(hub);
    let end = Instant::now() + FAREWELL;
    while Arc::strong_count(&gateway) > 1 && Instant::now() < end {
        std::thread::sleep(LOOK_EVERY);
    }
    Arc::into_inner(gateway).is_some()
}
