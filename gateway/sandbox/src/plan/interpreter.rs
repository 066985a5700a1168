//! Opens an interpreter and says how it is started: by itself, or by its loader, which is told what libraries to take.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::descriptor::above_stdio;
use crate::error::{Error, While};
use crate::image::elf;
use crate::plan::runtimes::Runtime;

/// How much of an interpreter is read to find its loader, in bytes; linkers put that into the first page.
const HEADER_BYTES: usize = 64 * 1024;

/// An interpreter's file, opened, and how it is started.
pub(crate) struct Interpreter {
    /// What is executed: the interpreter, or its loader.
    pub(crate) program: OwnedFd,
    /// The loader that its headers name.
    pub(crate) loader: Option<PathBuf>,
    /// The first arguments, the program's own name included.
    pub(crate) words: Vec<Vec<u8>>,
}

impl Interpreter {
    pub(crate) fn open(runtime: &Runtime) -> Result<Self, Error> {
        let file = fs::File::open(&runtime.interpreter).during("open an interpreter")?;
        // With room for all of it, which is then read in one go.
        let mut header = Vec::with_capacity(HEADER_BYTES);
        (&file)
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut header)
            .during("read an interpreter")?;
        elf::class(&header)?;
        let loader = elf::loader(&header);
        let own_name = || OsString::from(&runtime.name);
        let (file, words) = match (&loader, runtime.started_with.loaders_words()) {
            (Some(loader), Some(mut words)) => {
                if runtime.name != runtime.interpreter {
                    words.extend(["--argv0".into(), own_name()]);
                }
                // Without links, so that it looks for its libraries where it lies.
                words.push(OsString::from(&runtime.interpreter));
                (open_loader(loader)?, words)
            }
            (_, _) => (file, vec![own_name()]),
        };
        Ok(Self {
            program: above_stdio(OwnedFd::from(file))?,
            loader,
            words: words.into_iter().map(OsString::into_vec).collect(),
        })
    }

    /// The interpreter's loader, as it is asked what it would load; none for a static interpreter.
    pub(crate) fn question(runtime: &Runtime) -> Result<Option<Self>, Error> {
        let Some(words) = runtime.started_with.question(&runtime.interpreter) else {
            return Ok(None);
        };
        let asked = Self::open(runtime)?;
        let Some(loader) = &asked.loader else {
            return Ok(None);
        };
        Ok(Some(Self {
            program: above_stdio(OwnedFd::from(open_loader(loader)?))?,
            words: words.into_iter().map(OsString::into_vec).collect(),
            ..asked
        }))
    }
}

fn open_loader(path: &Path) -> Result<fs::File, Error> {
    fs::File::open(path).during("open a loader")
}
