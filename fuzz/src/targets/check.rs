//! What holds of every text that is made of somebody else's.

use tagwright::error::Error;
use tagwright::pure::text::show::visible;

/// More than this no failure has to say, however long the text is that it is about.
const LONGEST: usize = 8 << 10;

/// The bytes as the text that a header or a file would be.
pub fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// Nothing that reaches a terminal steers it.
pub fn terminal(text: &str) {
    let shown = visible(text);
    let steers = |c: char| {
        let turns =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        turns || c.is_control() && c != '\n'
    };
    assert!(!shown.contains(steers), "a terminal would obey {shown:?}");
}

/// A failure can be shown, and is short.
pub fn error(error: &Error) {
    let text = error.to_string();
    terminal(&text);
    assert!(text.len() <= LONGEST, "a failure of {} bytes: {text:.400}", text.len());
}

/// The value; a failure is looked at.
pub fn ok<T>(outcome: Result<T, Error>) -> Option<T> {
    outcome.map_err(|why| error(&why)).ok()
}
