//! A manifest or index as its bytes, with what they say: what is read is what is written, byte for byte.

use crate::error::Error;
use crate::pure::image::{Content, Digest};
use std::sync::Arc;

/// A manifest or index with its bytes.
#[derive(Clone, Debug)]
pub struct RawManifest {
    /// The hash of the bytes.
    pub digest: Digest,
    /// The media type it was served with, without parameters.
    pub media_type: String,
    /// The bytes as received; shared, for they may be large and are held where they are sent from.
    pub body: Arc<[u8]>,
    /// What they say.
    pub content: Content,
}

impl RawManifest {
    /// Reads what was served under a digest; that the bytes have it is the caller's to see to.
    ///
    /// # Errors
    /// Those of [`Content::parse`].
    pub fn parse(digest: Digest, body: impl Into<Arc<[u8]>>, content_type: Option<&str>) -> Result<Self, Error> {
        let body = body.into();
        let content = Content::parse(&body, content_type)?;
        Ok(Self { digest, media_type: content.media_type().as_str().to_owned(), body, content })
    }

    /// A manifest that is made here.
    ///
    /// # Errors
    /// As [`RawManifest::parse`].
    pub fn of(body: Vec<u8>, content_type: &str) -> Result<Self, Error> {
        Self::parse(Digest::of(&body), body, Some(content_type))
    }
}
