//! Scores how hard a text is to read, between 0 and 1.

use std::collections::BTreeSet;

/// Mean characters a word: from easy to hard.
const WORD_LENGTH: (f64, f64) = (3.0, 10.0);

/// Mean words a sentence: from easy to hard.
const SENTENCE_LENGTH: (f64, f64) = (5.0, 35.0);

/// What each part weighs: word length, sentence length, variety of words. Together 1.
const WEIGHTS: [f64; 3] = [0.4, 0.4, 0.2];

/// Four decimals are kept: more would only repeat the text's length.
const SCALE: f64 = 10_000.0;

/// The score, rounded to four decimals; 0 for a text without words.
pub(crate) fn complexity(words: &[String], sentence_count: usize) -> f64 {
    if words.is_empty() || sentence_count == 0 {
        return 0.0;
    }
    let characters: usize = words.iter().map(|word| word.chars().count()).sum();
    let distinct: BTreeSet<&String> = words.iter().collect();
    let parts = [
        within(ratio(characters, words.len()), WORD_LENGTH),
        within(ratio(words.len(), sentence_count), SENTENCE_LENGTH),
        ratio(distinct.len(), words.len()),
    ];
    let score: f64 = parts
        .iter()
        .zip(WEIGHTS)
        .map(|(part, weight)| part * weight)
        .sum();
    (score * SCALE).round() / SCALE
}

/// Where `value` lies between two bounds, as a number from 0 to 1.
fn within(value: f64, (low, high): (f64, f64)) -> f64 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

/// A quotient of two counts, which stay far below the 2^53 that a double holds exactly.
fn ratio(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::words;

    #[test]
    fn the_score_grows_with_the_difficulty() {
        let easy = complexity(&words("The cat sat. The dog ran. The cat ran."), 3);
        let hard = complexity(
            &words(
                "Notwithstanding constitutional considerations, administrative jurisdictions \
                    increasingly necessitate interdisciplinary methodological reconciliation",
            ),
            1,
        );
        assert!(easy < hard, "{easy} {hard}");
        assert!((0.0..=1.0).contains(&easy) && (0.0..=1.0).contains(&hard));
    }

    #[test]
    fn no_words_score_nothing() {
        assert_eq!(complexity(&[], 0), 0.0);
        assert_eq!(complexity(&[], 1), 0.0);
    }

    #[test]
    fn four_decimals_are_kept() {
        // 7 letters in 3 words, one sentence, 3 distinct: 0 + 0 + 0.2.
        assert_eq!(complexity(&words("a bcd efg"), 1), 0.2);
        // 11 / 3 letters a word: 0.4 * (2 / 3) / 7 + 0.2 = 0.238095…
        assert_eq!(complexity(&words("abc defg hijk"), 1), 0.2381);
    }
}
