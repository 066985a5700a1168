//! Which shared libraries an interpreter is started with: its own loader is asked outside of the sandbox, and what it says inside is compared
//! with that. Only files of the host are run for it, never one of a package.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ask::ask;
use crate::image::{dynamic, elf};

/// How much of an interpreter is read to find its loader, in bytes; linkers put that into the first page.
const HEADER_BYTES: u64 = 64 * 1024;

/// What ends a path in a list that a loader is given, so that no path may hold one.
const ENDS_OF_PATHS: [u8; 3] = [b':', b' ', b'\n'];

/// The libraries that an interpreter is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Libraries {
    /// Who loads them; none where the interpreter is static.
    loader: Option<PathBuf>,
    /// As the loader names them, in its order.
    loaded: Vec<PathBuf>,
    /// Folders of further ones, for the interpreter to load later.
    folders: Vec<PathBuf>,
    /// Whether the loader has to be told what to take, as it would take others, or none, where the kernel starts the interpreter inside: there
    /// is no /proc to say where that lies, no cache of the host's libraries, and no environment.
    are_told: bool,
}

impl Libraries {
    /// Asks the loader of `interpreter`, which is to search `folders` first.
    ///
    /// # Errors
    /// With the reason, in words, when the interpreter cannot be started with what there is.
    pub(super) fn find(interpreter: &Path, folders: &[PathBuf]) -> Result<Self, String> {
        let read = |error: io::Error| format!("it cannot be read: {error}");
        let file = fs::File::open(interpreter).map_err(read)?;
        let mut header = Vec::new();
        (&file)
            .take(HEADER_BYTES)
            .read_to_end(&mut header)
            .map_err(read)?;
        let Some(loader) = elf::loader(&header) else {
            return Ok(Self::default());
        };
        let mut found = Self {
            loader: Some(loader),
            folders: folders.to_vec(),
            ..Self::default()
        };
        found.loaded = found.list(interpreter, false)?;
        let part_of_file = |offset, length| {
            let mut bytes = vec![0; length];
            let count = file.read_at(&mut bytes, offset).unwrap_or(0);
            bytes.truncate(count);
            bytes
        };
        found.are_told = !folders.is_empty()
            || dynamic::asks_for_origin(&header, part_of_file)
            || found.list(interpreter, true).as_ref() != Ok(&found.loaded);
        match found.loaded.iter().find(|path| is_unlistable(path)) {
            Some(odd) if found.are_told => Err(format!(
                "its library '{}' has a blank or a colon in its path, and so its loader cannot be told to take it",
                odd.display()
            )),
            Some(_) | None => Ok(found),
        }
    }

    /// What the loader says; when `bare`, without the host's cache of libraries and without an environment.
    fn list(&self, interpreter: &Path, bare: bool) -> Result<Vec<PathBuf>, String> {
        let Some(loader) = &self.loader else {
            return Ok(Vec::new());
        };
        let mut command = Command::new(loader);
        if bare {
            command.env_clear();
            // Musl has none.
            if !super::is_musl(loader) {
                command.arg("--inhibit-cache");
            }
        }
        command.args(self.further()).arg("--list").arg(interpreter);
        self.listed(&ask(&mut command)?.output)
    }

    /// The libraries, by their paths.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.loaded
    }

    /// Compares what the loader says inside.
    ///
    /// # Errors
    /// With what is not the same, in words.
    pub(crate) fn compare(&self, inside: &str) -> Result<(), String> {
        let (outside, inside) = (reals(&self.loaded), reals(&self.listed(inside)?));
        match (told(&outside, &inside), told(&inside, &outside)) {
            (lost, odd) if lost.is_empty() && odd.is_empty() => Ok(()),
            (lost, odd) if odd.is_empty() => Err(format!("{lost} would not be loaded")),
            (lost, odd) if lost.is_empty() => Err(format!("{odd} would be loaded as well")),
            (lost, odd) => Err(format!("{odd} would be loaded in place of {lost}")),
        }
    }

    /// The words before the interpreter's own, where its loader starts it: the loader's name and what it is told.
    pub(crate) fn loaders_words(&self) -> Option<Vec<OsString>> {
        let loader = self.loader.as_ref().filter(|_| self.are_told)?;
        Some([vec![loader.into()], self.told_words()].concat())
    }

    /// The words with which the loader, inside, says what it would load for `interpreter`.
    pub(crate) fn question(&self, interpreter: &Path) -> Option<Vec<OsString>> {
        let loader = self.loader.as_ref()?;
        let told = if self.are_told {
            self.told_words()
        } else {
            Vec::new()
        };
        let question = vec!["--list".into(), interpreter.into()];
        Some([vec![loader.into()], told, question].concat())
    }

    /// These and no others, in this order: whatever the interpreter names is then there already. What it loads later is searched for.
    fn told_words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        if !self.loaded.is_empty() {
            words = vec!["--preload".into(), joined(&self.loaded)];
        }
        words.extend(self.further());
        words
    }

    fn further(&self) -> Vec<OsString> {
        match self.folders.as_slice() {
            [] => Vec::new(),
            folders => vec!["--library-path".into(), joined(folders)],
        }
    }

    /// The paths in a loader's list. Its lines are `NAME => PATH (ADDRESS)`, or the path alone where a library was asked for by that, or the name
    /// alone of what the kernel puts into every process. The loader is among them, and left out.
    fn listed(&self, text: &str) -> Result<Vec<PathBuf>, String> {
        let own = self.loader.as_deref().and_then(Path::file_name);
        let mut paths = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_suffix(" => not found") {
                return Err(format!("its library '{name}' is not found"));
            }
            let library = line.rfind(" (0x").and_then(|end| line.get(..end));
            let Some(library) = library else {
                continue;
            };
            let (name, path) = library.split_once(" => ").unwrap_or((library, library));
            let is_loader = [name, path].map(|path| Path::new(path).file_name() == own);
            if path.starts_with('/') && is_loader == [false; 2] {
                paths.push(PathBuf::from(path));
            }
        }
        Ok(paths)
    }
}

/// Paths without links, sorted; of what is not there the path itself.
fn reals(paths: &[PathBuf]) -> Vec<PathBuf> {
    let real = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let mut reals: Vec<PathBuf> = paths.iter().map(real).collect();
    reals.sort();
    reals.dedup();
    reals
}

/// The paths that are not among the others, in words.
fn told(paths: &[PathBuf], others: &[PathBuf]) -> String {
    let lacking = paths.iter().filter(|path| !others.contains(path));
    let lacking: Vec<String> = lacking
        .map(|path| format!("'{}'", path.display()))
        .collect();
    lacking.join(", ")
}

/// Paths as a loader takes them.
fn joined(paths: &[PathBuf]) -> OsString {
    let paths: Vec<&[u8]> = paths
        .iter()
        .map(|path| path.as_os_str().as_bytes())
        .collect();
    OsString::from_vec(paths.join(&b':'))
}

fn is_unlistable(path: &Path) -> bool {
    let bytes = OsStr::as_bytes(path.as_os_str());
    bytes.iter().any(|byte| ENDS_OF_PATHS.contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libraries(loaded: &[&str]) -> Libraries {
        Libraries {
            loader: Some("/lib64/ld-linux-x86-64.so.2".into()),
            loaded: loaded.iter().map(PathBuf::from).collect(),
            ..Libraries::default()
        }
    }

    #[test]
    fn a_loaders_list_is_read() {
        let text = "\tlinux-vdso.so.1 (0x00007fcb073c6000)\n\tliba.so.1 => /opt/a b/lib/liba.so.1 (0x00007fcb06c00000)\n\t/opt/b/../lib/libb.so (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007fcb071d7000)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007fcb073c8000)\n";
        let seen = libraries(&[]).listed(text).unwrap();
        let expected = [
            "/opt/a b/lib/liba.so.1",
            "/opt/b/../lib/libb.so",
            "/lib/libc.so.6",
        ];
        assert_eq!(seen, expected.map(PathBuf::from));
        let missing = libraries(&[]).listed("\tliba.so.1 => not found\n");
        assert_eq!(missing.unwrap_err(), "its library 'liba.so.1' is not found");
        assert!(
            libraries(&[])
                .listed("\tstatically linked\n")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_is_not_the_same_is_named() {
        let outside = libraries(&["/x/liba.so", "/x/libb.so"]);
        let says = |inside: &str| outside.compare(inside).unwrap_err();
        assert_eq!(
            outside.compare("b => /x/libb.so (0x1)\na => /x/liba.so (0x2)"),
            Ok(())
        );
        assert_eq!(
            says("a => /x/liba.so (0x1)\nb => /y/libb.so (0x2)"),
            "'/y/libb.so' would be loaded in place of '/x/libb.so'"
        );
        assert_eq!(
            says("a => /x/liba.so (0x1)"),
            "'/x/libb.so' would not be loaded"
        );
        assert_eq!(
            says("/x/liba.so (0x1)\n/x/libb.so (0x1)\n/x/libc.so (0x1)"),
            "'/x/libc.so' would be loaded as well"
        );
        assert_eq!(says("b => not found"), "its library 'b' is not found");
    }

    #[test]
    fn a_path_that_would_end_in_a_list_is_known() {
        for path in ["/a b", "/a:b", "/a\nb"] {
            assert!(is_unlistable(Path::new(path)));
        }
        assert!(!is_unlistable(Path::new("/a/b.so")));
    }
}
