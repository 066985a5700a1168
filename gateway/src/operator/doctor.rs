//! What this host can enforce, layer by layer, and what to do where it cannot.

use std::path::Path;

use serde::Serialize;

use crate::config::Config;
use crate::error::Error;
use crate::router::sandbox_settings;
use sandbox::{self, Protection};

/// The host's health.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    /// Whether every required layer is enforced, or waived by name.
    pub(crate) ok: bool,
    pub(crate) checks: Vec<ProtectionCheck>,
}

/// One layer, or one forbidden act and the layer that refuses it.
#[derive(Debug, Serialize)]
pub(crate) struct ProtectionCheck {
    pub(crate) name: &'static str,
    pub(crate) layer: &'static str,
    pub(crate) required: bool,
    pub(crate) enforced: bool,
    pub(crate) detail: String,
    pub(crate) remedy: String,
}

/// Examines the host with the settings of `state`, or with the defaults where there is no state yet. Where plugins can run at
/// all, it also tries the forbidden acts from inside a sandbox.
pub(crate) fn examine(state: &Path) -> Result<Health, Error> {
    let settings = sandbox_settings(&Config::load(state)?)?;
    let mut rows = sandbox::examine(&settings)?;
    if rows.iter().all(holds) {
        rows.extend(sandbox::try_acts(&settings)?);
    }
    Ok(Health {
        ok: rows.iter().all(holds),
        checks: rows.into_iter().map(ProtectionCheck::from).collect(),
    })
}

/// The layers that hold plugins on this host, with the settings of `state`.
pub(crate) fn layers(state: &Path) -> Result<Vec<&'static str>, Error> {
    let rows = sandbox::examine(&sandbox_settings(&Config::load(state)?)?)?;
    let enforced = rows.iter().filter(|row| row.enforced && !row.about_threat);
    Ok(enforced.map(|row| row.layer.as_str()).collect())
}

fn holds(row: &Protection) -> bool {
    row.enforced || !row.required
}

impl From<Protection> for ProtectionCheck {
    fn from(row: Protection) -> Self {
        Self {
            name: row.name,
            layer: row.layer.as_str(),
            required: row.required,
            enforced: row.enforced,
            detail: row.detail,
            remedy: row.remedy,
        }
    }
}
