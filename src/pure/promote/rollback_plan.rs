//! What a rollback does to each tag, or why it does nothing at all.
//!
//! A tag goes back only from the image that was promoted; what somebody else put there since stays, unless the
//! caller insists. Tags that a promotion created are left, because nothing here deletes.

use crate::error::{Code, Error};
use crate::pure::image::{Digest, Tag};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{TagKind, TagRecord, TagWrite};

/// What is written to each tag, by what the record says and what the tag points at now, and what the user should know.
///
/// # Errors
/// `tag-conflict` for a tag that somebody moved since.
pub fn plan<'r>(
    repository: &str,
    source: &Digest,
    tags: impl IntoIterator<Item = (&'r TagRecord, Option<Digest>)>,
    force: bool,
) -> Result<(Vec<TagWrite>, Vec<String>), Error> {
    let (mut writes, mut warnings) = (Vec::new(), Vec::new());
    for (entry, now) in tags {
        let TagRecord { tag, before, .. } = entry;
        let write =
            |kind, to: &Option<Digest>, action| TagWrite::new(tag.clone(), kind, now.clone(), to.clone(), action);
        // What is not put back is nobody's business here, so that it is not read again.
        let keeps = |action| write(TagKind::Fixed, &now, action);
        let back = |action| write(TagKind::Moving, before, action);
        let ours = now.as_ref() == Some(source);
        writes.push(match before {
            // The promotion did not touch it, whatever has become of it since.
            _ if entry.action == TagAction::Kept => keeps(TagAction::Left),
            // It was as it was to be, so the promotion did not touch it.
            Some(before) if before == source => keeps(if ours { TagAction::Unchanged } else { TagAction::Left }),
            _ if *before == now => keeps(TagAction::Unchanged),
            None => keeps(TagAction::Left),
            Some(_) if ours => back(TagAction::Moved),
            Some(_) if entry.action == TagAction::Superseded => keeps(TagAction::Left),
            Some(_) if force => {
                let is = now.as_ref().map_or("not there".to_owned(), |now| format!("`{now}`"));
                let sentence = format!("`{repository}:{tag}` was moved since and is {is}; it goes back all the same");
                warnings.push(sentence);
                back(if now.is_some() { TagAction::Moved } else { TagAction::Created })
            }
            Some(before) => return Err(moved_since(repository, source, tag, before, now.as_ref())),
        });
    }
    Ok((writes, warnings))
}

fn moved_since(repository: &str, source: &Digest, tag: &Tag, before: &Digest, now: Option<&Digest>) -> Error {
    let is = now.map_or("is not there any more".to_owned(), |now| format!("is `{now}` now"));
    Error::new(Code::TagConflict, format!("`{repository}:{tag}` was promoted to `{source}` and {is}"))
        .hint("leave it as it is and roll the other tags back with `--tag TAG`, or say `--force` to put it back all the same")
        .detail("tag", tag.as_str())
        .detail("promoted", source.as_str())
        .detail("found", now.map(Digest::as_str))
        .detail("before", before.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_a_tag_has_its_answer() {
        let digest = |text: &&str| Digest::of(text.as_bytes());
        let conflict = Err(Code::TagConflict);
        for (before, action, now, force, expected) in [
            (Some("old"), TagAction::Moved, Some("new"), false, Ok((TagAction::Moved, Some("old")))),
            // Never written, or back already.
            (Some("old"), TagAction::Moved, Some("old"), false, Ok((TagAction::Unchanged, Some("old")))),
            (None, TagAction::Moved, None, false, Ok((TagAction::Unchanged, None))),
            (Some("new"), TagAction::Moved, Some("new"), false, Ok((TagAction::Unchanged, Some("new")))),
            (Some("new"), TagAction::Moved, Some("other"), true, Ok((TagAction::Left, Some("other")))),
            // Created.
            (None, TagAction::Moved, Some("new"), false, Ok((TagAction::Left, Some("new")))),
            (None, TagAction::Moved, Some("other"), true, Ok((TagAction::Left, Some("other")))),
            // Somebody else's.
            (Some("old"), TagAction::Moved, Some("other"), false, conflict),
            (Some("old"), TagAction::Moved, None, false, conflict),
            (Some("old"), TagAction::Moved, Some("other"), true, Ok((TagAction::Moved, Some("old")))),
            (Some("old"), TagAction::Moved, None, true, Ok((TagAction::Created, Some("old")))),
            (Some("old"), TagAction::Superseded, Some("newer"), false, Ok((TagAction::Left, Some("newer")))),
            (Some("old"), TagAction::Superseded, Some("newer"), true, Ok((TagAction::Left, Some("newer")))),
            (Some("old"), TagAction::Superseded, Some("new"), false, Ok((TagAction::Moved, Some("old")))),
            // Left to a newer version: not of this promotion's doing, whatever it is now.
            (Some("old"), TagAction::Kept, Some("old"), false, Ok((TagAction::Left, Some("old")))),
            (Some("old"), TagAction::Kept, Some("new"), false, Ok((TagAction::Left, Some("new")))),
            (Some("old"), TagAction::Kept, Some("other"), true, Ok((TagAction::Left, Some("other")))),
            (Some("old"), TagAction::Kept, None, true, Ok((TagAction::Left, None))),
        ] {
            let before = before.as_ref().map(digest);
            let (tag, before_version, after, verified) = (Tag::latest(), None, None, None);
            let known = TagRecord { tag, before, before_version, after, action, verified };
            let planned = plan("r/a", &digest(&"new"), [(&known, now.as_ref().map(digest))], force);
            let found = planned.as_ref().map(|(writes, _)| (writes[0].action, writes[0].wanted.clone()));
            let expected = expected.map(|(action, to): (TagAction, Option<&str>)| (action, to.as_ref().map(digest)));
            assert_eq!(found.map_err(Error::code), expected, "{known:?} {now:?} {force}");
        }
    }
}
