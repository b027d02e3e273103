//! Keeps the record of a promotion: before the first write, and when it is over.
//!
//! What was planned is on the disk before anything is written, so that whatever stops the run, it can be told what
//! the tags held. Trouble with the record afterwards is told and changes nothing about what was done.

use crate::command::promote::look::Seen;
use crate::command::promote::report::Told;
use crate::command::platforms::{self, Found};
use crate::command::request::Promote;
use crate::command::session::Session;
use crate::error::{Code, Error};
use crate::registry::distribution::Fetched;
use crate::pure::http::redact;
use crate::pure::image::digest::Digest;
use crate::pure::image::reference::Reference;
use crate::pure::image::repository::Repository;
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
pub fn note(session: &Session, request: &Promote, source: &Reference, top: &Fetched, found: Option<&Found>) -> Noted {
    let labels =
        |found: &Found| record::labels(found.images.iter().map(|image| &image.config.labels), &request.require_labels);
    if !is_kept(request) {
        return Noted { labels: found.map(labels), ..Noted::default() };
    }
    let read = || platforms::of(session, &source.to_string(), source.repository(), top.clone(), None);
    let labels = match (found, found.is_none().then(read)) {
        (Some(found), _) => Some(labels(found)),
        (None, Some(Ok(found))) => Some(labels(&found)),
        (None, Some(Err(error))) if !matches!(error.code(), Code::NotAnImage | Code::IndexEmpty) => {
            let sentence = format!("the record does without labels: {}", error.message());
            session.client.exchange.warn("labels-unknown", sentence);
            None
        }
        _ => None,
    };
    let there = session.target();
    let at_source = arn(session, source.repository());
    let same = std::ptr::eq(session, there) && source.repository().registry() == request.target().registry();
    let at_target = if same { at_source.clone() } else { arn(there, request.target()) };
    Noted { labels, arns: [at_source, at_target] }
}

fn arn(session: &Session, repository: &Repository) -> Option<String> {
    session.client.arn(repository.registry()).unwrap_or_else(|error| {
        let sentence = format!("who the caller is could not be asked: {}", error.message());
        session.client.exchange.warn("identity-unknown", sentence);
        None
    })
}

/// The record of a run, as far as it has come.
pub struct Keeper<'r, 'w> {
    session: &'r Session<'w>,
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
        let sides = ((seen.source.repository(), at_source), (&seen.repository, at_target));
        let record = Record {
            version: seen.version.as_ref().map(|tag| tag.text.clone()),
            tags,
            copied,
            referrers,
            labels: seen.noted.labels.clone(),
            rollback,
            ..frame(session, sides.0, sides.1, source)?
        };
        let mut keeper = Self { session, request, record, file, moves };
        let each = std::mem::take(&mut keeper.record.rollback);
        keeper.record.rollback = keeper.rollback(each);
        if let Some(file) = &keeper.file {
            let made = match named.is_some_and(|name| name.contains('{')) {
                true => session.client.exchange.world.make_folder_of(Path::new(file)),
                false => Ok(()),
            };
            made.and_then(|()| keeper.append(file, &keeper.record)).map_err(|why| unwritable(file, &why))?;
        }
        Ok(keeper)
    }

    fn append(&self, file: &str, record: &Record) -> std::io::Result<()> {
        self.session.client.exchange.world.append_line(Path::new(file), &record.line())
    }

    /// Adds what came after the first write; that it cannot be added undoes nothing.
    fn append_or_warn(&self, record: &Record) {
        if let Some(file) = &self.file
            && let Err(why) = self.append(file, record)
        {
            let sentence = format!("`{file}` holds what was planned and not how it ended: {why}");
            self.session.client.exchange.warn("record-unfinished", sentence);
        }
    }

    /// The failure with its record, which is written down too.
    pub fn failed(&self, error: Error) -> Error {
        let world = self.session.client.exchange.world;
        let exchange = &self.session.client.exchange;
        let progress = error.progress();
        let failure = Failure {
            code: error.code().as_str(),
            message: exchange.without_secrets(error.message()),
            done: progress.done.clone(),
        };
        let mut tags = self.record.tags.clone();
        progress.rollback.iter().for_each(|undo| correct(&mut tags, undo));
        let record = Record {
            state: "failed",
            tags,
            at: instant::rfc3339(world.now()),
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
        let at = instant::rfc3339(self.session.client.exchange.world.now());
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

/// A record of nothing yet, with time, place, tool and who asked. Each side is a repository, with who AWS says the
/// caller is there.
///
/// # Errors
/// Those of the environment's credential.
pub fn frame(
    session: &Session,
    (from, at_source): (&Repository, &Option<String>),
    (to, at_target): (&Repository, &Option<String>),
    source: Source,
) -> Result<Record, Error> {
    let world = session.client.exchange.world;
    Ok(Record {
        schema: record::SCHEMA,
        state: "planned",
        command: "promote",
        at: instant::rfc3339(world.now()),
        tool: crate::program::version(),
        repository: to.to_string(),
        version: None,
        source,
        tags: Vec::new(),
        copied: Tally::default(),
        referrers: Referrers::default(),
        labels: None,
        rollback: Vec::new(),
        claimed: Claimed::of(&|name| world.env(name).map(redact::text)),
        identity: Identity { source: who(session, from, at_source)?, target: who(session.target(), to, at_target)? },
        error: None,
    })
}

/// What was confirmed about the caller; a registry that asked for nothing has confirmed nothing.
fn who(session: &Session, repository: &Repository, arn: &Option<String>) -> Result<Who, Error> {
    let (name, credential) = match session.client.accepted(repository)? {
        Some((name, source)) => (arn.clone().or(name), Some(source)),
        None => (None, None),
    };
    Ok(Who { registry: repository.registry().to_string(), name, credential })
}
