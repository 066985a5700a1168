//! Makes the index of each closed segment, in a thread of its own. Neither writing nor opening ever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, unbounded};

use crate::disk::{Disk, Layout, Line, Lines, Segment, write_all_at};
use crate::error::Error;
use crate::line::scan;
use crate::read::{encode, entry, index_path, key_hash};

/// Makes indexes in a thread of its own, so that neither writing nor opening waits for them.
#[derive(Debug)]
pub(crate) struct Indexer {
    segments: Option<Sender<Segment>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Indexer {
    /// Starts with the closed segments that have no index yet.
    pub(crate) fn start(
        layout: &Layout,
        disk: Arc<dyn Disk>,
        closed: &[Segment],
    ) -> Result<Self, Error> {
        let (segments, queue) = unbounded::<Segment>();
        let stop = Arc::new(AtomicBool::new(false));
        for segment in closed
            .iter()
            .filter(|segment| !index_path(layout, segment.first).exists())
        {
            // The queue's other end is in hand, so this cannot fail.
            drop(segments.send(segment.clone()));
        }
        let (layout, stopped) = (layout.clone(), Arc::clone(&stop));
        let state = layout.state().to_owned();
        let work = move || {
            for segment in queue
                .iter()
                .take_while(|_| !stopped.load(Ordering::Relaxed))
            {
                if let Err(error) = build(&layout, disk.as_ref(), &segment) {
                    // Nothing is lost but speed: the segment is read through instead.
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "segment has no index"
                    );
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("ledger-index".to_owned())
            .spawn(work);
        let thread = thread.map_err(Error::io("start the indexer of", &state))?;
        Ok(Self {
            segments: Some(segments),
            stop,
            thread: Some(thread),
        })
    }

    /// Has the index of a segment made that was just closed.
    pub(crate) fn push(&self, segment: Segment) {
        if let Some(segments) = &self.segments {
            drop(segments.send(segment));
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        // What is left undone is done at the next opening.
        self.stop.store(true, Ordering::Relaxed);
        drop(self.segments.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Makes the index of a closed segment.
fn build(layout: &Layout, disk: &dyn Disk, segment: &Segment) -> Result<(), Error> {
    let mut entries = Vec::new();
    let mut lines = Lines::open(&segment.path, 0)?;
    for number in 0.. {
        let offset = lines.offset();
        let Line::Whole(line) = lines.next().map_err(Error::io("read", &segment.path))? else {
            break;
        };
        let Ok(scanned) = scan(line) else { continue };
        entries.push(entry(key_hash(b'r', scanned.run_id), number, offset));
        for (kind, text) in [(b'p', scanned.plugin_id), (b'q', scanned.request_id)] {
            if !text.is_empty() {
                entries.push(entry(key_hash(kind, text), number, offset));
            }
        }
    }
    entries.sort_unstable();
    let bytes = encode(segment.first, lines.offset(), &entries);
    let path = index_path(layout, segment.first);
    let beside = path.with_extension("new");
    let written = disk.replace(&beside).and_then(|mut file| {
        write_all_at(file.as_mut(), &bytes, 0)?;
        disk.rename(&beside, &path)
    });
    written.map_err(Error::io("write", &path))
}
