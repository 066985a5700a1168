//! What the client says, and what is answered: one message at a time, decided here, carried out elsewhere.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_protocol::ids::EventId;
use serde_json::{Map, Value, json};

use super::answer;
use super::calls::{Calls, Flight, fault_before, id_in_flight};
use super::catalog::Catalog;
use super::gate::Gate;
use super::revision::{self, Era, Level, Manner, meta, no_such_method};
use crate::config::Config;
use crate::error::{Error, chain, rpc};
use crate::serve::Out;
use crate::serve::message::{self, Call, Fault, Id, answer as line_of};

/// How long a client may take the list of tools for current; where it listens, it hears of a change at once.
const LIST_TTL_MS: u64 = 5_000;

/// The same for what this program is, which does not change while it runs.
const DISCOVER_TTL_MS: u64 = 3_600_000;

/// The most subscriptions of a client. One says all that there is to say.
const MAX_LISTENERS: usize = 16;

/// After the end of input: how long calls in flight may still finish, how long those that were cancelled then may take to end, and
/// when this process is gone whatever happens. Clients wait for about two seconds before they kill it.
const FINISH: Duration = Duration::from_millis(300);
const CANCELLED: Duration = Duration::from_millis(500);
const GONE: Duration = Duration::from_millis(900);

/// Everything of one client.
#[derive(Debug)]
pub(super) struct Face {
    out: Arc<Out>,
    calls: Arc<Calls>,
    gate: Gate,
    catalog: Mutex<Catalog>,
    session: Mutex<Session>,
    /// The ids of its subscriptions.
    listeners: Mutex<Vec<Id>>,
    /// The number of changes to the list of tools that the client knows of.
    told: AtomicU64,
}

/// What `initialize` agreed on.
#[derive(Debug, Default, Clone, Copy)]
struct Session {
    revision: Option<&'static str>,
    level: Option<Level>,
}

/// What a client can ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Initialize,
    Ping,
    SetLevel,
    Discover,
    Listen,
    ListTools,
    CallTool,
}

impl Method {
    fn read(name: &str) -> Option<Self> {
        Some(match name {
            "initialize" => Self::Initialize,
            "ping" => Self::Ping,
            "logging/setLevel" => Self::SetLevel,
            "server/discover" => Self::Discover,
            "subscriptions/listen" => Self::Listen,
            "tools/list" => Self::ListTools,
            "tools/call" => Self::CallTool,
            _ => return None,
        })
    }

    /// The one era that has it; none for one that both have.
    fn era(self) -> Option<Era> {
        match self {
            Self::Initialize | Self::Ping | Self::SetLevel => Some(Era::Session),
            Self::Discover | Self::Listen => Some(Era::Stateless),
            Self::ListTools | Self::CallTool => None,
        }
    }

    /// Whether it may come before there is a session.
    fn opens(self) -> bool {
        matches!(self, Self::Initialize | Self::Ping)
    }
}

impl Face {
    /// # Errors
    /// When the state has no store, its settings cannot be used, or the system refuses a thread or a descriptor.
    pub(super) fn open(state: &Path, anchor: Option<PathBuf>, out: Out) -> Result<Self, Error> {
        let config = Config::load(state)?;
        let out = Arc::new(out);
        let run_id = format!("mcp-{}", EventId::now());
        let calls = Calls::new(run_id, Arc::clone(&out), config.channel.max_held_bytes);
        let calls = Arc::new(calls);
        let gate = Gate::start(state.to_owned(), anchor, Arc::clone(&calls))?;
        Ok(Self {
            out,
            calls,
            gate,
            catalog: Mutex::new(Catalog::open(state)?),
            session: Mutex::default(),
            listeners: Mutex::default(),
            told: AtomicU64::new(0),
        })
    }

    /// The session's run.
    pub(super) fn run_id(&self) -> &str {
        &self.calls.run_id
    }

    /// Handles one line.
    pub(super) fn take(&self, line: &[u8]) {
        match message::parse(line) {
            Ok(Call {
                id: None,
                method,
                params,
            }) => self.hear(&method, &params),
            Ok(Call {
                id: Some(id),
                method,
                params,
            }) => self.ask(id, &method, params, line.len()),
            Err((id, fault)) => self.unreadable(line, id, fault),
        }
    }

    /// Answers a line that was too long to read.
    pub(super) fn refuse_too_long(&self, most: usize) {
        let words = format!("the message is longer than {most} bytes");
        self.out
            .send(line_of::<()>(None, Err(&Fault::invalid(words))));
    }

    /// A line that is no message under the contract's rules. Arguments that break them are the model's to mend; an answer needs none.
    fn unreadable(&self, line: &[u8], id: Option<Id>, fault: Fault) {
        let loose: Value = serde_json::from_slice(line).unwrap_or_default();
        let is_answer = loose.get("method").is_none()
            && (loose.get("result").is_some() || loose.get("error").is_some());
        if is_answer {
            return tracing::debug!("an answer, and nothing was asked");
        }
        let called = loose["method"].as_str().filter(|_| id.is_some());
        if fault.code == rpc::PARSE_ERROR
            && let Some(Ok((Method::CallTool, manner))) =
                called.map(|method| self.judge(method, &loose["params"]))
        {
            let words =
                fault
                    .message
                    .replacen("cannot read the message", "cannot read the arguments", 1);
            return self.answer(id.as_ref(), Ok(answer::refused(manner.era, &words)));
        }
        tracing::warn!(code = fault.code, reason = fault.message, "bad message");
        self.answer(id.as_ref(), Err(fault));
    }

    fn ask(&self, id: Id, method: &str, params: Value, bytes: usize) {
        let (method, manner) = match self.judge(method, &params) {
            Ok(judged) => judged,
            Err(fault) => return self.answer(Some(&id), Err(fault)),
        };
        let result = match method {
            Method::CallTool => return self.call(id, manner, params, bytes),
            Method::Listen => return self.listen(id, &params),
            Method::Initialize => self.initialize(&params),
            Method::Ping => Ok(json!({})),
            Method::SetLevel => self.set_level(&params),
            Method::Discover => Ok(self.discover()),
            Method::ListTools => self.list(&params, manner.era),
        };
        let result = result.map(|fields| answer::result(manner.era, fields));
        self.answer(Some(&id), result);
    }

    /// Whether this may be asked, and in which manner it is.
    fn judge(&self, method: &str, params: &Value) -> Result<(Method, Manner), Fault> {
        let known = Method::read(method).ok_or_else(|| no_such_method(method))?;
        let manner = Manner::of(params)?;
        let has_session = self.session().revision.is_some();
        match (known.era(), manner.era) {
            // Asked without what its revision requires, by a client that has no session either.
            (Some(Era::Stateless), Era::Session) if !has_session => {
                Err(revision::missing(meta::REVISION, "a string"))
            }
            (Some(own), asked) if own != asked && known != Method::Initialize => {
                Err(no_such_method(method))
            }
            (_, Era::Session) if !has_session && !known.opens() => {
                Err(revision::missing(meta::REVISION, "a string"))
            }
            _ => Ok((known, manner)),
        }
    }

    fn hear(&self, method: &str, params: &Value) {
        if method == "notifications/cancelled" {
            let Ok(id) = Id::of(&params["requestId"]) else {
                return;
            };
            let mut listeners = self.listeners();
            let before = listeners.len();
            listeners.retain(|listener| *listener != id);
            if listeners.len() == before
                && let Some(key) = self.calls.take_back(&id)
            {
                drop(listeners);
                self.gate.cancel(key);
            }
        }
    }

    fn initialize(&self, params: &Value) -> Result<Value, Fault> {
        let asked = params["protocolVersion"]
            .as_str()
            .ok_or_else(|| Fault::params("params.protocolVersion must be a string"))?;
        let revision = revision::of_session(asked);
        let client = params["clientInfo"]["name"].as_str().unwrap_or_default();
        tracing::info!(client, revision, "a client begins");
        self.session().revision = Some(revision);
        self.know_the_list();
        Ok(json!({
            "protocolVersion": revision,
            "capabilities": capabilities(),
            "serverInfo": answer::server_info(),
            "instructions": self.instructions(),
        }))
    }

    fn discover(&self) -> Value {
        json!({
            "supportedVersions": revision::all(),
            "capabilities": capabilities(),
            "instructions": self.instructions(),
            "ttlMs": DISCOVER_TTL_MS,
            "cacheScope": "private",
        })
    }

    fn instructions(&self) -> String {
        format!(
            "Each tool is a plugin in a sandbox: it can compute, and change nothing. A result's _meta names the event that records the call; \
             `plugin-gateway proof export {}` proves what was called here.",
            self.run_id()
        )
    }

    fn set_level(&self, params: &Value) -> Result<Value, Fault> {
        self.session().level = Some(Level::read(&params["level"])?);
        Ok(json!({}))
    }

    fn list(&self, params: &Value, era: Era) -> Result<Value, Fault> {
        let cursor = match params.get("cursor") {
            None | Some(Value::Null) => None,
            Some(Value::String(cursor)) => Some(cursor.as_str()),
            Some(_) => return Err(Fault::params("params.cursor must be a string")),
        };
        let mut catalog = self.catalog();
        let changes = catalog.refresh().map_err(fault_before)?;
        self.told.fetch_max(changes, Ordering::SeqCst);
        let mut fields = catalog.page(cursor)?;
        if era == Era::Stateless {
            fields["ttlMs"] = LIST_TTL_MS.into();
            fields["cacheScope"] = "private".into();
        }
        Ok(fields)
    }

    fn call(&self, id: Id, manner: Manner, mut params: Value, bytes: usize) {
        let era = manner.era;
        let Some(name) = params["name"].as_str() else {
            return self.answer(
                Some(&id),
                Err(Fault::params("params.name must be a string")),
            );
        };
        let tool = match self.find(name) {
            Ok(tool) => tool,
            Err(fault) => return self.answer(Some(&id), Err(fault)),
        };
        let arguments = match params["arguments"].take() {
            Value::Null => Map::new(),
            Value::Object(arguments) => arguments,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let fault = Fault::params("params.arguments must be an object");
                return self.answer(Some(&id), Err(fault));
            }
        };
        let payload = match tool.payload(arguments) {
            Ok(payload) => payload,
            Err(words) => return self.answer(Some(&id), Ok(answer::refused(era, &words))),
        };
        let level = match era {
            Era::Session => self.session().level,
            Era::Stateless => manner.level,
        };
        if self.listeners().contains(&id) {
            return self.answer(Some(&id), Err(id_in_flight()));
        }
        let begun = self.calls.begin(Flight {
            id: id.clone(),
            manner,
            level,
            tool,
            payload,
            bytes,
        });
        match begun {
            Ok(key) => self.gate.ask(key),
            Err(fault) => self.answer(Some(&id), Err(fault)),
        }
    }

    /// The tool of this name. The list is read again before one is called unknown.
    fn find(&self, name: &str) -> Result<Arc<crate::operator::Tool>, Fault> {
        const SHOWN_CHARS: usize = 80;
        let mut catalog = self.catalog();
        if let Some(tool) = catalog.tool(name) {
            return Ok(tool);
        }
        catalog.refresh().map_err(fault_before)?;
        catalog.tool(name).ok_or_else(|| {
            let shown = plugin_protocol::shown::cut(name, SHOWN_CHARS);
            Fault::params(format!("Unknown tool: {shown}"))
        })
    }

    /// Opens a subscription: acknowledged with what of it can be had, and answered only when this side ends it.
    fn listen(&self, id: Id, params: &Value) {
        let Some(wanted) = params["notifications"].as_object() else {
            let fault = Fault::params("params.notifications must be an object");
            return self.answer(Some(&id), Err(fault));
        };
        let wants_tools = wanted.get("toolsListChanged") == Some(&Value::Bool(true));
        let honoured = if wants_tools {
            json!({ "toolsListChanged": true })
        } else {
            json!({})
        };
        self.know_the_list();
        let mut listeners = self.listeners();
        if listeners.contains(&id) || self.calls.has(&id) {
            drop(listeners);
            return self.answer(Some(&id), Err(id_in_flight()));
        }
        if listeners.len() >= MAX_LISTENERS {
            drop(listeners);
            let words = format!("overloaded: {MAX_LISTENERS} subscriptions are open already");
            return self.answer(Some(&id), Err(Fault::new(rpc::INTERNAL, words)));
        }
        let acknowledged = json!({
            "_meta": { meta::SUBSCRIPTION: id_value(&id) }, "notifications": honoured,
        });
        listeners.push(id);
        drop(listeners);
        self.out.send(answer::notification(
            "notifications/subscriptions/acknowledged",
            &acknowledged,
        ));
    }

    /// From now on a change to the list is one that the client has to hear of.
    fn know_the_list(&self) {
        match self.catalog().refresh() {
            Ok(changes) => {
                self.told.fetch_max(changes, Ordering::SeqCst);
            }
            Err(error) => tracing::warn!(reason = chain(&error), "the tools cannot be listed"),
        }
    }

    /// What is done every now and then: progress, and whether the list of tools is another.
    pub(super) fn tick(&self) {
        self.calls.tick();
        let changes = {
            let mut catalog = self.catalog();
            if !catalog.is_read() {
                return;
            }
            match catalog.refresh() {
                Ok(changes) => changes,
                Err(error) => {
                    return tracing::warn!(reason = chain(&error), "the tools cannot be listed");
                }
            }
        };
        if self.told.fetch_max(changes, Ordering::SeqCst) >= changes {
            return;
        }
        if self.session().revision.is_some() {
            self.out.send(answer::tools_changed(None));
        }
        let listeners = self.listeners().clone();
        for id in listeners {
            self.out.send(answer::tools_changed(Some(&id_value(&id))));
        }
    }

    /// Ends: calls in flight may finish for a moment, are then cancelled, and all of them are recorded.
    pub(super) fn end(&self) {
        let begun = Instant::now();
        if !self.calls.wait_until_none(begun + FINISH) {
            for key in self.calls.keys() {
                self.gate.cancel(key);
            }
            self.calls.wait_until_none(begun + CANCELLED);
        }
        for id in self.listeners().drain(..) {
            let fields = json!({ "_meta": { meta::SUBSCRIPTION: id_value(&id) } });
            let result = answer::result(Era::Stateless, fields);
            self.out.offer(line_of(Some(&id), Ok(&result)));
        }
        let in_good_order = self.gate.end(begun + GONE);
        self.out.finish(begun + GONE);
        tracing::info!(in_good_order, "the client has gone");
    }

    fn answer(&self, id: Option<&Id>, result: Result<Value, Fault>) {
        self.out.send(line_of(id, result.as_ref()));
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Id>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn capabilities() -> Value {
    json!({ "tools": { "listChanged": true }, "logging": {} })
}

/// An id as the client sent it.
fn id_value(id: &Id) -> Value {
    serde_json::from_str(&id.to_string()).unwrap_or_default()
}
