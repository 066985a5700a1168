//! Decides what is applied to one job: program, arguments, places, limits and filter. It starts nothing.

mod hidden;
pub(crate) mod interpreter;
pub(crate) mod layout;
pub(crate) mod limits;
pub(crate) mod loader_cache;
pub(crate) mod places;
pub(crate) mod runtimes;

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::descriptor::above_stdio;
use crate::error::{Error, While};
use crate::filter::Wanted;
use crate::image::{Class, Image};
use crate::job::{Entry, Limits, Setup, WhenRefused};
use crate::plan::interpreter::Interpreter;
use crate::plan::layout::PACKAGE_FOLDER;
use crate::plan::limits::{Caps, Reserve, caps_of_run, limits_of_run};
use crate::plan::places::{Places, add_devices, is_in_library_folder, libraries, links_elsewhere};
use crate::plan::runtimes::environment::Environment;
use crate::plan::runtimes::{Runtime, Runtimes, WORKER_RUNTIME, WORKER_SHIM, is_musl};
use crate::sys::launcher::wire::{ARGUMENT_BYTES_MAX, ARGUMENTS_MAX, MANIFEST_ARGUMENTS_MAX};

/// The name that a native program is started under.
const PROGRAM_NAME: &str = "plugin";

/// The program behind an entry.
#[derive(Debug)]
pub(crate) enum Program {
    /// A sealed copy.
    Sealed(Arc<Image>),
    /// A file of the host's: an interpreter, or a loader.
    Host(OwnedFd),
}

/// What is applied to one job.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) class: Class,
    pub(crate) program: Program,
    pub(crate) arguments: Vec<CString>,
    /// What a runtime's data file says; empty for every native program.
    pub(crate) environment: Environment,
    /// Host paths seen from inside, the package not among them.
    pub(crate) visible: Vec<PathBuf>,
    /// Whether the package is seen from inside.
    pub(crate) sees_package: bool,
    /// The file that it sees as its loader's list of libraries; none for what has no loader of glibc's.
    pub(crate) loader_cache: Option<PathBuf>,
    /// What Landlock lets through.
    pub(crate) places: Places,
    /// What the control group caps, where there is one.
    pub(crate) caps: Caps,
    job_limits: Limits,
    /// Memory in bytes that an interpreter takes for itself.
    overhead: u64,
    reserve: Reserve,
    /// The limit on descriptors, which is set apart from the others.
    pub(crate) descriptors: u64,
    pub(crate) makes_code: bool,
    /// Whether its C library ends threads by futexes that are not marked private.
    wakes_shared: bool,
    /// Whether its C library may ask its name service; it gets no answer.
    pub(crate) asks_name_service: bool,
    /// Whether it may ask for its terminal; it has none.
    pub(crate) asks_for_terminal: bool,
    /// How the folder's path begins that it is told to have made at its start.
    pub(crate) pretended_folder: Option<&'static str>,
    /// How the folder's path begins that it tries to make at its start, and does without.
    pub(crate) tried_folder: Option<&'static str>,
    /// Whether it is given the map of its own memory.
    pub(crate) reads_own_map: bool,
    pub(crate) extra_calls: Vec<String>,
    /// The interpreter's runtime; none for a program.
    pub(crate) runtime: Option<Arc<Runtime>>,
    /// Whether what it prints goes where errors go: it is no answer.
    pub(crate) prints: bool,
    /// Whether somebody looks at what it reads in vain.
    pub(crate) names_reads: bool,
}

impl Plan {
    /// Plans a job.
    ///
    /// # Errors
    /// When the entry names nothing that can be run.
    pub(crate) fn new(
        setup: &Setup<'_>,
        runtimes: &Runtimes,
        private_root: bool,
    ) -> Result<Self, Error> {
        bounded(setup.entry)?;
        match setup.entry {
            Entry::Program { image, args } => Self::program(image, args, setup, private_root),
            Entry::Runtime { name, script, args } => {
                let script = inside(setup.package, script, private_root)?;
                let runtime = runtimes.look_up(name)?;
                let before = (runtime.before_arguments.iter()).filter(|_| !args.is_empty());
                let args = before.chain(args).map(|arg| arg.clone().into_bytes());
                let arguments = std::iter::once(script).chain(args).collect();
                Self::runtime(&runtime, &[], arguments, setup)
            }
            Entry::Worker { file, export } => {
                let file = inside(setup.package, file, private_root)?;
                let arguments = vec![file, export.clone().into_bytes()];
                let shim = ["-e".to_owned(), WORKER_SHIM.to_owned()];
                let runtime = runtimes.look_up(WORKER_RUNTIME)?;
                Self::runtime(&runtime, &shim, arguments, setup)
            }
        }
    }

    fn program(
        image: &Arc<Image>,
        args: &[String],
        setup: &Setup<'_>,
        private_root: bool,
    ) -> Result<Self, Error> {
        let (program, names) = match (image.origin(), image.loader()) {
            (Some(path), Some(loader)) => {
                let names = vec![
                    loader.as_os_str().as_encoded_bytes().to_vec(),
                    inside(setup.package, path, private_root)?,
                ];
                let loader = fs::File::open(loader).during("open a loader")?;
                (Program::Host(above_stdio(OwnedFd::from(loader))?), names)
            }
            (_, _) => (
                Program::Sealed(Arc::clone(image)),
                vec![PROGRAM_NAME.as_bytes().to_vec()],
            ),
        };
        let args = args.iter().map(|arg| arg.as_bytes().to_vec());
        let arguments = words(names.into_iter().chain(args))?;
        let class = image.class();
        let mut visible = Vec::new();
        let mut places = Places::default();
        if let Some(loader) = image.loader() {
            (visible, places) = libraries(loader)?;
            add_devices(&mut visible, &mut places);
            places.read.push(setup.package.to_path_buf());
        }
        Ok(Self {
            class,
            program,
            arguments,
            environment: Environment::EMPTY,
            visible,
            loader_cache: None,
            sees_package: class == Class::Dynamic,
            places,
            caps: caps_of_run(setup, 0),
            job_limits: setup.limits,
            overhead: 0,
            reserve: Reserve::PROGRAM,
            descriptors: setup.limits.open_files,
            makes_code: false,
            wakes_shared: image.loader().is_none_or(is_musl),
            asks_name_service: false,
            asks_for_terminal: false,
            pretended_folder: None,
            tried_folder: None,
            reads_own_map: false,
            extra_calls: Vec::new(),
            runtime: None,
            prints: false,
            // Of a static program every file is reported and judged in any case.
            names_reads: setup.names_reads && class != Class::Static,
        })
    }

    /// The question to the loader of this plan's interpreter what libraries it would take, as long as that has not been compared; it sees
    /// just what the plan's plugin would.
    ///
    /// # Errors
    /// When the interpreter or its loader cannot be opened.
    pub(crate) fn question(
        &self,
        setup: &Setup<'_>,
    ) -> Result<Option<(Arc<Runtime>, Self)>, Error> {
        let unknown = |runtime: &&Arc<Runtime>| runtime.compared.get().is_none();
        let Some(runtime) = self.runtime.as_ref().filter(unknown) else {
            return Ok(None);
        };
        let Some(loader) = Interpreter::question(runtime)? else {
            return Ok(None);
        };
        let plan = Self {
            prints: true,
            ..Self::interpreted(runtime, loader, Vec::new(), setup)?
        };
        Ok(Some((Arc::clone(runtime), plan)))
    }

    fn runtime(
        runtime: &Arc<Runtime>,
        shim: &[String],
        rest: Vec<Vec<u8>>,
        setup: &Setup<'_>,
    ) -> Result<Self, Error> {
        let interpreter = Interpreter::open(runtime)?;
        let seeds = runtime.seeds.as_ref().filter(|_| setup.deterministic);
        let seeded = seeds.iter().flat_map(|seeds| &seeds.args);
        let before = seeded.chain(&runtime.args);
        let before = before.map(|text| sized(text, &setup.limits));
        let before = before.chain(shim.iter().cloned()).map(String::into_bytes);
        let rest = before.chain(rest).collect();
        Ok(Self {
            environment: seeds
                .map_or(&runtime.environment, |seeds| &seeds.environment)
                .clone(),
            ..Self::interpreted(runtime, interpreter, rest, setup)?
        })
    }

    fn interpreted(
        runtime: &Arc<Runtime>,
        interpreter: Interpreter,
        rest: Vec<Vec<u8>>,
        setup: &Setup<'_>,
    ) -> Result<Self, Error> {
        let arguments = words(interpreter.words.into_iter().chain(rest))?;
        let (mut visible, mut places) = match &interpreter.loader {
            Some(loader) => libraries(loader)?,
            None => (Vec::new(), Places::default()),
        };
        let trees = runtime.trees.iter().filter(|tree| tree.exists());
        let libraries = runtime.started_with.paths().iter();
        let named = trees.clone().chain(libraries.clone());
        visible.extend(named.flat_map(|path| links_elsewhere(path)));
        let libraries = libraries.filter(|path| !is_in_library_folder(path));
        // The loader would take another of the same name.
        if let Some(gone) = libraries.clone().find(|path| !path.exists()) {
            return Err(Error::OtherLibraries {
                interpreter: runtime.interpreter.clone(),
                difference: format!("'{}' is not there any more", gone.display()),
            });
        }
        for tree in trees.chain(libraries) {
            visible.push(tree.clone());
            places.read.push(tree.clone());
        }
        visible.push(runtime.interpreter.clone());
        if runtime.name != runtime.interpreter {
            // This is a link, and it is a link inside too.
            visible.push(runtime.name.clone());
        }
        places.execute.push(runtime.interpreter.clone());
        add_devices(&mut visible, &mut places);
        places.read.push(setup.package.to_path_buf());
        let overhead = runtime.overhead_bytes;
        let reserve = if runtime.makes_code {
            Reserve::CODE_MAKER
        } else {
            Reserve::PROGRAM
        };
        Ok(Self {
            class: Class::Runtime,
            program: Program::Host(interpreter.program),
            arguments,
            environment: Environment::EMPTY,
            visible,
            loader_cache: None,
            sees_package: true,
            places,
            caps: caps_of_run(setup, overhead),
            job_limits: setup.limits,
            overhead,
            reserve,
            descriptors: setup.limits.open_files,
            makes_code: runtime.makes_code,
            wakes_shared: interpreter.loader.as_deref().is_none_or(is_musl),
            asks_name_service: runtime.asks_name_service,
            asks_for_terminal: runtime.asks_for_terminal,
            pretended_folder: runtime.pretended_folder,
            tried_folder: runtime.tried_folder,
            reads_own_map: runtime.reads_own_map,
            extra_calls: runtime.extra_calls.clone(),
            runtime: Some(Arc::clone(runtime)),
            prints: false,
            names_reads: setup.names_reads,
        })
    }

    /// The same with a list of libraries for its loader, where it has one that reads it.
    pub(crate) fn with_loader_cache(mut self, file: Option<&Path>) -> Self {
        let file = file.filter(|_| self.class != Class::Static && !self.wakes_shared);
        self.places.read.extend(file.map(Path::to_path_buf));
        self.loader_cache = file.map(Path::to_path_buf);
        self
    }

    /// Whether what is executed is a sealed copy.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.program, Program::Sealed(_))
    }

    /// The descriptor that is executed.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        match &self.program {
            Program::Sealed(image) => image.file(),
            Program::Host(file) => file.as_fd(),
        }
    }

    /// The resource limits, in a control group or in none.
    pub(crate) fn limits(&self, grouped: bool) -> Vec<(u32, u64)> {
        limits_of_run(&self.job_limits, self.overhead, self.reserve, grouped)
    }

    /// Whether what the program reads in vain is named. Of static programs every file is reported in any case.
    pub(crate) fn has_reads_named(&self, reported: bool) -> bool {
        reported && (self.names_reads || self.class == Class::Static)
    }

    /// What the filter must be like.
    pub(crate) fn wanted(
        &self,
        private_root: bool,
        reported: bool,
        when_refused: WhenRefused,
    ) -> Wanted {
        Wanted {
            class: self.class,
            makes_code: self.makes_code,
            wakes_shared: self.wakes_shared,
            private_root,
            reported,
            // Where calls are reported the supervisor decides, and one launcher serves both kinds.
            kills_refused: !reported && when_refused == WhenRefused::End,
            names_reads: reported && (self.names_reads || self.reads_own_map),
            extra_calls: self.extra_calls.clone(),
        }
    }
}

/// Checks that a job's own arguments are as few and as short as the contract says. The validator has checked it before, and named the
/// manifest's field; this check is for callers that use this crate alone.
fn bounded(entry: &Entry) -> Result<(), Error> {
    let refused = |value: String| {
        Err(Error::Unusable {
            subject: "list of arguments",
            value,
        })
    };
    let (Entry::Program { args, .. } | Entry::Runtime { args, .. }) = entry else {
        return Ok(());
    };
    if args.len() > MANIFEST_ARGUMENTS_MAX {
        let count = args.len();
        return refused(format!(
            "{count} arguments, where at most {MANIFEST_ARGUMENTS_MAX} are allowed"
        ));
    }
    match args.iter().find(|arg| arg.len() > ARGUMENT_BYTES_MAX) {
        Some(long) => refused(format!(
            "an argument of {} bytes, where at most {ARGUMENT_BYTES_MAX} are allowed",
            long.len()
        )),
        None => Ok(()),
    }
}

/// The words that a program is started with, none of which may hold a zero byte.
fn words(all: impl Iterator<Item = Vec<u8>>) -> Result<Vec<CString>, Error> {
    let words = all.map(c_argument).collect::<Result<Vec<_>, _>>()?;
    if words.len() > ARGUMENTS_MAX {
        return Err(Error::Unusable {
            subject: "list of arguments",
            value: format!(
                "{} words with those that config.toml gives the interpreter, where at most {ARGUMENTS_MAX} can be handed over",
                words.len()
            ),
        });
    }
    Ok(words)
}

/// Where a program sees its package.
pub(crate) fn package_folder(package: &Path, private_root: bool) -> &Path {
    if private_root {
        Path::new(PACKAGE_FOLDER)
    } else {
        package
    }
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
    let folder = package_folder(package, private_root);
    let normal: PathBuf = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    Ok(folder.join(normal).into_os_string().into_encoded_bytes())
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
    fn an_argument_with_a_zero_byte_is_refused() {
        assert!(matches!(
            c_argument(b"a\0b".to_vec()),
            Err(Error::Unusable { .. })
        ));
    }
}
