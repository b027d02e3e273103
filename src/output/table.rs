//! Lines of a certain width: columns, `key  value` lines, sentences.
//!
//! What is too long for a column is cut with `…`; what is too long for a line goes on in the next one.

/// Rows side by side, two blanks between columns, as wide as the screen at most.
///
/// A column without any text below its heading is left out. Where the rows are too wide, the widest column is cut.
pub fn columns(rows: &[Vec<String>], headed: bool, width: usize) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let length = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let filled = |column: &usize| rows.iter().skip(usize::from(headed)).any(|row| length(row, *column) > 0);
    let shown: Vec<usize> = (0..count).filter(filled).collect();
    let widest = |column: &usize| rows.iter().map(|row| length(row, *column)).max().unwrap_or_default();
    let mut widths: Vec<usize> = shown.iter().map(widest).collect();
    let gaps = 2 * widths.len().saturating_sub(1);
    while let Some(over) = (widths.iter().sum::<usize>() + gaps).checked_sub(width).filter(|over| *over > 0) {
        let Some(widest) = widths.iter_mut().max() else { break };
        if *widest <= NARROWEST {
            break;
        }
        *widest = widest.saturating_sub(over.div_ceil(2)).max(NARROWEST);
    }
    let line = |row: &Vec<String>| {
        let cell = |column: &usize| row.get(*column).map_or("", String::as_str);
        let cells = shown.iter().zip(&widths).map(|(column, width)| format!("{:width$}", cut(cell(column), *width)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// No column gets narrower than this.
const NARROWEST: usize = 8;

/// Keys with their values, the values below each other; one that does not fit stands in lines of its own.
pub fn pairs(pairs: &[(String, String)], width: usize) -> Vec<String> {
    let key_width = pairs.iter().map(|(key, _)| key.chars().count()).filter(|key| key * 2 <= width).max();
    let indent = key_width.unwrap_or_default() + 2;
    let mut lines = Vec::new();
    for (key, value) in pairs {
        let key_length = key.chars().count();
        if key_length + 2 <= indent && indent + value.chars().count() <= width {
            lines.push(format!("{key:indent$}{value}").trim_end().to_owned());
        } else {
            lines.push(key.clone());
            lines.extend(folded(value, width.saturating_sub(4)).into_iter().map(|line| format!("    {line}")));
        }
    }
    lines
}

/// The branches of a tree below a line.
pub fn branches(rows: &[Vec<String>], width: usize) -> Vec<String> {
    let last = rows.len().saturating_sub(1);
    let branch = |(n, line): (usize, String)| format!("{} {line}", if n == last { "└─" } else { "├─" });
    columns(rows, false, width.saturating_sub(3)).into_iter().enumerate().map(branch).collect()
}

/// A text in lines of at most so many characters, broken at blanks where there are some, indented as it begins.
pub fn folded(text: &str, width: usize) -> Vec<String> {
    let words = text.trim_start_matches(' ');
    let indent = &text[..text.len() - words.len()];
    let width = width.saturating_sub(indent.len()).max(NARROWEST);
    let mut lines = vec![String::new()];
    let mut left = width;
    for word in words.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        let mut letters = letters.as_slice();
        let begun = left < width;
        if begun && letters.len() < left {
            lines.last_mut().into_iter().for_each(|line| line.push(' '));
            left -= 1;
        } else if begun {
            lines.push(String::new());
            left = width;
        }
        loop {
            let (now, later) = letters.split_at(letters.len().min(left));
            lines.last_mut().into_iter().for_each(|line| line.extend(now));
            left -= now.len();
            letters = later;
            if letters.is_empty() {
                break;
            }
            lines.push(String::new());
            left = width;
        }
    }
    lines.iter().map(|line| format!("{indent}{line}")).collect()
}

/// The text, its end replaced by `…` where it is longer than so many characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_fit_and_empty_ones_are_left_out() {
        let table = rows(&[&["TAG", "VERSION", "DIGEST"], &["latest", "", "abc"], &["1.2.3", "", "abcdefgh"]]);
        assert_eq!(columns(&table, true, 80), ["TAG     DIGEST", "latest  abc", "1.2.3   abcdefgh"]);
        let long = rows(&[&["TAG", "N"], &["a-tag-that-is-much-too-long", "1"]]);
        assert_eq!(columns(&long, true, 20), ["TAG                N", "a-tag-that-is-mu…  1"].map(str::to_owned));
        assert_eq!(columns(&long, true, 3), ["TAG       N", "a-tag-t…  1"]);
    }

    #[test]
    fn values_stand_below_each_other_or_in_lines_of_their_own() {
        let some = [("a", "1"), ("key", "two words"), ("too-long-a-key", "3"), ("b", "0123456789abcdef ghij")];
        let some = some.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let expected = ["a    1", "key  two words", "too-long-a-key", "    3", "b", "    0123456789abcdef", "    ghij"];
        assert_eq!(pairs(&some, 20), expected);
    }

    #[test]
    fn text_is_folded_at_blanks_and_a_long_word_anywhere() {
        for (text, width, expected) in [
            ("one two three", 9, vec!["one two", "three"]),
            ("0123456789abcdef", 10, vec!["0123456789", "abcdef"]),
            ("a 0123456789abcdef", 10, vec!["a", "0123456789", "abcdef"]),
            ("", 10, vec![""]),
            ("  one two three", 11, vec!["  one two", "  three"]),
        ] {
            assert_eq!(folded(text, width), expected, "{text}");
        }
    }
}
