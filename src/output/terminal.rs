//! What may reach a terminal, and what the terminal is like.

/// A terminal that stdout leads to.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// How many characters fit into a line.
    pub columns: usize,
    /// Whether colours may be used.
    pub colour: bool,
}

impl Screen {
    /// Text of any length without colours, for stdout that is no terminal.
    pub const NONE: Screen = Screen { columns: usize::MAX, colour: false };

    /// The text in the colour of what has moved, where it has.
    pub fn moved(self, text: &str, moved: bool) -> String {
        self.painted(text, moved, 33)
    }

    /// The text in the colour of what was refused.
    pub fn refused(self, text: &str) -> String {
        self.painted(text, true, 31)
    }

    fn painted(self, text: &str, wanted: bool, colour: u8) -> String {
        if self.colour && wanted { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The text in one line, as [`visible`].
pub fn line(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

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
