//! Turns a policy (number → verdict) into a classic BPF program that finds its verdict by binary search.
//!
//! No crate is used: `seccompiler` gives a filter one matching action, so that five verdicts would mean five filters, all of
//! which the kernel has to process at every start, and its comparisons form a linear chain. The kernel's time to attach a filter
//! grows with the number of instructions on the way to each call number, and a tree keeps that at about ten.

use std::collections::BTreeMap;

use libc::sock_filter;

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes through.
    Allow,
    /// It fails with this error number.
    Errno(u16),
    /// It is reported to the supervisor, which ends the plugin or answers with an error.
    Report,
    /// The process is killed at once.
    Kill,
    /// It goes through when every check of one of the lists holds; else it gets the second verdict, which must not be a `When`.
    When(Vec<Vec<Check>>, Box<Verdict>),
    /// It fails with this error number when every check holds; else it gets the second verdict.
    FailsWhen(Vec<Check>, u16, Box<Verdict>),
}

/// A test on one half of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Check {
    /// Which argument, from 0.
    pub(crate) argument: u8,
    /// Whether the upper 32 bits are meant. Arguments that the kernel reads as ints have only a lower half.
    pub(crate) upper: bool,
    /// Bits that count.
    pub(crate) mask: u32,
    /// Whether those bits must equal `value` or must differ from it.
    pub(crate) equal: bool,
    /// The value compared with.
    pub(crate) value: u32,
}

/// Loads a word of `struct seccomp_data` into the accumulator.
const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const JUMP_ALWAYS: u32 = libc::BPF_JMP | libc::BPF_JA;
const JUMP_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// Offsets in `struct seccomp_data`: number, architecture, first argument.
const AT_NUMBER: u32 = 0;
const AT_ARCH: u32 = 4;
const AT_ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_X86_64` of audit.h.
pub(crate) const ARCH_X86_64: u32 = 0xc000_003e;
/// `__X32_SYSCALL_BIT`: numbers from here up belong to the x32 ABI, or to nothing (-1 after a tracer's skip).
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// Builds the program. Calls without a verdict get `otherwise`; foreign ABIs are killed.
pub(crate) fn assemble(policy: &BTreeMap<u32, Verdict>, otherwise: &Verdict) -> Vec<sock_filter> {
    let mut program = vec![
        instruction(LOAD, AT_ARCH),
        branch(JUMP_EQUAL, ARCH_X86_64, 1, 0),
        instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(LOAD, AT_NUMBER),
        branch(JUMP_AT_LEAST, X32_BIT, 0, 1),
        instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
    ];
    program.extend(search(&ranges(policy, otherwise)));
    program
}

/// Consecutive numbers with the same verdict, each given by its first number; the first starts at 0.
fn ranges<'a>(
    policy: &'a BTreeMap<u32, Verdict>,
    otherwise: &'a Verdict,
) -> Vec<(u32, &'a Verdict)> {
    let mut ranges: Vec<(u32, &Verdict)> = vec![(0, otherwise)];
    let mut next = 0;
    for (&number, verdict) in policy {
        if number > next {
            push(&mut ranges, next, otherwise);
        }
        push(&mut ranges, number, verdict);
        next = number + 1;
    }
    push(&mut ranges, next, otherwise);
    ranges
}

fn push<'a>(ranges: &mut Vec<(u32, &'a Verdict)>, first: u32, verdict: &'a Verdict) {
    match ranges.last_mut() {
        Some(last) if last.1 == verdict => {}
        Some(last) if last.0 == first => last.1 = verdict,
        Some(_) | None => ranges.push((first, verdict)),
    }
}

/// The search tree over ranges; the number is in the accumulator.
fn search(ranges: &[(u32, &Verdict)]) -> Vec<sock_filter> {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let Some((pivot, verdict)) = high.first() else {
        return Vec::new();
    };
    if low.is_empty() {
        return leaf(verdict);
    }
    let (low, high) = (search(low), search(high));
    let mut tree = jump_over(JUMP_AT_LEAST, *pivot, low.len());
    tree.extend(low);
    tree.extend(high);
    tree
}

/// A test that, when true, skips the next `count` instructions, also when that is more than a test can skip by itself.
fn jump_over(code: u32, value: u32, count: usize) -> Vec<sock_filter> {
    match u8::try_from(count) {
        Ok(near) => vec![branch(code, value, near, 0)],
        // A program has at most 4,096 instructions, so that the distance fits.
        Err(_) => vec![
            branch(code, value, 0, 1),
            instruction(JUMP_ALWAYS, u32::try_from(count).unwrap_or(u32::MAX)),
        ],
    }
}

fn leaf(verdict: &Verdict) -> Vec<sock_filter> {
    match verdict {
        Verdict::Allow => vec![instruction(RETURN, libc::SECCOMP_RET_ALLOW)],
        Verdict::Errno(errno) => vec![instruction(RETURN, failing(*errno))],
        Verdict::Report => vec![instruction(RETURN, libc::SECCOMP_RET_USER_NOTIF)],
        Verdict::Kill => vec![instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS)],
        Verdict::When(lists, otherwise) => {
            let allowed = |checks: &Vec<Check>| all_of(checks, libc::SECCOMP_RET_ALLOW);
            let mut code: Vec<sock_filter> = lists.iter().flat_map(allowed).collect();
            code.extend(leaf(otherwise));
            code
        }
        Verdict::FailsWhen(checks, errno, otherwise) => {
            let mut code = all_of(checks, failing(*errno));
            code.extend(leaf(otherwise));
            code
        }
    }
}

fn failing(errno: u16) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::from(errno)
}

/// Returns this when every check holds; else execution goes on behind these instructions.
fn all_of(checks: &[Check], then: u32) -> Vec<sock_filter> {
    let mut code = vec![instruction(RETURN, then)];
    for check in checks.iter().rev() {
        // A list is a handful of checks of at most three instructions, so that the distance fits.
        let skip = u8::try_from(code.len()).unwrap_or(u8::MAX);
        let (when_equal, when_not) = if check.equal { (0, skip) } else { (skip, 0) };
        let half = if check.upper { 4 } else { 0 };
        let mut test = vec![instruction(
            LOAD,
            AT_ARGUMENTS + 8 * u32::from(check.argument) + half,
        )];
        if check.mask != u32::MAX {
            test.push(instruction(AND, check.mask));
        }
        test.push(branch(JUMP_EQUAL, check.value, when_equal, when_not));
        test.append(&mut code);
        code = test;
    }
    code
}

fn instruction(code: u32, k: u32) -> sock_filter {
    branch(code, k, 0, 0)
}

fn branch(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    // Every code above is below 256.
    sock_filter {
        code: u16::try_from(code).unwrap_or(u16::MAX),
        jt,
        jf,
        k,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs a program as the kernel would, on the given call.
    pub(crate) fn simulate(program: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        data.extend(args.iter().flat_map(|arg| arg.to_le_bytes()));
        let (mut at, mut accumulator) = (0_usize, 0_u32);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            match u32::from(code) {
                LOAD => {
                    let offset = usize::try_from(k).unwrap();
                    accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
                }
                AND => accumulator &= k,
                JUMP_ALWAYS => at += usize::try_from(k).unwrap(),
                JUMP_EQUAL => at += usize::from(if accumulator == k { jt } else { jf }),
                JUMP_AT_LEAST => at += usize::from(if accumulator >= k { jt } else { jf }),
                RETURN => return k,
                other => panic!("unknown instruction {other}"),
            }
        }
    }

    fn check(argument: u8, mask: u32, equal: bool, value: u32) -> Check {
        Check {
            argument,
            upper: false,
            mask,
            equal,
            value,
        }
    }

    #[test]
    fn every_number_gets_its_own_verdict() {
        let mut policy = BTreeMap::new();
        for number in 0..500 {
            let verdict = match number % 7 {
                0 => Verdict::Allow,
                1 | 2 => Verdict::Errno(13),
                3 => Verdict::Report,
                4 => Verdict::When(
                    vec![vec![check(0, u32::MAX, true, 9)]],
                    Box::new(Verdict::Kill),
                ),
                _ => continue,
            };
            policy.insert(number, verdict);
        }
        let program = assemble(&policy, &Verdict::Errno(38));
        for number in 0..600 {
            let expected = match policy.get(&number) {
                Some(Verdict::Allow) => libc::SECCOMP_RET_ALLOW,
                Some(Verdict::Errno(13)) => libc::SECCOMP_RET_ERRNO | 13,
                Some(Verdict::Report) => libc::SECCOMP_RET_USER_NOTIF,
                Some(_) => libc::SECCOMP_RET_KILL_PROCESS,
                None => libc::SECCOMP_RET_ERRNO | 38,
            };
            assert_eq!(
                simulate(&program, ARCH_X86_64, number, [0; 6]),
                expected,
                "call {number}"
            );
        }
        assert_eq!(
            simulate(&program, ARCH_X86_64, 4, [9, 0, 0, 0, 0, 0]),
            libc::SECCOMP_RET_ALLOW
        );
    }

    #[test]
    fn foreign_abis_are_killed() {
        let policy = BTreeMap::from([(0, Verdict::Allow)]);
        let program = assemble(&policy, &Verdict::Allow);
        assert_eq!(
            simulate(&program, 0x4000_0003, 0, [0; 6]),
            libc::SECCOMP_RET_KILL_PROCESS
        );
        assert_eq!(
            simulate(&program, ARCH_X86_64, X32_BIT, [0; 6]),
            libc::SECCOMP_RET_KILL_PROCESS
        );
        assert_eq!(
            simulate(&program, ARCH_X86_64, u32::MAX, [0; 6]),
            libc::SECCOMP_RET_KILL_PROCESS
        );
        assert_eq!(
            simulate(&program, ARCH_X86_64, X32_BIT - 1, [0; 6]),
            libc::SECCOMP_RET_ALLOW
        );
    }

    #[test]
    fn lists_are_alternatives_and_checks_are_joined() {
        let lists = vec![
            vec![check(0, 0xff, true, 1), check(1, 0x10, false, 0x10)],
            vec![Check {
                argument: 2,
                upper: true,
                mask: u32::MAX,
                equal: true,
                value: 7,
            }],
        ];
        let policy = BTreeMap::from([(5, Verdict::When(lists, Box::new(Verdict::Errno(1))))]);
        let program = assemble(&policy, &Verdict::Kill);
        let run = |args| simulate(&program, ARCH_X86_64, 5, args);
        assert_eq!(run([0x101, 0, 0, 0, 0, 0]), libc::SECCOMP_RET_ALLOW);
        assert_eq!(run([0x101, 0x10, 0, 0, 0, 0]), libc::SECCOMP_RET_ERRNO | 1);
        assert_eq!(run([2, 0, 7 << 32, 0, 0, 0]), libc::SECCOMP_RET_ALLOW);
        assert_eq!(run([2, 0, 7, 0, 0, 0]), libc::SECCOMP_RET_ERRNO | 1);
    }
}
