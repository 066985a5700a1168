//! The operator's settings as the sandbox takes them. The sandbox itself knows no settings file.

use std::collections::BTreeMap;

use plugin_protocol::ids::PluginId;

use crate::config::{Config, Denials, PluginChoice};
use crate::error::Error;
use sandbox::{Layer, Settings, WhenRefused};

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

/// What happens to a plugin that makes a refused call: the rule for all plugins, and those for single ones.
#[derive(Debug)]
pub(super) struct DenialRules {
    all: Denials,
    plugins: BTreeMap<String, PluginChoice>,
}

impl DenialRules {
    /// The rules in the operator's settings.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            all: config.denials,
            plugins: config.plugins.clone(),
        }
    }

    /// The rule for this plugin.
    pub(super) fn when_refused(&self, plugin_id: &PluginId) -> WhenRefused {
        let own = self.plugins.get(plugin_id.as_str());
        match own.and_then(|choice| choice.denials).unwrap_or(self.all) {
            Denials::Refuse => WhenRefused::GoOn,
            Denials::End => WhenRefused::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugins_own_choice_comes_before_that_for_all() {
        let choice = PluginChoice {
            denials: Some(Denials::Refuse),
        };
        let config = Config {
            denials: Denials::End,
            plugins: BTreeMap::from([("p.a.b".to_owned(), choice)]),
            ..Config::default()
        };
        let rules = DenialRules::of(&config);
        let of = |id: &str| rules.when_refused(&PluginId::parse(id).unwrap());
        assert_eq!(
            (of("p.a.b"), of("p.a.c")),
            (WhenRefused::GoOn, WhenRefused::End)
        );
    }
}
