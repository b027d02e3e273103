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
}
