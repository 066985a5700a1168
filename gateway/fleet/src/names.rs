//! Every name on the wire: subjects, headers, streams, and the words of states.

/// The service's name, as stock tools see it.
pub(crate) const SERVICE: &str = "plugin-gateway";
/// The queue group of the nodes that can run a plugin.
pub(crate) const GROUP: &str = "plugin-gateway";

/// Where every node says how it is.
pub(crate) const NODES: &str = "omega.nodes";
/// Where decisions go.
pub(crate) const DECISIONS_SUBJECT: &str = "omega.decision";
/// The stream that keeps them.
pub(crate) const DECISIONS_STREAM: &str = "OMEGA_DECISIONS";
/// The object store of packages and of large proofs.
pub(crate) const PACKAGES: &str = "OMEGA_PACKAGES";
/// The work queue of batches, the claims on its jobs, and their results.
pub(crate) const JOBS_STREAM: &str = "OMEGA_JOBS";
pub(crate) const CLAIMS_STREAM: &str = "OMEGA_CLAIMS";
pub(crate) const RESULTS_STREAM: &str = "OMEGA_RESULTS";

pub(crate) const NODE: &str = "Plugin-Gateway-Node";
pub(crate) const RUN: &str = "Plugin-Gateway-Run";
pub(crate) const EVENT: &str = "Plugin-Gateway-Event";
pub(crate) const CHECKPOINT: &str = "Plugin-Gateway-Checkpoint";
/// When the caller gives up, RFC 3339.
pub(crate) const DEADLINE: &str = "Plugin-Gateway-Deadline";
/// Where the node that takes the request names itself before it begins, so that a caller whose answer does not come knows whom to ask.
pub(crate) const TAKEN: &str = "Plugin-Gateway-Taken";
pub(crate) const ERROR: &str = "Nats-Service-Error";
pub(crate) const ERROR_CODE: &str = "Nats-Service-Error-Code";

/// The subject on which `plugin_id` is asked.
pub(crate) fn invoke(plugin_id: &str) -> String {
    format!("omega.invoke.{}", tokens(plugin_id))
}

/// The subject of a batch's requests to `plugin_id`.
pub(crate) fn job(plugin_id: &str) -> String {
    format!("omega.job.{}", tokens(plugin_id))
}

pub(crate) fn claim(job: &str) -> String {
    format!("omega.claim.{job}")
}

pub(crate) fn result(job: &str) -> String {
    format!("omega.result.{job}")
}

/// The subject of an operator's verb at one node.
pub(crate) fn verb(node: &str, verb: &str) -> String {
    format!("omega.node.{node}.{verb}")
}

/// An endpoint's and a consumer's name, which has fewer characters than a plugin's id: a dot is `_`, an underscore `U`, which no id has.
pub(crate) fn flat(plugin_id: &str) -> String {
    plugin_id.replace('_', "U").replace('.', "_")
}

/// An id as tokens of a subject. An id may have two dots in a row, or end with one, which a subject may not: the empty token is `=`, which no
/// id has.
fn tokens(plugin_id: &str) -> String {
    let tokens = plugin_id.split('.');
    let tokens: Vec<&str> = tokens
        .map(|token| if token.is_empty() { "=" } else { token })
        .collect();
    tokens.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_no_subject_becomes_one_and_no_other_id_s() {
        assert_eq!(invoke("p.hello.sh"), "omega.invoke.p.hello.sh");
        assert_eq!(invoke("p..x"), "omega.invoke.p.=.x");
        assert_eq!(invoke("p.x."), "omega.invoke.p.x.=");
        let ids = [
            "p..x", "p.x", "p.x.", "p.x..", "p-x", "p_x", "p__x", "p._x", "p_.x",
        ];
        for map in [invoke, job, flat] {
            let all: std::collections::BTreeSet<String> = ids.iter().map(|id| map(id)).collect();
            assert_eq!(all.len(), ids.len(), "{all:?}");
        }
        assert!(
            ids.iter()
                .all(|id| !flat(id).contains(['.', ' ', '*', '>']))
        );
    }
}
