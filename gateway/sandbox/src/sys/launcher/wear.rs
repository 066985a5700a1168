//! The layers that the launcher puts on once, so that no child has to: the ordered steps from its start to its first request.

use core::ffi::CStr;

use super::bare::{self, Errno, RawFd, Result};
use super::clone::{reset_handlers, swap_signal_mask};
use super::kernel as k;
use super::message::{self, Descriptors, Limits, Reader};
use super::wire::{CONTROL, EMPTY_FOLDER, Reply, Step, operation};
use super::{file, mount, process};

/// Size of a private root's own memory: it holds names of folders and links only.
const ROOT_SIZE: &CStr = c"256k";

/// Inodes of a private root: a layout has some twenty operations; more than 1,024 would be a mistake.
const ROOT_INODES: &CStr = c"1024";

/// Size of an empty folder: one page, because 0 would mean no limit.
const EMPTY_SIZE: &CStr = c"4k";
/// Inodes of an empty folder: its own, because 0 would mean no limit.
const EMPTY_INODES: &CStr = c"1";

/// What children need from the launcher's own start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Worn {
    /// The gateway's pidfd.
    pub(crate) gateway: RawFd,
    /// The Landlock ruleset of every child, or -1.
    pub(crate) ruleset: RawFd,
    /// Flags of the namespaces that every child has of its own.
    pub(crate) namespaces: i32,
    /// The mark that the launcher's own calls carry.
    pub(crate) mark: u64,
}

/// A failed step and the kernel's reason.
pub(crate) type Failed = (Step, Errno);

/// Names the step that an error belongs to.
pub(crate) trait At<T> {
    /// Pairs the error with the step.
    fn at(self, step: Step) -> core::result::Result<T, Failed>;
}

impl<T> At<T> for Result<T> {
    fn at(self, step: Step) -> core::result::Result<T, Failed> {
        self.map_err(|errno| (step, errno))
    }
}

/// The gateway's first message, still in its buffer.
pub(crate) struct Wanted<'a> {
    pub(crate) namespaces: i32,
    pub(crate) child_namespaces: i32,
    pub(crate) parent: usize,
    pub(crate) is_root: bool,
    pub(crate) mark: u64,
    pub(crate) reported: bool,
    pub(crate) uid_map: &'a [u8],
    pub(crate) gid_map: &'a [u8],
    pub(crate) root: Option<(usize, Reader<'a>)>,
    pub(crate) limits: Limits<'a>,
    pub(crate) filter: &'a [u8],
    pub(crate) gateway: RawFd,
    pub(crate) folder: RawFd,
    pub(crate) ruleset: RawFd,
}

impl<'a> Wanted<'a> {
    pub(crate) fn read(message: &'a [u8], fds: &mut Descriptors) -> Result<Self> {
        let mut reader = Reader::new(message);
        let namespaces = reader.flags()?;
        let child_namespaces = reader.flags()?;
        let parent = reader.count()?;
        let is_root = reader.yes()?;
        let mark = reader.long()?;
        let reported = reader.yes()?;
        let has_ruleset = reader.yes()?;
        let uid_map = text(&mut reader)?;
        let gid_map = text(&mut reader)?;
        let has_root = reader.yes()?;
        let operations = reader.count()?;
        let length = reader.count()?;
        let root = Reader::new(reader.bytes(length)?);
        Ok(Self {
            namespaces,
            child_namespaces,
            parent,
            is_root,
            mark,
            reported,
            uid_map,
            gid_map,
            root: has_root.then_some((operations, root)),
            limits: reader.limits()?,
            filter: text(&mut reader)?,
            gateway: fds.take()?,
            folder: fds.take()?,
            ruleset: fds.take_if(has_ruleset)?,
        })
    }
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8]> {
    let length = reader.count()?;
    reader.bytes(length)
}

/// Takes every step, tells the gateway, and returns what children need.
///
/// # Errors
/// The step that failed. The gateway was told, where that was possible.
pub(crate) fn wear(buffer: &mut [u8]) -> core::result::Result<Worn, Failed> {
    let outcome = put_on(buffer);
    let (reply, fd) = match &outcome {
        Ok((_, listener)) => (Reply::default(), listener.unwrap_or(-1)),
        Err((step, errno)) => (
            Reply {
                step: *step as u32,
                errno: errno.0,
                pid: 0,
            },
            -1,
        ),
    };
    message::answer(CONTROL, &reply, fd).at(Step::Listener)?;
    let (worn, listener) = outcome?;
    if let Some(listener) = listener {
        file::close(listener);
    }
    Ok(worn)
}

/// The list. Each comment says why the step stands where it does.
fn put_on(buffer: &mut [u8]) -> core::result::Result<(Worn, Option<RawFd>), Failed> {
    // First, so that no later descriptor gets one of the three numbers that a child's own descriptors will have.
    fill_low_numbers().at(Step::Setup)?;
    process::set_name(c"plugin-launcher").at(Step::Setup)?;
    let message = message::next(CONTROL, buffer).at(Step::Setup)?;
    let message = message.ok_or(Errno(k::EBADMSG)).at(Step::Setup)?;
    let mut fds = message.descriptors;
    let body = message.body.at(Step::Setup)?;
    let wanted = Wanted::read(body, &mut fds).at(Step::Setup)?;
    // From here on the launcher dies with the gateway.
    process::die_with_parent().at(Step::DeathSignal)?;
    // Leaves the host's terminal, whose signals are not meant for the launcher.
    process::new_session().at(Step::Session)?;
    // Folders are made with these modes, which a strict mask would close to plugins.
    process::fix_file_mask().at(Step::Setup)?;
    // Signals that the host ignores or blocks must not stay so for plugins.
    reset_handlers();
    swap_signal_mask(0).at(Step::Signals)?;
    // Plugins must not inherit the gateway's precedence over other processes. Needs /proc, so it comes before the private root.
    process::share_the_processor().at(Step::Setup)?;
    process::share_the_memory().at(Step::Setup)?;
    process::share_the_disk().at(Step::Setup)?;
    process::be_laid_out_as_usual().at(Step::Setup)?;
    // Before anything that needs a capability: an ordinary user has them only here.
    process::enter_new_namespaces(wanted.namespaces).at(Step::Namespaces)?;
    if wanted.namespaces & k::CLONE_NEWUSER != 0 {
        map_ids(wanted.uid_map, wanted.gid_map).at(Step::UserNamespace)?;
    }
    if wanted.namespaces & k::CLONE_NEWUTS != 0 {
        process::hide_host_name().at(Step::HostName)?;
    }
    match wanted.root {
        Some((operations, reader)) => {
            build_root(operations, reader).at(Step::PrivateRoot)?;
            enter_empty_folder(wanted.ruleset).at(Step::WorkingDirectory)?;
        }
        None => mount::change_folder(wanted.folder).at(Step::WorkingDirectory)?,
    }
    file::close(wanted.folder);
    // Only limits that the launcher itself easily stays within. Lowering a limit needs no privilege.
    wanted.limits.each(process::limit).at(Step::Rlimits)?;
    reduce_privileges(wanted.is_root).at(Step::Identity)?;
    // After the ids are mapped, for which the launcher's files in /proc must be its own.
    process::become_undumpable().at(Step::Setup)?;
    // Again, because the kernel may have cleared it when privileges changed. A parent that died before it was set would
    // never send it, hence the check.
    process::die_with_parent().at(Step::DeathSignal)?;
    check_parent(wanted.gateway, wanted.parent).at(Step::ParentCheck)?;
    // Without this an unprivileged process may not install a filter.
    process::no_new_privileges().at(Step::NoNewPrivs)?;
    // Last, because the filter forbids the calls above unless they carry the mark, and so far they carry none.
    let listener = install(wanted.filter, wanted.reported).at(Step::Seccomp)?;
    bare::set_mark(wanted.mark);
    let worn = Worn {
        gateway: wanted.gateway,
        ruleset: wanted.ruleset,
        namespaces: wanted.child_namespaces,
        mark: wanted.mark,
    };
    Ok((worn, listener))
}

/// Makes descriptors 0, 1 and 2 copies of the control socket, as long as the launcher itself runs.
fn fill_low_numbers() -> Result<()> {
    for fd in 0..CONTROL {
        bare::duplicate_onto(CONTROL, fd)?;
    }
    bare::close_on_exec(0, u32::MAX)
}

/// Maps one id of the new user namespace to the gateway's own. Groups must be given up first (user_namespaces(7)).
fn map_ids(users: &[u8], groups: &[u8]) -> Result<()> {
    write_once(c"/proc/self/setgroups", b"deny")?;
    write_once(c"/proc/self/uid_map", users)?;
    write_once(c"/proc/self/gid_map", groups)
}

fn write_once(path: &CStr, text: &[u8]) -> Result<()> {
    let file = mount::open_at(k::AT_FDCWD, path, k::O_WRONLY, 0)?;
    let written = file::write(file, text);
    file::close(file);
    written
}

/// As root the bounding set and securebits come first, because they need a capability that is then given up.
fn reduce_privileges(is_root: bool) -> Result<()> {
    if is_root {
        process::drop_bounding_set()?;
        process::lock_securebits()?;
        process::clear_groups()?;
    }
    process::keep_capabilities(process::CAPABILITIES_TO_LAUNCH)
        // A container's root may change its user but not make namespaces, and there are none then.
        .or_else(|_| process::keep_capabilities(process::CAPABILITIES_TO_CHANGE_USER))
        // Outside a user namespace an ordinary user has no capability to keep.
        .or_else(|_| process::keep_capabilities(0))
}

/// Checks that the parent is still the gateway.
fn check_parent(gateway: RawFd, parent: usize) -> Result<()> {
    if process::has_ended(gateway)? || process::parent()? != parent {
        return Err(Errno(k::ESRCH));
    }
    Ok(())
}

fn install(filter: &[u8], reported: bool) -> Result<Option<RawFd>> {
    let (instructions, rest) = filter.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Errno(k::E2BIG));
    }
    process::install_filter(instructions, reported)
}

/// Builds the root of folders, links and read-only mounts, and then lets the old root go, so that nothing else is in sight.
fn build_root(operations: usize, mut reader: Reader<'_>) -> Result<()> {
    mount::make_everything_private()?;
    let attributes = mount::NO_SETUID | mount::NO_DEVICES | mount::NO_EXEC;
    let tree = mount::new_memory_tree(ROOT_SIZE, ROOT_INODES, attributes)?;
    // On top of the old root, which every path still starts from until the pivot.
    mount::attach(tree, k::AT_FDCWD, c"/")?;
    for _ in 0..operations {
        build(tree, &mut reader)?;
    }
    mount::make_folder_at(tree, EMPTY_FOLDER, 0o755)?;
    mount::restrict_mount(tree, mount::READ_ONLY, false)?;
    mount::change_folder(tree)?;
    mount::pivot_here()?;
    file::close(tree);
    Ok(())
}

/// Goes to the folder in which children start. They may list it, which some interpreters do before anything else; the rule for that is made
/// here, because the folder is in a file system that nobody else sees.
fn enter_empty_folder(ruleset: RawFd) -> Result<()> {
    let folder = mount::open_at(k::AT_FDCWD, EMPTY_FOLDER, k::O_DIRECTORY, 0)?;
    if ruleset >= 0 {
        process::let_list(ruleset, folder)?;
    }
    mount::change_folder(folder)?;
    file::close(folder);
    Ok(())
}

/// Shows a file or tree of the host, with these restrictions on all mounts in it.
fn show(tree: RawFd, reader: &mut Reader<'_>, attributes: u64) -> Result<()> {
    let copy = mount::copy_tree(reader.string()?)?;
    mount::restrict_mount(copy, attributes, true)?;
    mount::attach(copy, tree, reader.string()?)?;
    file::close(copy);
    Ok(())
}

fn build(tree: RawFd, reader: &mut Reader<'_>) -> Result<()> {
    match reader.word()? {
        operation::FOLDER => mount::make_folder_at(tree, reader.string()?, 0o755),
        operation::LINK => {
            let path = reader.string()?;
            mount::link_at(reader.string()?, tree, path)
        }
        operation::FILE => {
            let flags = k::O_WRONLY | k::O_CREAT | k::O_EXCL;
            let file = mount::open_at(tree, reader.string()?, flags, 0o444)?;
            file::close(file);
            Ok(())
        }
        operation::BIND => {
            let attributes = mount::READ_ONLY | mount::NO_SETUID | mount::NO_DEVICES;
            show(tree, reader, attributes)
        }
        operation::DEVICE => show(
            tree,
            reader,
            mount::READ_ONLY | mount::NO_SETUID | mount::NO_EXEC,
        ),
        operation::COVER => {
            let attributes = mount::READ_ONLY | mount::NO_SETUID | mount::NO_DEVICES;
            let empty = mount::new_memory_tree(EMPTY_SIZE, EMPTY_INODES, attributes)?;
            mount::attach(empty, tree, reader.string()?)?;
            file::close(empty);
            Ok(())
        }
        _ => Err(Errno(k::EBADMSG)),
    }
}
