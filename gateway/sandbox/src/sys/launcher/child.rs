//! The ordered steps of one child from clone to exec. They run in the launcher's memory while the launcher waits; nothing
//! here decides anything.

use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::bare::{self, Cookies, Errno, RawFd, Result};
use super::kernel as k;
use super::last::last_filter;
use super::message::{Descriptors, Limits, Reader};
use super::process;
use super::wear::{At, Failed, Worn};
use super::wire::{ARGUMENTS_MAX, ENVIRONMENT_MAX, Step};

/// Exit code of a child that failed before exec. The plugin never runs then, so it cannot be mistaken for the plugin's.
const FAILED: u8 = 127;

/// One request. It is still in its buffer, except for the pointers to the arguments and variables.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) worn: Worn,
    /// As root: the user and group id to become.
    pub(crate) user: Option<u32>,
    pub(crate) cookies: Cookies,
    pub(crate) descriptors: u64,
    pub(crate) limits: Limits<'a>,
    /// Pointers to the arguments, then null.
    arguments: &'a [Argument],
    /// Pointers to the variables of the environment, then null.
    environment: &'a [Argument],
    pub(crate) stdio: [RawFd; 3],
    /// The program to run; -1 for a rehearsal, which stops short of exec.
    pub(crate) program: RawFd,
    /// The control group to be born in, or -1.
    pub(crate) birthplace: RawFd,
    /// The files into which to write to enter control groups, each -1 when there is none.
    pub(crate) doors: [RawFd; DOORS_MAX],
    failure: Failure,
}

/// A pointer into the message that an order was read from, or null.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Argument(*const u8);

// SAFETY: it points into the message that the order was read from, which nobody changes as long as the order exists.
unsafe impl Sync for Argument {}

impl Argument {
    /// No argument.
    pub(crate) const NONE: Self = Self(core::ptr::null());
}

/// A failed step and the kernel's error number, zero while there is none.
#[derive(Debug, Default)]
struct Failure {
    step: AtomicU32,
    errno: AtomicI32,
}

/// Room for the pointers of one order: to its arguments, and to the variables of the environment, each with the null that ends them.
#[derive(Debug)]
pub(crate) struct Pointers {
    arguments: [Argument; ARGUMENTS_MAX + 1],
    environment: [Argument; ENVIRONMENT_MAX + 1],
}

impl Pointers {
    /// Empty room.
    pub(crate) const NONE: Self = Self {
        arguments: [Argument::NONE; ARGUMENTS_MAX + 1],
        environment: [Argument::NONE; ENVIRONMENT_MAX + 1],
    };
}

impl<'a> Order<'a> {
    /// Reads a request.
    pub(crate) fn read(
        worn: Worn,
        message: &'a [u8],
        fds: &mut Descriptors,
        pointers: &'a mut Pointers,
    ) -> Result<Self> {
        let mut reader = Reader::new(message);
        let (changes_user, user) = (reader.yes()?, reader.word()?);
        let cookies = [reader.word()?, reader.word()?];
        let descriptors = reader.long()?;
        let (has_program, has_birthplace) = (reader.yes()?, reader.yes()?);
        let door_count = reader.count()?;
        let limits = reader.limits()?;
        let arguments = strings(&mut reader, &mut pointers.arguments)?;
        let environment = strings(&mut reader, &mut pointers.environment)?;
        Ok(Self {
            worn,
            user: changes_user.then_some(user),
            cookies,
            descriptors,
            limits,
            arguments,
            environment,
            stdio: [fds.take()?, fds.take()?, fds.take()?],
            program: fds.take_if(has_program)?,
            birthplace: fds.take_if(has_birthplace)?,
            doors: doors(door_count, fds)?,
            failure: Failure::default(),
        })
    }

    /// The arguments, and the variables of the environment.
    #[cfg(test)]
    pub(crate) fn words(&self) -> [Vec<std::ffi::CString>; 2] {
        [self.arguments, self.environment].map(|list| {
            let pointers = list.iter().map(|argument| argument.0);
            let words = pointers.take_while(|pointer| !pointer.is_null());
            // SAFETY: each points to a C string of the message that the order was read from.
            words
                .map(|pointer| unsafe { core::ffi::CStr::from_ptr(pointer.cast()) }.to_owned())
                .collect()
        })
    }

    /// The failed step, once the child is out of this memory.
    pub(crate) fn failure(&self) -> Option<(u32, i32)> {
        match self.failure.errno.load(Ordering::Acquire) {
            0 => None,
            errno => Some((self.failure.step.load(Ordering::Relaxed), errno)),
        }
    }
}

/// Pointers to the strings that come next, as many as there is room for, and the null that ends them.
fn strings<'a>(reader: &mut Reader<'_>, room: &'a mut [Argument]) -> Result<&'a [Argument]> {
    let count = reader.count()?;
    for at in 0..count {
        let string = Argument(reader.string()?.as_ptr().cast());
        *room.get_mut(at).ok_or(Errno(k::E2BIG))? = string;
    }
    *room.get_mut(count).ok_or(Errno(k::E2BIG))? = Argument::NONE;
    room.get(..=count).ok_or(Errno(k::E2BIG))
}

/// The most control-group hierarchies that a child enters by itself: memory, processes and processors.
const DOORS_MAX: usize = 3;

fn doors(count: usize, fds: &mut Descriptors) -> Result<[RawFd; DOORS_MAX]> {
    let mut doors = [-1; DOORS_MAX];
    for at in 0..count {
        *doors.get_mut(at).ok_or(Errno(k::E2BIG))? = fds.take()?;
    }
    Ok(doors)
}

/// The child's whole life before exec. Returns its exit code when a step failed, or when this was a rehearsal.
pub(crate) fn live(order: &Order<'_>) -> u8 {
    match run(order) {
        Ok(()) => 0,
        Err((step, errno)) => {
            order.failure.step.store(step as u32, Ordering::Relaxed);
            order.failure.errno.store(errno.0, Ordering::Release);
            FAILED
        }
    }
}

/// The list. Each comment says why the step stands where it does.
fn run(order: &Order<'_>) -> core::result::Result<(), Failed> {
    // Before the first thing that the plugin could be charged for, and while these numbers are descriptors.
    for &door in order.doors.iter().filter(|&&door| door >= 0) {
        process::enter_group(door).at(Step::ControlGroups)?;
    }
    // The launcher has already done everything that needs privilege. Before the death signal, because the kernel
    // clears that signal when privileges change.
    give_up_privileges(order.user).at(Step::Identity)?;
    process::die_with_parent().at(Step::DeathSignal)?;
    // After the death signal is set, and before the check for a gateway that died before that. Starting a session takes
    // the lock under which a dying parent's children get a new parent, so either the signal comes or the check sees the death.
    process::new_session().at(Step::Session)?;
    check_gateway(order.worn.gateway).at(Step::ParentCheck)?;
    place_descriptors(order.stdio).at(Step::Descriptors)?;
    // After the user id changed, so that the process limit counts the new user's processes.
    order.limits.each(process::limit).at(Step::Rlimits)?;
    // A domain of its own for each child, or siblings could signal each other.
    if order.worn.ruleset >= 0 {
        process::restrict(order.worn.ruleset).at(Step::Landlock)?;
    }
    // After everything that opens a descriptor.
    process::limit(k::RLIMIT_NOFILE, order.descriptors).at(Step::Rlimits)?;
    // Last: from here on a call that carries the mark kills the process, except the one exec.
    let last = last_filter(order.worn.mark, order.cookies);
    process::install_filter(&last, false).at(Step::Seccomp)?;
    if order.program < 0 {
        return Ok(());
    }
    Err((Step::Exec, exec(order)))
}

fn exec(order: &Order<'_>) -> Errno {
    let [arguments, environment] = [order.arguments, order.environment].map(|list| {
        // SAFETY: an `Argument` is nothing but its pointer.
        unsafe { core::slice::from_raw_parts(list.as_ptr().cast::<*const u8>(), list.len()) }
    });
    process::execute(order.program, arguments, environment, order.cookies)
}

/// As root, one user of the pool; and no capability for anyone. The launcher has emptied the groups and the bounding set.
fn give_up_privileges(user: Option<u32>) -> Result<()> {
    if let Some(id) = user {
        process::set_group(id)?;
        process::set_user(id)?;
    }
    process::keep_capabilities(0)
}

fn check_gateway(gateway: RawFd) -> Result<()> {
    if process::has_ended(gateway)? {
        Err(Errno(k::ESRCH))
    } else {
        Ok(())
    }
}

/// Exactly three descriptors survive exec. Sources have higher numbers, so that no copy overwrites a later source.
fn place_descriptors(stdio: [RawFd; 3]) -> Result<()> {
    for (target, source) in (0..).zip(stdio) {
        bare::duplicate_onto(source, target)?;
    }
    bare::close_on_exec(3, u32::MAX)
}
