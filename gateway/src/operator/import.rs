//! A server of the Model Context Protocol becomes a package: it is asked for its tools inside the sandbox, on the very same path as any call,
//! and what it answers is pinned (contract, section 13). It is never run outside, and nothing is signed here.

mod hidden;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plugin_protocol::ids::PluginId;
use plugin_protocol::message::Status;
use plugin_protocol::shown;
use plugin_protocol::time::Timestamp;
use plugin_protocol::version::Version;
use plugin_protocol::{OMEGA_PLUGIN_API_VERSION, mcp};
use registry::MANIFEST_FILE;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::harness::Harness;
use crate::error::Error;
use crate::router::{likely, told_denials};

/// How the id of a server begins that is named after itself.
const DOMAIN: &str = "p.mcp.";

/// The longest id, in characters (contract, section 4).
const MAX_ID_CHARS: usize = 64;

/// What one call of a server may use, for its importer to change: room for pictures and long texts, and for an interpreter's libraries.
const MAX_BYTES: u64 = 1 << 20;
const MAX_MS: u64 = 30_000;
const MAX_MEMORY_BYTES: u64 = 512 << 20;

/// What of a definition is pinned. Pictures, which a client would fetch, and whatever else a server says of a tool are left out.
const PINNED: [&str; 6] = [
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
];

/// The most characters of a tool's description that are shown to its importer, on one line.
const SHOWN_CHARS: usize = 160;

/// What was imported.
#[derive(Debug, Serialize)]
pub(crate) struct Imported {
    pub(crate) plugin_id: PluginId,
    /// The server's own name.
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) tools: Vec<ImportedTool>,
    /// Tools that cannot be pinned, by name, each with the reason.
    pub(crate) left_out: Vec<(String, String)>,
    /// What the server was refused while it was asked, in one line; empty where that was nothing.
    pub(crate) denied: String,
}

/// One pinned tool.
#[derive(Debug, Serialize)]
pub(crate) struct ImportedTool {
    pub(crate) name: String,
    pub(crate) description: String,
    /// What in its definition people do not see as a model does.
    pub(crate) warnings: Vec<String>,
}

/// Asks the server in `folder` for its tools and writes its package. A manifest of an earlier import keeps what its importer changed in it.
///
/// # Errors
/// When the folder has another manifest, or the server does not answer in the sandbox: then the folder is as it was.
pub(crate) fn import(
    folder: &Path,
    id: Option<&str>,
    command: &[String],
) -> Result<Imported, Error> {
    let id = id.map(super::parse_id).transpose()?;
    no_modules(command)?;
    let before = earlier(folder)?;
    let mut manifest = before.clone().unwrap_or_else(|| template(folder));
    manifest["entrypoint"] = json!({ "type": "mcp", "command": command });
    if let Some(id) = &id {
        manifest["plugin_id"] = json!(id);
    }
    let mut files = Files::of(folder)?;
    files.write(MANIFEST_FILE, &manifest)?;
    files.write(mcp::TOOLS_FILE, &json!({ "tools": [] }))?;
    let (mut answer, denied) = ask(folder)?;
    let server = answer["serverInfo"].take();
    if before.is_none() {
        name(&mut manifest, id, &server)?;
    }
    let (tools, left_out) = pin(answer["tools"].take())?;
    let about = json!({ "name": server["name"], "version": server["version"] });
    let pinned = json!({ "protocolVersion": answer["protocolVersion"], "serverInfo": about, "tools": tools });
    files.write(MANIFEST_FILE, &manifest)?;
    files.write(mcp::TOOLS_FILE, &pinned)?;
    let report = super::validate(folder)?.report;
    let wrong = report.issues.iter().find(|_| !report.valid);
    if let Some(issue) = wrong {
        return Err(Error::Invalid {
            message: format!("the package would not be valid: {issue}"),
        });
    }
    files.keep();
    let text = |member: &str| manifest[member].as_str().unwrap_or_default().to_owned();
    Ok(Imported {
        plugin_id: super::parse_id(&text("plugin_id"))?,
        name: text("name"),
        version: text("version"),
        tools: tools.iter().map(told).collect(),
        left_out,
        denied,
    })
}

/// Refuses `-m MODULE` and the like with what to do: what is started is a file of the package.
fn no_modules(command: &[String]) -> Result<(), Error> {
    let Some([runtime, flag]) = command.get(..2) else {
        return Ok(());
    };
    if !flag.starts_with('-') {
        return Ok(());
    }
    let module = command.get(2).map_or("MODULE", String::as_str);
    Err(Error::Usage {
        message: format!("'{runtime}' is followed by a file of the folder, and not by '{flag}'"),
        hint: if flag == "-m" {
            format!(
                "write a file server.py of two lines into the folder, `import runpy` and `runpy.run_module(\"{module}\", run_name=\"__main__\")`, and give `{runtime} server.py`"
            )
        } else {
            "name the server's own file, as in `node node_modules/NAME/dist/index.js`".to_owned()
        },
    })
}

/// The manifest of an earlier import; none where there is no manifest.
fn earlier(folder: &Path) -> Result<Option<Value>, Error> {
    let path = folder.join(MANIFEST_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_dir() => {
            return Ok(None);
        }
        Err(error) => return Err(Error::file("read", &path)(error)),
    };
    let (_, checked) = validator::check_manifest(&bytes);
    let manifest = checked.filter(validator::CheckedManifest::is_server);
    let manifest = manifest.and_then(|_| serde_json::from_slice(&bytes).ok());
    manifest.map(Some).ok_or_else(|| Error::Usage {
        message: format!("'{}' is there, and is no server's", path.display()),
        hint: "import the server into a folder of its own: nothing was written".to_owned(),
    })
}

/// The manifest of a server that nothing is known of.
fn template(folder: &Path) -> Value {
    let name = folder.file_name().and_then(|name| name.to_str());
    json!({
        "plugin_id": id_of(name.unwrap_or_default()),
        "name": "MCP server",
        "vendor": "imported",
        "description": "",
        "version": "1.0.0",
        "api_version": OMEGA_PLUGIN_API_VERSION,
        "capabilities": ["read_json", "write_report"],
        "io": {
            "inputs": [{ "kind": "json", "schema_ref": mcp::CALL }],
            "outputs": [{ "kind": "json", "schema_ref": mcp::RESULT }],
        },
        "limits": {
            "max_bytes": MAX_BYTES, "max_ms": MAX_MS, "max_concurrency": 4, "max_memory_bytes": MAX_MEMORY_BYTES,
        },
    })
}

/// The id of a server with this name: what an id may not hold is a hyphen there.
fn id_of(name: &str) -> String {
    let kept = |c: char| {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-') {
            c
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(kept).collect();
    let name = name.trim_matches(['-', '.', '_']);
    let name = if name.is_empty() { "server" } else { name };
    format!("{DOMAIN}{name}")
        .chars()
        .take(MAX_ID_CHARS)
        .collect()
}

/// Names the plugin after what the server says of itself.
fn name(manifest: &mut Value, id: Option<PluginId>, server: &Value) -> Result<(), Error> {
    let said = |member: &str| {
        server[member]
            .as_str()
            .map(str::trim)
            .filter(|said| !said.is_empty())
    };
    let name = said("name").unwrap_or("MCP server");
    let id = id.map_or_else(|| id_of(name), |id| id.to_string());
    super::parse_id(&id)?;
    manifest["plugin_id"] = id.into();
    let shown = said("title").unwrap_or(name);
    manifest["name"] = shown::cut(shown, plugin_protocol::manifest::MAX_NAME_CHARS - 1).into();
    if let Some(version) = said("version").filter(|said| Version::parse(said).is_ok()) {
        manifest["version"] = version.into();
    }
    Ok(())
}

/// Asks the server in the sandbox. Gives its answer, and what it was refused meanwhile.
fn ask(folder: &Path) -> Result<(Value, String), Error> {
    let harness = Harness::new()?;
    let id = harness.install(folder)?;
    let request = json!({
        "request_id": "tools", "run_id": "import", "timestamp": Timestamp::now(), "context": {},
        "payload": { "kind": "json", "schema_ref": mcp::CALL, "data": {} },
        "policy": { "deterministic_only": false, "timeout_ms": plugin_protocol::manifest::MAX_CALL_MS, "max_retries": 0 },
    });
    let outcome = harness.list_tools(id.as_str(), &request)?;
    let denials = outcome
        .report
        .as_ref()
        .map(|report| told_denials(&report.denied));
    let denied = denials.unwrap_or_default();
    let response = &outcome.response;
    let result = response
        .result
        .as_ref()
        .filter(|_| response.status == Status::Ok);
    if let Some(result) = result {
        let mut result = serde_json::to_value(result).unwrap_or_default();
        return Ok((result["data"].take(), denied));
    }
    let meant = likely(&outcome, None).filter(|meant| !response.notes.contains(&meant.fix));
    let meant = meant.map_or(String::new(), |meant| {
        format!("; likely: {}: {}", meant.cause, meant.fix)
    });
    let refused = if denied.is_empty() {
        String::new()
    } else {
        format!("; it was refused {denied}")
    };
    Err(Error::Invalid {
        message: format!(
            "the server gave no tools: {}{meant}{refused}",
            response.notes
        ),
    })
}

/// Tools that are left out, each with the reason.
type LeftOut = Vec<(String, String)>;

/// The definitions as they are pinned, and those that cannot be.
fn pin(tools: Value) -> Result<(Vec<Value>, LeftOut), Error> {
    let Value::Array(tools) = tools else {
        return Err(Error::Invalid {
            message: "the server's answer to tools/list has no list of tools".to_owned(),
        });
    };
    let pinned = tools.into_iter().map(|mut tool| {
        let members = PINNED.iter();
        let members =
            members.filter_map(|name| Some(((*name).to_owned(), tool.get_mut(*name)?.take())));
        Value::Object(members.collect::<Map<_, _>>())
    });
    let mut tools: Vec<Value> = pinned.collect();
    let unusable = validator::unusable_tools(&tools);
    let mut left_out = Vec::new();
    for (at, why) in unusable.into_iter().rev() {
        let tool = tools.remove(at);
        let name = tool["name"].as_str().unwrap_or_default();
        left_out.push((shown::cut(name, SHOWN_CHARS), why));
    }
    left_out.reverse();
    if tools.is_empty() {
        let why = left_out
            .first()
            .map_or(String::new(), |(name, why)| format!(": {name}: it {why}"));
        return Err(Error::Invalid {
            message: format!("the server has no tool that can be pinned{why}"),
        });
    }
    Ok((tools, left_out))
}

fn told(tool: &Value) -> ImportedTool {
    let text = |member: &str| tool[member].as_str().unwrap_or_default();
    let first = text("description")
        .trim()
        .lines()
        .next()
        .unwrap_or_default();
    ImportedTool {
        name: shown::cut(text("name"), SHOWN_CHARS),
        description: shown::cut(first, SHOWN_CHARS),
        warnings: hidden::warnings(tool),
    }
}

/// The two files of an import. Unless they are kept, the folder is as it was before.
#[derive(Debug)]
struct Files {
    before: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl Files {
    fn of(folder: &Path) -> Result<Self, Error> {
        let before = [MANIFEST_FILE, mcp::TOOLS_FILE].into_iter().map(|name| {
            let path = folder.join(name);
            match fs::read(&path) {
                Ok(bytes) => Ok((path, Some(bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((path, None)),
                Err(error) => Err(Error::file("read", &path)(error)),
            }
        });
        let before = before.collect::<Result<_, _>>()?;
        Ok(Self { before })
    }

    fn write(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        let found = self.before.iter().find(|(path, _)| path.ends_with(name));
        let Some((path, _)) = found else {
            return Ok(());
        };
        let text = format!("{value:#}\n");
        fs::write(path, text).map_err(Error::file("write", path))
    }

    fn keep(mut self) {
        self.before.clear();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for (path, before) in &self.before {
            let undone = match before {
                Some(bytes) => fs::write(path, bytes),
                None => fs::remove_file(path),
            };
            // Nobody is left to tell but the log.
            if let Err(error) = undone
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "an unfinished import was left");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_of_any_name() {
        for (name, id) in [
            ("mcp-time", "p.mcp.mcp-time"),
            (
                "example-servers/everything",
                "p.mcp.example-servers-everything",
            ),
            ("My Server 2.0", "p.mcp.my-server-2.0"),
            ("\u{202e}", "p.mcp.server"),
            ("", "p.mcp.server"),
            (&"x".repeat(100), &format!("p.mcp.{}", "x".repeat(58))),
        ] {
            assert_eq!(id_of(name), id);
            assert!(PluginId::parse(&id_of(name)).is_ok());
        }
    }

    #[test]
    fn a_plugin_is_named_after_its_server_within_bounds() {
        let mut manifest = json!({ "version": "1.0.0" });
        let server = json!({ "name": "a b", "title": "A\u{202e}b", "version": "0.2" });
        name(&mut manifest, None, &server).unwrap();
        assert_eq!(
            manifest,
            json!({ "plugin_id": "p.mcp.a-b", "name": "A\u{fffd}b", "version": "1.0.0" })
        );
        let own = PluginId::parse("p.own.id").unwrap();
        name(&mut manifest, Some(own), &json!({ "version": "2.3.4" })).unwrap();
        assert_eq!(
            manifest,
            json!({ "plugin_id": "p.own.id", "name": "MCP server", "version": "2.3.4" })
        );
    }

    #[test]
    fn what_is_pinned_is_the_definition_alone_and_what_cannot_be_is_named() {
        let tools = json!([
            { "name": "a", "inputSchema": {}, "icons": [{ "src": "https://x.example" }], "_meta": {}, "annotations": { "readOnlyHint": false } },
            { "name": "b" },
            { "name": "a", "inputSchema": {} },
        ]);
        let (pinned, left_out) = pin(tools).unwrap();
        assert_eq!(
            pinned,
            [json!({ "name": "a", "inputSchema": {}, "annotations": { "readOnlyHint": false } })]
        );
        let names: Vec<&str> = left_out.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert!(pin(json!([])).is_err() && pin(json!({})).is_err());
    }

    #[test]
    fn a_folder_is_as_it_was_where_nothing_came_of_it() {
        let folder = sandbox::ThrowAwayFolder::new().unwrap();
        let path = folder.path();
        fs::write(path.join(MANIFEST_FILE), "before").unwrap();
        let mut files = Files::of(path).unwrap();
        files.write(MANIFEST_FILE, &json!({})).unwrap();
        files.write(mcp::TOOLS_FILE, &json!({})).unwrap();
        drop(files);
        assert_eq!(fs::read(path.join(MANIFEST_FILE)).unwrap(), b"before");
        assert!(!path.join(mcp::TOOLS_FILE).exists());
    }

    #[test]
    fn a_module_is_refused_with_what_to_do() {
        let words = |command: &[&str]| {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            no_modules(&command).map_err(|error| error.hint())
        };
        assert!(
            words(&["python3", "-m", "mcp_server_time"])
                .unwrap_err()
                .contains("run_module(\"mcp_server_time\"")
        );
        assert!(words(&["node", "--import", "x"]).is_err());
        assert!(words(&["python3", "server.py", "-m"]).is_ok() && words(&["./server"]).is_ok());
    }
}
