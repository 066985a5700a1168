//! Guesses a text's language from the small words that every language repeats.

/// The answer where the text does not tell: "undetermined" in ISO 639-2.
pub(crate) const UNDETERMINED: &str = "und";

/// The fewest small words that make a guess: one alone may be a name or a quotation.
const MIN_HITS: usize = 2;

/// One word in this many must be a small word of the language; in running text it is one in two or three.
const MAX_WORDS_PER_HIT: usize = 8;

/// Each language, by its ISO 639-1 code, with words that are frequent in it and carry no topic.
const STOP_WORDS: &[(&str, &[&str])] = &[
    (
        "de",
        &[
            "aber", "als", "auch", "auf", "aus", "bei", "das", "dass", "dem", "den", "der", "des",
            "die", "ein", "eine", "einen", "er", "es", "für", "hat", "ich", "im", "in", "ist",
            "mit", "nicht", "noch", "nur", "oder", "sich", "sie", "sind", "und", "von", "war",
            "wie", "wir", "wird", "zu", "zum",
        ],
    ),
    (
        "en",
        &[
            "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "had", "has",
            "have", "he", "her", "his", "i", "in", "is", "it", "not", "of", "on", "or", "she",
            "that", "the", "their", "there", "they", "this", "to", "was", "we", "were", "which",
            "will", "with", "you",
        ],
    ),
    (
        "es",
        &[
            "a", "al", "como", "con", "de", "del", "el", "ella", "en", "era", "es", "esta", "este",
            "fue", "ha", "hay", "la", "las", "lo", "los", "más", "muy", "no", "o", "para", "pero",
            "por", "que", "se", "sin", "sobre", "son", "su", "sus", "también", "un", "una", "y",
            "ya", "yo",
        ],
    ),
    (
        "fr",
        &[
            "à", "au", "aux", "avec", "ce", "cette", "dans", "de", "des", "du", "elle", "en",
            "est", "et", "il", "ils", "je", "la", "le", "les", "leur", "mais", "ne", "nous", "on",
            "ou", "par", "pas", "plus", "pour", "qu", "que", "qui", "se", "son", "sont", "sur",
            "un", "une", "vous",
        ],
    ),
    (
        "it",
        &[
            "a", "al", "alla", "anche", "che", "chi", "come", "con", "da", "dal", "de", "dei",
            "del", "della", "delle", "di", "e", "è", "era", "gli", "ha", "i", "il", "in", "io",
            "la", "le", "lo", "ma", "nel", "nella", "non", "per", "più", "si", "sono", "su", "un",
            "una", "uno",
        ],
    ),
    (
        "nl",
        &[
            "aan", "als", "bij", "dan", "dat", "de", "die", "dit", "door", "een", "en", "er", "ge",
            "had", "heeft", "het", "hij", "ik", "in", "is", "je", "maar", "met", "naar", "niet",
            "nog", "of", "om", "ook", "op", "over", "te", "tot", "uit", "van", "voor", "was",
            "wat", "ze", "zijn",
        ],
    ),
    (
        "pt",
        &[
            "a", "ao", "aos", "as", "com", "como", "da", "das", "de", "do", "dos", "e", "é", "ela",
            "ele", "em", "eu", "foi", "há", "isso", "mais", "mas", "na", "não", "no", "nos", "o",
            "os", "ou", "para", "pela", "pelo", "por", "que", "se", "sem", "seu", "sua", "um",
            "uma",
        ],
    ),
];

/// The language of a text made of `words`, or [`UNDETERMINED`] where there are too few small words
/// or two languages have equally many.
pub(crate) fn hint(words: &[String]) -> &'static str {
    let mut best = (UNDETERMINED, 0);
    let mut tied = false;
    for &(code, stop_words) in STOP_WORDS {
        let hits = words
            .iter()
            .filter(|word| stop_words.contains(&word.as_str()))
            .count();
        if hits > best.1 {
            best = (code, hits);
            tied = false;
        } else if hits == best.1 {
            tied = true;
        }
    }
    let (code, hits) = best;
    if tied || hits < MIN_HITS || hits * MAX_WORDS_PER_HIT < words.len() {
        UNDETERMINED
    } else {
        code
    }
}

/// Whether `word` is a small word in any of the languages.
pub(crate) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS
        .iter()
        .any(|(_, stop_words)| stop_words.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::words;

    fn hint_of(text: &str) -> &'static str {
        hint(&words(text))
    }

    #[test]
    fn small_words_tell_the_language() {
        let samples = [
            ("de", "Der Hund ist auf dem Sofa und die Katze nicht."),
            ("en", "The dog is on the sofa and the cat is not."),
            (
                "es",
                "El perro está en el sofá y los gatos no son de la casa.",
            ),
            (
                "fr",
                "Le chien est sur le canapé et les chats ne sont pas dans la maison.",
            ),
            (
                "it",
                "Il cane è sul divano e la gatta non è nella casa di Maria.",
            ),
            (
                "nl",
                "De hond zit op het bed en de kat is niet in het huis.",
            ),
            (
                "pt",
                "O cão está no sofá e os gatos não são da casa do João.",
            ),
        ];
        for (code, text) in samples {
            assert_eq!(hint_of(text), code, "{text}");
        }
    }

    #[test]
    fn an_unsure_guess_is_none() {
        for text in [
            "",
            "42",
            "Xylophon Quartz",
            "the",
            "これは日本語です",
            "de la",
        ] {
            assert_eq!(hint_of(text), UNDETERMINED, "{text}");
        }
        let thin = format!("the the {}", "zebra ".repeat(40));
        assert_eq!(hint_of(&thin), UNDETERMINED);
    }

    #[test]
    fn every_list_is_sorted_and_without_doubles() {
        for (code, stop_words) in STOP_WORDS {
            let mut unique: Vec<_> = stop_words.to_vec();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), stop_words.len(), "{code}");
        }
    }
}
