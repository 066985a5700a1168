//! What a caller asks the sandbox to run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::image::{Class, Image};

/// What to start.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A native program, verified and sealed.
    Program {
        /// The sealed program.
        image: Arc<Image>,
        /// Arguments after the program's name.
        args: Vec<String>,
    },
    /// A script of the package under one of the operator's runtimes.
    Runtime {
        /// The runtime's name in [`crate::Runtimes`].
        name: String,
        /// The script, relative to the package folder.
        script: PathBuf,
        /// Arguments after the script.
        args: Vec<String>,
    },
    /// The older form: an exported JavaScript function, run under the runtime called `node`.
    Worker {
        /// The JavaScript file, relative to the package folder.
        file: PathBuf,
        /// The exported function's name.
        export: String,
    },
}

impl Entry {
    /// What kind of plugin it starts.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Program { image, .. } => image.class(),
            Self::Runtime { .. } | Self::Worker { .. } => Class::Runtime,
        }
    }
}

/// What is started and within which bounds: all that is known of a run before there is a request.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// What to start.
    pub entry: &'a Entry,
    /// The verified package folder, as [`Job::package`] has it.
    pub package: &'a Path,
    /// How long the run may take once it has its request; its processor time is spread over that.
    pub time: Duration,
    /// What the run may use.
    pub limits: Limits,
    /// What happens to a plugin that makes a refused call.
    pub when_refused: WhenRefused,
    /// As [`Job::deterministic`] has it.
    pub deterministic: bool,
    /// As [`Job::names_reads`] has it.
    pub names_reads: bool,
}

/// What a started process is asked, and by when it has to answer.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The request line with its newline.
    pub input: &'a [u8],
    /// When the run must be over.
    pub deadline: Instant,
    /// Lets another thread end the run early.
    pub cancel: Option<&'a Cancel>,
    /// As [`Job::listener`] has it.
    pub listener: Option<&'a dyn Listener>,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// What to start.
    pub entry: &'a Entry,
    /// The verified package folder; its files must be readable by everyone, as plugins run under a user id of their own.
    pub package: &'a Path,
    /// The request line with its newline.
    pub input: &'a [u8],
    /// When the run must be over.
    pub deadline: Instant,
    /// What the run may use.
    pub limits: Limits,
    /// What happens to a plugin that makes a refused call; the call itself never has an effect.
    pub when_refused: WhenRefused,
    /// Whether the plugin says that it is deterministic: its interpreter is then started with fixed hash seeds, where it has any.
    pub deterministic: bool,
    /// Whether files that a program with a loader, or a script, opens to read and that are not there for it are named among what it was refused.
    /// Each file that it opens is then a round trip between plugin and gateway: dear for a loader or an interpreter, which open files by the
    /// dozen before the plugin begins. Of static programs they are named in any case. Jobs of both kinds have launchers of their own.
    pub names_reads: bool,
    /// Lets another thread end the run early.
    pub cancel: Option<&'a Cancel>,
    /// Who hears a plugin that talks. Without one, stdin is closed behind `input`, and the one line of stdout is the answer.
    pub listener: Option<&'a dyn Listener>,
}

/// Hears the lines of a plugin that talks: its stdin stays open until one of them is the answer, and then it is ended. What the lines mean, the
/// listener knows; how long and how many they may be, the sandbox.
pub trait Listener: std::fmt::Debug + Sync {
    /// Hears one line that is not blank, without its newline. It is called by the thread that runs the job, and must not wait for anything.
    fn hear(&self, line: &[u8]) -> Heard;
}

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    PassOver,
    /// These bytes, whole lines, are written to the plugin.
    Reply(Vec<u8>),
    /// This is the report's answer, and the plugin is ended.
    Answer(Vec<u8>),
}

impl<'a> Job<'a> {
    /// What of it is known before the request.
    #[must_use]
    pub fn setup(&self) -> Setup<'a> {
        Setup {
            entry: self.entry,
            package: self.package,
            time: self.deadline.saturating_duration_since(Instant::now()),
            limits: self.limits,
            when_refused: self.when_refused,
            deterministic: self.deterministic,
            names_reads: self.names_reads,
        }
    }

    /// What is asked.
    #[must_use]
    pub fn ask(&self) -> Ask<'a> {
        Ask {
            input: self.input,
            deadline: self.deadline,
            cancel: self.cancel,
            listener: self.listener,
        }
    }
}

/// What happens to a plugin that makes a refused call: one that ordinary libraries try, and go on without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenRefused {
    /// It gets the usual error number and goes on.
    #[default]
    GoOn,
    /// It is ended, as for a hostile call.
    End,
}

/// What one run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Processor time.
    pub cpu: Duration,
    /// Private memory in bytes.
    pub memory_bytes: u64,
    /// Open descriptors, the first three included.
    pub open_files: u64,
    /// The longest answer line in bytes, its newline not counted.
    pub answer_bytes: usize,
}
