//! Keeps the record of a promotion: before the first write, and when it is over.
//!
//! What was planned is on the disk before anything is written, so that whatever stops the run, it can be told what
//! the tags held. Trouble with the record afterwards is told and changes nothing about what was done.

use crate::command::promote::{Survey, Totals};
use crate::command::request::Promote;
use crate::command::session::{Session, Sides};
use crate::error::{Code, Error, Progress};
use crate::pure::http::redact;
use crate::pure::promote::record::{RecordCommand, RecordState};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{
    Account, Accounts, Claims, Failure, Record, Referrers, SourceImage, TagRecord, TagWrite, Tally, Undo, WriteState,
    record,
};
use crate::pure::text::{instant, shell, show};
use crate::registry::Remote;
use serde_json::Value;
use std::path::Path;

/// Refuses a file that cannot be added to, as far as that shows before anything is asked.
///
/// # Errors
/// `record-invalid`.
pub fn check(session: &Session, request: &Promote) -> Result<(), Error> {
    // What a name with placeholders means is known only later, and its folders are made then.
    let Some(file) = request.record.as_deref().filter(|file| !file.contains('{')) else { return Ok(()) };
    session.exchange.world.may_append(Path::new(file)).map_err(|why| unwritable(file, &why))
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

/// The record of a run, as far as it has come.
pub struct Keeper<'r, 'w> {
    sides: &'r Sides<'r, 'w>,
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
        sides: &'r Sides<'r, 'w>,
        request: &Promote,
        survey: &Survey,
        writes: &[TagWrite],
    ) -> Result<Self, Error> {
        let source = SourceImage {
            reference: survey.source.to_string(),
            digest: survey.manifest.digest.clone(),
            media_type: survey.manifest.media_type.clone(),
        };
        let undos: Vec<Undo> = writes.iter().filter_map(TagWrite::undo).collect();
        let named = request.record.as_deref().filter(|_| !request.dry_run);
        let file = named.map(|name| record::file(name, sides.target.repository(), &source.digest));
        let record = Record {
            version: survey.version.as_ref().map(|tag| tag.text.clone()),
            tags: writes.iter().map(TagRecord::of).collect(),
            copied: survey.totals.tally,
            referrers: survey.totals.referrers,
            labels: survey.notes.labels.clone(),
            rollback: commands(sides, &undos, file.as_deref().map(|file| (file, true))),
            ..frame(sides, &survey.notes.arns, source)?
        };
        fits(&record)?;
        let keeper = Self { sides, record, file, moves: undos.len() };
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
        self.sides.target.world().append_line(Path::new(file), &record.line())
    }

    /// Adds what came after the first write; that it cannot be added undoes nothing.
    fn append_or_warn(&self, record: &Record) {
        if let Some(file) = &self.file
            && let Err(why) = self.append(file, record)
        {
            let sentence = format!("`{file}` holds what was planned and not how it ended: {why}");
            self.sides.target.warn("record-unfinished", sentence);
        }
    }

    /// The failure with its record, which is written down too.
    pub fn failed(&self, error: Error, writes: &[TagWrite]) -> Error {
        let target = &self.sides.target;
        let Progress { mut done, rollback } = self.progress(writes);
        done.splice(0..0, error.progress().done.iter().cloned());
        let failure = Failure {
            code: error.code().as_str().to_owned(),
            message: target.exchange().journal.without_secrets(error.message()),
            done: done.clone(),
        };
        // What a tag held may have changed after the plan was made.
        let mut tags = self.record.tags.clone();
        for undo in undos(writes) {
            let before = Some(&undo.before);
            for tag in tags.iter_mut().filter(|tag| tag.tag == undo.tag && tag.before.as_ref() != before) {
                (tag.before, tag.action) = (before.cloned(), TagAction::Moved);
            }
        }
        let at = instant::rfc3339(target.world().now());
        let record = Record {
            state: RecordState::Failed,
            tags,
            at,
            rollback: rollback.clone(),
            error: Some(failure),
            ..self.record.clone()
        };
        self.append_or_warn(&record);
        let value = serde_json::from_str(&record.line()).unwrap_or(Value::Null);
        error.after(Progress { done, rollback }).record(value)
    }

    /// The record of what was done, or in a dry run of what would be.
    pub fn done(&self, request: &Promote, writes: &[TagWrite], totals: Totals) -> Record {
        let undos: Vec<Undo> = writes.iter().filter_map(TagWrite::undo).collect();
        let record = Record {
            state: if request.dry_run { RecordState::Planned } else { RecordState::Done },
            at: instant::rfc3339(self.sides.target.world().now()),
            tags: writes.iter().map(TagRecord::of).collect(),
            copied: totals.tally,
            referrers: totals.referrers,
            rollback: self.commands(&undos),
            ..self.record.clone()
        };
        self.append_or_warn(&record);
        record
    }

    /// What has been changed so far.
    pub fn progress(&self, writes: &[TagWrite]) -> Progress {
        let rollback = self.commands(&undos(writes));
        Progress { done: written(&self.sides.target, writes), rollback }
    }

    fn commands(&self, undos: &[Undo]) -> Vec<Vec<String>> {
        // A tag that is somebody else's by now would stop the others.
        commands(self.sides, undos, self.file.as_deref().map(|file| (file, undos.len() >= self.moves)))
    }
}

/// Refuses a plan whose answer, of which the record is a third, may be too large to be told.
///
/// # Errors
/// `size-exceeded`.
pub fn fits(record: &Record) -> Result<(), Error> {
    const MOST: usize = 1 << 20;
    let size = record.line().len();
    if size <= MOST {
        return Ok(());
    }
    let (is, most, count) = (show::bytes(size as u64), show::bytes(MOST as u64), record.tags.len());
    Err(Error::new(Code::SizeExceeded, format!("the record of these {count} tags has {is}, more than {most}"))
        .hint("name fewer tags at once"))
}

/// The commands that undo what was written, as words for a shell: one that reads the record where there is a file, with
/// whether all that stands in it is meant.
pub fn commands(sides: &Sides, undos: &[Undo], file: Option<(&str, bool)>) -> Vec<Vec<String>> {
    let command = |words: Vec<&str>| {
        let words = std::iter::once("tagwright").chain(words).map(str::to_owned);
        words.chain(sides.connection.iter().cloned()).collect::<Vec<String>>()
    };
    match file.filter(|_| !undos.is_empty()) {
        Some((file, whole)) => {
            let repository = sides.target.repository().to_string();
            let named = undos.iter().filter(|_| !whole).flat_map(|undo| ["--tag", undo.tag.as_str()]);
            vec![command(["rollback", &repository, "--record", file].into_iter().chain(named).collect())]
        }
        None => {
            let one = |undo: &Undo| {
                let source = sides.target.repository().at(&undo.before).to_string();
                command(vec!["promote", &source, "--move", undo.tag.as_str(), "--allow-downgrade"])
            };
            undos.iter().map(one).collect()
        }
    }
}

/// What puts back the tags that were written so far.
pub fn undos(writes: &[TagWrite]) -> Vec<Undo> {
    writes.iter().filter(|write| write.state != WriteState::Open).filter_map(TagWrite::undo).collect()
}

/// What was written by a run that ended early, in words.
pub fn written(target: &Remote, writes: &[TagWrite]) -> Vec<String> {
    let one = |write: &TagWrite| {
        let state = match write.state {
            WriteState::Open => return None,
            WriteState::Written => write.action.as_str(),
            WriteState::Unknown => "not known whether it was written",
            WriteState::Overwritten => "written, and written over by somebody else",
        };
        Some(format!("{}:{} ({state})", target.repository(), write.tag))
    };
    writes.iter().filter_map(one).collect()
}

/// A record of nothing yet, with time, place, tool and who asked; `arns` is who AWS says the caller is on both sides.
///
/// # Errors
/// Those of the environment's credential.
pub fn frame(sides: &Sides, arns: &[Option<String>; 2], source: SourceImage) -> Result<Record, Error> {
    let world = sides.target.world();
    Ok(Record {
        schema: record::SCHEMA,
        state: RecordState::Planned,
        command: RecordCommand::Promote,
        at: instant::rfc3339(world.now()),
        tool: crate::program::version(),
        repository: sides.target.repository().clone(),
        version: None,
        source,
        tags: Vec::new(),
        copied: Tally::default(),
        referrers: Referrers::default(),
        labels: None,
        rollback: Vec::new(),
        claimed: Claims::of(&|name| world.env(name).map(redact::text)),
        identity: Accounts { source: account(&sides.source, &arns[0])?, target: account(&sides.target, &arns[1])? },
        error: None,
    })
}

/// What was confirmed about the caller; a registry that asked for nothing has confirmed nothing.
fn account(side: &Remote, arn: &Option<String>) -> Result<Account, Error> {
    let (name, credential) = match side.accepted()? {
        Some((name, source)) => (arn.clone().or(name), Some(source)),
        None => (None, None),
    };
    Ok(Account { registry: side.registry().to_string(), name, credential })
}
