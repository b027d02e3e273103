//! `board`: what is on the moving tags of repositories, since when, from where, by whom, and how far behind.
//!
//! Everything comes from the registries: the tag lists, the times in them where there are some, and the records of
//! promotions that stand beside the images. Little is asked: what the moving tags and the newest versions point at where the
//! list does not tell, and what points at those images.

use crate::command::history::{self, Reach};
use crate::command::keys;
use crate::command::platforms;
use crate::command::promote::Versions;
use crate::command::report::Report;
use crate::command::request::{Board, BoardPlace};
use crate::command::session::Session;
use crate::error::{Code, Error};
use crate::program;
use crate::pure::auth::scope::Action;
use crate::pure::board::row::{self, BoardFacts};
use crate::pure::board::{BoardRepository, ImageOrigin, TagLines, TagMove, markup, page, timeline};
use crate::pure::image::{Detail, Digest, Heads, Reference, Tag, TagEntry, difference, referrers};
use crate::pure::signature::PublicKey;
use crate::pure::text::instant;
use crate::pure::version::TagFormat;
use crate::registry::Remote;
use crate::threads::{self, WIDTH};
use crate::world::World;
use serde::Serialize;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How many moving tags of a repository are told where nothing else is said.
const TAGS: usize = 20;
/// How many version tags are looked at to know what a tag holds.
const LOOKED_AT: usize = 200;
/// How many images are read for their labels where no record holds them.
const READ: usize = 16;
/// How large a file of an earlier board may be.
const LARGEST: u64 = 64 << 20;
/// How far records are looked for: those of what tags hold and of what they held before, and for a timeline some more.
const ROWS: Reach = Reach { images: 64, records: 100, rounds: 2, tells: false };
const PAGE: Reach = Reach { rounds: 4, ..ROWS };

#[derive(Serialize)]
struct BoardResult {
    repositories: Vec<BoardRepository>,
    page: Option<String>,
}

/// Looks at every repository, side by side, and writes the page.
///
/// # Errors
/// Those of the first repository where nothing is known of any; `request-invalid` for a folder that holds something else.
pub fn run(session: &Session, request: &Board) -> Result<Report, Error> {
    let world = session.exchange.world;
    let made = instant::rfc3339(world.now());
    let Board { places, html, limit, verify_keys } = request;
    let keys = keys::of(session, verify_keys)?;
    let folder = html.as_deref().map(Path::new);
    folder.map_or(Ok(()), |folder| files(folder, places.len()).iter().try_for_each(|file| may_write(world, file)))?;
    let reach = if html.is_some() { &PAGE } else { &ROWS };
    let look = |place: &BoardPlace| Ok(look(session, place, limit.unwrap_or(TAGS), reach, &keys));
    let looks = threads::map(places, look)?;
    if let (true, Some(Err(error))) = (looks.iter().all(Result::is_err), looks.first()) {
        return Err(error.clone());
    }
    let mut repositories = Vec::new();
    for (place, look) in places.iter().zip(looks) {
        repositories.push(look.unwrap_or_else(|error| {
            let (repository, why) =
                (place.repository.to_string(), session.exchange.journal.without_secrets(error.message()));
            session.exchange.warn("board-incomplete", format!("of `{repository}` nothing is known: {why}"));
            BoardRepository { repository, newest: None, tags: Vec::new(), error: Some(why), moves: Vec::new() }
        }));
    }
    let written = folder.map(|folder| write(world, folder, &repositories, &made)).transpose()?;
    let place = match places.as_slice() {
        [place] => format!("`{}`", place.repository),
        places => format!("{} repositories", places.len()),
    };
    let there = written.as_ref().map(|page| format!("; the page is `{page}`")).unwrap_or_default();
    let sentence = page::summary(&repositories, &place) + &there;
    Report::new(&BoardResult { repositories, page: written }, sentence)
}

/// Looks at one repository.
fn look(
    session: &Session,
    place: &BoardPlace,
    limit: usize,
    reach: &Reach,
    keys: &[PublicKey],
) -> Result<BoardRepository, Error> {
    let repository = &place.repository;
    let remote = session.remote(repository, Action::Pull);
    let listing = match remote.tags(Detail::Times) {
        Err(error) if !place.is_whole => {
            let sentence = format!("the tags of `{repository}` are not known: {}", error.message());
            remote.warn("board-incomplete", sentence);
            None
        }
        listing => Some(listing?),
    };
    let entries = listing.as_ref().map_or(&[][..], |listing| &listing.tags);
    let lines = TagLines::of(entries);
    let tags = chosen(&remote, place, limit, &lines);
    let mut versions = Versions::among(entries, &TagFormat::default());
    let held = heads(&remote, &tags, entries, &mut versions)?;
    let rows: Vec<(&Tag, &Digest)> =
        tags.iter().zip(&held).filter_map(|(tag, held)| Some((tag, held.as_ref()?))).collect();

    // A tag that was at a newer version since, and was put back, is not what an older record says; and a timeline knows
    // of all of them.
    let oldest = rows.iter().map(|(_, held)| versions.known(held).map(|tag| tag.version)).min().flatten();
    let (oldest, most) = if reach.rounds > ROWS.rounds { (None, 2 * WIDTH) } else { (oldest, WIDTH) };
    let open = rows.iter().map(|(_, held)| *held).chain(versions.newer(oldest).take(most)).cloned().collect();
    let listed: HashSet<Digest> = entries.iter().filter_map(|listed| referrers::subject(&listed.name)).collect();
    let records = history::records(&remote, open, &listed, reach, keys).unwrap_or_else(|error| {
        let sentence = format!("the records in `{repository}` are not known: {}", error.message());
        remote.warn("board-incomplete", sentence);
        Vec::new()
    });
    let moves = row::moves(&records, repository);
    let mut origins = row::origins(&records);
    read_origins(&remote, &rows, &moves, &mut origins);
    let unnamed =
        rows.iter().filter(|(tag, held)| row::last(&moves, tag, held).is_none_or(|last| last.version.is_none()));
    look_on(&remote, &mut versions, &unnamed.map(|(_, held)| *held).collect::<Vec<_>>())?;

    let facts =
        BoardFacts { listing: listing.as_ref().map(|listing| (listing, &lines)), moves: &moves, origins: &origins };
    let version = |held: &Digest| versions.known(held).map(|tag| tag.text.clone());
    let row =
        |(tag, held): (&Tag, &Option<Digest>)| row::row(&facts, tag, held.as_ref().map(|held| (held, version(held))));
    let tags = tags.iter().zip(&held).map(row).collect();
    let newest = lines.versions.first().map(|(_, text)| (*text).to_owned());
    Ok(BoardRepository { repository: repository.to_string(), newest, tags, error: None, moves })
}

/// The tags that are told: those that are named, and the moving ones where the whole repository is meant.
fn chosen(remote: &Remote, place: &BoardPlace, limit: usize, lines: &TagLines) -> Vec<Tag> {
    let mut tags = place.tags.clone();
    if place.is_whole {
        let mut moving: Vec<Tag> =
            lines.moving().into_iter().filter_map(|entry| Tag::parse(&entry.name).ok()).collect();
        if moving.len() > limit {
            let sentence = format!(
                "`{}` has {} moving tags, and the first {limit} are told; name those that count, as in `{}:latest`",
                place.repository,
                moving.len(),
                place.repository
            );
            remote.warn("board-incomplete", sentence);
            moving.truncate(limit);
        }
        moving.retain(|tag| !tags.contains(tag));
        tags.extend(moving);
    }
    tags
}

/// What tags point at: as the list says, else by a look at them; beside them at the newest versions, which they hold as a
/// rule.
fn heads(remote: &Remote, tags: &[Tag], entries: &[TagEntry], versions: &mut Versions) -> Result<Heads, Error> {
    let listed = |tag: &Tag| entries.iter().find(|entry| entry.name == tag.as_str())?.digest.clone();
    let mut held: Heads = tags.iter().map(listed).collect();
    let mut asked: Vec<Tag> =
        tags.iter().zip(&held).filter(|(_, held)| held.is_none()).map(|(tag, _)| tag.clone()).collect();
    let count = asked.len();
    asked.extend(if tags.is_empty() { Vec::new() } else { versions.unknown(WIDTH) });
    let mut heads = remote.heads(&asked)?;
    versions.tell(heads.split_off(count));
    held.iter_mut().filter(|held| held.is_none()).zip(heads).for_each(|(held, head)| *held = head);
    Ok(held)
}

/// Looks at older versions, until each of these digests is known to be one or many were looked at.
fn look_on(remote: &Remote, versions: &mut Versions, wanted: &[&Digest]) -> Result<(), Error> {
    for _ in 0..LOOKED_AT.div_ceil(WIDTH) {
        let asked = versions.unknown(WIDTH);
        if asked.is_empty() || wanted.iter().all(|digest| versions.known(digest).is_some()) {
            break;
        }
        versions.tell(remote.heads(&asked)?);
    }
    Ok(())
}

/// Reads what images say they were built from, where a change is to be told and no record holds it.
fn read_origins(
    remote: &Remote,
    rows: &[(&Tag, &Digest)],
    moves: &[TagMove],
    origins: &mut Vec<(Digest, ImageOrigin)>,
) {
    let changed =
        rows.iter().filter_map(|(tag, held)| Some([(*held).clone(), row::last(moves, tag, held)?.before.clone()?]));
    let mut unread: Vec<Digest> =
        changed.flatten().filter(|digest| origins.iter().all(|(known, _)| known != digest)).collect();
    unread.sort_unstable();
    unread.dedup();
    unread.truncate(READ);
    let read = |digest: &Digest| {
        let reference = Reference::new(remote.repository().clone(), None, Some(digest.clone()));
        // What was deleted meanwhile has no labels to tell.
        Ok(platforms::read(remote, &reference, None)
            .ok()
            .map(|set| ImageOrigin::of(&difference::agreed(set.images.iter().map(|image| &image.config.labels)).0)))
    };
    let read = threads::map(&unread, read).unwrap_or_default();
    origins.extend(unread.into_iter().zip(read).filter_map(|(digest, origin)| Some((digest, origin?))));
}

/// The files of a page, the page itself last.
fn files(folder: &Path, repositories: usize) -> Vec<PathBuf> {
    let timelines = (1..=repositories).flat_map(|n| ["", "-dark"].map(|kind| format!("timeline-{n}{kind}.svg")));
    timelines.chain(["board.css".to_owned(), "index.html".to_owned()]).map(|name| folder.join(name)).collect()
}

/// Refuses to write over what is no part of a board.
fn may_write(world: &World, file: &Path) -> Result<(), Error> {
    let begins = |bytes: Vec<u8>| bytes.iter().take(200).copied().collect::<Vec<_>>();
    match world.read_regular(file, LARGEST).map(begins) {
        Ok(begin) if String::from_utf8_lossy(&begin).contains(markup::MARK) => Ok(()),
        Ok(_) => Err(unwritable(file, "it is there and is no part of a board")),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        Err(why) => Err(unwritable(file, &why.to_string())),
    }
}

fn unwritable(file: &Path, why: &str) -> Error {
    Error::new(Code::RequestInvalid, format!("the page cannot be written to `{}`", file.display()))
        .cause(why)
        .hint("give `--html` a folder of its own that this user may write to")
}

/// Writes the page and what it shows, and says where it is.
fn write(world: &World, folder: &Path, repositories: &[BoardRepository], made: &str) -> Result<String, Error> {
    let timelines = repositories.iter().flat_map(|one| timeline::svgs(one, made));
    let texts = timelines.chain([page::CSS.to_owned(), page::html(repositories, made, &program::version())]);
    let files = files(folder, repositories.len());
    for (file, text) in files.iter().zip(texts) {
        may_write(world, file)?;
        let written = world.make_folder_of(file).and_then(|()| world.replace(file, text.as_bytes()));
        written.map_err(|why| unwritable(file, &why.to_string()))?;
    }
    Ok(folder.join("index.html").display().to_string())
}
