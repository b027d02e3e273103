//! Reads records back: one of them, or the lines of a `--record` file, and what a rollback makes of them.
//!
//! Keys that are not known are passed over. A record of a later schema is refused, because what it means is not
//! known here.

use crate::error::{Code, Error};
use crate::pure::image::{Repository, Tag};
use crate::pure::promote::record::{RecordCommand, RecordState, SCHEMA};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Record, TagRecord};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// What a rollback is about.
#[derive(Clone, Debug)]
pub struct Promotion {
    /// The last records, one an image in a repository, each with every tag and what it pointed at before the promotion.
    pub records: Vec<Record>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// What to hand over.
const WANTED: &str = "give the file that `promote --record FILE` wrote, or the `record` of its result";

/// Reads one record. `place` names it in messages.
///
/// # Errors
/// `record-invalid`.
pub fn record(value: &Value, place: &str) -> Result<Record, Error> {
    let invalid = |why: &str| Error::new(Code::RecordInvalid, format!("{place} {why}")).hint(WANTED);
    if value.get("ok").is_some() {
        return Err(invalid("is the output of a command, and holds no record"));
    }
    match value.get("schema").and_then(Value::as_u64) {
        Some(newer) if newer > SCHEMA => {
            let why = format!("is a record of schema {newer}, and this tagwright knows schema {SCHEMA}");
            return Err(invalid(&why).hint("use the tagwright that wrote it, or a newer one").detail("schema", newer));
        }
        Some(SCHEMA) => {}
        _ => return Err(invalid("is JSON, but no record of a promotion")),
    }
    let record = Record::deserialize(value).map_err(|why| invalid("is no proper record").cause(why.to_string()))?;
    if record.command == RecordCommand::Rollback {
        return Err(invalid(&format!("is the record of `{}`, not of a promotion", record.command))
            .hint("its own `rollback` holds the commands that undo it"));
    }
    Ok(record)
}

/// Reads a record, or the lines of a file, one record each, and finds what a rollback puts back: of each image that was
/// promoted by the last run, per tag the earliest `before`. Where a repository is named, of the last run that is about it.
///
/// # Errors
/// `record-invalid`.
pub fn promotion(text: &str, place: &str, named: Option<&Repository>) -> Result<Promotion, Error> {
    let (runs, warnings) = runs(text, place)?;
    let is_meant = |one: &&Record| named.is_none_or(|named| *named == one.repository);
    let last = runs.iter().rev().find(|run| run.iter().any(|one| is_meant(&one))).or(runs.last());
    let Some(last) = last.filter(|last| !last.is_empty()) else {
        return Err(Error::new(Code::RecordInvalid, format!("{place} is empty")).hint(WANTED));
    };
    let repositories: HashSet<&Repository> = last.iter().map(|one| &one.repository).collect();
    let other = runs.iter().flatten().find(|one| !repositories.contains(&one.repository));
    if let (Some(other), None) = (other, named) {
        let known = &last[0].repository;
        let message = format!("{place} holds promotions of several repositories, `{}` and `{known}`", other.repository);
        return Err(Error::new(Code::RecordInvalid, message)
            .hint("give the lines of one run alone, or name the repository whose last one is meant"));
    }
    let key = |one: &Record| (one.repository.clone(), one.source.digest.clone());
    let mut about: HashMap<_, Vec<&Record>> = HashMap::new();
    runs.iter().flatten().for_each(|one| about.entry(key(one)).or_default().push(one));
    let mut records: Vec<Record> = Vec::new();
    let any = last.iter().any(|one| is_meant(&one));
    for last in last.iter().filter(|one| !any || is_meant(one)) {
        if let Some(all) = about.remove(&key(last)) {
            records.push(Record { tags: earliest(&all), ..last.clone() });
        }
    }
    Ok(Promotion { records, warnings })
}

/// What each tag of an image pointed at before it was promoted first.
fn earliest(records: &[&Record]) -> Vec<TagRecord> {
    let mut tags: Vec<TagRecord> = Vec::new();
    let mut planned: Option<Vec<Tag>> = None;
    for one in records {
        let mut new = Vec::new();
        for entry in &one.tags {
            match tags.iter_mut().find(|known| known.tag == entry.tag) {
                None => {
                    tags.push(entry.clone());
                    new.push(entry.tag.clone());
                }
                // What was left to a newer version was not touched, so it is as if it had not been named.
                Some(known) if known.action == TagAction::Kept => {
                    known.clone_from(entry);
                    new.push(entry.tag.clone());
                }
                // What a run found when it looked again counts for what it had planned with.
                Some(known)
                    if one.state != RecordState::Planned
                        && planned.as_ref().is_some_and(|all| all.contains(&entry.tag)) =>
                {
                    known.clone_from(entry);
                }
                // Somebody moved it on since, and the last run left it at that.
                Some(known) if entry.action == TagAction::Kept => known.action = TagAction::Superseded,
                Some(known) => known.action = entry.action,
            }
        }
        planned = (one.state == RecordState::Planned).then_some(new);
    }
    tags
}

/// The records of one run: of one promotion, or of several that were one.
fn run(value: &Value, place: &str) -> Result<Vec<Record>, Error> {
    match value.get("promotions").and_then(Value::as_array) {
        Some(promotions) if value.get("repository").is_none() => {
            let numbered = promotions.iter().enumerate();
            numbered.map(|(n, one)| record(one, &format!("promotion {} of {place}", n + 1))).collect()
        }
        _ => Ok(vec![record(value, place)?]),
    }
}

/// The records of every run in a text, and what was passed over.
fn runs(text: &str, place: &str) -> Result<(Vec<Vec<Record>>, Vec<String>), Error> {
    // One record may stand alone, spread over lines.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        // The output of a command holds the record of its promotion.
        let paths = ["/result/record", "/error/record", "/record"];
        let held = paths.iter().find_map(|path| value.pointer(path).filter(|held| held.is_object()));
        return Ok((vec![run(held.unwrap_or(&value), place)?], Vec::new()));
    }
    let lines: Vec<(usize, &str)> =
        text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())).filter(|(_, line)| !line.is_empty()).collect();
    let (mut runs, mut warnings, mut torn) = (Vec::new(), Vec::new(), None);
    for (n, line) in lines {
        let at = format!("line {n} of {place}");
        match serde_json::from_str::<Value>(line) {
            Ok(value) => {
                let one = run(&value, &at)?;
                let is_planned = one.iter().all(|one| one.state == RecordState::Planned);
                // Whoever cut a line off has gone, so only another run can come after it.
                if let Some(error) = torn.take().filter(|_| !is_planned) {
                    return Err(error);
                }
                runs.push(one);
            }
            Err(why) => {
                let error = Error::new(Code::RecordInvalid, format!("{at} is not JSON"))
                    .cause(why.to_string())
                    .hint(format!("mend line {n} or take it out; every line is one record"));
                if !why.is_eof() || torn.is_some() {
                    return Err(torn.unwrap_or(error));
                }
                warnings.push(format!("{at} is cut off and was passed over"));
                torn = Some(error);
            }
        }
    }
    match torn {
        Some(error) if runs.is_empty() => Err(error),
        _ => Ok((runs, warnings)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::Digest;
    use serde_json::json;

    fn digest(text: &str) -> String {
        Digest::of(text.as_bytes()).to_string()
    }

    /// A line about an image, with tags and what they pointed at.
    fn line(state: &str, source: &str, tags: &[(&str, Option<&str>, &str)]) -> Value {
        let one = |(tag, before, action): &(&str, Option<&str>, &str)| json!({"tag": tag, "before": before.map(digest), "action": action, "new": 1});
        let (tags, nobody): (Vec<Value>, _) = (tags.iter().map(one).collect(), json!({"registry": "reg.example"}));
        json!({
            "schema": 1, "state": state, "command": "promote", "at": "2026-08-20T10:00:00Z", "tool": "tagwright 0.1.0",
            "copied": {"blobs": 0, "mounted": 0, "skipped": 0, "bytes": 0}, "referrers": {"copied": 0, "left": 0},
            "rollback": [], "claimed": {}, "identity": {"source": nobody, "target": nobody},
            "repository": "reg.example/app", "version": "1.2.3",
            "source": {"reference": "reg.example/app:1.2.3", "digest": digest(source), "mediaType": "m/t"},
            "tags": tags, "later": {"unknown": true},
        })
    }

    fn joined(lines: &[Value]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    type Expected<'a> = &'a [(&'a str, Option<&'a str>, bool)];

    fn check(text: &str, expected: Expected, warnings: usize) {
        let undo = promotion(text, "`f`", None).unwrap();
        let expected: Vec<_> =
            expected.iter().map(|(tag, before, over)| (tag.to_string(), before.map(digest), *over)).collect();
        let one = |one: &TagRecord| {
            (one.tag.to_string(), one.before.as_ref().map(Digest::to_string), one.action == TagAction::Superseded)
        };
        let found: Vec<_> = undo.records[0].tags.iter().map(one).collect();
        assert_eq!((found, undo.warnings.len()), (expected, warnings), "{text}");
    }

    #[test]
    fn the_earliest_before_of_the_last_source_counts() {
        let planned = |source, before| line("planned", source, &[("latest", before, "moved"), ("rc", None, "created")]);
        let done = |source, before| line("done", source, &[("latest", before, "moved"), ("rc", None, "created")]);
        let a = || planned("new", Some("a"));
        let latest = |state, before, action| line(state, "new", &[("latest", Some(before), action)]);
        for (lines, expected) in [
            (vec![a()], &[("latest", Some("a"), false), ("rc", None, false)]),
            (vec![a(), done("new", Some("a"))], &[("latest", Some("a"), false), ("rc", None, false)]),
            // A second run found its own work.
            (vec![a(), planned("new", Some("new"))], &[("latest", Some("a"), false), ("rc", None, false)]),
            // What was there at the second look is what was replaced.
            (vec![a(), done("new", Some("b"))], &[("latest", Some("b"), false), ("rc", None, false)]),
            // Such a correction is about its own run alone.
            (
                vec![a(), line("failed", "new", &[]), planned("new", Some("x")), done("new", Some("y"))],
                &[("latest", Some("a"), false), ("rc", None, false)],
            ),
            (
                vec![planned("old", Some("z")), done("old", Some("z")), a()],
                &[("latest", Some("a"), false), ("rc", None, false)],
            ),
            (
                vec![a(), line("done", "new", &[("latest", Some("a"), "superseded")])],
                &[("latest", Some("a"), true), ("rc", None, false)],
            ),
            // A newer version kept the tag, and once that was gone a second run moved it.
            (
                vec![latest("planned", "b", "kept"), latest("done", "b", "kept"), a(), done("new", Some("c"))],
                &[("latest", Some("c"), false), ("rc", None, false)],
            ),
            // It was moved, somebody moved it on, and a second run left it at that.
            (
                vec![a(), latest("planned", "b", "moved"), latest("done", "b", "kept")],
                &[("latest", Some("a"), true), ("rc", None, false)],
            ),
        ] {
            check(&joined(&lines), expected, 0);
        }
        // One record may be spread over lines.
        check(&format!("{:#}", a()), &[("latest", Some("a"), false), ("rc", None, false)], 0);
    }

    #[test]
    fn a_line_that_was_cut_off_is_passed_over_and_other_damage_is_not() {
        let (planned, done) = (line("planned", "new", &[("t", Some("a"), "moved")]), line("done", "new", &[]));
        let torn = &planned.to_string()[..90];
        let expected: Expected = &[("t", Some("a"), false)];
        check(&format!("{planned}\n{torn}"), expected, 1);
        check(&format!("\n{planned}\n\n{torn}\n{planned}\n"), expected, 1);
        for (text, start) in [
            (format!("{torn}\n{done}\n"), "line 1 of `f` is not JSON"),
            (format!("{planned}\n{torn}\n{torn}\n{planned}"), "line 2 of `f` is not JSON"),
            (format!("{planned}\n}}{done}\n"), "line 2 of `f` is not JSON"),
            (torn.to_owned(), "line 1 of `f` is not JSON"),
            (String::new(), "`f` is empty"),
            (" \n".to_owned(), "`f` is empty"),
            ("plain text".to_owned(), "line 1 of `f` is not JSON"),
        ] {
            let error = promotion(&text, "`f`", None).unwrap_err();
            assert_eq!((error.code(), error.message()), (Code::RecordInvalid, start), "{text}");
        }
    }

    /// The line of a run over several images.
    fn several(state: &str, promotions: &[Value]) -> Value {
        json!({"schema": 1, "state": state, "command": "release", "at": "2026-08-20T10:00:00Z", "tool": "tagwright 0.1.0",
            "promotions": promotions, "rollback": []})
    }

    #[test]
    fn a_run_over_several_images_is_put_back_as_one() {
        let of = |repository: &str, state: &str, source: &str, before: &str| {
            let mut line = line(state, source, &[("latest", Some(before), "moved")]);
            line["repository"] = json!(format!("reg.example/{repository}"));
            line
        };
        let set = |state: &str, before: [&str; 2]| {
            several(state, &[of("a", state, "one", before[0]), of("b", state, "two", before[1])])
        };
        let killed_and_run_again =
            joined(&[set("planned", ["x", "y"]), set("planned", ["one", "y"]), set("done", ["one", "y"])]);
        let found = |text: &str, named: Option<&str>| {
            let named = named.map(|name| Repository::parse(&format!("reg.example/{name}")).unwrap());
            let promotion = promotion(text, "`f`", named.as_ref()).unwrap();
            let one = |one: &Record| {
                let before = one.tags[0].before.as_ref().unwrap().to_string();
                (one.repository.path().to_owned(), before)
            };
            promotion.records.iter().map(one).collect::<Vec<_>>()
        };
        let (a, b) = (("a".to_owned(), digest("x")), ("b".to_owned(), digest("y")));
        assert_eq!(found(&killed_and_run_again, None), [a.clone(), b.clone()]);
        assert_eq!(found(&killed_and_run_again, Some("b")), std::slice::from_ref(&b));
        let later = format!("{killed_and_run_again}{}\n", of("c", "done", "three", "z"));
        assert_eq!(found(&later, Some("a")), [a]);
        assert!(promotion(&later, "`f`", None).is_err(), "which of them is meant is not known");
        // The output of the command, and a record without a promotion.
        let output = json!({"schema": 1, "ok": true, "result": {"record": set("done", ["x", "y"])}});
        assert_eq!(found(&output.to_string(), Some("b")), [b]);
        assert_eq!(promotion(&several("done", &[]).to_string(), "`f`", None).unwrap_err().message(), "`f` is empty");
        let twice = several("done", &[several("done", &[])]);
        let error = promotion(&twice.to_string(), "`f`", None).unwrap_err();
        assert_eq!(error.message(), "promotion 1 of `f` is no proper record");
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        let sound = line("planned", "new", &[("t", Some("a"), "moved")]);
        let with = |key: &str, value: Value| {
            let mut line = sound.clone();
            line[key] = value;
            line
        };
        let later = "`f` is a record of schema 2, and this tagwright knows schema 1";
        for (value, message) in [
            (json!([sound.clone()]), "`f` is JSON, but no record of a promotion"),
            (json!({"a": 1}), "`f` is JSON, but no record of a promotion"),
            (with("schema", json!("1")), "`f` is JSON, but no record of a promotion"),
            (with("schema", json!(0)), "`f` is JSON, but no record of a promotion"),
            (with("schema", json!(2)), later),
            (json!({"schema": 2}), later),
            (
                json!({"schema": 1, "ok": true, "command": "promote"}),
                "`f` is the output of a command, and holds no record",
            ),
            (json!({"repository": "a", "record": {}}), "`f` is JSON, but no record of a promotion"),
            (with("command", json!("rollback")), "`f` is the record of `rollback`, not of a promotion"),
            (with("repository", json!("UPPER")), "`f` is no proper record"),
            (with("source", json!({"digest": "sha256:1"})), "`f` is no proper record"),
            (with("tags", json!(null)), "`f` is no proper record"),
            (with("tags", json!([{"tag": "t"}])), "`f` is no proper record"),
            (with("tags", json!([{"tag": "a b", "before": null}])), "`f` is no proper record"),
            (with("tags", json!([{"tag": "t", "before": "x"}])), "`f` is no proper record"),
            (with("state", json!(1)), "`f` is no proper record"),
        ] {
            let error = promotion(&value.to_string(), "`f`", None).unwrap_err();
            assert_eq!((error.code(), error.message()), (Code::RecordInvalid, message));
            assert!(error.hint_text().is_some());
        }
        // A field of that name alone does not make several of it.
        check(&with("promotions", json!([])).to_string(), &[("t", Some("a"), false)], 0);
        let other = with("repository", json!("reg.example/other"));
        let error = promotion(&joined(&[other, sound.clone()]), "`f`", None).unwrap_err();
        assert_eq!(
            error.message(),
            "`f` holds promotions of several repositories, `reg.example/other` and `reg.example/app`"
        );
        let error = promotion(&joined(&[sound, json!({"schema": 3})]), "`f`", None).unwrap_err();
        assert!(error.message().starts_with("line 2 of `f` is a record of schema 3"), "{error}");
    }
}
