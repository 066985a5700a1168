//! Reads from a program's dynamic section (System V ABI, "Dynamic Linking") how it names its libraries. It never trusts an offset, and
//! reads a bounded number of bytes, wherever the program lies.

use super::elf::{self, Segment};

/// `p_type` of the entry that says where the dynamic section is.
const PT_DYNAMIC: u32 = 2;
/// `p_type` of a mapped segment.
const PT_LOAD: u32 = 1;

/// Tags of the dynamic section: the end, a needed library, the table of strings, and the places where libraries are looked for.
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Size in bytes of one entry of the dynamic section.
const ENTRY_BYTES: usize = 16;
/// More entries than any linker writes: some thirty, and one for each needed library.
const ENTRIES_MAX: usize = 4096;
/// The longest string that is looked at, in bytes: `PATH_MAX`.
const STRING_BYTES: usize = 4096;

/// How a loader writes "the folder that this program lies in".
const ORIGIN: [&[u8]; 2] = [b"$ORIGIN", b"${ORIGIN}"];

/// Whether a program looks for its libraries from the folder that it lies in. Only where the program was loaded from a path does a loader know
/// that folder without /proc. `read` gives up to so many bytes from an offset of the file; `header` is the file's beginning.
pub(crate) fn asks_for_origin(header: &[u8], read: impl Fn(u64, usize) -> Vec<u8>) -> bool {
    let segments = elf::segments(header);
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
        return false;
    };
    let length = usize::try_from(dynamic.bytes_in_file).unwrap_or(usize::MAX);
    let section = read(dynamic.offset, length.min(ENTRIES_MAX * ENTRY_BYTES));
    let entries: Vec<(u64, u64)> = section
        .chunks_exact(ENTRY_BYTES)
        .filter_map(|entry| Some((elf::long(entry, 0)?, elf::long(entry, 8)?)))
        .take_while(|&(tag, _)| tag != DT_NULL)
        .collect();
    let strings = entries.iter().find(|&&(tag, _)| tag == DT_STRTAB);
    let Some(strings) = strings.and_then(|&(_, address)| offset(&segments, address)) else {
        return false;
    };
    entries
        .iter()
        .filter(|(tag, _)| [DT_NEEDED, DT_RPATH, DT_RUNPATH].contains(tag))
        .filter_map(|(_, at)| strings.checked_add(*at))
        .any(|at| names_origin(&read(at, STRING_BYTES)))
}

/// Where in the file an address of the loaded program lies.
fn offset(segments: &[Segment], address: u64) -> Option<u64> {
    let mut loaded = segments.iter().filter(|segment| segment.kind == PT_LOAD);
    loaded.find_map(|segment| {
        let within = address.checked_sub(segment.address)?;
        (within < segment.bytes_in_file)
            .then(|| segment.offset.checked_add(within))
            .flatten()
    })
}

/// Whether the string that begins here has the folder's name in it.
fn names_origin(bytes: &[u8]) -> bool {
    let string = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut names = ORIGIN.iter();
    names.any(|name| string.windows(name.len()).any(|part| part == *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::part_of;

    #[test]
    fn a_program_that_is_linked_so_is_told_from_one_that_is_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.c"), "int main(void) { return 0; }").unwrap();
        let asks = |options: &[&str]| {
            let mut cc = std::process::Command::new("cc");
            cc.args(["-o", "a", "a.c"]).args(options);
            assert!(cc.current_dir(folder.path()).status().unwrap().success());
            let bytes = std::fs::read(folder.path().join("a")).unwrap();
            // Whatever is missing, it is no panic.
            for end in (0..bytes.len()).step_by(61) {
                asks_for_origin(&bytes[..end], part_of(&bytes[..end]));
            }
            asks_for_origin(&bytes, part_of(&bytes))
        };
        assert!(asks(&["-Wl,-rpath,$ORIGIN/../lib"]));
        assert!(asks(&[
            "-Wl,-rpath,/opt/lib:${ORIGIN}",
            "-Wl,--disable-new-dtags"
        ]));
        assert!(!asks(&["-Wl,-rpath,/opt/ORIGIN"]));
        assert!(!asks(&["-static"]));
    }
}
