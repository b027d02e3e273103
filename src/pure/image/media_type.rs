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

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
const SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// The media type of a manifest or index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// An OCI index.
    OciIndex,
    /// An OCI manifest.
    OciManifest,
    /// Docker's index.
    DockerList,
    /// Docker's manifest.
    DockerManifest,
    /// The retired schema 1.
    Schema1,
    /// The retired schema 1 with signatures.
    Schema1Signed,
    /// Anything else, in lower case and without parameters.
    Other(String),
}

impl MediaType {
    /// Reads a media type; parameters are dropped and case does not matter.
    pub fn parse(text: &str) -> Self {
        let bare = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match &*bare {
            OCI_INDEX => MediaType::OciIndex,
            OCI_MANIFEST => MediaType::OciManifest,
            DOCKER_LIST => MediaType::DockerList,
            DOCKER_MANIFEST => MediaType::DockerManifest,
            SCHEMA1 => MediaType::Schema1,
            SCHEMA1_SIGNED => MediaType::Schema1Signed,
            _ => MediaType::Other(bare),
        }
    }

    /// The text, as a `Content-Type` header has it.
    pub fn as_str(&self) -> &str {
        match self {
            MediaType::OciIndex => OCI_INDEX,
            MediaType::OciManifest => OCI_MANIFEST,
            MediaType::DockerList => DOCKER_LIST,
            MediaType::DockerManifest => DOCKER_MANIFEST,
            MediaType::Schema1 => SCHEMA1,
            MediaType::Schema1Signed => SCHEMA1_SIGNED,
            MediaType::Other(text) => text,
        }
    }

    /// Whether it names a kind of its own, as `application/json` does not.
    pub fn is_of_a_kind(&self) -> bool {
        self.as_str().starts_with("application/vnd.")
    }

    /// Whether it is a list of manifests.
    pub fn is_index(&self) -> bool {
        matches!(self, MediaType::OciIndex | MediaType::DockerList)
    }

    /// Whether it is one manifest.
    pub fn is_manifest(&self) -> bool {
        matches!(self, MediaType::OciManifest | MediaType::DockerManifest)
    }

    /// Whether it is of the retired schema 1.
    pub fn is_schema1(&self) -> bool {
        matches!(self, MediaType::Schema1 | MediaType::Schema1Signed)
    }
}

/// Whether this is the media type of the config blob of a container image.
pub fn is_image_config(media_type: &str) -> bool {
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"]
        .iter()
        .any(|kind| kind.eq_ignore_ascii_case(media_type))
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_read_without_parameters_and_case() {
        for (text, expected) in [
            (OCI_INDEX, MediaType::OciIndex),
            ("Application/VND.oci.image.manifest.v1+JSON ; charset=utf-8", MediaType::OciManifest),
            (DOCKER_LIST, MediaType::DockerList),
            (DOCKER_MANIFEST, MediaType::DockerManifest),
            (SCHEMA1, MediaType::Schema1),
            (SCHEMA1_SIGNED, MediaType::Schema1Signed),
            ("text/html", MediaType::Other("text/html".to_owned())),
            ("", MediaType::Other(String::new())),
        ] {
            let parsed = MediaType::parse(text);
            assert_eq!(parsed, expected);
            assert_eq!(MediaType::parse(parsed.as_str()), parsed);
        }
    }

    #[test]
    fn the_accepted_types_are_the_indexes_and_manifests() {
        let accepted: Vec<MediaType> = ACCEPT.split(", ").map(MediaType::parse).collect();
        assert_eq!(accepted.len(), 4);
        assert!(accepted.iter().all(|each| each.is_index() != each.is_manifest() && !each.is_schema1()));
    }
}
