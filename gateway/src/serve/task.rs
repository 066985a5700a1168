//! What a call asks for: its method and params as checked values.

use plugin_protocol::digest::KeyId;
use plugin_protocol::ids::{PluginId, RunId};
use plugin_protocol::report::PipelinePolicy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::message::{Fault, Id};
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
    Subscribe(Option<u64>),
    Unsubscribe,
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
            | Self::Erase(_) => None,
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
            | Self::Erase(_) => None,
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
struct From {
    #[serde(default)]
    from: Option<u64>,
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
        "unsubscribe" => nothing(params, Task::Quick(Quick::Unsubscribe))?,
        "subscribe" => Task::Quick(Quick::Subscribe(fields::<From>(params)?.from)),
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
        methods::ERASE if operator => Task::Long(Long::Erase(fields::<OfRun>(params)?.run_id)),
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

fn fields<T: DeserializeOwned>(params: Value) -> Result<T, Fault> {
    if params.is_array() {
        return Err(Fault::params("params go by name: send an object"));
    }
    serde_json::from_value(params).map_err(|error| Fault::params(format!("params: {error}")))
}

fn nothing(params: Value, task: Task) -> Result<Task, Fault> {
    fields::<Nothing>(params).map(|Nothing {}| task)
}

/// A plugin's id for a registry verb. A text that is no valid id is answered as an unknown plugin.
pub(super) fn registered_id(text: &str) -> Result<PluginId, Fault> {
    PluginId::parse(text).map_err(|error| {
        let words = format!("{}: {error}", plugin_protocol::words::PLUGIN_NOT_FOUND);
        Fault::new(rpc::UNKNOWN_PLUGIN, words)
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
