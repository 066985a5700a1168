//! Single lines at known places. None is given that is not an event with its own hash.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use plugin_protocol::event::MAX_EVENT_BYTES;

use crate::disk::{EventPlace, Layout};
use crate::error::Error;
use crate::line::{hash_of_line, scan};

/// Reads single lines at known places; each is checked to be an event that carries its own hash.
#[derive(Debug)]
pub(crate) struct PlacedLines {
    layout: Layout,
    open: Option<(u64, File)>,
}

impl PlacedLines {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
            open: None,
        }
    }

    pub(crate) fn read(&mut self, place: &EventPlace) -> Result<Vec<u8>, Error> {
        let line = self.read_unchecked(place)?;
        let sound = scan(&line).is_ok_and(|scanned| scanned.event_hash == hash_of_line(&line));
        if sound {
            Ok(line)
        } else {
            Err(self.broken(place))
        }
    }

    fn read_unchecked(&mut self, place: &EventPlace) -> Result<Vec<u8>, Error> {
        const FIRST_READ: usize = 1_024;
        let path = self.layout.segment(place.segment);
        if self
            .open
            .as_ref()
            .is_none_or(|(segment, _)| *segment != place.segment)
        {
            self.open = Some((
                place.segment,
                File::open(&path).map_err(Error::io("open", &path))?,
            ));
        }
        let Some((_, file)) = &self.open else {
            return Err(self.broken(place));
        };
        let mut bytes = Vec::new();
        for size in [FIRST_READ, MAX_EVENT_BYTES + 1] {
            bytes.resize(size, 0);
            let read =
                read_at_most(file, &mut bytes, place.offset).map_err(Error::io("read", &path))?;
            bytes.truncate(read);
            if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                bytes.truncate(end);
                return Ok(bytes);
            }
        }
        Err(self.broken(place))
    }

    fn broken(&self, place: &EventPlace) -> Error {
        let path = self.layout.segment(place.segment);
        let name = path.file_name().unwrap_or_default().display();
        Error::Broken {
            index: place.index,
            reason: format!("'{name}' at byte {}: no whole event is there", place.offset),
        }
    }
}

fn read_at_most(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
