//! `mcp import`: a server of the Model Context Protocol as a package, and what its importer has to know of it.

use std::path::Path;

use super::Answer;
use super::args::McpAct;
use super::output::Output;
use super::words::printable;
use crate::error::Error;
use crate::operator::{self, Imported, ImportedTool};

pub(super) fn import(act: &McpAct, out: Output) -> Result<Answer, Error> {
    let McpAct::Import {
        folder,
        id,
        command,
    } = act;
    let imported = operator::import(folder, id.as_deref(), command)?;
    out.answer(&imported, || describe(&imported, folder))?;
    Ok(Answer::Yes)
}

fn describe(imported: &Imported, folder: &Path) -> String {
    let mut lines = vec![format!(
        "{} {} ({}), tools as they are pinned:",
        imported.plugin_id, imported.version, imported.name
    )];
    for tool in &imported.tools {
        lines.extend(of_tool(tool));
    }
    for (tool, why) in &imported.left_out {
        lines.push(format!("left out: {tool}: the server {why}"));
    }
    if !imported.denied.is_empty() {
        lines.push(format!(
            "refused while it was asked, and without effect: {}",
            imported.denied
        ));
    }
    let shown = folder.display();
    lines.push(format!(
        "made {shown}/plugin.json and {shown}/mcp-tools.json: read them, then `plugin-gateway sign {shown} --key KEY`"
    ));
    printable(&lines.join("\n"))
}

fn of_tool(tool: &ImportedTool) -> Vec<String> {
    let description = match tool.description.as_str() {
        "" => String::new(),
        description => format!(": {description}"),
    };
    let mut lines = vec![format!("  {}{description}", tool.name)];
    let warned = tool.warnings.iter();
    lines.extend(warned.map(|warning| format!("    warning: {warning}")));
    lines
}
