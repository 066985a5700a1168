//! Reads the path that a reported call names from its caller's memory. It is only ever shown or looked up, and never decides what a call gets.

use crate::denial::words::int;
use crate::filter;
use crate::sys::notify::{self, Notification};

/// The longest path that is shown, in bytes; the rest is cut off with a mark.
pub(super) const PATH_SHOWN_BYTES: usize = 256;

/// Where reading a caller's memory stops, because a read across an unmapped page fails as a whole.
const PAGE_BYTES: u64 = 4096;

/// Reads a path from the caller's memory, page by page so that an unmapped next page does not hide what is there.
pub(super) fn read(report: &Notification, at: usize) -> Option<String> {
    let mut address = *report.args.get(at)?;
    let mut bytes = Vec::new();
    while bytes.len() <= PATH_SHOWN_BYTES {
        let left = usize::try_from(PAGE_BYTES - address % PAGE_BYTES).ok()?;
        let mut chunk = vec![0; left.min(PATH_SHOWN_BYTES + 1)];
        let count = notify::read_memory(report.pid, address, &mut chunk);
        let read = chunk.get(..count)?;
        if read.is_empty() {
            return None;
        }
        if let Some(end) = read.iter().position(|&byte| byte == 0) {
            bytes.extend_from_slice(read.get(..end)?);
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        bytes.extend_from_slice(read);
        address = address.checked_add(u64::try_from(count).ok()?)?;
    }
    bytes.truncate(PATH_SHOWN_BYTES);
    Some(format!("{}…", String::from_utf8_lossy(&bytes)))
}

/// The path of a file that a reported call opens to read, from the root or from the folder that a program begins in, read into `buffer` at
/// once. `None` for anything that needs a longer look: another call, a path from an open folder, a path across a page's end or too long.
pub(super) fn to_read<'a>(
    report: &Notification,
    buffer: &'a mut [u8; PATH_SHOWN_BYTES],
) -> Option<&'a [u8]> {
    let [first, second, third, ..] = report.args;
    let (address, flags, from_folder) = match i64::from(report.number) {
        libc::SYS_open => (first, second, false),
        libc::SYS_openat => (second, third, int(first) != libc::AT_FDCWD.cast_unsigned()),
        _ => return None,
    };
    if !filter::opens_to_read(int(flags)) {
        return None;
    }
    let in_page = usize::try_from(PAGE_BYTES - address % PAGE_BYTES).ok()?;
    let count = in_page.min(buffer.len());
    let read = notify::read_memory(report.pid, address, buffer.get_mut(..count)?);
    let path = buffer.get(..read)?;
    let path = path.get(..path.iter().position(|&byte| byte == 0)?)?;
    (!from_folder || path.first() == Some(&b'/')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_up_to_its_bound() {
        let path = std::ffi::CString::new("/a/long/".repeat(100)).unwrap();
        let mut report = Notification::default();
        report.pid = std::process::id();
        report.args[1] = path.as_ptr() as u64;
        let shown = read(&report, 1).unwrap();
        assert!(shown.starts_with("/a/long/") && shown.ends_with('…'));
        report.args[1] = 16;
        assert_eq!(read(&report, 1), None);
    }

    #[test]
    fn a_file_to_read_is_told_at_once_and_anything_else_needs_a_longer_look() {
        let path = c"/usr/lib/x";
        let at = path.as_ptr() as u64;
        let folder = u64::from(libc::AT_FDCWD.cast_unsigned());
        let told = |number: i64, args: [u64; 3]| {
            let mut report = Notification::default();
            report.pid = std::process::id();
            report.number = number.try_into().unwrap();
            report.args[..3].copy_from_slice(&args);
            to_read(&report, &mut [0; PATH_SHOWN_BYTES]).map(<[u8]>::to_vec)
        };
        let known = Some(path.to_bytes().to_vec());
        assert_eq!(told(libc::SYS_open, [at, 0, 0]), known);
        assert_eq!(told(libc::SYS_openat, [folder, at, 0x8_0000]), known);
        assert_eq!(told(libc::SYS_openat, [3, at, 0]), known);
        let from_a_folder = [3, at + 1, 0];
        let long = std::ffi::CString::new("/long".repeat(100)).unwrap();
        for (number, args) in [
            (libc::SYS_openat, from_a_folder),
            (libc::SYS_openat, [folder, at, 1]),
            (libc::SYS_openat, [folder, 16, 0]),
            (libc::SYS_openat, [folder, long.as_ptr() as u64, 0]),
            (libc::SYS_stat, [at, 0, 0]),
        ] {
            assert_eq!(told(number, args), None, "{number} {args:?}");
        }
    }
}
