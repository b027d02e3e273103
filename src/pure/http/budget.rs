//! What a service says beside its answers about how much of its limit is left.
//!
//! `RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining` of Docker Hub and of the draft below,
//! and the older names that begin with `X-`. What none of them tells is not known.
//!
//! Documentation: Docker Hub, "Pull usage and limits"; draft-ietf-httpapi-ratelimit-headers-05.

use crate::pure::http::Headers;
use crate::pure::text::instant;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

/// What is left of a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// How many requests there may be in a window.
    pub limit: Option<u64>,
    /// How many are left of them.
    pub remaining: Option<u64>,
    /// How long the window is.
    pub window_seconds: Option<u64>,
    /// When there are more: in so many seconds, or from the billionth on at that second since 1970.
    #[serde(skip)]
    reset: Option<u64>,
    /// The address or the account that it is counted for.
    #[serde(skip)]
    pub counted_by: Option<String>,
}

/// From here on a number is a moment, and no count of seconds.
const MOMENT: u64 = 1_000_000_000;

impl Budget {
    /// What the fields of an answer say; `None` where they say nothing about a limit.
    pub fn read(headers: &Headers) -> Option<Self> {
        Some(Self::told(headers)).filter(|told| told.limit.is_some() || told.remaining.is_some())
    }

    /// The same of a refusal, which may tell no more than when to come back.
    pub fn told(headers: &Headers) -> Self {
        let field = |name: &str| headers.get(name).or_else(|| headers.get(&format!("x-{name}")));
        let limit = field("ratelimit-limit");
        let plain =
            |text: &&str| text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        Self {
            limit: limit.and_then(number),
            remaining: field("ratelimit-remaining").and_then(number),
            window_seconds: limit.and_then(|text| number(text.split_once(";w=")?.1)),
            reset: ["retry-after", "ratelimit-reset"].iter().find_map(|name| number(field(name)?)),
            counted_by: headers.get("docker-ratelimit-source").filter(plain).map(str::to_owned),
        }
    }

    /// Whether at least so many are left after another request, with those that have no answer yet.
    pub fn allows(&self, under_way: u64, costs: bool, least: u64) -> bool {
        let needed = least.saturating_add(under_way).saturating_add(u64::from(costs));
        self.remaining.is_none_or(|left| left >= needed)
    }

    /// When there are more, where that is told.
    pub fn resets_at(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let seconds = i64::try_from(self.reset?).ok()?;
        if self.reset? < MOMENT {
            return now.checked_add(Duration::seconds(seconds));
        }
        OffsetDateTime::from_unix_timestamp(seconds).ok()
    }

    /// The limit in words, as in `100 in 6 h`.
    pub fn limit_words(&self) -> Option<String> {
        let limit = self.limit?;
        Some(match self.window_seconds {
            Some(seconds @ 3600..) if seconds % 3600 == 0 => format!("{limit} in {} h", seconds / 3600),
            Some(seconds @ 60..) if seconds % 60 == 0 => format!("{limit} in {} min", seconds / 60),
            Some(seconds) => format!("{limit} in {seconds} s"),
            None => limit.to_string(),
        })
    }

    /// All of it in words, each part with a comma before it, as in `, 0 of 100 in 6 h are left, more come in 1800 s`.
    pub fn words(&self) -> String {
        let left = match (self.remaining, self.limit_words()) {
            (Some(left), Some(limit)) => format!(", {left} of {limit} are left"),
            (Some(left), None) => format!(", {left} are left"),
            (None, limit) => limit.map(|limit| format!(", the limit is {limit}")).unwrap_or_default(),
        };
        let more = match self.reset {
            Some(seconds @ ..MOMENT) => format!(", more come in {seconds} s"),
            Some(_) => self
                .resets_at(OffsetDateTime::UNIX_EPOCH)
                .map(instant::rfc3339)
                .map_or_else(String::new, |at| format!(", more come at {at}")),
            None => String::new(),
        };
        left + &more
    }
}

/// The number that a text begins with.
fn number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-27 08:00:00 UTC);

    #[test]
    fn a_limit_is_read_under_every_name_and_told_in_words() {
        for (fields, numbers, words, resets) in [
            (
                &[("RateLimit-Limit", "100;w=21600"), ("RateLimit-Remaining", "76;w=21600")][..],
                (Some(100), Some(76), Some(21600)),
                ", 76 of 100 in 6 h are left",
                None,
            ),
            (
                &[("X-RateLimit-Limit", "600"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1786000000")],
                (Some(600), Some(0), None),
                ", 0 of 600 are left, more come at 2026-08-06T07:06:40Z",
                Some("2026-08-06T07:06:40Z"),
            ),
            (
                &[("ratelimit-limit", "10, 10;w=60"), ("ratelimit-remaining", "3"), ("retry-after", "30")],
                (Some(10), Some(3), Some(60)),
                ", 3 of 10 in 1 min are left, more come in 30 s",
                Some("2026-11-27T08:00:30Z"),
            ),
            (
                &[("ratelimit-remaining", "1"), ("ratelimit-reset", "1000000000")],
                (None, Some(1), None),
                ", 1 are left, more come at 2001-09-09T01:46:40Z",
                Some("2001-09-09T01:46:40Z"),
            ),
            (&[("ratelimit-limit", "5;w=7")], (Some(5), None, Some(7)), ", the limit is 5 in 7 s", None),
            (&[("ratelimit-limit", "5;w=90")], (Some(5), None, Some(90)), ", the limit is 5 in 90 s", None),
            (&[("ratelimit-limit", "5;w=5400")], (Some(5), None, Some(5400)), ", the limit is 5 in 90 min", None),
            (&[("ratelimit-remaining", " 4")], (None, Some(4), None), ", 4 are left", None),
        ] {
            let mut headers = Headers::new();
            fields.iter().for_each(|(name, value)| headers.push(name, *value));
            let budget = Budget::read(&headers).unwrap();
            assert_eq!((budget.limit, budget.remaining, budget.window_seconds), numbers, "{fields:?}");
            assert_eq!(budget.words(), words);
            assert_eq!(budget.resets_at(NOW).map(instant::rfc3339).as_deref(), resets, "{fields:?}");
        }
    }

    #[test]
    fn whom_a_limit_is_counted_for_is_one_short_word() {
        let [longest, longer] = [128, 129].map(|length| "x".repeat(length));
        for (value, expected) in [
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("team-a_b", true),
            ("two words", false),
            (&longest, true),
            (&longer, false),
        ] {
            let headers = Headers::new().with("Docker-RateLimit-Source", value);
            assert_eq!(Budget::told(&headers).counted_by.as_deref(), expected.then_some(value), "{value}");
        }
    }

    #[test]
    fn no_request_leaves_less_than_is_to_be_kept() {
        for (remaining, under_way, costs, least, expected) in [
            (Some(10), 0, true, 10, false),
            (Some(10), 0, false, 10, true),
            (Some(9), 0, false, 10, false),
            (Some(11), 0, true, 10, true),
            (Some(11), 1, true, 10, false),
            (Some(0), 0, false, 0, true),
            (Some(0), 0, true, 0, false),
            (None, 7, true, u64::MAX, true),
            (Some(5), u64::MAX, true, u64::MAX, false),
        ] {
            let budget = Budget { remaining, ..Budget::default() };
            assert_eq!(budget.allows(under_way, costs, least), expected, "{remaining:?} {under_way} {costs} {least}");
        }
    }

    #[test]
    fn what_is_no_limit_is_none() {
        for (name, value) in [
            ("retry-after", "7"),
            ("ratelimit-limit", "many"),
            ("ratelimit-limit", "-1"),
            ("ratelimit-remaining", "99999999999999999999"),
            ("ratelimit-policy", "100;w=60"),
        ] {
            let mut headers = Headers::new();
            headers.push(name, value);
            assert_eq!(Budget::read(&headers), None, "{name}: {value}");
        }
        let mut headers = Headers::new();
        headers.push("ratelimit-remaining", "1");
        headers.push("ratelimit-reset", u64::MAX.to_string());
        assert_eq!(Budget::read(&headers).unwrap().words(), ", 1 are left");
    }
}
