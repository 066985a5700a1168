//! Lends out user ids, so that no two runs of this gateway share one at the same time.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::Error;

/// User ids that nobody uses.
#[derive(Debug, Clone)]
pub(super) struct Uids {
    free: Arc<Mutex<Vec<u32>>>,
}

/// A user id on loan; it goes back when dropped.
#[derive(Debug)]
pub(super) struct Loan {
    id: u32,
    free: Arc<Mutex<Vec<u32>>>,
}

impl Uids {
    /// All ids of the range are free. Id 0 is never lent.
    pub(super) fn new(range: Range<u32>) -> Self {
        Self {
            free: Arc::new(Mutex::new(range.filter(|&id| id != 0).rev().collect())),
        }
    }

    /// Takes a free id.
    ///
    /// # Errors
    /// When none is free.
    pub(super) fn borrow(&self) -> Result<Loan, Error> {
        let id = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        id.map(|id| Loan {
            id,
            free: Arc::clone(&self.free),
        })
        .ok_or(Error::UidsExhausted)
    }
}

impl Loan {
    /// The id.
    pub(super) fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
}
