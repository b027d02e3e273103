//! One tag that a promotion or a rollback is about: what it held, what it is to hold, and what has become of it.
//!
//! A plan makes these, the engine in `command::promote::write` carries them out, records and reports are made of them.

use crate::pure::image::{Digest, Tag};
use crate::pure::promote::TagKind;
use crate::pure::text::words::words;

words! {
    /// What happens to a tag.
    TagAction {
        /// It was not there.
        Created = "created",
        /// It pointed elsewhere.
        Moved = "moved",
        /// It has the digest already.
        Unchanged = "unchanged",
        /// It holds a newer version, and is to stay at such a one.
        Kept = "kept",
        /// Somebody else moved it on to a newer version right after us.
        Superseded = "superseded",
        /// A rollback has nothing to put back, or no right to.
        Left = "left",
    }
}

/// How far the write of a tag has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteState {
    /// Not written by this run.
    #[default]
    Open,
    /// Written.
    Written,
    /// The answer was lost, and the tag could not be looked at afterwards.
    Unknown,
    /// Written, and written over by somebody else: putting it back would take away what is theirs.
    Overwritten,
}

/// One tag and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagWrite {
    /// The tag.
    pub tag: Tag,
    /// Whether it may move.
    pub kind: TagKind,
    /// What it pointed at when it was looked at last before it was written.
    pub before: Option<Digest>,
    /// The version that was, where it is known.
    pub before_version: Option<String>,
    /// What it is to point at; `None` stays away.
    pub wanted: Option<Digest>,
    /// What happens, and in the end what has happened.
    pub action: TagAction,
    /// How far the write has come.
    pub state: WriteState,
    /// What it points at in the end, as far as that is known.
    pub after: Option<Digest>,
    /// Whether it was read back; `None` as long as nobody has tried.
    pub verified: Option<bool>,
}

impl TagWrite {
    /// A tag that nobody has touched yet.
    pub fn new(tag: Tag, kind: TagKind, before: Option<Digest>, wanted: Option<Digest>, action: TagAction) -> Self {
        let after = if action == TagAction::Kept { before.clone() } else { wanted.clone() };
        let state = WriteState::Open;
        Self { tag, kind, before, before_version: None, wanted, action, state, after, verified: None }
    }

    /// Whether the plan says to write it.
    pub fn is_due(&self) -> bool {
        matches!(self.action, TagAction::Created | TagAction::Moved)
    }

    /// What puts it back; a created tag has nothing to go back to, and what is somebody else's stays.
    pub fn undo(&self) -> Option<Undo> {
        let is_ours = self.action == TagAction::Moved && self.state != WriteState::Overwritten;
        let before = self.before.clone().filter(|_| is_ours)?;
        Some(Undo { tag: self.tag.clone(), before })
    }
}

/// A moved tag, and what it is to point at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// The tag.
    pub tag: Tag,
    /// What it pointed at.
    pub before: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_created_or_moved_is_written_and_what_was_moved_and_is_ours_goes_back() {
        use TagAction::*;
        let held = Digest::of(b"before");
        let written = |action, before: Option<&Digest>, state| {
            let tag = Tag::parse("latest").unwrap();
            let write = TagWrite::new(tag, TagKind::Moving, before.cloned(), Some(Digest::of(b"wanted")), action);
            TagWrite { state, ..write }
        };
        for (action, is_due, goes_back) in [
            (Created, true, false),
            (Moved, true, true),
            (Unchanged, false, false),
            (Kept, false, false),
            (Superseded, false, false),
            (Left, false, false),
        ] {
            let write = written(action, Some(&held), WriteState::Written);
            assert_eq!((write.is_due(), write.undo().is_some()), (is_due, goes_back), "{action}");
            let after = if action == Kept { &held } else { write.wanted.as_ref().unwrap() };
            assert_eq!(write.after.as_ref(), Some(after), "{action}");
        }
        let undo = written(Moved, Some(&held), WriteState::Open).undo().unwrap();
        assert_eq!((undo.tag.as_str(), undo.before), ("latest", held.clone()));
        assert_eq!(written(Moved, None, WriteState::Written).undo(), None);
        assert_eq!(written(Moved, Some(&held), WriteState::Overwritten).undo(), None);
    }
}
