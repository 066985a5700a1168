//! An operator's decisions: each is numbered, names the one before it, and is signed. Nothing else counts.

use plugin_protocol::digest::{FileHash, PackageDigest};
use plugin_protocol::ids::PluginId;
use plugin_protocol::time::Timestamp;
use plugin_protocol::{canonical, json};
use registry::{PublicKey, SigningKey};
use serde::{Deserialize, Serialize};

/// The name of the format.
const FORMAT: &str = "plugin-gateway-decision/1";
/// The kind of statement that a decision is signed as.
const KIND: &str = "decision";
/// The kind of statement by which a node says which log is its own.
const NODE_KIND: &str = "node";

/// What an operator decides for every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Decision {
    /// Vendors' packages signed by this key are taken.
    Trust {
        key: String,
        label: String,
    },
    /// No more, and its plugins are disabled.
    Revoke {
        key_id: String,
    },
    /// The package in the store is a plugin; with `replace` a lower version gives way.
    Register {
        plugin_id: PluginId,
        version: String,
        package_digest: PackageDigest,
        replace: bool,
    },
    Enable {
        plugin_id: PluginId,
    },
    Disable {
        plugin_id: PluginId,
    },
    /// This node belongs to the fleet, and signs its ledger with this key.
    Vouch(Identity),
}

/// Which log is a node's own. Its name is the id of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) node: String,
    /// The node's public key, PEM.
    pub(crate) node_key: String,
    /// The log's key, as C2SP verifier key.
    pub(crate) log_key: String,
    /// The node's signature over the two names above.
    pub(crate) node_signature: String,
}

impl Identity {
    pub(crate) fn new(key: &SigningKey, log_key: &str) -> Result<Self, registry::Error> {
        let public = key.public();
        let node = public.id().to_string();
        let node_signature = key.sign_statement(NODE_KIND, statement(&node, log_key).as_bytes());
        Ok(Self {
            node,
            node_key: public.to_pem()?,
            log_key: log_key.to_owned(),
            node_signature,
        })
    }

    /// Checks that the name is its key's, and that the key's owner named the log.
    pub(crate) fn check(&self) -> Result<(), String> {
        let key = PublicKey::from_text(&self.node_key).map_err(|error| error.to_string())?;
        if key.id().to_string() != self.node {
            return Err(format!(
                "node {} has another key than its name says",
                self.node
            ));
        }
        let text = statement(&self.node, &self.log_key);
        if !key.vouches(NODE_KIND, text.as_bytes(), &self.node_signature) {
            return Err(format!("node {} did not sign its log's key", self.node));
        }
        Ok(())
    }
}

fn statement(node: &str, log_key: &str) -> String {
    format!("{node}\n{}\n", log_key.trim())
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    format: String,
    /// From 1, without a gap.
    pub(crate) number: u64,
    /// The hash of the decision before; empty for the first.
    pub(crate) previous: String,
    pub(crate) issued_at: Timestamp,
    pub(crate) decision: Decision,
}

impl Body {
    /// A decision's name: SHA-256 of its canonical JSON without the signature.
    pub(crate) fn hash(&self) -> String {
        FileHash::of(&canonical::bytes(self)).to_string()
    }
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signed {
    pub(crate) body: Body,
    pub(crate) key_id: String,
    pub(crate) signature: String,
}

impl Signed {
    pub(crate) fn new(key: &SigningKey, number: u64, previous: &str, decision: Decision) -> Self {
        let body = Body {
            format: FORMAT.to_owned(),
            number,
            previous: previous.to_owned(),
            issued_at: Timestamp::now(),
            decision,
        };
        Self {
            key_id: key.public().id().to_string(),
            signature: key.sign_statement(KIND, &canonical::bytes(&body)),
            body,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        canonical::bytes(self)
    }

    /// Reads a message of the stream, and believes it when `operator` signed it.
    pub(crate) fn read(message: &[u8], operator: &PublicKey) -> Result<Self, String> {
        let signed: Self =
            json::read_as(message).map_err(|error| format!("it is no decision: {error}"))?;
        if signed.body.format != FORMAT {
            return Err(format!("its format is not {FORMAT}"));
        }
        let bytes = canonical::bytes(&signed.body);
        if operator.vouches(KIND, &bytes, &signed.signature) {
            Ok(signed)
        } else {
            Err(format!(
                "it is not signed by the operator's key {}",
                operator.id()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision() -> Decision {
        Decision::Enable {
            plugin_id: PluginId::parse("p.hello.sh").unwrap(),
        }
    }

    #[test]
    fn only_the_operator_s_own_words_are_a_decision() {
        let (key, other) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let signed = Signed::new(&key, 1, "", decision());
        let bytes = signed.to_bytes();
        assert_eq!(Signed::read(&bytes, &key.public()), Ok(signed.clone()));
        assert!(
            Signed::read(&bytes, &other.public())
                .unwrap_err()
                .contains("not signed")
        );
        let mut changed = signed;
        changed.body.number = 2;
        assert!(Signed::read(&changed.to_bytes(), &key.public()).is_err());
        for junk in [&b""[..], b"{}", b"[]", b"enable everything"] {
            assert!(
                Signed::read(junk, &key.public())
                    .unwrap_err()
                    .contains("no decision")
            );
        }
    }

    #[test]
    fn a_node_is_its_key_and_names_its_log() {
        let key = SigningKey::generate().unwrap();
        let identity = Identity::new(&key, "log+1+key").unwrap();
        assert_eq!(identity.check(), Ok(()));
        let other = Identity {
            log_key: "log+2+key".to_owned(),
            ..identity.clone()
        };
        assert!(other.check().is_err());
        let other = Identity {
            node: "0000000000000000".to_owned(),
            ..identity
        };
        assert!(other.check().is_err());
    }
}
