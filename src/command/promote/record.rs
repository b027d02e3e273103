//! Keeps the record of a promotion: before the first write, and when it is over.
//!
//! What was planned is on the disk before anything is written, so that whatever stops the run, it can be told what
//! the tags held. Trouble with the record afterwards is told and changes nothing about what was done.

use crate::command::promote::look::Seen;
use crate::command::promote::report::Told;
use crate::command::platforms::{self, ImageSet};
use crate::command::request::Promote;
use crate::command::session::{Session, Sides};
use crate::error::{Code, Error};
use crate::pure::image::raw_manifest::RawManifest;
use crate::registry::remote::Remote;
use crate::pure::http::redact;
use crate::pure::image::digest::Digest;
use crate::pure::image::reference::Reference;
use crate::pure::promote::copy::Tally;
use crate::pure::promote::plan::Action;
use crate::pure::promote::record::{self, Claimed, Failure, Identity, Record, Referrers, Source, Tagged, Who};
use crate::pure::text::{instant, shell};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What is read for the record alone, beside the other looks.
#[derive(Debug, Default)]
pub struct Noted {
    labels: Option<BTreeMap<String, String>>,
    /// Who AWS says the caller is, at the source and at the target.
    arns: [Option<String>; 2],
}

/// Whether somebody will read the record.
fn is_kept(request: &Promote) -> bool {
    request.record.is_some() || request.attach_record
}

/// Refuses a file that cannot be added to, as far as that shows before anything is asked.
///
/// # Errors
/// `record-invalid`.
pub fn check(session: &Session, request: &Promote) -> Result<(), Error> {
    // What a name with placeholders means is known only later, and its folders are made then.
    let Some(file) = request.record.as_deref().filter(|file| !file.contains('{')) else { return Ok(()) };
    session.client.exchange.world.may_append(Path::new(file)).map_err(|why| unwritable(file, &why))
}

fn unwritable(file: &str, why: &std::io::Error) -> Error {
    let folder = Path::new(file).parent().and_then(Path::to_str).filter(|folder| !folder.is_empty());
    let hint = match folder.filter(|_| why.kind() == std::io::ErrorKind::NotFound) {
        Some(folder) => format!("make the folder first, with `mkdir -p {}`", shell::quote(folder)),
        None => "name a file that this user may write to, or leave `--record` out".to_owned(),
    };
    Error::new(Code::RecordInvalid, format!("the record cannot be written to `{file}`"))
        .cause(why.to_string())
        .hint(hint)
}

/// Reads what belongs into the record and decides nothing; `found` is what was read for required labels.
pub fn note(
    sides: &Sides,
    request: &Promote,
    source: &Reference,
    top: &RawManifest,
    found: Option<&ImageSet>,
) -> Noted {
    let labels =
        |found: &ImageSet| record::labels(found.images.iter().map(|image| &image.config.labels), &request.require_labels);
    if !is_kept(request) {
        return Noted { labels: found.map(labels), ..Noted::default() };
    }
    let read = || platforms::of(&sides.source, &source.to_string(), top.clone(), None);
    let labels = match (found, found.is_none().then(read)) {
        (Some(found), _) => Some(labels(found)),
        (None, Some(Ok(found))) => Some(labels(&found)),
        (None, Some(Err(error))) if !matches!(error.code(), Code::NotAnImage | Code::IndexEmpty) => {
            let sentence = format!("the record does without labels: {}", error.message());
            sides.source.warn("labels-unknown", sentence);
            None
        }
        _ => None,
    };
    let at_source = arn(&sides.source);
    let at_target = if sides.source.is_of_one_caller(&sides.target) { at_source.clone() } else { arn(&sides.target) };
    Noted { labels, arns: [at_source, at_target] }
}

fn arn(side: &Remote) -> Option<String> {
    side.arn().unwrap_or_else(|error| {
        let sentence = format!("who the caller is could not be asked: {}", error.message());
        side.warn("identity-unknown", sentence);
        None
    })
}

/// The record of a run, as far as it has come.
pub struct Keeper<'r, 'w> {
    session: &'r Session<'w>,
    target: &'r Remote<'r, 'w>,
    request: &'r Promote,
    record: Record,
    /// The file that lines are added to, but not by a dry run.
    file: Option<String>,
    /// How many tags the plan moves.
    moves: usize,
}

impl<'r, 'w> Keeper<'r, 'w> {
    /// Writes down what was planned; a dry run writes nothing.
    ///
    /// # Errors
    /// `record-invalid` where it cannot be written; nothing else has been written then.
    pub fn begin(
        session: &'r Session<'w>,
        sides: &'r Sides<'r, 'w>,
        request: &'r Promote,
        seen: &Seen,
        Told { tags, rollback, copies: (copied, referrers) }: Told,
    ) -> Result<Self, Error> {
        let [at_source, at_target] = &seen.noted.arns;
        let source = Source {
            reference: seen.source.to_string(),
            digest: seen.manifest.digest.clone(),
            media_type: seen.manifest.media_type.clone(),
        };
        let moves = rollback.len();
        let named = request.record.as_deref().filter(|_| !request.dry_run);
        let file = named.map(|name| record::file(name, &seen.repository, &source.digest));
        let record = Record {
            version: seen.version.as_ref().map(|tag| tag.text.clone()),
            tags,
            copied,
            referrers,
            labels: seen.noted.labels.clone(),
            rollback,
            ..frame((&sides.source, at_source), (&sides.target, at_target), source)?
        };
        let mut keeper = Self { session, target: &sides.target, request, record, file, moves };
        let each = std::mem::take(&mut keeper.record.rollback);
        keeper.record.rollback = keeper.rollback(each);
        if let Some(file) = &keeper.file {
            let made = match named.is_some_and(|name| name.contains('{')) {
                true => sides.target.world().make_folder_of(Path::new(file)),
                false => Ok(()),
            };
            made.and_then(|()| keeper.append(file, &keeper.record)).map_err(|why| unwritable(file, &why))?;
        }
        Ok(keeper)
    }

    fn append(&self, file: &str, record: &Record) -> std::io::Result<()> {
        self.target.world().append_line(Path::new(file), &record.line())
    }

    /// Adds what came after the first write; that it cannot be added undoes nothing.
    fn append_or_warn(&self, record: &Record) {
        if let Some(file) = &self.file
            && let Err(why) = self.append(file, record)
        {
            let sentence = format!("`{file}` holds what was planned and not how it ended: {why}");
            self.target.warn("record-unfinished", sentence);
        }
    }

    /// The failure with its record, which is written down too.
    pub fn failed(&self, error: Error) -> Error {
        let progress = error.progress();
        let failure = Failure {
            code: error.code().as_str(),
            message: self.target.exchange().journal.without_secrets(error.message()),
            done: progress.done.clone(),
        };
        let mut tags = self.record.tags.clone();
        progress.rollback.iter().for_each(|undo| correct(&mut tags, undo));
        let record = Record {
            state: "failed",
            tags,
            at: instant::rfc3339(self.target.world().now()),
            rollback: self.rollback(progress.rollback.clone()),
            error: Some(failure),
            ..self.record.clone()
        };
        self.append_or_warn(&record);
        let value = serde_json::from_str(&record.line()).unwrap_or(Value::Null);
        let mut progress = progress.clone();
        progress.rollback.clone_from(&record.rollback);
        error.after(progress).record(value)
    }

    /// The record of what was done, or in a dry run of what would be.
    pub fn done(&self, Told { tags, rollback, copies: (copied, referrers) }: Told) -> Record {
        let state = if self.request.dry_run { "planned" } else { "done" };
        let at = instant::rfc3339(self.target.world().now());
        let rollback = self.rollback(rollback);
        let record = Record { state, at, tags, copied, referrers, rollback, ..self.record.clone() };
        self.append_or_warn(&record);
        record
    }

    /// The commands that undo the run: one that reads the record, where there is a file.
    fn rollback(&self, each: Vec<Vec<String>>) -> Vec<Vec<String>> {
        let Some(file) = self.file.as_deref().filter(|_| !each.is_empty()) else { return each };
        let mut words = ["tagwright", "rollback", "--record", file].map(str::to_owned).to_vec();
        // A tag that is somebody else's by now would stop the others.
        for one in each.iter().filter(|_| each.len() < self.moves) {
            words.extend(moved(one).into_iter().flat_map(|tag| ["--tag".to_owned(), tag.clone()]));
        }
        words.extend(self.session.target().connection.iter().cloned());
        vec![words]
    }
}

/// The tag that an undo command puts back.
fn moved(undo: &[String]) -> Option<&String> {
    undo.iter().skip_while(|word| *word != "--move").nth(1)
}

/// What a tag held is known best by the command that puts it back, for it may have changed after the plan was made.
fn correct(tags: &mut [Tagged], undo: &[String]) {
    let before = undo.get(2).and_then(|source| Digest::parse(source.rsplit_once('@')?.1).ok());
    for tag in tags.iter_mut().filter(|tag| Some(&tag.tag) == moved(undo) && before.is_some() && tag.before != before) {
        tag.before.clone_from(&before);
        tag.action = Action::Moved.as_str();
    }
}

/// A record of nothing yet, with time, place, tool and who asked. Each side comes with who AWS says the
/// caller is there.
///
/// # Errors
/// Those of the environment's credential.
pub fn frame(
    (from, at_source): (&Remote, &Option<String>),
    (to, at_target): (&Remote, &Option<String>),
    source: Source,
) -> Result<Record, Error> {
    let world = to.world();
    Ok(Record {
        schema: record::SCHEMA,
        state: "planned",
        command: "promote",
        at: instant::rfc3339(world.now()),
        tool: crate::program::version(),
        repository: to.repository().to_string(),
        version: None,
        source,
        tags: Vec::new(),
        copied: Tally::default(),
        referrers: Referrers::default(),
        labels: None,
        rollback: Vec::new(),
        claimed: Claimed::of(&|name| world.env(name).map(redact::text)),
        identity: Identity { source: who(from, at_source)?, target: who(to, at_target)? },
        error: None,
    })
}

/// What was confirmed about the caller; a registry that asked for nothing has confirmed nothing.
fn who(side: &Remote, arn: &Option<String>) -> Result<Who, Error> {
    let (name, credential) = match side.accepted()? {
        Some((name, source)) => (arn.clone().or(name), Some(source)),
        None => (None, None),
    };
    Ok(Who { registry: side.registry().to_string(), name, credential })
}
