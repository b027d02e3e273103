//! A text of somebody else's inside one of our sentences, safe for a terminal and a log.

const LONGEST: usize = 200;

/// The text in backticks: control and invisible characters escaped, cut after 200 characters.
pub fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push('`');
    for (position, character) in text.chars().enumerate() {
        if position == LONGEST {
            shown.push('…');
            break;
        }
        push(&mut shown, character);
    }
    shown.push('`');
    shown
}

/// Texts that stand in backticks already, one after the other: the first twenty, and how many more there are.
pub fn list(texts: impl IntoIterator<Item = String>) -> String {
    const SHOWN: usize = 20;
    let mut texts = texts.into_iter();
    let mut shown = texts.by_ref().take(SHOWN).collect::<Vec<_>>().join(", ");
    match texts.count() {
        0 => {}
        more => shown.push_str(&format!(" and {more} more")),
    }
    shown
}

/// The first so many characters of a text, and a sign where there are more.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One character by name: `a space`, ``upper-case `S` ``, ``character `$` ``.
pub fn character(character: char) -> String {
    if character == ' ' {
        return "a space".to_owned();
    }
    let kind = if character.is_ascii_uppercase() { "upper-case" } else { "character" };
    let mut shown = format!("{kind} `");
    push(&mut shown, character);
    shown.push('`');
    shown
}

fn push(shown: &mut String, character: char) {
    if matches!(character, '\'' | '"' | '\\') {
        shown.push(character);
    } else {
        shown.extend(character.escape_debug());
    }
}

/// A number of bytes in the largest unit that it fills, with one digit after the point.
pub fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count} B");
    }
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut left, mut unit) = (count, 0);
    while left >= 1024 * 1024 && unit + 1 < units.len() {
        (left, unit) = (left / 1024, unit + 1);
    }
    format!("{}.{} {}", left / 1024, left % 1024 * 10 / 1024, units[unit])
}

/// A number of seconds as people say it.
pub fn seconds(count: u64) -> String {
    match (count / 3600, count / 60 % 60, count % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_through_that_a_terminal_would_obey() {
        for (text, expected) in [
            ("acme/app:1", "`acme/app:1`"),
            ("a\"'\\b", "`a\"'\\b`"),
            ("a\nb\x1b[31m\0", "`a\\nb\\u{1b}[31m\\0`"),
            ("\u{202e}x\u{200b}", "`\\u{202e}x\\u{200b}`"),
            ("grün", "`grün`"),
        ] {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(quoted(&"x".repeat(5000)).chars().count(), 203);
    }

    #[test]
    fn characters_are_named() {
        for (input, expected) in
            [(' ', "a space"), ('S', "upper-case `S`"), ('$', "character `$`"), ('\t', "character `\\t`")]
        {
            assert_eq!(character(input), expected);
        }
    }

    #[test]
    fn amounts_are_short() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
        for (count, expected) in [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3661, "1 h 1 min")] {
            assert_eq!(seconds(count), expected);
        }
    }
}
