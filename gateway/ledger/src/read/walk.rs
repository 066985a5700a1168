//! Goes through the lines of a ledger in order and checks them. Opening uses it; verifying reads segments side by side instead.

use crate::disk::{Boundary, EventPlace, Layout, Line, Lines, Segment, list_segments};
use crate::error::Error;
use crate::line::{Head, Scanned};

/// The end of a walk through good events.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) head: Head,
    /// The bytes of all good lines with their newlines, from where the walk began.
    pub(crate) bytes: u64,
    /// The last segment that was entered, with its good bytes only; none when there is no segment.
    pub(crate) last: Option<Segment>,
    /// What ended the walk before the end of the bytes.
    pub(crate) stop: Option<Stop>,
}

/// Bytes that are not the next event.
#[derive(Debug)]
pub(crate) struct Stop {
    /// Where the next event should be.
    pub(crate) index: u64,
    /// The place and what is wrong there.
    pub(crate) reason: String,
    /// Whether it is in the last segment, where a crash can have left it.
    pub(crate) in_last: bool,
}

impl Stop {
    pub(crate) fn into_error(self) -> Error {
        Error::Broken {
            index: self.index,
            reason: self.reason,
        }
    }
}

/// What is called with each good line.
pub(crate) type Each<'a> = dyn FnMut(&EventPlace, &[u8], &Scanned<'_>) -> Result<(), Error> + 'a;

/// Checks every line from `start` on, giving each good one to `each`, and stops at the first bad one.
///
/// # Errors
/// What the system or `each` said. A bad line is not an error: it is returned as [`Walked::stop`].
pub(crate) fn walk(layout: &Layout, start: Boundary, each: &mut Each<'_>) -> Result<Walked, Error> {
    let mut segments = list_segments(layout)?;
    segments.retain(|segment| segment.first >= start.segment);
    let mut walked = Walked {
        head: start.head,
        bytes: 0,
        last: None,
        stop: None,
    };
    let last = segments.len().saturating_sub(1);
    for (at, segment) in segments.into_iter().enumerate() {
        let expected = if at == 0 {
            start.segment
        } else {
            walked.head.size
        };
        if segment.first != expected {
            let reason = format!(
                "'{}' is there, but the segment that begins with event {expected} is not",
                name(&segment)
            );
            walked.stop = Some(Stop {
                index: expected,
                reason,
                in_last: false,
            });
            return Ok(walked);
        }
        let offset = if at == 0 { start.offset } else { 0 };
        walk_segment(&segment, offset, at == last, &mut walked, each)?;
        if walked.stop.is_some() {
            break;
        }
    }
    Ok(walked)
}

fn walk_segment(
    segment: &Segment,
    offset: u64,
    in_last: bool,
    walked: &mut Walked,
    each: &mut Each<'_>,
) -> Result<(), Error> {
    let mut lines = Lines::open(&segment.path, offset)?;
    let wrong = loop {
        let place = EventPlace {
            index: walked.head.size,
            segment: segment.first,
            offset: lines.offset(),
        };
        match lines.next().map_err(Error::io("read", &segment.path))? {
            Line::Whole(line) => match walked.head.follow(line) {
                Ok(scanned) => each(&place, line, &scanned)?,
                Err(reason) => break Some((place.offset, reason)),
            },
            Line::End if !in_last && place.offset == 0 => {
                break Some((0, "it is empty, and a later segment follows".to_owned()));
            }
            Line::End => break None,
            Line::Fragment(rest) => {
                break Some((
                    place.offset,
                    format!("an unfinished line of {} bytes", rest.len()),
                ));
            }
            Line::TooLong => {
                break Some((place.offset, "a line longer than a line may be".to_owned()));
            }
        }
    };
    let good = wrong.as_ref().map_or(lines.offset(), |(offset, _)| *offset);
    walked.bytes += good - offset;
    walked.last = Some(Segment {
        bytes: good,
        ..segment.clone()
    });
    walked.stop = wrong.map(|(offset, reason)| {
        let reason = format!("'{}' at byte {offset}: {reason}", name(segment));
        Stop {
            index: walked.head.size,
            reason,
            in_last,
        }
    });
    Ok(())
}

fn name(segment: &Segment) -> String {
    segment
        .path
        .file_name()
        .unwrap_or_default()
        .display()
        .to_string()
}
