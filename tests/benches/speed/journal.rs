//! What durable events cost anyone: a file that one thread writes and syncs for all who wait. Nothing is chained, hashed or checked.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use rustix::fs::{FallocateFlags, fallocate};

/// Lengths in bytes of the two events of a call of the bench's plugin.
const EVENT_BYTES: [usize; 2] = [612, 830];

/// Set aside at the start, as the ledger does, in bytes: more than a bench writes.
const RESERVED_BYTES: u64 = 256 << 20;

/// One line and whom to tell when it is durable.
type Job = (Vec<u8>, SyncSender<()>);

/// The file and its writer.
#[derive(Debug)]
pub(crate) struct Journal {
    jobs: Option<Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let file = tempfile::tempfile().unwrap();
        fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVED_BYTES).unwrap();
        let (jobs, queue) = channel();
        let writer = std::thread::spawn(move || write(&file, &queue));
        Self {
            jobs: Some(jobs),
            writer: Some(writer),
        }
    }

    /// Two events, the second of which is written after `between` was done.
    pub(crate) fn around(&self, between: impl FnOnce()) {
        self.append(EVENT_BYTES[0]);
        between();
        self.append(EVENT_BYTES[1]);
    }

    fn append(&self, bytes: usize) {
        let (durable, wait) = sync_channel(1);
        let jobs = self.jobs.as_ref().expect("the journal is open");
        jobs.send((vec![b'x'; bytes], durable)).unwrap();
        wait.recv().unwrap();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let writer = self.writer.take().expect("it is dropped once");
        writer.join().expect("the writer does not panic");
    }
}

/// Writes everything that waits, syncs once, tells all; until nobody is left.
fn write(file: &File, queue: &Receiver<Job>) {
    let mut end = 0;
    while let Ok(first) = queue.recv() {
        let (lines, waiting): (Vec<_>, Vec<_>) =
            std::iter::once(first).chain(queue.try_iter()).unzip();
        let batch = lines.concat();
        file.write_all_at(&batch, end).unwrap();
        file.sync_data().unwrap();
        end += batch.len() as u64;
        for durable in waiting {
            durable.send(()).expect("the caller waits");
        }
    }
}
