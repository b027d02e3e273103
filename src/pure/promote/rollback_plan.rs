//! What a rollback does to each tag, or why it does nothing at all.
//!
//! A tag goes back only from the image that was promoted; what somebody else put there since stays, unless the
//! caller insists. Tags that a promotion created are left, because nothing here deletes.

use crate::pure::promote::plan::Action;
use crate::error::{Code, Error};
use crate::pure::image::digest::Digest;
use crate::pure::image::tag::Tag;

/// One tag: what the record says, and what it points at now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The tag.
    pub tag: Tag,
    /// What it pointed at before the promotion.
    pub before: Option<Digest>,
    /// Whether somebody moved it on to a newer version right after the promotion.
    pub superseded: bool,
    /// What it points at now.
    pub now: Option<Digest>,
}

/// One tag and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The tag.
    pub tag: Tag,
    /// What it points at now.
    pub now: Option<Digest>,
    /// What it will point at.
    pub to: Option<Digest>,
    /// What happens.
    pub action: Action,
}

/// The steps, and what the user should know.
///
/// # Errors
/// `tag-conflict` for a tag that somebody moved since.
pub fn plan(repository: &str, source: &Digest, tags: &[Known], force: bool) -> Result<(Vec<Step>, Vec<String>), Error> {
    let (mut steps, mut warnings) = (Vec::new(), Vec::new());
    for Known { tag, before, superseded, now } in tags {
        let keeps = |action| Step { tag: tag.clone(), now: now.clone(), to: now.clone(), action };
        let back = |action| Step { to: before.clone(), ..keeps(action) };
        let ours = now.as_ref() == Some(source);
        steps.push(match before {
            // It was as it was to be, so the promotion did not touch it.
            Some(before) if before == source => keeps(if ours { Action::Unchanged } else { Action::Left }),
            _ if before == now => keeps(Action::Unchanged),
            None => keeps(Action::Left),
            Some(_) if ours => back(Action::Moved),
            Some(_) if *superseded => keeps(Action::Left),
            Some(_) if force => {
                let is = now.as_ref().map_or("not there".to_owned(), |now| format!("`{now}`"));
                let sentence = format!("`{repository}:{tag}` was moved since and is {is}; it goes back all the same");
                warnings.push(sentence);
                back(if now.is_some() { Action::Moved } else { Action::Created })
            }
            Some(before) => return Err(moved_since(repository, source, tag, before, now.as_ref())),
        });
    }
    Ok((steps, warnings))
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
        for (before, superseded, now, force, expected) in [
            (Some("old"), false, Some("new"), false, Ok((Action::Moved, Some("old")))),
            // Never written, or back already.
            (Some("old"), false, Some("old"), false, Ok((Action::Unchanged, Some("old")))),
            (None, false, None, false, Ok((Action::Unchanged, None))),
            (Some("new"), false, Some("new"), false, Ok((Action::Unchanged, Some("new")))),
            (Some("new"), false, Some("other"), true, Ok((Action::Left, Some("other")))),
            // Created.
            (None, false, Some("new"), false, Ok((Action::Left, Some("new")))),
            (None, false, Some("other"), true, Ok((Action::Left, Some("other")))),
            // Somebody else's.
            (Some("old"), false, Some("other"), false, conflict),
            (Some("old"), false, None, false, conflict),
            (Some("old"), false, Some("other"), true, Ok((Action::Moved, Some("old")))),
            (Some("old"), false, None, true, Ok((Action::Created, Some("old")))),
            (Some("old"), true, Some("newer"), false, Ok((Action::Left, Some("newer")))),
            (Some("old"), true, Some("newer"), true, Ok((Action::Left, Some("newer")))),
            (Some("old"), true, Some("new"), false, Ok((Action::Moved, Some("old")))),
        ] {
            let known = Known {
                tag: Tag::latest(),
                before: before.as_ref().map(digest),
                superseded,
                now: now.as_ref().map(digest),
            };
            let planned = plan("r/a", &digest(&"new"), std::slice::from_ref(&known), force);
            let found = planned.as_ref().map(|(steps, _)| (steps[0].action, steps[0].to.clone()));
            let expected = expected.map(|(action, to): (Action, Option<&str>)| (action, to.as_ref().map(digest)));
            assert_eq!(found.map_err(Error::code), expected, "{known:?} {force}");
        }
    }
}
