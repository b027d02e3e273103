//! The act of `rollback`: a second look, the writes, and everything read back.
//!
//! As with a promotion, what is read back decides: what was written is success, what somebody else wrote meanwhile
//! is reported and left.

use crate::command::promote::act::is_lost;
use crate::command::promote::read_back::PATIENCE;
use crate::command::session::Session;
use crate::error::{Code, Error, Progress};
use crate::pure::image::raw_manifest::RawManifest;
use crate::registry::remote::Remote;
use crate::pure::image::digest::Digest;
use crate::pure::image::reference::Identifier;
use crate::pure::image::tag::Tag;
use crate::pure::promote::plan::Action;
use crate::pure::promote::rollback_plan::Step;
use std::time::Duration;

/// What is put back, and what it takes.
pub struct Run<'r, 'w> {
    /// The clients.
    pub session: &'r Session<'w>,
    /// The repository.
    pub target: &'r Remote<'r, 'w>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The manifests that tags go back to.
    pub manifests: Vec<RawManifest>,
    /// What was written, by the number of its step, and whether that is certain.
    pub written: Vec<(usize, bool)>,
}

/// Whether a step writes.
pub fn writes(step: &Step) -> bool {
    matches!(step.action, Action::Moved | Action::Created)
}

impl Run<'_, '_> {
    /// Writes, and reads back; which tags show it by now.
    ///
    /// # Errors
    /// `tag-immutable`, `denied`, `raced`, and those of reading.
    pub fn write(&mut self) -> Result<Vec<bool>, Error> {
        for i in 0..self.steps.len() {
            if writes(&self.steps[i]) {
                self.put(i)?;
            }
        }
        self.read_back()
    }

    fn put(&mut self, i: usize) -> Result<(), Error> {
        let Step { tag, to, .. } = &self.steps[i];
        let manifest = self.manifests.iter().find(|manifest| Some(&manifest.digest) == to.as_ref());
        let manifest = manifest.ok_or_else(|| Error::new(Code::Internal, "a rollback lost its manifest"))?;
        let identifier = Identifier::Tag(tag.clone());
        match self.target.put_manifest(&identifier, manifest) {
            Ok(_) => {}
            // After a lost answer it is not known whether the write took place; the tag knows.
            Err(error) if is_lost(error.code()) => match self.heads(&[i]) {
                Ok(now) if now[0] == *to => {}
                Ok(_) => return Err(error),
                Err(_) => {
                    self.written.push((i, false));
                    return Err(error);
                }
            },
            Err(error) => return Err(error),
        }
        self.written.push((i, true));
        Ok(())
    }

    fn heads(&self, steps: &[usize]) -> Result<Vec<Option<Digest>>, Error> {
        let tags: Vec<Tag> = steps.iter().map(|&i| self.steps[i].tag.clone()).collect();
        self.target.heads(&tags)
    }

    fn read_back(&mut self) -> Result<Vec<bool>, Error> {
        let world = self.target.world();
        let (begun, mut pause) = (world.instant(), Duration::from_millis(100));
        let mut open: Vec<usize> = self.written.iter().map(|(i, _)| *i).collect();
        let mut verified = vec![true; self.steps.len()];
        loop {
            let now = self.heads(&open)?;
            let mut stale = Vec::new();
            for (i, now) in open.into_iter().zip(now) {
                match now {
                    now if now == self.steps[i].to => {}
                    Some(other) if Some(&other) != self.steps[i].now.as_ref() => {
                        self.written.retain(|(written, _)| *written != i);
                        return Err(self.raced(&self.steps[i], &other));
                    }
                    _ => stale.push(i),
                }
            }
            let waited = world.instant().saturating_duration_since(begun);
            if stale.is_empty() || waited + pause > PATIENCE.min(self.session.patience()) {
                for i in stale {
                    verified[i] = false;
                    let name = format!("{}:{}", self.target.repository(), self.steps[i].tag);
                    let sentence =
                        format!("`{name}` was written and still read as before after {} s", waited.as_secs());
                    self.target.warn("unverified", sentence);
                }
                return Ok(verified);
            }
            world.sleep(pause);
            (pause, open) = (pause * 2, stale);
        }
    }

    fn raced(&self, step: &Step, other: &Digest) -> Error {
        let (name, wrote) = (format!("{}:{}", self.target.repository(), step.tag), step.to.as_ref().map(Digest::as_str));
        let message = format!(
            "somebody else wrote `{name}` at the same time: it is `{other}`, this run wrote `{}`",
            wrote.unwrap_or_default()
        );
        Error::new(Code::Raced, message)
            .hint("find out who else writes this tag; only one job at a time should move it")
            .detail("tag", step.tag.as_str())
            .detail("wrote", wrote)
            .detail("found", other.as_str())
    }

    /// The command that undoes a step.
    pub fn undo(&self, step: &Step) -> Option<Vec<String>> {
        let source = self.target.repository().at(step.now.as_ref().filter(|_| writes(step))?).to_string();
        let words = ["tagwright", "promote", &source, "--move", step.tag.as_str()].map(str::to_owned);
        Some(words.into_iter().chain(self.session.connection.iter().cloned()).collect())
    }

    /// What had been written when the run ended early.
    pub fn progress(&self) -> Progress {
        let said = |(i, certain): &(usize, bool)| {
            let step = &self.steps[*i];
            let action = if *certain { step.action.as_str() } else { "not known whether it was written" };
            format!("{}:{} ({action})", self.target.repository(), step.tag)
        };
        let rollback = self.written.iter().filter_map(|(i, _)| self.undo(&self.steps[*i])).collect();
        Progress { done: self.written.iter().map(said).collect(), rollback }
    }
}
