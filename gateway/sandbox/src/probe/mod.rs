//! Tries the forbidden acts from inside real jails of every class, and says what refused each.
//!
//! So it proves what the rows about layers only claim. It never tries anything outside a jail.

mod acts;
pub(crate) mod interpreters;
mod native;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use self::acts::{ACTS, ANSWER, Act, LOOK, SCRIPTED, SPINNING};
use crate::error::{Error, While};
use crate::image::Image;
use crate::image::elf;
use crate::job::{Entry, Job, Limits};
use crate::layer::{Layer, Protection};
use crate::plan::runtimes::Runtimes;
use crate::report::{End, Report};
use crate::throw_away::ThrowAwayFolder;
use crate::{Sandbox, Settings};

/// Long enough for an interpreter to start on a busy machine.
const TIME: Duration = Duration::from_secs(20);
/// Processor time of an act: no act does more than start an interpreter, except the one that must run into its limit.
const CPU: Duration = Duration::from_secs(10);
/// Processor time of the act that must use it up.
const SPIN_CPU: Duration = Duration::from_millis(50);
/// Memory in bytes: enough to start, but far less than what the act that must run into this limit asks for.
const MEMORY_BYTES: u64 = 64 << 20;

/// The permit for acts, which belong to no recorded request.
#[derive(Debug)]
struct Trial;

/// What happened to an act in one kind of jail.
#[derive(Debug)]
struct Outcome {
    jail: &'static str,
    refused: bool,
    answered: bool,
    words: String,
}

/// One row for each act: refused in every kind of jail that this host can make, or not.
///
/// # Errors
/// When a jail that was promised cannot be made.
pub fn try_acts(settings: &Settings) -> Result<Vec<Protection>, Error> {
    let mut bench = Bench::open(settings)?;
    let mut rows = bench.answers()?;
    for act in ACTS {
        let outcomes = bench.outcomes(&act)?;
        rows.push(bench.row(act.name, act.layer, &outcomes));
    }
    let spinning = bench.spin()?;
    let name = "use more processor time than allowed";
    rows.push(row(name, Layer::Rlimits, true, &[spinning]));
    Ok(rows)
}

/// A sandbox, and what the acts need to run in it.
struct Bench {
    sandbox: Sandbox<Trial>,
    package: ThrowAwayFolder,
    runtimes: Runtimes,
    loader: Option<PathBuf>,
    /// The runtimes that are installed and work, with the endings of their scripts' names.
    scripted: Vec<(&'static str, &'static str)>,
    grouped: bool,
    /// Whether plugins have a root of their own.
    rooted: bool,
    waived: Vec<Layer>,
}

impl Bench {
    fn open(settings: &Settings) -> Result<Self, Error> {
        let package = ThrowAwayFolder::new().during("make a folder for probes")?;
        // Plugins have a user id of their own, whatever the umask.
        set_mode(package.path(), 0o755).during("open a folder for probes to plugins")?;
        let sandbox = Sandbox::open(settings.clone())?;
        let in_force = |layer| {
            let mut rows = sandbox.protections().iter();
            rows.any(|row| row.layer == layer && row.enforced)
        };
        let (grouped, rooted) = (in_force(Layer::Cgroup), in_force(Layer::MountNs));
        let runtimes = settings.runtimes.clone();
        Ok(Self {
            loader: loader(&runtimes),
            sandbox,
            package,
            runtimes,
            scripted: Vec::new(),
            grouped,
            rooted,
            waived: settings.allow_missing.clone(),
        })
    }

    fn row(&self, name: &'static str, layer: Layer, outcomes: &[Outcome]) -> Protection {
        // Without a private root, Landlock and the filter keep files closed, but their names and metadata can be asked for.
        let required = !self.waived.contains(&layer) && (self.rooted || name != LOOK);
        // Where there are control groups, a group is the layer that bounds memory.
        let layer = if layer == Layer::Rlimits && self.grouped {
            Layer::Cgroup
        } else {
            layer
        };
        row(name, layer, required, outcomes)
    }

    /// Whether each kind of program can run and answer at all. Runtimes that cannot are left out from then on.
    fn answers(&mut self) -> Result<Vec<Protection>, Error> {
        let mut outcomes = vec![self.native("static", &native::program(ANSWER, None), CPU)?];
        if let Some(loader) = &self.loader {
            outcomes.push(self.native("dynamic", &native::program(ANSWER, Some(loader)), CPU)?);
        }
        let programs = answering("programs run and answer", true, &outcomes);
        let mut outcomes = Vec::new();
        for (runtime, ending, source) in SCRIPTED {
            if self.runtimes.get(runtime).is_none() {
                continue;
            }
            let outcome = self.script(runtime, ending, source)?;
            if outcome.answered {
                self.scripted.push((runtime, ending));
            }
            outcomes.push(outcome);
        }
        let scripts = answering("scripts run and answer", false, &outcomes);
        Ok(vec![programs, scripts])
    }

    fn outcomes(&self, act: &Act) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = vec![self.native("static", &native::program(act.code, None), CPU)?];
        if let Some(loader) = &self.loader {
            let program = native::program(act.code, Some(loader));
            outcomes.push(self.native("dynamic", &program, CPU)?);
        }
        for &(runtime, ending) in &self.scripted {
            let script = act.scripts.iter().find(|(name, _)| *name == runtime);
            if let Some((_, source)) = script {
                outcomes.push(self.script(runtime, ending, source)?);
            }
        }
        Ok(outcomes)
    }

    fn spin(&self) -> Result<Outcome, Error> {
        self.native("static", &native::program(SPINNING, None), SPIN_CPU)
    }

    fn native(&self, jail: &'static str, program: &[u8], cpu: Duration) -> Result<Outcome, Error> {
        let digest: [u8; 32] = Sha256::digest(program).into();
        let entry = Entry::Program {
            image: Arc::new(Image::seal(program, &digest)?),
            args: Vec::new(),
        };
        self.run(jail, &entry, cpu)
    }

    fn script(&self, runtime: &'static str, ending: &str, source: &str) -> Result<Outcome, Error> {
        let script = PathBuf::from(format!("probe.{ending}"));
        let path = self.package.path().join(&script);
        fs::write(&path, format!("{source}\n")).during("write a probe")?;
        set_mode(&path, 0o644).during("open a probe to plugins")?;
        let entry = Entry::Runtime {
            name: runtime.to_owned(),
            script,
            args: Vec::new(),
        };
        self.run(runtime, &entry, CPU)
    }

    fn run(&self, jail: &'static str, entry: &Entry, cpu: Duration) -> Result<Outcome, Error> {
        let job = Job {
            entry,
            package: self.package.path(),
            input: b"{}\n",
            deadline: Instant::now() + TIME,
            limits: Limits {
                cpu,
                memory_bytes: MEMORY_BYTES,
                open_files: 64,
                answer_bytes: 1024,
            },
            when_refused: crate::WhenRefused::GoOn,
            // The variables that this starts interpreters with must not be found either.
            deterministic: true,
            names_reads: false,
            cancel: None,
            listener: None,
        };
        let report = self.sandbox.run(&Trial, &job)?;
        let (refused, words) = judge(&report);
        Ok(Outcome {
            jail,
            refused,
            answered: report.end == End::Answered,
            words,
        })
    }
}

/// Whether an act was refused, and how.
fn judge(report: &Report) -> (bool, String) {
    match &report.end {
        End::Violation(denial) | End::Flood(denial) => (true, format!("ended at {denial}")),
        End::MemoryLimit => (true, "ended for its memory".to_owned()),
        End::CpuLimit => (true, "ended for its processor time".to_owned()),
        End::Exited(0) | End::Answered => (false, "IT WORKED".to_owned()),
        End::Exited(_) => match report.denied.first.first() {
            Some(denial) => (true, format!("refused at {denial}")),
            None => (true, "refused with an error".to_owned()),
        },
        End::Signalled(signal) => (true, format!("ended by signal {signal}")),
        End::TimedOut => (false, "did not end".to_owned()),
        End::ExtraOutput
        | End::AnswerTooLarge
        | End::TooMuchTalk
        | End::Cancelled
        | End::NeverStarted => (false, "ended otherwise".to_owned()),
    }
}

/// The outcomes of an act that must be refused, as a row.
fn row(name: &'static str, layer: Layer, required: bool, outcomes: &[Outcome]) -> Protection {
    let enforced = outcomes.iter().all(|outcome| outcome.refused);
    let remedy = match (enforced, required) {
        (true, _) => "",
        (false, false) => {
            "the layer that refuses this is waived in config.toml or not to be had here; names and metadata of files are then not hidden"
        }
        (false, true) => {
            "run no plugins on this host, and report this: an act that must be refused was not"
        }
    };
    Protection {
        name: name.into(),
        layer,
        about_threat: false,
        required,
        enforced,
        detail: told(outcomes, |outcome| outcome.words.clone()),
        remedy: remedy.to_owned(),
    }
}

/// The outcomes of programs that must answer, as a row.
fn answering(name: &'static str, required: bool, outcomes: &[Outcome]) -> Protection {
    let enforced = outcomes.iter().all(|outcome| outcome.answered);
    let remedy = if enforced {
        ""
    } else {
        "describe the runtime in config.toml under [runtimes.NAME], or run one of its plugins with `run` to see what it lacks"
    };
    let words = |outcome: &Outcome| {
        if outcome.answered {
            "answered"
        } else {
            outcome.words.as_str()
        }
        .to_owned()
    };
    Protection {
        name: name.into(),
        layer: Layer::ExecOnce,
        about_threat: false,
        required,
        enforced,
        detail: told(outcomes, words),
        remedy: remedy.to_owned(),
    }
}

/// Jails with the same outcome together: `static, dynamic: failed; node: …`.
fn told(outcomes: &[Outcome], words: impl Fn(&Outcome) -> String) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for outcome in outcomes {
        let words = words(outcome);
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, jails)) => jails.push(outcome.jail),
            None => groups.push((words, vec![outcome.jail])),
        }
    }
    let groups = groups
        .iter()
        .map(|(words, jails)| format!("{}: {words}", jails.join(", ")));
    groups.collect::<Vec<_>>().join("; ")
}

/// This host's loader, read from the headers of the shell or of the gateway itself.
fn loader(runtimes: &Runtimes) -> Option<PathBuf> {
    let shell = runtimes
        .get("sh")
        .map(|runtime| runtime.interpreter.clone());
    let own = PathBuf::from("/proc/self/exe");
    let named =
        |path: PathBuf| elf::loader(&fs::read(path).ok()?).filter(|path| elf::is_usual(path));
    shell.and_then(named).or_else(|| named(own))
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_that_worked_anywhere_is_a_failure() {
        let outcome = |jail, refused| Outcome {
            jail,
            refused,
            answered: !refused,
            words: if refused { "refused" } else { "IT WORKED" }.to_owned(),
        };
        let good = row(
            "x",
            Layer::Seccomp,
            true,
            &[outcome("static", true), outcome("dynamic", true)],
        );
        assert!(good.enforced && good.detail == "static, dynamic: refused");
        let bad = row(
            "x",
            Layer::Seccomp,
            true,
            &[outcome("static", true), outcome("dynamic", false)],
        );
        assert!(!bad.enforced && bad.required && bad.detail.contains("dynamic: IT WORKED"));
    }
}
