//! Bare calls that build a private root out of detached mounts (the mount API of Linux 5.2 and 5.12).

use core::ffi::CStr;

use super::bare::{RawFd, Result, call, descriptor, register};
use super::file::close;
use super::kernel as k;

/// `OPEN_TREE_CLONE` of open_tree(2).
const OPEN_TREE_CLONE: usize = 1;
/// `AT_EMPTY_PATH` of fcntl.h.
const EMPTY_PATH: usize = 0x1000;
/// `AT_RECURSIVE` of fcntl.h.
const AT_RECURSIVE: usize = 0x8000;
/// `MOVE_MOUNT_F_EMPTY_PATH` of move_mount(2).
const MOVE_FROM_EMPTY_PATH: usize = 4;
/// `MOVE_MOUNT_T_EMPTY_PATH` of move_mount(2).
const MOVE_TO_EMPTY_PATH: usize = 0x40;
/// `FSOPEN_CLOEXEC` of fsopen(2).
const FSOPEN_CLOEXEC: usize = 1;
/// `FSCONFIG_SET_STRING` of fsconfig(2).
const FSCONFIG_SET_STRING: usize = 1;
/// `FSCONFIG_CMD_CREATE` of fsconfig(2).
const FSCONFIG_CMD_CREATE: usize = 6;
/// `FSMOUNT_CLOEXEC` of fsmount(2).
const FSMOUNT_CLOEXEC: usize = 1;

/// `MOUNT_ATTR_RDONLY` of mount_setattr(2).
pub(crate) const READ_ONLY: u64 = 1;
/// `MOUNT_ATTR_NOSUID` of mount_setattr(2).
pub(crate) const NO_SETUID: u64 = 2;
/// `MOUNT_ATTR_NODEV` of mount_setattr(2).
pub(crate) const NO_DEVICES: u64 = 4;
/// `MOUNT_ATTR_NOEXEC` of mount_setattr(2).
pub(crate) const NO_EXEC: u64 = 8;

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

fn set_attributes(mount: RawFd, path: &CStr, flags: usize, attributes: &Attributes) -> Result<()> {
    let size = size_of::<Attributes>();
    let pointer = &raw const *attributes as usize;
    let args = [
        register(mount),
        path.as_ptr() as usize,
        flags,
        pointer,
        size,
    ];
    // SAFETY: path and attributes live through the call, and the size is the structure's own.
    unsafe { call(k::SYS_MOUNT_SETATTR, args) }.map(drop)
}

/// Cuts every mount of this namespace off from the namespace that it was copied from.
pub(crate) fn make_everything_private() -> Result<()> {
    let attributes = Attributes {
        propagation: k::MS_PRIVATE,
        ..Attributes::default()
    };
    set_attributes(k::AT_FDCWD, c"/", AT_RECURSIVE, &attributes)
}

/// Adds attributes to a mount and, when asked, to all mounts below it.
pub(crate) fn restrict_mount(mount: RawFd, attributes: u64, recursive: bool) -> Result<()> {
    let flags = EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    set_attributes(
        mount,
        c"",
        flags,
        &Attributes {
            set: attributes,
            ..Attributes::default()
        },
    )
}

/// A detached copy of a file or tree, mounts below it included.
pub(crate) fn copy_tree(path: &CStr) -> Result<RawFd> {
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | register(k::O_CLOEXEC);
    let args = [register(k::AT_FDCWD), path.as_ptr() as usize, flags, 0, 0];
    // SAFETY: the path lives through the call.
    unsafe { call(k::SYS_OPEN_TREE, args) }.and_then(descriptor)
}

/// Attaches a detached mount at a path below a folder, or on the folder itself when the path is empty.
pub(crate) fn attach(mount: RawFd, directory: RawFd, path: &CStr) -> Result<()> {
    let to = if path.is_empty() {
        MOVE_TO_EMPTY_PATH
    } else {
        0
    };
    let empty: &CStr = c"";
    let args = [
        register(mount),
        empty.as_ptr() as usize,
        register(directory),
        path.as_ptr() as usize,
        MOVE_FROM_EMPTY_PATH | to,
    ];
    // SAFETY: both paths live through the call.
    unsafe { call(k::SYS_MOVE_MOUNT, args) }.map(drop)
}

/// A new, detached, empty file system in memory with the given size, for folders of mode 0755.
pub(crate) fn new_memory_tree(size: &CStr, inodes: &CStr, attributes: u64) -> Result<RawFd> {
    let kind: &CStr = c"tmpfs";
    // SAFETY: the name lives through the call.
    let context = unsafe {
        call(
            k::SYS_FSOPEN,
            [kind.as_ptr() as usize, FSOPEN_CLOEXEC, 0, 0, 0],
        )
    }
    .and_then(descriptor)?;
    let mount = configure(context, size, inodes, attributes);
    close(context);
    mount
}

fn configure(context: RawFd, size: &CStr, inodes: &CStr, attributes: u64) -> Result<RawFd> {
    for (key, value) in [(c"size", size), (c"nr_inodes", inodes), (c"mode", c"0755")] {
        configure_once(context, FSCONFIG_SET_STRING, Some((key, value)))?;
    }
    configure_once(context, FSCONFIG_CMD_CREATE, None)?;
    let attributes = usize::try_from(attributes).unwrap_or(usize::MAX);
    // SAFETY: fsmount takes numbers only.
    unsafe {
        call(
            k::SYS_FSMOUNT,
            [register(context), FSMOUNT_CLOEXEC, attributes, 0, 0],
        )
    }
    .and_then(descriptor)
}

fn configure_once(context: RawFd, command: usize, pair: Option<(&CStr, &CStr)>) -> Result<()> {
    let (key, value) = pair.map_or((0, 0), |(key, value)| {
        (key.as_ptr() as usize, value.as_ptr() as usize)
    });
    // SAFETY: key and value are C strings that live through the call, or both null where the command takes none.
    unsafe { call(k::SYS_FSCONFIG, [register(context), command, key, value, 0]) }.map(drop)
}

/// Makes the working directory, which must be a mount, the root, and lets the old root go.
pub(crate) fn pivot_here() -> Result<()> {
    let here: &CStr = c".";
    let here = here.as_ptr() as usize;
    // SAFETY: the path is static; pivot_root(".", ".") stacks the old root on the new (pivot_root(2)).
    unsafe { call(k::SYS_PIVOT_ROOT, [here, here, 0, 0, 0]) }?;
    // SAFETY: the path is static; this detaches the old root, which lies on top at this path.
    unsafe { call(k::SYS_UMOUNT2, [here, k::MNT_DETACH, 0, 0, 0]) }?;
    let root: &CStr = c"/";
    // SAFETY: the path is static.
    unsafe { call(k::SYS_CHDIR, [root.as_ptr() as usize, 0, 0, 0, 0]) }.map(drop)
}

/// Makes a folder.
pub(crate) fn make_folder_at(directory: RawFd, path: &CStr, mode: u32) -> Result<()> {
    let args = [
        register(directory),
        path.as_ptr() as usize,
        mode as usize,
        0,
        0,
    ];
    // SAFETY: the path is a C string that lives through the call.
    unsafe { call(k::SYS_MKDIRAT, args) }.map(drop)
}

/// Makes a symbolic link.
pub(crate) fn link_at(target: &CStr, directory: RawFd, path: &CStr) -> Result<()> {
    let args = [
        target.as_ptr() as usize,
        register(directory),
        path.as_ptr() as usize,
        0,
        0,
    ];
    // SAFETY: both paths are C strings that live through the call.
    unsafe { call(k::SYS_SYMLINKAT, args) }.map(drop)
}

/// Opens a path for reading or writing with the given flags and creation mode.
pub(crate) fn open_at(directory: RawFd, path: &CStr, flags: i32, mode: u32) -> Result<RawFd> {
    let flags = register(flags | k::O_CLOEXEC);
    let args = [
        register(directory),
        path.as_ptr() as usize,
        flags,
        mode as usize,
        0,
    ];
    // SAFETY: the path is a C string that lives through the call.
    unsafe { call(k::SYS_OPENAT, args) }.and_then(descriptor)
}

/// Makes the folder behind a descriptor the working directory.
pub(crate) fn change_folder(directory: RawFd) -> Result<()> {
    // SAFETY: fchdir takes a number only.
    unsafe { call(k::SYS_FCHDIR, [register(directory), 0, 0, 0, 0]) }.map(drop)
}
