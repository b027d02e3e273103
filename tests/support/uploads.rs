//! Blobs of the registry in memory: every way of bringing one in, and reading it whole or in part.
//!
//! Uploads start with `POST`, grow with `PATCH`, end with `PUT`, and are asked about with `GET`; each answer names
//! the `Location` to go on with, and only the latest one is good. What came in and went out is counted by digest.
//!
//! Follows the OCI distribution specification 1.1, "Pushing blobs".

use super::log::Asked;
use super::registry::{Path, State};
use super::reply::Reply;
use super::text::digest;
use std::collections::{BTreeMap, HashMap};

/// How blobs come in and go out.
#[derive(Clone, Debug, Default)]
pub struct Blobs {
    /// What is answered to a mount.
    pub mounts: Mounts,
    /// Whether `POST …?digest=` with the whole blob starts an upload in place of ending one.
    pub no_single: bool,
    /// The form of `Location`.
    pub location: Location,
    /// The value of `OCI-Chunk-Min-Length`; after a shorter chunk no other may come.
    pub chunk_min: Option<usize>,
    /// A request with a longer body is answered with 413.
    pub limit: Option<usize>,
    /// Whether `Range` of a blob's `GET` is passed over.
    pub no_ranges: bool,
    /// Whether a blob's `GET` is redirected to another origin.
    pub redirect: bool,
}

/// What is answered to `POST …?mount=&from=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mounts {
    /// 201 where the blob is there, 202 and a plain upload where it is not.
    #[default]
    Made,
    /// 202 and a plain upload, always.
    Ignored,
    /// This status, always.
    Refused(u16),
}

/// The form of `Location` in the answers of an upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// A path with a query, which every answer changes.
    #[default]
    Query,
    /// A path alone.
    Path,
    /// A whole address on this registry, with a query.
    Whole,
    /// A whole address on another origin, which answers 400 to whoever brings a credential along.
    Elsewhere,
}

/// What became of one blob here; requests that a hook answered are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// `HEAD` requests, found or not.
    pub heads: usize,
    /// `GET` requests that were answered with bytes.
    pub reads: usize,
    /// Bytes that were sent for them.
    pub sent: usize,
    /// How often it was mounted.
    pub mounts: usize,
    /// How often it was uploaded to the end.
    pub uploads: usize,
}

/// Uploads under way, and what was counted.
#[derive(Debug, Default)]
pub struct Uploads {
    sessions: HashMap<String, Session>,
    serial: usize,
    /// By digest.
    pub traffic: BTreeMap<String, Traffic>,
}

#[derive(Debug, Default)]
struct Session {
    bytes: Vec<u8>,
    /// How many answers it had; the query of the latest `Location` holds this.
    step: usize,
    /// Whether a chunk was shorter than any but the last may be.
    short: bool,
}

impl Uploads {
    /// How many uploads were started and neither ended nor given up.
    pub fn open(&self) -> usize {
        self.sessions.len()
    }

    /// Forgets every upload, as a registry does that was started again.
    pub fn forget(&mut self) {
        self.sessions.clear();
    }

    /// Adds what arrived of a request that was cut off, as registries do that write while they read.
    pub fn keep_part(&mut self, asked: &Asked) {
        let id = asked.path.rsplit('/').next().unwrap_or_default();
        if let Some(session) = self.sessions.get_mut(id).filter(|_| asked.method == "PATCH") {
            session.bytes.extend_from_slice(&asked.body);
        }
    }

    /// What was counted for a digest.
    pub fn traffic(&self, digest: &str) -> Traffic {
        self.traffic.get(digest).copied().unwrap_or_default()
    }

    fn count(&mut self, digest: &str) -> &mut Traffic {
        self.traffic.entry(digest.to_owned()).or_default()
    }
}

/// A registry's ways with blobs, and where it can be reached.
pub struct Desk<'a> {
    /// The ways.
    pub blobs: &'a Blobs,
    /// The address of the registry's root.
    pub here: &'a str,
    /// The address of the other origin's root.
    pub elsewhere: &'a str,
}

impl Desk<'_> {
    /// Answers a request about a blob or an upload.
    pub fn answer(&self, asked: &Asked, path: &Path, state: &mut State) -> Reply {
        if self.blobs.limit.is_some_and(|limit| asked.body.len() > limit) {
            return Reply::with(413, "text/html", "<html><h1>413 Request Entity Too Large</h1></html>");
        }
        match (path.kind, asked.method.as_str()) {
            ("blobs", "GET" | "HEAD") => self.read(asked, path, state),
            ("blobs/uploads", "POST") => self.start(asked, path, state),
            ("blobs/uploads", "PATCH" | "PUT" | "GET" | "DELETE") => self.go_on(asked, path, state),
            _ => Reply::error(405, "UNSUPPORTED", "the operation is unsupported"),
        }
    }

    /// The address on the other origin that a blob's `GET` is redirected to, where that is so.
    pub fn redirected(&self, asked: &Asked, path: &Path) -> Option<Reply> {
        let leads = self.blobs.redirect && path.kind == "blobs" && asked.method == "GET";
        leads.then(|| Reply::redirect(307, &format!("{}{}?signature=of-the-storage", self.elsewhere, asked.path)))
    }

    fn read(&self, asked: &Asked, path: &Path, state: &mut State) -> Reply {
        let found = state.repositories.get(path.repository).and_then(|home| home.blobs.get(path.rest)).cloned();
        let traffic = state.uploads.count(path.rest);
        let sends = asked.method == "GET";
        traffic.heads += usize::from(!sends);
        let Some(bytes) = found else { return Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry") };
        let whole = bytes.len();
        let wanted = asked.header("Range").filter(|_| sends && !self.blobs.no_ranges);
        let reply = match wanted.map(|text| part(text, whole)) {
            None => Reply::with(200, "application/octet-stream", bytes),
            Some(None) => return Reply::status(416).header("Content-Range", format!("bytes */{whole}")),
            Some(Some((first, last))) => Reply::with(206, "application/octet-stream", bytes[first..=last].to_vec())
                .header("Content-Range", format!("bytes {first}-{last}/{whole}")),
        };
        traffic.reads += usize::from(sends);
        traffic.sent += if sends { reply.body.len() } else { 0 };
        let reply = reply.header("Docker-Content-Digest", path.rest);
        if self.blobs.no_ranges { reply } else { reply.header("Accept-Ranges", "bytes") }
    }

    fn start(&self, asked: &Asked, path: &Path, state: &mut State) -> Reply {
        if let Some(wanted) = asked.query("mount") {
            match self.blobs.mounts {
                Mounts::Refused(status) => return Reply::error(status, "UNSUPPORTED", "blobs are not mounted here"),
                Mounts::Ignored => {}
                Mounts::Made => {
                    let from = asked.query("from").and_then(|from| state.repositories.get(from));
                    if let Some(bytes) = from.and_then(|home| home.blobs.get(wanted)).cloned() {
                        state.uploads.count(wanted).mounts += 1;
                        return store(path, state, wanted, bytes);
                    }
                }
            }
        }
        match asked.query("digest") {
            Some(wanted) if !self.blobs.no_single => {
                state.uploads.count(wanted).uploads += 1;
                store(path, state, wanted, asked.body.clone())
            }
            _ => {
                state.uploads.serial += 1;
                let id = format!("upload-{}", state.uploads.serial);
                state.uploads.sessions.insert(id.clone(), Session::default());
                self.under_way(202, path.repository, &id, state)
            }
        }
    }

    fn go_on(&self, asked: &Asked, path: &Path, state: &mut State) -> Reply {
        let id = path.rest;
        let Some(session) = state.uploads.sessions.get_mut(id) else {
            return Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        let writes = matches!(asked.method.as_str(), "PATCH" | "PUT");
        let latest = asked.query("state").is_some_and(|text| text == session.step.to_string());
        if writes && self.blobs.location != Location::Path && !latest {
            return Reply::error(400, "BLOB_UPLOAD_INVALID", "this is not the latest location of the upload");
        }
        if writes && !follows(asked, session.bytes.len()) {
            return self.under_way(416, path.repository, id, state);
        }
        match asked.method.as_str() {
            "GET" => return self.under_way(204, path.repository, id, state),
            "DELETE" => {
                state.uploads.sessions.remove(id);
                return Reply::status(204);
            }
            _ => {}
        }
        if session.short && !asked.body.is_empty() {
            return Reply::error(400, "SIZE_INVALID", "a chunk before this one was too short");
        }
        if asked.method == "PATCH" {
            session.short = self.blobs.chunk_min.is_some_and(|least| asked.body.len() < least);
            session.bytes.extend_from_slice(&asked.body);
            return self.under_way(202, path.repository, id, state);
        }
        let Some(wanted) = asked.query("digest") else { return Reply::error(400, "DIGEST_INVALID", "no digest") };
        let mut bytes = state.uploads.sessions.remove(id).map(|session| session.bytes).unwrap_or_default();
        bytes.extend_from_slice(&asked.body);
        state.uploads.count(wanted).uploads += 1;
        store(path, state, wanted, bytes)
    }

    /// The answer that says where an upload stands and how it goes on.
    fn under_way(&self, status: u16, repository: &str, id: &str, state: &mut State) -> Reply {
        let Some(session) = state.uploads.sessions.get_mut(id) else { return Reply::status(404) };
        session.step += 1;
        let path = format!("/v2/{repository}/blobs/uploads/{id}");
        let query = format!("?state={}", session.step);
        let location = match self.blobs.location {
            Location::Path => path,
            Location::Query => format!("{path}{query}"),
            Location::Whole => format!("{}{path}{query}", self.here),
            Location::Elsewhere => format!("{}{path}{query}", self.elsewhere),
        };
        let reply = Reply::status(status)
            .header("Location", location)
            .header("Range", format!("0-{}", session.bytes.len().saturating_sub(1)))
            .header("Docker-Upload-UUID", id);
        match self.blobs.chunk_min.filter(|_| status == 202) {
            Some(least) => reply.header("OCI-Chunk-Min-Length", least.to_string()),
            None => reply,
        }
    }
}

/// First and last byte that a `Range` asks for.
fn part(range: &str, whole: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last = if last.is_empty() { whole.checked_sub(1)? } else { last.parse().ok()? };
    (first < whole && first <= last).then_some((first, last.min(whole - 1)))
}

/// Whether `Content-Range`, where there is one, goes on at this byte and is as long as the body.
fn follows(asked: &Asked, at: usize) -> bool {
    let Some(text) = asked.header("Content-Range") else { return true };
    let ends = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    ends.is_some_and(|(first, last): (usize, usize)| first == at && last + 1 == at + asked.body.len())
}

fn store(path: &Path, state: &mut State, wanted: &str, bytes: Vec<u8>) -> Reply {
    if digest(&bytes) != wanted {
        return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    state.repositories.entry(path.repository.to_owned()).or_default().blobs.insert(wanted.to_owned(), bytes);
    Reply::status(201)
        .header("Location", format!("/v2/{}/blobs/{wanted}", path.repository))
        .header("Docker-Content-Digest", wanted)
}
