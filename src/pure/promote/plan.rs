//! What a promotion will do, tag by tag, or why it will not.
//!
//! Everything is refused here, before anything is written. `--dry-run` prints the plan, a real run
//! executes it without further choices.

use crate::error::{Code, Error};
use crate::pure::image::Digest;
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Comparison, Facts, TagKind, TagWrite, Target};

/// The writes in the order they will be done: `--to` tags, then `--move` tags, because a tag that is
/// missing can be promoted again, a moved tag may already be deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every tag, those included that need no write.
    pub writes: Vec<TagWrite>,
    /// What the user should know, code and sentence.
    pub warnings: Vec<(&'static str, String)>,
}

/// Decides, or refuses.
///
/// # Errors
/// `tag-conflict`, `downgrade-refused`, `order-unknown`.
pub fn plan(facts: &Facts, allow_downgrade: bool) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    for moves in [false, true] {
        for target in facts.targets.iter().filter(|target| target.kind.moves() == moves) {
            let kind = target.kind;
            let mut held = None;
            let action = match &target.before {
                None => TagAction::Created,
                Some(before) if *before == facts.digest => TagAction::Unchanged,
                Some(before) if kind == TagKind::Fixed => return Err(conflict(facts, target, before)),
                Some(before) => match &target.comparison {
                    Comparison::Newer(newer) if kind == TagKind::Yielding => {
                        held = Some(newer.to_string());
                        TagAction::Kept
                    }
                    _ => {
                        let is_free = allow_downgrade && kind == TagKind::Moving;
                        plan.warnings.extend(may_move(facts, target, before, is_free)?);
                        TagAction::Moved
                    }
                },
            };
            let (tag, before) = (target.tag.clone(), target.before.clone());
            let write = TagWrite::new(tag, kind, before, Some(facts.digest.clone()), action);
            plan.writes.push(TagWrite { before_version: held, ..write });
        }
    }
    Ok(plan)
}

fn may_move(
    facts: &Facts,
    target: &Target,
    before: &Digest,
    allow_downgrade: bool,
) -> Result<Option<(&'static str, String)>, Error> {
    let name = format!("{}:{}", facts.repository, target.tag);
    let version = facts.version.as_ref().map(ToString::to_string).unwrap_or_default();
    match &target.comparison {
        Comparison::Nothing | Comparison::NotNewer => Ok(None),
        Comparison::Newer(newer) if allow_downgrade => Ok(Some((
            "downgrade",
            format!("`{name}` goes back from `{newer}` to `{version}`, as `--allow-downgrade` says"),
        ))),
        Comparison::TooMany { .. } if allow_downgrade => Ok(None),
        Comparison::Unversioned => Ok(Some((
            "order-unknown",
            format!("the source has no version, so it could not be told whether `{name}` moves forward"),
        ))),
        Comparison::Unordered(held) if allow_downgrade => Ok(Some((
            "order-unknown",
            format!("`{name}` held `{held}`, and the source has no version, so it could not be told which is newer"),
        ))),
        Comparison::Unordered(held) => Err(Error::new(
            Code::OrderUnknown,
            format!("`{name}` holds the version `{held}`, and no version tag has the digest of the source"),
        )
        .hint("promote an image that has a version, or say `--allow-downgrade` to move the tag without comparing")
        .detail("tag", target.tag.as_str())
        .detail("before", before.as_str())
        .detail("beforeVersion", held.to_string())),
        Comparison::Newer(newer) => Err(Error::new(
            Code::DowngradeRefused,
            format!("`{name}` holds the newer version `{newer}` and would go back to `{version}`"),
        )
        .hint(format!(
            "name it by `--move-if-newer {}`, which leaves it there, or say `--allow-downgrade` to go back on purpose",
            target.tag
        ))
        .detail("tag", target.tag.as_str())
        .detail("before", before.as_str())
        .detail("beforeVersion", newer.to_string())
        .detail("version", version)),
        Comparison::TooMany { newer, looked } => Err(Error::new(
            Code::OrderUnknown,
            match &facts.version {
                Some(version) => format!(
                    "{newer} versions are newer than `{version}`, and none of the first {looked} is what `{name}` holds"
                ),
                None => format!(
                    "the source has no version, and none of the first {looked} of {newer} versions is what `{name}` holds"
                ),
            },
        )
        .hint("promote a newer version, narrow the versions down with `--tag-format`, or say `--allow-downgrade`")
        .detail("tag", target.tag.as_str())
        .detail("before", before.as_str())),
    }
}

fn conflict(facts: &Facts, target: &Target, before: &Digest) -> Error {
    let name = format!("{}:{}", facts.repository, target.tag);
    Error::new(Code::TagConflict, format!("`{name}` already points at `{before}`, the source is `{}`", facts.digest))
        .hint("promote under a new tag, or name it with `--move` to point it at the new image")
        .detail("tag", target.tag.as_str())
        .detail("before", before.as_str())
        .detail("source", facts.digest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::tag::Tag;
    use crate::pure::version::scheme::Version;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn target(tag: &str, kind: TagKind, before: Option<&str>, comparison: Comparison) -> Target {
        Target { tag: Tag::parse(tag).unwrap(), kind, before: before.map(digest), comparison }
    }

    fn facts(targets: Vec<Target>) -> Facts {
        Facts {
            repository: "reg.example/app".into(),
            digest: digest("source"),
            version: Version::parse("2026.34.103"),
            targets,
        }
    }

    fn check(targets: Vec<Target>, allow_downgrade: bool) -> Result<Vec<(String, &'static str)>, Code> {
        let shown = |plan: Plan| plan.writes.iter().map(|s| (s.tag.to_string(), s.action.as_str())).collect();
        plan(&facts(targets), allow_downgrade).map(shown).map_err(|error| error.code())
    }

    #[test]
    fn fixed_tags_come_first_whatever_the_order_given() {
        let targets = vec![
            target("latest", TagKind::Moving, None, Comparison::Nothing),
            target("rc", TagKind::Fixed, None, Comparison::Nothing),
        ];
        assert_eq!(check(targets, false), Ok(vec![("rc".into(), "created"), ("latest".into(), "created")]));
    }

    #[test]
    fn a_tag_of_move_if_newer_stays_at_a_newer_version_and_is_refused_where_nothing_can_be_compared() {
        let newer = Version::parse("2026.35.1").unwrap();
        for (before, held, expected) in [
            (None, Comparison::Nothing, Ok("created")),
            (Some("source"), Comparison::Nothing, Ok("unchanged")),
            (Some("other"), Comparison::NotNewer, Ok("moved")),
            (Some("other"), Comparison::Newer(newer), Ok("kept")),
            (Some("other"), Comparison::Unversioned, Ok("moved")),
            (Some("other"), Comparison::Unordered(newer), Err(Code::OrderUnknown)),
            (Some("other"), Comparison::TooMany { newer: 900, looked: 200 }, Err(Code::OrderUnknown)),
        ] {
            // `--allow-downgrade` is about the tags of `--move`.
            for allow in [false, true] {
                let shown = check(vec![target("t", TagKind::Yielding, before, held.clone())], allow);
                assert_eq!(shown, expected.map(|action| vec![("t".to_owned(), action)]), "{before:?} {held:?} {allow}");
            }
        }
    }

    #[test]
    fn a_tag_that_stays_at_a_newer_version_tells_which() {
        let newer = Version::parse("2026.35.1").unwrap();
        for (kind, version) in [(TagKind::Yielding, Some("2026.35.1")), (TagKind::Moving, None)] {
            let facts = facts(vec![target("t", kind, Some("other"), Comparison::Newer(newer))]);
            let written = plan(&facts, true).unwrap().writes.remove(0);
            assert_eq!(written.before_version.as_deref(), version, "{kind:?}");
        }
    }

    #[test]
    fn each_state_of_a_tag_has_its_answer() {
        let newer = || Comparison::Newer(Version::parse("2026.35.1").unwrap());
        let unordered = || Comparison::Unordered(Version::parse("2026.35.1").unwrap());
        let many = || Comparison::TooMany { newer: 900, looked: 200 };
        for (kind, before, held, allow, expected) in [
            (TagKind::Fixed, None, Comparison::Nothing, false, Ok("created")),
            (TagKind::Fixed, Some("source"), Comparison::Nothing, false, Ok("unchanged")),
            (TagKind::Fixed, Some("other"), Comparison::Nothing, true, Err(Code::TagConflict)),
            (TagKind::Moving, None, Comparison::Nothing, false, Ok("created")),
            (TagKind::Moving, Some("source"), Comparison::Nothing, false, Ok("unchanged")),
            (TagKind::Moving, Some("other"), Comparison::NotNewer, false, Ok("moved")),
            (TagKind::Moving, Some("other"), Comparison::Unversioned, false, Ok("moved")),
            (TagKind::Moving, Some("other"), unordered(), false, Err(Code::OrderUnknown)),
            (TagKind::Moving, Some("other"), unordered(), true, Ok("moved")),
            (TagKind::Moving, Some("other"), newer(), false, Err(Code::DowngradeRefused)),
            (TagKind::Moving, Some("other"), newer(), true, Ok("moved")),
            (TagKind::Moving, Some("other"), many(), false, Err(Code::OrderUnknown)),
            (TagKind::Moving, Some("other"), many(), true, Ok("moved")),
        ] {
            let shown = check(vec![target("t", kind, before, held.clone())], allow);
            assert_eq!(
                shown,
                expected.map(|action| vec![("t".to_owned(), action)]),
                "{kind:?} {before:?} {held:?} {allow}"
            );
        }
    }
}
