//! What may reach a terminal.

/// The text with every control character spelt out but line breaks: words of others must not steer a terminal.
pub fn visible(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n';
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        for (text, expected) in [
            ("two\nlines: é\n", "two\nlines: é\n"),
            ("\x1b[31mred\r\u{9b}2J\u{7f}", "\\u{1b}[31mred\\r\\u{9b}2J\\u{7f}"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }
}
