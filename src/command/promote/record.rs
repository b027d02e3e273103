//! Keeps the record of a promotion: before the first write, and when it is over.
//!
//! What was planned is on the disk before anything is written, so that whatever stops the run, it can be told what
//! the tags held. Trouble with the record afterwards is told and changes nothing about what was done.

use crate::command::promote::Lane;
use crate::command::request::Promote;
use crate::command::session::{Session, Sides};
use crate::error::{Code, Error, Progress};
use crate::pure::http::redact;
use crate::pure::image::Digest;
use crate::pure::promote::record::{RecordCommand, RecordState};
use crate::pure::promote::tag_write::TagAction;
use crate::pure::promote::{
    Account, Accounts, Claims, Failure, Record, Referrers, RunRecord, SourceImage, TagRecord, TagWrite, Tally, Undo,
    WriteState, record,
};
use crate::pure::text::{instant, shell, show};
use crate::registry::Remote;
use crate::system::MAKE_FOLDER;
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;
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

fn labels(lane: &Lane) -> Option<BTreeMap<String, String>> {
    lane.survey.source.labels.get().cloned().flatten()
}

fn unwritable(file: &str, why: &std::io::Error) -> Error {
    let folder = Path::new(file).parent().and_then(Path::to_str).filter(|folder| !folder.is_empty());
    let hint = match folder.filter(|_| why.kind() == std::io::ErrorKind::NotFound) {
        Some(folder) => format!("make the folder first, with `{MAKE_FOLDER} {}`", shell::quote(folder)),
        None => "name a file that this user may write to, or leave `--record` out".to_owned(),
    };
    Error::new(Code::RecordInvalid, format!("the record cannot be written to `{file}`"))
        .cause(why.to_string())
        .hint(hint)
}

/// The record of a run, as far as it has come.
pub struct Keeper<'w> {
    world: &'w World,
    /// What was planned, a record a lane.
    planned: Vec<Record>,
    /// The file that lines are added to, but not by a dry run.
    file: Option<String>,
}

impl<'w> Keeper<'w> {
    /// Writes down what was planned; a dry run writes nothing.
    ///
    /// # Errors
    /// `record-invalid` where it cannot be written; nothing else has been written then.
    pub fn begin(lanes: &[Lane<'_, 'w>], command: RecordCommand) -> Result<Self, Error> {
        let (world, request) = (lanes[0].sides.target.world(), lanes[0].request);
        let named = request.record.as_deref().filter(|_| !request.dry_run);
        let file = named.map(|name| file_of(name, lanes));
        let mut planned = Vec::new();
        for lane in lanes {
            let source = &lane.survey.source;
            let image = SourceImage {
                reference: source.reference.to_string(),
                digest: source.manifest.digest.clone(),
                media_type: source.manifest.media_type.clone(),
            };
            planned.push(Record {
                command,
                version: lane.survey.version.as_ref().map(|tag| tag.text.clone()),
                tags: lane.writes.iter().map(TagRecord::of).collect(),
                copied: lane.survey.totals.tally,
                referrers: lane.survey.totals.referrers,
                labels: labels(lane),
                ..frame(&lane.sides, &lane.survey.arns, image)?
            });
        }
        let keeper = Self { world, planned, file };
        let record = keeper.put_together(lanes, keeper.planned.clone(), &planned_undos(lanes), None);
        fits(&record)?;
        if let Some(file) = &keeper.file {
            let made = match named.is_some_and(|name| name.contains('{')) {
                true => world.make_folder_of(Path::new(file)),
                false => Ok(()),
            };
            made.and_then(|()| keeper.append(file, &record)).map_err(|why| unwritable(file, &why))?;
        }
        Ok(keeper)
    }

    /// One record of all lanes, each with what undoes its part.
    fn put_together(
        &self,
        lanes: &[Lane],
        mut records: Vec<Record>,
        undos: &[Vec<Undo>],
        error: Option<Failure>,
    ) -> RunRecord {
        for (n, (record, undos)) in records.iter_mut().zip(undos).enumerate() {
            record.rollback = self.commands(n, &lanes[n].sides, undos);
        }
        RunRecord::of(records, self.all_commands(lanes, undos), error)
    }

    fn append(&self, file: &str, record: &RunRecord) -> std::io::Result<()> {
        self.world.append_line(Path::new(file), &record.line())
    }

    /// Adds what came after the first write; that it cannot be added undoes nothing.
    fn append_or_warn(&self, lanes: &[Lane], record: &RunRecord) {
        if let Some(file) = &self.file
            && let Err(why) = self.append(file, record)
        {
            let sentence = format!("`{file}` holds what was planned and not how it ended: {why}");
            lanes[0].sides.target.warn("record-unfinished", sentence);
        }
    }

    /// The failure with its record, which is written down too.
    pub fn failed(&self, mut error: Error, lanes: &[Lane]) -> Error {
        let target = &lanes[0].sides.target;
        let mut done = error.progress().done.clone();
        let mut records = self.planned.clone();
        let (mut all, mut places) = (Vec::new(), Vec::new());
        let at = instant::rfc3339(self.world.now());
        for (lane, record) in lanes.iter().zip(&mut records) {
            let (written, undos) = (written(&lane.sides.target, &lane.writes), undos(&lane.writes));
            let due = lane.writes.iter().filter(|write| write.is_due()).count();
            let state = match written.len() {
                0 => "untouched",
                some if some < due => "partly",
                _ => "written",
            };
            places.push(json!({"repository": record.repository.to_string(), "state": state, "done": written}));
            done.extend(written);
            (record.state, record.at) = (RecordState::Failed, at.clone());
            record.referrers = lane.totals.referrers;
            record.labels = labels(lane);
            // What a tag held may have changed after the plan was made.
            for undo in &undos {
                let before = Some(&undo.before);
                for tag in record.tags.iter_mut().filter(|tag| tag.tag == undo.tag && tag.before.as_ref() != before) {
                    (tag.before, tag.action) = (before.cloned(), TagAction::Moved);
                }
            }
            all.push(undos);
        }
        let failure = Failure {
            code: error.code().as_str().to_owned(),
            message: target.exchange().journal.without_secrets(error.message()),
            done: done.clone(),
        };
        let record = self.put_together(lanes, records, &all, Some(failure));
        self.append_or_warn(lanes, &record);
        if lanes.len() > 1 {
            error = error.detail("targets", places);
        }
        let value = serde_json::from_str(&record.line()).unwrap_or(Value::Null);
        error.after(Progress { done, rollback: record.rollback().to_vec() }).record(value)
    }

    /// The record of what was done, or in a dry run of what would be.
    pub fn done(&self, lanes: &[Lane]) -> RunRecord {
        let state = if lanes[0].request.dry_run { RecordState::Planned } else { RecordState::Done };
        let at = instant::rfc3339(self.world.now());
        let one = |(planned, lane): (&Record, &Lane)| Record {
            state,
            at: at.clone(),
            tags: lane.writes.iter().map(TagRecord::of).collect(),
            copied: lane.totals.tally,
            referrers: lane.totals.referrers,
            labels: labels(lane),
            ..planned.clone()
        };
        let records = self.planned.iter().zip(lanes).map(one).collect();
        let record = self.put_together(lanes, records, &planned_undos(lanes), None);
        self.append_or_warn(lanes, &record);
        record
    }

    /// What has been changed so far in one lane.
    pub fn progress(&self, n: usize, lane: &Lane, writes: &[TagWrite]) -> Progress {
        let rollback = self.commands(n, &lane.sides, &undos(writes));
        Progress { done: written(&lane.sides.target, writes), rollback }
    }

    /// What undoes one lane. A tag that is somebody else's by now would stop the others, so those are named that are not.
    fn commands(&self, n: usize, sides: &Sides, undos: &[Undo]) -> Vec<Vec<String>> {
        let moves = self.planned[n].tags.iter().filter(|tag| tag.action == TagAction::Moved).count();
        commands(sides, undos, self.file.as_deref().map(|file| (file, undos.len() >= moves)))
    }

    /// What undoes all lanes: one command where there is a file and everything in it is meant.
    fn all_commands(&self, lanes: &[Lane], undos: &[Vec<Undo>]) -> Vec<Vec<String>> {
        let is_lost = |lane: &Lane| lane.writes.iter().any(|write| write.state == WriteState::Overwritten);
        let sides = &lanes[0].sides;
        let alike = lanes.iter().all(|lane| lane.sides.connection == sides.connection && !is_lost(lane));
        match &self.file {
            Some(file) if lanes.len() > 1 && alike && undos.iter().any(|undos| !undos.is_empty()) => {
                vec![command(sides, ["rollback", "--record", file].into_iter())]
            }
            _ => {
                let of = |(n, undos): (usize, &Vec<Undo>)| self.commands(n, &lanes[n].sides, undos);
                let mut all: Vec<_> = undos.iter().enumerate().flat_map(of).collect();
                // Two lanes may lead into one repository.
                all.dedup();
                all
            }
        }
    }
}

/// The file of a run: named after what it is about, or after what it is where that is several things.
fn file_of(name: &str, lanes: &[Lane]) -> String {
    let digest = |lane: &Lane| lane.survey.source.manifest.digest.clone();
    let (first, digests) = (&lanes[0], lanes.iter().map(digest).collect::<Vec<Digest>>());
    match lanes {
        [only] => record::file(name, &only.sides.target.repository().to_string(), &digests[0]),
        _ if digests.iter().all(|one| *one == digests[0]) => {
            record::file(name, &first.sides.source.repository().to_string(), &digests[0])
        }
        _ => {
            let all: String = digests.iter().map(Digest::as_str).collect();
            record::file(name, "release", &Digest::of(all.as_bytes()))
        }
    }
}

/// What puts back all tags that the plan moves, but for those that are somebody else's by now.
fn planned_undos(lanes: &[Lane]) -> Vec<Vec<Undo>> {
    lanes.iter().map(|lane| lane.writes.iter().filter_map(TagWrite::undo).collect()).collect()
}

/// Refuses a plan whose answer, of which the record is a third, may be too large to be told.
///
/// # Errors
/// `size-exceeded`.
pub fn fits(record: &RunRecord) -> Result<(), Error> {
    // Of several promotions the answer does not repeat the record of each.
    let most = if record.promotions().len() > 1 { 2 << 20 } else { 1 << 20 };
    let size = record.line().len();
    if size <= most {
        return Ok(());
    }
    let count: usize = record.promotions().iter().map(|one| one.tags.len()).sum();
    let (is, most) = (show::bytes(size as u64), show::bytes(most as u64));
    Err(Error::new(Code::SizeExceeded, format!("the record of these {count} tags has {is}, more than {most}"))
        .hint("name fewer tags at once"))
}

/// A command as words for a shell, with the flags that reach the target.
fn command<'a>(sides: &Sides, words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let words = std::iter::once("tagwright").chain(words).map(str::to_owned);
    words.chain(sides.connection.iter().cloned()).collect()
}

/// The commands that undo what was written, as words for a shell: one that reads the record where there is a file, with
/// whether all that stands in it is meant.
pub fn commands(sides: &Sides, undos: &[Undo], file: Option<(&str, bool)>) -> Vec<Vec<String>> {
    let repository = sides.target.repository();
    let name = repository.to_string();
    match file.filter(|_| !undos.is_empty()) {
        Some((file, whole)) => {
            let named = undos.iter().filter(|_| !whole).flat_map(|undo| ["--tag", undo.tag.as_str()]);
            vec![command(sides, ["rollback", &name, "--record", file].into_iter().chain(named))]
        }
        None => {
            let one = |undo: &Undo| {
                let source = repository.at(&undo.before).to_string();
                command(sides, ["promote", &source, "--move", undo.tag.as_str(), "--allow-downgrade"].into_iter())
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
