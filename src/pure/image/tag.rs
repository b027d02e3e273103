//! The movable name of an image.
//!
//! Grammar: OCI distribution specification, "Pulling manifests".

use crate::error::Error;
use crate::pure::image::spelling::invalid;
use crate::pure::text::hex;
use crate::pure::text::show::character;
use crate::pure::text::words::{read_from_text, serialized_as_text};
use std::fmt;

const LONGEST: usize = 128;

/// A tag, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

impl Tag {
    /// Reads `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
    ///
    /// # Errors
    /// `reference-invalid`, with the character and its position.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|why| {
            let trimmed = text.trim();
            invalid(text, "a tag", &why, Self::read(trimmed).is_ok().then_some(trimmed))
        })
    }

    pub(super) fn read(text: &str) -> Result<Self, String> {
        check(text).map(|()| Self(text.into()))
    }

    /// The tag that read commands take where none is named.
    pub fn latest() -> Self {
        Self("latest".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a tag name is `sha256-<64 digits>`, alone or with `.sig`, `.att` or `.sbom`.
pub fn is_digest_derived(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("sha256-").or_else(|| name.strip_prefix("sha512-")) else {
        return false;
    };
    match rest.split_at_checked(64) {
        Some((digits, "" | ".sig" | ".att" | ".sbom")) => hex::is_lower(digits),
        _ => false,
    }
}

/// Says why a text is not a tag.
fn check(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    for (position, each) in text.chars().enumerate() {
        let fits = each.is_ascii_alphanumeric() || each == '_' || (position > 0 && matches!(each, '.' | '-'));
        if !fits {
            return Err(format!("{} at position {} of the tag", character(each), position + 1));
        }
    }
    if text.len() > LONGEST {
        return Err(format!("the tag has {} characters, at most {LONGEST} are allowed", text.len()));
    }
    Ok(())
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serialized_as_text!(Tag);
read_from_text!(Tag);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn tags_are_read() {
        for tag in ["latest", "1", "_", "A.b-c_d", "2026.34.103-rc", "v1..2--", &"x".repeat(128)] {
            assert_eq!(Tag::parse(tag).unwrap().as_str(), tag);
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for (text, why) in [
            ("", "it is empty"),
            (".x", "character `.` at position 1 of the tag"),
            ("-x", "character `-` at position 1 of the tag"),
            ("1.2+3", "character `+` at position 4 of the tag"),
            ("a/b", "character `/` at position 2 of the tag"),
            ("${BUILD}", "character `$` at position 1 of the tag"),
            ("1\n", "character `\\n` at position 2 of the tag"),
            ("a b", "a space at position 2 of the tag"),
            ("grün", "character `ü` at position 3 of the tag"),
            (&"x".repeat(129), "the tag has 129 characters, at most 128 are allowed"),
        ] {
            let error = Tag::parse(text).unwrap_err();
            assert_eq!(error.code(), Code::ReferenceInvalid);
            assert!(error.message().ends_with(why), "{text}: {error}");
        }
        assert_eq!(Tag::parse(" 1.2\n").unwrap_err().hint_text(), Some("write `1.2`"));
    }

    #[test]
    fn tags_made_from_digests_are_known() {
        let hex = "0123456789abcdef".repeat(4);
        for (name, expected) in [
            (format!("sha256-{hex}"), true),
            (format!("sha256-{hex}.sig"), true),
            (format!("sha256-{hex}.att"), true),
            (format!("sha256-{hex}.sbom"), true),
            (format!("sha512-{hex}"), true),
            (format!("sha256-{hex}.tar"), false),
            (format!("sha256-{hex}0"), false),
            (format!("sha256-{}", hex.to_uppercase()), false),
            ("sha256-".to_owned() + &"é".repeat(32), false),
            ("sha256-".to_owned() + &"x".repeat(63) + "é", false),
            ("sha256-abc".to_owned(), false),
        ] {
            assert_eq!(is_digest_derived(&name), expected, "{name}");
        }
    }
}
