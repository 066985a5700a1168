//! Picks the words that say what a text is about.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::language::is_stop_word;

/// How many tags a text gets at most: enough to sort by, few enough to read.
const MAX_TAGS: usize = 5;

/// The shortest tag, in characters: shorter words are mostly grammar.
const MIN_CHARACTERS: usize = 4;

/// The longest tag, in characters: longer runs are data, and would make the answer as long as the text.
const MAX_CHARACTERS: usize = 40;

/// The most frequent significant words, the most frequent first, equally frequent ones by code point.
pub(crate) fn tags(words: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words.iter().filter(|word| is_significant(word)) {
        *counts.entry(word).or_default() += 1;
    }
    let mut ranked: Vec<(&str, usize)> = counts.into_iter().collect();
    // The sort is stable, so the map's order decides between equals.
    ranked.sort_by_key(|&(_, count)| Reverse(count));
    ranked
        .into_iter()
        .take(MAX_TAGS)
        .map(|(word, _)| word.to_owned())
        .collect()
}

fn is_significant(word: &str) -> bool {
    (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&word.chars().count())
        && word.chars().any(char::is_alphabetic)
        && !is_stop_word(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::words;

    #[test]
    fn frequency_comes_first_then_the_alphabet() {
        let found = tags(&words(
            "zebra apple zebra with 12345 pear plum apple zebra mango cherry and the fig",
        ));
        assert_eq!(found, ["zebra", "apple", "cherry", "mango", "pear"]);
    }

    #[test]
    fn small_words_and_numbers_are_no_tags() {
        assert!(tags(&words("with from which 2024 the cat")).is_empty());
        assert!(tags(&words(&"a".repeat(41))).is_empty());
    }
}
