//! A text that must not be seen: a password, a token, a signature key.
//!
//! It can be handed on and compared, never shown: no `Display`, no `Serialize`, and `Debug` says
//! `(redacted)`. Reading the text takes a call whose name can be searched for.

use std::fmt;

/// A text that must not reach an output, a log, an error or a command line.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that puts it on the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_text() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "(redacted) Some((redacted))");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
