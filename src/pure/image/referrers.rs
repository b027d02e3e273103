//! What belongs to a digest: manifests that name it as their subject, and tags made from it.
//!
//! Rules: OCI distribution specification, "Listing Referrers" and "Referrers Tag Schema"; the tag
//! endings are those of cosign's older scheme.

use super::content::Content;
use super::descriptor::Descriptor;
use super::digest::Digest;
use super::tag::Tag;
use crate::error::{Code, Error};

/// The tag that holds the referrers of a digest where the registry does not list them itself.
pub fn fallback_tag(digest: &Digest) -> Tag {
    derived(digest, "")
}

/// The tags that hold signature, attestations and bill of materials of a digest.
pub fn cosign_tags(digest: &Digest) -> [Tag; 3] {
    [".sig", ".att", ".sbom"].map(|ending| derived(digest, ending))
}

fn derived(digest: &Digest, ending: &str) -> Tag {
    // The specification cuts the hash to 64 digits, so that sha512 fits into a tag.
    let text = format!("{}-{}{ending}", digest.algorithm(), &digest.hex()[..64]);
    Tag::parse(&text).expect("an algorithm, a hyphen, 64 digits and a short ending are a tag")
}

/// Reads a list of referrers.
///
/// # Errors
/// `reply-malformed` where the body is not an index.
pub fn parse(body: &[u8]) -> Result<Vec<Descriptor>, Error> {
    match Content::parse(body, None)? {
        Content::Index(index) => Ok(index.manifests),
        Content::Image(_) => {
            Err(Error::new(Code::ReplyMalformed, "the list of referrers is a manifest where an index is wanted"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_made_from_digests() {
        let hex = "0123456789abcdef".repeat(4);
        for (text, expected) in [
            (format!("sha256:{hex}"), format!("sha256-{hex}")),
            (format!("sha512:{hex}{hex}"), format!("sha512-{hex}")),
        ] {
            let digest = Digest::parse(&text).unwrap();
            assert_eq!(fallback_tag(&digest).as_str(), expected);
            assert!(fallback_tag(&digest).is_digest_derived());
            let tags = cosign_tags(&digest).map(|tag| tag.to_string());
            assert_eq!(tags, [".sig", ".att", ".sbom"].map(|ending| format!("{expected}{ending}")));
        }
    }

    #[test]
    fn lists_of_referrers_are_read() {
        let digest = Digest::of(b"{}");
        let entry = format!(r#"{{"mediaType":"x","digest":"{digest}","size":2,"artifactType":"sig"}}"#);
        for (body, expected) in [
            (r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(), 0),
            (format!(r#"{{"schemaVersion":2,"manifests":[{entry},{entry}]}}"#), 2),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap().len(), expected);
        }
        for bad in ["", "404 page not found", "{}", &format!(r#"{{"config":{entry},"layers":[]}}"#)] {
            assert_eq!(parse(bad.as_bytes()).unwrap_err().code(), Code::ReplyMalformed, "{bad}");
        }
    }
}
