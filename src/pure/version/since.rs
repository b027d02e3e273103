//! A moment from which on something counts: named, or so long ago.

use crate::error::{Code, Error};
use crate::pure::text::quoted;
use crate::pure::version::calver;
use time::{Duration, OffsetDateTime};

/// A moment from which on something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This one.
    At(OffsetDateTime),
    /// So long before now.
    Ago(Duration),
}

impl Since {
    /// Reads a time as `next-version --at` takes it, or a number of hours, days or weeks.
    ///
    /// # Errors
    /// `request-invalid`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let ago = || {
            let digits = text.trim_end_matches(['h', 'd', 'w']);
            let seconds = match &text[digits.len()..] {
                "h" => 3600,
                "d" => 24 * 3600,
                "w" => 7 * 24 * 3600,
                _ => return None,
            };
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let count = digits.parse::<u32>().ok().filter(|_| is_number)?;
            Some(Self::Ago(Duration::seconds(i64::from(count) * seconds)))
        };
        let wrong = |_| {
            Error::new(Code::RequestInvalid, format!("{} is neither a time nor so long ago", quoted(text)))
                .hint("write a time as `2026-08-20T12:00:00Z` or `2026-08-20`, or how long ago as `12h`, `7d` or `2w`")
        };
        ago().map_or_else(|| calver::parse_time(text).map(Self::At).map_err(wrong), Ok)
    }

    /// The moment that it is.
    pub fn moment(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::At(moment) => moment,
            Self::Ago(long) => now.saturating_sub(long),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::text::instant;
    use time::macros::datetime;

    #[test]
    fn a_moment_is_named_or_so_long_ago() {
        let now = datetime!(2026-08-21 10:00:00 UTC);
        for (text, expected) in [
            ("2026-08-20T12:00:00+02:00", Some("2026-08-20T10:00:00Z")),
            ("2026-08-20", Some("2026-08-20T00:00:00Z")),
            ("@1787227200", Some("2026-08-20T12:00:00Z")),
            ("12h", Some("2026-08-20T22:00:00Z")),
            ("7d", Some("2026-08-14T10:00:00Z")),
            ("2w", Some("2026-08-07T10:00:00Z")),
            ("0h", Some("2026-08-21T10:00:00Z")),
            ("", None),
            ("d", None),
            ("7", None),
            ("7m", None),
            ("7dd", None),
            ("-7d", None),
            ("+7d", None),
            ("1.5d", None),
            ("7 d", None),
            ("4294967296d", None),
            ("yesterday", None),
        ] {
            let read = Since::parse(text).map(|since| instant::rfc3339(since.moment(now)));
            assert_eq!(read.ok().as_deref(), expected, "{text}");
        }
        // Before all time everything counts.
        assert!(Since::parse("4294967295w").unwrap().moment(now).year() < 0);
    }
}
