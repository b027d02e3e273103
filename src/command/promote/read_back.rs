//! The end of `promote`'s act: every tag is read until it shows what is true of it, and other runs are looked for.
//!
//! What is read decides: our digest is success; a newer version is somebody else's success; an older one is
//! written over again; anything else is reported. What to do is decided in `pure::promote::race`.

use crate::command::promote::act::{Outcome, Run, Written};
use crate::pure::image::listing::Listing;
use crate::command::session::Session;
use crate::threads::both;
use crate::error::{Code, Error};
use crate::pure::image::digest::Digest;
use crate::pure::promote::facts::{Held, Kind};
use crate::pure::promote::plan::{Action, Step};
use crate::pure::promote::race::{Finding, Next, Others, Reading, Tags, Watch};
use std::time::Duration;

/// How long a tag may go on reading as before.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause between two readings; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// How old the first list may be when the first tag is written.
const OLD: Duration = Duration::from_secs(10);
/// How long after the last look a tag may be written without a word, where other runs could not see this one.
const EXPOSED: Duration = Duration::from_secs(2);

type Heads = Vec<Option<Digest>>;

impl Run<'_, '_> {
    /// Reads back every tag that was written, side by side, until each shows what is true of it.
    pub(super) fn read_back(&mut self) -> Result<Vec<Outcome>, Error> {
        let mut outcomes: Vec<Outcome> = self.steps.iter().map(|step| self.outcome(step)).collect();
        let mut watches = vec![Watch::default(); outcomes.len()];
        let mut open = self.to_read_back();
        let begun = self.now();
        let patience = PATIENCE.min(self.session.patience());
        let tags = self.tags();
        let (idle, mut list_due) = (open.is_empty(), tags.is_some());
        let (mut pause, mut others) = (PAUSE, Others::default());
        while !open.is_empty() {
            let (now, listing) = self.look_back(&open, list_due);
            let now = match now {
                Ok(now) => now,
                // All has been seen in its place, and was only looked at again for what others do.
                Err(_) if open.iter().all(|&i| is_seen(&watches[i])) => break,
                Err(error) => return Err(error),
            };
            list_due = false;
            if let Some(listing) = listing {
                others = self.others(listing).unwrap_or(others);
            }
            let mut again = Vec::new();
            for (i, now) in open.into_iter().zip(now) {
                match self.judge(i, now, &mut watches[i], &others, &mut outcomes[i]) {
                    Ok(Next::Again) => again.push(i),
                    Ok(Next::Rewrite) => {
                        again.push(i);
                        (list_due, pause) = (tags.is_some(), PAUSE);
                    }
                    Ok(Next::Settled | Next::Raced) => {}
                    Err(error) => {
                        if self.written[i] == Written::Yes {
                            self.written[i] = Written::Lost;
                        }
                        return Err(error);
                    }
                }
            }
            open = again;
            if open.is_empty() || self.now().saturating_duration_since(begun) + pause > patience {
                break;
            }
            self.target.world().sleep(pause);
            pause *= 2;
        }
        let waited = self.now().saturating_duration_since(begun).as_secs();
        if idle {
            others = self.first().cloned().and_then(|first| self.others(Ok(first))).unwrap_or_default();
        }
        for (i, watch) in watches.iter().enumerate() {
            self.conclude(i, watch, &others, waited, &mut outcomes[i]);
        }
        Ok(outcomes)
    }

    /// The tags that were written, and where any was to be, the moving ones that have our digest from somebody else: who
    /// wrote it may have been killed since, and then this run alone sees it written over.
    fn to_read_back(&self) -> Vec<usize> {
        let acted = self.looked.is_some() || self.written.contains(&Written::Yes);
        let due = |i: &usize| self.written[*i] == Written::Yes || acted && self.steps[*i].kind == Kind::Moving;
        (0..self.steps.len()).filter(due).collect()
    }

    /// What these steps' tags are now, and the tag list where it is wanted, both at once.
    fn look_back(&self, steps: &[usize], list: bool) -> (Result<Heads, Error>, Option<Result<Listing, Error>>) {
        let list = || list.then(|| self.target.fresh_tags());
        if !self.target.lists_digests() {
            return both(|| self.heads(steps), list);
        }
        let listing = list();
        let heads = match &listing {
            Some(Ok(listing)) => {
                let named = |i: &usize| listing.tags.iter().find(|listed| listed.name == self.steps[*i].tag.as_str());
                Ok(steps.iter().map(|i| named(i)?.digest.clone()).collect())
            }
            _ => self.heads(steps),
        };
        (heads, listing)
    }

    /// Reads the first list anew, right before the first write, where the look is long past: whoever began and ended
    /// during a long copy was not under way at the same time as what follows.
    pub(super) fn renew_list(&mut self) {
        let is_old = self.now().saturating_duration_since(self.target.world().started) > OLD;
        if is_old && self.tags().is_some() {
            self.renewed = self.target.fresh_tags().ok();
        }
    }

    /// The list from before the first write.
    fn first(&self) -> Option<&Listing> {
        self.renewed.as_ref().or(self.seen.listing.as_ref())
    }

    fn outcome(&self, step: &Step) -> Outcome {
        // A tag that was not written was seen with this digest a moment ago.
        Outcome {
            step: step.clone(),
            before_version: None,
            after: self.seen.manifest.digest.clone(),
            verified: Some(true),
        }
    }

    /// What is to be done about one tag by what it is now; a digest to be written over again is written here.
    fn judge(
        &self,
        i: usize,
        now: Option<Digest>,
        watch: &mut Watch,
        others: &Others,
        outcome: &mut Outcome,
    ) -> Result<Next, Error> {
        let step = &self.steps[i];
        let reading = match now.as_ref() {
            // A newer version that is there still has been looked up.
            Some(now) if *now == outcome.after && matches!(watch.last, Some(Reading::Newer(_))) => {
                watch.last.unwrap_or(Reading::Other)
            }
            Some(now) if *now == self.seen.manifest.digest => Reading::Ours,
            None => Reading::Before { older: false },
            Some(now) if Some(now) == step.before.as_ref() => {
                Reading::Before { older: watch.is_late() && self.compare_written(step, now)? == Reading::Older }
            }
            Some(now) => self.compare_written(step, now)?,
        };
        outcome.after = match (&reading, &now) {
            (Reading::Newer(_), Some(now)) => now.clone(),
            _ => self.seen.manifest.digest.clone(),
        };
        // A tag that stays is nobody else's to write, so nobody is waited for.
        let next = match step.kind {
            Kind::Fixed => watch.next(reading, &Others::default()),
            Kind::Moving => watch.next(reading, others),
        };
        match (next, now) {
            (Next::Raced, Some(now)) => Err(self.raced(step, &now)),
            (Next::Rewrite, _) => self.put(&step.tag).map(|()| next),
            _ => Ok(next),
        }
    }

    /// Whose image somebody else wrote, by a fresh list.
    fn compare_written(&self, step: &Step, other: &Digest) -> Result<Reading, Error> {
        let (Kind::Moving, Some(version)) = (step.kind, &self.seen.facts.version) else {
            return Ok(Reading::Other);
        };
        let versions = self.fresh()?;
        Ok(match versions.newer(self.target, version, other)? {
            Held::Newer(newer) => Reading::Newer(newer),
            Held::NotNewer if versions.is_older(self.target, version, other)? => Reading::Older,
            _ => Reading::Other,
        })
    }

    fn raced(&self, step: &Step, other: &Digest) -> Error {
        let (name, wrote) = (format!("{}:{}", self.seen.repository, step.tag), &self.seen.manifest.digest);
        Error::new(
            Code::Raced,
            format!("somebody else wrote `{name}` at the same time: it is `{other}`, this run wrote `{wrote}`"),
        )
        .hint("find out who else writes this tag, then promote again; only one job at a time should move it")
        .detail("tag", step.tag.as_str())
        .detail("wrote", wrote.as_str())
        .detail("found", other.as_str())
    }

    /// What a run of another version makes of our `--to` tags; nothing where nothing can be compared.
    ///
    /// A template that makes the source itself is left out: new tags of that kind are builds, not promotions.
    fn tags(&self) -> Option<Tags> {
        let (seen, request) = (self.seen, self.request);
        let (version, _) = (seen.version.as_ref()?, self.first()?);
        let source = seen.source.tag().filter(|_| request.into.is_none());
        let mut templates = Vec::new();
        for template in request.to.iter().filter(|_| !request.moves.is_empty()) {
            let made = template.expand(seen.source.tag(), Some(&version.text)).ok();
            let template = template.around(&version.text);
            if (template.needs_version() || template.needs_tag()) && (source.is_none() || made.as_ref() != source) {
                templates.push(template);
            }
        }
        (!templates.is_empty()).then(|| Tags { templates, format: request.format.clone() })
    }

    /// Who else is under way, by the list that was read beside the tags; `None` where it could not be read.
    fn others(&self, listing: Result<Listing, Error>) -> Option<Others> {
        let (first, own, tags) = (names(self.first()?), self.seen.facts.version.as_ref()?, self.tags()?);
        match listing {
            Ok(second) => {
                // Other runs see this one by a tag that it made.
                let made = |(step, written): (&Step, &Written)| {
                    let name = step.tag.as_str();
                    *written == Written::Yes && tags.version_in(name) == Some(*own) && !first.contains(&name)
                };
                let announced = self.steps.iter().zip(&self.written).any(made);
                Some(Others::of(own, &tags, announced, &first, &names(&second)))
            }
            Err(error) => {
                let sentence = format!(
                    "the tag list could not be read again, so promotions at the same time could not be seen: {}",
                    error.message()
                );
                self.target.warn("overlap-unknown", sentence);
                None
            }
        }
    }

    /// Puts what is true of a tag in the end into its outcome, and what a person should know into warnings.
    fn conclude(&self, i: usize, watch: &Watch, others: &Others, waited: u64, outcome: &mut Outcome) {
        let name = format!("{}:{}", self.seen.repository, self.steps[i].tag);
        let warn = |code, sentence| self.target.warn(code, sentence);
        match watch.last {
            Some(Reading::Newer(newer)) => {
                outcome.step.action = Action::Superseded;
                warn("superseded", format!("`{name}` was moved on to the newer version `{newer}` by somebody else"));
            }
            Some(Reading::Before { .. }) => {
                outcome.verified = Some(false);
                warn("unverified", format!("`{name}` was written and still read as before after {waited} s"));
            }
            _ => {}
        }
        if self.steps[i].kind == Kind::Fixed {
            return;
        }
        match watch.finding(others) {
            Some(Finding::Newer(newer)) => warn(
                "overlapped",
                format!(
                    "`{name}` does not hold the newer version `{newer}`, which another run began to promote; promote `{newer}` again"
                ),
            ),
            Some(Finding::Older(older)) => {
                let list: Vec<String> = older.iter().map(|version| format!("`{version}`")).collect();
                let list = list.join(", ");
                warn(
                    "overlapped",
                    format!(
                        "at the same time another run promoted {list}, which is older and may still be written to `{name}`; look at the tag again when that run has ended"
                    ),
                );
            }
            None => self.say_if_exposed(&name),
        }
    }

    /// Without a `--to` tag that names the version no other run sees this one. Then a newer version that was written
    /// between our last look and our write is gone, and nobody knows; the longer that took, the likelier.
    fn say_if_exposed(&self, name: &str) {
        let (Some(own), Some(first)) = (&self.seen.facts.version, self.first()) else { return };
        let newer = |name: &str| self.request.format.spelled(name).is_some_and(|spelled| spelled.version > *own);
        if self.exposed > EXPOSED && self.tags().is_none() && names(first).into_iter().any(newer) {
            let sentence = format!(
                "`{name}` was written {} s after the last look at it, and no new `--to` tag told other runs of this one; a newer version that was promoted in between is written over",
                self.exposed.as_secs()
            );
            self.target.warn("overlap-unknown", sentence);
        }
    }
}

impl Session<'_> {
    /// How long reading back may take: not the whole of what is left, so that the report can be made.
    pub fn patience(&self) -> Duration {
        let exchange = &self.client.exchange;
        match exchange.settings.until {
            Some(until) => until.saturating_duration_since(exchange.world.instant()) / 2,
            None => PATIENCE,
        }
    }
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.tags.iter().map(|listed| listed.name.as_str()).collect()
}

fn is_seen(watch: &Watch) -> bool {
    matches!(watch.last, Some(Reading::Ours | Reading::Newer(_)))
}
