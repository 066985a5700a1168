//! The list of tools, read from the state without its lock, and read again when the registry changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::RegistryNews;
use plugin_protocol::ids::PluginId;
use plugin_protocol::report::PluginStatus;
use registry::{Plugin, Registry, Store};
use serde_json::{Value, json};

use crate::error::{Error, chain};
use crate::operator::{NO_TOOL, Servers, Tool, inventory, tools};
use crate::serve::message::Fault;

/// How many tools stand on one page: about as many as make 128 KiB with a usual schema each.
const PAGE: usize = 64;

/// What a cursor begins with; behind it stands the name of the last tool of the page before.
const CURSOR: &str = "after:";

/// A plugin, the names that its tools have here, and the tools.
type Made = (Plugin, Vec<String>, Vec<Arc<Tool>>);

/// The tools of a state.
#[derive(Debug)]
pub(super) struct Catalog {
    state: PathBuf,
    store: Store,
    /// What the registry records from the last look on; none before the first one, or after a fault.
    news: Option<RegistryNews>,
    servers: Servers,
    /// What was made of each plugin, with what it was made from.
    made: BTreeMap<PluginId, Made>,
    tools: BTreeMap<String, Arc<Tool>>,
    /// How often the list has changed.
    changes: u64,
}

impl Catalog {
    /// # Errors
    /// When the store cannot be opened.
    pub(super) fn open(state: &Path) -> Result<Self, Error> {
        Ok(Self {
            state: state.to_owned(),
            store: Store::open(state)?,
            news: None,
            servers: Servers::default(),
            made: BTreeMap::new(),
            tools: BTreeMap::new(),
            changes: 0,
        })
    }

    /// Looks whether the registry changed, and makes the list anew where it did. Returns how often the list has changed since the start.
    ///
    /// # Errors
    /// When the ledger cannot be read, or is broken.
    pub(super) fn refresh(&mut self) -> Result<u64, Error> {
        let mut changed = self.news.is_none();
        if let Some(news) = &mut self.news {
            for event in news {
                if event.is_err() {
                    // The ledger was repaired meanwhile, or is broken: reading it from its start tells which.
                    self.news = None;
                    changed = true;
                    break;
                }
                changed = true;
            }
        }
        if changed {
            // Waited for before the rest is read, so that nothing comes between.
            let news = ledger::registry_news(&self.state)?;
            let registry = inventory(&self.state)?;
            if self.make(&registry) {
                self.changes += 1;
            }
            self.news = Some(news);
        }
        Ok(self.changes)
    }

    /// Whether the list was read at least once.
    pub(super) fn is_read(&self) -> bool {
        self.news.is_some()
    }

    /// Makes the list; returns whether it is another than before.
    fn make(&mut self, registry: &Registry) -> bool {
        let plugins = registry.list();
        let names = self.servers.names(registry, &self.store);
        let mut before = std::mem::take(&mut self.made);
        for info in plugins
            .iter()
            .filter(|info| info.status == PluginStatus::Enabled)
        {
            let id = &info.plugin_id;
            let (Some(plugin), Some(names)) = (registry.get(id), names.get(id)) else {
                continue;
            };
            let same = before
                .remove(id)
                .filter(|(of, called, _)| of == plugin && called == names);
            let made =
                same.unwrap_or_else(|| (plugin.clone(), names.to_vec(), self.one(names, plugin)));
            self.made.insert(id.clone(), made);
        }
        let tools = self.made.values().flat_map(|(_, _, tools)| tools.clone());
        let tools = tools.map(|tool| (tool.name.clone(), tool)).collect();
        let changed = self.tools != tools;
        self.tools = tools;
        changed
    }

    /// One plugin as tools. Where it cannot be one, the log says so, once for each form of it.
    fn one(&self, names: &[String], plugin: &Plugin) -> Vec<Arc<Tool>> {
        let plugin_id = plugin.info.plugin_id.as_str();
        let made = tools(names, plugin, &self.store);
        match &made {
            Ok(made) if made.is_empty() => {
                tracing::info!(plugin_id, tool = NO_TOOL, "not in the list of tools");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    plugin_id,
                    reason = chain(error),
                    "the plugin cannot be shown as a tool"
                );
            }
        }
        made.into_iter().flatten().map(Arc::new).collect()
    }

    pub(super) fn tool(&self, name: &str) -> Option<Arc<Tool>> {
        self.tools.get(name).cloned()
    }

    /// One page of the list, in the order of names: the members of the result.
    ///
    /// # Errors
    /// When the cursor is none of this list's.
    pub(super) fn page(&self, cursor: Option<&str>) -> Result<Value, Fault> {
        page(&self.tools, cursor)
    }
}

fn page(tools: &BTreeMap<String, Arc<Tool>>, cursor: Option<&str>) -> Result<Value, Fault> {
    let after = match cursor {
        None => "",
        Some(cursor) => cursor.strip_prefix(CURSOR).ok_or_else(|| {
            Fault::params("the cursor is not one that tools/list gave: begin without one")
        })?,
    };
    let mut rest = tools.values().filter(|tool| tool.name.as_str() > after);
    let page: Vec<&Arc<Tool>> = rest.by_ref().take(PAGE).collect();
    let definitions: Vec<&Value> = page.iter().map(|tool| &tool.definition).collect();
    let mut fields = json!({ "tools": definitions });
    if let (Some(last), Some(_)) = (page.last(), rest.next()) {
        fields["nextCursor"] = format!("{CURSOR}{}", last.name).into();
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_stands_on_one_page() {
        let all: Vec<String> = (0..2 * PAGE + 1).map(|n| format!("p_{n:03}")).collect();
        let tools = all
            .iter()
            .map(|name| (name.clone(), Arc::new(Tool::of_text(name))));
        let tools = tools.collect();
        let (mut found, mut pages, mut cursor) = (Vec::new(), 0, None);
        loop {
            let fields = page(&tools, cursor.as_deref()).unwrap();
            let names = fields["tools"].as_array().unwrap().iter();
            found.extend(names.map(|tool| tool["name"].as_str().unwrap().to_owned()));
            pages += 1;
            match fields["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!((found, pages), (all, 3));
        assert_eq!(page(&tools, Some("made up")).unwrap_err().code, -32_602);
    }

    #[test]
    fn a_full_last_page_has_no_other_behind_it() {
        let names = (0..PAGE).map(|n| format!("p_{n:03}"));
        let tools = names.map(|name| (name.clone(), Arc::new(Tool::of_text(&name))));
        let fields = page(&tools.collect(), None).unwrap();
        assert_eq!(fields.get("nextCursor"), None);
    }
}
