//! The output of a plugin that talks: line by line to its listener, within bounds. It knows no line's meaning.

use crate::TALK_BYTES_MAX;
use crate::job::{Heard, Listener};
use crate::watch::streams::Feed;

/// What was heard so far.
#[derive(Debug)]
pub(crate) struct Talk<'a> {
    listener: &'a dyn Listener,
    /// Bytes of lines that were no answer.
    bytes: usize,
}

/// What new output brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// No answer yet.
    Nothing,
    /// The answer.
    Answer(Vec<u8>),
    /// A line of more than the limit.
    LineTooLong,
    /// More than a plugin may say besides its answer, or more replies than it reads.
    TooMuch,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(listener: &'a dyn Listener) -> Self {
        Self { listener, bytes: 0 }
    }

    /// Takes every whole line out of `output`, whose bytes from `new` on are new, until one is the answer. Replies go to `feed`.
    pub(crate) fn take(
        &mut self,
        output: &mut Vec<u8>,
        new: usize,
        limit: usize,
        feed: &mut Feed<'_>,
    ) -> Brought {
        let (mut start, mut from) = (0, new);
        let brought = loop {
            let rest = output.get(from..).unwrap_or_default();
            let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
                let is_long = output.len() - start > limit;
                break if is_long {
                    Brought::LineTooLong
                } else {
                    Brought::Nothing
                };
            };
            let end = from + length;
            let line = output.get(start..end).unwrap_or_default();
            (start, from) = (end + 1, end + 1);
            if line.len() > limit {
                break Brought::LineTooLong;
            }
            self.bytes = self.bytes.saturating_add(line.len() + 1);
            let heard = if line.trim_ascii().is_empty() {
                Heard::PassOver
            } else {
                self.listener.hear(line)
            };
            let has_room = match heard {
                Heard::PassOver => true,
                Heard::Reply(bytes) => feed.reply(&bytes),
                Heard::Answer(answer) => break Brought::Answer(answer),
            };
            if !has_room || self.bytes > TALK_BYTES_MAX {
                break Brought::TooMuch;
            }
        };
        output.drain(..start);
        brought
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with a line that begins with `!`, replies to one with `?`.
    #[derive(Debug)]
    struct Simple;

    impl Listener for Simple {
        fn hear(&self, line: &[u8]) -> Heard {
            match line.first() {
                Some(b'!') => Heard::Answer(line.to_vec()),
                Some(b'?') => Heard::Reply(vec![b'r'; 40_000]),
                Some(_) | None => Heard::PassOver,
            }
        }
    }

    fn brought(chunks: &[&[u8]], limit: usize) -> Brought {
        let mut feed = Feed::open(b"", true).unwrap();
        let mut talk = Talk::new(&Simple);
        let mut output = Vec::new();
        for chunk in chunks {
            let new = output.len();
            output.extend_from_slice(chunk);
            let brought = talk.take(&mut output, new, limit, &mut feed);
            if brought != Brought::Nothing {
                return brought;
            }
        }
        Brought::Nothing
    }

    #[test]
    fn lines_are_put_together_and_all_but_the_answer_is_passed_over() {
        let answer = Brought::Answer(b"!a".to_vec());
        assert_eq!(brought(&[b"log\n\n \r\n!a\nmore"], 10), answer);
        assert_eq!(brought(&[b"lo", b"g\n!", b"a", b"\n"], 10), answer);
        assert_eq!(brought(&[b"!a"], 10), Brought::Nothing, "no whole line");
    }

    #[test]
    fn lines_replies_and_the_whole_are_bounded() {
        assert_eq!(brought(&[b"12345\n!\n"], 5), Brought::Answer(b"!".to_vec()));
        assert_eq!(brought(&[b"123456\n"], 5), Brought::LineTooLong);
        assert_eq!(brought(&[b"123", b"456"], 5), Brought::LineTooLong);
        assert_eq!(brought(&[b"?\n"], 5), Brought::Nothing);
        assert_eq!(
            brought(&[b"?\n?\n"], 5),
            Brought::TooMuch,
            "it reads no reply"
        );
        let kilobyte = [&[b'x'; 1023][..], b"\n"].concat();
        let many = vec![&kilobyte[..]; TALK_BYTES_MAX / 1024];
        assert_eq!(brought(&many, 2000), Brought::Nothing);
        assert_eq!(
            brought(&[&many[..], &[b"x\n"]].concat(), 2000),
            Brought::TooMuch
        );
    }
}
