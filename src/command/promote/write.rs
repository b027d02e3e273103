//! The engine that writes tags, for whatever command: a second look, the writes, and everything read back.
//!
//! No registry can compare and swap, so another run may write between a look and a write. The order of these steps
//! lets such runs see each other, as `pure::promote::race` has it. What is to be done about what others wrote is for
//! the [`Judge`] to say, whom each command brings along. Only what a plan wants is ever written.

use crate::error::{Code, Error};
use crate::pure::image::{Digest, Heads, Identifier, Listing, RawManifest, Tag};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{Overlap, Reading, Ruling, TagWrite, Watch, WriteState};
use crate::registry::Remote;
use crate::threads::{self, both, lock};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a tag may go on reading as before.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause between two readings; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a look at the moving tags counts where nothing has been written since.
const FRESH: Duration = Duration::from_secs(1);

/// What a command knows about tags that others write too.
pub trait Judge: Send + Sync {
    /// What is to become of a tag that reads otherwise than when it was planned for, before it is written.
    ///
    /// # Errors
    /// Why it must not be written any more.
    fn decide(&self, write: &TagWrite, now: Option<Digest>) -> Result<TagWrite, Error>;

    /// What to do once others have stopped writing, as in `promote again`.
    fn again(&self) -> &'static str;

    /// Whose image it is that somebody else wrote.
    ///
    /// # Errors
    /// Those of finding out.
    fn reading(&self, _write: &TagWrite, _other: &Digest) -> Result<Reading, Error> {
        Ok(Reading::Other)
    }

    /// Whether the tag list tells of other runs.
    fn reads_lists(&self) -> bool {
        false
    }

    /// Who else is under way, for each tag: by the list as it is now, else by the one from before the first write.
    fn overlaps(&self, _writes: &[TagWrite], _now: Option<Result<Listing, Error>>) -> Option<Vec<Overlap>> {
        None
    }

    /// Says what a person should know about other runs.
    fn conclude(&self, _write: &TagWrite, _watch: &Watch, _overlap: &Overlap, _exposed: Duration) {}

    /// The failure of a write, with a hint where the registry's words do not say it best.
    fn refused(&self, error: Error) -> Error {
        error
    }
}

/// Is told of tags before and after each write.
pub type WriteNote<'t> = Box<dyn Fn(&[TagWrite]) + Send + Sync + 't>;

/// The tags of one repository, and what writing them is about.
pub struct WriteTask<'t, 'w> {
    /// The repository whose tags are written.
    pub target: &'t Remote<'t, 'w>,
    /// The manifests that the tags may be given.
    pub manifests: Vec<&'t RawManifest>,
    /// What is to be made of what others write.
    pub judge: Box<dyn Judge + 't>,
    /// Is told of the tags right before and after each write, because a bug may end the run in between.
    pub note: WriteNote<'t>,
    /// How far it has come.
    pub state: Mutex<WriteTaskState>,
}

/// How far the tags of one repository have come.
pub struct WriteTaskState {
    /// Every tag, and what has become of it.
    pub writes: Vec<TagWrite>,
    /// Whether a moving tag was to be written.
    moves: bool,
    /// When the moving tags were looked at last, and how long after that the last of them was written.
    looked: Instant,
    exposed: Duration,
}

impl WriteTaskState {
    /// Nothing written yet of what was planned by a look at that moment.
    pub fn of(writes: Vec<TagWrite>, looked: Instant) -> Self {
        Self { writes, moves: false, looked, exposed: Duration::ZERO }
    }

    fn due(&self, moves: bool) -> Vec<usize> {
        let is_due = |&i: &usize| self.writes[i].kind.moves() == moves && self.writes[i].is_due();
        (0..self.writes.len()).filter(is_due).collect()
    }
}

/// A part of the way, for the tags of one repository.
type WritePhase<'p> = &'p (dyn Fn(&WriteTask, &mut WriteTaskState) -> Result<(), Error> + Sync);

/// Writes what is due and reads it back: `--to` tags of all repositories first, then those that move. Where the first
/// look is `old`, all tags are looked at again before the first is written; those that move are before the first of them
/// is, where another has been written meanwhile or the look is not fresh any more.
///
/// What has become of each tag stands in the tasks, also where the run ends early.
///
/// # Errors
/// Those of the judges, before anything is written that they are about; `tag-immutable`, `denied`, `raced`, and those of
/// reading.
pub fn write(tasks: &[WriteTask], old: bool) -> Result<(), Error> {
    let all = |phase: WritePhase| threads::map(tasks, |task| phase(task, &mut lock(&task.state))).map(drop);
    let look = |task: &WriteTask, state: &mut WriteTaskState, wanted: &dyn Fn(&TagWrite) -> bool| {
        state.looked = task.target.world().instant();
        look_again(task, &mut state.writes, wanted)
    };
    if old {
        all(&|task, state| {
            let any = state.writes.iter().any(TagWrite::is_due);
            if any { look(task, state, &|_| true) } else { Ok(()) }
        })?;
    }
    let fixed = tasks.iter().any(|task| !lock(&task.state).due(false).is_empty());
    all(&|task, state| put_all(task, state, false))?;
    all(&|task, state| {
        state.moves = !state.due(true).is_empty();
        let again = state.moves && (fixed || task.target.world().instant() > state.looked + FRESH);
        if again { look(task, state, &|write| write.kind.moves()) } else { Ok(()) }
    })?;
    all(&|task, state| put_all(task, state, true))?;
    all(&read_back)
}

/// Writes the tags that are due, those that stay or those that move, side by side.
fn put_all(task: &WriteTask, state: &mut WriteTaskState, moves: bool) -> Result<(), Error> {
    let due = state.due(moves);
    let writes = Mutex::new(&mut state.writes);
    let note = |i: usize, write: TagWrite| {
        let mut writes = lock(&writes);
        writes[i] = write;
        (task.note)(&writes);
    };
    threads::map(&due, |&i| {
        if threads::is_stopped() {
            return Err(Error::new(Code::Internal, "the writes were given up for a failure beside them"));
        }
        let mut write = lock(&writes)[i].clone();
        note(i, TagWrite { state: WriteState::Unknown, ..write.clone() });
        let outcome = put(task, &mut write);
        note(i, write);
        outcome
    })?;
    if moves && state.moves {
        state.exposed = task.target.world().instant().saturating_duration_since(state.looked);
    }
    Ok(())
}

/// Reads tags again right before they are written; what has changed is decided anew.
fn look_again(task: &WriteTask, writes: &mut [TagWrite], wanted: &dyn Fn(&TagWrite) -> bool) -> Result<(), Error> {
    let mut again: Vec<&mut TagWrite> = writes.iter_mut().filter(|write| wanted(write)).collect();
    let tags: Vec<Tag> = again.iter().map(|write| write.tag.clone()).collect();
    for (write, now) in again.iter_mut().zip(task.target.heads(&tags)?) {
        if now != write.before {
            **write = task.judge.decide(write, now)?;
        }
    }
    Ok(())
}

fn send(WriteTask { target, manifests, .. }: &WriteTask, write: &TagWrite) -> Result<(), Error> {
    let manifest = manifests.iter().find(|manifest| Some(&manifest.digest) == write.wanted.as_ref());
    let manifest = manifest.ok_or_else(|| Error::new(Code::Internal, "a plan lost the manifest that it writes"))?;
    target.put_manifest(&Identifier::Tag(write.tag.clone()), manifest).map(drop)
}

fn put(task: &WriteTask, write: &mut TagWrite) -> Result<(), Error> {
    let WriteTask { target, judge, .. } = task;
    let Err(error) = send(task, write) else {
        write.state = WriteState::Written;
        return Ok(());
    };
    match error.code() {
        // Somebody else, or an earlier try whose answer was lost, may have written the same digest.
        Code::TagImmutable => {
            if target.head(&write.tag).ok().flatten() != write.wanted {
                return Err(judge.refused(error));
            }
            write.action = TagAction::Unchanged;
            Ok(())
        }
        Code::DigestMismatch => {
            write.state = WriteState::Written;
            Err(error)
        }
        _ if error.is_unsent() => Err(error),
        // After a lost answer it is not known whether the write took place; the tag knows.
        Code::Unreachable | Code::Timeout | Code::RegistryUnavailable | Code::ReplyMalformed => {
            match target.head(&write.tag) {
                Ok(now) if now == write.wanted => {
                    write.state = WriteState::Written;
                    return Ok(());
                }
                Ok(_) => {}
                Err(_) => write.state = WriteState::Unknown,
            }
            Err(error)
        }
        _ => Err(judge.refused(error)),
    }
}

/// Reads back every tag that was written, side by side, until each shows what is true of it.
fn read_back(task: &WriteTask, state: &mut WriteTaskState) -> Result<(), Error> {
    let WriteTaskState { writes, moves, exposed, .. } = state;
    let (target, judge) = (task.target, &*task.judge);
    // A tag that was not written was seen with its digest a moment ago; of what is kept nothing is said.
    writes.iter_mut().for_each(|write| write.verified = (write.action != TagAction::Kept).then_some(true));
    let mut watches = vec![Watch::default(); writes.len()];
    let mut open = to_read_back(writes, *moves);
    let begun = target.world().instant();
    let waited = || target.world().instant().saturating_duration_since(begun);
    let patience = patience(target);
    let (idle, mut list_due) = (open.is_empty(), judge.reads_lists());
    let (mut pause, mut overlaps) = (PAUSE, vec![Overlap::default(); writes.len()]);
    while !open.is_empty() {
        let (now, listing) = look_back(target, writes, &open, list_due);
        let now = match now {
            Ok(now) => now,
            // All has been seen in its place, and was only looked at again for what others do.
            Err(_) if open.iter().all(|&i| is_seen(&watches[i])) => break,
            Err(error) => return Err(error),
        };
        list_due = false;
        if listing.is_some() {
            overlaps = judge.overlaps(writes, listing).unwrap_or(overlaps);
        }
        let mut again = Vec::new();
        for (i, now) in open.into_iter().zip(now) {
            let write = &mut writes[i];
            let ruling = ruling(judge, write, now, &mut watches[i], &overlaps[i]).and_then(|ruling| {
                if ruling == Ruling::Rewrite { send(task, write).map(|()| ruling) } else { Ok(ruling) }
            });
            match ruling {
                Ok(Ruling::Again) => again.push(i),
                Ok(Ruling::Rewrite) => {
                    again.push(i);
                    (list_due, pause) = (judge.reads_lists(), PAUSE);
                }
                Ok(Ruling::Settled) => {}
                Ok(Ruling::Raced) => {
                    lose(write);
                    return Err(raced(task, write));
                }
                Err(error) => {
                    lose(write);
                    return Err(error);
                }
            }
        }
        open = again;
        if open.is_empty() || waited() + pause > patience {
            break;
        }
        target.world().sleep(pause);
        pause *= 2;
    }
    let waited = waited().as_secs();
    if idle {
        overlaps = judge.overlaps(writes, None).unwrap_or(overlaps);
    }
    for ((write, watch), overlap) in writes.iter_mut().zip(&watches).zip(&overlaps) {
        conclude(target, write, watch, waited);
        judge.conclude(write, watch, overlap, *exposed);
    }
    Ok(())
}

/// The tags that were written, and where any was to be, the moving ones that have our digest from somebody else: who
/// wrote it may have been killed since, and then this run alone sees it written over.
fn to_read_back(writes: &[TagWrite], moves: bool) -> Vec<usize> {
    let acted = moves || writes.iter().any(|write| write.state == WriteState::Written);
    let is_ours = |write: &TagWrite| write.kind.moves() && write.action != TagAction::Kept;
    let due = |write: &TagWrite| write.state == WriteState::Written || acted && is_ours(write);
    (0..writes.len()).filter(|&i| due(&writes[i])).collect()
}

/// What these tags are now, and the tag list where it is wanted, both at once.
fn look_back(
    target: &Remote,
    writes: &[TagWrite],
    open: &[usize],
    list: bool,
) -> (Result<Heads, Error>, Option<Result<Listing, Error>>) {
    let tags: Vec<Tag> = open.iter().map(|&i| writes[i].tag.clone()).collect();
    let list = || list.then(|| target.fresh_tags());
    if !target.lists_digests() {
        return both(|| target.heads(&tags), list);
    }
    let listing = list();
    let heads = match &listing {
        Some(Ok(listing)) => {
            let named = |tag: &Tag| listing.tags.iter().find(|listed| listed.name == tag.as_str());
            Ok(tags.iter().map(|tag| named(tag)?.digest.clone()).collect())
        }
        _ => target.heads(&tags),
    };
    (heads, listing)
}

/// What is to be done about one tag by what it is now.
fn ruling(
    judge: &dyn Judge,
    write: &mut TagWrite,
    now: Option<Digest>,
    watch: &mut Watch,
    overlap: &Overlap,
) -> Result<Ruling, Error> {
    let reading = match &now {
        // A newer version that is there still has been looked up.
        Some(_) if now == write.after && matches!(watch.last, Some(Reading::Newer(_))) => {
            watch.last.unwrap_or(Reading::Other)
        }
        _ if now == write.wanted => Reading::Ours,
        None => Reading::Before { older: false },
        Some(digest) if now == write.before => {
            Reading::Before { older: watch.is_late() && judge.reading(write, digest)? == Reading::Older }
        }
        Some(digest) => judge.reading(write, digest)?,
    };
    let ruling = watch.next(reading, overlap);
    let is_theirs = matches!(reading, Reading::Newer(_)) || ruling == Ruling::Raced;
    write.after = if is_theirs { now } else { write.wanted.clone() };
    Ok(ruling)
}

fn lose(write: &mut TagWrite) {
    if write.state == WriteState::Written {
        write.state = WriteState::Overwritten;
    }
}

fn raced(WriteTask { target, judge, .. }: &WriteTask, write: &TagWrite) -> Error {
    let name = target.repository().tagged(&write.tag);
    let text = |digest: &Option<Digest>| digest.as_ref().map_or(String::new(), Digest::to_string);
    let (found, wrote) = (text(&write.after), text(&write.wanted));
    let message = format!("somebody else wrote `{name}` at the same time: it is `{found}`, this run wrote `{wrote}`");
    Error::new(Code::Raced, message)
        .hint(format!(
            "find out who else writes this tag, then {}; only one job at a time should move it",
            judge.again()
        ))
        .detail("tag", write.tag.as_str())
        .detail("wrote", wrote)
        .detail("found", found)
}

/// Puts what is true of a tag in the end into its write, and what a person should know into warnings.
fn conclude(target: &Remote, write: &mut TagWrite, watch: &Watch, waited: u64) {
    let name = target.repository().tagged(&write.tag);
    match watch.last {
        Some(Reading::Newer(newer)) => {
            write.action = TagAction::Superseded;
            let sentence = format!("`{name}` was moved on to the newer version `{newer}` by somebody else");
            target.warn("superseded", sentence);
        }
        Some(Reading::Before { .. }) => {
            write.verified = Some(false);
            target.warn("unverified", format!("`{name}` was written and still read as before after {waited} s"));
        }
        _ => {}
    }
}

fn is_seen(watch: &Watch) -> bool {
    matches!(watch.last, Some(Reading::Ours | Reading::Newer(_)))
}

/// How long reading back may take: not the whole of what is left, so that the report can be made.
fn patience(target: &Remote) -> Duration {
    let left = |until: Instant| until.saturating_duration_since(target.world().instant()) / 2;
    target.exchange().until.map_or(PATIENCE, left).min(PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::promote::TagKind;
    use crate::pure::version::Version;

    /// Finds the same newer version in everything, and counts how often it is asked to.
    #[derive(Default)]
    struct Finder(Mutex<usize>);

    impl Judge for Finder {
        fn decide(&self, write: &TagWrite, _now: Option<Digest>) -> Result<TagWrite, Error> {
            Ok(write.clone())
        }

        fn again(&self) -> &'static str {
            "promote again"
        }

        fn reading(&self, _write: &TagWrite, _other: &Digest) -> Result<Reading, Error> {
            *lock(&self.0) += 1;
            Ok(Reading::Newer(Version::of(2026, 34, 104)))
        }
    }

    #[test]
    fn a_newer_version_that_stays_is_looked_up_once() {
        let [ours, theirs, other] = ["ours", "theirs", "other"].map(|text| Some(Digest::of(text.as_bytes())));
        let tag = Tag::parse("latest").unwrap();
        let mut write = TagWrite::new(tag, TagKind::Moving, None, ours, TagAction::Created);
        let (finder, mut watch) = (Finder::default(), Watch::default());
        // One that is newer still is on its way, so the tag is read on.
        let overlap = Overlap { newer: Some(Version::of(2026, 34, 105)), older: Vec::new() };
        for (now, lookups) in [(&theirs, 1), (&theirs, 1), (&other, 2)] {
            let ruling = ruling(&finder, &mut write, now.clone(), &mut watch, &overlap).unwrap();
            assert_eq!((ruling, *lock(&finder.0)), (Ruling::Again, lookups));
        }
    }
}
