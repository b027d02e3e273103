//! What a registry answers for a reference: a manifest or an index, told apart and checked.
//!
//! Errors name no reference; the caller knows it and adds it.
//!
//! Rules: OCI image specification, "Image Manifest" and "Image Index"; a body that could be read as
//! either is refused.

use crate::error::{Code, Error};
use crate::pure::image::descriptor::strings;
use crate::pure::image::media_type::is_image_config;
use crate::pure::image::{Artifact, Descriptor, Index, Manifest, MediaType, OCI_INDEX, OCI_MANIFEST};
use crate::pure::text::{json, quoted};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// A manifest, an index, or something else that registries keep like these.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a command holds a handful of these")]
pub enum Content {
    /// One image, or another artifact.
    Image(Manifest),
    /// A list of manifests.
    Index(Index),
    /// What is neither, of a kind of its own.
    Artifact(Artifact),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a manifest")]
struct ManifestDocument {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    #[serde(default, deserialize_with = "lenient")]
    blobs: Vec<Descriptor>,
    fs_layers: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "strings")]
    annotations: BTreeMap<String, String>,
    artifact_type: Option<String>,
}

impl Content {
    /// Reads a body with the `Content-Type` it came with.
    ///
    /// # Errors
    /// `schema1-unsupported`; `reply-malformed` for everything that is not a manifest, or contradicts itself or its header.
    pub fn parse(body: &[u8], content_type: Option<&str>) -> Result<Self, Error> {
        let header = content_type.map(MediaType::parse);
        if header.as_ref().is_some_and(MediaType::is_schema1) {
            return Err(schema1());
        }
        let wire: ManifestDocument = serde_json::from_slice(body).map_err(|error| unreadable(body, &error))?;
        match wire.schema_version {
            Some(1) => return Err(schema1()),
            None if wire.fs_layers.is_some() => return Err(schema1()),
            Some(2) | None => {}
            Some(other) => {
                return Err(malformed(format!("the manifest has `schemaVersion` {other}, which is unknown")));
            }
        }
        let written = wire.media_type.as_deref().map(MediaType::parse);
        if let (Some(written), Some(header)) = (&written, &header)
            && written != header
        {
            let (written, header) = (quoted(written.as_str()), quoted(header.as_str()));
            return Err(malformed(format!("the manifest says it is {written}, its `Content-Type` says {header}")));
        }
        if wire.manifests.is_some() && (wire.config.is_some() || wire.layers.is_some()) {
            return Err(malformed("the manifest holds both `manifests` and `config` or `layers`"));
        }
        match written.or(header) {
            Some(media_type) if media_type.is_schema1() => Err(schema1()),
            Some(media_type) if media_type.is_index() => wire.index(media_type),
            Some(media_type) if media_type.is_manifest() => wire.manifest(media_type),
            // A header such as `application/json` says nothing; the members decide.
            _ if wire.manifests.is_some() => wire.index(MediaType::parse(OCI_INDEX)),
            _ if wire.config.is_some() => wire.manifest(MediaType::parse(OCI_MANIFEST)),
            Some(media_type) if wire.media_type.is_some() || media_type.is_of_a_kind() => {
                Ok(Content::Artifact(Artifact {
                    media_type,
                    blobs: wire.blobs,
                    annotations: wire.annotations,
                    artifact_type: wire.artifact_type,
                }))
            }
            _ => Err(malformed("the reply is JSON, but neither a manifest nor an index")),
        }
    }

    /// The media type it came with.
    pub fn media_type(&self) -> &MediaType {
        match self {
            Content::Image(manifest) => &manifest.media_type,
            Content::Index(index) => &index.media_type,
            Content::Artifact(artifact) => &artifact.media_type,
        }
    }

    /// All that it names: config and layers, the entries of an index, or blobs.
    pub fn parts(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, others) = match self {
            Content::Image(manifest) => (Some(&manifest.config), &manifest.layers),
            Content::Index(index) => (None, &index.manifests),
            Content::Artifact(artifact) => (None, &artifact.blobs),
        };
        config.into_iter().chain(others)
    }

    /// What it is where it is no container image: what it says itself, else what its config or its layers are, or all
    /// that an index names. `None` for an image, and where nothing says.
    pub fn artifact_type(&self) -> Option<&str> {
        let (own, other) = match self {
            Content::Image(manifest) => (&manifest.artifact_type, manifest.kind()),
            Content::Index(index) => (&index.artifact_type, index.kind()),
            Content::Artifact(artifact) => (&artifact.artifact_type, None),
        };
        let is_other = |kind: &&str| !kind.is_empty() && !is_image_config(kind);
        own.as_deref().filter(is_other).or(other).filter(is_other)
    }
}

impl ManifestDocument {
    fn index(self, media_type: MediaType) -> Result<Content, Error> {
        if self.config.is_some() || self.layers.is_some() {
            return Err(malformed(format!("the index of media type `{media_type}` holds `config` or `layers`")));
        }
        Ok(Content::Index(Index {
            media_type,
            manifests: self.manifests.unwrap_or_default(),
            annotations: self.annotations,
            artifact_type: self.artifact_type,
        }))
    }

    fn manifest(self, media_type: MediaType) -> Result<Content, Error> {
        let Some(config) = self.config else {
            return Err(malformed(format!("the manifest of media type `{media_type}` has no `config`")));
        };
        Ok(Content::Image(Manifest {
            media_type,
            config,
            layers: self.layers.unwrap_or_default(),
            annotations: self.annotations,
            artifact_type: self.artifact_type,
        }))
    }
}

/// Reads descriptors where there are any; what else stands under that name is nothing.
fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Descriptor>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(Vec::deserialize(value).unwrap_or_default())
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(Code::ReplyMalformed, message)
}

fn schema1() -> Error {
    Error::new(Code::Schema1Unsupported, "the manifest is of schema 1, which is retired")
        .hint("rebuild the image, or push it again with a current tool")
}

/// Says what a body is that cannot be read as JSON of the wanted shape.
pub(super) fn unreadable(body: &[u8], error: &serde_json::Error) -> Error {
    let start = body.trim_ascii_start();
    if start.is_empty() {
        malformed("the reply is empty")
    } else if start.starts_with(b"<") {
        malformed("the reply is HTML or XML, not JSON")
            .hint("check that the address is a registry, and the proxy in between")
    } else if error.is_data() {
        malformed("the reply is JSON of another shape").cause(json::why(error))
    } else if error.is_eof() {
        malformed("the reply is JSON that ends early").cause(json::why(error))
    } else {
        malformed("the reply is not JSON").cause(json::why(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

    /// Fills in `<D>` with a descriptor and `<I>` with a config descriptor; `'` stands for `"`.
    fn json(text: &str) -> String {
        let descriptor = |kind: &str| format!("{{'mediaType':'{kind}','digest':'{DIGEST}','size':2}}");
        let config = descriptor("application/vnd.oci.image.config.v1+json");
        text.replace("<D>", &descriptor(OCI_MANIFEST)).replace("<I>", &config).replace('\'', "\"")
    }

    #[test]
    fn bodies_are_told_apart_by_header_member_or_shape() {
        for (body, header, expected) in [
            ("{'schemaVersion':2,'manifests':[<D>]}", Some(OCI_INDEX), OCI_INDEX),
            ("{'schemaVersion':2,'manifests':[<D>]}", None, OCI_INDEX),
            ("{'schemaVersion':2,'manifests':null}", Some(OCI_INDEX), OCI_INDEX),
            ("{'schemaVersion':2,'mediaType':'application/vnd.oci.image.index.v1+json'}", None, OCI_INDEX),
            ("{'schemaVersion':2,'config':<I>,'layers':[<D>]}", None, OCI_MANIFEST),
            ("{'config':<I>,'layers':null}", Some("application/json"), OCI_MANIFEST),
            ("{'schemaVersion':2,'config':<I>,'layers':[]}", Some(DOCKER_MANIFEST), DOCKER_MANIFEST),
            (
                "{'schemaVersion':2,'mediaType':'application/vnd.oci.image.manifest.v1+json','config':<I>,'layers':[],'annotations':null,'subject':<D>}",
                Some("Application/vnd.oci.image.manifest.v1+json;charset=utf-8"),
                OCI_MANIFEST,
            ),
        ] {
            let content = Content::parse(json(body).as_bytes(), header).unwrap();
            assert_eq!(content.media_type().as_str(), expected, "{body}");
            assert_eq!(matches!(content, Content::Index(_)), expected == OCI_INDEX);
        }
    }

    #[test]
    fn contradictions_and_other_things_are_refused() {
        use Code::{ReplyMalformed, Schema1Unsupported};
        let deep = "[".repeat(100_000);
        for (body, header, code, message) in [
            ("", None, ReplyMalformed, "the reply is empty"),
            (" \n", Some(OCI_INDEX), ReplyMalformed, "the reply is empty"),
            ("<!DOCTYPE html>", Some(OCI_INDEX), ReplyMalformed, "HTML"),
            ("Not here", None, ReplyMalformed, "not JSON"),
            ("{'manifests':[<D>", None, ReplyMalformed, "ends early"),
            ("{'manifests':[<D>]} x", None, ReplyMalformed, "not JSON"),
            ("[]", None, ReplyMalformed, "another shape"),
            ("{}", None, ReplyMalformed, "neither"),
            ("{'errors':[]}", Some("application/json"), ReplyMalformed, "neither"),
            ("{'manifests':[<D>],'manifests':[]}", None, ReplyMalformed, "another shape"),
            ("{'manifests':[{'digest':'sha256:00','size':1}]}", None, ReplyMalformed, "another shape"),
            ("{'manifests':[<D>],'layers':[]}", None, ReplyMalformed, "both"),
            ("{'manifests':[<D>],'config':<I>}", Some(OCI_INDEX), ReplyMalformed, "both"),
            ("{'config':<I>,'layers':[]}", Some(OCI_INDEX), ReplyMalformed, "holds `config`"),
            ("{'layers':[]}", Some(OCI_INDEX), ReplyMalformed, "holds `config`"),
            ("{'manifests':[<D>]}", Some(OCI_MANIFEST), ReplyMalformed, "has no `config`"),
            ("{'layers':[]}", None, ReplyMalformed, "neither"),
            ("{'schemaVersion':3,'manifests':[<D>]}", None, ReplyMalformed, "`schemaVersion` 3"),
            (
                "{'mediaType':'application/vnd.oci.image.manifest.v1+json','config':<I>,'layers':[]}",
                Some(DOCKER_MANIFEST),
                ReplyMalformed,
                "its `Content-Type` says",
            ),
            ("{'schemaVersion':1,'fsLayers':[]}", None, Schema1Unsupported, "schema 1"),
            ("{'fsLayers':[{'blobSum':'x'}]}", None, Schema1Unsupported, "schema 1"),
            (
                "{'mediaType':'application/vnd.docker.distribution.manifest.v1+json','manifests':[<D>]}",
                None,
                Schema1Unsupported,
                "schema 1",
            ),
            ("x", Some("application/vnd.docker.distribution.manifest.v1+prettyjws"), Schema1Unsupported, "schema 1"),
            (&deep, None, ReplyMalformed, "the reply is"),
        ] {
            let error = Content::parse(json(body).as_bytes(), header).unwrap_err();
            assert_eq!(error.code(), code, "{body}: {error}");
            assert!(error.message().contains(message), "{body}: {error}");
        }
    }

    #[test]
    fn other_kinds_are_kept_as_they_are_with_the_blobs_that_they_name() {
        let retired = "application/vnd.oci.artifact.manifest.v1+json";
        for (body, header, kind, blobs) in [
            (format!("{{'mediaType':'{retired}','blobs':[<D>],'subject':<D>}}"), None, retired, 1),
            (format!("{{'mediaType':'{retired}'}}"), Some(retired), retired, 0),
            (
                "{'blobs':7}".to_owned(),
                Some("application/vnd.example.thing+json"),
                "application/vnd.example.thing+json",
                0,
            ),
        ] {
            let Content::Artifact(artifact) = Content::parse(json(&body).as_bytes(), header).unwrap() else {
                panic!("{body} is of another kind");
            };
            assert_eq!((artifact.media_type.as_str(), artifact.blobs.len()), (kind, blobs));
        }
    }

    #[test]
    fn the_parts_of_each_kind_are_all_that_it_names() {
        let config = "application/vnd.oci.image.config.v1+json";
        for (body, expected) in [
            ("{'config':<I>,'layers':[<D>,<D>]}", &[config, OCI_MANIFEST, OCI_MANIFEST][..]),
            ("{'manifests':[<D>,<I>]}", &[OCI_MANIFEST, config]),
            ("{'mediaType':'application/vnd.oci.artifact.manifest.v1+json','blobs':[<D>]}", &[OCI_MANIFEST]),
        ] {
            let content = Content::parse(json(body).as_bytes(), None).unwrap();
            let kinds: Vec<&str> = content.parts().map(|part| &*part.media_type).collect();
            assert_eq!(kinds, expected, "{body}");
        }
    }

    #[test]
    fn images_leave_attestations_out_and_keep_nested_indexes() {
        let attestation = format!(
            "{{'mediaType':'{OCI_MANIFEST}','digest':'{DIGEST}','size':3,'platform':{{'os':'unknown','architecture':'unknown'}}}}"
        );
        let nested = format!("{{'mediaType':'{OCI_INDEX}','digest':'{DIGEST}','size':4}}");
        let body = json(&format!("{{'schemaVersion':2,'manifests':[<D>,{attestation},{nested},<I>]}}"));
        let Content::Index(index) = Content::parse(body.as_bytes(), None).unwrap() else {
            panic!("an index is an index");
        };
        assert_eq!(index.manifests.len(), 4);
        assert_eq!(index.images().map(|image| image.size).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn what_is_no_image_tells_its_type() {
        let (chart, empty) = ("application/vnd.cncf.helm.config.v1+json", "application/vnd.oci.empty.v1+json");
        let (layer, signature) =
            ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.dev.cosign.simplesigning.v1+json");
        let blob = |kind: &str| format!("{{'mediaType':'{kind}','digest':'{DIGEST}','size':2}}");
        let typed = |kind: &str| blob(OCI_MANIFEST).replace("'size'", &format!("'artifactType':'{kind}','size'"));
        for (body, expected) in [
            (format!("{{'config':<I>,'layers':[{}]}}", blob(layer)), None),
            ("{'config':<I>,'layers':[]}".to_owned(), None),
            (format!("{{'config':<I>,'layers':[{},{}]}}", blob(signature), blob(layer)), None),
            (format!("{{'config':<I>,'layers':[{}]}}", blob(signature)), Some(signature)),
            (format!("{{'config':{},'layers':[{}]}}", blob(chart), blob(layer)), Some(chart)),
            (format!("{{'config':{},'artifactType':'a/b','layers':[]}}", blob(empty)), Some("a/b")),
            (format!("{{'config':{},'artifactType':'','layers':[]}}", blob(empty)), Some(empty)),
            (
                "{'mediaType':'application/vnd.oci.artifact.manifest.v1+json','artifactType':'a/b'}".to_owned(),
                Some("a/b"),
            ),
            ("{'mediaType':'application/vnd.oci.artifact.manifest.v1+json'}".to_owned(), None),
            ("{'manifests':[]}".to_owned(), None),
            ("{'manifests':[<D>]}".to_owned(), None),
            ("{'manifests':[<D>],'artifactType':'a/b'}".to_owned(), Some("a/b")),
            (format!("{{'manifests':[{},{}]}}", typed("a/b"), typed("a/b")), Some("a/b")),
            (format!("{{'manifests':[{},{}]}}", typed("a/b"), typed("a/c")), None),
            (format!("{{'manifests':[{},<D>]}}", typed("a/b")), None),
        ] {
            let content = Content::parse(json(&body).as_bytes(), None).unwrap();
            assert_eq!(content.artifact_type(), expected, "{body}");
        }
    }

    #[test]
    fn a_manifest_is_an_image_by_its_config() {
        for (kind, expected) in [
            ("application/vnd.oci.image.config.v1+json", true),
            ("application/vnd.docker.container.image.v1+json", true),
            ("application/vnd.oci.empty.v1+json", false),
            ("application/vnd.cncf.helm.config.v1+json", false),
            ("", false),
        ] {
            let body = json("{'config':<I>,'layers':[]}").replace("application/vnd.oci.image.config.v1+json", kind);
            let Content::Image(manifest) = Content::parse(body.as_bytes(), None).unwrap() else {
                panic!("a manifest is a manifest");
            };
            assert_eq!(manifest.is_image(), expected, "{kind}");
        }
    }
}
