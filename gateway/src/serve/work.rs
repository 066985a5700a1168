//! Carrying out one call: from a task to the line that answers it.

use std::path::Path;

use plugin_protocol::canonical;
use plugin_protocol::message::Response;
use serde::Serialize;
use serde_json::Value;

use super::hub::Hub;
use super::message::{Fault, Id, answer};
use super::task::{Invoke, Long, Pipeline, Register, registered_id};
use crate::api::{Gateway, Registration};
use crate::config::Config;
use crate::error::Error;
use crate::ledger;
use crate::operator::{Registered, Told, TrustChange};
use crate::registry::PublicKey;
use crate::sandbox::Cancel;

/// Carries out `task` and gives the line that answers it.
pub(super) fn carry_out(hub: &Hub, id: &Option<Id>, task: &Long, cancel: &Cancel) -> Vec<u8> {
    let (id, gateway) = (id.as_ref(), &hub.gateway);
    match task {
        Long::ValidateManifest(manifest) => line(
            id,
            Ok(Gateway::validate_manifest(&canonical::bytes(manifest))),
        ),
        Long::Register(asked) => line(
            id,
            register(gateway, asked).map(|registered| registered.info),
        ),
        Long::OperatorRegister(asked) => line(id, register(gateway, asked)),
        Long::Enable(plugin_id) => {
            let known = registered_id(plugin_id);
            line(
                id,
                known.and_then(|plugin| Ok(gateway.enable_plugin(&plugin)?)),
            )
        }
        Long::Disable(plugin_id) => {
            let known = registered_id(plugin_id);
            line(
                id,
                known.and_then(|plugin| Ok(gateway.disable_plugin(&plugin)?)),
            )
        }
        Long::List => line(id, Ok(gateway.list_plugins())),
        Long::Invoke(asked) => line(id, invoke(gateway, asked, cancel).map(|told| told.response)),
        Long::OperatorInvoke(asked) => line(id, invoke(gateway, asked, cancel)),
        Long::Pipeline(Pipeline { policy, request }) => {
            let response = gateway.invoke_pipeline(policy, request, Some(cancel));
            if let Ok(response) = &response {
                response
                    .steps
                    .iter()
                    .for_each(|step| log(request, &step.response));
            }
            line(id, response.map_err(Fault::from))
        }
        Long::ExportProof(run_id) => line(id, gateway.export_proof(run_id).map_err(Fault::from)),
        Long::VerifyLedger => line(id, verify_ledger(&hub.state).map_err(Fault::from)),
        Long::TrustAdd(asked) => line(id, trust_add(gateway, &asked.key, &asked.label)),
        Long::TrustRemove(key_id) => {
            let changed = gateway.trust_remove(*key_id);
            line(
                id,
                changed
                    .map(|changed| TrustChange {
                        key_id: *key_id,
                        changed,
                    })
                    .map_err(Fault::from),
            )
        }
    }
}

/// The answer to a call for which there is no room; none where the call costs so little that it is carried out all the same.
pub(super) fn overloaded(hub: &Hub, id: Option<&Id>, task: &Long, reason: &str) -> Option<Vec<u8>> {
    let told = |Invoke { plugin_id, request }: &Invoke| {
        let outcome = hub.gateway.overloaded(plugin_id, request, reason)?;
        log(request, &outcome.response);
        Ok(Told::of(outcome.into_inner()))
    };
    match task {
        Long::Invoke(asked) => Some(line(id, told(asked).map(|told| told.response))),
        Long::OperatorInvoke(asked) => Some(line(id, told(asked))),
        Long::Pipeline(Pipeline { policy, request }) => {
            let response = hub.gateway.pipeline_overloaded(policy, request, reason);
            Some(line(id, response.map_err(Fault::from)))
        }
        Long::ValidateManifest(_)
        | Long::Register(_)
        | Long::OperatorRegister(_)
        | Long::Enable(_)
        | Long::Disable(_)
        | Long::List
        | Long::ExportProof(_)
        | Long::VerifyLedger
        | Long::TrustAdd(_)
        | Long::TrustRemove(_) => None,
    }
}

fn line<T: Serialize>(id: Option<&Id>, result: Result<T, Fault>) -> Vec<u8> {
    if let Err(fault) = &result {
        tracing::warn!(code = fault.code, reason = fault.message, "call failed");
    }
    answer(id, result.as_ref())
}

fn invoke(gateway: &Gateway, asked: &Invoke, cancel: &Cancel) -> Result<Told, Fault> {
    let outcome = gateway.invoke(&asked.plugin_id, &asked.request, Some(cancel))?;
    log(&asked.request, &outcome.response);
    Ok(Told::of(outcome.into_inner()))
}

fn log(request: &Value, response: &Response) {
    let run_id = request.get("run_id").and_then(Value::as_str);
    tracing::info!(
        request_id = response.request_id,
        run_id = run_id.unwrap_or_default(),
        plugin_id = response.plugin_id,
        status = response.status.as_str(),
        duration_ms = response.duration_ms,
        "call"
    );
}

/// Checks the ledger, the anchor included, wherever the operator keeps it.
fn verify_ledger(state: &Path) -> Result<impl Serialize + use<>, Error> {
    let config = Config::load(state)?;
    Ok(ledger::verify(state, config.ledger.anchor(), &|_, _| {})?)
}

fn register(gateway: &Gateway, asked: &Register) -> Result<Registered, Fault> {
    let signature = match &asked.signature {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone().into_bytes()),
        Some(object @ Value::Object(_)) => Some(canonical::bytes(object)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            return Err(Fault::params(
                "signature must be what plugin.sig holds: an object, or its text",
            ));
        }
    };
    let registered = gateway.register(Registration {
        package: Path::new(&asked.package),
        signature: signature.as_deref(),
        replace: asked.replace,
    });
    Ok(registered.map(Registered::of)?)
}

fn trust_add(gateway: &Gateway, key: &str, label: &str) -> Result<TrustChange, Fault> {
    let key = PublicKey::from_pem(key).map_err(Error::from)?;
    let changed = gateway.trust_add(&key, label)?;
    Ok(TrustChange {
        key_id: key.id(),
        changed,
    })
}
