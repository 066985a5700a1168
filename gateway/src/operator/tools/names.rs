//! The names of tools: plugin ids with every character that a tool's name may not have as `_`, and a number where two would be the same.

use std::collections::{BTreeMap, BTreeSet};

use plugin_protocol::ids::PluginId;
use plugin_protocol::report::{PluginInfo, PluginStatus};

/// The tool's name of every plugin.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolNames(BTreeMap<PluginId, String>);

impl ToolNames {
    /// Names every plugin of the inventory, in the order of registration. Disabled ones keep theirs, so that no name changes with what is
    /// enabled; rejected ones can never be called and have none.
    pub(crate) fn of(plugins: &[PluginInfo]) -> Self {
        let mut ordered: Vec<&PluginInfo> = plugins
            .iter()
            .filter(|info| info.status != PluginStatus::Rejected)
            .collect();
        ordered.sort_by_key(|info| (info.registered_at.as_str(), info.plugin_id.as_str()));
        let mut taken = BTreeSet::new();
        let mut names = BTreeMap::new();
        for info in ordered {
            let plain = plain(info.plugin_id.as_str());
            let numbered = (2_u32..).map(|number| format!("{plain}_{number}"));
            let mut candidates = std::iter::once(plain.clone()).chain(numbered);
            let free = candidates.find(|name| !taken.contains(name));
            let name = free.unwrap_or_else(|| plain.clone());
            taken.insert(name.clone());
            names.insert(info.plugin_id.clone(), name);
        }
        Self(names)
    }

    pub(crate) fn get(&self, plugin: &PluginId) -> Option<&str> {
        self.0.get(plugin).map(String::as_str)
    }
}

fn plain(id: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    id.chars().map(|c| if kept(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use plugin_protocol::time::Timestamp;

    use super::*;

    fn info(id: &str, second: u32, status: PluginStatus) -> PluginInfo {
        PluginInfo {
            plugin_id: PluginId::parse(id).unwrap(),
            name: String::new(),
            version: "1.0.0".to_owned(),
            status,
            capabilities: Vec::new(),
            registered_at: Timestamp::parse(&format!("2026-01-31T12:00:{second:02}.000Z")).unwrap(),
            signature_valid: true,
        }
    }

    fn names(plugins: &[PluginInfo]) -> Vec<(String, String)> {
        let names = ToolNames::of(plugins).0;
        names
            .into_iter()
            .map(|(id, name)| (id.to_string(), name))
            .collect()
    }

    #[test]
    fn a_name_has_only_the_characters_of_a_tool_s() {
        let plugins = [info("p.a-b_c.9", 0, PluginStatus::Enabled)];
        assert_eq!(
            names(&plugins),
            [("p.a-b_c.9".to_owned(), "p_a-b_c_9".to_owned())]
        );
    }

    #[test]
    fn plugins_that_would_share_a_name_are_numbered_in_the_order_of_registration() {
        let plugins = [
            info("p.a.b", 3, PluginStatus::Enabled),
            info("p.a_b", 1, PluginStatus::Disabled),
            info("p_a.b", 2, PluginStatus::Enabled),
            info("p_a_b", 0, PluginStatus::Rejected),
            // The name that a number would give is taken by a plugin that has it by itself.
            info("p_a_b_2", 0, PluginStatus::Enabled),
        ];
        let found = names(&plugins);
        let found: Vec<_> = found
            .iter()
            .map(|(i, n)| (i.as_str(), n.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("p.a.b", "p_a_b_4"),
                ("p.a_b", "p_a_b"),
                ("p_a.b", "p_a_b_3"),
                ("p_a_b_2", "p_a_b_2")
            ]
        );
    }
}
