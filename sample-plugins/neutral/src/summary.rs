//! Takes a text's opening sentences as its summary.

/// The longest summary, in characters: about three lines of print.
const MAX_CHARACTERS: usize = 240;

/// What stands where a sentence was cut.
const ELLIPSIS: char = '…';

/// As many whole sentences as fit; of a first sentence that is too long, as many whole words.
pub(crate) fn summary(sentences: &[String]) -> String {
    let mut taken = String::new();
    for sentence in sentences {
        let blank = usize::from(!taken.is_empty());
        if length(&taken) + blank + length(sentence) > MAX_CHARACTERS {
            break;
        }
        if blank == 1 {
            taken.push(' ');
        }
        taken.push_str(sentence);
    }
    match sentences.first() {
        Some(first) if taken.is_empty() => cut(first),
        Some(_) | None => taken,
    }
}

/// The start of a long sentence up to a blank, or through a word where there is no blank.
fn cut(sentence: &str) -> String {
    let mut start: String = sentence.chars().take(MAX_CHARACTERS - 1).collect();
    if let Some(blank) = start.rfind(' ') {
        start.truncate(blank);
    }
    start.push(ELLIPSIS);
    start
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sentences;

    #[test]
    fn whole_sentences_are_kept_while_they_fit() {
        let long = format!("One. Two. {}.", "x".repeat(240));
        assert_eq!(summary(&sentences(&long)), "One. Two.");
        assert_eq!(summary(&[]), "");
    }

    #[test]
    fn a_long_first_sentence_is_cut_at_a_word() {
        let words = "word ".repeat(100);
        let cut = summary(&sentences(&words));
        assert!(cut.ends_with("word…"), "{cut}");
        assert!(length(&cut) <= MAX_CHARACTERS);

        let run = summary(&sentences(&"é".repeat(500)));
        assert_eq!(length(&run), MAX_CHARACTERS);
    }
}
