//! Somebody else's text in a file of markup: the one way in which it gets there.

use crate::pure::text::show;

/// What stands at the beginning of each file of a board, so that no other file is written over.
pub const MARK: &str = "tagwright board";

/// The text where it is no markup, on one line, with what is not seen spelt out.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in show::line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A moment as people read it: without its seconds, in UTC.
pub fn moment(at: &str) -> String {
    escaped(&at.chars().take(16).collect::<String>().replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text_and_what_is_not_seen_is_spelt_out() {
        for (text, expected) in [
            ("release #103", "release #103"),
            ("<b a=\"1\" b='2'>&amp;", "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;amp;"),
            ("größe 東京 👍", "größe 東京 👍"),
            ("a\nb\tc\u{0}\u{1b}[2J", "a\\nb\\tc\\0\\u{1b}[2J"),
            ("\u{202e}\u{2066}\u{200b}\u{feff}", "\\u{202e}\\u{2066}\\u{200b}\\u{feff}"),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_moment_has_no_seconds() {
        for (at, expected) in [("2026-08-23T10:00:00Z", "2026-08-23 10:00"), ("", ""), ("<T", "&lt; "), ("é", "é")] {
            assert_eq!(moment(at), expected);
        }
    }
}
