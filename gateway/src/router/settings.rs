//! The operator's settings as the sandbox takes them. The sandbox itself knows no settings file.

use crate::config::Config;
use crate::error::Error;
use sandbox::{Layer, Settings};

/// The operator's settings for the sandbox over what was found on the host.
pub(crate) fn sandbox_settings(config: &Config) -> Result<Settings, Error> {
    let mut settings = Settings::default();
    for name in &config.allow_missing_layers {
        let layer = Layer::from_name(name).ok_or_else(|| Error::Usage {
            message: format!("config.toml: allow_missing_layers names '{name}', which is no layer"),
            hint: "run `plugin-gateway doctor` to see the layers' names".to_owned(),
        })?;
        settings.allow_missing.push(layer);
    }
    for (name, choice) in &config.runtimes {
        settings.runtimes.choose(name, choice.clone());
    }
    Ok(settings)
}
