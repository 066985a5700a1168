//! Plugins as tools of the Model Context Protocol (contract, section 13): their names, their definitions, and the payload that a call's
//! arguments become. It knows no message of that protocol and calls nothing.

mod names;
mod schema;
mod servers;

use std::path::Path;

use plugin_protocol::ids::PluginId;
use plugin_protocol::manifest::{DeterminismMode, Port};
use plugin_protocol::mcp;
use plugin_protocol::payload::PayloadKind;
use registry::{Plugin, Registry, Store};
use serde_json::{Map, Value, json};
use validator::{CheckedManifest, Pinned, Schemas};

pub(crate) use self::names::ToolNames;
pub(crate) use self::servers::Servers;
use crate::error::Error;
use crate::router::InStore;

/// What is said of a plugin that cannot be a tool.
pub(crate) const NO_TOOL: &str = "none: it takes neither json nor text";

/// One plugin as a tool.
#[derive(Debug, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) plugin_id: PluginId,
    /// As it stands in the list of tools.
    pub(crate) definition: Value,
    /// The longest time that a call may take.
    pub(crate) allowed_ms: u64,
    input: Input,
}

/// What a call's arguments become.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Input {
    /// The data of a `json` payload with this `schema_ref`.
    Json { schema_ref: String },
    /// The content of a `text` payload.
    Text,
    /// The arguments of this tool of a server.
    Server { tool: String },
}

impl Tool {
    /// Whether its results are a server's, and go to the client as they are.
    pub(crate) fn is_of_server(&self) -> bool {
        matches!(self.input, Input::Server { .. })
    }

    /// The payload for a call with these arguments.
    ///
    /// # Errors
    /// What is wrong with them, where that is no matter of the plugin's schema, which the gateway checks.
    pub(crate) fn payload(&self, arguments: Map<String, Value>) -> Result<Value, String> {
        match &self.input {
            Input::Json { schema_ref } => {
                Ok(json!({ "kind": "json", "data": arguments, "schema_ref": schema_ref }))
            }
            Input::Server { tool } => {
                let data = json!({ "tool": tool, "arguments": arguments });
                Ok(json!({ "kind": "json", "data": data, "schema_ref": mcp::CALL }))
            }
            Input::Text => Ok(
                json!({ "kind": "text", "content": text_of(arguments)?, "encoding": "utf-8", "metadata": {} }),
            ),
        }
    }
}

#[cfg(test)]
impl Tool {
    /// A tool that takes a text, for tests.
    pub(crate) fn of_text(name: &str) -> Self {
        let plugin_id = PluginId::parse("p.test.tool");
        Self {
            name: name.to_owned(),
            plugin_id: plugin_id.unwrap(),
            definition: json!({ "name": name }),
            allowed_ms: 1_000,
            input: Input::Text,
        }
    }
}

/// The one argument of a tool that takes a text.
fn text_of(mut arguments: Map<String, Value>) -> Result<String, String> {
    const SHOWN_CHARS: usize = 80;
    let text = arguments.remove("text");
    if let Some(other) = arguments.keys().next() {
        let other = plugin_protocol::shown::cut(other, SHOWN_CHARS);
        return Err(format!("the tool has no argument '{other}': 'text' is all"));
    }
    match text {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err("the argument 'text' must be a string".to_owned()),
        None => Err("the argument 'text' is missing".to_owned()),
    }
}

/// What a plugin takes from a tool's caller: `json` before `text`, and nothing else.
fn input(manifest: &CheckedManifest) -> Option<Input> {
    let first = |kind| manifest.io.inputs.iter().find(|port| port.kind == kind);
    let json = first(PayloadKind::Json).map(|port| Input::Json {
        schema_ref: port.schema_ref.clone(),
    });
    json.or_else(|| first(PayloadKind::Text).map(|_| Input::Text))
}

/// The one output, where it is `json`: a plugin with others gives no promise about structured content.
fn json_output(manifest: &CheckedManifest) -> Option<&Port> {
    match manifest.io.outputs.as_slice() {
        [port] if port.kind == PayloadKind::Json => Some(port),
        _ => None,
    }
}

/// The plugin as tools called `names`: one for each pinned tool of a server, one for any other plugin; none where it cannot be one. `store`
/// has its manifest and its schemas.
///
/// # Errors
/// When its manifest or its package cannot be read from the store, or is not what was signed.
pub(crate) fn tools(names: &[String], plugin: &Plugin, store: &Store) -> Result<Vec<Tool>, Error> {
    let manifest = manifest(plugin, store)?;
    if manifest.is_server() {
        let schemas = schemas(&manifest, plugin, store)?;
        let pinned = schemas.pinned().into_iter().flat_map(Pinned::definitions);
        let of = |(name, (tool, pinned)): (&String, (&str, &Value))| Tool {
            name: name.clone(),
            plugin_id: manifest.plugin_id.clone(),
            definition: renamed(pinned, name),
            allowed_ms: manifest.limits.call_ms(),
            input: Input::Server {
                tool: tool.to_owned(),
            },
        };
        return Ok(names.iter().zip(pinned).map(of).collect());
    }
    let (Some(input), Some(name)) = (input(&manifest), names.first()) else {
        return Ok(Vec::new());
    };
    let schemas = schemas(&manifest, plugin, store)?;
    Ok(vec![plain(name, &manifest, input, &schemas)])
}

/// A pinned definition under the name that it has here.
fn renamed(pinned: &Value, name: &str) -> Value {
    let mut definition = pinned.clone();
    definition["name"] = name.into();
    definition
}

/// A plugin that is no server as the tool called `name`.
fn plain(name: &str, manifest: &CheckedManifest, input: Input, schemas: &Schemas) -> Tool {
    let input_schema = match &input {
        Input::Json { schema_ref } => schemas
            .text(schema_ref)
            .map_or_else(schema::open, schema::of_data),
        Input::Text => schema::text(),
        Input::Server { .. } => schema::open(),
    };
    let output = json_output(manifest).and_then(|port| schemas.text(&port.schema_ref));
    let mut definition = json!({
        "name": name,
        "title": manifest.name,
        "description": manifest.description,
        "inputSchema": input_schema,
        "annotations": { "readOnlyHint": true },
    });
    if let Some(output) = output {
        definition["outputSchema"] = schema::of_data(output);
    }
    if manifest.determinism.mode == DeterminismMode::Deterministic {
        definition["annotations"]["idempotentHint"] = true.into();
    }
    Tool {
        name: name.to_owned(),
        plugin_id: manifest.plugin_id.clone(),
        definition,
        allowed_ms: manifest.limits.call_ms(),
        input,
    }
}

fn manifest(plugin: &Plugin, store: &Store) -> Result<CheckedManifest, Error> {
    let (report, manifest) = validator::check_manifest(&store.manifest(plugin.manifest_hash)?);
    manifest.ok_or(Error::InvalidManifest {
        report: Box::new(report),
    })
}

/// The schemas that the definition shows. A package without any is not looked at: opening one hashes all its files.
fn schemas(manifest: &CheckedManifest, plugin: &Plugin, store: &Store) -> Result<Schemas, Error> {
    if !manifest.is_server() && manifest.schemas.iter().flatten().next().is_none() {
        return Ok(Schemas::default());
    }
    let stored = store.open_package(plugin.package_digest)?;
    Schemas::compile(manifest, &InStore(&stored)).map_err(|issues| Error::InvalidPackage { issues })
}

/// What people are told of plugins as tools.
#[derive(Debug)]
pub(crate) struct ToolWords<'a> {
    registry: &'a Registry,
    names: ToolNames,
    store: Store,
}

/// What people are told of the registry's plugins as tools. The store of `state` has their manifests.
///
/// # Errors
/// When the store cannot be opened.
pub(crate) fn tool_words<'a>(registry: &'a Registry, state: &Path) -> Result<ToolWords<'a>, Error> {
    let store = Store::open(state)?;
    Ok(ToolWords {
        registry,
        names: Servers::default().names(registry, &store),
        store,
    })
}

impl ToolWords<'_> {
    /// The names of the tools that the plugin is while it is enabled, or that it is none; empty for a rejected one.
    pub(crate) fn of(&self, id: &PluginId) -> String {
        self.told(id, |names| names.join(" "))
    }

    /// The same in a few words.
    pub(crate) fn in_short(&self, id: &PluginId) -> String {
        self.told(id, |names| match names {
            [first, rest @ ..] if !rest.is_empty() => format!("{first} and {} more", rest.len()),
            _ => names.join(" "),
        })
    }

    fn told(&self, id: &PluginId, words: impl FnOnce(&[String]) -> String) -> String {
        let (Some(plugin), Some(names)) = (self.registry.get(id), self.names.get(id)) else {
            return String::new();
        };
        match manifest(plugin, &self.store) {
            Ok(manifest) if input(&manifest).is_none() => NO_TOOL.to_owned(),
            // One whose manifest cannot be read is refused when it is called, with the reason.
            Ok(_) | Err(_) => words(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(manifest: &Value) -> CheckedManifest {
        let (report, checked) = validator::check_manifest(manifest.to_string().as_bytes());
        checked.unwrap_or_else(|| panic!("{report:?}"))
    }

    fn ports(inputs: &[&str], outputs: &[&str]) -> CheckedManifest {
        let all = |kinds: &[&str]| -> Vec<Value> {
            let port = |kind: &&str| json!({ "kind": kind, "schema_ref": format!("{kind}/1") });
            kinds.iter().map(port).collect()
        };
        let mut capabilities: Vec<String> =
            inputs.iter().map(|kind| format!("read_{kind}")).collect();
        capabilities.push("write_report".to_owned());
        of(&json!({
            "plugin_id": "p.x.y", "name": "X", "vendor": "V", "version": "1.0.0", "api_version": "1.0.0",
            "capabilities": capabilities, "io": { "inputs": all(inputs), "outputs": all(outputs) },
            "entrypoint": { "type": "process", "command": ["./x"] },
        }))
    }

    #[test]
    fn a_tool_takes_json_before_text_and_nothing_else() {
        let json = Input::Json {
            schema_ref: "json/1".to_owned(),
        };
        assert_eq!(input(&ports(&["text", "json"], &[])), Some(json));
        assert_eq!(
            input(&ports(&["binary_ref", "text"], &[])),
            Some(Input::Text)
        );
        assert_eq!(input(&ports(&["binary_ref", "dataset_slice"], &[])), None);
        assert_eq!(input(&ports(&[], &[])), None);
    }

    #[test]
    fn only_a_plugin_with_one_output_of_json_promises_its_schema() {
        assert!(json_output(&ports(&["text"], &["json"])).is_some());
        assert!(json_output(&ports(&["text"], &["text"])).is_none());
        assert!(json_output(&ports(&["text"], &["json", "text"])).is_none());
    }

    #[test]
    fn the_text_of_a_text_tool_is_its_one_argument() {
        let of = |value: Value| text_of(value.as_object().unwrap().clone());
        assert_eq!(of(json!({"text": "a"})), Ok("a".to_owned()));
        for (wrong, words) in [
            (json!({}), "'text' is missing"),
            (json!({"text": 1}), "must be a string"),
            (json!({"text": "a", "more": 1}), "no argument 'more'"),
        ] {
            assert!(of(wrong).unwrap_err().contains(words));
        }
    }
}
