//! Media type, digest and size that point at content.
//!
//! Fields: OCI image specification, "Content Descriptors".

use crate::pure::image::media_type::is_image_config;
use crate::pure::image::{Digest, MediaType, Platform};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// A descriptor; what it points at is known by its digest alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a descriptor")]
pub struct Descriptor {
    /// The media type, as written.
    #[serde(default, deserialize_with = "or_none")]
    pub media_type: String,
    /// The digest.
    #[serde(deserialize_with = "digest")]
    pub digest: Digest,
    /// The size in bytes.
    #[serde(deserialize_with = "size")]
    pub size: u64,
    /// The platform, in an index.
    pub platform: Option<Platform>,
    /// The annotations.
    #[serde(default, deserialize_with = "strings")]
    pub annotations: BTreeMap<String, String>,
    /// What the artifact is, where it says so.
    pub artifact_type: Option<String>,
    /// The content itself in base64, where it is embedded.
    pub data: Option<String>,
    /// Where else the content can be fetched, for layers that are not distributed.
    #[serde(default, deserialize_with = "or_none")]
    pub urls: Vec<String>,
}

impl Descriptor {
    /// Whether it points at an attestation about an image in the same index.
    pub fn is_attestation(&self) -> bool {
        let kind = self.annotations.get("vnd.docker.reference.type");
        kind.is_some_and(|kind| kind == "attestation-manifest")
            || self.platform.as_ref().is_some_and(Platform::is_unknown)
    }

    /// Whether it may point at an image or an index of images, by its media type, artifact type and platform.
    pub fn may_be_image(&self) -> bool {
        let media_type = MediaType::parse(&self.media_type);
        let artifact = self.artifact_type.as_deref().is_some_and(|kind| !kind.is_empty() && !is_image_config(kind));
        !artifact && !self.is_attestation() && !media_type.is_other()
    }

    /// What points at the content, without all that is said about it.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: self.size,
            platform: None,
            annotations: BTreeMap::new(),
            artifact_type: None,
            data: None,
            urls: Vec::new(),
        }
    }

    /// The embedded content, if there is any and size and digest are right.
    pub fn inline(&self) -> Option<Vec<u8>> {
        let bytes = BASE64_STANDARD.decode(self.data.as_ref()?).ok()?;
        let right = u64::try_from(bytes.len()) == Ok(self.size) && self.digest.matches(&bytes);
        right.then_some(bytes)
    }
}

/// Reads a digest of any algorithm.
fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(deserializer)?;
    Digest::parse_any(&text).map_err(|error| D::Error::custom(error.message()))
}

/// Reads a size: a number of 63 bits, by the specification and in whatever reads what is printed here.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    i64::deserialize(deserializer)?.try_into().map_err(|_| D::Error::custom("`size` is less than nothing"))
}

/// Reads what may be null, which is as good as nothing.
fn or_none<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads an object of strings; null is an empty one, and members that are no strings are left out.
pub(super) fn strings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let members = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
    let text = |(key, value)| match value {
        Value::String(text) => Some((key, text)),
        _ => None,
    };
    Ok(members.into_iter().filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::image::OCI_MANIFEST;

    const BRACES: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn read(more: &str) -> Descriptor {
        let json = format!(r#"{{"mediaType":"{}","digest":"{BRACES}","size":2{more}}}"#, OCI_MANIFEST);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn what_is_optional_may_be_null_or_absent() {
        for more in ["", r#","platform":null,"annotations":null,"urls":null,"data":null,"artifactType":null,"x":[1]"#] {
            let descriptor = read(more);
            assert_eq!((descriptor.digest.as_str(), descriptor.size), (BRACES, 2));
            assert!(descriptor.annotations.is_empty() && descriptor.urls.is_empty() && descriptor.platform.is_none());
        }
        assert_eq!(read(r#","annotations":{"a":"b","n":1}"#).annotations, BTreeMap::from([("a".into(), "b".into())]));
    }

    #[test]
    fn what_is_needed_must_be_right() {
        for bad in [
            r#"{"size":2}"#,
            r#"{"digest":"sha256:00","size":2}"#,
            &format!(r#"{{"digest":"{BRACES}"}}"#),
            &format!(r#"{{"digest":"{BRACES}","size":-1}}"#),
            &format!(r#"{{"digest":"{BRACES}","size":"2"}}"#),
            &format!(r#"{{"digest":"{BRACES}","digest":"{BRACES}","size":2}}"#),
        ] {
            assert!(serde_json::from_str::<Descriptor>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn attestations_and_artifacts_are_told_from_images() {
        for (more, attestation, image) in [
            ("", false, true),
            (r#","platform":{"os":"linux","architecture":"amd64"}"#, false, true),
            (r#","platform":{"os":"unknown","architecture":"unknown"}"#, true, false),
            (r#","annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#, true, false),
            (r#","artifactType":"application/spdx+json""#, false, false),
            (r#","artifactType":"application/vnd.oci.image.config.v1+json""#, false, true),
            (r#","artifactType":"""#, false, true),
        ] {
            let descriptor = read(more);
            assert_eq!((descriptor.is_attestation(), descriptor.may_be_image()), (attestation, image), "{more}");
        }
    }

    #[test]
    fn embedded_content_counts_only_if_size_and_digest_are_right() {
        assert_eq!(read(r#","data":"e30=""#).inline().as_deref(), Some(&b"{}"[..]));
        for data in ["", "e30", "W10=", "e30g", "%%"] {
            assert_eq!(read(&format!(r#","data":"{data}""#)).inline(), None, "{data}");
        }
        assert_eq!(read("").inline(), None);
    }
}
