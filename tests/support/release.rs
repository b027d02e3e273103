//! What a team releases, whole: five platforms with attestations, signatures and SBOMs that refer to them, a large
//! image, layers that lie elsewhere.
//!
//! Layers are real archives, so that tools which unpack what they check find nothing wrong.

use super::archive::noise;
use super::client::Client;
use super::image::{Built, Family, Image, Index, cosign_signature, descriptor, types};
use super::text::digest;
use serde_json::{Value, json};

/// The platforms of [`five_platforms`].
pub const PLATFORMS: [&str; 5] = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/ppc64le", "linux/s390x"];

/// An index of five platforms with an attestation for each, in BuildKit's manner.
pub fn five_platforms(family: Family, revision: &str) -> Built {
    let image = |platform: &str| {
        let file = format!("{revision} on {platform}");
        let image = Image::new().platform(platform).label("git_revision", revision).archive("app", file.as_bytes());
        if family == Family::Docker { image.docker() } else { image }.build()
    };
    let index = Index::of(PLATFORMS.map(image)).attested();
    if family == Family::Docker { index.docker() } else { index }.build()
}

/// An image with one layer that is here and one that lies elsewhere and is pushed nowhere.
pub fn with_foreign_layer(family: Family) -> Built {
    let image = Image::new().archive("app", b"here");
    let mut image = if family == Family::Docker { image.docker() } else { image }.build();
    let mut body: Value = serde_json::from_slice(&image.bytes).unwrap();
    let kind = match family {
        Family::Docker => "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        Family::Oci => "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    };
    let mut foreign = descriptor(kind, b"a layer that only its maker may give away");
    foreign["urls"] = json!(["https://layers.example/windows/base"]);
    body["layers"].as_array_mut().unwrap().insert(0, foreign);
    image.bytes = format!("{body:#}\n").into_bytes();
    image
}

/// What tools attach to an image: a manifest with a subject.
pub fn referrer(kind: &str, subject: &Built, payload: &str) -> Built {
    let (config, layer) = (b"{}".to_vec(), payload.as_bytes().to_vec());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "artifactType": kind,
        "config": descriptor(types::OCI_EMPTY, &config), "layers": [descriptor(kind, &layer)],
        "subject": descriptor(&subject.media_type, &subject.bytes),
        "annotations": {"org.opencontainers.image.created": "2026-08-20T10:00:00Z"},
    });
    Built { blobs: vec![config, layer], ..Built::raw(types::OCI_MANIFEST, manifest.to_string()) }
}

/// An image or index with everything that is bound to its digest.
pub struct Signed {
    /// What is signed.
    pub image: Built,
    /// What cosign leaves, by the end of its tag.
    pub cosign: Vec<(&'static str, Built)>,
    /// What refers to the image or to something that refers to it or stands in it, in the order of pushing.
    pub referrers: Vec<Built>,
}

/// Signed in the old way and in the new, with an SBOM, whose signature refers to it; of an index the first image has
/// an SBOM of its own.
pub fn signed(image: Built) -> Signed {
    let mut signature = cosign_signature();
    signature.bytes = String::from_utf8(signature.bytes).unwrap().replace("}]}", "}]}\n").into_bytes();
    let sbom = referrer("application/spdx+json", &image, r#"{"spdxVersion":"SPDX-2.3","name":"of the whole"}"#);
    let mut referrers = vec![
        referrer("application/vnd.dev.cosign.artifact.sig.v1+json", &image, "signature of the image"),
        sbom.clone(),
        referrer("application/vnd.cncf.notary.signature", &sbom, "signature of the SBOM"),
    ];
    if let Some(child) = image.children.first() {
        referrers.push(referrer("application/spdx+json", child, r#"{"spdxVersion":"SPDX-2.3","name":"of one"}"#));
    }
    Signed { image, cosign: vec![("sig", signature)], referrers }
}

impl Signed {
    /// The tag that cosign gives to what it leaves.
    pub fn cosign_tag(&self, end: &str) -> String {
        format!("{}.{end}", self.image.digest().replace(':', "-"))
    }

    /// Pushes all of it and returns the digest of the image.
    pub fn push(&self, client: &Client, repository: &str, tag: &str) -> String {
        let digest = client.push(repository, tag, &self.image);
        for (end, built) in &self.cosign {
            client.push(repository, &self.cosign_tag(end), built);
        }
        for built in &self.referrers {
            client.refer(repository, built);
        }
        digest
    }

    /// Pairs of a subject and what refers to it, by digest and in order.
    pub fn references(&self) -> Vec<(String, String)> {
        let subject = |built: &Built| -> String {
            let body: Value = serde_json::from_slice(&built.bytes).unwrap();
            body["subject"]["digest"].as_str().unwrap().to_owned()
        };
        let mut pairs: Vec<_> = self.referrers.iter().map(|built| (subject(built), built.digest())).collect();
        pairs.sort();
        pairs
    }
}

/// Pushes an image of so many layers with that many random bytes in all, and returns its digest.
pub fn push_large(client: &Client, repository: &str, tag: &str, layers: u64, bytes: u64, seed: u64) -> String {
    let mut list = Vec::new();
    let mut archives = Vec::new();
    for layer in 0..layers {
        let layer = noise(seed * 1000 + layer + 1, bytes / layers / 512 * 512);
        let size = layer.packed_length();
        let (digest, archive) = client.stream(repository, layer);
        list.push(json!({"mediaType": types::OCI_LAYER, "digest": digest, "size": size}));
        archives.push(archive);
    }
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-08-20T10:00:00Z",
        "config": {"Labels": {"git_revision": format!("noise {seed}")}},
        "rootfs": {"type": "layers", "diff_ids": archives},
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST,
        "config": descriptor(types::OCI_CONFIG, &config), "layers": list,
    });
    let built = Built { blobs: vec![config], ..Built::raw(types::OCI_MANIFEST, format!("{manifest:#}")) };
    client.push(repository, tag, &built);
    digest(&built.bytes)
}
