//! Goes through every line of a ledger in order and checks it; what opening, verifying and reading share.

use plugin_protocol::digest::EventHash;

use super::chain::Head;
use super::error::Error;
use super::layout::Layout;
use super::scan::Scanned;
use super::segment::{self, Line, Lines, Segment};

/// Where one event lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: u64,
    /// The index of its segment's first event.
    pub(crate) segment: u64,
    /// Its line's first byte in that segment.
    pub(crate) offset: u64,
}

/// The end of a walk through good events.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) head: Head,
    /// The bytes of all good lines with their newlines.
    pub(crate) bytes: u64,
    /// The last segment, with its good bytes only; none when there is no segment.
    pub(crate) last: Option<Segment>,
    /// What follows the last good line without a newline.
    pub(crate) fragment: Vec<u8>,
}

/// What is done with each good line.
pub(crate) type Each<'a> = dyn FnMut(&Place, &[u8], &Scanned<'_>) -> Result<(), Error> + 'a;

/// Checks every line, giving each good one to `each`, and stops at the first bad one.
///
/// # Errors
/// [`Error::Broken`] with the place and the reason, or what the system said.
pub(crate) fn walk(layout: &Layout, each: &mut Each<'_>) -> Result<Walked, Error> {
    let segments = segment::list(layout)?;
    let mut walked = Walked {
        head: Head::default(),
        bytes: 0,
        last: None,
        fragment: Vec::new(),
    };
    let last = segments.len().saturating_sub(1);
    for (at, segment) in segments.into_iter().enumerate() {
        if segment.first != walked.head.size {
            let reason = match at {
                0 => format!("the first segment is '{}'", segment.path.display()),
                _ => format!(
                    "segment '{}' should begin with event {}",
                    segment.path.display(),
                    walked.head.size
                ),
            };
            return Err(Error::Broken {
                index: walked.head.size,
                reason,
            });
        }
        walk_segment(&segment, at == last, &mut walked, each)?;
    }
    Ok(walked)
}

fn walk_segment(
    segment: &Segment,
    last: bool,
    walked: &mut Walked,
    each: &mut Each<'_>,
) -> Result<(), Error> {
    let mut lines = Lines::open(&segment.path, 0)?;
    loop {
        let place = Place {
            index: walked.head.size,
            segment: segment.first,
            offset: lines.offset(),
        };
        let broken = |reason: &str| broken_at(&place, segment, reason);
        match lines.next().map_err(Error::io("read", &segment.path))? {
            Line::Whole(line) => {
                let scanned = walked.head.follow(line).map_err(|reason| broken(&reason))?;
                each(&place, line, &scanned)?;
            }
            Line::End => break,
            Line::Fragment(rest) if last => {
                walked.fragment = rest.to_owned();
                break;
            }
            Line::Fragment(_) => {
                return Err(broken(
                    "its line has no newline, and a later segment follows",
                ));
            }
            Line::TooLong => return Err(broken("its line is longer than a line may be")),
        }
    }
    if !last && lines.offset() == 0 {
        let place = Place {
            index: walked.head.size,
            segment: segment.first,
            offset: 0,
        };
        return Err(broken_at(
            &place,
            segment,
            "its segment is empty, and a later segment follows",
        ));
    }
    walked.bytes += lines.offset();
    walked.last = Some(Segment {
        bytes: lines.offset(),
        ..segment.clone()
    });
    Ok(())
}

fn broken_at(place: &Place, segment: &Segment, reason: &str) -> Error {
    let name = segment.path.file_name().unwrap_or_default().display();
    Error::Broken {
        index: place.index,
        reason: format!("'{name}' at byte {}: {reason}", place.offset),
    }
}

/// The text of a hash, `""` for none.
pub(crate) fn hash_text(hash: Option<EventHash>) -> String {
    hash.map(|hash| hash.to_string()).unwrap_or_default()
}
