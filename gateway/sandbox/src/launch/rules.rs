//! Builds a Landlock ruleset: everything that the kernel can handle is handled, and only reading of named places is let through.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};

use crate::error::{Error, While};
use crate::plan::places::Places;

/// The lowest version that scopes signals and abstract sockets; below it a plugin could signal the gateway.
pub(crate) const VERSION_MIN: u32 = 6;

/// The versions whose access rights this file has been tested with, newest last.
const VERSIONS: [(u32, ABI); 2] = [(6, ABI::V6), (7, ABI::V7)];

/// Builds the ruleset for a kernel of the given Landlock version.
///
/// # Errors
/// When a place cannot be opened or the kernel refuses: nothing is skipped silently.
pub(crate) fn build(version: u32, places: &Places) -> Result<OwnedFd, Error> {
    let abi = tested(version)?;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(abi)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        .map_err(std::io::Error::other)
        .during("make a landlock ruleset")?;
    for (paths, access) in [
        (&places.read, AccessFs::ReadFile | AccessFs::ReadDir),
        (&places.execute, AccessFs::ReadFile | AccessFs::Execute),
    ] {
        for path in paths {
            let access = if path.is_dir() {
                access
            } else {
                access & AccessFs::from_file(abi)
            };
            ruleset = add(ruleset, path, access)?;
        }
    }
    let fd: Option<OwnedFd> = ruleset.into();
    fd.ok_or(rustix::io::Errno::NOSYS)
        .during("make a landlock ruleset")
}

fn add(
    ruleset: landlock::RulesetCreated,
    path: &PathBuf,
    access: BitFlags<AccessFs>,
) -> Result<landlock::RulesetCreated, Error> {
    let place = PathFd::new(path)
        .map_err(std::io::Error::other)
        .during("open a folder that plugins may read")?;
    ruleset
        .add_rule(PathBeneath::new(place, access))
        .map_err(std::io::Error::other)
        .during("add a landlock rule")
}

/// The newest tested version that the kernel has.
fn tested(version: u32) -> Result<ABI, Error> {
    VERSIONS
        .iter()
        .rev()
        .find(|(known, _)| *known <= version)
        .map(|(_, abi)| *abi)
        .ok_or(rustix::io::Errno::NOSYS)
        .during("use landlock of this version")
}
