//! Plugins that are servers of the Model Context Protocol (contract, section 13): what their manifest must say, the tools that their package
//! pins, the call that a payload becomes, and what a server's answer is worth. It speaks to no server.

use std::collections::BTreeMap;

use plugin_protocol::message::Request;
use plugin_protocol::payload::{Payload, PayloadKind};
use plugin_protocol::report::Issue;
use plugin_protocol::shown::{beginning, cut};
use plugin_protocol::words::QUOTED_OUTPUT_BYTES;
use plugin_protocol::{json, mcp};
use serde_json::{Map, Value};

use super::exchange::{Asked, unreadable};
use super::schemas::{Compiled, compile_value};
use super::words::{error, listed, quoted};
use super::{PackageFiles, Schemas};

/// The most tools of one server: more than a model can choose from.
const MAX_TOOLS: usize = 256;
/// The largest file of pinned tools in bytes: room for the most tools with descriptions of some kilobytes each.
const MAX_TOOLS_BYTES: usize = 2 * 1024 * 1024;
/// The longest name of a tool in characters, as the protocol has it.
const MAX_NAME_CHARS: usize = 128;
/// How many names a message lists.
const MAX_LISTED: usize = 8;
/// The longest message of a server's own that is passed on, in characters.
const MAX_WORDS_CHARS: usize = 1_000;

/// Where the pinned tools are, in a report.
const FIELD: &str = "/entrypoint";

/// The tools of a server as they were signed.
#[derive(Debug)]
pub struct Pinned {
    /// In the order of the file.
    definitions: Vec<Value>,
    by_name: BTreeMap<String, Tool>,
}

#[derive(Debug)]
struct Tool {
    input: Compiled,
    output: Option<Compiled>,
}

impl Pinned {
    /// Reads the tools that a package pins.
    pub(super) fn read(files: &dyn PackageFiles) -> Result<Self, Vec<Issue>> {
        let name = mcp::TOOLS_FILE;
        if !files.contains(name) {
            let message = format!(
                "'{name}' is not in the package: `plugin-gateway mcp import` asks the server for its tools and writes it"
            );
            return Err(vec![error(FIELD, message)]);
        }
        let wrong = |why: String| vec![error(FIELD, format!("'{name}' {why}"))];
        let bytes = files
            .read(name)
            .map_err(|unread| wrong(format!("cannot be read: {unread}")))?;
        let value = json::read_schema(&bytes, MAX_TOOLS_BYTES)
            .map_err(|unread| wrong(format!("cannot be read: {unread}")))?;
        let listed = value.get("tools").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| wrong("has no list called 'tools'".to_owned()))?;
        if listed.len() > MAX_TOOLS {
            let count = listed.len();
            return Err(wrong(format!(
                "has {count} tools, where at most {MAX_TOOLS} are allowed"
            )));
        }
        let mut by_name = BTreeMap::new();
        let mut issues = Vec::new();
        for definition in listed {
            match tool(definition) {
                Ok((name, _)) if by_name.contains_key(&name) => {
                    issues.extend(wrong(format!("has two tools called {}", quoted(&name))));
                }
                Ok((name, tool)) => drop(by_name.insert(name, tool)),
                Err(why) => issues.extend(wrong(why)),
            }
        }
        if issues.is_empty() {
            let definitions = listed.clone();
            Ok(Self {
                definitions,
                by_name,
            })
        } else {
            Err(issues)
        }
    }

    /// Every tool's name and definition, in the order of the file.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.definitions
            .iter()
            .filter_map(|definition| Some((definition.get("name")?.as_str()?, definition)))
    }

    /// Checks the data of a call: a pinned tool, and arguments that its schema takes.
    pub(super) fn check_call(&self, data: &Value) -> Result<(), String> {
        let members = data.as_object().ok_or("a call is an object")?;
        let other = members
            .keys()
            .find(|name| !matches!(name.as_str(), "tool" | "arguments"));
        if let Some(other) = other {
            let other = quoted(other);
            return Err(format!("a call has 'tool' and 'arguments', and no {other}"));
        }
        let name = members.get("tool").and_then(Value::as_str);
        let name = name.ok_or("a call names its 'tool', a string")?;
        let tool = self.by_name.get(name).ok_or_else(|| self.unpinned(name))?;
        let none = Value::Object(Map::new());
        let arguments = members.get("arguments").unwrap_or(&none);
        if !arguments.is_object() {
            return Err("the 'arguments' of a call are an object".to_owned());
        }
        tool.input.check(arguments, || {
            format!(
                "the arguments do not follow the pinned inputSchema of tool {}",
                quoted(name)
            )
        })
    }

    fn unpinned(&self, name: &str) -> String {
        let known = self.by_name.keys().map(String::as_str).take(MAX_LISTED);
        let known: Vec<String> = known.map(|name| cut(name, MAX_NAME_CHARS)).collect();
        let more = self.by_name.len().saturating_sub(MAX_LISTED);
        let more = if more > 0 {
            format!(", and {more} more")
        } else {
            String::new()
        };
        format!(
            "the tool {} is not pinned: the package's {} has {}{more}",
            quoted(name),
            mcp::TOOLS_FILE,
            listed(known.iter().map(String::as_str))
        )
    }
}

/// The name of a tool with its schemas, or why it cannot be pinned.
fn tool(definition: &Value) -> Result<(String, Tool), String> {
    let name = definition.get("name").and_then(Value::as_str);
    let name = name.ok_or("has a tool without a name")?;
    let about = |why: &str| format!("has a tool {} {why}", quoted(name));
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(about(&format!(
            "whose name is not 1 to {MAX_NAME_CHARS} characters long"
        )));
    }
    let schema = |member: &str| {
        let schema = definition.get(member)?;
        let compiled = if schema.is_object() {
            compile_value(schema)
        } else {
            Err("it is no object".to_owned())
        };
        Some(compiled.map_err(|why| {
            about(&format!(
                "whose {member} is not a usable JSON Schema: {why}"
            ))
        }))
    };
    let input = schema("inputSchema").ok_or_else(|| about("without an inputSchema"))??;
    let output = schema("outputSchema").transpose()?;
    Ok((name.to_owned(), Tool { input, output }))
}

/// The tools among `definitions` that cannot be pinned, each with the reason.
#[must_use]
pub fn unusable_tools(definitions: &[Value]) -> Vec<(usize, String)> {
    let mut seen = std::collections::BTreeSet::new();
    let judged = definitions.iter().enumerate().map(|(at, definition)| {
        let why = match tool(definition) {
            Ok((name, _)) if !seen.insert(name.clone()) => {
                format!("has two tools called {}", quoted(&name))
            }
            Ok(_) if at >= MAX_TOOLS => format!("has more than {MAX_TOOLS} tools"),
            Ok(_) => return None,
            Err(why) => why,
        };
        Some((at, why))
    });
    judged.flatten().collect()
}

/// What the manifest of a server must declare, since no other payload becomes a call.
pub(super) fn ports(manifest: &Value, issues: &mut Vec<Issue>) {
    let kind = manifest.pointer("/entrypoint/type").and_then(Value::as_str);
    if kind != Some("mcp") {
        return;
    }
    for (side, schema_ref) in [("inputs", mcp::CALL), ("outputs", mcp::RESULT)] {
        let field = format!("/io/{side}");
        let Some(ports) = manifest.pointer(&field).and_then(Value::as_array) else {
            continue;
        };
        let is_right = match ports.as_slice() {
            [port] => {
                port.get("kind").and_then(Value::as_str) == Some(PayloadKind::Json.as_str())
                    && port.get("schema_ref").and_then(Value::as_str) == Some(schema_ref)
            }
            _ => false,
        };
        if !is_right {
            let message = format!(
                "an MCP server has one port here: write [{{\"kind\": \"json\", \"schema_ref\": \"{schema_ref}\"}}]"
            );
            issues.push(error(field, message));
        }
    }
    if manifest.get("schemas").is_some() {
        let message = format!(
            "an MCP server's schemas are in {}: leave this out",
            mcp::TOOLS_FILE
        );
        issues.push(error("/schemas", message));
    }
}

/// The call that an admitted request becomes, and its lines.
pub(super) fn call(request: &Request) -> (Asked, Vec<u8>) {
    let none = Map::new();
    let data = match &request.payload {
        Payload::Json { data, .. } => data,
        Payload::Text { .. } | Payload::BinaryRef { .. } | Payload::DatasetSlice { .. } => &none,
    };
    let tool = data.get("tool").and_then(Value::as_str).unwrap_or_default();
    let empty = Value::Object(Map::new());
    let arguments = data.get("arguments").unwrap_or(&empty);
    let mut lines = mcp::opening();
    lines.extend(mcp::call(mcp::REQUEST, tool, arguments));
    (Asked::Tool(tool.to_owned()), lines)
}

/// The result in a server's answer, or the error that it answered with.
fn result(line: &[u8], value: Value) -> Result<Result<Map<String, Value>, String>, String> {
    if let Some(fault) = value.get("error") {
        let words = fault.get("message").and_then(Value::as_str);
        let words = cut(words.unwrap_or("it gave no message"), MAX_WORDS_CHARS);
        let code = fault
            .get("code")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        return Ok(Err(format!(
            "the server answered with error {code}: {words}"
        )));
    }
    let Value::Object(mut message) = value else {
        return Err(format!(
            "the server's answer is no object: {}",
            beginning(line, QUOTED_OUTPUT_BYTES)
        ));
    };
    match message.remove("result") {
        Some(Value::Object(result)) => Ok(Ok(result)),
        Some(_) | None => Err("the server's result is no object".to_owned()),
    }
}

/// Reads the answer to a call of `tool`: the data of the result, or the server's own error.
pub(super) fn answer(
    line: &[u8],
    tool: &str,
    schemas: &Schemas,
) -> Result<Result<Value, String>, String> {
    let value = json::read(line).map_err(|unread| unreadable(line, &unread))?;
    let mut given = match result(line, value)? {
        Ok(given) => given,
        Err(words) => return Ok(Err(words)),
    };
    let content = given
        .remove("content")
        .unwrap_or_else(|| Value::Array(Vec::new()));
    let has_type = |part: &Value| part.get("type").is_some_and(Value::is_string);
    if !content
        .as_array()
        .is_some_and(|parts| parts.iter().all(has_type))
    {
        return Err("the server's 'content' is no list of objects with a 'type'".to_owned());
    }
    let failed = match given.remove("isError") {
        None => None,
        Some(Value::Bool(failed)) => Some(failed),
        Some(_) => return Err("the server's 'isError' is neither true nor false".to_owned()),
    };
    let structured = given.remove("structuredContent");
    let pinned = schemas.pinned().and_then(|pinned| pinned.by_name.get(tool));
    let promised = pinned.and_then(|tool| tool.output.as_ref());
    match (&structured, promised) {
        (Some(structured), _) if !structured.is_object() => {
            return Err("the server's 'structuredContent' is no object".to_owned());
        }
        // What went wrong is told in words, and keeps no promise about results.
        (_, Some(_)) if failed == Some(true) => {}
        (Some(structured), Some(promised)) => promised.check(structured, || {
            let tool = quoted(tool);
            format!("the structuredContent does not follow the pinned outputSchema of tool {tool}")
        })?,
        (None, Some(_)) => {
            let tool = quoted(tool);
            return Err(format!(
                "the result has no structuredContent, which the pinned outputSchema of tool {tool} promises"
            ));
        }
        (_, None) => {}
    }
    let mut data = Map::from_iter([("content".to_owned(), content)]);
    data.extend(structured.map(|value| ("structuredContent".to_owned(), value)));
    data.extend(failed.map(|value| ("isError".to_owned(), value.into())));
    Ok(Ok(Value::Object(data)))
}

/// Reads the answer to the question for tools.
pub(super) fn listing(line: &[u8]) -> Result<Result<Value, String>, String> {
    let value = json::read_schema(line, usize::MAX).map_err(|unread| unreadable(line, &unread))?;
    Ok(result(line, value)?.map(Value::Object))
}
