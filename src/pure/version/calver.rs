//! The next version: ISO week-year, ISO week and build number.
//!
//! The week goes with the ISO week-year, never with the calendar year. A version is never repeated
//! and never lower than the highest that exists.
//!
//! Weeks: ISO 8601, in UTC.

use crate::error::{Code, Error};
use crate::pure::text::instant;
use crate::pure::text::quoted;
use crate::pure::text::words::words;
use crate::pure::version::Version;
use serde::Serialize;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

/// The build number of a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// This one.
    Number(u64),
    /// One more than that of the highest version.
    Auto,
}

/// What to do when the version would not be the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse.
    #[default]
    Fail,
    /// Take the next one that is.
    Bump,
}

words! {
    /// Why a version is the next one.
    Reason {
        /// Nothing was looked up.
        NotCompared = "not-compared",
        /// There was no version before it.
        NoPrevious = "no-previous",
        /// It is higher than all others.
        AfterPrevious = "after-previous",
        /// It was raised above the highest.
        Bumped = "bumped",
    }
}

/// A version that may be given to a new image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NewVersion {
    /// The version.
    pub version: Version,
    /// The highest version there is.
    pub previous: Option<Version>,
    /// Why it is this one.
    pub reason: Reason,
    /// Its ISO week.
    pub week: u64,
    /// Its ISO week-year.
    pub year: u64,
    /// Its build number.
    pub build: u64,
}

/// The next version for today's ISO week-year and week.
///
/// `existing` is what the repository holds, or `None` where nothing was looked up; only versions of
/// three parts count.
///
/// # Errors
/// `version-not-increasing` where the version exists or is lower than the highest, unless it is to be
/// bumped; `request-invalid` for a year before 1, and for an automatic build with nothing looked up.
pub fn next(
    today: (i32, u8),
    build: Build,
    existing: Option<&[Version]>,
    on_conflict: OnConflict,
) -> Result<NewVersion, Error> {
    let (year, week) = (u64::try_from(today.0).unwrap_or(0), u64::from(today.1));
    if year == 0 {
        return Err(Error::new(Code::RequestInvalid, format!("the year {} has no version", today.0)));
    }
    let versions = existing.unwrap_or_default();
    let previous = versions.iter().filter(|version| version.triple().is_some()).max().copied();
    let after = |(_, _, build): (u64, u64, u64)| build.checked_add(1).ok_or_else(|| exhausted(previous));
    let wanted = match (build, previous.and_then(|previous| previous.triple())) {
        (Build::Number(number), _) => number,
        (Build::Auto, _) if existing.is_none() => {
            let message = "an automatic build number needs a repository to look at";
            return Err(Error::new(Code::MissingValue, message).hint("name the repository, or pass `--build NUMBER`"));
        }
        (Build::Auto, Some(highest)) => after(highest)?,
        (Build::Auto, None) => 1,
    };
    let made = |year, week, build, reason| {
        let version = Version::of(year, week, build);
        NewVersion { version, previous, reason, week, year, build }
    };
    let reason = match (existing, previous) {
        (None, _) => Reason::NotCompared,
        (Some(_), None) => Reason::NoPrevious,
        (Some(_), Some(_)) => Reason::AfterPrevious,
    };
    let plain = made(year, week, wanted, reason);
    let Some((previous, highest)) = previous.and_then(|previous| Some((previous, previous.triple()?))) else {
        return Ok(plain);
    };
    if plain.version > previous {
        return Ok(plain);
    }
    let (high_year, high_week, _) = highest;
    // Only a version of this scheme can be continued in its week: `9999.77.1` has no week to stay in.
    if on_conflict == OnConflict::Bump && (1..=53).contains(&high_week) {
        // Not higher means that its week is today's or a later one, so the week stays.
        return Ok(made(high_year, high_week, wanted.max(after(highest)?), Reason::Bumped));
    }
    Err(refused(&plain, previous, versions.contains(&plain.version)))
}

fn refused(plain: &NewVersion, previous: Version, exists: bool) -> Error {
    let version = plain.version;
    let message = if exists && version == previous {
        format!("the version `{version}` exists, and is the highest there is")
    } else if exists {
        format!("the version `{version}` exists, and the highest there is, `{previous}`, is higher")
    } else {
        format!("the version `{version}` is lower than `{previous}`, the highest there is")
    };
    let error = Error::new(Code::VersionNotIncreasing, message)
        .detail("version", version.to_string())
        .detail("previous", previous.to_string());
    match previous.triple() {
        Some((year, week, build)) if (year, week) == (plain.year, plain.week) => {
            error.hint(format!("pass a build number above {build}, or `--on-conflict bump` for the next free one"))
        }
        Some((_, 1..=53, _)) => error.hint(
            "check the clock, pass `--tag-format` if other tags look like versions, or `--on-conflict bump` for the next free build",
        ),
        _ => error.hint("pass `--tag-format`, so that only tags of this scheme count"),
    }
}

fn exhausted(previous: Option<Version>) -> Error {
    let previous = previous.map(|previous| previous.to_string()).unwrap_or_default();
    Error::new(Code::VersionNotIncreasing, format!("no build number follows that of `{previous}`"))
}

/// The ISO week-year and ISO week of a moment, in UTC.
pub fn week_of(moment: OffsetDateTime) -> (i32, u8) {
    // The ISO week goes with the ISO year: 2027-01-01 lies in 2026-W53. With the calendar year it would
    // become 2027.53 and outrank every version of the year that follows.
    let (year, week, _) = moment.to_offset(UtcOffset::UTC).to_iso_week_date();
    (year, week)
}

/// Reads a moment: RFC 3339, a date for its midnight in UTC, or `@` with seconds since 1970.
///
/// # Errors
/// `request-invalid` for anything else.
pub fn parse_time(text: &str) -> Result<OffsetDateTime, Error> {
    let bad = || Error::new(Code::RequestInvalid, format!("{} is not a time", quoted(text)));
    let forms = "write it as `2026-08-20T12:00:00Z`, `2026-08-20` or `@1787227200`";
    if let Some(seconds) = text.strip_prefix('@') {
        let seconds: i64 = seconds.parse().map_err(|_| bad().hint(forms))?;
        return OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| {
            bad().cause("it lies beyond the year 9999").hint("pass seconds after the `@`, not milliseconds")
        });
    }
    let moment = match date(text) {
        Some(date) => Some(date.midnight().assume_utc()),
        None => instant::parse(text),
    };
    moment.ok_or_else(|| bad().hint(forms))
}

/// Reads `YYYY-MM-DD`.
fn date(text: &str) -> Option<Date> {
    // The parser would take a sign as well.
    Date::parse(text, format_description!("[year]-[month]-[day]")).ok().filter(|_| text.len() == 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_belong_to_the_iso_year() {
        for (date, expected) in [
            ("2016-01-03", (2015, 53)),
            ("2017-01-01", (2016, 52)),
            ("2017-01-10", (2017, 2)),
            ("2018-12-31", (2019, 1)),
            ("2020-12-31", (2020, 53)),
            ("2021-01-03", (2020, 53)),
            ("2024-12-30", (2025, 1)),
            ("2025-12-28", (2025, 52)),
            ("2025-12-29", (2026, 1)),
            ("2026-12-31", (2026, 53)),
            ("2027-01-03", (2026, 53)),
            ("2027-01-04", (2027, 1)),
        ] {
            assert_eq!(week_of(parse_time(date).unwrap()), expected, "{date}");
            assert_eq!(week_of(parse_time(&format!("{date}T23:59:59Z")).unwrap()), expected, "{date}");
        }
    }

    #[test]
    fn times_are_read_in_three_forms_and_counted_in_utc() {
        for (text, seconds) in [
            ("2026-08-20", 1_787_184_000),
            ("2026-08-20T12:00:00Z", 1_787_227_200),
            ("2026-08-20T12:00:00.123456Z", 1_787_227_200),
            ("2026-08-20T14:00:00+02:00", 1_787_227_200),
            ("@1787227200", 1_787_227_200),
            ("@0", 0),
            ("@-1", -1),
        ] {
            assert_eq!(parse_time(text).unwrap().unix_timestamp(), seconds, "{text}");
        }
        assert_eq!(week_of(parse_time("2027-01-04T00:30:00+01:00").unwrap()), (2026, 53));
    }

    #[test]
    fn other_texts_are_no_times() {
        for bad in [
            "",
            "@",
            "@x",
            "@1.5",
            "@1787227200000",
            "@99999999999999999999",
            "now",
            "2026-02-30",
            "2026-13-01",
            "2026-1-1",
            "+026-01-01",
            "2026-08-20T12:00:00",
            "2026-08-20 ",
            "20260820",
            "é026-08-2",
            "2026-W34",
        ] {
            assert_eq!(parse_time(bad).unwrap_err().code(), Code::RequestInvalid, "{bad}");
        }
        assert!(parse_time("@1787227200000").unwrap_err().hint_text().unwrap().contains("milliseconds"));
    }

    fn told(build: Build, existing: Option<&[&str]>, on_conflict: OnConflict) -> String {
        let existing = existing.map(|texts| texts.iter().filter_map(|text| Version::parse(text)).collect::<Vec<_>>());
        match next((2026, 34), build, existing.as_deref(), on_conflict) {
            Ok(next) => {
                assert_eq!(next.version, Version::of(next.year, next.week, next.build));
                let previous = next.previous.map_or("-".to_owned(), |previous| previous.to_string());
                format!("{} {} {previous}", next.version, next.reason)
            }
            Err(error) => error.code().as_str().to_owned(),
        }
    }

    #[test]
    fn a_version_is_never_repeated_and_never_lower() {
        use Build::{Auto, Number};
        let refused = "version-not-increasing";
        for (build, existing, failing, bumping) in [
            (Number(103), None, "2026.34.103 not-compared -", "2026.34.103 not-compared -"),
            (Auto, None, "missing-value", "missing-value"),
            (Number(103), Some(&[][..]), "2026.34.103 no-previous -", "2026.34.103 no-previous -"),
            (Auto, Some(&[]), "2026.34.1 no-previous -", "2026.34.1 no-previous -"),
            (
                Number(1),
                Some(&["latest", "22.04", "3000.1", "9999.1.1.1"]),
                "2026.34.1 no-previous -",
                "2026.34.1 no-previous -",
            ),
            (
                Number(103),
                Some(&["2026.34.102", "2026.9.999"]),
                "2026.34.103 after-previous 2026.34.102",
                "2026.34.103 after-previous 2026.34.102",
            ),
            (
                Number(1),
                Some(&["2026.33.102"]),
                "2026.34.1 after-previous 2026.33.102",
                "2026.34.1 after-previous 2026.33.102",
            ),
            (
                Auto,
                Some(&["2026.33.102", "2025.52.500"]),
                "2026.34.103 after-previous 2026.33.102",
                "2026.34.103 after-previous 2026.33.102",
            ),
            (Number(103), Some(&["2026.34.103"]), refused, "2026.34.104 bumped 2026.34.103"),
            (Number(103), Some(&["2026.34.103-rc"]), refused, "2026.34.104 bumped 2026.34.103"),
            (Number(103), Some(&["v2026.034.0103"]), refused, "2026.34.104 bumped 2026.34.103"),
            (Number(5), Some(&["2026.34.103"]), refused, "2026.34.104 bumped 2026.34.103"),
            (Number(103), Some(&["2026.34.103", "2026.35.7"]), refused, "2026.35.103 bumped 2026.35.7"),
            (Number(5), Some(&["2027.1.7"]), refused, "2027.1.8 bumped 2027.1.7"),
            (Auto, Some(&["2027.1.7"]), refused, "2027.1.8 bumped 2027.1.7"),
            (Number(5), Some(&["3000.77.1"]), refused, refused),
            (Auto, Some(&["2026.34.18446744073709551615"]), refused, refused),
            (Number(1), Some(&["2026.34.18446744073709551615"]), refused, refused),
        ] {
            assert_eq!(told(build, existing, OnConflict::Fail), failing, "{build:?} {existing:?}");
            assert_eq!(told(build, existing, OnConflict::Bump), bumping, "{build:?} {existing:?}");
        }
        assert_eq!(next((-1, 52), Number(1), None, OnConflict::Fail).unwrap_err().code(), Code::RequestInvalid);
    }

    #[test]
    fn a_version_is_refused_with_what_stands_in_its_way_and_what_to_do() {
        let above = "pass a build number above 103, or `--on-conflict bump` for the next free one";
        let clock = "check the clock, pass `--tag-format` if other tags look like versions, or `--on-conflict bump` for the next free build";
        for (build, existing, message, hint) in [
            (103, &["2026.34.103"][..], "the version `2026.34.103` exists, and is the highest there is", above),
            (5, &["2026.34.103"], "the version `2026.34.5` is lower than `2026.34.103`, the highest there is", above),
            (
                103,
                &["2026.34.103", "2026.35.7"],
                "the version `2026.34.103` exists, and the highest there is, `2026.35.7`, is higher",
                clock,
            ),
            (5, &["2027.34.7"], "the version `2026.34.5` is lower than `2027.34.7`, the highest there is", clock),
            (
                5,
                &["3000.77.1"],
                "the version `2026.34.5` is lower than `3000.77.1`, the highest there is",
                "pass `--tag-format`, so that only tags of this scheme count",
            ),
        ] {
            let existing: Vec<Version> = existing.iter().filter_map(|text| Version::parse(text)).collect();
            let error = next((2026, 34), Build::Number(build), Some(&existing), OnConflict::Fail).unwrap_err();
            assert_eq!((error.message(), error.hint_text()), (message, Some(hint)), "{build} {existing:?}");
        }
    }
}
