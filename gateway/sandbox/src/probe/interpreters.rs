//! Says of each runtime which interpreter it has on this host, and why it has none. It runs no plugin, and nothing inside of a jail.

use crate::error::Error;
use crate::layer::{Layer, Protection};
use crate::settings::Settings;

/// One row for each runtime that plugins may name.
#[must_use]
pub fn find_interpreters(settings: &Settings) -> Vec<Protection> {
    let runtimes = &settings.runtimes;
    let row = |name: &str| {
        let (enforced, detail) = match runtimes.look_up(name) {
            Ok(runtime) => (true, runtime.told()),
            Err(Error::NoInterpreter { reason, .. }) => (false, reason),
            Err(error) => (false, error.to_string()),
        };
        let remedy = if enforced {
            String::new()
        } else {
            format!(
                "for plugins in {name}: install it, or name the interpreter itself in config.toml: runtimes.{name} = {{ interpreter = \"PATH\" }}"
            )
        };
        Protection {
            name: format!("interpreter for {name}").into(),
            // The one program that a script's process executes.
            layer: Layer::ExecOnce,
            about_threat: false,
            required: false,
            enforced,
            detail,
            remedy,
        }
    };
    runtimes.names().iter().map(|name| row(name)).collect()
}
