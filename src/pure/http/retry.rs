//! Decides whether a request is sent again, and after how long.
//!
//! Only what is safe to repeat is repeated: reads, writes at a name, and `POST`s that ask for a token;
//! never a `POST` that starts something. A server that names a time is obeyed, so a caller has to
//! compare the wait with its own limit.
//!
//! `Retry-After`: RFC 9110, section 10.2.3.

use crate::pure::http::fault::Fault;
use crate::pure::http::message::{Headers, Method, Request, Response};
use std::time::Duration;
use time::{Date, Month, OffsetDateTime, Time};

/// What to do with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Keep,
    /// Send the same request again after this long.
    Again(Duration),
}

/// Decides on the outcome of attempt number `attempt`, the first being 1.
///
/// `retries` is how many repeats there may be in all, `jitter` any random number.
pub fn decide(
    attempt: u32,
    retries: u32,
    request: &Request,
    outcome: Result<&Response, &Fault>,
    now: OffsetDateTime,
    jitter: u64,
) -> Verdict {
    if attempt > retries || !repeatable(request) {
        return Verdict::Keep;
    }
    match outcome {
        Ok(response) if !is_passing(response.status) => Verdict::Keep,
        Ok(response) => {
            let asked = retry_after(&response.headers, now).filter(|wait| !wait.is_zero());
            Verdict::Again(asked.unwrap_or_else(|| back_off(attempt, jitter)))
        }
        Err(fault) if fault.repeatable() => Verdict::Again(back_off(attempt, jitter)),
        Err(_) => Verdict::Keep,
    }
}

/// Whether sending the request twice does what sending it once does.
///
/// A `POST` with a form or a JSON body asks for a token; others start an upload.
pub fn repeatable(request: &Request) -> bool {
    match request.method {
        Method::Get | Method::Head | Method::Put | Method::Delete => true,
        // Sent twice, it may add the same bytes twice.
        Method::Patch => false,
        Method::Post => {
            let kind = request.headers.get("content-type").unwrap_or_default().to_ascii_lowercase();
            request.body.is_some()
                && ["application/x-www-form-urlencoded", "application/json"].iter().any(|known| kind.starts_with(known))
        }
    }
}

/// Whether a status says "not now", as opposed to "no".
pub fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

/// How long the server asks to wait: `Retry-After` in seconds or as a date, or `X-Retry-After` as a Unix time.
pub fn retry_after(headers: &Headers, now: OffsetDateTime) -> Option<Duration> {
    let until = |then: OffsetDateTime| Duration::try_from(then - now).unwrap_or(Duration::ZERO);
    if let Some(value) = headers.get("retry-after").map(str::trim) {
        if let Ok(seconds) = value.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        if let Some(date) = http_date(value) {
            return Some(until(date));
        }
    }
    let value: i64 = headers.get("x-retry-after")?.trim().parse().ok().filter(|value| *value >= 0)?;
    // Docker Hub writes a Unix time here; a small number can only be seconds.
    if value < 1_000_000_000 {
        return Some(Duration::from_secs(value.unsigned_abs()));
    }
    OffsetDateTime::from_unix_timestamp(value).ok().map(until)
}

/// 1 s, 2 s, 4 s … up to 30 s, each a quarter more or less, so that many callers do not come back at once.
pub fn back_off(attempt: u32, jitter: u64) -> Duration {
    let base = (1000u64 << (attempt.clamp(1, 6) - 1)).min(30_000);
    Duration::from_millis(base * 3 / 4 + jitter % (base / 2 + 1))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`; the two forms that RFC 9110 calls obsolete are not read.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: u8 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let number = months.iter().position(|known| known.eq_ignore_ascii_case(name))? + 1;
    let month = Month::try_from(u8::try_from(number).ok()?).ok()?;
    let year: i32 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let date = Date::from_calendar_date(year, month, day).ok()?;
    // A leap second is written as 60.
    let time = Time::from_hms(hour, minute, second.min(59)).ok()?;
    (parts.next()? == "GMT").then(|| date.with_time(time).assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::http::url::Url;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-08-20 10:00:00 UTC);

    fn request(method: Method) -> Request {
        Request::new(method, Url::parse("https://r.example/v2/").unwrap())
    }

    fn reply(status: u16, name: &str, value: &str) -> Response {
        Response { status, headers: Headers::new().with(name, value), body: Vec::new() }
    }

    fn ask(attempt: u32, request: &Request, outcome: Result<&Response, &Fault>) -> Verdict {
        decide(attempt, 3, request, outcome, NOW, 0)
    }

    #[test]
    fn passing_failures_are_repeated_and_others_count() {
        for status in [408, 429, 499, 500, 502, 503, 504, 522] {
            let verdict = ask(1, &request(Method::Put), Ok(&reply(status, "x", "y")));
            assert_eq!(verdict, Verdict::Again(Duration::from_millis(750)), "{status}");
        }
        for status in [200, 201, 301, 400, 401, 403, 404, 405, 409, 413, 501, 505] {
            assert_eq!(
                ask(1, &request(Method::Get), Ok(&reply(status, "retry-after", "1"))),
                Verdict::Keep,
                "{status}"
            );
        }
        let passing = Fault::Reset { why: String::new() };
        let lasting = Fault::Malformed { why: String::new() };
        assert!(matches!(ask(1, &request(Method::Head), Err(&passing)), Verdict::Again(_)));
        assert_eq!(ask(1, &request(Method::Head), Err(&lasting)), Verdict::Keep);
    }

    #[test]
    fn there_are_as_many_repeats_as_were_allowed() {
        let busy = reply(503, "x", "y");
        let waits: Vec<Verdict> = (1..=4).map(|attempt| ask(attempt, &request(Method::Get), Ok(&busy))).collect();
        let again = |ms| Verdict::Again(Duration::from_millis(ms));
        assert_eq!(waits, [again(750), again(1500), again(3000), Verdict::Keep]);
        assert_eq!(decide(1, 0, &request(Method::Get), Ok(&busy), NOW, 0), Verdict::Keep);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        for attempt in [1, 2, 5, 30] {
            for jitter in [0, 1, 499, 500, 12_345, u64::MAX] {
                let wait = back_off(attempt, jitter).as_millis();
                let base = u128::from((1000u64 << (attempt.min(6) - 1)).min(30_000));
                assert!(wait >= base * 3 / 4 && wait <= base * 5 / 4, "{attempt} {jitter} {wait}");
            }
        }
    }

    #[test]
    fn uploads_are_not_started_twice_and_tokens_are_asked_for_again() {
        let busy = reply(503, "x", "y");
        let start = request(Method::Post);
        let form = |kind: &str| request(Method::Post).header("Content-Type", kind).body(b"a=b".to_vec());
        assert_eq!(ask(1, &start, Ok(&busy)), Verdict::Keep);
        assert_eq!(ask(1, &request(Method::Patch), Ok(&busy)), Verdict::Keep);
        assert!(matches!(ask(1, &request(Method::Delete), Ok(&busy)), Verdict::Again(_)));
        assert_eq!(ask(1, &form("application/octet-stream"), Ok(&busy)), Verdict::Keep);
        assert!(matches!(ask(1, &form("application/x-www-form-urlencoded"), Ok(&busy)), Verdict::Again(_)));
        assert!(matches!(ask(1, &form("application/json; charset=utf-8"), Ok(&busy)), Verdict::Again(_)));
    }

    #[test]
    fn a_named_time_is_obeyed() {
        for (name, value, expected) in [
            ("Retry-After", "7", Some(7)),
            ("Retry-After", "0", Some(0)),
            ("retry-after", "Thu, 20 Aug 2026 10:02:00 GMT", Some(120)),
            ("retry-after", "Thu, 20 Aug 2026 09:00:00 GMT", Some(0)),
            ("X-Retry-After", "1787220060", Some(60)),
            ("X-Retry-After", "30", Some(30)),
            ("Retry-After", "soon", None),
            ("Retry-After", "-1", None),
            ("Retry-After", "Thu, 99 Aug 2026 10:02:00 GMT", None),
            ("X-Retry-After", "-5", None),
        ] {
            let wait = retry_after(&Headers::new().with(name, value), NOW);
            assert_eq!(wait, expected.map(Duration::from_secs), "{name}: {value}");
        }
        let busy = reply(429, "Retry-After", "7");
        assert_eq!(ask(1, &request(Method::Get), Ok(&busy)), Verdict::Again(Duration::from_secs(7)));
        let at_once = reply(429, "Retry-After", "0");
        assert_eq!(ask(1, &request(Method::Get), Ok(&at_once)), Verdict::Again(Duration::from_millis(750)));
    }
}
