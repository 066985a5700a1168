//! Cuts a text into words and sentences.

/// The words of `text` in lower case: runs of letters and digits, with single apostrophes and
/// hyphens inside (`don't`, `well-known`).
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let joins = is_joiner(character)
            && !word.is_empty()
            && characters.peek().is_some_and(|next| next.is_alphanumeric());
        if character.is_alphanumeric() || joins {
            word.extend(character.to_lowercase());
        } else if !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

/// The sentences of `text`, each with its blanks made single. One ends at `.`, `!`, `?` or `…`
/// before a blank or the end, or anywhere at `。`, which is written without a blank behind it.
pub(crate) fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut sentence = String::new();
    for word in text.split_whitespace() {
        for part in word.split_inclusive('。') {
            if !sentence.is_empty() && !sentence.ends_with('。') {
                sentence.push(' ');
            }
            sentence.push_str(part);
            if part.trim_end_matches(is_closer).ends_with(is_end) {
                found.push(std::mem::take(&mut sentence));
            }
        }
    }
    if !sentence.is_empty() {
        found.push(sentence);
    }
    found
}

fn is_joiner(character: char) -> bool {
    matches!(character, '\'' | '’' | '-')
}

fn is_end(character: char) -> bool {
    matches!(character, '.' | '!' | '?' | '…' | '。')
}

/// What may stand between the end of a sentence and the blank behind it.
fn is_closer(character: char) -> bool {
    matches!(character, '"' | '\'' | '’' | '”' | '»' | ')' | ']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_inner_apostrophes_and_hyphens_only() {
        let found = words("Don't -- a 'well-known' fact: 42% of  Émile’s…");
        assert_eq!(
            found,
            ["don't", "a", "well-known", "fact", "42", "of", "émile’s"]
        );
        assert!(words("… -- '!").is_empty());
    }

    #[test]
    fn sentences_end_at_their_marks_before_a_blank() {
        let found = sentences("Pi is 3.14,  they\nsay. \"Really?\" Yes! no end");
        assert_eq!(
            found,
            ["Pi is 3.14, they say.", "\"Really?\"", "Yes!", "no end"]
        );
        assert_eq!(sentences("一。二。"), ["一。", "二。"]);
        assert!(sentences(" \n").is_empty());
    }
}
