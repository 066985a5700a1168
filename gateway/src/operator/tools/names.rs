//! The names of tools: plugin ids with every character that a tool's name may not have as `_`, and a number where two would be the same.

use std::collections::{BTreeMap, BTreeSet};

use plugin_protocol::ids::PluginId;
use plugin_protocol::report::{PluginInfo, PluginStatus};

/// The names of every plugin's tools: one, or for a server one for each tool that it pins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolNames(BTreeMap<PluginId, Vec<String>>);

impl ToolNames {
    /// Names the tools of every plugin of the inventory, in the order of registration. Disabled ones keep theirs, so that no name changes
    /// with what is enabled; rejected ones can never be called and have none. `pinned` says what tools a server has, in their order.
    pub(crate) fn of(
        plugins: &[PluginInfo],
        mut pinned: impl FnMut(&PluginId) -> Option<Vec<String>>,
    ) -> Self {
        let mut ordered: Vec<&PluginInfo> = plugins
            .iter()
            .filter(|info| info.status != PluginStatus::Rejected)
            .collect();
        ordered.sort_by_key(|info| (info.registered_at.as_str(), info.plugin_id.as_str()));
        let mut taken = BTreeSet::new();
        let mut names = BTreeMap::new();
        for info in ordered {
            let own = plain(info.plugin_id.as_str());
            let wanted = match pinned(&info.plugin_id) {
                None => vec![own],
                Some(tools) => tools
                    .iter()
                    .map(|tool| format!("{own}__{}", plain(tool)))
                    .collect(),
            };
            let free = wanted.iter().map(|name| take(name, &mut taken)).collect();
            names.insert(info.plugin_id.clone(), free);
        }
        Self(names)
    }

    pub(crate) fn get(&self, plugin: &PluginId) -> Option<&[String]> {
        self.0.get(plugin).map(Vec::as_slice)
    }
}

/// The name, with a number where it is taken.
fn take(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2_u32..).map(|number| format!("{wanted}_{number}"));
    let mut candidates = std::iter::once(wanted.to_owned()).chain(numbered);
    let free = candidates.find(|name| !taken.contains(name));
    let name = free.unwrap_or_else(|| wanted.to_owned());
    taken.insert(name.clone());
    name
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
        let names = ToolNames::of(plugins, |_| None).0;
        names
            .into_iter()
            .map(|(id, names)| (id.to_string(), names.join(" ")))
            .collect()
    }

    /// "On the face its tools are `PLUGIN__TOOL`", "ids that collide after replacement get `_2`, `_3` in order of registration".
    #[test]
    fn a_server_s_tools_are_named_behind_it_and_collide_with_nothing() {
        let plugins = [
            info("p.a__b", 0, PluginStatus::Enabled),
            info("p.a", 1, PluginStatus::Disabled),
            info("p_a", 2, PluginStatus::Enabled),
        ];
        let pinned = |id: &PluginId| {
            let tools = ["b", "b.c", "b_c"].map(ToOwned::to_owned);
            (id.as_str() != "p.a__b").then(|| tools.to_vec())
        };
        let names = ToolNames::of(&plugins, pinned);
        let of = |id: &str| names.get(&PluginId::parse(id).unwrap()).unwrap().join(" ");
        assert_eq!(of("p.a__b"), "p_a__b");
        assert_eq!(of("p.a"), "p_a__b_2 p_a__b_c p_a__b_c_2");
        assert_eq!(of("p_a"), "p_a__b_3 p_a__b_c_3 p_a__b_c_4");
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
