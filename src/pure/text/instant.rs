//! Moments as text: RFC 3339 in UTC, to the second.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A moment as `2026-08-23T14:05:09Z`.
pub fn rfc3339(moment: OffsetDateTime) -> String {
    // At the ends of time, which a server may name, there is no such moment or no such text.
    let moment = moment.checked_to_offset(UtcOffset::UTC).unwrap_or(moment);
    moment.truncate_to_second().format(&Rfc3339).unwrap_or_default()
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
}
