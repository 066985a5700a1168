//! Decides what is applied to one job: program, arguments, places, limits and filter. It starts nothing.

use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cgroup::Caps;
use super::elf;
use super::error::{Error, While};
use super::filter::Wanted;
use super::image::{Class, Image};
use super::job::{Entry, Job, Limits};
use super::layout::PACKAGE_FOLDER;
use super::rules::Places;
use super::runtimes::{Runtime, Runtimes, WORKER_RUNTIME, WORKER_SHIM};
use super::streams::above_stdio;

/// The name that a native program is started under.
const PROGRAM_NAME: &str = "plugin";

/// Where C libraries and distributions keep shared libraries.
const LIBRARY_FOLDERS: [&str; 4] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
];

/// How much of an interpreter is read to find its loader, in bytes; linkers put that into the first page.
const HEADER_BYTES: u64 = 64 * 1024;

/// Descriptors: three, and room for the event loops of Go and Rust programs.
const DESCRIPTORS_PROGRAM: u64 = 16;
/// Descriptors: module systems and event loops open some thirty.
const DESCRIPTORS_RUNTIME: u64 = 64;
/// Threads: Node starts eleven, Go about one a processor; 64 end a thread bomb early.
pub(super) const THREADS_MAX: usize = 64;
/// Memory in bytes that the kernel takes on a plugin's behalf: page tables, stacks of 64 threads, full pipes, and the part of libraries and
/// interpreters in the page cache that the plugin was the first to read, which the kernel takes back before it kills.
const KERNEL_BYTES: u64 = 16 << 20;
/// More processors than any plugin has use for; it keeps the kernel's arithmetic on quotas far from overflow.
const PROCESSORS_MAX: u32 = 64;
/// Queued signals and timers.
const SIGNALS: u64 = 64;
/// Main stack in bytes, and so libc's default for threads: the usual 8 MiB.
const STACK_BYTES: u64 = 8 << 20;
/// Address space in bytes beyond the memory limit for programs, and for interpreters that make no code: Go reserves about 1 GiB without using it. It bounds page tables, which no other limit counts.
const RESERVE_PROGRAM_BYTES: u64 = 8 << 30;
/// Address space in bytes beyond the memory limit for interpreters that make code: V8 reserves tens of GiB for its cages.
const RESERVE_CODE_MAKER_BYTES: u64 = 128 << 30;

/// The program behind an entry.
#[derive(Debug)]
pub(super) enum Program {
    /// A sealed copy.
    Sealed(Arc<Image>),
    /// The operator's interpreter.
    Interpreter(OwnedFd),
}

/// What is applied to one job.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) class: Class,
    pub(super) program: Program,
    pub(super) arguments: Vec<CString>,
    /// Host paths seen from inside, the package not among them.
    pub(super) visible: Vec<PathBuf>,
    /// Whether the package is seen from inside.
    pub(super) sees_package: bool,
    /// What Landlock lets through.
    pub(super) places: Places,
    /// What the control group caps, where there is one.
    pub(super) caps: Caps,
    limits: Vec<(u32, u64)>,
    /// The limit on descriptors, which is set apart from the others.
    pub(super) descriptors: u64,
    pub(super) makes_code: bool,
    /// Whether its C library may ask its name service, in vain.
    pub(super) asks_name_service: bool,
    pub(super) extra_calls: Vec<String>,
}

impl Plan {
    /// Plans a job.
    ///
    /// # Errors
    /// When the entry names nothing that can be run.
    pub(super) fn new(
        job: &Job<'_>,
        runtimes: &Runtimes,
        private_root: bool,
    ) -> Result<Self, Error> {
        match job.entry {
            Entry::Program { image, args } => Self::program(image, args, job),
            Entry::Runtime { name, script, args } => {
                let script = inside(job.package, script, private_root)?;
                let mut arguments = vec![script];
                arguments.extend(args.iter().map(|arg| arg.clone().into_bytes()));
                let runtime = lookup(runtimes, name)?;
                Self::runtime(&runtime, &[], arguments, job)
            }
            Entry::Worker { file, export } => {
                let file = inside(job.package, file, private_root)?;
                let arguments = vec![file, export.clone().into_bytes()];
                let shim = ["-e".to_owned(), WORKER_SHIM.to_owned()];
                let runtime = lookup(runtimes, WORKER_RUNTIME)?;
                Self::runtime(&runtime, &shim, arguments, job)
            }
        }
    }

    fn program(image: &Arc<Image>, args: &[String], job: &Job<'_>) -> Result<Self, Error> {
        let names = std::iter::once(PROGRAM_NAME).chain(args.iter().map(String::as_str));
        let arguments = names
            .map(|arg| c_argument(arg.as_bytes().to_vec()))
            .collect::<Result<_, _>>()?;
        let class = image.class();
        let mut visible = Vec::new();
        let mut places = Places::default();
        if let Some(loader) = image.loader() {
            (visible, places) = libraries(loader)?;
            places.read.push(job.package.to_path_buf());
        }
        Ok(Self {
            class,
            program: Program::Sealed(Arc::clone(image)),
            arguments,
            visible,
            sees_package: class == Class::Dynamic,
            places,
            caps: caps(job, 0),
            limits: limits(&job.limits, 0, RESERVE_PROGRAM_BYTES),
            descriptors: DESCRIPTORS_PROGRAM,
            makes_code: false,
            asks_name_service: false,
            extra_calls: Vec::new(),
        })
    }

    fn runtime(
        runtime: &Runtime,
        shim: &[String],
        rest: Vec<Vec<u8>>,
        job: &Job<'_>,
    ) -> Result<Self, Error> {
        let interpreter = Interpreter::open(runtime)?;
        let before = runtime.args.iter().map(|text| sized(text, &job.limits));
        let before = before.chain(shim.iter().cloned()).map(String::into_bytes);
        let arguments = interpreter.words.into_iter().chain(before).chain(rest);
        let arguments = arguments.map(c_argument).collect::<Result<_, _>>()?;
        let (mut visible, mut places) = match &interpreter.loader {
            Some(loader) => libraries(loader)?,
            None => (Vec::new(), Places::default()),
        };
        for tree in runtime.trees.iter().filter(|tree| tree.exists()) {
            visible.push(tree.clone());
            places.read.push(tree.clone());
        }
        visible.push(runtime.interpreter.clone());
        places.execute.push(runtime.interpreter.clone());
        places.read.push(job.package.to_path_buf());
        let overhead = runtime.overhead_bytes;
        let reserve = if runtime.makes_code {
            RESERVE_CODE_MAKER_BYTES
        } else {
            RESERVE_PROGRAM_BYTES
        };
        Ok(Self {
            class: Class::Runtime,
            program: Program::Interpreter(interpreter.program),
            arguments,
            visible,
            sees_package: true,
            places,
            caps: caps(job, overhead),
            limits: limits(&job.limits, overhead, reserve),
            descriptors: DESCRIPTORS_RUNTIME,
            makes_code: runtime.makes_code,
            asks_name_service: runtime.asks_name_service,
            extra_calls: runtime.extra_calls.clone(),
        })
    }

    /// The descriptor that is executed.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        match &self.program {
            Program::Sealed(image) => image.file(),
            Program::Interpreter(file) => file.as_fd(),
        }
    }

    /// The resource limits. A control group counts what is used, of every kind; the limit on private memory, which counts
    /// what is asked for, would only come before it and hide the cause, and so stands in where there is no group.
    pub(super) fn limits(&self, grouped: bool) -> Vec<(u32, u64)> {
        let stands = |&(resource, _): &(u32, u64)| !grouped || resource != libc::RLIMIT_DATA;
        self.limits.iter().copied().filter(stands).collect()
    }

    /// What the filter must be like.
    pub(super) fn wanted(&self, private_root: bool, reported: bool) -> Wanted {
        Wanted {
            class: self.class,
            makes_code: self.makes_code,
            private_root,
            reported,
            extra_calls: self.extra_calls.clone(),
        }
    }
}

/// An interpreter's file, opened, and how it is started.
struct Interpreter {
    /// What is executed: the interpreter, or its loader.
    program: OwnedFd,
    /// The loader that its headers name.
    loader: Option<PathBuf>,
    /// The first arguments, the program's own name included.
    words: Vec<Vec<u8>>,
}

impl Interpreter {
    fn open(runtime: &Runtime) -> Result<Self, Error> {
        let file = fs::File::open(&runtime.interpreter).during("open an interpreter")?;
        let mut header = Vec::new();
        (&file)
            .take(HEADER_BYTES)
            .read_to_end(&mut header)
            .during("read an interpreter")?;
        elf::class(&header)?;
        let loader = elf::loader(&header);
        let own_name = runtime.interpreter.as_os_str().as_bytes().to_vec();
        let (file, words) = match &loader {
            Some(loader) if !runtime.libraries.is_empty() => {
                let loader_file = fs::File::open(loader).during("open a loader")?;
                let loader = loader.as_os_str().as_bytes().to_vec();
                let paths = runtime
                    .libraries
                    .iter()
                    .map(|path| path.as_os_str().as_bytes());
                let paths = paths.collect::<Vec<_>>().join(&b':');
                (
                    loader_file,
                    vec![loader, b"--library-path".to_vec(), paths, own_name],
                )
            }
            Some(_) | None => (file, vec![own_name]),
        };
        Ok(Self {
            program: above_stdio(OwnedFd::from(file))?,
            loader,
            words,
        })
    }
}

fn lookup(runtimes: &Runtimes, name: &str) -> Result<Arc<Runtime>, Error> {
    runtimes.get(name).ok_or_else(|| Error::UnknownRuntime {
        name: name.to_owned(),
    })
}

/// A path of the package as the plugin sees it. It must not lead out of the package.
fn inside(package: &Path, path: &Path, private_root: bool) -> Result<Vec<u8>, Error> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !plain || path.as_os_str().is_empty() {
        return Err(Error::Unusable {
            subject: "path in a package",
            value: path.display().to_string(),
        });
    }
    let folder = if private_root {
        Path::new(PACKAGE_FOLDER)
    } else {
        package
    };
    let normal: PathBuf = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    Ok(folder.join(normal).into_os_string().into_encoded_bytes())
}

/// Loader and library folders as (seen from inside, let through).
fn libraries(loader: &Path) -> Result<(Vec<PathBuf>, Places), Error> {
    let folders: Vec<PathBuf> = LIBRARY_FOLDERS
        .map(PathBuf::from)
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    let real = fs::canonicalize(loader).during("find a program's loader")?;
    let mut visible = folders.clone();
    visible.push(loader.to_path_buf());
    Ok((
        visible,
        Places {
            read: folders,
            execute: vec![real],
        },
    ))
}

/// An argument with the memory limit where it has a place for it.
fn sized(text: &str, limits: &Limits) -> String {
    text.replace("{mib}", &(limits.memory_bytes >> 20).max(1).to_string())
}

fn c_argument(bytes: Vec<u8>) -> Result<CString, Error> {
    CString::new(bytes).map_err(|error| {
        let value = String::from_utf8_lossy(&error.into_vec()).into_owned();
        Error::Unusable {
            subject: "argument",
            value,
        }
    })
}

/// What a control group holds the job to.
fn caps(job: &Job<'_>, overhead: u64) -> Caps {
    let time = job.deadline.saturating_duration_since(Instant::now());
    let memory = job.limits.memory_bytes.saturating_add(overhead);
    Caps {
        memory_bytes: memory.saturating_add(KERNEL_BYTES),
        tasks: THREADS_MAX as u64,
        processors: processors(job.limits.cpu, time),
    }
}

/// How many processors a job keeps busy that spreads its processor time over its whole time, rounded up.
fn processors(cpu: Duration, time: Duration) -> u32 {
    let count = cpu.as_millis().div_ceil(time.as_millis().max(1));
    u32::try_from(count)
        .unwrap_or(u32::MAX)
        .clamp(1, PROCESSORS_MAX)
}

/// The resource limits that are the same for every plugin, soft and hard alike (setrlimit(2)). The launcher bears them too.
pub(super) fn limits_of_all() -> Vec<(u32, u64)> {
    vec![
        // No core file, and no pipe to a core handler with the plugin's memory.
        (libc::RLIMIT_CORE, 0),
        // No file grows.
        (libc::RLIMIT_FSIZE, 0),
        // No memory that cannot be taken back.
        (libc::RLIMIT_MEMLOCK, 0),
        // No message queues.
        (libc::RLIMIT_MSGQUEUE, 0),
        // No better share of the processor than was given.
        (libc::RLIMIT_NICE, 0),
        (libc::RLIMIT_RTPRIO, 0),
        (libc::RLIMIT_STACK, STACK_BYTES),
    ]
}

/// The resource limits of one run.
fn limits(limits: &Limits, overhead: u64, reserve: u64) -> Vec<(u32, u64)> {
    let memory = limits.memory_bytes.saturating_add(overhead);
    vec![
        (libc::RLIMIT_SIGPENDING, SIGNALS),
        (libc::RLIMIT_NPROC, THREADS_MAX as u64),
        // The supervisor's own look at the clock is finer; this holds should the supervisor be stopped.
        (libc::RLIMIT_CPU, whole_seconds(limits.cpu)),
        (libc::RLIMIT_DATA, memory),
        (libc::RLIMIT_AS, memory.saturating_add(reserve)),
    ]
}

/// Rounded up, and at least one, because a limit of zero is one too to the kernel.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_its_package() {
        let package = Path::new("/store/p");
        assert_eq!(
            inside(package, Path::new("./a/b.py"), true).unwrap(),
            b"/package/a/b.py"
        );
        assert_eq!(
            inside(package, Path::new("a/b.py"), false).unwrap(),
            b"/store/p/a/b.py"
        );
        for path in ["/etc/passwd", "../x", "a/../../x", ""] {
            assert!(inside(package, Path::new(path), true).is_err(), "{path}");
        }
    }

    #[test]
    fn processor_seconds_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::from_millis(2001)), 3);
    }

    #[test]
    fn processors_are_those_that_use_up_the_time_allowed() {
        let second = Duration::from_secs(1);
        assert_eq!(processors(second, second), 1);
        assert_eq!(processors(second / 10, second), 1);
        assert_eq!(processors(second * 3 / 2, second), 2);
        assert_eq!(processors(second, Duration::ZERO), PROCESSORS_MAX);
    }

    #[test]
    fn an_argument_with_a_zero_byte_is_refused() {
        assert!(matches!(
            c_argument(b"a\0b".to_vec()),
            Err(Error::Unusable { .. })
        ));
    }
}
