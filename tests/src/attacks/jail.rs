//! Runs attacks: first plainly, to show that they work, then as a plugin, to show that they do not.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::scene::{MEMORY_LIMIT, Scene};
use super::{Attack, Inside, Outside, program, scripts};
use crate::channel::Channel;
use crate::command::{self, Host};
use crate::package::Package;
use crate::program::Link;
use crate::request::{request, text, with};

/// Names a share of every table of attacks, as `1/2`: `scripts/kernels` divides them among machines that are slow.
const SHARE: &str = "CAMPAIGNS_SHARE";

/// Gives the response of a plugin, named by its id, to a text.
type Ask = dyn Fn(&Host, &str, &str) -> Value;

/// One way to run the catalogue: a plugin under a gateway, and the same program plainly.
pub struct Jail {
    /// The class of plugin, for messages.
    pub class: &'static str,
    host: Host,
    id: String,
    /// Asks the plugin; the gateway's command unless a test has another channel.
    ask: Box<Ask>,
    /// How the same attacks are run without the gateway.
    plain: Vec<PathBuf>,
    /// Whether each attack is first run plainly.
    shown: bool,
    /// Whether refused calls end the plugin.
    ending: bool,
    _folder: TempDir,
}

impl std::fmt::Debug for Jail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jail")
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

impl Jail {
    /// The catalogue as a native program.
    pub fn native(link: Link) -> Self {
        let class = match link {
            Link::Static => "static",
            Link::Dynamic => "dynamic",
            Link::Shared => "library",
        };
        let bytes = program(link);
        let package = Package::native(&format!("p.attack.{class}"), &bytes);
        let folder = TempDir::new().unwrap();
        let plain = folder.path().join("program");
        fs::write(&plain, &bytes).unwrap();
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
        Self::with(class, &package, vec![plain], folder)
    }

    /// The catalogue as a library that a runtime loads: the same C code in the class of runtimes.
    pub fn library(runtime: &str) -> Option<Self> {
        let (class, interpreter, loader) = match runtime {
            "python3" => ("library under python3", python()?, scripts::PYTHON_LOADER),
            _ => ("library under node", node()?, scripts::NODE_LOADER),
        };
        let bytes = program(Link::Shared);
        let package = Package::script(&format!("p.attack.{runtime}.library"), runtime, loader)
            .file("attacks.so", &bytes, 0o755);
        let folder = TempDir::new().unwrap();
        package.write(folder.path());
        let plain = vec![interpreter, folder.path().join("script")];
        Some(Self::with(class, &package, plain, folder))
    }

    /// The catalogue of scripts under a runtime; none when the host lacks it.
    pub fn script(runtime: &'static str) -> Option<Self> {
        let (text, interpreter) = match runtime {
            "python3" => (scripts::PYTHON, python()?),
            _ => (scripts::NODE, node()?),
        };
        let package = Package::script(&format!("p.attack.{runtime}"), runtime, text);
        let folder = TempDir::new().unwrap();
        package.write(folder.path());
        let plain = vec![interpreter, folder.path().join("script")];
        Some(Self::with(runtime, &package, plain, folder))
    }

    fn with(class: &'static str, package: &Package, plain: Vec<PathBuf>, folder: TempDir) -> Self {
        let host = Host::new();
        let id = host.install(&package.clone().with(|manifest| {
            manifest["limits"]["max_ms"] = json!(30_000);
            manifest["limits"]["max_memory_bytes"] = json!(MEMORY_LIMIT);
        }));
        let jail = Self {
            class,
            host,
            id,
            ask: Box::new(Host::ask),
            plain,
            shown: true,
            ending: false,
            _folder: folder,
        };
        let response = jail.ask(" attack=harmless ");
        assert!(
            done(&response),
            "the {class} catalogue does not run inside at all: {response}"
        );
        jail
    }

    /// Asks by another channel than the command.
    #[must_use]
    pub fn asked_by(mut self, ask: impl Fn(&Host, &str, &str) -> Value + 'static) -> Self {
        self.ask = Box::new(ask);
        self
    }

    /// Leaves out the run without the gateway, for code that another jail has shown already.
    #[must_use]
    pub fn shown_elsewhere(self) -> Self {
        Self {
            shown: false,
            ..self
        }
    }

    /// Lets refused calls end the plugin, as an operator may.
    #[must_use]
    pub fn ending(self) -> Self {
        let settings = format!("[plugins.\"{}\"]\ndenials = \"end\"\n", self.id);
        fs::write(self.host.state().join("config.toml"), settings).unwrap();
        Self {
            ending: true,
            ..self
        }
    }

    /// Asks over the supervisor channel of one gateway that serves all calls.
    #[must_use]
    pub fn over_the_channel(self) -> Self {
        let channel = RefCell::new(None);
        let calls = Cell::new(0_u64);
        self.asked_by(move |host, id, words| {
            calls.set(calls.get() + 1);
            let request_id = json!(format!("request-{}", calls.get()));
            let call = with(request(text(words)), "/request_id", request_id);
            let call = with(call, "/policy/timeout_ms", json!(30_000));
            let mut channel = channel.borrow_mut();
            let channel = channel.get_or_insert_with(|| Channel::open(host));
            channel.call("invoke", json!({"plugin_id": id, "request": call}))
        })
    }

    /// Calls the plugin.
    pub fn ask(&self, words: &str) -> Value {
        (self.ask)(&self.host, &self.id, words)
    }

    /// Runs every attack (of this share) outside and inside, and fails with a list of all that went wrong.
    pub fn hold(&self, attacks: &[Attack]) {
        let mut failures = String::new();
        let mut answers = Vec::new();
        let mut shown = 0;
        let (which, of) = share();
        for attack in attacks.iter().skip(which - 1).step_by(of) {
            if self.shown && self.show_outside(attack, &mut failures) {
                shown += 1;
            }
            let mut scene = Scene::new();
            let response = self.ask(&scene.words(attack.name));
            if let Err(reason) = judge(attack, &response, scene.harm(), self.ending) {
                writeln!(failures, "{} attack {}: {reason}", self.class, attack.name).unwrap();
            }
            answers.push((attack, response));
        }
        self.check_ledger(&answers, &mut failures);
        assert!(failures.is_empty(), "{failures}");
        // `scripts/kernels` makes its table of these lines.
        eprintln!("held {} shown {shown} by {}", answers.len(), self.class);
    }

    /// Runs the attack plainly: it must work, or the reason why it cannot be shown here is printed. Whether it worked.
    fn show_outside(&self, attack: &Attack, failures: &mut String) -> bool {
        let mut scene = Scene::new();
        let answer = self.run_plainly(&scene, attack);
        let worked = done(&answer);
        let must_work = match attack.outside {
            Outside::Works => true,
            Outside::Root => rustix::process::geteuid().is_root(),
            Outside::Depends(_) => false,
        };
        if !worked && must_work {
            writeln!(
                failures,
                "{} attack {} does not work outside: {answer}",
                self.class, attack.name
            )
            .unwrap();
        } else if !worked {
            let reason = match attack.outside {
                Outside::Depends(reason) => reason,
                Outside::Works | Outside::Root => "it needs root",
            };
            eprintln!(
                "{} attack {} not shown outside ({reason}): {answer}",
                self.class, attack.name
            );
        } else if attack.marks && scene.harm().is_none() {
            writeln!(
                failures,
                "{} attack {} worked outside but left nothing to see",
                self.class, attack.name
            )
            .unwrap();
        }
        worked
    }

    fn run_plainly(&self, scene: &Scene, attack: &Attack) -> Value {
        self.plainly(scene.folder(), &scene.words(attack.name))
    }

    /// Runs an attack without the gateway, in `folder`, and gives its answer or how it ended.
    pub fn plainly(&self, folder: &Path, words: &str) -> Value {
        let (program, arguments) = self.plain.split_first().unwrap();
        let mut command = Command::new(program);
        // A group of its own, since some attacks are on the group.
        command.args(arguments).current_dir(folder).process_group(0);
        let request = json!({"request_id": "plain", "payload": {"content": words}});
        let line = format!("{}\n", json!({"type": "invoke", "request": request}));
        let said = command::finish(command, line.as_bytes());
        let Ok(answer) = serde_json::from_str::<Value>(said.stdout.trim()) else {
            return json!({"exit": said.code, "stderr": said.stderr, "stdout": said.stdout});
        };
        answer["response"].clone()
    }

    /// The state that the plugin is registered in.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Each answer has a closing event of the same status, with the cause and the call that was denied.
    fn check_ledger(&self, answers: &[(&Attack, Value)], failures: &mut String) {
        let events = self.host.events();
        for (attack, response) in answers {
            let closing = events
                .iter()
                .rfind(|event| event["request_id"] == response["request_id"]);
            let meta = closing.map_or(Value::Null, |event| event["meta"].clone());
            let told = match attack.inside {
                Inside::Refused => meta["cause"].is_string(),
                Inside::Named(calls) if meta["cause"] == "violation" => {
                    calls.iter().any(|call| meta["denied_call"] == *call)
                }
                Inside::Named(calls) => {
                    let counts = meta["denied_counts"].as_str().unwrap_or_default();
                    let text = meta["denied"].as_str().unwrap_or_default();
                    calls.iter().any(|call| {
                        counts.split(' ').any(|word| word == *call)
                            && text.contains(&format!("{call}("))
                    })
                }
            };
            if meta["status"] != response["status"] || !told {
                writeln!(
                    failures,
                    "{} attack {}: the ledger does not name what was tried: {closing:?}",
                    self.class, attack.name
                )
                .unwrap();
            }
        }
        self.host.verified();
    }
}

/// Which share of how many; the first of one where nobody says otherwise.
fn share() -> (usize, usize) {
    let Ok(text) = std::env::var(SHARE) else {
        return (1, 1);
    };
    let share = text
        .split_once('/')
        .map(|(which, of)| (which.parse(), of.parse()));
    match share {
        Some((Ok(which), Ok(of))) if 1 <= which && which <= of => (which, of),
        _ => panic!("{SHARE} is {text}, and not a share as 1/2"),
    }
}

/// Whether the answer says that the attack was done.
pub fn done(answer: &Value) -> bool {
    answer["status"] == "ok" && answer["result"]["data"]["done"] == true
}

/// Whether an attack ended as it must: nothing done, nothing changed, and said so.
fn judge(
    attack: &Attack,
    response: &Value,
    harm: Option<String>,
    ending: bool,
) -> Result<(), String> {
    if let Some(harm) = harm {
        return Err(format!("GOT THROUGH, {harm}: {response}"));
    }
    if done(response) {
        return Err(format!("GOT THROUGH: {response}"));
    }
    let notes = response["notes"].as_str().unwrap_or_default();
    let violation = response["status"] == "rejected" && notes.contains("violation");
    let answered = response["status"] == "ok" && response["result"]["data"]["done"] == false;
    match attack.inside {
        // That the ledger names the call is seen later.
        Inside::Named(_) if answered && !ending => Ok(()),
        Inside::Refused => {
            let ended = response["status"] == "error" && notes.contains("memory");
            if answered || violation || ended {
                Ok(())
            } else {
                Err(format!("neither refused nor ended for it: {response}"))
            }
        }
        Inside::Named(calls) => {
            if violation && calls.iter().any(|call| notes.contains(&format!("{call}("))) {
                Ok(())
            } else {
                Err(format!(
                    "not rejected with one of {calls:?} named: {response}"
                ))
            }
        }
    }
}

fn python() -> Option<PathBuf> {
    real_interpreter("python3", "import sys; print(sys.executable)", "-c")
}

fn node() -> Option<PathBuf> {
    real_interpreter("node", "console.log(process.execPath)", "-e")
}

/// The program behind a name on the path, which may be a shell script that looks for it.
fn real_interpreter(name: &str, asks: &str, flag: &str) -> Option<PathBuf> {
    let said = Command::new(name).args([flag, asks]).output();
    let path = said.map_or_else(
        |_| String::new(),
        |said| String::from_utf8_lossy(&said.stdout).into_owned(),
    );
    let path = PathBuf::from(path.trim());
    if path.is_file() {
        Some(path)
    } else {
        crate::skip(&format!("{name} does not run for this user"));
        None
    }
}
