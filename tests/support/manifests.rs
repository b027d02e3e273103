//! Manifests of the registry in memory: reading and writing them, the tags on them, and what refers to them.
//!
//! Follows the OCI distribution specification 1.1.

use super::image::types;
use super::log::Asked;
use super::registry::{Options, Path, Repository, State};
use super::reply::Reply;
use super::text::digest;
use serde_json::{Value, json};

/// A registry's ways with manifests; the repository is there where something is read.
pub struct Shelf<'a> {
    /// The ways.
    pub options: &'a Options,
}

impl Shelf<'_> {
    /// Answers a request about manifests, tags or referrers.
    pub fn answer(&self, asked: &Asked, path: &Path, state: &mut State) -> Reply {
        match (path.kind, asked.method.as_str()) {
            ("manifests", "GET" | "HEAD") => self.get_manifest(path, state),
            ("manifests", "PUT") => self.put_manifest(asked, path, state),
            ("tags", "GET") if path.rest == "list" => self.list_tags(asked, path, state),
            ("referrers", "GET") if self.options.referrers => self.referrers(asked, path, state),
            ("referrers", _) => Reply::with(404, "text/plain", "404 page not found\n"),
            _ => Reply::error(405, "UNSUPPORTED", "the operation is unsupported"),
        }
    }

    fn get_manifest(&self, path: &Path, state: &State) -> Reply {
        let home = &state.repositories[path.repository];
        let wanted =
            if path.rest.contains(':') { Some(path.rest.to_owned()) } else { home.tags.get(path.rest).cloned() };
        match wanted.and_then(|digest| home.manifests.get(&digest).map(|found| (digest, found))) {
            Some((digest, (media_type, bytes))) => {
                let reply = Reply::with(200, media_type, bytes.clone());
                if self.options.no_digest_header { reply } else { reply.header("Docker-Content-Digest", digest) }
            }
            None => Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        }
    }

    fn put_manifest(&self, asked: &Asked, path: &Path, state: &mut State) -> Reply {
        let digest = digest(&asked.body);
        let Ok(body) = serde_json::from_slice::<Value>(&asked.body) else {
            return Reply::error(400, "MANIFEST_INVALID", "manifest invalid");
        };
        let home = state.repositories.entry(path.repository.to_owned()).or_default();
        if let Some(missing) = missing(&body, home).filter(|_| !self.options.careless) {
            return Reply::error(404, "MANIFEST_BLOB_UNKNOWN", &format!("not known here: {missing}"));
        }
        let media_type = asked.header("Content-Type").unwrap_or_default().to_owned();
        if body["mediaType"].as_str().is_some_and(|named| named != media_type) {
            return Reply::error(400, "MANIFEST_INVALID", "media type in the body and in the header differ");
        }
        if path.rest.contains(':') {
            if path.rest != digest {
                return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
            }
        } else {
            if self.options.immutable && home.tags.get(path.rest).is_some_and(|there| *there != digest) {
                return Reply::error(400, "TAG_INVALID", "the tag exists and the repository is immutable");
            }
            home.tags.insert(path.rest.to_owned(), digest.clone());
        }
        home.manifests.insert(digest.clone(), (media_type, asked.body.clone()));
        let reply = Reply::status(201)
            .header("Location", format!("/v2/{}/manifests/{digest}", path.repository))
            .header("Docker-Content-Digest", digest);
        match body["subject"]["digest"].as_str() {
            Some(subject) if self.options.referrers => reply.header("OCI-Subject", subject),
            _ => reply,
        }
    }

    fn list_tags(&self, asked: &Asked, path: &Path, state: &State) -> Reply {
        let all: Vec<&String> = state.repositories[path.repository].tags.keys().collect();
        let last = asked.query("last");
        let rest: Vec<&String> = all.into_iter().filter(|tag| last.is_none_or(|last| tag.as_str() > last)).collect();
        let wanted = asked.query("n").and_then(|n| n.parse::<usize>().ok());
        let size = [wanted, self.options.page].into_iter().flatten().min().unwrap_or(rest.len());
        let page = &rest[..size.min(rest.len())];
        let reply = Reply::json(&json!({"name": path.repository, "tags": page}));
        match page.last() {
            Some(last) if page.len() < rest.len() => {
                reply.header("Link", format!("</v2/{}/tags/list?last={last}&n={size}>; rel=\"next\"", path.repository))
            }
            _ => reply,
        }
    }

    fn referrers(&self, asked: &Asked, path: &Path, state: &State) -> Reply {
        let mut found = Vec::new();
        for (digest, (media_type, bytes)) in &state.repositories[path.repository].manifests {
            let Ok(body) = serde_json::from_slice::<Value>(bytes) else { continue };
            if body["subject"]["digest"] != path.rest {
                continue;
            }
            let kind = body["artifactType"].as_str().or(body["config"]["mediaType"].as_str()).unwrap_or_default();
            if asked.query("artifactType").is_none_or(|wanted| wanted == kind) {
                let mut one =
                    json!({"mediaType": media_type, "digest": digest, "size": bytes.len(), "artifactType": kind});
                if let Some(annotations) = body.get("annotations") {
                    one["annotations"] = annotations.clone();
                }
                found.push(one);
            }
        }
        found.sort_by_key(|one| one["digest"].to_string());
        let at = asked.query("after").and_then(|text| text.parse().ok()).unwrap_or(0_usize).min(found.len());
        let end = self.options.referrers_page.map_or(found.len(), |size| (at + size).min(found.len()));
        let page = json!({"schemaVersion": 2, "mediaType": types::OCI_INDEX, "manifests": found[at..end]});
        let mut reply = Reply::with(200, types::OCI_INDEX, page.to_string());
        let filter = asked.query("artifactType");
        if end < found.len() {
            let filter = filter.map(|kind| format!("&artifactType={kind}")).unwrap_or_default();
            reply = reply.header("Link", format!("<{}?after={end}{filter}>; rel=\"next\"", asked.path));
        }
        if filter.is_some() { reply.header("OCI-Filters-Applied", "artifactType") } else { reply }
    }
}

/// The first blob or manifest that a manifest needs and that is not there; layers from elsewhere are not needed.
pub fn missing(body: &Value, home: &Repository) -> Option<String> {
    let refers = |key: &str| body[key].as_array().cloned().unwrap_or_default();
    let name = |one: Value| one["digest"].as_str().map(str::to_owned);
    let foreign = |one: &Value| one["urls"].as_array().is_some_and(|urls| !urls.is_empty());
    let mut layers = refers("layers").into_iter().filter(|one| !foreign(one)).chain(body.get("config").cloned());
    let lost = layers.find_map(|one| name(one).filter(|digest| !home.blobs.contains_key(digest)));
    let known = |digest: &String| home.manifests.contains_key(digest);
    lost.or_else(|| refers("manifests").into_iter().find_map(|one| name(one).filter(|digest| !known(digest))))
}
