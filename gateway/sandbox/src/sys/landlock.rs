//! The one question about Landlock that its crate does not answer: which version this kernel has.

/// `LANDLOCK_CREATE_RULESET_VERSION` of landlock_create_ruleset(2).
const VERSION: u32 = 1;

/// The kernel's Landlock version; 0 when there is none or it is switched off.
pub(crate) fn version() -> u32 {
    let nothing: *const libc::c_void = std::ptr::null();
    // SAFETY: with this flag the call takes no structure, which null and zero say.
    let result =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, VERSION) };
    u32::try_from(result).unwrap_or(0)
}
