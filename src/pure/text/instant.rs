//! Moments as text: RFC 3339 in UTC, to the second.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A moment as `2026-08-23T14:05:09Z`.
pub fn rfc3339(moment: OffsetDateTime) -> String {
    // At the ends of time, which a server may name, there is no such moment or no such text.
    let moment = moment.checked_to_offset(UtcOffset::UTC).unwrap_or(moment);
    moment.truncate_to_second().format(&Rfc3339).unwrap_or_default()
}

/// Reads a moment that somebody else wrote; `None` also for one beyond the years that RFC 3339 knows.
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
    (1..=9998).contains(&moment.year()).then_some(moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn moments_are_printed_in_utc() {
        assert_eq!(rfc3339(datetime!(2026-08-23 14:05:09.5 UTC)), "2026-08-23T14:05:09Z");
        assert_eq!(rfc3339(datetime!(2026-01-01 00:30:00 +01:00)), "2025-12-31T23:30:00Z");
        assert_eq!(rfc3339(datetime!(9999-12-31 23:30:00 -01:00)), "9999-12-31T23:30:00-01:00");
        assert_eq!(rfc3339(datetime!(0000-01-01 00:30:00 +01:00)), "");
    }

    #[test]
    fn moments_at_the_end_of_time_are_none() {
        for (text, expected) in [
            ("2026-08-23T16:05:09.123+02:00", Some("2026-08-23T14:05:09Z")),
            ("9999-12-31T23:59:59-23:59", None),
            ("0000-01-01T00:00:00+23:59", None),
            ("9999-12-31T00:00:00Z", None),
            ("2026-08-23", None),
        ] {
            assert_eq!(parse(text).map(rfc3339).as_deref(), expected, "{text}");
        }
    }
}
