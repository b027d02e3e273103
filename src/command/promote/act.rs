//! The act of `promote`: `--to` tags, a second look at `--move` tags, the moves, and everything read back.
//!
//! No registry can compare and swap, so another run may write between a look and a write. The order of these steps lets
//! such runs see each other: [`crate::command::promote::read_back`] and `pure::promote::race`. Only the digest that was asked for is ever
//! written.

use crate::command::promote::holder::Versions;
use crate::command::promote::look::Seen;
use crate::pure::image::listing::{Detail, Listing};
use crate::command::request::Promote;
use crate::command::session::{Session, Sides};
use crate::threads::both;
use crate::error::{Code, Error, Progress};
use crate::registry::remote::Remote;
use crate::pure::image::digest::Digest;
use crate::pure::image::reference::Identifier;
use crate::pure::image::tag::Tag;
use crate::pure::promote::facts::{Facts, Held, Kind, Target};
use crate::pure::promote::plan::{self, Action, Plan, Step};
use crate::pure::version::scheme::Version;
use std::time::{Duration, Instant};

/// What became of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The step as it was planned; its action is what happened.
    pub step: Step,
    /// The version it held before, where that is known.
    pub before_version: Option<Version>,
    /// What it points at now.
    pub after: Digest,
    /// Whether it was read back; `None` in a dry run.
    pub verified: Option<bool>,
}

/// What a dry run would do.
pub fn pretend(sides: &Sides, seen: &Seen, plan: &Plan) -> Vec<Outcome> {
    let outcome = |step: &Step| Outcome {
        step: step.clone(),
        before_version: None,
        after: seen.manifest.digest.clone(),
        verified: None,
    };
    let mut outcomes: Vec<Outcome> = plan.steps.iter().map(outcome).collect();
    name_befores(&sides.target, seen, &mut outcomes, before_versions(&sides.target, seen, &plan.steps));
    outcomes
}

/// Refuses to move a tag of ECR that cannot change, before anything is copied for it.
///
/// # Errors
/// `tag-immutable`.
pub fn check_kept(sides: &Sides, seen: &Seen, plan: &Plan) -> Result<(), Error> {
    let moved = plan.steps.iter().filter(|step| step.action == Action::Moved).map(|step| &step.tag);
    let tags: Vec<&Tag> = moved.collect();
    // To ask takes a right of its own; without an answer, the refusal comes with the write.
    match sides.target.immutable(&tags) {
        Ok(Some(tag)) => {
            let message =
                format!("`{}:{tag}` cannot be moved: the tags of that repository are immutable", seen.repository);
            Err(Error::new(Code::TagImmutable, message).hint(
                "promote under a new tag, or exclude this one from immutability in the settings of the repository",
            ))
        }
        _ => Ok(()),
    }
}

/// Does what was planned.
///
/// # Errors
/// `tag-immutable`, `denied`, `raced`, `downgrade-refused` where a newer version came up meanwhile; each says what
/// had been written.
pub fn act(
    session: &Session,
    sides: &Sides,
    request: &Promote,
    seen: &Seen,
    plan: &Plan,
) -> Result<Vec<Outcome>, Error> {
    let (session, target) = (session.target(), &sides.target);
    let written = vec![Written::No; plan.steps.len()];
    let mut run = Run {
        session,
        target,
        request,
        seen,
        steps: plan.steps.clone(),
        written,
        looked: None,
        exposed: Duration::ZERO,
        renewed: None,
    };
    // Which older version a tag held is only told, never decides, so it is found out beside the writing.
    let (mut befores, outcomes) = both(|| before_versions(target, seen, &plan.steps), || run.all());
    let mut outcomes = outcomes.map_err(|error| error.after(run.progress()))?;
    // What somebody else moved between the two looks held another version by then.
    let planned =
        |step: &Step| plan.steps.iter().any(|planned| planned.tag == step.tag && planned.before == step.before);
    let changed = outcomes.iter().map(|outcome| &outcome.step).filter(|step| !planned(step));
    let changed: Vec<Step> = changed.map(|step| Step { action: Action::Moved, ..step.clone() }).collect();
    if !changed.is_empty() {
        befores.retain(|(tag, _)| changed.iter().all(|step| step.tag != *tag));
        befores.extend(before_versions(target, seen, &changed));
    }
    name_befores(target, seen, &mut outcomes, befores);
    Ok(outcomes)
}

/// A promotion from its first write to its end.
pub(super) struct Run<'r, 'w> {
    pub(super) session: &'r Session<'w>,
    pub(super) target: &'r Remote<'r, 'w>,
    pub(super) request: &'r Promote,
    pub(super) seen: &'r Seen,
    pub(super) steps: Vec<Step>,
    pub(super) written: Vec<Written>,
    /// When the moving tags were looked at for the last time.
    pub(super) looked: Option<Instant>,
    /// How long after that look the last of them was written.
    pub(super) exposed: Duration,
    /// The tag list as it was right before the first write, where the look was long past by then.
    pub(super) renewed: Option<Listing>,
}

/// Whether a tag was written by this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    No,
    Yes,
    /// The answer was lost, and the tag could not be looked at afterwards.
    Unknown,
    /// Written, and written over by somebody else: putting it back would take away what is theirs.
    Lost,
}

impl Run<'_, '_> {
    fn all(&mut self) -> Result<Vec<Outcome>, Error> {
        self.renew_list();
        for i in self.to_write(Kind::Fixed) {
            self.write(i)?;
        }
        self.look_again()?;
        for i in self.to_write(Kind::Moving) {
            self.write(i)?;
            self.exposed = self.looked.map_or(self.exposed, |looked| self.now().saturating_duration_since(looked));
        }
        self.read_back()
    }

    fn to_write(&self, kind: Kind) -> Vec<usize> {
        let due = |step: &Step| step.kind == kind && step.action != Action::Unchanged;
        self.steps.iter().enumerate().filter(|(_, step)| due(step)).map(|(i, _)| i).collect()
    }

    fn write(&mut self, i: usize) -> Result<(), Error> {
        let (seen, tag) = (self.seen, self.steps[i].tag.clone());
        match self.put(&tag) {
            Ok(()) => {
                self.written[i] = Written::Yes;
                Ok(())
            }
            // Somebody else, or an earlier try whose answer was lost, may have written the same digest.
            Err(error) if error.code() == Code::TagImmutable => {
                if self.head(&tag).ok().flatten().as_ref() == Some(&seen.manifest.digest) {
                    self.steps[i].action = Action::Unchanged;
                    return Ok(());
                }
                Err(error.hint("promote under a new tag; an immutable tag keeps the image it was pushed with"))
            }
            Err(error) if error.code() == Code::DigestMismatch => {
                self.written[i] = Written::Yes;
                Err(error)
            }
            // After a lost answer it is not known whether the write took place; the tag knows.
            Err(error) if is_lost(error.code()) => match self.head(&tag) {
                Ok(Some(now)) if now == seen.manifest.digest => {
                    self.written[i] = Written::Yes;
                    Ok(())
                }
                Ok(_) => Err(error),
                Err(_) => {
                    self.written[i] = Written::Unknown;
                    Err(error)
                }
            },
            Err(error) => Err(error),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.target.world().instant()
    }

    pub(super) fn put(&self, tag: &Tag) -> Result<(), Error> {
        self.target.put_manifest(&Identifier::Tag(tag.clone()), &self.seen.manifest).map(drop)
    }

    /// What the tags of these steps point at now.
    pub(super) fn heads(&self, steps: &[usize]) -> Result<Vec<Option<Digest>>, Error> {
        let tags: Vec<Tag> = steps.iter().map(|&i| self.steps[i].tag.clone()).collect();
        self.target.heads(&tags)
    }

    fn head(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        self.target.head(tag)
    }

    /// Reads every moving tag again right before it is moved; what has changed is decided anew.
    fn look_again(&mut self) -> Result<(), Error> {
        let moving: Vec<usize> = (0..self.steps.len()).filter(|&i| self.steps[i].kind == Kind::Moving).collect();
        if !moving.iter().any(|&i| self.steps[i].action != Action::Unchanged) {
            return Ok(());
        }
        self.looked = Some(self.now());
        let now = self.heads(&moving)?;
        for (i, now) in moving.into_iter().zip(now) {
            if now != self.steps[i].before {
                self.steps[i] = self.decide_again(&self.steps[i], now)?;
            }
        }
        Ok(())
    }

    fn decide_again(&self, step: &Step, now: Option<Digest>) -> Result<Step, Error> {
        let seen = self.seen;
        let held = match &now {
            Some(digest) if *digest != seen.manifest.digest => self.compare(digest)?,
            _ => Held::Nothing,
        };
        let target = Target { tag: step.tag.clone(), kind: step.kind, before: now, held };
        let facts = Facts { targets: vec![target], ..seen.facts.clone() };
        let plan = plan::plan(&facts, self.request.allow_downgrade)
            .map_err(|error| error.during("looking at the tag again, right before it would be moved"))?;
        for (code, sentence) in plan.warnings {
            self.target.warn(code, sentence);
        }
        plan.steps.into_iter().next().ok_or_else(|| Error::new(Code::Internal, "a plan lost its step"))
    }

    /// How a digest that came up meanwhile compares with the source, by a fresh list.
    fn compare(&self, digest: &Digest) -> Result<Held, Error> {
        let Some(version) = &self.seen.facts.version else {
            return Ok(Held::SourceUnversioned);
        };
        self.fresh()?.newer(self.target, version, digest)
    }

    pub(super) fn fresh(&self) -> Result<Versions, Error> {
        let listing = self.target.tags(Detail::Times)?;
        Ok(Versions::of(&listing, &self.request.format))
    }

    /// What had been written when the run ended early.
    fn progress(&self) -> Progress {
        let steps = || self.steps.iter().zip(&self.written).filter(|(_, written)| **written != Written::No);
        let said = |(step, written): (&Step, &Written)| {
            let action = match written {
                Written::Unknown => "not known whether it was written",
                Written::Lost => "written, and written over by somebody else",
                _ => step.action.as_str(),
            };
            format!("{}:{} ({action})", self.seen.repository, step.tag)
        };
        let ours = steps().filter(|(_, written)| **written != Written::Lost);
        let rollback = ours.filter_map(|(step, _)| undo(self.session, self.seen, step)).collect();
        Progress { done: steps().map(said).collect(), rollback }
    }
}

/// Whether a write that failed in this way may have taken place all the same.
pub fn is_lost(code: Code) -> bool {
    matches!(code, Code::Unreachable | Code::Timeout | Code::RegistryUnavailable | Code::ReplyMalformed)
}

/// The command that puts a tag back; a created tag has nothing to go back to.
pub fn undo(session: &Session, seen: &Seen, step: &Step) -> Option<Vec<String>> {
    let before = step.before.as_ref().filter(|before| **before != seen.manifest.digest)?;
    let source = seen.repository.at(before).to_string();
    let words = ["tagwright", "promote", &source, "--move", step.tag.as_str()].map(str::to_owned);
    Some(words.into_iter().chain(session.connection.iter().cloned()).collect())
}

/// The versions that moved tags held, for those that hold one.
fn before_versions(target: &Remote, seen: &Seen, steps: &[Step]) -> Vec<(Tag, Option<Version>)> {
    let (Some(version), Some(versions)) = (&seen.facts.version, &seen.versions) else {
        return Vec::new();
    };
    steps
        .iter()
        .filter(|step| step.action == Action::Moved)
        .filter_map(|step| {
            let before = step.before.as_ref().filter(|before| **before != seen.manifest.digest)?;
            let same = |known: &&Target| known.tag == step.tag && known.before == step.before;
            let newer = seen.facts.targets.iter().find(same).and_then(|known| match &known.held {
                Held::Newer(version) => Some(*version),
                _ => None,
            });
            let found = newer.or_else(|| versions.older(target, version, before));
            Some((step.tag.clone(), found))
        })
        .collect()
}

fn name_befores(target: &Remote, seen: &Seen, outcomes: &mut [Outcome], befores: Vec<(Tag, Option<Version>)>) {
    for (tag, version) in befores {
        if version.is_none() {
            let sentence = format!(
                "no version tag looked at is what `{}:{tag}` held, so it was moved without knowing from where",
                seen.repository
            );
            target.warn("previous-unknown", sentence);
        }
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.step.tag == tag) {
            outcome.before_version = version;
        }
    }
    // A tag that already has the source's digest held the source's version.
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.step.before.as_ref() == Some(&seen.manifest.digest)) {
        outcome.before_version = seen.facts.version;
    }
}
