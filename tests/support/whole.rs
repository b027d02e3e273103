//! Everything below a tag, read with plain requests and hashed: the proof that what a tag points at is complete.

use super::client::Client;
use super::text::digest;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a manifest or index consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// The digest of the top.
    pub digest: String,
    /// Media type and bytes of each manifest and index by digest, the top's included.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// Size of each config and layer by digest.
    pub blobs: BTreeMap<String, u64>,
    /// Digests of the layers that lie elsewhere.
    pub foreign: BTreeSet<String>,
}

/// Reads everything below a tag or digest, or says what is missing or wrong.
pub fn whole(client: &Client, repository: &str, identifier: &str) -> Result<Whole, String> {
    let mut found = Whole::default();
    found.digest = add(client, repository, identifier, &mut found)?;
    Ok(found)
}

fn add(client: &Client, repository: &str, identifier: &str, found: &mut Whole) -> Result<String, String> {
    let place = format!("/v2/{repository}/manifests/{identifier}");
    let answer = client.get(&place);
    if answer.status != 200 {
        return Err(format!("{place}: {}", answer.status));
    }
    let named = digest(&answer.body);
    if identifier.contains(':') && identifier != named {
        return Err(format!("{place} has the digest {named}"));
    }
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| format!("{place}: {error}"))?;
    let media_type = answer.header("content-type").unwrap_or_default().to_owned();
    found.manifests.insert(named.clone(), (media_type, answer.body));
    for child in body["manifests"].as_array().into_iter().flatten() {
        let child = child["digest"].as_str().unwrap_or_default();
        if !found.manifests.contains_key(child) {
            add(client, repository, child, found)?;
        }
    }
    for blob in body["layers"].as_array().into_iter().flatten().chain(body.get("config")) {
        let (name, size) = (blob["digest"].as_str().unwrap_or_default(), blob["size"].as_u64().unwrap_or_default());
        if blob["urls"].as_array().is_some_and(|urls| !urls.is_empty()) {
            found.foreign.insert(name.to_owned());
        } else if !found.blobs.contains_key(name) {
            let place = format!("/v2/{repository}/blobs/{name}");
            let answer = client.get(&place);
            let read = (answer.status, answer.body.len() as u64, digest(&answer.body));
            if read != (200, size, name.to_owned()) {
                return Err(format!("{place}: not 200 and {size} bytes, but {read:?}"));
            }
            found.blobs.insert(name.to_owned(), size);
        }
    }
    Ok(named)
}
