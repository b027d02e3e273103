//! What a manifest says it is.
//!
//! Names: OCI image specification, "Media Types", and the Docker types that came before it.

use std::fmt;

/// What every request for a manifest accepts; without it old servers convert, or answer with schema 1.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// What the distribution API accepts besides, for the artifacts of a kind that is retired.
pub const RETIRED: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// An OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const SCHEMA1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// The media type of a manifest or index, in lower case and without parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaType(String);

impl MediaType {
    /// Reads a media type; parameters are dropped and case does not matter.
    pub fn parse(text: &str) -> Self {
        Self(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// The text, as a `Content-Type` header has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a kind of its own, as `application/json` does not.
    pub fn is_of_a_kind(&self) -> bool {
        self.0.starts_with("application/vnd.")
    }

    /// Whether it is a list of manifests.
    pub fn is_index(&self) -> bool {
        [OCI_INDEX, DOCKER_LIST].contains(&self.as_str())
    }

    /// Whether it is one manifest.
    pub fn is_manifest(&self) -> bool {
        [OCI_MANIFEST, DOCKER_MANIFEST].contains(&self.as_str())
    }

    /// Whether it is of the retired schema 1, with signatures or without.
    pub fn is_schema1(&self) -> bool {
        SCHEMA1.contains(&self.as_str())
    }

    /// Whether it is none of these.
    pub fn is_other(&self) -> bool {
        !(self.is_index() || self.is_manifest() || self.is_schema1())
    }
}

/// Whether this is the media type of the config blob of a container image.
pub fn is_image_config(media_type: &str) -> bool {
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"]
        .iter()
        .any(|kind| kind.eq_ignore_ascii_case(media_type))
}

/// Whether this is the media type of a layer of files, or nothing says that it is not.
pub fn is_layer(media_type: &str) -> bool {
    media_type.is_empty() || ["image.layer", "image.rootfs"].iter().any(|part| media_type.contains(part))
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_read_without_parameters_and_case() {
        for (text, expected) in [
            (OCI_INDEX, OCI_INDEX),
            ("Application/VND.oci.image.manifest.v1+JSON ; charset=utf-8", OCI_MANIFEST),
            ("text/html", "text/html"),
            ("", ""),
        ] {
            let read = MediaType::parse(text);
            assert_eq!((read.as_str(), read.to_string()), (expected, expected.to_owned()));
        }
    }

    #[test]
    fn every_media_type_is_of_one_kind() {
        for (texts, kind) in [
            ([OCI_INDEX, DOCKER_LIST], [true, false, false, false]),
            ([OCI_MANIFEST, DOCKER_MANIFEST], [false, true, false, false]),
            (SCHEMA1, [false, false, true, false]),
            (["text/html", ""], [false, false, false, true]),
        ] {
            for text in texts {
                let read = MediaType::parse(text);
                assert_eq!([read.is_index(), read.is_manifest(), read.is_schema1(), read.is_other()], kind, "{text}");
            }
        }
    }

    #[test]
    fn the_accepted_types_are_the_indexes_and_manifests() {
        let accepted: Vec<MediaType> = ACCEPT.split(", ").map(MediaType::parse).collect();
        assert_eq!(accepted.len(), 4);
        assert!(accepted.iter().all(|each| each.is_index() != each.is_manifest() && !each.is_schema1()));
    }
}
