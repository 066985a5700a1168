//! What this host can enforce, layer by layer, and what to do where it cannot.

use std::borrow::Cow;
use std::path::Path;

use serde::Serialize;

use crate::access::Exposure;
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
    pub(crate) name: Cow<'static, str>,
    pub(crate) layer: &'static str,
    pub(crate) required: bool,
    pub(crate) enforced: bool,
    pub(crate) detail: String,
    pub(crate) remedy: String,
}

/// Looks at the host, and for the runtimes' interpreters, with the settings of `state`, or with the defaults where there is no state yet; and, where plugins can be
/// run at all, tries from inside what they must not do.
pub(crate) fn examine(state: &Path) -> Result<Health, Error> {
    let settings = sandbox_settings(&Config::load(state)?)?;
    let mut rows = sandbox::examine(&settings)?;
    if rows.iter().all(holds) {
        rows.extend(sandbox::try_acts(&settings)?);
    }
    rows.extend(sandbox::find_interpreters(&settings));
    let mut checks: Vec<_> = rows.into_iter().map(ProtectionCheck::from).collect();
    checks.extend(privacy(state));
    Ok(Health {
        ok: checks.iter().all(|check| check.enforced || !check.required),
        checks,
    })
}

/// Whether the state is its user's alone, where there is one. A state that others may write is opened by nobody.
fn privacy(state: &Path) -> Option<ProtectionCheck> {
    if !state.join("ledger").is_dir() {
        return None;
    }
    let exposure = Exposure::of(state);
    let words = exposure.words();
    Some(ProtectionCheck {
        name: "state folder".into(),
        layer: "permissions",
        required: exposure.is_open_to_change(),
        enforced: words.is_none(),
        detail: words.unwrap_or_else(|| {
            "folder, log key and settings are their user's alone to read and write".to_owned()
        }),
        remedy: exposure.remedy(),
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

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_state_is_its_users_alone_or_there_is_a_row_that_says_so() {
        let state = tempfile::tempdir().unwrap();
        assert!(privacy(state.path()).is_none(), "there is no state yet");
        create_dir(state.path().join("ledger")).unwrap();
        for (mode, required, enforced) in [
            (0o700, false, true),
            (0o755, false, false),
            (0o777, true, false),
        ] {
            set_permissions(state.path(), Permissions::from_mode(mode)).unwrap();
            let row = privacy(state.path()).unwrap();
            assert_eq!((row.required, row.enforced), (required, enforced));
            assert_eq!(row.remedy.is_empty(), enforced);
        }
    }
}
