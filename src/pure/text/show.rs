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

/// The text with every character spelt out that is not seen as it is, but for line breaks: words of others must not steer a
/// terminal, nor forge or hide what stands in a log.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' { shown.push(character) } else { push(&mut shown, character) }
    }
    shown
}

/// The text in one line, as [`visible`].
pub fn line(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

/// The text, visible, without what a description of a build would take for markup.
pub fn unmarked(text: &str) -> String {
    let entity = |rest: &str| {
        rest.starts_with('#') || rest.find(';').is_some_and(|end| rest[..end].chars().all(char::is_alphanumeric))
    };
    let mut rest = visible(text);
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find(['<', '&']) {
        let tail = rest.split_off(at + 1);
        let mark = if rest.ends_with('<') || entity(&tail) { rest.pop() } else { None };
        out += &rest;
        out.extend(mark.map(|mark| mark.escape_unicode().to_string()));
        rest = tail;
    }
    out + &rest
}

/// Whether a character is seen as it is, in a line or as its end.
pub fn shows(character: char) -> bool {
    matches!(character, '\'' | '"' | '\\' | '\n') || character.escape_debug().len() == 1
}

fn push(shown: &mut String, character: char) {
    if shows(character) && character != '\n' {
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
    while left >= 1024 * 1024 {
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
    fn nothing_steers_a_terminal_forges_a_log_or_marks_a_description() {
        for (text, expected) in [
            ("two\nlines: é \"'\\\n", "two\nlines: é \"'\\\n"),
            ("\x1b[31mred\r\u{9b}2J\u{7f}\0", "\\u{1b}[31mred\\r\\u{9b}2J\\u{7f}\\0"),
            // Bidirectional and format characters, line separators, and a note for the console of Jenkins.
            ("a\u{202e}b\u{200b}\u{2066}\u{feff}\u{ad}", "a\\u{202e}b\\u{200b}\\u{2066}\\u{feff}\\u{ad}"),
            ("\u{2028}\u{2029}\u{85}", "\\u{2028}\\u{2029}\\u{85}"),
            ("\x1b[8mha:AAAA\x1b[0m", "\\u{1b}[8mha:AAAA\\u{1b}[0m"),
        ] {
            assert_eq!(visible(text), expected);
        }
        assert_eq!(line("a\nb"), "a\\nb");
        for (text, expected) in [
            ("<b>no</b> & a && b", "\\u{3c}b>no\\u{3c}/b> & a && b"),
            ("?a=1&b=2 &lt;b> &#x202e", "?a=1&b=2 \\u{26}lt;b> \\u{26}#x202e"),
        ] {
            assert_eq!(unmarked(text), expected);
        }
    }

    #[test]
    fn twenty_texts_are_listed_and_the_others_counted() {
        for (count, expected) in [(0, ""), (2, "0, 1"), (20, ", 18, 19"), (22, ", 18, 19 and 2 more")] {
            let shown = list((0..count).map(|n| n.to_string()));
            assert!(shown.ends_with(expected) && shown.is_empty() == (count == 0), "{shown}");
        }
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
