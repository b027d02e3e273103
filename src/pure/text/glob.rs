//! A pattern with `*`, `?` and `[…]` that a whole name must match.
//!
//! `*` stands for any characters, `?` for one, `[a-z]` for one of a set, `[!a-z]` for one that is not.
//! There is no escape and no special treatment of dots and slashes. Matching takes at most the
//! product of both lengths, whatever the pattern.

use crate::error::{Code, Error};
use crate::pure::text::quoted;

/// A pattern, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pieces: Vec<GlobPiece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum GlobPiece {
    Many,
    Any,
    One(char),
    Set { inverted: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `request-invalid` for an empty pattern, a `[` without `]`, an empty set and a range that runs backwards.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::new(Code::RequestInvalid, format!("{} is not a pattern: {why}", quoted(text)));
        if text.is_empty() {
            return Err(bad("it is empty").hint("write `*` for every name"));
        }
        let mut pieces = Vec::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '*' => pieces.push(GlobPiece::Many),
                '?' => pieces.push(GlobPiece::Any),
                '[' => {
                    let (inside, after) = set(rest.as_str()).ok_or_else(|| bad("a `[` has no `]`"))?;
                    pieces.push(piece(inside).map_err(|why| bad(&why))?);
                    rest = after.chars();
                }
                character => pieces.push(GlobPiece::One(character)),
            }
        }
        Ok(Self { pieces })
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        // Whether the first so many pieces stand for what was read so far; nothing read yet, only `*` can.
        let leading = self.pieces.iter().take_while(|piece| **piece == GlobPiece::Many).count();
        let mut fits: Vec<bool> = (0..=self.pieces.len()).map(|count| count <= leading).collect();
        for character in name.chars() {
            let mut before = std::mem::replace(&mut fits[0], false);
            for (at, piece) in self.pieces.iter().enumerate() {
                let fit = match piece {
                    GlobPiece::Many => fits[at] || fits[at + 1],
                    piece => before && piece.takes(character),
                };
                before = std::mem::replace(&mut fits[at + 1], fit);
            }
        }
        fits[self.pieces.len()]
    }
}

impl GlobPiece {
    fn takes(&self, character: char) -> bool {
        match self {
            GlobPiece::Many => false,
            GlobPiece::Any => true,
            GlobPiece::One(wanted) => *wanted == character,
            GlobPiece::Set { inverted, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *inverted
            }
        }
    }
}

/// Splits what follows a `[` at its `]`, which is a member where it comes first.
fn set(rest: &str) -> Option<(&str, &str)> {
    let skip = rest.len() - rest.trim_start_matches(['!', '^']).len();
    let skip = skip.min(1);
    let skip = if rest[skip..].starts_with(']') { skip + 1 } else { skip };
    let end = skip + rest[skip..].find(']')?;
    Some((&rest[..end], &rest[end + 1..]))
}

fn piece(inside: &str) -> Result<GlobPiece, String> {
    let members = inside.strip_prefix(['!', '^']).unwrap_or(inside);
    let characters: Vec<char> = members.chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&low) = characters.get(at) {
        match (characters.get(at + 1), characters.get(at + 2)) {
            (Some('-'), Some(&high)) if high < low => return Err(format!("the range `{low}-{high}` runs backwards")),
            (Some('-'), Some(&high)) => {
                ranges.push((low, high));
                at += 3;
            }
            _ => {
                ranges.push((low, low));
                at += 1;
            }
        }
    }
    Ok(GlobPiece::Set { inverted: members.len() != inside.len(), ranges })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, yes, no) in [
            ("2026.*", &["2026.", "2026.1.2"][..], &["2025.1", "x2026.1", "2026"][..]),
            ("*-rc", &["-rc", "1-rc", "a-rc-rc"], &["rc", "1-rc1"]),
            ("*a*b*c", &["abc", "xaybzc", "aabbcc", "abcabc"], &["acb", "abcx"]),
            ("v?.?", &["v1.2"], &["v1", "v12.3", "1.2"]),
            ("[0-9]*", &["0", "5", "9x"], &["x9", "-", ""]),
            ("[a-a]", &["a"], &["b", "-"]),
            ("[!0-9]*", &["x9"], &["9x", ""]),
            ("[^a]", &["b", "é"], &["a", "bb"]),
            ("[]]", &["]"], &["[", "]]"]),
            ("[a-]", &["a", "-"], &["b"]),
            ("x[ab]c*", &["xac", "xbcd"], &["xc", "xabc"]),
            ("**", &["", "anything"], &[]),
            ("a**b", &["ab", "axyb"], &["a", "axc"]),
            ("é?", &["éa", "éé"], &["e?"]),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            for name in yes {
                assert!(glob.matches(name), "`{pattern}` should match `{name}`");
            }
            for name in no {
                assert!(!glob.matches(name), "`{pattern}` should not match `{name}`");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "[", "a[b", "[]", "[!]", "[z-a]", "[[a"] {
            assert_eq!(Glob::parse(bad).unwrap_err().code(), Code::RequestInvalid, "{bad}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let glob = Glob::parse(&"*a".repeat(50)).unwrap();
        assert!(!glob.matches(&("a".repeat(20_000) + "b")));
    }
}
