//! Moments as text: RFC 3339 in UTC, to the second.

use time::OffsetDateTime;

/// A moment as `2026-08-23T14:05:09Z`.
pub fn rfc3339(moment: OffsetDateTime) -> String {
    let m = moment.to_offset(time::UtcOffset::UTC);
    let (date, time) = (m.date(), m.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn moments_are_printed_in_utc() {
        assert_eq!(rfc3339(datetime!(2026-08-23 14:05:09.5 UTC)), "2026-08-23T14:05:09Z");
        assert_eq!(rfc3339(datetime!(2026-01-01 00:30:00 +01:00)), "2025-12-31T23:30:00Z");
    }
}
