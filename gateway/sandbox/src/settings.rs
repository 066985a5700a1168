//! What an operator can choose about the sandbox, with defaults that need no choosing.

use std::ops::Range;

use crate::layer::Layer;
use crate::plan::runtimes::Runtimes;

/// The default pools, best first. The systemd table of user ids (UIDS-GIDS) leaves 1,879,048,192–2,147,483,647 unused, which also lies above
/// every range that `useradd` gives out as subordinate ids: there is room for several gateways that each run some thousand plugins at
/// once. Inside a container that maps only 65,536 ids, 60,706–61,183 is unused: enough for four gateways that each run as many at once as
/// one manifest may allow (100).
const UID_POOLS: [Range<u32>; 2] = [2_000_000_000..2_000_016_384, 60_706..61_154];

/// The operator's choices.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The interpreters that plugins may name.
    pub runtimes: Runtimes,
    /// User ids that plugins run under when the gateway is root; one run holds one id.
    pub uid_pool: Range<u32>,
    /// Required layers that the operator is willing to do without on this host.
    pub allow_missing: Vec<Layer>,
    /// Layers that are treated as missing on this host, for tests and benches.
    pub pretend: Pretend,
}

/// A poorer host than this one. It only ever takes layers away, and two layers against each threat are still required. All the
/// same, only tests and benches set it: neither the command, nor `config.toml`, nor any environment variable does.
#[derive(Debug, Clone, Default)]
pub struct Pretend {
    /// No newer Landlock than this version; 0 for none at all.
    pub landlock: Option<u32>,
    /// No control groups.
    pub no_cgroup: bool,
    /// No namespaces of any kind.
    pub no_namespaces: bool,
    /// No listener for forbidden calls.
    pub no_listener: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            runtimes: Runtimes::default(),
            uid_pool: default_uid_pool(),
            allow_missing: Vec::new(),
            pretend: Pretend::default(),
        }
    }
}

/// The first default pool whose ids exist in the gateway's own user namespace.
fn default_uid_pool() -> Range<u32> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let [best, narrow] = UID_POOLS;
    if is_mapped(&map, &best) { best } else { narrow }
}

/// Whether one line of a `uid_map` covers the whole pool (`inside outside count`, user_namespaces(7)).
fn is_mapped(map: &str, pool: &Range<u32>) -> bool {
    map.lines().any(|line| {
        let mut fields = line
            .split_whitespace()
            .filter_map(|field| field.parse::<u64>().ok());
        match (fields.next(), fields.next(), fields.next()) {
            (Some(inside), Some(_), Some(count)) => {
                inside <= u64::from(pool.start) && u64::from(pool.end) <= inside + count
            }
            (_, _, _) => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_mapped_only_when_one_line_covers_it() {
        assert!(is_mapped(
            "         0          0 4294967295\n",
            &UID_POOLS[0]
        ));
        assert!(!is_mapped("0 100000 65536\n", &UID_POOLS[0]));
        assert!(is_mapped("0 100000 65536\n", &UID_POOLS[1]));
        assert!(!is_mapped("", &UID_POOLS[1]));
    }
}
