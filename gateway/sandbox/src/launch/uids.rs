//! Lends out user ids, so that no two runs of gateways in this network namespace share one at the same time.
//!
//! Ids are claimed from the pool in blocks. A claim is a bound socket name that no file stands for: the kernel lets one process
//! have a name, and takes it back when that process ends, however it ends. Nobody can connect to it.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use crate::error::{Error, While};

/// Ids in one claim: most gateways need one claim, and even the small default pool has room for several gateways.
const BLOCK_COUNT: u32 = 32;

/// User ids that nobody uses.
#[derive(Debug, Clone)]
pub(crate) struct Uids {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    free: Vec<u32>,
    unclaimed: Vec<Range<u32>>,
    /// Held until the gateway ends.
    claims: Vec<OwnedFd>,
}

/// A user id on loan; it goes back when dropped.
#[derive(Debug)]
pub(crate) struct Loan {
    id: u32,
    state: Arc<Mutex<State>>,
}

impl Uids {
    /// Lends ids of this range. Id 0 is never lent.
    pub(crate) fn new(pool: Range<u32>) -> Self {
        let start = pool.start.max(1);
        let blocks = (start..pool.end).step_by(BLOCK_COUNT as usize);
        let unclaimed = blocks
            .map(|first| first..first.saturating_add(BLOCK_COUNT).min(pool.end))
            .collect();
        Self {
            state: Arc::new(Mutex::new(State {
                free: Vec::new(),
                unclaimed,
                claims: Vec::new(),
            })),
        }
    }

    /// How many ids are left: those that are free, and those that no gateway may have claimed.
    pub(crate) fn left(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let unclaimed = state.unclaimed.iter().map(ExactSizeIterator::len);
        state.free.len() + unclaimed.sum::<usize>()
    }

    /// Takes a free id.
    ///
    /// # Errors
    /// When none is free.
    pub(crate) fn borrow(&self) -> Result<Loan, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.free.is_empty() {
            state.claim_a_block()?;
        }
        state
            .free
            .pop()
            .map(|id| Loan {
                id,
                state: Arc::clone(&self.state),
            })
            .ok_or(Error::UidsExhausted)
    }
}

impl State {
    /// Claims the first block that no other gateway has, if there is one.
    fn claim_a_block(&mut self) -> Result<(), Error> {
        for at in 0..self.unclaimed.len() {
            let Some(block) = self.unclaimed.get(at) else {
                break;
            };
            if let Some(claim) = claim(block.start)? {
                self.claims.push(claim);
                self.free.extend(self.unclaimed.remove(at).rev());
                break;
            }
        }
        Ok(())
    }
}

/// The claim to a block, unless another gateway has it.
fn claim(first: u32) -> Result<Option<OwnedFd>, Error> {
    let name = format!("plugin-gateway/uids/{first}");
    let address =
        SocketAddrUnix::new_abstract_name(name.as_bytes()).during("name a claim to user ids")?;
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .during("make a claim to user ids")?;
    match bind(&socket, &address) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::ADDRINUSE) => Ok(None),
        Err(errno) => Err(errno).during("claim user ids"),
    }
}

impl Loan {
    /// The id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .free
            .push(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_lent_once_at_a_time_and_root_never() {
        let uids = Uids::new(0..3);
        let (first, second) = (uids.borrow().unwrap(), uids.borrow().unwrap());
        assert_ne!(first.id(), second.id());
        assert!(first.id() != 0 && second.id() != 0);
        assert!(matches!(uids.borrow(), Err(Error::UidsExhausted)));
        drop(first);
        assert!(uids.borrow().is_ok());
    }

    #[test]
    fn two_gateways_lend_different_ids() {
        let pool = 3_000_000_000..3_000_000_000 + 2 * BLOCK_COUNT;
        let (one, other) = (Uids::new(pool.clone()), Uids::new(pool));
        let count = usize::try_from(BLOCK_COUNT).unwrap();
        let ours: Vec<Loan> = (0..count).map(|_| one.borrow().unwrap()).collect();
        let theirs: Vec<Loan> = (0..count).map(|_| other.borrow().unwrap()).collect();
        let mut ids: Vec<u32> = ours.iter().chain(&theirs).map(Loan::id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 2 * count);
        assert!(matches!(one.borrow(), Err(Error::UidsExhausted)));
        drop((theirs, other));
        assert!(
            one.borrow().is_ok(),
            "what a gateway leaves is the next one's"
        );
    }
}
