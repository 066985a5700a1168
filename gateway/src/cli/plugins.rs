//! The verbs about manifests, packages and the registry.

use std::path::Path;

use plugin_protocol::report::{PluginInfo, Severity};

use super::output::Output;
use super::progress::Packing;
use super::words::{pairs, printable, table};
use super::{Answer, StateFolder, open, readable};
use crate::config::Config;
use crate::error::Error;
use crate::operator::{self, Registered, Validated};

/// With the settings of the state, where there is one.
pub(super) fn validate(path: &Path, state: Option<&Path>, out: Output) -> Result<Answer, Error> {
    let mut validated = operator::validate(path)?;
    let config = state.map_or_else(|| Ok(Config::default()), operator::settings)?;
    validated
        .report
        .issues
        .extend(operator::host_warning(path, &config)?);
    out.answer(&validated.report, || describe(&validated))?;
    Ok(validated.report.valid.into())
}

fn describe(validated: &Validated) -> String {
    let report = &validated.report;
    let word = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let mut lines: Vec<String> = report
        .issues
        .iter()
        .map(|issue| printable(&format!("{}: {issue}", word(issue.severity))))
        .collect();
    let hash = report
        .manifest_hash
        .map(|hash| format!(", manifest {hash}"))
        .unwrap_or_default();
    // What a key signs that is not here, one in an agent or on a token.
    let digest = validated
        .digest
        .map(|digest| format!(", package {digest}"))
        .unwrap_or_default();
    lines.push(if report.valid {
        format!("valid{hash}{digest}")
    } else {
        "not valid".to_owned()
    });
    lines.join("\n")
}

pub(super) fn register(
    state: &StateFolder,
    package: &Path,
    replace: bool,
    out: Output,
) -> Result<Answer, Error> {
    let progress = Packing::start(out);
    let registered = open(state, out)?.register(package, replace, &|step, done, of| {
        progress.tell(step, done, of);
    });
    progress.end();
    let Registered {
        info,
        rejection,
        warning,
    } = registered?;
    let Some(rejection) = rejection else {
        if let Some(warning) = warning {
            out.note(&printable(&format!("warning: {warning}")));
        }
        out.done(&info, || {
            let id = &info.plugin_id;
            out.naming_state(&format!(
                "{}: `plugin-gateway enable {id}` lets it be called",
                one_line(&info)
            ))
        })?;
        return Ok(Answer::Yes);
    };
    out.answer(&info, || one_line(&info))?;
    let reason = out.naming_state(&format!("rejected: {}", rejection.reason));
    out.note(&printable(&reason));
    Ok(if rejection.trust {
        Answer::Refused
    } else {
        Answer::No
    })
}

pub(super) fn enable(state: &StateFolder, id: &str, out: Output) -> Result<Answer, Error> {
    let info = open(state, out)?.enable(&operator::parse_id(id)?)?;
    out.done(&info, || one_line(&info))?;
    Ok(Answer::Yes)
}

pub(super) fn disable(state: &StateFolder, id: &str, out: Output) -> Result<Answer, Error> {
    let info = open(state, out)?.disable(&operator::parse_id(id)?)?;
    out.done(&info, || one_line(&info))?;
    Ok(Answer::Yes)
}

pub(super) fn remove(state: &StateFolder, id: &str, out: Output) -> Result<Answer, Error> {
    let removed = open(state, out)?.remove(&operator::parse_id(id)?)?;
    out.done(&removed, || {
        let package = if removed.package_removed {
            "its package left the store"
        } else {
            "the store is as it was: no package of it is there, another plugin has it, or requests are kept that could be replayed with it"
        };
        format!("{} is removed: its id is free again, its events stay; {package}", removed.plugin_id)
    })?;
    Ok(Answer::Yes)
}

fn one_line(info: &PluginInfo) -> String {
    printable(&format!(
        "{} {} {}",
        info.plugin_id,
        info.version,
        info.status.as_str()
    ))
}

pub(super) fn list(state: &StateFolder, out: Output) -> Result<Answer, Error> {
    let state = readable(state, out)?;
    let registry = operator::inventory(state)?;
    let plugins = registry.list();
    let tools = operator::tool_words(&registry, state)?;
    out.answer(&plugins, || {
        let rows = plugins.iter().map(|info| {
            let signed = if info.signature_valid {
                "valid"
            } else {
                "not valid"
            };
            vec![
                info.plugin_id.to_string(),
                info.version.clone(),
                info.status.as_str().to_owned(),
                signed.to_owned(),
                info.capabilities.join(" "),
                tools.in_short(&info.plugin_id),
                info.name.clone(),
            ]
        });
        if plugins.is_empty() {
            out.naming_state("no plugin is registered: `plugin-gateway register PACKAGE` adds one")
        } else {
            table(
                &[
                    "PLUGIN",
                    "VERSION",
                    "STATUS",
                    "SIGNATURE",
                    "CAPABILITIES",
                    "TOOL",
                    "NAME",
                ],
                rows,
            )
        }
    })?;
    Ok(Answer::Yes)
}

pub(super) fn show(state: &StateFolder, id: &str, out: Output) -> Result<Answer, Error> {
    let details = operator::details(readable(state, out)?, id)?;
    out.answer(&details, || {
        let info = &details.info;
        let rows = [
            ("plugin", info.plugin_id.to_string()),
            ("name", info.name.clone()),
            ("version", info.version.clone()),
            ("status", info.status.as_str().to_owned()),
            (
                "signature",
                if info.signature_valid {
                    "valid"
                } else {
                    "not valid"
                }
                .to_owned(),
            ),
            ("signed by", details.key_id.clone()),
            ("capabilities", info.capabilities.join(" ")),
            ("tool", details.tool.clone()),
            ("registered", info.registered_at.to_string()),
            ("manifest", details.manifest_hash.clone()),
            ("package", details.package_digest.clone()),
            ("rejected for", details.reason.clone()),
            ("isolation", details.isolation.join(" ")),
        ];
        let shown: Vec<_> = rows
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        pairs(&shown)
    })?;
    Ok(Answer::Yes)
}
