//! Builds the program of the child's last filter, which takes away the calls that only the launcher needs.

use super::wire::instruction;

/// The number of instructions of [`last_filter`].
pub(crate) const LAST_FILTER_LENGTH: usize = 16;

/// Loads a word of `struct seccomp_data`.
const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

const fn load(offset: u32) -> [u8; 8] {
    instruction(LOAD, 0, 0, offset)
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> [u8; 8] {
    instruction(code, jt, jf, k)
}

const fn give(value: u32) -> [u8; 8] {
    instruction(RETURN, 0, 0, value)
}

/// The calls that carry the launcher's mark lie in these ranges: 46–157 and 302 and up. A call elsewhere is let through
/// at once, so that the kernel still knows without running the filter that `read` or `futex` are fine.
const MARKED_LOW: u32 = 46;
const MARKED_LOW_END: u32 = 158;
const MARKED_HIGH: u32 = 302;

/// The child's last filter: from now on a call that carries the launcher's mark kills the process. So a plugin has none of the
/// calls that only the launcher needs, even if it knows the mark. One call passes: the `execveat` that
/// carries this launch's own random numbers, in the upper halves of the first and the fifth argument.
pub(crate) const fn last_filter(mark: u64, cookies: [u32; 2]) -> [[u8; 8]; LAST_FILTER_LENGTH] {
    /// Offsets in `struct seccomp_data`: number, then arguments of eight bytes from 16.
    const NUMBER: u32 = 0;
    const FIRST_UPPER: u32 = 16 + 4;
    const FIFTH_UPPER: u32 = 16 + 4 * 8 + 4;
    const SIXTH_LOWER: u32 = 16 + 5 * 8;
    const SIXTH_UPPER: u32 = SIXTH_LOWER + 4;
    const EXECVEAT: u32 = 322;
    let [first, second] = cookies;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the halves are wanted apart"
    )]
    let (lower, upper) = (mark as u32, (mark >> 32) as u32);
    [
        load(NUMBER),
        jump(JUMP_AT_LEAST, MARKED_HIGH, 2, 0),
        jump(JUMP_AT_LEAST, MARKED_LOW_END, 12, 0),
        jump(JUMP_AT_LEAST, MARKED_LOW, 0, 11),
        load(SIXTH_LOWER),
        jump(JUMP_EQUAL, lower, 0, 9),
        load(SIXTH_UPPER),
        jump(JUMP_EQUAL, upper, 0, 7),
        load(NUMBER),
        jump(JUMP_EQUAL, EXECVEAT, 0, 4),
        load(FIRST_UPPER),
        jump(JUMP_EQUAL, first, 0, 2),
        load(FIFTH_UPPER),
        jump(JUMP_EQUAL, second, 1, 0),
        give(KILL_PROCESS),
        give(ALLOW),
    ]
}
