//! ECR's registry API, private and public, and the buckets.

use super::{PASSWORD, PUBLIC, Site, State};
use crate::support::log::Asked;
use crate::support::registry::{Options, Path, split};
use crate::support::reply::Reply;
use crate::support::uploads::{Blobs, Desk, Mounts};
use serde_json::json;

pub(super) fn bucket(state: &mut State, site: &Site, asked: &Asked) -> Reply {
    let refuse = |status, code: &str, message: &str| {
        let text = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Reply::with(status, "application/xml", text)
    };
    if asked.header("Authorization").is_some() || asked.header("X-Amz-Security-Token").is_some() {
        return refuse(400, "InvalidArgument", "Only one auth mechanism allowed");
    }
    let serial = asked.query("n").unwrap_or_default();
    let counts = !state.once || state.addresses.1.remove(serial);
    if asked.query("X-Amz-Signature") != Some("marked-signature") || !counts {
        return refuse(403, "AccessDenied", "Request has expired");
    }
    let (repository, rest) = asked.path.trim_start_matches('/').rsplit_once('/').unwrap_or_default();
    let path = Path { repository, kind: "blobs", rest };
    let reply = desk(&Blobs::default(), site).answer(asked, &path, state.store_of(site));
    let blobs = state.store_of(site).repositories.get(repository).map(|home| &home.blobs);
    let length = blobs.and_then(|blobs| blobs.get(rest)).map_or(0, Vec::len);
    match state.broken.pop_if(|(least, _)| length >= *least) {
        _ if reply.status == 404 => refuse(404, "NoSuchKey", ""),
        Some((_, fault)) => reply.fault(fault),
        None => reply,
    }
}

fn desk<'a>(blobs: &'a Blobs, site: &Site) -> Desk<'a> {
    Desk { blobs, here: site.host, elsewhere: "" }
}

/// The rights that a request takes.
fn actions(asked: &Asked, path: &Path) -> Vec<&'static str> {
    match (path.kind, asked.method.as_str()) {
        ("manifests", "PUT") => vec!["PutImage"],
        // The service asks for no other right to tell what points at an image.
        ("manifests" | "referrers", _) => vec!["BatchGetImage"],
        ("blobs", "HEAD") => vec!["BatchCheckLayerAvailability"],
        ("blobs", _) => vec!["GetDownloadUrlForLayer"],
        ("tags", _) => vec!["ListImages"],
        ("blobs/uploads", "POST") => vec!["InitiateLayerUpload"],
        ("blobs/uploads", "PATCH") => vec!["UploadLayerPart"],
        ("blobs/uploads", "PUT") if asked.body.is_empty() => vec!["CompleteLayerUpload"],
        ("blobs/uploads", "PUT") => vec!["UploadLayerPart", "CompleteLayerUpload"],
        _ => vec![],
    }
}

pub(super) fn private(state: &mut State, site: &Site, asked: &Asked) -> Reply {
    let given = asked.basic().filter(|(user, _)| user == "AWS").map(|(_, word)| word);
    let known = state.passwords.iter().find(|known| Some(&known.word) == given.as_ref() && known.host == site.host);
    let Some(known) = known else {
        let realm = format!("Basic realm=\"https://{}/\",service=\"ecr.amazonaws.com\"", site.host);
        return Reply::with(401, "text/plain", "Not Authorized").header("Www-Authenticate", realm);
    };
    if known.is_old {
        let message = "Your authorization token has expired. Reauthenticate and try again.";
        return Reply::error(403, "DENIED", message);
    }
    let identity = known.identity.clone();
    if let Some(path) = split(&asked.path) {
        for action in actions(asked, &path) {
            if let Err(message) = state.permits(&identity, &format!("ecr:{action}"), site, path.repository) {
                return Reply::error(403, "DENIED", &message);
            }
        }
    }
    serve(state, site, asked)
}

pub(super) fn public(state: &mut State, asked: &Asked) -> Reply {
    if asked.path == "/token/" {
        let token = match asked.basic() {
            None => "anonymous",
            Some((user, password)) if user == "AWS" && password == PASSWORD => "signed",
            Some(_) => return Reply::status(401),
        };
        return Reply::json(&json!({"token": token}));
    }
    if !matches!(asked.bearer(), Some("anonymous" | "signed")) {
        let challenge = format!("Bearer realm=\"https://{PUBLIC}/token/\",service=\"{PUBLIC}\",scope=\"aws\"");
        return Reply::status(401).header("WWW-Authenticate", challenge);
    }
    serve(state, &super::NEAR_SITE, asked)
}

/// As any registry, but for what ECR does in its own way.
fn serve(state: &mut State, site: &Site, asked: &Asked) -> Reply {
    let options =
        Options { referrers: true, blobs: Blobs { mounts: Mounts::Ignored, ..Blobs::default() }, ..Options::default() };
    let (immutable, creates) = (state.immutable, state.creates);
    let store = state.store_of(site);
    let Some(path) = split(&asked.path) else {
        return options.serve(asked, store, &desk(&options.blobs, site));
    };
    let name = path.repository;
    if creates && path.kind == "blobs/uploads" && asked.method == "POST" {
        store.repositories.entry(name.to_owned()).or_default();
    }
    let Some(repository) = store.repositories.get(name) else {
        let message =
            format!("The repository with name '{name}' does not exist in the registry with id '{}'", site.account);
        return Reply::error(404, "NAME_UNKNOWN", &message);
    };
    if path.kind == "blobs" && asked.method == "GET" && repository.blobs.contains_key(path.rest) {
        let port =
            asked.header("Host").unwrap().split_once(':').map(|(_, port)| format!(":{port}")).unwrap_or_default();
        state.addresses.0 += 1;
        let serial = state.addresses.0;
        state.addresses.1.insert(serial.to_string());
        let query = format!("X-Amz-Signature=marked-signature&n={serial}");
        return Reply::redirect(307, &format!("https://{}{port}/{name}/{}?{query}", site.bucket, path.rest));
    }
    if path.kind == "manifests" && asked.method == "PUT" && immutable && repository.tags.contains_key(path.rest) {
        let message = format!(
            "The image tag '{}' already exists in the '{name}' repository and cannot be overwritten because the repository is immutable.",
            path.rest
        );
        return Reply::error(400, "TAG_INVALID", &message);
    }
    let reply = options.serve(asked, store, &desk(&options.blobs, site));
    match (path.kind, reply.status) {
        ("manifests", 404) if asked.method != "PUT" => {
            Reply::error(404, "MANIFEST_UNKNOWN", "Requested image not found")
        }
        _ => reply,
    }
}
