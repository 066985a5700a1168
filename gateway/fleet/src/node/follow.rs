//! Following the operator's decisions: each message of the stream in order, judged here, carried out by the gateway, refused with words that
//! the ledger keeps. What cannot be carried out now closes the gate until it can.

use std::io::Seek as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::object_store::GetErrorKind;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::StreamExt as _;
use registry::Package;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use super::progress::Progress;
use super::{Node, say};
use crate::decision::{Decision, Signed};
use crate::fault::{Fault, Kind, chain};
use crate::{names, nats, package};

/// How often the stream is asked although nothing was heard: a message may be lost on its way.
const LOOK: Duration = Duration::from_secs(1);
/// A decision is heard of before its stream has it: how often, and after which pause, it is looked for.
const LOOKS: usize = 40;
const PAUSE: Duration = Duration::from_millis(10);
/// How long a question to the stream may take before it counts as not answered.
const ANSWER: Duration = Duration::from_secs(2);

/// Follows the stream for good.
pub(super) async fn follow(node: Arc<Node>) {
    let mut stream = None;
    let mut told = String::new();
    let mut heard = node.client.subscribe(names::DECISIONS_SUBJECT).await.ok();
    let mut more = false;
    loop {
        match look(&node, &mut stream, more).await {
            Ok(()) => told.clear(),
            Err(fault) => {
                stream = None;
                let words = fault.to_string();
                if told != words {
                    say(&format!(
                        "the operator's decisions cannot be followed: {words}"
                    ));
                    told = words;
                }
            }
        }
        node.changed.notify_one();
        let message = async {
            match heard.as_mut() {
                Some(heard) => heard.next().await,
                None => std::future::pending().await,
            }
        };
        more = tokio::select! {
            _ = message => true,
            () = node.gate.until_back() => false,
            () = tokio::time::sleep(LOOK.min(node.settings.cut_off / 3)) => false,
        };
    }
}

/// Catches up once; with `more`, something new is known to come.
async fn look(node: &Node, stream: &mut Option<Stream>, more: bool) -> Result<(), Fault> {
    let mut progress = node.progress.lock().await;
    for _ in 0..LOOKS {
        let before = progress.sequence;
        catch_up(node, stream, &mut progress).await?;
        if !more || progress.sequence > before {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn catch_up(
    node: &Node,
    stream: &mut Option<Stream>,
    progress: &mut Progress,
) -> Result<(), Fault> {
    let (losses, asked) = (node.gate.losses(), Instant::now());
    if stream.is_none() {
        *stream = Some(nats::decisions(&node.jetstream).await?);
    }
    let Some(stream) = stream else { return Ok(()) };
    let info = tokio::time::timeout(ANSWER, stream.get_info()).await;
    let info = info
        .map_err(|_| Fault::internal("the stream does not answer"))?
        .map_err(|error| Fault::internal(chain(&error)))?;
    let created = info.created.unix_timestamp_nanos().to_string();
    if progress.stream_created != created || info.state.last_sequence < progress.sequence {
        progress.stream_created = created;
        progress.sequence = 0;
    }
    let first = info.state.first_sequence.max(1);
    for sequence in (progress.sequence + 1).max(first)..=info.state.last_sequence {
        let message = match stream.get_raw_message(sequence).await {
            Ok(message) => message.payload,
            // One that was deleted; the gap shows by the numbers.
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => continue,
            Err(error) => return Err(Fault::internal(chain(&error))),
        };
        if let Err(fault) = take(node, progress, sequence, &message).await {
            node.gate.behind();
            return Err(fault);
        }
        progress.sequence = sequence;
        progress.save()?;
    }
    node.gate.caught_up(losses, asked);
    Ok(())
}

/// Judges one message and carries it out. An error is no judgement: the message is looked at again.
async fn take(
    node: &Node,
    progress: &mut Progress,
    sequence: u64,
    message: &[u8],
) -> Result<(), Fault> {
    let place = format!("message {sequence} of {}", names::DECISIONS_STREAM);
    let signed = match Signed::read(message, &node.operator) {
        Ok(signed) => signed,
        Err(why) => return refuse(node, &place, &why).await,
    };
    let (body, hash) = (&signed.body, signed.body.hash());
    if body.number <= progress.number {
        let why = if progress.carried_out.contains(&hash) {
            format!(
                "decision {} was replayed: it was carried out before",
                body.number
            )
        } else {
            format!(
                "decision {} is another than the one that was carried out under that number",
                body.number
            )
        };
        return refuse(node, &place, &why).await;
    }
    if body.number > progress.number + 1 {
        return Err(Fault::new(
            Kind::Refused,
            format!(
                "decision {} is there, but none with number {}",
                body.number,
                progress.number + 1
            ),
        ));
    }
    if body.previous != progress.hash {
        let why = format!(
            "decision {} does not follow the one that was carried out before it",
            body.number
        );
        return refuse(node, &place, &why).await;
    }
    match carry_out(node, progress, &body.decision).await {
        Ok(()) => {}
        // The decision stands, and this node cannot do it: the ledger says so, and those that follow are not held up.
        Err(fault)
            if matches!(
                fault.kind,
                Kind::Refused | Kind::NotFound | Kind::Invalid | Kind::Usage
            ) =>
        {
            refuse(node, &format!("decision {}", body.number), &fault.message).await?;
        }
        Err(fault) => return Err(fault),
    }
    progress.number = body.number;
    progress.hash.clone_from(&hash);
    progress.carried_out.insert(hash);
    Ok(())
}

/// Records that a decision was not carried out, and says why.
async fn refuse(node: &Node, decision: &str, why: &str) -> Result<(), Fault> {
    say(&format!("refused: {decision}: {why}"));
    let params = json!({ "decision": decision, "reason": why });
    node.call("operator.recordRefusal", &params).await.map(drop)
}

async fn carry_out(node: &Node, progress: &mut Progress, decision: &Decision) -> Result<(), Fault> {
    match decision {
        Decision::Trust { key, label } => {
            node.call("operator.trustAdd", &json!({ "key": key, "label": label }))
                .await?;
        }
        Decision::Revoke { key_id } => {
            node.call("operator.trustRemove", &json!({ "key_id": key_id }))
                .await?;
        }
        Decision::Enable { plugin_id } => {
            node.call("enablePlugin", &json!({ "plugin_id": plugin_id }))
                .await?;
        }
        Decision::Disable { plugin_id } => {
            node.call("disablePlugin", &json!({ "plugin_id": plugin_id }))
                .await?;
        }
        Decision::Register {
            plugin_id,
            package_digest,
            replace,
            ..
        } => {
            let digest = package_digest.to_string();
            let folder = fetch(node, &digest).await?;
            let params = json!({ "package": folder.path(), "replace": replace });
            let registered = node.call("operator.register", &params).await?;
            if let Some(why) = registered
                .pointer("/rejection/reason")
                .and_then(Value::as_str)
            {
                return Err(Fault::new(
                    Kind::Refused,
                    format!("{plugin_id} is registered as rejected: {why}"),
                ));
            }
        }
        Decision::Vouch(identity) => {
            if identity.node == node.identity.node {
                if *identity != node.identity {
                    return Err(Fault::new(
                        Kind::Refused,
                        "the voucher names another key or log than this node's",
                    ));
                }
                progress.vouched = true;
                node.gate.vouched(true);
                say("the operator vouches for this node");
            }
        }
    }
    Ok(())
}

/// Gets a package out of the store, and believes it only when it has the digest that was signed.
async fn fetch(node: &Node, digest: &str) -> Result<tempfile::TempDir, Fault> {
    let store = nats::packages(&node.jetstream).await?;
    let changed = |why: &str| {
        Fault::new(
            Kind::Refused,
            format!(
                "package {digest} is not what was published: its bytes in the store changed ({why})"
            ),
        )
    };
    let mut object = match store.get(digest).await {
        Ok(object) => object,
        Err(error) => {
            let gone = error.kind() == GetErrorKind::NotFound;
            return Err(if gone {
                Fault::new(
                    Kind::NotFound,
                    format!("package {digest} is not in the store"),
                )
            } else {
                Fault::internal(chain(&error))
            });
        }
    };
    let failed = |error: std::io::Error| Fault::internal(format!("cannot keep a package: {error}"));
    let (file, folder) = (
        tempfile::tempfile().map_err(failed)?,
        tempfile::tempdir().map_err(failed)?,
    );
    let mut to = tokio::fs::File::from_std(file);
    let mut part = vec![0; 128 * 1024];
    loop {
        // The store's own digest is checked at the end, and says so by an error.
        let read = object
            .read(&mut part)
            .await
            .map_err(|error| changed(&error.to_string()))?;
        if read == 0 {
            break;
        }
        to.write_all(&part[..read]).await.map_err(failed)?;
    }
    to.flush().await.map_err(failed)?;
    let mut file = to.into_std().await;
    file.rewind().map_err(failed)?;
    package::unpack(&mut file, folder.path()).map_err(|fault| changed(&fault.message))?;
    let found = Package::read(folder.path()).map_err(|error| changed(&chain(&error)))?;
    if found.digest().to_string() == digest {
        Ok(folder)
    } else {
        Err(changed("they have another digest"))
    }
}

impl Node {
    /// A call on the gateway's channel.
    pub(super) async fn call(&self, method: &str, params: &Value) -> Result<Value, Fault> {
        Ok(self.host.channel().await?.call(method, params).await?)
    }
}
