//! What a launcher is told: what to put on, and what to start. The parts come in the order in which `sys::launcher` reads them
//! (`wear.rs` and `child.rs`); the tests here check that.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::Error;
use crate::filter::Wanted;
use crate::launch::letter::Letter;
use crate::launch::means::{self, Means};
use crate::plan::layout::Layout;
use crate::plan::runtimes::environment::Environment;

/// What a launcher puts on once, for itself and so for every plugin that it starts.
#[derive(Debug)]
pub(crate) struct Outfit {
    /// Flags of the namespaces to enter.
    pub(crate) namespaces: i32,
    /// The private root, where there is a mount namespace.
    pub(crate) root: Option<Layout>,
    /// The system-call filter.
    pub(crate) wanted: Wanted,
    /// The rules of every plugin's Landlock domain.
    pub(crate) ruleset: Option<OwnedFd>,
    /// Resource limits that are the same for every plugin.
    pub(crate) limits: Vec<(u32, u64)>,
}

/// One plugin to start.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// As root: the user and group id to become.
    pub(crate) user: Option<u32>,
    /// The numbers by which the last filter recognises this launch's exec.
    pub(crate) cookies: [u32; 2],
    /// The limit on descriptors.
    pub(crate) descriptors: u64,
    /// Resource limits, soft and hard alike.
    pub(crate) limits: &'a [(u32, u64)],
    /// The program's name and arguments.
    pub(crate) arguments: &'a [CString],
    /// The program's environment; empty but for some interpreters.
    pub(crate) environment: &'a Environment,
    /// What becomes descriptors 0, 1 and 2.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// The program to run; none for a rehearsal, which stops short of exec.
    pub(crate) program: Option<BorrowedFd<'a>>,
    /// The control group to be born in (version 2).
    pub(crate) birthplace: Option<BorrowedFd<'a>>,
    /// The files into which to write to enter control groups (version 1).
    pub(crate) doors: Vec<BorrowedFd<'a>>,
}

impl Outfit {
    /// The first message, as the launcher reads it.
    pub(super) fn letter<'a>(
        &'a self,
        means: &'a Means,
        lifeline: BorrowedFd<'a>,
        mark: u64,
        filter: &[libc::sock_filter],
    ) -> Result<Letter<'a>, Error> {
        let mut letter = Letter::default();
        letter.flags(self.namespaces & !means::NAMESPACES_OF_EACH);
        letter.flags(self.namespaces & (means::NAMESPACES_OF_EACH | libc::CLONE_NEWUSER));
        letter.word(std::process::id());
        letter.yes(means.uids.is_some());
        letter.long(mark);
        letter.yes(self.wanted.reported);
        letter.yes(self.ruleset.is_some());
        for map in means.id_maps(self.namespaces)? {
            letter.text(map.as_bytes());
        }
        letter.root(self.root.as_ref());
        letter.limits(&self.limits);
        letter.filter(filter);
        letter.descriptor(lifeline);
        letter.descriptor(means.folder.as_fd());
        if let Some(ruleset) = &self.ruleset {
            letter.descriptor(ruleset.as_fd());
        }
        Ok(letter)
    }
}

impl<'a> Start<'a> {
    /// The request, as the launcher reads it.
    pub(super) fn letter(&self, reply: BorrowedFd<'a>) -> Letter<'a> {
        let mut letter = Letter::default();
        letter.yes(self.user.is_some());
        letter.word(self.user.unwrap_or(0));
        let [first, second] = self.cookies;
        letter.word(first);
        letter.word(second);
        letter.long(self.descriptors);
        letter.descriptor(reply);
        for fd in self.stdio {
            letter.descriptor(fd);
        }
        letter.descriptor_if(self.program);
        letter.descriptor_if(self.birthplace);
        letter.count(self.doors.len());
        for &door in &self.doors {
            letter.descriptor(door);
        }
        letter.limits(self.limits);
        letter.strings(self.arguments);
        letter.strings(self.environment.variables());
        letter
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::host::rehearsal;
    use crate::settings::Settings;
    use crate::sys::launcher::child::{Order, Pointers};
    use crate::sys::launcher::message::{self, Descriptors, Message, Reader};
    use crate::sys::launcher::wear::{self, Worn};
    use crate::sys::launcher::wire::{BODY_BYTES_MAX, ENVIRONMENT_MAX, PACKET_BYTES, operation};

    /// A descriptor that is told from any other by what it refers to.
    fn file(name: &str) -> OwnedFd {
        rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC).unwrap()
    }

    fn name_of(fd: i32) -> String {
        let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
        link.display().to_string().replace(" (deleted)", "")
    }

    /// Sends a letter and hands what came to `read`, as the launcher's own code received it.
    fn carried(letter: Letter<'_>, read: impl FnOnce(&[u8], &mut Descriptors)) {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let kind = SocketType::SEQPACKET;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        assert!(letter.close().unwrap().send(ours.as_fd()).unwrap());
        let mut buffer = vec![0; BODY_BYTES_MAX];
        let message = message::next(theirs.as_raw_fd(), &mut buffer).unwrap();
        let Message {
            body,
            mut descriptors,
        } = message.unwrap();
        read(body.unwrap(), &mut descriptors);
        descriptors.close();
        drop(ours);
        let end = message::next(theirs.as_raw_fd(), &mut buffer).unwrap();
        assert!(end.is_none());
    }

    const WORN: Worn = Worn {
        gateway: -1,
        ruleset: -1,
        namespaces: 0,
        mark: 0,
    };

    fn order_comes_as_it_was_sent(arguments: &[CString], environment: &Environment) {
        let names = [
            "reply", "in", "out", "err", "program", "birth", "door0", "door1", "door2",
        ];
        let files = names.map(file);
        let [
            reply,
            stdin,
            stdout,
            stderr,
            program,
            birthplace,
            doors @ ..,
        ] = &files;
        let start = Start {
            user: Some(11),
            cookies: [12, 13],
            descriptors: 14,
            limits: &[(15, 16), (17, 18)],
            arguments,
            environment,
            stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            program: Some(program.as_fd()),
            birthplace: Some(birthplace.as_fd()),
            doors: doors.iter().map(AsFd::as_fd).collect(),
        };
        carried(start.letter(reply.as_fd()), |body, descriptors| {
            assert_eq!(name_of(descriptors.take().unwrap()), "/memfd:reply");
            let mut room = Pointers::NONE;
            let order = Order::read(WORN, body, descriptors, &mut room).unwrap();
            assert_eq!(
                (order.user, order.cookies, order.descriptors),
                (Some(11), [12, 13], 14)
            );
            let mut limits = Vec::new();
            let each = order.limits.each(|kind, value| {
                limits.push((kind, value));
                Ok(())
            });
            assert!(each.is_ok() && limits == [(15, 16), (17, 18)]);
            assert_eq!(order.words(), [arguments, environment.variables()]);
            let descriptors = order
                .stdio
                .into_iter()
                .chain([order.program, order.birthplace]);
            let seen: Vec<_> = descriptors.chain(order.doors).map(name_of).collect();
            let sent: Vec<_> = names[1..]
                .iter()
                .map(|name| format!("/memfd:{name}"))
                .collect();
            assert_eq!(seen, sent);
        });
    }

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let words = [c"plugin".into(), c"".into(), c"last".into()];
        let variables = [c"SEED=0"; ENVIRONMENT_MAX];
        for count in [0, 1, ENVIRONMENT_MAX] {
            order_comes_as_it_was_sent(&words, &Environment::of_test(&variables[..count]));
        }
    }

    #[test]
    fn a_long_order_is_read_as_it_was_written() {
        let words: Vec<_> = (0..256_usize)
            .map(|at| CString::new(format!("{at:x>4096}")).unwrap())
            .collect();
        order_comes_as_it_was_sent(&words, &Environment::of_test(&[c"SEED=0"]));
        // About the length at which a body goes into a file.
        for bytes in PACKET_BYTES - 200..PACKET_BYTES + 200 {
            let words = [CString::new(vec![b'x'; bytes]).unwrap()];
            order_comes_as_it_was_sent(&words, &Environment::EMPTY);
        }
    }

    #[test]
    fn what_an_order_leaves_out_is_read_as_left_out() {
        let (reply, stdio) = (file("reply"), file("stdio"));
        let start = Start {
            user: None,
            cookies: [0; 2],
            descriptors: 3,
            limits: &[],
            arguments: &[],
            environment: &Environment::EMPTY,
            stdio: [stdio.as_fd(); 3],
            program: None,
            birthplace: None,
            doors: Vec::new(),
        };
        carried(start.letter(reply.as_fd()), |body, descriptors| {
            descriptors.take().unwrap();
            let mut room = Pointers::NONE;
            let order = Order::read(WORN, body, descriptors, &mut room).unwrap();
            assert_eq!(
                (order.user, order.program, order.birthplace),
                (None, -1, -1)
            );
            assert_eq!(order.doors, [-1; 3]);
            assert!(order.words().iter().all(Vec::is_empty));
        });
    }

    fn wanted(reported: bool) -> Wanted {
        Wanted {
            class: crate::Class::Static,
            makes_code: false,
            wakes_shared: true,
            private_root: true,
            reported,
            kills_refused: false,
            names_reads: false,
            extra_calls: Vec::new(),
        }
    }

    #[test]
    fn an_outfit_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().canonicalize().unwrap().join("link");
        std::os::unix::fs::symlink("file", &place).unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        let mut means = rehearsal::means(&Settings::default()).unwrap();
        means.folder = file("folder");
        let lifeline = file("lifeline");
        let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
        for (reported, ruleset) in [(true, None), (false, Some(file("ruleset")))] {
            let outfit = Outfit {
                namespaces,
                root: Some(
                    Layout::plan(std::slice::from_ref(&place), Some(folder.path()), None).unwrap(),
                ),
                wanted: wanted(reported),
                ruleset,
                limits: vec![(21, 22), (23, 24)],
            };
            let filter = [(1, 2, 3, 4), (5, 6, 7, 8)].map(|(code, jt, jf, k)| libc::sock_filter {
                code,
                jt,
                jf,
                k,
            });
            let letter = outfit
                .letter(&means, lifeline.as_fd(), 25, &filter)
                .unwrap();
            carried(letter, |body, descriptors| {
                let wanted = wear::Wanted::read(body, descriptors).unwrap();
                assert_eq!(wanted.namespaces, libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
                let of_each = libc::CLONE_NEWUSER | libc::CLONE_NEWPID;
                assert_eq!(wanted.child_namespaces, of_each);
                assert_eq!(wanted.parent, usize::try_from(std::process::id()).unwrap());
                assert_eq!(wanted.is_root, means.uids.is_some());
                assert_eq!((wanted.mark, wanted.reported), (25, reported));
                let maps = means.id_maps(namespaces).unwrap();
                assert_eq!(
                    [wanted.uid_map, wanted.gid_map],
                    [maps[0].as_bytes(), maps[1].as_bytes()]
                );
                let (count, reader) = wanted.root.unwrap();
                assert_eq!(count, outfit.root.as_ref().unwrap().operations().len());
                let read = operations(count, reader);
                assert_eq!(read, outfit.root.as_ref().unwrap().operations());
                let mut limits = Vec::new();
                let each = wanted.limits.each(|kind, value| {
                    limits.push((kind, value));
                    Ok(())
                });
                assert!(each.is_ok() && limits == outfit.limits);
                assert_eq!(
                    wanted.filter,
                    [1, 0, 2, 3, 4, 0, 0, 0, 5, 0, 6, 7, 8, 0, 0, 0]
                );
                assert_eq!(name_of(wanted.gateway), "/memfd:lifeline");
                assert_eq!(name_of(wanted.folder), "/memfd:folder");
                if outfit.ruleset.is_some() {
                    assert_eq!(name_of(wanted.ruleset), "/memfd:ruleset");
                } else {
                    assert_eq!(wanted.ruleset, -1);
                }
            });
        }
    }

    /// The operations of a private root, in the order in which the launcher's `build` takes their parts.
    fn operations(count: usize, mut reader: Reader<'_>) -> Vec<crate::plan::layout::Operation> {
        use crate::plan::layout::Operation;
        let mut read = Vec::new();
        for _ in 0..count {
            let kind = reader.word().unwrap();
            let mut path = || CString::from(reader.string().unwrap());
            read.push(match kind {
                operation::FOLDER => Operation::Folder(path()),
                operation::FILE => Operation::File(path()),
                operation::LINK => Operation::Link {
                    path: path(),
                    target: path(),
                },
                operation::BIND => Operation::Bind {
                    source: path(),
                    path: path(),
                },
                operation::COVER => Operation::Cover(path()),
                other => panic!("{other}"),
            });
        }
        read
    }
}
