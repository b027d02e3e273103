//! `history`: the promotions that the registry itself has records of.
//!
//! A record points at the image that was promoted, so every image that has a tag is asked what points at it. A record
//! tells what the tags held before, and so leads on to images that have lost their tags.

use super::heads;
use super::listing::{self, Detail};
use super::request::History;
use super::session::Session;
use super::side_by_side;
use crate::error::{Code, Error};
use crate::io::referrers;
use crate::io::registry;
use crate::output::Report;
use crate::pure::auth::scope::Action;
use crate::pure::image::content::Content;
use crate::pure::image::digest::Digest;
use crate::pure::image::reference::Identifier;
use crate::pure::image::referrers as derived;
use crate::pure::image::tag::Tag;
use crate::pure::promote::history::{self, Kept};
use crate::pure::promote::record::{self, ARTIFACT};
use crate::pure::version::pick;
use crate::pure::version::scheme::TagFormat;
use std::collections::HashSet;

/// How many tags are looked at where the list has no digests.
const TAGS: usize = 200;
/// How many images are asked what points at them.
const IMAGES: usize = 1000;
/// The largest record that is read.
const LIMIT: u64 = 4 << 20;

/// Finds the records and orders them.
///
/// # Errors
/// `tag-unknown` for a tag that neither the registry nor a record knows, and those of the tag list and of reading.
pub fn run(session: &Session, request: &History) -> Result<Report, Error> {
    let repository = &request.repository;
    let mut open = images(session, request)?;
    let mut seen: HashSet<Digest> = HashSet::new();
    let (mut kept, mut artifacts): (Vec<Kept>, HashSet<Digest>) = (Vec::new(), HashSet::new());
    while !open.is_empty() {
        open.retain(|digest| seen.insert(digest.clone()));
        if seen.len() > IMAGES {
            let sentence = format!("`{repository}` has more than {IMAGES} images with tags or records");
            session.client.exchange.warn("history-incomplete", sentence);
            break;
        }
        let found = side_by_side::map(&open, |image| {
            let list = referrers::ask(&session.client, repository, image, Action::Pull)?;
            let records = list.into_iter().filter(record::is_record);
            Ok(records.map(|one| (one.digest, image.clone())).collect::<Vec<_>>())
        })?;
        let mut found: Vec<(Digest, Digest)> = found.into_iter().flatten().collect();
        found.retain(|(artifact, _)| artifacts.insert(artifact.clone()));
        let read = side_by_side::map(&found, |(artifact, image)| Ok(read(session, request, artifact, image)))?;
        open = Vec::new();
        for ((artifact, _), outcome) in found.into_iter().zip(read) {
            match outcome {
                Ok(one) => {
                    open.extend(one.told.tags.iter().filter_map(|(_, before, _)| before.clone()));
                    kept.push(one);
                }
                Err(error) => {
                    let sentence = format!("the record `{artifact}` was passed over: {}", error.message());
                    session.client.exchange.warn("record-skipped", sentence);
                }
            }
        }
    }
    let name = repository.to_string();
    if let Some(tag) = &request.tag {
        kept.retain(|one| one.told.repository == *repository && one.told.tags.iter().any(|(known, ..)| known == tag));
    }
    history::order(&mut kept);
    let count = kept.len();
    kept.truncate(request.limit.unwrap_or(usize::MAX));
    let place = request.tag.as_ref().map_or_else(|| name.clone(), |tag| repository.tagged(tag).to_string());
    let sentence = history::table(&kept, &place, count);
    Ok(Report { result: history::result(&kept, &name), sentence })
}

/// The images that have tags, and those that a tag made of their digest belongs to.
fn images(session: &Session, request: &History) -> Result<Vec<Digest>, Error> {
    let repository = &request.repository;
    let listing = listing::all(session, repository, Detail::Times, Action::Pull)?;
    let mut images: Vec<Digest> = listing.tags.iter().filter_map(|listed| derived::subject(&listed.name)).collect();
    let known = listing.tags.iter().filter(|listed| !crate::pure::image::tag::is_digest_derived(&listed.name));
    images.extend(known.filter_map(|listed| listed.digest.clone()));
    let format = TagFormat::default();
    let unknown = pick::order(&listing.tags, &format).into_iter().filter(|listed| listed.digest.is_none());
    let mut tags: Vec<Tag> = unknown.filter_map(|listed| Tag::parse(&listed.name).ok()).collect();
    // The one that is asked about comes first.
    tags.sort_by_key(|tag| Some(tag) != request.tag.as_ref());
    if tags.len() > TAGS {
        let sentence = format!("{} tags have no digest in the list, and the first {TAGS} were looked at", tags.len());
        session.client.exchange.warn("history-incomplete", sentence);
        tags.truncate(TAGS);
    }
    images.extend(heads::all(session, repository, &tags, Action::Pull)?.into_iter().flatten());
    Ok(images)
}

/// Reads one record: from its descriptor where that carries it along, else from its blob.
fn read(session: &Session, request: &History, artifact: &Digest, image: &Digest) -> Result<Kept, Error> {
    let repository = &request.repository;
    let identifier = Identifier::Digest(artifact.clone());
    let fetched = registry::get_manifest(&session.client, repository, &identifier, Action::Pull)?;
    let layer = match &fetched.content {
        Content::Image(manifest) => manifest.layers.iter().find(|layer| layer.media_type == ARTIFACT),
        Content::Index(_) => None,
    };
    let layer = layer.ok_or_else(|| Error::new(Code::RecordInvalid, "it has no record in it"))?;
    let bytes = registry::get_blob(&session.client, repository, layer, "record", LIMIT)?;
    history::read(&bytes, artifact, image)
}
