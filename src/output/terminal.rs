//! What the terminal is like that stdout leads to; what may reach one is decided in [`crate::pure::text::show`].

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
