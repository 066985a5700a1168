//! Reads just enough of an ELF header (System V ABI, `elf(5)`) to tell static from dynamic programs.
//! It never trusts an offset: everything is read through bounds-checked slices.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::image::Class;

/// `e_ident` of a 64-bit, little-endian ELF file.
const IDENT: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];

/// `e_machine` of x86-64.
const MACHINE_X86_64: u16 = 62;

/// `e_type` of a fixed-address and of a position-independent program.
const TYPES: [u16; 2] = [2, 3];

/// `p_type` of the entry that names the loader.
const PT_INTERP: u32 = 3;

/// `p_type` of the entry that says what the stack may be, and its execute bit.
const PT_GNU_STACK: u32 = 0x6474_e551;

/// `p_type` of a mapped segment.
const PT_LOAD: u32 = 1;

/// Size of a program header in bytes.
const HEADER_BYTES: usize = 56;

/// More program headers than any linker writes (about 15), so that a loop over them is short.
const HEADERS_MAX: usize = 128;

/// Where C libraries have their loaders, in every spelling that linkers write. If a program could name any other file of the host, that
/// file would be started as a loader, and the plugin would learn whether it exists.
const LOADERS: [&str; 8] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/usr/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "/lib/ld-linux-x86-64.so.2",
    "/usr/lib/ld-linux-x86-64.so.2",
    "/lib/ld-musl-x86_64.so.1",
    "/usr/lib/ld-musl-x86_64.so.1",
];

/// The class of a plugin's program, by the rules of [`class`]; its loader must be one of the usual ones.
///
/// # Errors
/// As [`class`], and when it names another loader.
pub(crate) fn class_of_plugin(bytes: &[u8]) -> Result<Class, Error> {
    let class = class(bytes)?;
    if class == Class::Dynamic && !loader(bytes).is_some_and(|path| is_usual(&path)) {
        return refuse(
            "its PT_INTERP header names a loader that is none of the usual ones: link it without `--dynamic-linker`, or statically",
        );
    }
    Ok(class)
}

/// Whether a plugin's program may name this loader.
pub(crate) fn is_usual(loader: &Path) -> bool {
    LOADERS.iter().any(|usual| Path::new(usual) == loader)
}

/// The class of a program: dynamic when its headers name a loader.
///
/// # Errors
/// When it is no x86-64 program, or when the kernel would give it memory that is writable and executable at once.
pub(crate) fn class(bytes: &[u8]) -> Result<Class, Error> {
    if bytes.get(..IDENT.len()) != Some(&IDENT[..]) {
        return refuse("it is not a 64-bit ELF file");
    }
    let kind = half(bytes, 16);
    if half(bytes, 18) != Some(MACHINE_X86_64) || !kind.is_some_and(|kind| TYPES.contains(&kind)) {
        return refuse("it is not an x86-64 program");
    }
    let damaged = "its program headers are damaged: build it anew";
    let mut class = Class::Static;
    for header in headers(bytes).ok_or(Error::Format { reason: damaged })? {
        let Some(header) = Header::read(header) else {
            return refuse(damaged);
        };
        match (header.kind, class) {
            (PT_INTERP, Class::Static) => class = Class::Dynamic,
            // The kernel takes the first.
            (PT_INTERP, Class::Dynamic | Class::Runtime) => {
                return refuse("it has two PT_INTERP headers: build it anew");
            }
            (_, _) => {}
        }
        if let Some(reason) = header.asks_for_writable_code() {
            return refuse(reason);
        }
    }
    Ok(class)
}

/// The loader that the headers name; `None` for static programs and for damaged or foreign files.
pub(crate) fn loader(bytes: &[u8]) -> Option<PathBuf> {
    let header = headers(bytes)?.find(|header| word(header, 0) == Some(PT_INTERP))?;
    let start = usize::try_from(long(header, 8)?).ok()?;
    let length = usize::try_from(long(header, 32)?).ok()?;
    let path = bytes.get(start..start.checked_add(length)?)?;
    let path = CStr::from_bytes_until_nul(path).ok()?;
    Some(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}

fn refuse(reason: &'static str) -> Result<Class, Error> {
    Err(Error::Format { reason })
}

/// Where one part of a program lies in its file and, once loaded, in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) kind: u32,
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) bytes_in_file: u64,
}

/// The parts that the headers name; none of a damaged or foreign file.
pub(super) fn segments(bytes: &[u8]) -> Vec<Segment> {
    let headers = headers(bytes).into_iter().flatten();
    let segment = |header: &[u8]| {
        Some(Segment {
            kind: word(header, 0)?,
            offset: long(header, 8)?,
            address: long(header, 16)?,
            bytes_in_file: long(header, 32)?,
        })
    };
    headers.filter_map(segment).collect()
}

/// What counts of one program header.
#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u32,
    flags: u32,
    bytes_in_file: u64,
    bytes_in_memory: u64,
}

impl Header {
    fn read(header: &[u8]) -> Option<Self> {
        Some(Self {
            kind: word(header, 0)?,
            flags: word(header, 4)?,
            bytes_in_file: long(header, 32)?,
            bytes_in_memory: long(header, 40)?,
        })
    }

    /// Why the kernel would make memory that is writable and executable from this header, if it would (`load_elf_binary` of fs/binfmt_elf.c,
    /// Linux 5.8 and later).
    fn asks_for_writable_code(self) -> Option<&'static str> {
        let (execute, write) = (self.flags & 1 != 0, self.flags & 2 != 0);
        match self.kind {
            // Of several such headers the kernel takes the last, and only this bit of it counts, since a stack is always writable. Without such a
            // header the stack is not executable.
            PT_GNU_STACK if execute => Some(
                "its PT_GNU_STACK header asks for an executable stack: link it with `-z noexecstack`",
            ),
            PT_LOAD if execute && write => Some(
                "one of its segments is both writable and executable: link it without `-N`, with `-z separate-code`",
            ),
            // The part that is not in the file is anonymous memory, which is writable whatever the flags say.
            PT_LOAD if execute && self.bytes_in_memory > self.bytes_in_file => Some(
                "one of its executable segments is larger in memory than in the file, so that the rest would be writable: link it with `-z separate-code`",
            ),
            _ => None,
        }
    }
}

fn headers(bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let offset = usize::try_from(long(bytes, 32)?).ok()?;
    let size = usize::from(half(bytes, 54)?);
    let count = usize::from(half(bytes, 56)?);
    if size != HEADER_BYTES || count == 0 || count > HEADERS_MAX {
        return None;
    }
    let end = offset.checked_add(count.checked_mul(HEADER_BYTES)?)?;
    Some(bytes.get(offset..end)?.chunks_exact(HEADER_BYTES))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_truncation_is_an_error_or_a_class_and_never_a_panic() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(class(&program).unwrap(), Class::Dynamic);
        assert!(loader(&program).is_some_and(|loader| loader.is_file()));
        for end in 0..200 {
            assert!(class(&program[..end]).is_err());
        }
    }

    #[test]
    fn writable_code_is_refused() {
        let asks = |kind, flags, bytes_in_file, bytes_in_memory| {
            let header = Header {
                kind,
                flags,
                bytes_in_file,
                bytes_in_memory,
            };
            header.asks_for_writable_code().is_some()
        };
        let (execute, write, read) = (1, 2, 4);
        for flags in [execute, execute | read, execute | write | read] {
            assert!(asks(PT_GNU_STACK, flags, 0, 0), "{flags}");
        }
        assert!(!asks(PT_GNU_STACK, write | read, 0, 0));
        assert!(asks(PT_LOAD, execute | write | read, 1, 1));
        assert!(!asks(PT_LOAD, execute | read, 1, 1));
        for flags in [execute, execute | read] {
            assert!(asks(PT_LOAD, flags, 0, 1) && asks(PT_LOAD, flags, 1, 2));
        }
        assert!(!asks(PT_LOAD, write | read, 0, 1));
    }
}
