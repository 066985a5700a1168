//! Carrying out one call: from a task to the line that answers it.

use std::path::Path;

use plugin_protocol::canonical;
use plugin_protocol::ids::RunId;
use plugin_protocol::message::Response;
use plugin_protocol::report::ValidationReport;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::hub::Hub;
use super::message::{Fault, Id, answer};
use super::task::{Invoke, Long, OperatorInvoke, Pipeline, Register, registered_id};
use crate::api::{Gateway, Registration};
use crate::error::Error;
use crate::operator::{Registered, Removed, Told, TrustChange, host_warning_of};
use registry::{MANIFEST_FILE, PublicKey};
use sandbox::{Cancel, ThrowAwayFolder};

/// Carries out `task` and gives the line that answers it.
pub(super) fn carry_out(hub: &Hub, id: &Option<Id>, task: &Long, cancel: &Cancel) -> Vec<u8> {
    let (line, gateway) = (
        Reply {
            id: id.as_ref(),
            task,
        },
        &hub.gateway,
    );
    match task {
        Long::ValidateManifest(manifest) => line.of(Ok::<_, Fault>(validate(gateway, manifest))),
        Long::Register(asked) => {
            line.of(register(gateway, asked).map(|registered| registered.info))
        }
        Long::OperatorRegister(asked) => line.of(register(gateway, asked)),
        Long::Enable(plugin_id) => {
            let known = registered_id(plugin_id);
            line.of(known.and_then(|plugin| Ok(gateway.enable_plugin(&plugin)?)))
        }
        Long::Disable(plugin_id) => {
            let known = registered_id(plugin_id);
            line.of(known.and_then(|plugin| Ok(gateway.disable_plugin(&plugin)?)))
        }
        Long::Remove(plugin_id) => line.of(registered_id(plugin_id).and_then(|plugin_id| {
            let package_removed = gateway.remove_plugin(&plugin_id)?;
            Ok(Removed {
                plugin_id,
                package_removed,
            })
        })),
        Long::List => line.of(Ok::<_, Fault>(gateway.list_plugins())),
        Long::Invoke(asked) => line.of(invoke(gateway, asked, cancel).map(|told| told.response)),
        Long::OperatorInvoke(asked) => line.of(operator_invoke(gateway, asked, cancel)),
        Long::Pipeline(Pipeline { policy, request }) => {
            let response = gateway.invoke_pipeline(policy, request, Some(cancel));
            if let Ok(response) = &response {
                response
                    .steps
                    .iter()
                    .for_each(|step| log(request, &step.response));
            }
            line.of(response)
        }
        Long::ExportProof(run_id) => line.of(export_proof(gateway, run_id)),
        Long::VerifyLedger => {
            line.of(ledger::verify(&hub.state, gateway.anchor(), &|_, _| {}).map_err(Error::from))
        }
        Long::TrustAdd(asked) => line.of(trust_add(gateway, &asked.key, &asked.label)),
        Long::TrustRemove(key_id) => {
            let key_id = *key_id;
            let changed = gateway.trust_remove(key_id);
            line.of(changed.map(|changed| TrustChange { key_id, changed }))
        }
        Long::Erase(run_id) => line.of(gateway.erase_evidence(run_id)),
        Long::RecordRefusal(refused) => {
            line.of(gateway.record_refusal(&refused.decision, &refused.reason))
        }
        Long::Prune(before) => line.of(gateway.prune(*before)),
    }
}

/// The answer to a call for which there is no room; none for a call that is cheap enough to be run all the same.
pub(super) fn overloaded(hub: &Hub, id: Option<&Id>, task: &Long, reason: &str) -> Option<Vec<u8>> {
    let told = |plugin_id: &str, request: &Value| -> Result<Told, Error> {
        let outcome = hub.gateway.overloaded(plugin_id, request, reason)?;
        log(request, &outcome.response);
        Ok(Told::of(outcome))
    };
    let line = Reply { id, task };
    match task {
        Long::Invoke(Invoke { plugin_id, request }) => {
            Some(line.of(told(plugin_id, request).map(|told| told.response)))
        }
        Long::OperatorInvoke(asked) => Some(line.of(told(&asked.plugin_id, &asked.request))),
        Long::Pipeline(Pipeline { policy, request }) => {
            Some(line.of(hub.gateway.pipeline_overloaded(policy, request, reason)))
        }
        Long::ValidateManifest(_)
        | Long::Register(_)
        | Long::OperatorRegister(_)
        | Long::Enable(_)
        | Long::Disable(_)
        | Long::Remove(_)
        | Long::List
        | Long::ExportProof(_)
        | Long::VerifyLedger
        | Long::TrustAdd(_)
        | Long::TrustRemove(_)
        | Long::Erase(_)
        | Long::Prune(_)
        | Long::RecordRefusal(_) => None,
    }
}

/// The line to write for one call.
#[derive(Clone, Copy)]
struct Reply<'a> {
    id: Option<&'a Id>,
    task: &'a Long,
}

impl Reply<'_> {
    /// The answer; one that is an error is logged with the names that the host knows the call by.
    fn of<T: Serialize>(self, result: Result<T, impl Into<Fault>>) -> Vec<u8> {
        let result = result.map_err(Into::into);
        if let Err(fault) = &result {
            let name = |name| self.task.request()?.get(name)?.as_str();
            tracing::warn!(
                id = self.id.map(tracing::field::display),
                request_id = name("request_id"),
                run_id = name("run_id"),
                code = fault.code,
                reason = fault.message,
                "call failed"
            );
        }
        answer(self.id, result.as_ref())
    }
}

/// The bundle in canonical order, as every door writes it: a host may keep the text as it came.
fn export_proof(gateway: &Gateway, run_id: &RunId) -> Result<Box<RawValue>, Fault> {
    let bundle = gateway.export_proof(run_id)?;
    let unwritable = |error| Fault::internal(format!("cannot write the bundle: {error}"));
    RawValue::from_string(canonical::text(&bundle)).map_err(unwritable)
}

fn invoke(gateway: &Gateway, asked: &Invoke, cancel: &Cancel) -> Result<Told, Fault> {
    let outcome = gateway.invoke(&asked.plugin_id, &asked.request, Some(cancel))?;
    log(&asked.request, &outcome.response);
    Ok(Told::of(outcome))
}

/// The same for the command's own verb, with what people want to see.
fn operator_invoke(
    gateway: &Gateway,
    asked: &OperatorInvoke,
    cancel: &Cancel,
) -> Result<Told, Fault> {
    let (plugin_id, request) = (&asked.plugin_id, &asked.request);
    let outcome = if asked.names_reads {
        gateway.invoke_naming_reads(plugin_id, request, Some(cancel))
    } else {
        gateway.invoke(plugin_id, request, Some(cancel))
    }?;
    log(request, &outcome.response);
    Ok(Told::of(outcome))
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

/// The report, with a warning where this host has nothing to run the plugin with.
fn validate(gateway: &Gateway, manifest: &Value) -> ValidationReport {
    let bytes = canonical::bytes(manifest);
    let mut report = Gateway::validate_manifest(&bytes);
    let warning = host_warning_of(&bytes, gateway.runtimes());
    report.issues.extend(warning);
    report
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
    let alone;
    let package = match &asked.package {
        Value::String(folder) => Path::new(folder),
        Value::Object(_) => {
            alone = manifest_alone(&asked.package)?;
            alone.path()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return Err(Fault::params(
                "package must be the path of a package's folder, or a manifest",
            ));
        }
    };
    let registration = Registration {
        package,
        signature: signature.as_deref(),
        replace: asked.replace,
    };
    let registered = Registered::here(gateway, registration, &registry::untold)?;
    let plugin_id = registered.info.plugin_id.as_str();
    if let Some(rejection) = &registered.rejection {
        tracing::warn!(plugin_id, reason = rejection.reason, "package rejected");
    }
    // A host sees it in the log alone: what it gets is a PluginInfo.
    if let Some(warning) = &registered.warning {
        let reason = warning.to_string();
        tracing::warn!(plugin_id, reason, "cannot run here");
    }
    Ok(registered)
}

/// A manifest without its package, as a package of one file in a temporary folder. The program it names is missing,
/// so it is recorded as rejected.
fn manifest_alone(manifest: &Value) -> Result<ThrowAwayFolder, Error> {
    let folder = ThrowAwayFolder::new().and_then(|folder| {
        std::fs::write(
            folder.path().join(MANIFEST_FILE),
            canonical::bytes(manifest),
        )?;
        Ok(folder)
    });
    folder.map_err(|source| Error::File {
        action: "write a manifest in",
        path: std::env::temp_dir(),
        source,
    })
}

fn trust_add(gateway: &Gateway, key: &str, label: &str) -> Result<TrustChange, Fault> {
    let key = PublicKey::from_text(key).map_err(Error::from)?;
    let changed = gateway.trust_add(&key, label)?;
    Ok(TrustChange {
        key_id: key.id(),
        changed,
    })
}
