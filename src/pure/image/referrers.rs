//! What belongs to a digest: manifests that name it as their subject, and tags made from it.
//!
//! Rules: OCI distribution specification, "Listing Referrers" and "Referrers Tag Schema"; the tag
//! endings are those of cosign's older scheme.

use crate::error::{Code, Error};
use crate::pure::image::{Content, Descriptor, Digest, OCI_INDEX, Tag, TagEntry};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashSet;

/// What the referrers API says of a manifest.
#[derive(Clone, Debug)]
pub enum ReferrerList {
    /// What points at it.
    Listed(Vec<Descriptor>),
    /// What it lists of what points at it, up to where its list breaks off; how it does.
    Partial(Vec<Descriptor>, Error),
    /// That there is no such API, so that a tag may tell.
    NoApi,
    /// Nothing, because the right to ask is missing; how that was refused.
    Unknown(Error),
}

/// The tag that holds the referrers of a digest where the registry does not list them itself.
pub fn fallback_tag(digest: &Digest) -> Tag {
    derived(digest, "")
}

/// The tags that hold signature, attestations and bill of materials of a digest.
pub fn cosign_tags(digest: &Digest) -> [Tag; 3] {
    [".sig", ".att", ".sbom"].map(|ending| derived(digest, ending))
}

fn derived(digest: &Digest, ending: &str) -> Tag {
    // The specification cuts algorithm and hash, so that sha512 fits into a tag.
    let cut =
        |text: &str, most: usize| text.chars().take(most).map(|c| if c == '=' || c == '+' { '-' } else { c }).collect();
    let (algorithm, hash): (String, String) = (cut(digest.algorithm(), 32), cut(digest.hex(), 64));
    let text = format!("{algorithm}-{hash}{ending}");
    Tag::parse(&text).expect("an algorithm, a hyphen, 64 digits and a short ending are a tag")
}

/// The digest that a tag was made of; `None` for other tags, and where the tag does not hold all of it.
pub fn subject(name: &str) -> Option<Digest> {
    Digest::parse(&format!("sha256:{}", name.strip_prefix("sha256-")?.get(..64)?)).ok()
}

/// The most groups that are told, and the most digests of one.
const TOLD: usize = 100;
/// The longest name of a type.
const LONGEST: usize = 255;

/// What points at an image, of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferrerGroup {
    /// The type, where it is told.
    pub artifact_type: Option<String>,
    /// How many there are.
    pub count: usize,
    /// Their digests as far as they are known, a hundred at most.
    pub digests: Vec<Digest>,
}

/// Puts what points at an image together by its type: what says so itself, and the tags of cosign's older scheme.
pub fn grouped(listed: &[Descriptor], cosign: &[TagEntry]) -> Vec<ReferrerGroup> {
    let of_tag = |entry: &TagEntry| match entry.name.rsplit('.').next() {
        Some("sig") => Some("application/vnd.dev.cosign.simplesigning.v1+json"),
        Some("att") => Some("application/vnd.dsse.envelope.v1+json"),
        _ => None,
    };
    let listed = listed.iter().map(|one| (one.artifact_type.as_deref(), Some(&one.digest)));
    let all = listed.chain(cosign.iter().map(|entry| (of_tag(entry), entry.digest.as_ref())));
    let is_told = |kind: &&str| !kind.is_empty() && kind.len() <= LONGEST;
    let mut all: Vec<(Option<&str>, Option<&Digest>)> =
        all.map(|(kind, digest)| (kind.filter(is_told), digest)).collect();
    all.sort_by_key(|(kind, _)| *kind);
    let group = |group: &[(Option<&str>, Option<&Digest>)]| ReferrerGroup {
        artifact_type: group[0].0.map(str::to_owned),
        count: group.len(),
        digests: group.iter().filter_map(|(_, digest)| *digest).take(TOLD).cloned().collect(),
    };
    all.chunk_by(|one, next| one.0 == next.0).map(group).take(TOLD).collect()
}

/// Reads a list of referrers.
///
/// # Errors
/// `reply-malformed` where the body is not an index.
pub fn parse(body: &[u8]) -> Result<Vec<Descriptor>, Error> {
    match Content::parse(body, None)? {
        Content::Index(index) => Ok(index.manifests),
        Content::Image(_) | Content::Artifact(_) => {
            Err(Error::new(Code::ReplyMalformed, "the list of referrers is a manifest where an index is wanted"))
        }
    }
}

/// How a list of referrers names a manifest: its descriptor, with its artifact type and its annotations.
pub fn entry(digest: &Digest, size: usize, content: &Content) -> Value {
    let (kind, annotations) = match content {
        Content::Image(manifest) => {
            let kind = manifest.artifact_type.as_deref().filter(|kind| !kind.is_empty());
            (Some(kind.unwrap_or(&manifest.config.media_type)), &manifest.annotations)
        }
        Content::Index(index) => (index.artifact_type.as_deref(), &index.annotations),
        Content::Artifact(artifact) => (artifact.artifact_type.as_deref(), &artifact.annotations),
    };
    let mut entry = json!({"mediaType": content.media_type().as_str(), "digest": digest.as_str(), "size": size});
    if let Some(kind) = kind {
        entry["artifactType"] = json!(kind);
    }
    if !annotations.is_empty() {
        entry["annotations"] = json!(annotations);
    }
    entry
}

/// The index under a fall-back tag with further entries; what it holds stays as it is. `None` where all are in it.
///
/// # Errors
/// `reply-malformed` where the tag holds anything but an OCI index.
pub fn with_entries(body: Option<&[u8]>, entries: &[Value]) -> Result<Option<Vec<u8>>, Error> {
    let mut index = match body {
        None => json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}),
        Some(body) => {
            parse(body)?;
            serde_json::from_slice(body).map_err(|error| crate::pure::image::content::unreadable(body, &error))?
        }
    };
    let malformed = || Error::new(Code::ReplyMalformed, "the list of referrers is not an OCI index");
    if index.get("mediaType").is_some_and(|written| written != OCI_INDEX) {
        return Err(malformed());
    }
    let list = index.get_mut("manifests").and_then(Value::as_array_mut).ok_or_else(malformed)?;
    let before = list.len();
    let digest = |entry: &Value| entry["digest"].as_str().map(str::to_owned);
    let mut known: HashSet<Option<String>> = list.iter().map(digest).collect();
    list.extend(entries.iter().filter(|&entry| known.insert(digest(entry))).cloned());
    Ok((list.len() > before).then(|| index.to_string().into_bytes()))
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
            assert!(crate::pure::image::tag::is_digest_derived(fallback_tag(&digest).as_str()));
            assert_eq!(subject(fallback_tag(&digest).as_str()), Some(digest.clone()).filter(|d| d.hex().len() == 64));
            assert_eq!(subject("sha256-12").or(subject("latest")), None);
            let tags = cosign_tags(&digest).map(|tag| tag.to_string());
            assert_eq!(tags, [".sig", ".att", ".sbom"].map(|ending| format!("{expected}{ending}")));
        }
    }

    #[test]
    fn what_no_tag_may_hold_of_a_digest_is_a_hyphen_in_its_tag() {
        let digest = Digest::parse_any("sha256+b64:a_B-c=").unwrap();
        assert_eq!(fallback_tag(&digest).as_str(), "sha256-b64-a_B-c-");
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

    #[test]
    fn referrers_are_told_by_type_and_not_without_end() {
        let one = |kind: &str, n: usize| {
            let digest = Digest::of(n.to_string().as_bytes());
            let text = json!({"digest": digest.as_str(), "size": 1, "artifactType": kind});
            serde_json::from_value::<Descriptor>(text).unwrap()
        };
        let tag = |ending: &str| TagEntry::named(format!("{}{ending}", fallback_tag(&Digest::of(b"x"))));
        let told = |listed: &[Descriptor], cosign: &[TagEntry]| -> Vec<_> {
            let groups = grouped(listed, cosign).into_iter();
            groups.map(|group| (group.artifact_type.unwrap_or_default(), group.count, group.digests.len())).collect()
        };
        let group = |kind: &str, count, digests| (kind.to_owned(), count, digests);
        let signature = "application/vnd.dev.cosign.simplesigning.v1+json";
        let attestation = "application/vnd.dsse.envelope.v1+json";
        assert_eq!(told(&[], &[]), []);
        let listed = [one("b/c", 1), one("a/b", 2), one("b/c", 3), one("", 4), one(&"x".repeat(256), 5)];
        let expected =
            [group("", 3, 2), group("a/b", 1, 1), group(signature, 1, 0), group(attestation, 1, 0), group("b/c", 2, 2)];
        assert_eq!(told(&listed, &[tag(".sig"), tag(".att"), tag(".sbom")]), expected);
        let many: Vec<_> = (0..300).map(|n| one("a/b", n)).collect();
        assert_eq!(told(&many, &[]), [group("a/b", 300, 100)]);
        let many: Vec<_> = (0..300).map(|n| one(&format!("a/{n}"), n)).collect();
        assert_eq!(told(&many, &[]).len(), 100);
    }

    #[test]
    fn entries_carry_artifact_type_and_annotations() {
        let (digest, config) = (Digest::of(b"x"), Digest::of(b"{}"));
        let config = format!(r#""config":{{"mediaType":"c/d","digest":"{config}","size":2}},"layers":[]"#);
        let index = OCI_INDEX;
        for (body, kind, annotations) in [
            (format!(r#"{{{config}}}"#), json!("c/d"), Value::Null),
            (format!(r#"{{{config},"artifactType":""}}"#), json!("c/d"), Value::Null),
            (format!(r#"{{{config},"artifactType":"a/b","annotations":{{"k":"v"}}}}"#), json!("a/b"), json!({"k":"v"})),
            (format!(r#"{{"mediaType":"{index}","manifests":[],"artifactType":"a/b"}}"#), json!("a/b"), Value::Null),
            (format!(r#"{{"mediaType":"{index}","manifests":[]}}"#), Value::Null, Value::Null),
        ] {
            let content = Content::parse(body.as_bytes(), None).unwrap();
            let entry = entry(&digest, body.len(), &content);
            assert_eq!((&entry["artifactType"], &entry["annotations"]), (&kind, &annotations), "{body}");
            assert_eq!(
                (entry["digest"].as_str(), entry["size"].as_u64()),
                (Some(digest.as_str()), Some(body.len() as u64))
            );
        }
    }

    #[test]
    fn a_list_grows_and_keeps_what_it_holds() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let entry = |digest: &Digest| json!({"mediaType": "x/y", "digest": digest.as_str(), "size": 1});
        let first = with_entries(None, &[entry(&a), entry(&a)]).unwrap().unwrap();
        assert_eq!(parse(&first).unwrap().len(), 1);
        assert_eq!(with_entries(Some(&first), &[entry(&a)]).unwrap(), None);
        let mut grown: Value = serde_json::from_slice(&first).unwrap();
        grown["annotations"] = json!({"kept": "yes"});
        grown["manifests"][0]["unknown"] = json!([1, {"two": 2}]);
        let second = with_entries(Some(grown.to_string().as_bytes()), &[entry(&a), entry(&b)]).unwrap().unwrap();
        let second: Value = serde_json::from_slice(&second).unwrap();
        assert_eq!(second["manifests"][0], grown["manifests"][0]);
        assert_eq!(
            (second["annotations"]["kept"].as_str(), second["manifests"][1]["digest"].as_str()),
            (Some("yes"), Some(b.as_str()))
        );
        let list = "application/vnd.docker.distribution.manifest.list.v2+json";
        for bad in ["", "{}", "[]", &format!(r#"{{"mediaType":"{list}","manifests":[]}}"#)] {
            assert_eq!(
                with_entries(Some(bad.as_bytes()), &[entry(&a)]).unwrap_err().code(),
                Code::ReplyMalformed,
                "{bad}"
            );
        }
    }
}
