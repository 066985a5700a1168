//! Program headers are judged by what the kernel makes of them. Each attack is a compiled program in which a few bytes are changed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::support::{Link, compile, package, run, sandbox, seal_bytes, text, works_as};
use crate::{Error, Image};
use sha2::{Digest as _, Sha256};

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const PT_GNU_STACK: u32 = 0x6474_e551;

/// Where [`runs_new_code`] writes when it does not use the stack; in a program at a fixed address nothing is there.
const FREE_PLACE: u64 = 0x1000_0000;

/// Writes code (`mov eax, 42; ret`) onto the stack, or to a fixed place, and runs it.
fn runs_new_code(place: &str) -> String {
    format!(
        r#"int main(void) {{ request(); unsigned char code[] = {{0xb8, 42, 0, 0, 0, 0xc3}}, *at = {place}; memcpy(at, code, sizeof code); __asm__ volatile("" : : "r"(at) : "memory");
        if (((int (*)(void))at)() != 42) return 1; answer("works\n"); return 0; }}"#
    )
}

struct Program {
    bytes: Vec<u8>,
}

impl Program {
    fn of(source: &str, link: Link) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bytes = fs::read(compile(folder.path(), source, link)).unwrap();
        Self { bytes }
    }

    /// The offset of the first header of this kind.
    fn header(&self, kind: u32) -> usize {
        let number = |at: usize| u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap());
        let first = usize::try_from(number(32)).unwrap();
        let count = usize::from(u16::from_le_bytes([self.bytes[56], self.bytes[57]]));
        let headers = (0..count).map(|at| first + at * 56);
        let is = |at: &usize| self.bytes[*at..*at + 4] == kind.to_le_bytes();
        headers.into_iter().find(is).unwrap()
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Changes the loader's name, which is padded with zeros.
    fn name_loader(&mut self, path: &str) -> &mut Self {
        let header = self.header(PT_INTERP);
        let number = |at: usize| u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap());
        let (at, length) = (number(header + 8), number(header + 32));
        let mut name = path.as_bytes().to_vec();
        name.resize(usize::try_from(length).unwrap(), 0);
        self.put(usize::try_from(at).unwrap(), &name)
    }

    fn works_outside(&self) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("program");
        fs::write(&place, &self.bytes).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        works_as(&mut Command::new(&place));
    }

    /// Why it is refused. Where it is not refused, it is run, and the test fails with what it did.
    fn refusal(&self) -> String {
        let digest: [u8; 32] = Sha256::digest(&self.bytes).into();
        match Image::seal(&self.bytes, &digest) {
            Err(Error::Format { reason }) => reason.to_owned(),
            Err(other) => panic!("{other}"),
            Ok(_) => {
                let folder = package(&[]);
                let report = run(&sandbox(), &seal_bytes(&self.bytes), folder.path(), "{}\n");
                panic!("it runs: {} {report:?}", text(&report));
            }
        }
    }
}

#[test]
fn no_stack_is_executable() {
    let source = runs_new_code("(unsigned char[16]){0}");
    for link in [Link::Static, Link::Dynamic] {
        // 1 and 5 lack the write bit, which `-z execstack` sets.
        for flags in [1_u32, 5, 7] {
            let mut program = Program::of(&source, link);
            let header = program.header(PT_GNU_STACK);
            program.put(header + 4, &flags.to_le_bytes());
            program.works_outside();
            let words = program.refusal();
            assert!(
                words.contains("PT_GNU_STACK") && words.contains("-z noexecstack"),
                "{words}"
            );
        }
    }
}

#[test]
fn no_memory_behind_a_segments_file_is_executable() {
    let source = runs_new_code(&format!("(unsigned char *){FREE_PLACE}"));
    let mut program = Program::of(&source, Link::Static);
    let header = program.header(PT_NOTE);
    // A segment with nothing in the file: read and execute, one page.
    let fields = [FREE_PLACE, FREE_PLACE, 0, 4096, 4096]
        .map(u64::to_le_bytes)
        .concat();
    program.put(header, &PT_LOAD.to_le_bytes());
    program.put(header + 4, &5_u32.to_le_bytes());
    program.put(header + 8, &0_u64.to_le_bytes());
    program.put(header + 16, &fields);
    program.works_outside();
    let words = program.refusal();
    assert!(words.contains("larger in memory"), "{words}");
}

#[test]
fn no_file_of_the_host_is_started_as_a_loader_or_told_of() {
    let source = "int main(void) { return 0; }";
    let plain = Program::of(source, Link::Dynamic);
    assert_eq!(
        plain.bytes[plain.header(PT_INTERP)..][..4],
        PT_INTERP.to_le_bytes()
    );
    let refusals = ["/bin/sh", "/etc/passwd", "/etc/no-such-file", "ld.so", ""].map(|path| {
        let mut program = Program::of(source, Link::Dynamic);
        program.name_loader(path).refusal()
    });
    assert!(refusals[0].contains("PT_INTERP"), "{refusals:?}");
    assert!(
        refusals.iter().all(|words| *words == refusals[0]),
        "{refusals:?}"
    );
}

#[test]
fn one_loader_is_named_and_no_second() {
    let mut program = Program::of("int main(void) { return 0; }", Link::Dynamic);
    let (from, to) = (program.header(PT_INTERP), program.header(PT_NOTE));
    let copy = program.bytes[from..from + 56].to_vec();
    let words = program.put(to, &copy).refusal();
    assert!(words.contains("two PT_INTERP"), "{words}");
}
