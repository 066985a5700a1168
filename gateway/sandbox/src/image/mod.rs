//! A program as a sealed copy in memory, so that what was verified is what runs.

pub(crate) mod dynamic;
pub(crate) mod elf;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use sha2::{Digest, Sha256};

use crate::descriptor::above_stdio;
use crate::error::{Error, While};

/// What kind of program an entry starts, which decides its jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A program that needs nothing but itself.
    Static,
    /// A program that needs a loader and libraries.
    Dynamic,
    /// One of the operator's interpreters, with a script of the package.
    Runtime,
}

/// A sealed copy of an executable. Nobody can change it any more, not even its maker.
#[derive(Debug)]
pub struct Image {
    file: OwnedFd,
    class: Class,
    loader: Option<PathBuf>,
    asks_for_origin: bool,
    path: Option<PathBuf>,
}

impl Image {
    /// Checks that the bytes have the digest that was verified, and copies them into sealed memory.
    ///
    /// # Errors
    /// When the digest differs, when the bytes are not a program for this machine, or when the kernel refuses.
    pub fn seal(bytes: &[u8], sha256_expected: &[u8; 32]) -> Result<Self, Error> {
        Self::seal_as("plugin", bytes, sha256_expected)
    }

    /// As [`Self::seal`], with a name for whoever looks at a list of processes.
    pub(crate) fn seal_as(
        name: &'static str,
        bytes: &[u8],
        sha256_expected: &[u8; 32],
    ) -> Result<Self, Error> {
        if Sha256::digest(bytes).as_slice() != sha256_expected {
            return Err(Error::Digest);
        }
        let class = elf::class_of_plugin(bytes)?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create(name, flags | MemfdFlags::EXEC)
            // Kernels before 6.3 do not know the flag, and make every memory file executable.
            .or_else(|_| memfd_create(name, flags))
            .during("make a sealed copy of a program")?;
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o555))
            .during("make a program executable")?;
        write_all(&file, bytes)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).during("seal a program")?;
        Ok(Self {
            file: above_stdio(file)?,
            class,
            loader: elf::loader(bytes),
            asks_for_origin: dynamic::asks_for_origin(bytes, part_of(bytes)),
            path: None,
        })
    }

    /// Says where in its package the program lies. One that looks for libraries from there (`$ORIGIN`) is then started from that path, by its
    /// loader: of a sealed copy no loader could tell where it lies. What it reads is the package's file, as its libraries are.
    #[must_use]
    pub fn lying_at(self, path: PathBuf) -> Self {
        Self {
            path: Some(path),
            ..self
        }
    }

    /// Where in its package the program lies, when it cannot do without that.
    pub(crate) fn origin(&self) -> Option<&Path> {
        self.path.as_deref().filter(|_| self.asks_for_origin)
    }

    /// Looks whether a program can be run here, as [`Self::seal`] does.
    ///
    /// # Errors
    /// When the bytes are not a program for this machine, or its headers ask for what no plugin gets.
    pub fn check(bytes: &[u8]) -> Result<(), Error> {
        elf::class_of_plugin(bytes).map(drop)
    }

    /// The class that the program's own headers put it in.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    pub(crate) fn loader(&self) -> Option<&Path> {
        self.loader.as_deref()
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// At most so many bytes from an offset on.
fn part_of(bytes: &[u8]) -> impl Fn(u64, usize) -> Vec<u8> {
    move |offset, length| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(start..).unwrap_or_default();
        rest.iter().copied().take(length).collect()
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        let written = rustix::io::write(file, bytes).during("copy a program")?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    #[test]
    fn other_bytes_than_verified_are_refused() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        assert!(matches!(
            Image::seal(&program, &digest(b"other")),
            Err(Error::Digest)
        ));
    }

    #[test]
    fn a_sealed_program_cannot_be_changed() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let image = Image::seal(&program, &digest(&program)).unwrap();
        assert_eq!(image.class(), Class::Dynamic);
        assert_eq!(
            rustix::io::pwrite(&image.file, b"x", 0).unwrap_err(),
            rustix::io::Errno::PERM
        );
        assert_eq!(
            rustix::fs::ftruncate(&image.file, 0).unwrap_err(),
            rustix::io::Errno::PERM
        );
    }

    #[test]
    fn what_is_not_a_program_is_refused() {
        assert!(matches!(
            Image::seal(b"#!/bin/sh\n", &digest(b"#!/bin/sh\n")),
            Err(Error::Format { .. })
        ));
    }
}
