//! Opens an interpreter and says how it is started: directly, or through its loader with the folders of its libraries.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::descriptor::above_stdio;
use crate::error::{Error, While};
use crate::image::elf;
use crate::plan::runtimes::Runtime;

/// How much of an interpreter is read to find its loader, in bytes; linkers put that into the first page.
const HEADER_BYTES: u64 = 64 * 1024;

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
        let mut header = Vec::new();
        (&file)
            .take(HEADER_BYTES)
            .read_to_end(&mut header)
            .during("read an interpreter")?;
        elf::class(&header)?;
        let loader = elf::loader(&header);
        let own_name = runtime.name.as_os_str().as_bytes().to_vec();
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
