//! Small images and indexes as bytes: both families, platforms, attestations, nested indexes, artifacts, schema 1.
//!
//! What is built here is what build tools push, cut down to the parts that matter.

use super::archive::tar;
use super::text::digest;
use serde_json::{Map, Value, json};

/// Media types of both families and of what is no image.
pub mod types {
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    pub const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
    pub const HELM_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    pub const IN_TOTO: &str = "application/vnd.in-toto+json";
    pub const COSIGN: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
}

/// Which family of media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The OCI image specification.
    Oci,
    /// Docker's own, version 2 schema 2.
    Docker,
}

/// A manifest or index with everything below it.
#[derive(Clone, Debug)]
pub struct Built {
    /// The media type it is pushed with.
    pub media_type: String,
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// Config and layers, of a manifest.
    pub blobs: Vec<Vec<u8>>,
    /// Manifests of an index.
    pub children: Vec<Built>,
    /// The platform that an index names it by.
    pub platform: Option<Value>,
    /// What its descriptor in an index carries besides.
    pub annotations: Option<Value>,
}

impl Built {
    /// The digest of the bytes.
    pub fn digest(&self) -> String {
        digest(&self.bytes)
    }

    /// A manifest or index of exactly these bytes.
    pub fn raw(media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            media_type: media_type.to_owned(),
            bytes,
            blobs: Vec::new(),
            children: Vec::new(),
            platform: None,
            annotations: None,
        }
    }

    /// The descriptor that an index holds for it.
    pub fn descriptor(&self) -> Value {
        let mut out = descriptor(&self.media_type, &self.bytes);
        if let Some(platform) = &self.platform {
            out["platform"] = platform.clone();
        }
        if let Some(annotations) = &self.annotations {
            out["annotations"] = annotations.clone();
        }
        out
    }
}

/// Media type, digest and size of some bytes.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// `linux/arm64/v8` as an index writes it.
pub fn platform(text: &str) -> Value {
    let mut parts = text.split('/');
    let mut out = json!({"os": parts.next().unwrap_or_default(), "architecture": parts.next().unwrap_or_default()});
    if let Some(variant) = parts.next() {
        out["variant"] = json!(variant);
    }
    out
}

/// An image of one platform, to be described and built.
#[derive(Clone, Debug)]
pub struct Image {
    family: Family,
    platform: String,
    labels: Option<Map<String, Value>>,
    created: String,
    layer: Vec<u8>,
    /// The digest of the layer once it is unpacked, where it is packed.
    archive: Option<String>,
    annotations: Option<Value>,
    subject: Option<Value>,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            family: Family::Oci,
            platform: "linux/amd64".to_owned(),
            labels: None,
            created: "2026-08-20T10:00:00Z".to_owned(),
            layer: b"not a real layer".to_vec(),
            archive: None,
            annotations: None,
            subject: None,
        }
    }
}

impl Image {
    /// An OCI image for `linux/amd64` without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// In Docker's media types.
    #[must_use]
    pub fn docker(mut self) -> Self {
        self.family = Family::Docker;
        self
    }

    /// For another platform.
    #[must_use]
    pub fn platform(mut self, platform: &str) -> Self {
        self.platform = platform.to_owned();
        self
    }

    /// With one more label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.get_or_insert_default().insert(key.to_owned(), json!(value));
        self
    }

    /// With other bytes in its only layer, so that its digest differs.
    #[must_use]
    pub fn layer(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.layer = bytes.into();
        self
    }

    /// With a real archive of one file for its only layer.
    #[must_use]
    pub fn archive(mut self, name: &str, bytes: &[u8]) -> Self {
        let (archive, packed) = tar(name, bytes);
        (self.layer, self.archive) = (packed, Some(digest(&archive)));
        self
    }

    /// Built at another time.
    #[must_use]
    pub fn created(mut self, created: &str) -> Self {
        self.created = created.to_owned();
        self
    }

    /// With annotations on the manifest.
    #[must_use]
    pub fn annotations(mut self, annotations: Value) -> Self {
        self.annotations = Some(annotations);
        self
    }

    /// Referring to another manifest.
    #[must_use]
    pub fn subject(mut self, subject: &Built) -> Self {
        self.subject = Some(descriptor(&subject.media_type, &subject.bytes));
        self
    }

    /// The bytes.
    pub fn build(&self) -> Built {
        let place = platform(&self.platform);
        let archive = self.archive.clone().unwrap_or_else(|| digest(&self.layer));
        let mut config = json!({
            "architecture": place["architecture"], "os": place["os"], "created": self.created,
            "config": {"Env": ["PATH=/bin"], "Labels": self.labels},
            "rootfs": {"type": "layers", "diff_ids": [archive]},
            "history": [{"created": self.created, "created_by": "COPY app /"}],
        });
        if let Some(variant) = place.get("variant") {
            config["variant"] = variant.clone();
        }
        let config = serde_json::to_vec(&config).unwrap();
        let (manifest_type, config_type, layer_type) = match self.family {
            Family::Oci => (types::OCI_MANIFEST, types::OCI_CONFIG, types::OCI_LAYER),
            Family::Docker => (types::DOCKER_MANIFEST, types::DOCKER_CONFIG, types::DOCKER_LAYER),
        };
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": manifest_type,
            "config": descriptor(config_type, &config), "layers": [descriptor(layer_type, &self.layer)],
        });
        if let Some(annotations) = &self.annotations {
            manifest["annotations"] = annotations.clone();
        }
        if let Some(subject) = &self.subject {
            manifest["subject"] = subject.clone();
        }
        Built {
            blobs: vec![config, self.layer.clone()],
            platform: Some(place),
            // Spread over lines and indented oddly, as no program would write it again.
            ..Built::raw(manifest_type, format!("{manifest:#}\n"))
        }
    }
}

/// A list of images by platform, to be described and built.
#[derive(Clone, Debug)]
pub struct Index {
    family: Family,
    children: Vec<Built>,
    annotations: Option<Value>,
}

impl Index {
    /// An OCI index of these.
    pub fn of(children: impl IntoIterator<Item = Built>) -> Self {
        Self { family: Family::Oci, children: children.into_iter().collect(), annotations: None }
    }

    /// As a Docker manifest list.
    #[must_use]
    pub fn docker(mut self) -> Self {
        self.family = Family::Docker;
        self
    }

    /// With an attestation of BuildKit's kind for each image in it.
    #[must_use]
    pub fn attested(mut self) -> Self {
        let attestations: Vec<Built> = self.children.iter().map(attestation).collect();
        self.children.extend(attestations);
        self
    }

    /// With one more entry.
    #[must_use]
    pub fn and(mut self, child: Built) -> Self {
        self.children.push(child);
        self
    }

    /// With annotations on the index.
    #[must_use]
    pub fn annotations(mut self, annotations: Value) -> Self {
        self.annotations = Some(annotations);
        self
    }

    /// The bytes.
    pub fn build(&self) -> Built {
        let media_type = match self.family {
            Family::Oci => types::OCI_INDEX,
            Family::Docker => types::DOCKER_LIST,
        };
        let manifests: Vec<Value> = self.children.iter().map(Built::descriptor).collect();
        let mut index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        if let Some(annotations) = &self.annotations {
            index["annotations"] = annotations.clone();
        }
        Built { children: self.children.clone(), ..Built::raw(media_type, format!("{index:#}")) }
    }
}

/// What BuildKit pushes beside an image: provenance, in an entry for `unknown/unknown`.
pub fn attestation(of: &Built) -> Built {
    let statement = json!({"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": of.digest()}]});
    let statement = statement.to_string().into_bytes();
    let config = br#"{"architecture":"unknown","os":"unknown","config":{}}"#.to_vec();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST,
        "config": descriptor(types::OCI_CONFIG, &config), "layers": [descriptor(types::IN_TOTO, &statement)],
    });
    Built {
        blobs: vec![config, statement],
        platform: Some(json!({"architecture": "unknown", "os": "unknown"})),
        annotations: Some(json!({
            "vnd.docker.reference.digest": of.digest(), "vnd.docker.reference.type": "attestation-manifest",
        })),
        ..Built::raw(types::OCI_MANIFEST, manifest.to_string())
    }
}

/// What `helm push` stores.
pub fn helm_chart() -> Built {
    artifact(types::HELM_CONFIG, br#"{"name":"chart","version":"1.2.3"}"#, types::HELM_LAYER)
}

/// What `oras push` stores: an artifact with the empty config.
pub fn generic_artifact() -> Built {
    artifact(types::OCI_EMPTY, b"{}", "text/plain")
}

/// What `cosign sign` stores under a tag made of the digest.
pub fn cosign_signature() -> Built {
    artifact(types::OCI_CONFIG, br#"{"architecture":"","os":"","config":{}}"#, types::COSIGN)
}

fn artifact(config_type: &str, config: &[u8], layer_type: &str) -> Built {
    let layer = b"payload".to_vec();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST,
        "config": descriptor(config_type, config), "layers": [descriptor(layer_type, &layer)],
    });
    Built { blobs: vec![config.to_vec(), layer], ..Built::raw(types::OCI_MANIFEST, manifest.to_string()) }
}

/// A manifest of the retired schema 1.
pub fn schema1() -> Built {
    let manifest = json!({
        "schemaVersion": 1, "name": "acme/app", "tag": "1", "architecture": "amd64",
        "fsLayers": [{"blobSum": digest(b"layer")}], "history": [{"v1Compatibility": "{\"id\":\"1\"}"}],
        "signatures": [{"header": {"alg": "ES256"}, "signature": "AA", "protected": "AA"}],
    });
    Built::raw(types::SCHEMA1, manifest.to_string())
}

/// A labelled image for `linux/amd64` and `linux/arm64` with attestations, as a pipeline builds it.
pub fn two_platforms(revision: &str, layer: &str) -> Built {
    let image = |platform: &str| {
        Image::new()
            .platform(platform)
            .label("git_revision", revision)
            .label("org.opencontainers.image.title", "serviceone")
            .layer(format!("{layer} on {platform}"))
            .build()
    };
    Index::of([image("linux/amd64"), image("linux/arm64")]).attested().build()
}
