//! Tiny programs that each try one forbidden act, assembled here byte by byte. So `doctor` needs no compiler on an operator's
//! machine, and when an act fails, nothing but the sandbox can be the reason.
//!
//! Each exits with 0 when the act worked, and with the kernel's error number when it was refused.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An argument of a system call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument {
    /// A number.
    Number(u64),
    /// The address of these bytes, which a zero byte follows.
    Text(&'static str),
}

/// What a program does before it exits with the result.
#[derive(Debug, Clone, Copy)]
pub(super) enum Code {
    /// One system call.
    Call(u32, &'static [Argument]),
    /// Machine code that leaves a result in `rax` as a system call does.
    Raw(&'static [u8]),
}

/// Where the programs are loaded: the usual place for programs at a fixed address.
const BASE: u64 = 0x40_0000;

/// The size of an ELF header and of a program header in bytes (elf(5)).
const HEADER_BYTES: usize = 64;
/// See [`HEADER_BYTES`].
const PROGRAM_HEADER_BYTES: usize = 56;

/// `mov register, immediate` for `rdi`, `rsi`, `rdx`, `r10`, `r8` and `r9`, the arguments of a system call in order.
const LOAD_ARGUMENT: [[u8; 2]; 6] = [
    [0x48, 0xbf],
    [0x48, 0xbe],
    [0x48, 0xba],
    [0x49, 0xba],
    [0x49, 0xb8],
    [0x49, 0xb9],
];

/// Exits with 0 for a result that is no error, else with the error's number.
const EXIT: &[u8] = &[
    0x48, 0x89, 0xc7, // mov rdi, rax
    0x48, 0xf7, 0xdf, // neg rdi
    0x7f, 0x02, // jg over the next
    0x31, 0xff, // xor edi, edi
    0xb8, 231, 0, 0, 0, // mov eax, exit_group
    0x0f, 0x05, // syscall
];

/// `getpid` by the number and the entry of the 32-bit ABI.
pub(super) const FOREIGN_CALL: &[u8] = &[
    0xb8, 20, 0, 0, 0, // mov eax, getpid
    0xcd, 0x80, // int 0x80
];

/// Says "no such entry" when the first environment string is missing. On entry the stack holds the number of arguments, the
/// arguments, a null, and the environment.
pub(super) const FIND_ENVIRONMENT: &[u8] = &[
    0x48, 0x8b, 0x04, 0x24, // mov rax, [rsp]
    0x48, 0x8b, 0x7c, 0xc4, 0x10, // mov rdi, [rsp + rax * 8 + 16]
    0x31, 0xc0, // xor eax, eax
    0x48, 0x85, 0xff, // test rdi, rdi
    0x75, 0x07, // jnz over the next
    0x48, 0xc7, 0xc0, 0xfe, 0xff, 0xff, 0xff, // mov rax, -ENOENT
];

/// Maps 1 GiB and writes to each of its pages.
pub(super) const FILL_MEMORY: &[u8] = &[
    0x31, 0xff, // xor edi, edi: anywhere
    0xbe, 0, 0, 0, 0x40, // mov esi, 1 GiB
    0xba, 3, 0, 0, 0, // mov edx, PROT_READ | PROT_WRITE
    0x41, 0xba, 0x22, 0, 0, 0, // mov r10d, MAP_PRIVATE | MAP_ANONYMOUS
    0x49, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff, // mov r8, -1
    0x45, 0x31, 0xc9, // xor r9d, r9d
    0xb8, 9, 0, 0, 0, // mov eax, mmap
    0x0f, 0x05, // syscall
    0x48, 0x85, 0xc0, // test rax, rax
    0x78, 0x14, // js behind the loop
    0x48, 0x89, 0xc7, // mov rdi, rax
    0xb9, 0, 0, 4, 0, // mov ecx, number of pages
    0xc6, 0x07, 1, // mov byte [rdi], 1
    0x48, 0x81, 0xc7, 0, 0x10, 0, 0, // add rdi, 4096
    0xe2, 0xf4, // loop
];

/// Goes round for ever.
pub(super) const SPIN: &[u8] = &[0xeb, 0xfe];

/// A program with this code: static, or with a loader.
pub(super) fn program(code: Code, loader: Option<&Path>) -> Vec<u8> {
    let headers = if loader.is_some() { 4 } else { 2 };
    let start = HEADER_BYTES + headers * PROGRAM_HEADER_BYTES;
    let mut body = assemble(code, address(start));
    let loader = loader.map(|loader| {
        let path = loader.as_os_str().as_bytes();
        let at = start + body.len();
        body.extend_from_slice(path);
        body.push(0);
        body.resize(body.len().next_multiple_of(8), 0);
        let dynamic = start + body.len();
        body.extend_from_slice(&dynamic_section());
        (at, path.len() + 1, dynamic)
    });
    let mut image = elf_header(headers, start);
    // One segment for everything, readable and executable, never writable.
    image.extend(segment(1, 5, 0, start + body.len()));
    // The stack is not executable.
    image.extend(segment(0x6474_e551, 6, 0, 0));
    if let Some((at, length, dynamic)) = loader {
        image.extend(segment(3, 4, at, length));
        image.extend(segment(2, 4, dynamic, dynamic_section().len()));
    }
    image.extend(body);
    image
}

fn address(offset: usize) -> u64 {
    BASE.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
}

/// The code, the exit, and after them the texts.
fn assemble(code: Code, at: u64) -> Vec<u8> {
    let (number, arguments) = match code {
        Code::Raw(bytes) => return [bytes, EXIT].concat(),
        Code::Call(number, arguments) => (number, arguments),
    };
    /// Bytes of one load of an argument, and of the call's number and the call.
    const LOAD_BYTES: usize = 10;
    const CALL_BYTES: usize = 7;
    let length = arguments.len() * LOAD_BYTES + CALL_BYTES + EXIT.len();
    let (mut bytes, mut texts) = (Vec::new(), Vec::new());
    for (argument, load) in arguments.iter().zip(LOAD_ARGUMENT) {
        let value = match argument {
            Argument::Number(number) => *number,
            Argument::Text(text) => {
                let offset = u64::try_from(length + texts.len()).unwrap_or(u64::MAX);
                texts.extend_from_slice(text.as_bytes());
                texts.push(0);
                at.saturating_add(offset)
            }
        };
        bytes.extend(load);
        bytes.extend(value.to_le_bytes());
    }
    // mov eax, number; syscall
    bytes.push(0xb8);
    bytes.extend(number.to_le_bytes());
    bytes.extend([0x0f, 0x05]);
    bytes.extend(EXIT);
    bytes.extend(texts);
    bytes
}

/// The ELF header of a 64-bit x86-64 program at a fixed address (elf(5)).
fn elf_header(headers: usize, entry: usize) -> Vec<u8> {
    let mut header = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    header.resize(16, 0);
    let half = |value: usize| u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
    // e_type EXEC, e_machine x86-64, e_version.
    header.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    header.extend(address(entry).to_le_bytes());
    // e_phoff; e_shoff and e_flags are empty.
    header.extend((HEADER_BYTES as u64).to_le_bytes());
    header.extend([0; 12]);
    for value in [HEADER_BYTES, PROGRAM_HEADER_BYTES, headers, 0, 0, 0] {
        header.extend(half(value));
    }
    header
}

/// A program header: kind, flags, and a range of the file.
fn segment(kind: u32, flags: u32, offset: usize, length: usize) -> Vec<u8> {
    let offset_bytes = u64::try_from(offset).unwrap_or(u64::MAX).to_le_bytes();
    let length_bytes = u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes();
    let place = address(offset).to_le_bytes();
    let mut header = [kind.to_le_bytes(), flags.to_le_bytes()].concat();
    for field in [offset_bytes, place, place, length_bytes, length_bytes] {
        header.extend(field);
    }
    // p_align: a page.
    header.extend(0x1000_u64.to_le_bytes());
    header
}

/// The smallest dynamic section that a loader accepts: no library is needed, and all tables are empty and at the start of the image.
fn dynamic_section() -> Vec<u8> {
    // DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_NULL.
    let entries = [(5, BASE), (6, BASE), (10, 1), (11, 24), (0, 0)];
    let words = entries.into_iter().flat_map(|(tag, value)| [tag, value]);
    words.flat_map(u64::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::image::Class;
    use crate::image::elf;

    fn run(code: Code, loader: Option<&Path>) -> Option<i32> {
        let bytes = program(code, loader);
        let class = if loader.is_some() {
            Class::Dynamic
        } else {
            Class::Static
        };
        assert_eq!(elf::class(&bytes).unwrap(), class);
        assert_eq!(elf::loader(&bytes).as_deref(), loader);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        // Another test's child may hold the file open for writing for a moment.
        for _ in 0..1000 {
            match Command::new(&path).status() {
                Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                status => return status.unwrap().code(),
            }
        }
        panic!("the program stayed busy");
    }

    #[test]
    fn programs_run_and_tell_success_from_error() {
        let own = fs::read("/proc/self/exe").unwrap();
        let loader = elf::loader(&own);
        for loader in [None, loader.as_deref()] {
            let access = |path: &'static [Argument]| run(Code::Call(21, path), loader);
            assert_eq!(access(&[Argument::Text("/"), Argument::Number(0)]), Some(0));
            let missing = access(&[Argument::Text("/does/not/exist"), Argument::Number(0)]);
            assert_eq!(missing, Some(libc::ENOENT));
            // The act works outside; otherwise its failure inside the sandbox would prove nothing.
            assert_eq!(run(Code::Raw(FIND_ENVIRONMENT), loader), Some(0));
            assert_eq!(run(Code::Raw(FOREIGN_CALL), loader), Some(0));
            assert_eq!(run(Code::Raw(FILL_MEMORY), loader), Some(0));
        }
    }
}
