//! The calls of Amazon ECR's own API: what is asked, and what the answers say.
//!
//! A reply of status 200 may hold nothing but failures; these come back beside the images and are
//! refusals like any other.
//!
//! Source: Amazon ECR API Reference, version 2015-09-21; Amazon ECR Public, version 2020-10-30.

use crate::error::{Code, Error};
use crate::pure::aws::answer::{moment, not_json};
use crate::pure::aws::{AwsFault, EcrHost};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Repeat, Url};
use crate::pure::image::{Digest, Identifier, Tag, media_type};
use crate::pure::text::Glob;
use crate::pure::text::words::words;
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// How many entries a page of a list may have.
const PAGE: u32 = 1000;

words! {
    /// The calls there are; a policy names them `ecr:<name>`.
    Operation {
        /// Reads manifests by tag or digest.
        BatchGetImage = "BatchGetImage",
        /// Reads where a blob can be fetched.
        GetDownloadUrlForLayer = "GetDownloadUrlForLayer",
        /// Writes a manifest under a tag.
        PutImage = "PutImage",
        /// Lists tags with their digests.
        ListImages = "ListImages",
        /// Lists tags with digests and times.
        DescribeImages = "DescribeImages",
        /// Tells whether the tags of a repository may change.
        DescribeRepositories = "DescribeRepositories",
        /// Gets a password for the registry API.
        GetAuthorizationToken = "GetAuthorizationToken",
    }
}

/// The call, not yet signed.
pub fn call(api: &Url, host: &EcrHost, operation: Operation, body: &Value) -> Request {
    let service = match host {
        EcrHost::Private(_) => "AmazonEC2ContainerRegistry_V20150921",
        EcrHost::Public => "SpencerFrontendService",
    };
    Request::new(Method::Post, api.clone())
        .repeated(Repeat::Freely)
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("X-Amz-Target", format!("{service}.{}", operation.as_str()))
        .body(body.to_string().into_bytes())
}

/// A repository as calls name it.
#[derive(Clone, Copy, Debug)]
pub struct EcrRepository<'a> {
    /// The account that owns the registry.
    pub account: &'a str,
    /// The path of the repository.
    pub path: &'a str,
}

impl EcrRepository<'_> {
    fn with(self, more: &Value) -> Value {
        let mut body = json!({"registryId": self.account, "repositoryName": self.path});
        if let (Some(all), Some(more)) = (body.as_object_mut(), more.as_object()) {
            all.extend(more.clone());
        }
        body
    }

    /// Asks for manifests, in every form there is.
    pub fn batch_get_image(self, ids: &[Identifier]) -> Value {
        let ids: Vec<Value> = ids
            .iter()
            .map(|id| match id {
                Identifier::Tag(tag) => json!({"imageTag": tag.as_str()}),
                Identifier::Digest(digest) => json!({"imageDigest": digest.as_str()}),
            })
            .collect();
        let accepted: Vec<&str> = media_type::ACCEPT.split(',').map(str::trim).collect();
        self.with(&json!({"imageIds": ids, "acceptedMediaTypes": accepted}))
    }

    /// Asks where a blob can be fetched.
    pub fn get_download_url_for_layer(self, digest: &Digest) -> Value {
        self.with(&json!({"layerDigest": digest.as_str()}))
    }

    /// Writes a manifest under a tag; the service refuses one that has another digest.
    pub fn put_image(self, manifest: &str, media_type: &str, tag: Option<&Tag>, digest: &Digest) -> Value {
        let mut body = json!({
            "imageManifest": manifest,
            "imageManifestMediaType": media_type,
            "imageDigest": digest.as_str(),
        });
        if let (Some(tag), Some(body)) = (tag, body.as_object_mut()) {
            body.insert("imageTag".to_owned(), json!(tag.as_str()));
        }
        self.with(&body)
    }

    /// Asks what kind of repository it is.
    pub fn describe_repository(self) -> Value {
        json!({"registryId": self.account, "repositoryNames": [self.path]})
    }

    /// Asks for a page of `ListImages` or `DescribeImages`, tagged images only.
    pub fn page(self, next: Option<&str>) -> Value {
        let mut more = json!({"filter": {"tagStatus": "TAGGED"}, "maxResults": PAGE});
        if let (Some(next), Some(more)) = (next, more.as_object_mut()) {
            more.insert("nextToken".to_owned(), json!(next));
        }
        self.with(&more)
    }
}

/// One manifest, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrImage {
    /// The tag that it was asked for by.
    pub tag: Option<String>,
    /// The digest that the service says it has.
    pub digest: String,
    /// The manifest.
    pub manifest: String,
    /// Its media type, where the service says it.
    pub media_type: Option<String>,
}

/// What could not be read: the tag it was asked for by, and why.
pub type EcrFailure = (Option<String>, AwsFault);

/// A tag as the lists have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrTag {
    /// The tag.
    pub tag: String,
    /// The digest it points at.
    pub digest: String,
    /// When the image was pushed; a tag's own time is not kept.
    pub pushed_at: Option<OffsetDateTime>,
}

/// A page of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrPage {
    /// The tags.
    pub tags: Vec<EcrTag>,
    /// What to ask for the next page with.
    pub next: Option<String>,
}

/// A password for the registry API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrLogin {
    /// The user, `AWS`.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// The moment from which it is refused.
    pub expires_at: Option<OffsetDateTime>,
}

/// Reads the answer to `BatchGetImage`: the images in the order of the service, and what failed, by tag.
///
/// # Errors
/// `reply-malformed`.
pub fn images(body: &[u8]) -> Result<(Vec<EcrImage>, Vec<EcrFailure>), Error> {
    let answer = read(body)?;
    let image = |one: &Value| {
        let found = (text(&one["imageId"]["imageDigest"]), text(&one["imageManifest"]));
        let (Some(digest), Some(manifest)) = found else {
            return Err(bad("an image of the answer has no digest or no manifest"));
        };
        let (tag, media_type) = (text(&one["imageId"]["imageTag"]), text(&one["imageManifestMediaType"]));
        Ok(EcrImage { tag, digest, manifest, media_type })
    };
    let failure = |one: &Value| {
        let [code, reason] = ["failureCode", "failureReason"].map(|key| text(&one[key]).unwrap_or_default());
        (text(&one["imageId"]["imageTag"]), AwsFault::listed(&code, &reason))
    };
    let images = list(&answer["images"]).iter().map(image).collect::<Result<_, _>>()?;
    Ok((images, list(&answer["failures"]).iter().map(failure).collect()))
}

/// Reads the answer to `DescribeRepositories`: which of these tags cannot change once they are there.
///
/// # Errors
/// `reply-malformed`.
pub fn kept<'t>(body: &[u8], tags: &[&'t Tag]) -> Result<Option<&'t Tag>, Error> {
    let answer = read(body)?;
    let repository = &answer["repositories"][0];
    let mutability = repository["imageTagMutability"].as_str().ok_or_else(|| bad(not_json(body)))?;
    let filters = list(&repository["imageTagMutabilityExclusionFilters"]).iter();
    let patterns: Vec<Glob> = filters.filter_map(|one| Glob::parse(one["filter"].as_str()?).ok()).collect();
    let is_kept = |tag: &&&Tag| {
        let is_excluded = patterns.iter().any(|pattern| pattern.matches(tag.as_str()));
        mutability.starts_with("IMMUTABLE") != is_excluded
    };
    Ok(tags.iter().find(is_kept).copied())
}

/// Reads the answer to `PutImage`: the digest of what was stored.
///
/// # Errors
/// `reply-malformed`.
pub fn stored(body: &[u8]) -> Result<String, Error> {
    text(&read(body)?["image"]["imageId"]["imageDigest"]).ok_or_else(|| bad("the answer does not say what was stored"))
}

/// Reads the answer to `GetDownloadUrlForLayer`.
///
/// # Errors
/// `reply-malformed`, without any part of the address, for its query is a signature.
pub fn download_url(body: &[u8]) -> Result<Url, Error> {
    let url = text(&read(body)?["downloadUrl"]).ok_or_else(|| bad(not_json(body)))?;
    Url::parse(&url).map_err(|error| bad("the download address cannot be read").cause(error.message()))
}

/// Reads a page of `ListImages` or `DescribeImages`, whichever came.
///
/// # Errors
/// `reply-malformed`.
pub fn page(body: &[u8]) -> Result<EcrPage, Error> {
    let answer = read(body)?;
    let entries = answer.get("imageIds").or(answer.get("imageDetails")).and_then(Value::as_array);
    let mut tags = Vec::new();
    for entry in entries.ok_or_else(|| bad(not_json(body)))? {
        let Some(digest) = text(&entry["imageDigest"]) else { continue };
        let pushed_at = moment(&entry["imagePushedAt"]);
        let names = text(&entry["imageTag"]).into_iter().chain(list(&entry["imageTags"]).iter().filter_map(text));
        tags.extend(names.map(|tag| EcrTag { tag, digest: digest.clone(), pushed_at }));
    }
    Ok(EcrPage { tags, next: text(&answer["nextToken"]).filter(|next| !next.is_empty()) })
}

/// Reads the answer to `GetAuthorizationToken`, of either service.
///
/// # Errors
/// `reply-malformed`, without any part of the token.
pub fn login(body: &[u8]) -> Result<EcrLogin, Error> {
    let answer = read(body)?;
    // The private service answers with a list of one, the public one with the thing itself.
    let data = answer.get("authorizationData").ok_or_else(|| bad(not_json(body)))?;
    let data = data.get(0).unwrap_or(data);
    let token = data["authorizationToken"].as_str().ok_or_else(|| bad("the answer holds no token"))?;
    let decoded = STANDARD.decode(token.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) = decoded
        .as_deref()
        .and_then(|text| text.split_once(':'))
        .ok_or_else(|| bad("the token of the answer is not user and password in Base64"))?;
    let expires_at = moment(&data["expiresAt"]);
    Ok(EcrLogin { username: username.to_owned(), password: Secret::new(password), expires_at })
}

fn read(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).ok().filter(Value::is_object).ok_or_else(|| bad(not_json(body)))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn bad(why: &str) -> Error {
    Error::new(Code::ReplyMalformed, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_which_tags_cannot_change() {
        let [latest, release] = ["latest", "1.2.3"].map(|tag| Tag::parse(tag).unwrap());
        let tags = [&latest, &release];
        for (kind, filters, expected) in [
            ("MUTABLE", json!(null), None),
            ("IMMUTABLE", json!(null), Some(&latest)),
            ("IMMUTABLE_WITH_EXCLUSION", json!([{"filterType": "WILDCARD", "filter": "la*"}]), Some(&release)),
            ("MUTABLE_WITH_EXCLUSION", json!([{"filterType": "WILDCARD", "filter": "1.*"}]), Some(&release)),
            ("MUTABLE_WITH_EXCLUSION", json!([]), None),
        ] {
            let one = json!({"imageTagMutability": kind, "imageTagMutabilityExclusionFilters": filters});
            let body = json!({"repositories": [one]}).to_string();
            assert_eq!(kept(body.as_bytes(), &tags).unwrap(), expected, "{kind}");
        }
        assert_eq!(kept(b"{}", &tags).unwrap_err().code(), Code::ReplyMalformed);
    }
    use time::macros::datetime;

    const PLACE: EcrRepository<'static> = EcrRepository { account: "123456789012", path: "team/app" };
    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn calls_name_the_service_and_the_operation() {
        let api = Url::parse("https://api.ecr.eu-west-1.amazonaws.com/").unwrap();
        let private = EcrHost::parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com").unwrap();
        for (host, target) in [
            (private, "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"),
            (EcrHost::Public, "SpencerFrontendService.GetAuthorizationToken"),
        ] {
            let request = call(&api, &host, Operation::GetAuthorizationToken, &json!({}));
            assert_eq!(request.headers.get("x-amz-target"), Some(target));
            assert_eq!(request.headers.get("content-type"), Some("application/x-amz-json-1.1"));
            assert_eq!(request.body.as_deref(), Some(&b"{}"[..]));
        }
    }

    #[test]
    fn bodies_hold_registry_repository_and_what_is_wanted() {
        let (tag, digest) = (Tag::parse("1.4.2").unwrap(), Digest::parse(DIGEST).unwrap());
        let both = [Identifier::Tag(tag.clone()), Identifier::Digest(digest.clone())];
        let types = [
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
            "application/vnd.docker.distribution.manifest.v2+json",
        ];
        let mut found = PLACE.batch_get_image(&both);
        let mut accepted: Vec<String> = serde_json::from_value(found["acceptedMediaTypes"].take()).unwrap();
        accepted.sort();
        let mut expected = types.map(str::to_owned);
        expected.sort();
        assert_eq!(accepted, expected);
        for (body, expected) in [
            (found, json!({"imageIds": [{"imageTag": "1.4.2"}, {"imageDigest": DIGEST}], "acceptedMediaTypes": null})),
            (PLACE.get_download_url_for_layer(&digest), json!({"layerDigest": DIGEST})),
            (
                PLACE.put_image("{}", types[1], Some(&tag), &digest),
                json!({"imageManifest": "{}", "imageManifestMediaType": types[1], "imageTag": "1.4.2", "imageDigest": DIGEST}),
            ),
            (PLACE.page(None), json!({"filter": {"tagStatus": "TAGGED"}, "maxResults": 1000})),
            (PLACE.page(Some("n")), json!({"filter": {"tagStatus": "TAGGED"}, "maxResults": 1000, "nextToken": "n"})),
        ] {
            let mut whole = expected;
            whole["registryId"] = json!("123456789012");
            whole["repositoryName"] = json!("team/app");
            assert_eq!(body, whole);
        }
        let asked = json!({"registryId": "123456789012", "repositoryNames": ["team/app"]});
        assert_eq!(PLACE.describe_repository(), asked);
    }

    #[test]
    fn images_and_failures_come_apart() {
        let body = json!({
            "images": [{"imageId": {"imageDigest": DIGEST, "imageTag": "a"}, "imageManifest": "{}\n", "imageManifestMediaType": "t"},
                       {"imageId": {"imageDigest": "d"}, "imageManifest": "x"}],
            "failures": [{"imageId": {"imageTag": "b"}, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}],
        });
        let (found, failures) = images(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            found,
            [
                EcrImage {
                    tag: Some("a".into()),
                    digest: DIGEST.into(),
                    manifest: "{}\n".into(),
                    media_type: Some("t".into())
                },
                EcrImage { tag: None, digest: "d".into(), manifest: "x".into(), media_type: None },
            ]
        );
        assert_eq!((failures[0].0.as_deref(), failures[0].1.code()), (Some("b"), Code::TagUnknown));
        assert_eq!(failures.len(), 1);
        assert!(images(br#"{"images":[{"imageId":{"imageTag":"a"}}]}"#).is_err());
        assert_eq!(images(b"{}").unwrap(), (vec![], vec![]));
    }

    #[test]
    fn lists_give_tags_with_digests_and_times() {
        let body = json!({"imageIds": [{"imageDigest": "d", "imageTag": "a"}, {"imageDigest": "e"}], "nextToken": "n"});
        let first = page(body.to_string().as_bytes()).unwrap();
        let tagged = |tag: &str, pushed_at| EcrTag { tag: tag.into(), digest: "d".into(), pushed_at };
        assert_eq!(first, EcrPage { tags: vec![tagged("a", None)], next: Some("n".into()) });
        let text = r#"{"imageDetails":[{"imageDigest":"d","imageTags":["a","b"],"imagePushedAt":1.7E9},{"imageDigest":"e"}],"nextToken":""}"#;
        let at = Some(datetime!(2023-11-14 22:13:20 UTC));
        let second = page(text.as_bytes()).unwrap();
        assert_eq!(second, EcrPage { tags: vec![tagged("a", at), tagged("b", at)], next: None });
    }

    #[test]
    fn tokens_of_both_services_are_read() {
        let token = STANDARD.encode("AWS:pass:word");
        for body in [
            json!({"authorizationData": [{"authorizationToken": token, "expiresAt": 1.7E9, "proxyEndpoint": "p"}]}),
            json!({"authorizationData": {"authorizationToken": token, "expiresAt": 1_700_000_000.123}}),
        ] {
            let found = login(body.to_string().as_bytes()).unwrap();
            assert_eq!((found.username.as_str(), found.password.reveal()), ("AWS", "pass:word"));
            assert_eq!(found.expires_at, Some(datetime!(2023-11-14 22:13:20 UTC)));
        }
    }

    #[test]
    fn other_answers_are_malformed_and_not_repeated() {
        for (body, expected) in [
            ("", "the answer is empty"),
            ("<html>", "the answer is HTML or XML, not JSON"),
            ("{}", "the answer is not the JSON object it should be"),
            (r#"{"authorizationData":[]}"#, "the answer holds no token"),
            (
                r#"{"authorizationData":[{"authorizationToken":"c2VrcmV0"}]}"#,
                "the token of the answer is not user and password in Base64",
            ),
        ] {
            let error = login(body.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.message()), (Code::ReplyMalformed, expected), "{body}");
            assert!(!error.to_string().contains("sekret"));
        }
        let error = download_url(br#"{"downloadUrl":"ftp://h/p?X-Amz-Signature=sekret"}"#).unwrap_err();
        assert_eq!(error.code(), Code::ReplyMalformed);
        assert!(!error.to_string().contains("sekret"));
        assert_eq!(stored(br#"{"image":{"imageId":{"imageDigest":"d"}}}"#).unwrap(), "d");
        assert!(stored(b"{}").is_err());
    }
}
