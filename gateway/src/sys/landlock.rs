//! The one question about Landlock that its crate does not answer: which version this kernel has.

/// `LANDLOCK_CREATE_RULESET_VERSION` of landlock_create_ruleset(2).
const VERSION: usize = 1;

/// The kernel's Landlock version; 0 when there is none or it is switched off.
pub(crate) fn version() -> u32 {
    // SAFETY: with this flag the call takes no structure, which null and zero say.
    let result =
        unsafe { super::bare::call(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0, 0]) };
    result
        .ok()
        .and_then(|version| u32::try_from(version).ok())
        .unwrap_or(0)
}
