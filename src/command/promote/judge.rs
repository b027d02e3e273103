//! What `promote` makes of tags that others write too: the guard against older versions, and runs at the same time.
//!
//! What to do is decided in `pure::promote::plan` and `pure::promote::race`; here is what they have to know.

use crate::command::promote::{Judge, Survey, Versions, copy};
use crate::command::request::Promote;
use crate::error::{Code, Error};
use crate::pure::image::{Detail, Digest, Listing, Tag};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{
    Announcement, Comparison, Facts, Finding, Overlap, Reading, Rival, TagKind, TagWrite, Target, Template, Watch,
    WriteState, plan,
};
use crate::pure::text::show;
use crate::pure::version::{Spelling, VersionTag};
use crate::registry::Remote;
use std::collections::HashSet;
use std::time::Duration;

/// How long after the last look a tag may be written without a word, where other runs could not see this one.
const EXPOSED: Duration = Duration::from_secs(2);

/// The judge of a promotion.
pub struct Guard<'r, 'w> {
    target: &'r Remote<'r, 'w>,
    request: &'r Promote,
    survey: &'r Survey,
    /// What the `--to` tags of other versions look like; `None` where nothing can be compared.
    announcement: Option<Announcement>,
    /// The tag list as it was right before the first write, where the look is long past by then: whoever began and ended
    /// during a long copy was not under way at the same time as what follows.
    renewed: Option<Listing>,
    /// Tags that this run makes of other images in the same repository, which tell of no other run.
    pub own: HashSet<String>,
}

impl<'r, 'w> Guard<'r, 'w> {
    /// Gets ready for the first write.
    pub fn new(target: &'r Remote<'r, 'w>, request: &'r Promote, survey: &'r Survey, old: bool) -> Self {
        let announcement = announcement(request, survey);
        let renewed = if old && announcement.is_some() { target.fresh_tags().ok() } else { None };
        Self { target, request, survey, announcement, renewed, own: HashSet::new() }
    }

    /// The list from before the first write.
    fn first(&self) -> Option<&Listing> {
        self.renewed.as_ref().or(self.survey.listing.as_ref())
    }

    /// Whether a run of another version, as it is written, would write this moving tag too.
    fn concerns(&self, tag: &Tag, written: &str) -> bool {
        let survey = self.survey;
        let own = survey.version.as_ref().map(VersionTag::written);
        let named = |template: &Template| {
            let made = template.expand(survey.source.reference.tag(), own.as_deref());
            made.is_ok_and(|made| made == *tag)
        };
        let mut moving = self.request.moves.iter().chain(&self.request.newer).filter(|template| named(template));
        moving.any(|template| template.concerns(tag, written))
    }

    /// The tags of a list, but for those that this run makes of other images.
    fn names<'l>(&self, listing: &'l Listing) -> Vec<&'l str> {
        let names = listing.tags.iter().map(|listed| listed.name.as_str());
        names.filter(|name| !self.own.contains(*name)).collect()
    }

    /// The version tags as they are now.
    fn versions(&self) -> Result<Versions, Error> {
        Ok(Versions::of(&self.target.tags(Detail::Times)?, &self.request.format))
    }

    /// Without a `--to` tag that names the version no other run sees this one. Then a newer version that was written
    /// between our last look and our write is gone, and nobody knows; the longer that took, the likelier.
    fn say_if_exposed(&self, tag: &Tag, exposed: Duration) {
        let (Some(own), Some(first)) = (&self.survey.facts.version, self.first()) else { return };
        if exposed <= EXPOSED || self.announcement.is_some() {
            return;
        }
        let format = self.request.format.among(&first.tags);
        let newer = |spelled: Spelling| spelled.version > *own && self.concerns(tag, &spelled.written());
        if self.names(first).into_iter().filter_map(|name| format.spelled(name)).any(newer) {
            let name = self.target.repository().tagged(tag);
            let sentence = format!(
                "`{name}` was written {} s after the last look at it, and no new `--to` tag told other runs of this one; a newer version that was promoted in between is written over",
                exposed.as_secs()
            );
            self.target.warn("overlap-unknown", sentence);
        }
    }
}

impl Judge for Guard<'_, '_> {
    fn decide(&self, write: &TagWrite, now: Option<Digest>) -> Result<TagWrite, Error> {
        let comparison = match (&now, &self.survey.facts.version) {
            (None, _) => Comparison::Nothing,
            (now, _) if *now == write.wanted || write.kind == TagKind::Fixed => Comparison::Nothing,
            (_, None) if self.request.is_free() => Comparison::Unversioned,
            (Some(digest), version) => self.versions()?.compare(self.target, version.as_ref(), digest)?,
        };
        let target = Target { tag: write.tag.clone(), kind: write.kind, before: now, comparison };
        let facts = Facts { targets: vec![target], ..self.survey.facts.clone() };
        let verb = if write.kind == TagKind::Fixed { "written" } else { "moved" };
        let plan = plan::plan(&facts, self.request.allow_downgrade)
            .map_err(|error| error.during(format!("looking at the tag again, right before it would be {verb}")))?;
        plan.warnings.into_iter().for_each(|(code, sentence)| self.target.warn(code, sentence));
        plan.writes.into_iter().next().ok_or_else(|| Error::new(Code::Internal, "a plan lost its tag"))
    }

    fn reading(&self, write: &TagWrite, other: &Digest) -> Result<Reading, Error> {
        let Some(version) = self.survey.facts.version.as_ref().filter(|_| write.kind.moves()) else {
            return Ok(Reading::Other);
        };
        let versions = self.versions()?;
        Ok(match versions.compare(self.target, Some(version), other)? {
            Comparison::Newer(newer) => Reading::Newer(newer),
            Comparison::NotNewer if versions.is_older(self.target, version, other)? => Reading::Older,
            _ => Reading::Other,
        })
    }

    fn reads_lists(&self) -> bool {
        self.announcement.is_some()
    }

    fn overlaps(&self, writes: &[TagWrite], now: Option<Result<Listing, Error>>) -> Option<Vec<Overlap>> {
        let (first, own) = (self.first()?, self.survey.facts.version.as_ref()?);
        let (before, announcement) = (self.names(first), self.announcement.as_ref()?);
        let now = match &now {
            None => first,
            Some(Ok(now)) => now,
            Some(Err(error)) => {
                let sentence = format!(
                    "the tag list could not be read again, so promotions at the same time could not be seen: {}",
                    error.message()
                );
                self.target.warn("overlap-unknown", sentence);
                return None;
            }
        };
        // Other runs see this one by a tag that it made.
        let is_own = |name: &str| announcement.version_in(name).is_some_and(|spelled| spelled.version == *own);
        let made = |write: &TagWrite| {
            let name = write.tag.as_str();
            write.state == WriteState::Written && is_own(name) && !before.contains(&name)
        };
        let rivals = Rival::read(announcement, writes.iter().any(made), &before, &self.names(now));
        let overlap = |write: &TagWrite| {
            let concerns = |rival: &&Rival| self.concerns(&write.tag, &rival.spelled.written());
            Overlap::of(own, &mut rivals.iter().filter(concerns))
        };
        Some(writes.iter().map(overlap).collect())
    }

    fn conclude(&self, write: &TagWrite, watch: &Watch, overlap: &Overlap, exposed: Duration) {
        // What is kept holds a newer version by intent, whoever is under way.
        if write.kind == TagKind::Fixed || write.action == TagAction::Kept {
            return;
        }
        let name = self.target.repository().tagged(&write.tag);
        let sentence = match watch.finding(overlap) {
            None => return self.say_if_exposed(&write.tag, exposed),
            Some(Finding::Newer(newer)) => format!(
                "`{name}` does not hold the newer version `{newer}`, which another run began to promote; promote `{newer}` again"
            ),
            Some(Finding::Older(older)) => {
                let list = show::list(older.iter().map(|version| format!("`{version}`")));
                format!(
                    "at the same time another run promoted {list}, which is older and may still be written to `{name}`; look at the tag again when that run has ended"
                )
            }
        };
        self.target.warn("overlapped", sentence);
    }

    fn again(&self) -> &'static str {
        "promote again"
    }

    fn refused(&self, error: Error) -> Error {
        if error.code() == Code::TagImmutable {
            return error.hint("promote under a new tag; an immutable tag keeps the image it was pushed with");
        }
        copy::with_foreign(error, self.survey.copy.as_ref().map_or(0, |copy| copy.foreign))
    }
}

/// What a run of another version makes of our `--to` tags; nothing where nothing can be compared.
///
/// A template that makes the source itself is left out: new tags of that kind are builds, not promotions.
fn announcement(request: &Promote, survey: &Survey) -> Option<Announcement> {
    let version = survey.version.as_ref().filter(|_| survey.listing.is_some())?;
    let source = survey.source.reference.tag().filter(|_| request.into.is_empty());
    let mut templates = Vec::new();
    for template in request.to.iter().filter(|_| request.moves_any()) {
        let made = template.expand(survey.source.reference.tag(), Some(&version.written())).ok();
        let template = template.around(&version.text);
        if template.names_version() && (source.is_none() || made.as_ref() != source) {
            templates.push(template);
        }
    }
    (!templates.is_empty()).then(|| Announcement { templates, format: request.format.clone() })
}
