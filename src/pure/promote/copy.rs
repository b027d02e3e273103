//! What belongs to a manifest, and in which order it has to be written.
//!
//! A manifest comes after everything it names, so that no registry ever holds one that is incomplete.
//!
//! Rules: OCI distribution specification, "Pushing Manifests"; layers that are not distributed are
//! described in the image specification under "Non-Distributable Layers".

use crate::pure::image::{Content, Descriptor, Digest, MediaType};
use std::collections::{HashMap, HashSet};

/// What one manifest names; of each descriptor only what a copy needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestParts {
    /// Manifests below it.
    pub manifests: Vec<Descriptor>,
    /// Blobs that go along.
    pub blobs: Vec<Descriptor>,
    /// Layers that stay where their addresses say.
    pub foreign: Vec<Descriptor>,
    /// Entries of an index that may be manifests or blobs, of a kind that is not known.
    pub unknown: Vec<Descriptor>,
}

/// Tells apart what a manifest names; the subject is not among it.
pub fn parts(content: &Content) -> ManifestParts {
    let mut parts = ManifestParts::default();
    match content {
        Content::Image(manifest) => {
            parts.blobs.push(manifest.config.bare());
            for layer in &manifest.layers {
                let list = if is_foreign(layer) { &mut parts.foreign } else { &mut parts.blobs };
                list.push(layer.bare());
            }
        }
        // A build cache is an index whose entries are layers.
        Content::Index(index) => {
            for entry in &index.manifests {
                let list = if is_layer(entry) {
                    &mut parts.blobs
                } else if MediaType::parse(&entry.media_type).is_other() {
                    &mut parts.unknown
                } else {
                    &mut parts.manifests
                };
                list.push(entry.bare());
            }
        }
        Content::Artifact(artifact) => parts.blobs.extend(artifact.blobs.iter().map(Descriptor::bare)),
    }
    parts
}

fn is_foreign(layer: &Descriptor) -> bool {
    let kind = &layer.media_type;
    !layer.urls.is_empty() && (kind.contains(".nondistributable.") || kind.contains(".foreign."))
}

fn is_layer(entry: &Descriptor) -> bool {
    entry.media_type.contains(".layer.")
        || entry.media_type.contains(".rootfs.")
        || entry.media_type.contains("buildkit.cacheconfig")
}

/// Every manifest from these roots down, each once and after everything below it.
///
/// What is not in `known` is left out.
pub fn order(roots: &[Digest], known: &HashMap<Digest, &ManifestParts>) -> Vec<Digest> {
    let (mut written, mut entered) = (Vec::new(), HashSet::new());
    // A path down, as far as it has been gone; digests rule circles out, `entered` keeps it so.
    let mut path: Vec<(Digest, Vec<Digest>)> = Vec::new();
    for root in roots {
        path.push((root.clone(), vec![root.clone()]));
        while let Some((_, ahead)) = path.last_mut() {
            match ahead.pop() {
                Some(digest) if known.contains_key(&digest) && entered.insert(digest.clone()) => {
                    let below = known[&digest].manifests.iter().rev().map(|d| d.digest.clone()).collect();
                    path.push((digest, below));
                }
                Some(_) => {}
                None => {
                    let done = path.pop().map(|(digest, _)| digest);
                    // The lowest entry only holds the root's place.
                    written.extend(done.filter(|_| !path.is_empty()));
                }
            }
        }
    }
    written
}

/// The blobs that these manifests name, each once, and how many layers stay behind.
pub fn blobs<'p>(manifests: impl Iterator<Item = &'p ManifestParts>) -> (Vec<Descriptor>, usize) {
    let (mut found, mut seen, mut foreign) = (Vec::new(), HashSet::new(), HashSet::new());
    for parts in manifests {
        for blob in &parts.blobs {
            if seen.insert(&blob.digest) {
                found.push(blob.clone());
            }
        }
        foreign.extend(parts.foreign.iter().map(|layer| &layer.digest));
    }
    (found, foreign.len())
}

/// How many blobs went which way, and how many bytes were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Blobs that were sent.
    pub blobs: u64,
    /// Blobs that the registry took from another of its repositories.
    pub mounted: u64,
    /// Blobs that were there.
    pub skipped: u64,
    /// Bytes of the blobs that were sent.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn entry(kind: &str, name: &str, more: &str) -> String {
        format!(r#"{{"mediaType":"{kind}","digest":"{}","size":1{more}}}"#, digest(name))
    }

    fn image(layers: &[String]) -> Content {
        let config = entry("application/vnd.oci.image.config.v1+json", "config", "");
        let body = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","));
        Content::parse(body.as_bytes(), None).unwrap()
    }

    fn index(below: &[&str]) -> Content {
        let entries: Vec<String> =
            below.iter().map(|name| entry("application/vnd.oci.image.manifest.v1+json", name, "")).collect();
        let body = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        Content::parse(body.as_bytes(), None).unwrap()
    }

    #[test]
    fn layers_with_addresses_of_their_own_stay_behind() {
        let urls = r#","urls":["https://elsewhere.example/x"]"#;
        let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
        for (kind, more, foreign) in [
            (layer, "", false),
            (layer, urls, false),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", urls, true),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls, true),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "", false),
        ] {
            let content = image(&[entry(kind, "layer", more)]);
            let parts = parts(&content);
            assert_eq!(
                (parts.blobs.len(), parts.foreign.len()),
                if foreign { (1, 1) } else { (2, 0) },
                "{kind} {more}"
            );
        }
    }

    #[test]
    fn a_build_cache_holds_layers_where_others_hold_manifests() {
        let body = format!(
            r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
            entry("application/vnd.docker.image.rootfs.diff.tar.gzip", "layer", ""),
            entry("application/vnd.buildkit.cacheconfig.v0", "cache", "")
        );
        let content = Content::parse(body.as_bytes(), None).unwrap();
        assert_eq!((parts(&content).manifests.len(), parts(&content).blobs.len()), (0, 2));
    }

    #[test]
    fn entries_of_a_kind_that_is_not_known_are_told_apart() {
        let body = format!(
            r#"{{"schemaVersion":2,"manifests":[{},{},{}]}}"#,
            entry("application/vnd.example.thing+json", "thing", ""),
            entry("", "nothing", ""),
            entry("application/vnd.oci.image.manifest.v1+json", "image", r#","annotations":{"a":"b"}"#)
        );
        let parts = parts(&Content::parse(body.as_bytes(), None).unwrap());
        assert_eq!((parts.unknown.len(), parts.manifests.len(), parts.blobs.len()), (2, 1, 0));
        assert!(parts.manifests[0].annotations.is_empty(), "what a copy does not need is not kept");
    }

    #[test]
    fn every_manifest_comes_after_what_it_names() {
        let contents = [
            ("root", index(&["a", "inner", "b", "unknown"])),
            ("inner", index(&["b", "c"])),
            ("a", image(&[])),
            ("b", image(&[])),
            ("c", image(&[])),
            ("signature", image(&[])),
        ];
        let parts: Vec<ManifestParts> = contents.iter().map(|(_, content)| parts(content)).collect();
        let known: HashMap<Digest, &ManifestParts> =
            contents.iter().zip(&parts).map(|((name, _), parts)| (digest(name), parts)).collect();
        let name = |wanted: &Digest| contents.iter().find(|(name, _)| digest(name) == *wanted).unwrap().0;
        let written = order(&[digest("root"), digest("signature"), digest("c")], &known);
        let names: Vec<&str> = written.iter().map(name).collect();
        assert_eq!(names, ["a", "b", "c", "inner", "root", "signature"]);
    }

    #[test]
    fn a_blob_counts_once() {
        let layer = entry("application/vnd.oci.image.layer.v1.tar", "layer", "");
        let contents = [image(&[layer.clone(), layer.clone()]), image(&[layer])];
        let (found, foreign) = blobs(contents.map(|content| parts(&content)).iter());
        assert_eq!((found.len(), foreign), (2, 0));
    }
}
