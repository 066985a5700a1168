//! Reads just enough of an ELF header (System V ABI, `elf(5)`) to tell static from dynamic programs.
//! It never trusts an offset: everything is read through bounds-checked slices.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

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

/// The class of a program: dynamic when its headers name a loader.
///
/// # Errors
/// When it is no x86-64 program, or when it asks for memory that is writable and executable at once.
pub(crate) fn class(bytes: &[u8]) -> Result<Class, Error> {
    if bytes.get(..IDENT.len()) != Some(&IDENT[..]) {
        return refuse("it is not a 64-bit ELF file");
    }
    let kind = half(bytes, 16);
    if half(bytes, 18) != Some(MACHINE_X86_64) || !kind.is_some_and(|kind| TYPES.contains(&kind)) {
        return refuse("it is not an x86-64 program");
    }
    let mut class = Class::Static;
    for header in headers(bytes).ok_or(Error::Format {
        reason: "its program headers are damaged",
    })? {
        let (Some(kind), Some(flags)) = (word(header, 0), word(header, 4)) else {
            return refuse("its program headers are damaged");
        };
        if kind == PT_INTERP {
            class = Class::Dynamic;
        }
        if asks_for_writable_code(kind, flags) {
            return refuse("it asks for memory that is both writable and executable");
        }
    }
    Ok(class)
}

/// The loader that the headers name; `None` for static programs and for damaged or foreign files.
pub(crate) fn loader(bytes: &[u8]) -> Option<PathBuf> {
    let header = headers(bytes)?.find(|header| word(header, 0) == Some(PT_INTERP))?;
    let start = usize::try_from(u64::from_le_bytes(header.get(8..16)?.try_into().ok()?)).ok()?;
    let length = usize::try_from(u64::from_le_bytes(header.get(32..40)?.try_into().ok()?)).ok()?;
    let path = bytes.get(start..start.checked_add(length)?)?;
    let path = CStr::from_bytes_until_nul(path).ok()?;
    Some(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}

fn refuse(reason: &'static str) -> Result<Class, Error> {
    Err(Error::Format { reason })
}

/// Whether a header asks for writable code: an executable stack, or a segment with both bits.
fn asks_for_writable_code(kind: u32, flags: u32) -> bool {
    let (execute, write) = (flags & 1 != 0, flags & 2 != 0);
    execute && write && matches!(kind, PT_LOAD | PT_GNU_STACK)
}

fn headers(bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let offset = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
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
        assert!(asks_for_writable_code(PT_GNU_STACK, 7));
        assert!(asks_for_writable_code(PT_LOAD, 7));
        assert!(!asks_for_writable_code(PT_LOAD, 5));
        assert!(!asks_for_writable_code(PT_GNU_STACK, 6));
    }
}
