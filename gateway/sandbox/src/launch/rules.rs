//! Builds a Landlock ruleset: everything that the kernel can handle is handled, and only reading of named places is let through.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};

use crate::error::{Error, While};
use crate::plan::places::Places;

/// The versions whose access rights this file has been tested with, newest last.
const VERSIONS: [(u32, ABI); 7] = [
    (1, ABI::V1),
    (2, ABI::V2),
    (3, ABI::V3),
    (4, ABI::V4),
    (5, ABI::V5),
    (6, ABI::V6),
    (7, ABI::V7),
];

/// The newest of them. A newer kernel is asked for no more than this.
pub(crate) const VERSION_MAX: u32 = 7;

/// Builds the ruleset for a kernel of the given Landlock version.
///
/// # Errors
/// When a place cannot be opened or the kernel refuses: nothing is skipped silently.
pub(crate) fn build(version: u32, places: &Places) -> Result<OwnedFd, Error> {
    let abi = tested(version)?;
    let mut ruleset = handling(abi)
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

/// Everything that this version knows. Network comes with 4 and scopes with 6; an empty set is an error to the crate.
fn handling(abi: ABI) -> Result<Ruleset, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    let (network, scopes) = (AccessNet::from_all(abi), Scope::from_all(abi));
    if !network.is_empty() {
        ruleset = ruleset.handle_access(network)?;
    }
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes)?;
    }
    Ok(ruleset)
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
