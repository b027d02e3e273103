//! `history`: the promotions that the registry itself has records of.
//!
//! A record points at the image that was promoted, so every image that has a tag is asked what points at it. A record
//! tells what the tags held before, and so leads on to images that have lost their tags.

use crate::command::report::Report;
use crate::command::request::History;
use crate::command::session::Session;
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::image::{Content, Detail, Digest, Identifier, ReferrerList, Tag, referrers};
use crate::pure::promote::record::ARTIFACT;
use crate::pure::promote::{StoredRecord, history, record};
use crate::pure::version::{TagFormat, pick};
use crate::registry::Remote;
use crate::threads;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many tags are looked at where the list has no digests.
const TAGS: usize = 200;
/// How many images are asked what points at them.
const IMAGES: usize = 500;
/// The largest record that is read.
const LIMIT: u64 = 4 << 20;

/// Finds the records and orders them.
///
/// # Errors
/// `tag-unknown` for a tag that neither the registry nor a record knows, and those of the tag list and of reading.
pub fn run(session: &Session, request: &History) -> Result<Report, Error> {
    let repository = &request.repository;
    let remote = session.remote(repository, Action::Pull);
    let (mut open, listed) = images(&remote, request)?;
    // The first answer tells whether the registry has a referrers API.
    let api = AtomicBool::new(true);
    let mut seen: HashSet<Digest> = HashSet::new();
    let (mut kept, mut artifacts): (Vec<StoredRecord>, HashSet<Digest>) = (Vec::new(), HashSet::new());
    while !open.is_empty() {
        let asked = |image: &Digest| api.load(Ordering::Relaxed) || listed.contains(image);
        open.retain(|image| asked(image) && seen.insert(image.clone()));
        if seen.len() > IMAGES {
            let sentence = format!("of the images of `{repository}` the first {IMAGES} were looked at");
            remote.warn("history-incomplete", sentence);
            open.truncate((IMAGES + open.len()).saturating_sub(seen.len()));
        }
        let ask = |image: &Digest| {
            let list = match api.load(Ordering::Relaxed) {
                true => remote.api_referrers(image)?,
                false => ReferrerList::NoApi,
            };
            api.fetch_and(!matches!(list, ReferrerList::NoApi), Ordering::Relaxed);
            let list = match list {
                ReferrerList::Listed(list) => list,
                ReferrerList::NoApi if listed.contains(image) => remote.tagged_referrers(image)?,
                ReferrerList::NoApi => Vec::new(),
                ReferrerList::Unknown(error) => return Err(error),
            };
            let records = list.into_iter().filter(record::is_record);
            Ok(records.map(|one| (one.digest, image.clone())).collect::<Vec<_>>())
        };
        let answers = threads::map(&open, |image| Ok(ask(image)))?;
        // Where nobody answers there is no history to tell; an answer that is missing takes only its own part.
        let is_silent = seen.len() == open.len() && answers.iter().all(Result::is_err);
        let mut found: Vec<(Digest, Digest)> = Vec::new();
        for (image, answer) in open.iter().zip(answers) {
            match answer {
                Ok(list) => found.extend(list),
                Err(error) if is_silent || is_lasting(error.code()) => return Err(error),
                Err(error) => {
                    let sentence = format!("what points at `{image}` was passed over: {}", error.message());
                    remote.warn("history-incomplete", sentence);
                }
            }
        }
        found.retain(|(artifact, _)| artifacts.insert(artifact.clone()));
        let read = threads::map(&found, |(artifact, image)| Ok(read(&remote, artifact, image)))?;
        open = Vec::new();
        for ((artifact, _), outcome) in found.into_iter().zip(read) {
            match outcome {
                Ok(one) => {
                    open.extend(one.told.tags.iter().filter_map(|tag| tag.before.clone()));
                    kept.push(one);
                }
                Err(error) => {
                    let sentence = format!("the record `{artifact}` was passed over: {}", error.message());
                    remote.warn("record-skipped", sentence);
                }
            }
        }
    }
    let name = repository.to_string();
    if let Some(tag) = &request.tag {
        kept.retain(|one| one.told.repository == *repository && one.told.tags.iter().any(|known| known.tag == *tag));
    }
    history::order(&mut kept);
    let count = kept.len();
    kept.truncate(request.limit.unwrap_or(usize::MAX));
    let place = request.tag.as_ref().map_or_else(|| name.clone(), |tag| repository.tagged(tag).to_string());
    let sentence = history::table(&kept, &place, count);
    Ok(Report { result: history::result(&kept, &name), sentence })
}

/// Whether the next question would end as this one did.
fn is_lasting(code: Code) -> bool {
    matches!(
        code,
        Code::Denied | Code::Unauthenticated | Code::CredentialMissing | Code::TokenExpired | Code::Unreachable
    )
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
    if unknown.len() > TAGS {
        let sentence =
            format!("{} tags have no digest in the list, and the first {TAGS} were looked at", unknown.len());
        remote.warn("history-incomplete", sentence);
        unknown.truncate(TAGS);
    }
    let heads = threads::map(&unknown, |tag| Ok(remote.head(tag)))?;
    let is_silent = images.is_empty() && heads.iter().all(Result::is_err);
    for (tag, head) in unknown.iter().zip(heads) {
        match head {
            Ok(head) => images.extend(head),
            Err(error) if is_silent || is_lasting(error.code()) => return Err(error),
            Err(error) => {
                let sentence = format!("the tag `{tag}` was passed over: {}", error.message());
                remote.warn("history-incomplete", sentence);
            }
        }
    }
    images.extend(listed.iter().cloned());
    Ok((images, listed))
}

/// Reads one record: from its descriptor where that carries it along, else from its blob.
fn read(remote: &Remote, artifact: &Digest, image: &Digest) -> Result<StoredRecord, Error> {
    let identifier = Identifier::Digest(artifact.clone());
    let fetched = remote.manifest(&identifier)?;
    let layer = match &fetched.content {
        Content::Image(manifest) => manifest.layers.iter().find(|layer| layer.media_type == ARTIFACT),
        Content::Index(_) | Content::Artifact(_) => None,
    };
    let layer = layer.ok_or_else(|| Error::new(Code::RecordInvalid, "it has no record in it"))?;
    let bytes = remote.blob(layer, "record", LIMIT)?;
    history::read(&bytes, artifact, image)
}
