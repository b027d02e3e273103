//! Decides whether something is tried again, and after how long.
//!
//! A request says itself whether it may be sent twice ([`Repeat`]). A server that names a time is obeyed, so a caller
//! has to compare the wait with its own limit.
//!
//! `Retry-After`: RFC 9110, section 10.2.3; its three forms of a date: section 5.6.7.

use crate::pure::http::{Fault, Headers, Repeat, Response};
use std::time::Duration;
use time::{Date, Month, OffsetDateTime, Time};

/// What an outcome means for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Keep,
    /// It may pass; the server asks to wait this long.
    Passing(Option<Duration>),
    /// Another way is open, which is gone at once and does not count as a repeat.
    AtOnce,
}

/// How often and how fast something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How many repeats there may be in all.
    pub retries: u32,
    /// The first wait; each further one is twice as long.
    pub first: Duration,
}

impl Pace {
    /// That of registries: one second, then two, then four.
    pub fn usual(retries: u32) -> Self {
        Self { retries, first: Duration::from_secs(1) }
    }

    /// How long to wait after try number `number`, the first being 1; `None` where there is no other try.
    ///
    /// `jitter` is any random number. Where a server asks for no time of its own, waits are a quarter longer or
    /// shorter than they would be, so that many callers do not come back at once.
    pub fn wait(self, number: u32, asked: Option<Duration>, jitter: u64) -> Option<Duration> {
        if number > self.retries {
            return None;
        }
        let first = u64::try_from(self.first.as_millis()).unwrap_or(LONGEST);
        let base = first.saturating_mul(1 << (number.clamp(1, 6) - 1)).min(LONGEST);
        let usual = || Duration::from_millis(base * 3 / 4 + jitter % (base / 2 + 1));
        Some(asked.filter(|wait| !wait.is_zero()).unwrap_or_else(usual))
    }
}

/// The longest wait that no server has asked for, in milliseconds.
const LONGEST: u64 = 30_000;

/// What the outcome of a request means.
pub fn verdict(repeat: Repeat, outcome: Result<&Response, &Fault>, now: OffsetDateTime) -> Verdict {
    match outcome {
        _ if repeat == Repeat::Never => Verdict::Keep,
        Ok(response) if is_passing(response.status) => Verdict::Passing(retry_after(&response.headers, now)),
        Err(fault) if fault.repeatable() => Verdict::Passing(None),
        _ => Verdict::Keep,
    }
}

/// Whether a status says "not now", as opposed to "no".
pub fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

/// The longest wait that is heard of, so that a moment after it is still one.
const FOREVER: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long the server asks to wait: `Retry-After` in seconds or as a date, or `X-Retry-After` as a Unix time.
pub fn retry_after(headers: &Headers, now: OffsetDateTime) -> Option<Duration> {
    let seconds = |count: u64| Duration::from_secs(count).min(FOREVER);
    let until = |then: OffsetDateTime| Duration::try_from(then - now).unwrap_or(Duration::ZERO).min(FOREVER);
    if let Some(value) = headers.get("retry-after").map(str::trim) {
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(seconds(value.parse().unwrap_or(u64::MAX)));
        }
        if let Some(date) = http_date(value, now) {
            return Some(until(date));
        }
    }
    let value: i64 = headers.get("x-retry-after")?.trim().parse().ok().filter(|value| *value >= 0)?;
    // Docker Hub writes a Unix time here; a small number can only be seconds.
    if value < 1_000_000_000 {
        return Some(seconds(value.unsigned_abs()));
    }
    OffsetDateTime::from_unix_timestamp(value).ok().map(until)
}

/// Reads a date in each form that RFC 9110 tells a reader to know: `Sun, 06 Nov 1994 08:49:37 GMT`,
/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
///
/// A year of two digits is the one of this century, unless that is more than fifty years ahead.
pub fn http_date(text: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let words: Vec<&str> = text.split([' ', '-', ',']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, clock) = match *words.as_slice() {
        [_, day, month, year, clock, "GMT"] => (day, month, year, clock),
        [_, month, day, clock, year] => (day, month, year, clock),
        _ => return None,
    };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|known| known.eq_ignore_ascii_case(month))? + 1;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let year = match (year.len(), year.parse::<i32>().ok()?) {
        (2, short) if short + 2000 > now.year() + 50 => short + 1900,
        (2, short) => short + 2000,
        (_, long) => long,
    };
    let mut clock = clock.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let date = Date::from_calendar_date(year, month, day.parse().ok()?).ok().filter(|_| (1..9999).contains(&year))?;
    // A leap second is written as 60.
    let time = Time::from_hms(hour, minute, second.min(59)).ok()?;
    Some(date.with_time(time).assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::http::message::{Method, Request};
    use crate::pure::http::url::Url;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-08-20 10:00:00 UTC);

    fn request(method: Method) -> Request {
        Request::new(method, Url::parse("https://r.example/v2/").unwrap())
    }

    fn reply(status: u16, name: &str, value: &str) -> Response {
        let from = Url::parse("https://r.example/v2/").unwrap();
        Response {
            from,
            status,
            headers: Headers::new().with(name, value),
            body: Vec::new(),
            secrets: Default::default(),
        }
    }

    fn ask(request: &Request, outcome: Result<&Response, &Fault>) -> Verdict {
        verdict(request.repeat, outcome, NOW)
    }

    #[test]
    fn passing_failures_are_repeated_and_others_count() {
        for status in [408, 429, 499, 500, 502, 503, 504, 522] {
            let verdict = ask(&request(Method::Put), Ok(&reply(status, "x", "y")));
            assert_eq!(verdict, Verdict::Passing(None), "{status}");
        }
        for status in [200, 201, 301, 400, 401, 403, 404, 405, 409, 413, 501, 505] {
            assert_eq!(ask(&request(Method::Get), Ok(&reply(status, "retry-after", "1"))), Verdict::Keep, "{status}");
        }
        let passing = Fault::Reset { why: String::new() };
        let lasting = Fault::Malformed { why: String::new() };
        assert_eq!(ask(&request(Method::Head), Err(&passing)), Verdict::Passing(None));
        assert_eq!(ask(&request(Method::Head), Err(&lasting)), Verdict::Keep);
    }

    #[test]
    fn there_are_as_many_repeats_as_were_allowed() {
        let waits: Vec<Option<u128>> =
            (1..=4).map(|number| Pace::usual(3).wait(number, None, 0).map(|wait| wait.as_millis())).collect();
        assert_eq!(waits, [Some(750), Some(1500), Some(3000), None]);
        assert_eq!(Pace::usual(0).wait(1, Some(Duration::from_secs(1)), 0), None);
        let at_once = Pace { retries: 1, first: Duration::ZERO };
        assert_eq!(at_once.wait(1, None, 12_345), Some(Duration::ZERO));
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let waits = [0, 1, 500, 501].map(|jitter| Pace::usual(1).wait(1, None, jitter).unwrap().as_millis());
        assert_eq!(waits, [750, 751, 1250, 750]);
        for number in [1, 2, 5, 30] {
            for jitter in [0, 1, 499, 500, 12_345, u64::MAX] {
                let wait = Pace::usual(30).wait(number, None, jitter).unwrap().as_millis();
                let base = u128::from((1000u64 << (number.min(6) - 1)).min(30_000));
                assert!(wait >= base * 3 / 4 && wait <= base * 5 / 4, "{number} {jitter} {wait}");
            }
        }
    }

    #[test]
    fn a_post_is_sent_again_only_where_its_maker_says_so() {
        let busy = reply(503, "x", "y");
        assert_eq!(ask(&request(Method::Post), Ok(&busy)), Verdict::Keep);
        assert_eq!(ask(&request(Method::Patch), Ok(&busy)), Verdict::Keep);
        assert_eq!(ask(&request(Method::Delete), Ok(&busy)), Verdict::Passing(None));
        assert_eq!(ask(&request(Method::Post).repeated(Repeat::Freely), Ok(&busy)), Verdict::Passing(None));
        assert_eq!(ask(&request(Method::Put).repeated(Repeat::Never), Ok(&busy)), Verdict::Keep);
    }

    #[test]
    fn a_named_time_is_obeyed() {
        for (name, value, expected) in [
            ("Retry-After", "7", Some(7)),
            ("Retry-After", "0", Some(0)),
            ("retry-after", "Thu, 20 Aug 2026 10:02:00 GMT", Some(120)),
            ("retry-after", "Thu, 20 Aug 2026 09:00:00 GMT", Some(0)),
            ("Retry-After", "Thursday, 20-Aug-26 10:02:00 GMT", Some(120)),
            ("Retry-After", "Thu Aug 20 10:02:00 2026", Some(120)),
            ("X-Retry-After", "1787220060", Some(60)),
            ("X-Retry-After", "30", Some(30)),
            ("X-Retry-After", "1000000000", Some(0)),
            ("Retry-After", "18446744073709551615", Some(31_622_400)),
            ("Retry-After", "99999999999999999999999999", Some(FOREVER.as_secs())),
            ("Retry-After", "Fri, 31 Dec 9998 23:59:59 GMT", Some(FOREVER.as_secs())),
            ("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT", None),
            ("Retry-After", "Fri, 31 Dec 2147483647 23:59:59 GMT", None),
            ("X-Retry-After", "9223372036854775807", None),
            ("X-Retry-After", "200000000000", Some(FOREVER.as_secs())),
            ("Retry-After", "soon", None),
            ("Retry-After", "-1", None),
            ("Retry-After", "Thu, 99 Aug 2026 10:02:00 GMT", None),
            ("Retry-After", "Thu, 20 Aug 2026 10:02:00 CET", None),
            ("X-Retry-After", "-5", None),
        ] {
            let wait = retry_after(&Headers::new().with(name, value), NOW);
            assert_eq!(wait, expected.map(Duration::from_secs), "{name}: {value}");
        }
        let busy = reply(429, "Retry-After", "7");
        assert_eq!(ask(&request(Method::Get), Ok(&busy)), Verdict::Passing(Some(Duration::from_secs(7))));
        assert_eq!(Pace::usual(3).wait(1, Some(Duration::from_secs(7)), 0), Some(Duration::from_secs(7)));
        assert_eq!(Pace::usual(3).wait(1, Some(Duration::ZERO), 0), Some(Duration::from_millis(750)));
    }

    #[test]
    fn dates_are_read_in_the_three_forms_of_the_specification() {
        let expected = time::macros::datetime!(1994-11-06 08:49:37 UTC);
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(http_date(text, NOW), Some(expected), "{text}");
        }
        for (short, year) in [("28", 2028), ("76", 2076), ("77", 1977)] {
            let date = http_date(&format!("Friday, 06-Nov-{short} 08:49:37 GMT"), NOW);
            assert_eq!(date.map(OffsetDateTime::year), Some(year), "{short}");
        }
        for text in ["", "yesterday", "Sun, 06 Nov 1994", "Sun Nov 6 1994 08:49:37", "06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(http_date(text, NOW), None, "{text}");
        }
    }
}
