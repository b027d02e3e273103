//! `history`: the promotions that the registry itself has records of.
//!
//! A record points at the image that was promoted, so every image that has a tag is asked what points at it. A record
//! tells what the tags held before, and so leads on to images that have lost their tags.

use crate::command::keys;
use crate::command::report::Report;
use crate::command::request::History;
use crate::command::session::Session;
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::image::{Content, Descriptor, Detail, Digest, Identifier, ReferrerList, Tag, referrers};
use crate::pure::promote::record::ARTIFACT;
use crate::pure::promote::{StoredRecord, history, record, signed_record};
use crate::pure::signature::PublicKey;
use crate::pure::signature::bundle::BUNDLES;
use crate::pure::version::{TagFormat, pick};
use crate::registry::Remote;
use crate::threads::{self, WIDTH};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many tags are looked at where the list has no digests.
const TAGS: usize = 200;
/// How many of them are told where nothing else is asked for.
const LIMIT: usize = 100;
/// How many questions may fail for a reason that may pass, until no more are asked.
const FEW: usize = 8;

/// Finds the records and orders them.
///
/// # Errors
/// `tag-unknown` for a tag that neither the registry nor a record knows, and those of the tag list and of reading.
pub fn run(session: &Session, request: &History) -> Result<Report, Error> {
    let repository = &request.repository;
    let keys = keys::of(session, &request.verify_keys)?;
    let remote = session.remote(repository, Action::Pull);
    let (open, listed) = images(&remote, request)?;
    let mut kept = records(&remote, open, &listed, &ALL, &keys)?;
    let name = repository.to_string();
    if let Some(tag) = &request.tag {
        kept.retain(|one| {
            one.record.repository == *repository && one.record.tags.iter().any(|known| known.tag == *tag)
        });
    }
    let count = kept.len();
    kept.truncate(request.limit.unwrap_or(LIMIT));
    let place = request.tag.as_ref().map_or_else(|| name.clone(), |tag| repository.tagged(tag).to_string());
    let sentence = history::sentence(&kept, &place, count);
    Ok(Report { result: history::result(&kept, &name), sentence, bytes: None, exit: 0 })
}

/// How far records are looked for.
pub struct Reach {
    /// How many images are asked what points at them.
    pub images: usize,
    /// How many records are read, the newest first where the lists tell when they were made.
    pub records: usize,
    /// How often what was read may lead on to further images.
    pub rounds: usize,
    /// Whether it is told that there are more.
    pub tells: bool,
}

/// As far as `history` looks.
const ALL: Reach = Reach { images: 500, records: 1000, rounds: usize::MAX, tells: true };

/// The records that point at these images, and at those that they lead on to, newest first. `listed` are the images that a
/// fall-back tag lists referrers of. Each is checked by these keys.
///
/// # Errors
/// Those that would end every further question as well.
pub fn records(
    remote: &Remote,
    mut open: Vec<Digest>,
    listed: &HashSet<Digest>,
    reach: &Reach,
    keys: &[PublicKey],
) -> Result<Vec<StoredRecord>, Error> {
    let repository = remote.repository();
    // A list tells that there is a referrers API, whatever is said of another image; so many that are not there, and
    // no list among them, tell that there is none.
    let (lists, denials) = (AtomicBool::new(false), AtomicUsize::new(0));
    let has_api = || lists.load(Ordering::Relaxed) || denials.load(Ordering::Relaxed) < WIDTH;
    let mut seen: HashSet<Digest> = HashSet::new();
    let (mut kept, mut artifacts): (Vec<StoredRecord>, HashSet<Digest>) = (Vec::new(), HashSet::new());
    let mut rounds = 0;
    while !open.is_empty() && rounds < reach.rounds {
        rounds += 1;
        let is_first = seen.is_empty();
        open.retain(|image| (has_api() || listed.contains(image)) && seen.insert(image.clone()));
        let room = reach.images.saturating_sub(seen.len() - open.len());
        let sentence = format!("of the images of `{repository}` the first {} were looked at", reach.images);
        cut(remote, &mut open, room, &sentence, reach.tells);
        let records_of = |image: &Digest| {
            let list = if has_api() { remote.api_referrers(image)? } else { ReferrerList::NoApi };
            lists.fetch_or(matches!(list, ReferrerList::Listed(_) | ReferrerList::Partial(..)), Ordering::Relaxed);
            denials.fetch_add(usize::from(matches!(list, ReferrerList::NoApi)), Ordering::Relaxed);
            let list = match list {
                ReferrerList::Listed(list) => list,
                ReferrerList::Partial(list, error) => {
                    let why = error.message();
                    incomplete(remote, format!("of what points at `{image}` only a part could be read: {why}"));
                    list
                }
                ReferrerList::NoApi if listed.contains(image) => remote.tagged_referrers(image)?,
                ReferrerList::NoApi => Vec::new(),
                ReferrerList::Unknown(error) => return Err(error),
            };
            let records = list.into_iter().filter(record::is_record);
            let made = |one: &mut Descriptor| one.annotations.remove(record::CREATED).unwrap_or_default();
            Ok(records.map(|mut one| (made(&mut one), one.digest, image.clone())).collect::<Vec<_>>())
        };
        let name = |image: &Digest| format!("what points at `{image}`");
        let mut found = ask(remote, &open, is_first, name, records_of)?.concat();
        found.retain(|(_, artifact, _)| artifacts.insert(artifact.clone()));
        // Times are RFC 3339 in UTC, so their order as text is their order in time.
        found.sort_by(|(a, ..), (b, ..)| b.cmp(a));
        let room = reach.records.saturating_sub(artifacts.len() - found.len());
        let sentence = format!("of the records in `{repository}` {} were read", reach.records);
        cut(remote, &mut found, room, &sentence, reach.tells);
        let read = threads::map(&found, |(_, artifact, image)| Ok(read(remote, artifact, image, keys)))?;
        open = Vec::new();
        for ((_, artifact, _), outcome) in found.into_iter().zip(read) {
            match outcome {
                Ok(one) => {
                    open.extend(one.record.tags.iter().filter_map(|tag| tag.before.clone()));
                    kept.push(one);
                }
                Err(error) => {
                    let sentence = format!("the record `{artifact}` was passed over: {}", error.message());
                    remote.warn("record-skipped", sentence);
                }
            }
        }
    }
    history::order(&mut kept);
    Ok(kept)
}

fn incomplete(remote: &Remote, sentence: String) {
    remote.warn("history-incomplete", sentence);
}

/// Leaves the first so many, and says so where it is to be told.
fn cut<T>(remote: &Remote, items: &mut Vec<T>, room: usize, sentence: &str, tells: bool) {
    if items.len() > room {
        if tells {
            incomplete(remote, sentence.to_owned());
        }
        items.truncate(room);
    }
}

/// Asks about each. An answer that is missing takes only its own part, with a warning; what would end the next question
/// as well ends them all, at once or after a few of them. Where it `decides` and nobody answers there is nothing to tell.
fn ask<T: Sync, R: Send>(
    remote: &Remote,
    items: &[T],
    decides: bool,
    name: impl Fn(&T) -> String,
    question: impl Fn(&T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let failures = AtomicUsize::new(0);
    let answers = threads::map(items, |item| {
        if failures.load(Ordering::Relaxed) >= FEW {
            return Ok(None);
        }
        let answer = question(item);
        let code = answer.as_ref().err().map(Error::code);
        failures.fetch_add(usize::from(code.is_some_and(is_passing)), Ordering::Relaxed);
        if code.is_some_and(is_lasting) { answer.map(|answer| Some(Ok(answer))) } else { Ok(Some(answer)) }
    })?;
    let (mut known, mut failed, mut unasked) = (Vec::new(), Vec::new(), 0);
    for (item, answer) in items.iter().zip(answers) {
        match answer {
            Some(Ok(answer)) => known.push(answer),
            Some(Err(error)) => failed.push((name(item), error)),
            None => unasked += 1,
        }
    }
    match failed.first() {
        Some((_, error)) if decides && known.is_empty() => return Err(error.clone()),
        _ => {}
    }
    for (name, error) in failed {
        incomplete(remote, format!("{name} was passed over: {}", error.message()));
    }
    if unasked > 0 {
        incomplete(remote, format!("{unasked} more questions were not asked, for {FEW} had failed in this way"));
    }
    Ok(known)
}

/// Whether the next question would end as this one did.
fn is_lasting(code: Code) -> bool {
    matches!(
        code,
        Code::Denied | Code::Unauthenticated | Code::CredentialMissing | Code::TokenExpired | Code::Unreachable
    )
}

/// Whether a later question may be answered; each that is not takes the time of its repeats.
fn is_passing(code: Code) -> bool {
    matches!(code, Code::RegistryUnavailable | Code::RateLimited | Code::Timeout)
}

/// The images that have tags, newest versions first, and those that a fall-back tag lists referrers of.
fn images(remote: &Remote, request: &History) -> Result<(Vec<Digest>, HashSet<Digest>), Error> {
    let listing = remote.tags(Detail::Times)?;
    let listed: HashSet<Digest> = listing.tags.iter().filter_map(|listed| referrers::subject(&listed.name)).collect();
    let format = TagFormat::default();
    let mut tags = pick::order(&listing.tags, &format);
    // The one that is asked about comes first.
    tags.sort_by_key(|tag| Some(tag.name.as_str()) != request.tag.as_ref().map(Tag::as_str));
    let mut images: Vec<Digest> = tags.iter().filter_map(|tag| tag.digest.clone()).collect();
    let unknown = tags.iter().filter(|tag| tag.digest.is_none());
    let mut unknown: Vec<Tag> = unknown.filter_map(|tag| Tag::parse(&tag.name).ok()).collect();
    let sentence = format!("{} tags have no digest in the list, and the first {TAGS} were looked at", unknown.len());
    cut(remote, &mut unknown, TAGS, &sentence, true);
    let name = |tag: &Tag| format!("the tag `{tag}`");
    let heads = ask(remote, &unknown, images.is_empty(), name, |tag| remote.head(tag))?;
    images.extend(heads.into_iter().flatten());
    images.extend(listed.iter().cloned());
    Ok((images, listed))
}

/// Reads one record: from its descriptor where that carries it along, else from its blob.
fn read(remote: &Remote, artifact: &Digest, image: &Digest, keys: &[PublicKey]) -> Result<StoredRecord, Error> {
    let identifier = Identifier::Digest(artifact.clone());
    let fetched = remote.manifest(&identifier)?;
    let layer = match &fetched.content {
        Content::Image(manifest) => {
            manifest.layers.iter().find(|layer| layer.media_type == ARTIFACT || layer.media_type.starts_with(BUNDLES))
        }
        Content::Index(_) | Content::Artifact(_) => None,
    };
    let layer = layer.ok_or_else(|| Error::new(Code::RecordInvalid, "it has no record in it"))?;
    // A bundle holds the record in base64, with its signature.
    let bytes = remote.blob(layer, "record", 2 * record::LONGEST as u64)?;
    let (bytes, is_signed) = match layer.media_type == ARTIFACT {
        true => (bytes, false),
        false => {
            let read = signed_record::read(&String::from_utf8_lossy(&bytes), image, keys);
            let (text, is_signed) = read.map_err(|why| Error::new(Code::RecordInvalid, format!("it {why}")))?;
            (text.into_bytes(), is_signed)
        }
    };
    let verified = (!keys.is_empty()).then_some(is_signed);
    Ok(StoredRecord { verified, ..history::read(&bytes, artifact, image)? })
}
