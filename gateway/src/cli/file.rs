//! Writing to the file that `--out` and its like name.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::Builder;

/// The mode of a new file, before the umask.
const NEW_MODE: u32 = 0o666;

/// Writes `bytes` to `file`. Links are followed. A regular file is put in place whole, so that nobody reads half of it, and keeps owner and
/// mode where there was one; a device or a pipe is written through.
pub(super) fn write_out(file: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(file) {
        Ok(old) if old.is_file() => replace(&fs::canonicalize(file)?, bytes, Some(&old)),
        Ok(_) => File::options().write(true).open(file)?.write_all(bytes),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        // A link that leads to nothing yet makes what it leads to.
        Err(_) if file.is_symlink() => File::create(file)?.write_all(bytes),
        Err(_) => replace(file, bytes, None),
    }
}

fn replace(file: &Path, bytes: &[u8], old: Option<&fs::Metadata>) -> io::Result<()> {
    let parent = file.parent().filter(|parent| *parent != Path::new(""));
    let mut fresh = Builder::new()
        .permissions(Permissions::from_mode(NEW_MODE))
        .tempfile_in(parent.unwrap_or(Path::new(".")))?;
    if let Some(old) = old {
        let new = fresh.as_file().metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid())
            && std::os::unix::fs::fchown(fresh.as_file(), Some(old.uid()), Some(old.gid())).is_err()
        {
            // Somebody else's file that may be written, but not given away: it stays what it is.
            return File::options()
                .write(true)
                .truncate(true)
                .open(file)?
                .write_all(bytes);
        }
        fresh.as_file().set_permissions(old.permissions())?;
    }
    // Not through the wrapper, whose errors name the passing file and hide the system's number.
    fresh.as_file_mut().write_all(bytes)?;
    fresh.as_file().sync_all()?;
    fresh.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_is_there_keeps_its_mode_and_links_are_followed() {
        let folder = tempfile::TempDir::new().unwrap();
        let [new, old, link, dangling, target] =
            ["new", "old", "link", "dangling", "target"].map(|name| folder.path().join(name));
        File::create(&old).unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o604)).unwrap();
        std::os::unix::fs::symlink("old", &link).unwrap();
        std::os::unix::fs::symlink("target", &dangling).unwrap();
        for (file, what) in [(&new, "1"), (&old, "2"), (&link, "3"), (&dangling, "4")] {
            write_out(file, what.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(file).unwrap(), what);
        }
        assert!(link.is_symlink() && dangling.is_symlink());
        assert_eq!(fs::read_to_string(&old).unwrap(), "3");
        assert_eq!(fs::read_to_string(&target).unwrap(), "4");
        assert_eq!(mode(&old), 0o604);
        // By the umask, as `target` was made without our help.
        assert_eq!(mode(&new), mode(&target));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    }

    #[test]
    fn a_device_and_a_pipe_are_written_through() {
        let folder = tempfile::TempDir::new().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write_out(&pipe, b"whole").unwrap();
        assert_eq!(reader.join().unwrap(), "whole");
        assert!(!fs::metadata(&pipe).unwrap().is_file());
        write_out(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
