//! The gateway's side of the exchange with a server of the Model Context Protocol: what each of its lines is worth while a call waits for its
//! answer. What an answer means, the validator says.

use std::sync::{Mutex, PoisonError};

use plugin_protocol::mcp::{self, Said};
use plugin_protocol::{canonical, json};
use sandbox::{Heard, Listener};
use serde_json::{Value, json};
use validator::Asked;

/// The most pages of tools that are asked for.
const PAGES_MAX: usize = 64;

/// Who hears the plugin's lines; nobody where it answers in one line.
pub(super) fn listener(asked: &Asked) -> Option<Box<dyn Listener>> {
    match asked {
        Asked::Answer => None,
        Asked::Tool(_) => Some(Box::new(OneAnswer)),
        Asked::Tools => Some(Box::new(Pages::default())),
    }
}

/// Waits for the answer to one request.
#[derive(Debug)]
struct OneAnswer;

impl Listener for OneAnswer {
    fn hear(&self, line: &[u8]) -> Heard {
        match mcp::said(line) {
            Said::Answer(mcp::REQUEST, _) | Said::Answer(mcp::OPENING, true) => {
                Heard::Answer(line.to_vec())
            }
            Said::Asks(reply) => Heard::Reply(reply),
            Said::Answer(_, _) | Said::Nothing => Heard::PassOver,
        }
    }
}

/// Waits for the server's name and every page of its tools, and makes one answer of them.
#[derive(Debug, Default)]
struct Pages(Mutex<Gathered>);

#[derive(Debug, Default)]
struct Gathered {
    /// The result of `initialize`.
    opened: Value,
    tools: Vec<Value>,
    pages: usize,
}

impl Listener for Pages {
    fn hear(&self, line: &[u8]) -> Heard {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mcp::said(line) {
            Said::Answer(mcp::OPENING, false) => {
                let opened = json::read_schema(line, usize::MAX);
                gathered.opened = opened.map_or(Value::Null, |mut opened| opened["result"].take());
                Heard::PassOver
            }
            Said::Answer(id, false) if id == gathered.next() => gathered.page(line),
            Said::Answer(_, true) => Heard::Answer(line.to_vec()),
            Said::Asks(reply) => Heard::Reply(reply),
            Said::Answer(_, false) | Said::Nothing => Heard::PassOver,
        }
    }
}

impl Gathered {
    /// The name of the request whose answer is awaited.
    fn next(&self) -> u64 {
        mcp::REQUEST + u64::try_from(self.pages).unwrap_or(u64::MAX)
    }

    fn page(&mut self, line: &[u8]) -> Heard {
        // What cannot be read, the validator names.
        let Ok(mut message) = json::read_schema(line, usize::MAX) else {
            return Heard::Answer(line.to_vec());
        };
        let mut result = message["result"].take();
        let Some(tools) = result["tools"].as_array_mut() else {
            return Heard::Answer(line.to_vec());
        };
        self.tools.append(tools);
        self.pages += 1;
        match result["nextCursor"].as_str() {
            Some(cursor) if self.pages < PAGES_MAX => {
                Heard::Reply(mcp::list(self.next(), Some(cursor)))
            }
            Some(_) | None => Heard::Answer(self.answer()),
        }
    }

    /// The answer as one page would have been, with what the server said of itself.
    fn answer(&mut self) -> Vec<u8> {
        let result = json!({
            "tools": std::mem::take(&mut self.tools),
            "serverInfo": self.opened["serverInfo"].take(),
            "protocolVersion": self.opened["protocolVersion"].take(),
        });
        canonical::bytes(&json!({ "id": mcp::REQUEST, "result": result }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listener: &dyn Listener, message: &Value) -> Heard {
        listener.hear(message.to_string().as_bytes())
    }

    #[test]
    fn everything_but_the_answer_is_passed_over() {
        let listener = listener(&Asked::Tool("a".to_owned())).unwrap();
        let opened = json!({ "jsonrpc": "2.0", "id": 0, "result": {} });
        let log = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": {} });
        assert_eq!(heard(&*listener, &opened), Heard::PassOver);
        assert_eq!(heard(&*listener, &log), Heard::PassOver);
        assert_eq!(listener.hear(b"Server is ready"), Heard::PassOver);
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        assert!(matches!(heard(&*listener, &ping), Heard::Reply(_)));
        for answer in [
            json!({ "jsonrpc": "2.0", "id": 1, "result": {} }),
            json!({ "jsonrpc": "2.0", "id": 1, "error": {} }),
            json!({ "jsonrpc": "2.0", "id": 0, "error": {} }),
        ] {
            let line = answer.to_string().into_bytes();
            assert_eq!(listener.hear(&line), Heard::Answer(line.clone()));
        }
    }

    #[test]
    fn tools_of_several_pages_become_one_answer() {
        let listener = listener(&Asked::Tools).unwrap();
        let opened = json!({ "id": 0, "result": { "serverInfo": { "name": "s" }, "protocolVersion": "2025-06-18" } });
        assert_eq!(heard(&*listener, &opened), Heard::PassOver);
        let page = |id: u64, name: &str, next: Option<&str>| json!({ "id": id, "result": { "tools": [{ "name": name }], "nextCursor": next } });
        let asks = Heard::Reply(mcp::list(2, Some("c")));
        assert_eq!(heard(&*listener, &page(1, "a", Some("c"))), asks);
        assert_eq!(
            heard(&*listener, &page(1, "a", Some("c"))),
            Heard::PassOver,
            "that page again"
        );
        let Heard::Answer(answer) = heard(&*listener, &page(2, "b", None)) else {
            panic!("the last page");
        };
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            answer["result"],
            json!({ "tools": [{ "name": "a" }, { "name": "b" }], "serverInfo": { "name": "s" }, "protocolVersion": "2025-06-18" })
        );
    }

    #[test]
    fn a_server_whose_pages_never_end_is_given_up() {
        let listener = listener(&Asked::Tools).unwrap();
        let mut asked = 0;
        for id in 1.. {
            let page = json!({ "id": id, "result": { "tools": [], "nextCursor": "more" } });
            match heard(&*listener, &page) {
                Heard::Reply(_) => asked += 1,
                Heard::Answer(_) => break,
                Heard::PassOver => panic!("page {id}"),
            }
        }
        assert_eq!(asked, PAGES_MAX - 1);
    }
}
