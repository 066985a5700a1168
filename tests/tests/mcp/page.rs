//! The settings on `docs/mcp.md`: each of them, put into a client, begins a session. The page's commands are run with those for authors.

use std::path::Path;
use std::time::Duration;

use campaigns::answers::prompt;
use campaigns::{Channel, Host};
use serde_json::{Value, json};

use super::client::{hello, tools};

/// The state that the page names.
const STATE: &str = "/home/me/plugins";

/// The part of the settings that says what is started.
fn server(settings: &Value) -> &Value {
    let servers = settings.as_object().unwrap().values().next().unwrap();
    &servers["plugins"]
}

#[test]
fn inv_pnp_01_the_settings_on_the_page_begin_a_session() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mcp.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = page
        .split("\n```json ")
        .skip(1)
        .map(|rest| {
            rest.split_once('\n')
                .unwrap()
                .1
                .split("\n```")
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(blocks.len(), 3, "each form of settings");
    let host = Host::new();
    host.install(&prompt("p.test.prompt"));
    for block in blocks {
        let settings: Value = serde_json::from_str(block).unwrap();
        let server = server(&settings);
        assert_eq!(server["command"], "plugin-gateway");
        let arguments = server["args"].as_array().unwrap();
        let arguments: Vec<&str> = arguments.iter().map(|one| one.as_str().unwrap()).collect();
        let [option, STATE, rest @ ..] = &arguments[..] else {
            panic!("{arguments:?}")
        };
        assert_eq!(*option, "--state");
        let mut face = Channel::speaking(&host, rest, Duration::ZERO);
        face.call("initialize", hello("2025-11-25"));
        assert_eq!(tools(&mut face), ["p_test_prompt"]);
        assert_eq!(face.call("ping", json!({})), json!({}));
    }
}
