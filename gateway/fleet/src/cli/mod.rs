//! The command: arguments, and the only place that prints. Its words and exit codes are the local command's.

mod args;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use plugin_protocol::ids::{EventId, PluginId, RunId};
use plugin_protocol::manifest::MAX_CALL_MS;
use plugin_protocol::message::{Response, Status};
use plugin_protocol::report::{PipelineInput, PipelinePolicy, Strategy};
use plugin_protocol::time::Timestamp;
use plugin_protocol::{canonical, json, shown, words};
use registry::{PublicKey, SigningKey};
use serde::Serialize;
use serde_json::{Value, json};

use args::{Call, Command, Order, StepInput, Trust, Verb};

use crate::caller::{Answer, Caller, Wait};
use crate::decision::Decision;
use crate::fault::{Fault, Kind};
use crate::nats::Access;
use crate::node;

/// The largest input that the command reads, in bytes: above a server's largest message, and for batches.
const MAX_INPUT_BYTES: u64 = 512 * 1024 * 1024;

/// The whole command.
pub(crate) fn main() -> ExitCode {
    let command = Command::parse();
    let json = command.json;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(command)),
        Err(error) => Err(Fault::internal(format!("no threads can be had: {error}"))),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(fault) => {
            failure(&fault, json);
            ExitCode::from(fault.kind.exit_code())
        }
    }
}

async fn run(command: Command) -> Result<bool, Fault> {
    let Command {
        nats,
        creds,
        nkey,
        ca,
        receipts,
        json,
        verb,
    } = command;
    let access = Access {
        url: nats,
        creds,
        nkey,
        ca,
    };
    if let Verb::Node {
        state,
        operator,
        calls,
        cut_off_ms,
        gateway,
    } = verb
    {
        let settings = node::Settings {
            state,
            operator,
            calls: usize::from(calls),
            cut_off: Duration::from_millis(cut_off_ms),
            gateway,
        };
        return node::run(&access, settings).await.map(|()| true);
    }
    let caller = Caller::connect(&access, receipts).await?;
    match verb {
        Verb::Node { .. } => Ok(true),
        Verb::Invoke { id, call } => invoke(&caller, &id, &call, json).await,
        pipeline @ Verb::Pipeline { .. } => ask_several(&caller, pipeline, json).await,
        Verb::List => {
            let plugins = caller.list().await?;
            table(&plugins, &["plugin_id", "version", "status", "name"], json)
        }
        Verb::Nodes => {
            let nodes = Value::Array(caller.nodes().await?);
            table(
                &nodes,
                &["node", "serving", "why_not", "decision", "calls", "plugins"],
                json,
            )
        }
        Verb::Proof { run, out } => proof(&caller, &run, &out, json).await,
        Verb::Submit { file, wait_ms } => submit(&caller, &file, wait_ms).await,
        decision @ (Verb::Publish { .. }
        | Verb::Vouch { .. }
        | Verb::Trust(_)
        | Verb::Enable { .. }
        | Verb::Disable { .. }) => decide(&caller, decision, json).await,
    }
}

fn table(all: &Value, members: &[&str], json: bool) -> Result<bool, Fault> {
    say(all, json, || rows(all, members))?;
    Ok(true)
}

async fn invoke(caller: &Caller, id: &str, call: &Call, json: bool) -> Result<bool, Fault> {
    let request = request(call)?;
    let answer = caller.invoke(id, &request).await?;
    say(&answer.response, json, || {
        let run = request["run_id"].as_str().unwrap_or_default();
        format!("{}\nrun {}", describe(&answer.response), shown::text(run))
    })?;
    Ok(answer.response.status == Status::Ok)
}

async fn ask_several(caller: &Caller, verb: Verb, json: bool) -> Result<bool, Fault> {
    let Verb::Pipeline {
        plugins,
        strategy,
        stop_on_failure,
        step_input,
        call,
    } = verb
    else {
        return Ok(true);
    };
    let policy = PipelinePolicy {
        strategy: match strategy {
            Order::Sequential => Strategy::Sequential,
            Order::FanOut => Strategy::FanOut,
        },
        plugin_ids: plugins,
        timeout_ms: call.timeout_ms.unwrap_or(MAX_CALL_MS),
        stop_on_failure,
        input: match step_input {
            StepInput::Same => PipelineInput::Same,
            StepInput::Previous => PipelineInput::Previous,
        },
    };
    pipeline(caller, &policy, &request(&call)?, json).await
}

async fn pipeline(
    caller: &Caller,
    policy: &PipelinePolicy,
    request: &Value,
    json: bool,
) -> Result<bool, Fault> {
    let response = caller.pipeline(policy, request).await?;
    say(&response, json, || {
        let steps = response.steps.iter().map(|step| {
            format!(
                "{}. {}: {}",
                step.step_index + 1,
                shown::text(&step.plugin_id),
                describe(&step.response)
            )
        });
        let mut lines: Vec<String> = steps.collect();
        let run = shown::text(response.run_id.as_str());
        lines.push(format!(
            "{} in {} ms\nrun {run}",
            response.overall_status, response.total_duration_ms
        ));
        lines.join("\n")
    })?;
    Ok(response.overall_status == Status::Ok)
}

/// Prints a result a line, `null` for one that did not come in time.
async fn submit(caller: &Caller, file: &Path, wait_ms: u64) -> Result<bool, Fault> {
    let answers = caller
        .submit(&bytes_of(file)?, Wait(Duration::from_millis(wait_ms)))
        .await?;
    for answer in &answers {
        let line = answer
            .as_ref()
            .map_or(Value::Null, |answer| json!(answer.response));
        print(&shown::json(&line.to_string()))?;
    }
    let ok = |answer: &Option<Answer>| {
        answer
            .as_ref()
            .is_some_and(|answer| answer.response.status == Status::Ok)
    };
    Ok(answers.iter().all(ok))
}

async fn proof(caller: &Caller, run: &str, out: &Path, json: bool) -> Result<bool, Fault> {
    let run = RunId::parse(run).map_err(|error| Fault::new(Kind::Usage, error.to_string()))?;
    let gathered = caller.proof(&run).await?;
    let failed = |error: std::io::Error| {
        Fault::internal(format!("cannot write '{}': {error}", out.display()))
    };
    std::fs::write(out, canonical::bytes(&gathered.proof)).map_err(failed)?;
    let parts = gathered.proof["parts"].as_array().map_or(0, Vec::len);
    let document =
        json!({ "run_id": run, "file": out, "parts": parts, "missing": gathered.missing });
    say(&document, json, || {
        let mut lines = vec![format!(
            "proof of run {} by {parts} nodes in {}",
            shown::text(run.as_str()),
            out.display()
        )];
        lines.extend(
            gathered
                .missing
                .iter()
                .map(|words| shown::text(words).into_owned()),
        );
        lines.join("\n")
    })?;
    Ok(gathered.missing.is_empty())
}

/// The decisions: a package, a node, or a word and a name.
async fn decide(caller: &Caller, verb: Verb, json: bool) -> Result<bool, Fault> {
    let (decision, words, key) = match verb {
        Verb::Publish {
            package,
            key,
            replace,
        } => {
            let key = SigningKey::read(&key.key)?;
            let (what, decided) = caller.publish(&package, &key, replace).await?;
            let words = format!(
                "publish {} {}",
                text(&what["plugin_id"]),
                text(&what["version"])
            );
            return decided_words(&decided, &words, json);
        }
        Verb::Vouch { node, key } => {
            let decided = caller.vouch(&node, &SigningKey::read(&key.key)?).await?;
            let words = format!("vouch for node {}", shown::text(&node));
            return decided_words(&decided, &words, json);
        }
        Verb::Trust(Trust::Add { file, label, key }) => {
            let trusted = PublicKey::read(&file)?;
            let words = format!("trust {}", trusted.id());
            (
                Decision::Trust {
                    key: trusted.to_pem()?,
                    label,
                },
                words,
                key,
            )
        }
        Verb::Trust(Trust::Remove { key_id, key }) => {
            let words = format!("revoke {}", shown::text(&key_id));
            (Decision::Revoke { key_id }, words, key)
        }
        Verb::Enable { id, key } => (
            Decision::Enable {
                plugin_id: plugin(&id)?,
            },
            format!("enable {id}"),
            key,
        ),
        Verb::Disable { id, key } => (
            Decision::Disable {
                plugin_id: plugin(&id)?,
            },
            format!("disable {id}"),
            key,
        ),
        Verb::Node { .. }
        | Verb::Invoke { .. }
        | Verb::Pipeline { .. }
        | Verb::List
        | Verb::Nodes
        | Verb::Proof { .. }
        | Verb::Submit { .. } => return Ok(true),
    };
    let decided = caller
        .decide(&SigningKey::read(&key.key)?, decision)
        .await?;
    decided_words(&decided, &words, json)
}

fn decided_words(decided: &crate::caller::Decided, words: &str, json: bool) -> Result<bool, Fault> {
    say(decided, json, || {
        format!(
            "decision {}: {words}; in force on {} of {} nodes",
            decided.number, decided.in_force, decided.nodes
        )
    })?;
    Ok(true)
}

fn plugin(id: &str) -> Result<PluginId, Fault> {
    PluginId::parse(id).map_err(|error| Fault::new(Kind::Usage, error.to_string()))
}

fn request(call: &Call) -> Result<Value, Fault> {
    let text_payload = |text: &str| json!({ "kind": "text", "content": text, "encoding": "utf-8", "metadata": {} });
    let given = match (&call.text, &call.text_file, &call.input) {
        (Some(text), _, _) => text_payload(text),
        (_, Some(file), _) => {
            let text = String::from_utf8(bytes_of(file)?);
            text_payload(&text.map_err(|_| {
                Fault::new(
                    Kind::Invalid,
                    format!("{}: the text is no UTF-8", words::INVALID_REQUEST),
                )
            })?)
        }
        (_, _, Some(file)) => json::read(&bytes_of(file)?).map_err(|error| {
            Fault::new(
                Kind::Invalid,
                format!("{}: {error}", words::INVALID_REQUEST),
            )
        })?,
        (None, None, None) => {
            return Err(Fault::new(Kind::Usage, "there is nothing to ask: no payload was given")
                .hint("pass --text STR, --text-file FILE, or --input FILE with a payload or a whole request"));
        }
    };
    let name = EventId::now();
    let mut request = if given.get("kind").is_none() && given.get("payload").is_some() {
        given
    } else {
        json!({
            "request_id": format!("req-{name}"), "run_id": format!("run-{name}"), "timestamp": Timestamp::now(), "payload": given, "context": {},
            "policy": { "deterministic_only": false, "timeout_ms": MAX_CALL_MS, "max_retries": 0 },
        })
    };
    if let Some(run) = &call.run {
        request["run_id"] = run.as_str().into();
    }
    if let Some(policy) = request.get_mut("policy").and_then(Value::as_object_mut) {
        let given = [
            ("timeout_ms", call.timeout_ms.map(Value::from)),
            ("max_retries", call.retries.map(Value::from)),
            (
                "deterministic_only",
                call.deterministic_only.then_some(Value::Bool(true)),
            ),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                policy.insert(name.to_owned(), value);
            }
        }
    }
    Ok(request)
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, Fault> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound {
            Kind::Usage
        } else {
            Kind::Internal
        };
        Fault::new(kind, format!("cannot read '{}': {error}", file.display()))
    };
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_INPUT_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        let from = std::fs::File::open(file).map_err(failed)?;
        from.take(MAX_INPUT_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(Fault::new(
            Kind::Invalid,
            format!(
                "'{}' is larger than {MAX_INPUT_BYTES} bytes",
                file.display()
            ),
        ));
    }
    Ok(bytes)
}

fn describe(response: &Response) -> String {
    let mut lines = vec![format!(
        "{} in {} ms",
        response.status, response.duration_ms
    )];
    if let Some(result) = &response.result {
        lines.push(
            shown::text(&serde_json::to_string_pretty(result).unwrap_or_default()).into_owned(),
        );
    }
    if !response.notes.is_empty() {
        lines.push(shown::text(&response.notes).into_owned());
    }
    lines.join("\n")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// An array of objects as lines, with a tab between members.
fn rows(all: &Value, members: &[&str]) -> String {
    let mut lines = vec![members.join("\t").to_uppercase()];
    for one in all.as_array().into_iter().flatten() {
        let cells: Vec<String> = members
            .iter()
            .map(|member| shown::text(&text(&one[*member])).into_owned())
            .collect();
        lines.push(cells.join("\t"));
    }
    lines.join("\n")
}

fn say<T: Serialize>(
    document: &T,
    json: bool,
    words: impl FnOnce() -> String,
) -> Result<(), Fault> {
    let line = if json {
        let text =
            serde_json::to_string(document).map_err(|error| Fault::internal(error.to_string()))?;
        shown::json(&text).into_owned()
    } else {
        words()
    };
    print(&line)
}

fn print(line: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(line.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    written.map_err(|error| Fault::internal(format!("cannot write the answer: {error}")))
}

fn failure(fault: &Fault, json: bool) {
    if json {
        let document = json!({ "error": { "kind": fault.kind.as_str(), "message": fault.message, "hint": fault.hint } });
        if print(&shown::json(&document.to_string())).is_ok() {
            return;
        }
    }
    let mut err = std::io::stderr().lock();
    let mut say = |words: String| writeln!(err, "{}", shown::text(&words)).unwrap_or_default();
    say(format!("error: {}", fault.message));
    if !fault.hint.is_empty() {
        say(format!("hint: {}", fault.hint));
    }
}
