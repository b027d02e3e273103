//! The nearest known word for one that was mistyped.
//!
//! Distance: optimal string alignment, the edits of Levenshtein and swapped neighbours.

/// The known word that was most likely meant, if one is near enough to be offered.
///
/// Case and separators do not count, so `dry_run` and `dryRun` find `dry-run`; a beginning of three letters or
/// more finds the word if it begins only one.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = bare(typed);
    let mut best: Option<(usize, &str)> = None;
    let mut begun = Vec::new();
    for word in known {
        let plain = bare(word);
        best = between(&typed, &plain)
            .filter(|near| best.is_none_or(|(least, _)| *near < least))
            .map_or(best, |near| Some((near, word)));
        if typed.len() >= 3 && plain.starts_with(&typed) {
            begun.push(word);
        }
    }
    match (best, begun.as_slice()) {
        (Some((_, word)), _) => Some(word),
        (None, [word]) => Some(word),
        _ => None,
    }
}

/// The known words that come nearest to one, at most so many; of those that are equally near, the last ones first.
pub fn several<'a>(typed: &str, known: &'a [String], most: usize) -> Vec<&'a str> {
    let typed = bare(typed);
    // Where every letter is another one, nothing is near.
    let near = |word: &'a String| {
        between(&typed, &bare(word)).filter(|far| *far < typed.len()).map(|far| (far, word.as_str()))
    };
    let mut near: Vec<(usize, &str)> = known.iter().rev().filter_map(near).collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(most).map(|(_, word)| word).collect()
}

/// How far a word is from the one that was typed, where it is near enough to be offered.
fn between(typed: &[char], plain: &[char]) -> Option<usize> {
    Some(distance(typed, plain)).filter(|far| *far <= typed.len().max(plain.len()).div_ceil(4).min(3))
}

/// A word without what does not count.
pub fn bare(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).take(64).collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let swap = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + swap);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_no_far_one() {
        let known = ["build", "newest", "to", "move", "expect-digest", "require-label", "dry-run", "timeout"];
        for (typed, expected) in [
            ("biuld", Some("build")),
            ("buld", Some("build")),
            ("BUILD", Some("build")),
            ("dryRun", Some("dry-run")),
            ("dry_run", Some("dry-run")),
            ("dry", Some("dry-run")),
            ("req", Some("require-label")),
            ("requireLabels", Some("require-label")),
            ("tto", Some("to")),
            ("mvoe", Some("move")),
            ("x", None),
            ("frobnicate", None),
            ("", None),
            ("label", None),
        ] {
            assert_eq!(nearest(typed, known), expected, "{typed}");
        }
        for known in [["images", "image"], ["image", "images"]] {
            assert_eq!(nearest("imege", known), Some("image"));
        }
        for known in [["tag", "tap"], ["tap", "tag"]] {
            assert_eq!(nearest("tax", known), Some(known[0]));
        }
    }

    #[test]
    fn several_words_are_offered_the_nearest_first_and_the_last_of_those_that_are_as_near() {
        let known =
            ["1.0", "9", "2026.34.101", "2026.34.102", "2026.34.103", "2026.34.103-rc", "latest"].map(str::to_owned);
        for (typed, expected) in [
            ("2026.34.1O3", &["2026.34.103", "2026.34.102", "2026.34.101"][..]),
            ("lates", &["latest"]),
            ("2026.43.103", &["2026.34.103", "2026.34.102", "2026.34.101"]),
            ("frobnicate", &[]),
            ("2", &[]),
            ("", &[]),
        ] {
            assert_eq!(several(typed, &known, 3), expected, "{typed}");
        }
    }

    #[test]
    fn swapped_neighbours_are_one_edit() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (a, b, expected) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("bac", "abc", 1),
            ("acb", "abc", 1),
            ("abcdfe", "abcdef", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(&chars(a), &chars(b)), expected, "{a} {b}");
        }
    }
}
