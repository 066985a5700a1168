//! A plugin that writes on stdout whatever the request's text tells it to, byte for byte, so that a test can try any answer.

use serde_json::{Value, json};

use crate::package::Package;
use crate::program::{Link, c};
use crate::request::text;

const BODY: &str = r#"
static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

int main(void) {
    read_line();
    const char *at = strstr(line, "\"content\":\"");
    if (!at) return 9;
    size_t length = 0;
    at += 11;
    if (at[0] == 'p') {
        static char blanks[1 << 20];
        size_t count = strtoul(at + 1, NULL, 10);
        memset(blanks, ' ', count);
        for (size_t done = 0; done < count;) {
            ssize_t put = write(1, blanks + done, count - done);
            if (put <= 0) return 9;
            done += (size_t)put;
        }
        at = strchr(at, '.') + 1;
    }
    for (; at[0] != '"' && at[1] != '"'; at += 2)
        line[length++] = (char)(digit(at[0]) * 16 + digit(at[1]));
    for (size_t done = 0; done < length;) {
        ssize_t put = write(1, line + done, length - done);
        if (put <= 0) return 9;
        done += (size_t)put;
    }
    return 0;
}
"#;

/// The parrot: it takes up to 256 KiB of text, and may answer with `any/1` JSON or with text.
pub fn package(id: &str) -> Package {
    Package::native(id, &c(BODY, Link::Static)).with(|manifest| {
        manifest["limits"]["max_bytes"] = json!(300_000);
        manifest["io"] = json!({
            "inputs": [{ "kind": "text", "schema_ref": "text/1", "limits": { "max_bytes": 280_000 } }],
            "outputs": [
                { "kind": "json", "schema_ref": "any/1", "limits": { "max_bytes": 4096 } },
                { "kind": "text", "schema_ref": "text/1", "limits": { "max_bytes": 1024 } }
            ]
        });
    })
}

/// The payload that makes the parrot write `bytes`.
pub fn saying(bytes: impl AsRef<[u8]>) -> Value {
    let hex: String = bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    text(&hex)
}

/// The payload that makes the parrot write `blanks` spaces, which JSON allows before a value, and then `bytes`.
pub fn saying_after_blanks(blanks: usize, bytes: impl AsRef<[u8]>) -> Value {
    let hex = saying(bytes)["content"].as_str().unwrap().to_owned();
    text(&format!("p{blanks}.{hex}"))
}

/// The answer line with this status and result, its newline included.
pub fn answer(request_id: &str, status: &str, result: &Value, notes: &str) -> String {
    let response =
        json!({ "request_id": request_id, "status": status, "result": result, "notes": notes });
    format!("{}\n", json!({ "type": "result", "response": response }))
}
