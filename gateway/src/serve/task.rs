//! What a call asks for: its method and params as checked values.

use plugin_protocol::digest::KeyId;
use plugin_protocol::ids::{PluginId, RunId};
use plugin_protocol::report::PipelinePolicy;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, IntoDeserializer as _, MapAccess};
use serde_json::Value;

use super::message::{Fault, Id};
use super::subscribe::Wanted;
use crate::error::rpc;
use crate::operator::methods;

/// Who is on the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// The program that started the gateway.
    Host,
    /// Someone at the control socket.
    Operator,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Task {
    /// Answered at once, by the thread that reads.
    Quick(Quick),
    /// Carried out by a thread of its own.
    Long(Long),
}

/// Tasks that wait for nothing.
#[derive(Debug)]
pub(super) enum Quick {
    Ping,
    Cancel(Id),
    Shutdown,
    Metrics,
    Subscribe(Wanted),
    /// The one that is named, or all.
    Unsubscribe(Option<u64>),
}

/// Tasks that may wait: for a plugin, for the ledger, for the registry.
#[derive(Debug)]
pub(super) enum Long {
    ValidateManifest(Value),
    Register(Register),
    Enable(String),
    Disable(String),
    Remove(String),
    List,
    Invoke(Invoke),
    Pipeline(Pipeline),
    ExportProof(RunId),
    VerifyLedger,
    OperatorRegister(Register),
    OperatorInvoke(OperatorInvoke),
    TrustAdd(TrustAdd),
    TrustRemove(KeyId),
    Erase(RunId),
    Prune(u64),
    RecordRefusal(RecordRefusal),
}

/// A decision from outside that was not carried out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordRefusal {
    /// What names the decision: its number, or its place.
    pub(super) decision: String,
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    /// A package's folder, or a manifest without its package.
    pub(super) package: Value,
    #[serde(default)]
    pub(super) signature: Option<Value>,
    #[serde(default)]
    pub(super) replace: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invoke {
    pub(super) plugin_id: String,
    pub(super) request: Value,
}

/// The same, asked by the command's own verb.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorInvoke {
    pub(super) plugin_id: String,
    pub(super) request: Value,
    /// Whether what the plugin reads in vain is named.
    #[serde(default)]
    pub(super) names_reads: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pipeline {
    pub(super) policy: PipelinePolicy,
    pub(super) request: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustAdd {
    pub(super) key: String,
    #[serde(default)]
    pub(super) label: String,
}

impl Long {
    /// The one plugin that it asks for, as the host named it.
    pub(super) fn plugin(&self) -> Option<&str> {
        match self {
            Self::Invoke(Invoke { plugin_id, .. })
            | Self::OperatorInvoke(OperatorInvoke { plugin_id, .. }) => Some(plugin_id),
            Self::Pipeline(_)
            | Self::ValidateManifest(_)
            | Self::Register(_)
            | Self::OperatorRegister(_)
            | Self::Enable(_)
            | Self::Disable(_)
            | Self::Remove(_)
            | Self::List
            | Self::ExportProof(_)
            | Self::VerifyLedger
            | Self::TrustAdd(_)
            | Self::TrustRemove(_)
            | Self::Erase(_)
            | Self::Prune(_)
            | Self::RecordRefusal(_) => None,
        }
    }

    /// The request that is in it, as the host sent it.
    pub(super) fn request(&self) -> Option<&Value> {
        match self {
            Self::Invoke(Invoke { request, .. })
            | Self::OperatorInvoke(OperatorInvoke { request, .. })
            | Self::Pipeline(Pipeline { request, .. }) => Some(request),
            Self::ValidateManifest(_)
            | Self::Register(_)
            | Self::OperatorRegister(_)
            | Self::Enable(_)
            | Self::Disable(_)
            | Self::Remove(_)
            | Self::List
            | Self::ExportProof(_)
            | Self::VerifyLedger
            | Self::TrustAdd(_)
            | Self::TrustRemove(_)
            | Self::Erase(_)
            | Self::Prune(_)
            | Self::RecordRefusal(_) => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPlugin {
    plugin_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfManifest {
    manifest: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfSize {
    before: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRun {
    run_id: RunId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfCall {
    id: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfSubscription {
    #[serde(default)]
    subscription: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfKey {
    key_id: String,
}

/// Reads what `method` with `params` asks for.
///
/// # Errors
/// `-32601` where there is no such method for this caller, `-32602` where it does not take these params.
pub(super) fn read(caller: Caller, method: &str, params: Value) -> Result<Task, Fault> {
    let operator = caller == Caller::Operator;
    Ok(match method {
        "ping" => nothing(params, Task::Quick(Quick::Ping))?,
        "shutdown" => nothing(params, Task::Quick(Quick::Shutdown))?,
        methods::METRICS => nothing(params, Task::Quick(Quick::Metrics))?,
        "unsubscribe" => {
            let one = fields::<OfSubscription>(params)?.subscription;
            Task::Quick(Quick::Unsubscribe(one))
        }
        "subscribe" => Task::Quick(Quick::Subscribe(fields(params)?)),
        "cancel" => {
            let id = Id::of(&fields::<OfCall>(params)?.id);
            Task::Quick(Quick::Cancel(
                id.map_err(|fault| Fault::params(fault.message))?,
            ))
        }
        "validateManifest" => Task::Long(Long::ValidateManifest(
            fields::<OfManifest>(params)?.manifest,
        )),
        "registerPlugin" => Task::Long(Long::Register(fields(params)?)),
        methods::ENABLE => Task::Long(Long::Enable(fields::<OfPlugin>(params)?.plugin_id)),
        methods::DISABLE => Task::Long(Long::Disable(fields::<OfPlugin>(params)?.plugin_id)),
        "listPlugins" => nothing(params, Task::Long(Long::List))?,
        "invoke" => Task::Long(Long::Invoke(fields(params)?)),
        methods::PIPELINE => Task::Long(Long::Pipeline(fields(params)?)),
        "exportProof" => Task::Long(Long::ExportProof(fields::<OfRun>(params)?.run_id)),
        "verifyLedger" => nothing(params, Task::Long(Long::VerifyLedger))?,
        methods::OPERATOR_REGISTER if operator => {
            Task::Long(Long::OperatorRegister(fields(params)?))
        }
        methods::OPERATOR_INVOKE if operator => Task::Long(Long::OperatorInvoke(fields(params)?)),
        methods::TRUST_ADD if operator => Task::Long(Long::TrustAdd(fields(params)?)),
        methods::TRUST_REMOVE if operator => {
            let key_id = KeyId::parse(&fields::<OfKey>(params)?.key_id);
            Task::Long(Long::TrustRemove(
                key_id.map_err(|error| Fault::params(error.to_string()))?,
            ))
        }
        methods::REMOVE if operator => {
            Task::Long(Long::Remove(fields::<OfPlugin>(params)?.plugin_id))
        }
        methods::PRUNE if operator => Task::Long(Long::Prune(fields::<OfSize>(params)?.before)),
        methods::ERASE if operator => Task::Long(Long::Erase(fields::<OfRun>(params)?.run_id)),
        methods::RECORD_REFUSAL if operator => Task::Long(Long::RecordRefusal(fields(params)?)),
        _ => {
            const SHOWN_CHARS: usize = 80;
            let shown = plugin_protocol::shown::cut(method, SHOWN_CHARS);
            return Err(Fault::new(
                rpc::METHOD_NOT_FOUND,
                format!("there is no method '{shown}'"),
            ));
        }
    })
}

/// Reads params, and names the one that cannot be read.
fn fields<T: DeserializeOwned>(params: Value) -> Result<T, Fault> {
    /// Much more than a rule in words; what the host sent is cut.
    const SHOWN_CHARS: usize = 400;
    let Value::Object(members) = params else {
        return Err(Fault::params("params go by name: send an object"));
    };
    let mut at = None;
    let members = Members {
        rest: members.into_iter(),
        next: None,
        at: &mut at,
    };
    T::deserialize(MapAccessDeserializer::new(members)).map_err(|error| {
        let why = error.to_string();
        let why = plugin_protocol::shown::cut(&why, SHOWN_CHARS);
        Fault::params(match at {
            Some(name) => format!("params.{name}: {why}"),
            None => format!("params: {why}"),
        })
    })
}

/// The members of params, one after the other.
struct Members<'a> {
    rest: serde_json::map::IntoIter,
    next: Option<(String, Value)>,
    /// The one whose value is being read.
    at: &'a mut Option<String>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        self.next = self.rest.next();
        let name = self.next.as_ref().map(|(name, _)| name.as_str());
        name.map(|name| seed.deserialize(name.into_deserializer()))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let (name, value) = self.next.take().unzip();
        *self.at = name;
        let read = seed.deserialize(value.unwrap_or_default())?;
        *self.at = None;
        Ok(read)
    }
}

fn nothing(params: Value, task: Task) -> Result<Task, Fault> {
    fields::<Nothing>(params).map(|Nothing {}| task)
}

/// A plugin's id for a registry verb. A text that is no valid id is answered as an unknown plugin.
pub(super) fn registered_id(text: &str) -> Result<PluginId, Fault> {
    PluginId::parse(text).map_err(|error| {
        let words = format!("{}: {error}", plugin_protocol::words::PLUGIN_NOT_FOUND);
        Fault::unknown_plugin(words)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(caller: Caller, method: &str, params: Value) -> i32 {
        read(caller, method, params).unwrap_err().code
    }

    #[test]
    fn methods_and_params_are_checked() {
        assert_eq!(code(Caller::Host, "nothing", json!({})), -32_601);
        assert_eq!(code(Caller::Host, "ping", json!([])), -32_602);
        assert_eq!(code(Caller::Host, "ping", json!({"more": 1})), -32_602);
        assert_eq!(
            code(Caller::Host, "invoke", json!({"plugin_id": "p.x.y"})),
            -32_602
        );
        assert_eq!(
            code(Caller::Host, "enablePlugin", json!({"plugin_id": 1})),
            -32_602
        );
        assert_eq!(code(Caller::Host, "cancel", json!({"id": null})), -32_602);
        assert_eq!(registered_id("No!").unwrap_err().code, -32_001);
    }

    /// Every method that takes params, with params that it takes.
    fn good() -> Vec<(&'static str, Value)> {
        let plugin = json!({ "plugin_id": "p.x.y" });
        let policy = json!({ "strategy": "sequential", "plugin_ids": [], "timeout_ms": 1, "stop_on_failure": true });
        vec![
            ("validateManifest", json!({ "manifest": {} })),
            ("registerPlugin", json!({ "package": "p", "replace": true })),
            ("enablePlugin", plugin.clone()),
            ("disablePlugin", plugin.clone()),
            ("invoke", json!({ "plugin_id": "p.x.y", "request": {} })),
            ("invokePipeline", json!({ "policy": policy, "request": {} })),
            ("exportProof", json!({ "run_id": "r" })),
            (
                "subscribe",
                json!({ "from": 1, "run_id": "r", "plugin_id": "p.x.y", "kind": "INVOKE" }),
            ),
            ("unsubscribe", json!({ "subscription": 1 })),
            ("cancel", json!({ "id": 1 })),
            (
                methods::OPERATOR_REGISTER,
                json!({ "package": "p", "replace": true }),
            ),
            (
                methods::OPERATOR_INVOKE,
                json!({ "plugin_id": "p.x.y", "request": {}, "names_reads": true }),
            ),
            (methods::TRUST_ADD, json!({ "key": "k", "label": "l" })),
            (
                methods::TRUST_REMOVE,
                json!({ "key_id": "0123456789abcdef" }),
            ),
            (methods::REMOVE, plugin),
            (methods::ERASE, json!({ "run_id": "r" })),
            (
                methods::RECORD_REFUSAL,
                json!({ "decision": "1", "reason": "w" }),
            ),
            (methods::PRUNE, json!({ "before": 1 })),
        ]
    }

    /// Bad input is told with the member's name, however large it is.
    #[test]
    fn a_param_that_cannot_be_read_is_named() {
        let huge = "x".repeat(1 << 20);
        // These take any value, and say later what is wrong with it.
        let anything = ["manifest", "package", "request", "id"];
        let fault = |method: &str, params: &Value| {
            let fault = read(Caller::Operator, method, params.clone()).unwrap_err();
            assert_eq!(fault.code, -32_602, "{method}: {}", fault.message);
            assert!(fault.message.len() < 2_000, "{method}: it is cut");
            fault.message
        };
        for (method, params) in good() {
            assert!(
                read(Caller::Operator, method, params.clone()).is_ok(),
                "{method}"
            );
            for list in [json!([]), json!([params])] {
                assert!(fault(method, &list).contains("by name"), "{method}");
            }
            let mut more = params.clone();
            more["more"] = json!(huge);
            assert!(fault(method, &more).contains("`more`"), "{method}");
            let mut long = params.clone();
            long[&huge] = json!(1);
            assert!(fault(method, &long).contains("xxx"), "{method}");
            for name in params.as_object().unwrap().keys() {
                for odd in [json!([[huge]]), json!({ "a": { "b": huge } }), json!(-1.5)] {
                    if anything.contains(&name.as_str()) {
                        continue;
                    }
                    let mut wrong = params.clone();
                    wrong[name] = odd;
                    let said = fault(method, &wrong);
                    assert!(
                        said.starts_with(&format!("params.{name}: ")),
                        "{method}: {said}"
                    );
                }
                let mut less = params.clone();
                less.as_object_mut().unwrap().remove(name);
                // What may be left out is; of the rest the name is said.
                if let Err(fault) = read(Caller::Operator, method, less) {
                    assert!(
                        fault.message.contains(&format!("`{name}`")),
                        "{method}: {}",
                        fault.message
                    );
                }
            }
        }
    }

    #[test]
    fn trust_is_for_operators_only() {
        let key = json!({"key_id": "0123456789abcdef"});
        assert_eq!(
            code(Caller::Host, methods::TRUST_REMOVE, key.clone()),
            -32_601
        );
        assert!(read(Caller::Operator, methods::TRUST_REMOVE, key).is_ok());
    }
}
