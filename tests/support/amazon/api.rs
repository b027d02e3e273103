//! ECR's own API and the token service, of both regions.

use super::{PASSWORD, SESSION, Site, State, refusal};
use crate::support::log::Asked;
use crate::support::manifests::missing;
use crate::support::reply::Reply;
use crate::support::text::{base64, digest, form};
use serde_json::{Value, json};
use tagwright::pure::aws::sigv4::canonical_request::canonical_request;
use tagwright::pure::aws::sigv4::signature::signature;
use tagwright::pure::aws::sigv4::string_to_sign::{SignatureScope, string_to_sign};
use tagwright::secret::Secret;

/// The key id, where the signature is the one that its secret makes.
fn signer(state: &State, expected: &str, asked: &Asked) -> Result<String, Reply> {
    let bad = |name: &str| Err(refusal(name, "The security token included in the request is invalid."));
    let Some(rest) = asked.header("Authorization").and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256 ")) else {
        return bad("MissingAuthenticationTokenException");
    };
    let part = |name: &str| rest.split(", ").find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned();
    let (credential, names, given) = (part("Credential="), part("SignedHeaders="), part("Signature="));
    let parts: Vec<&str> = credential.split('/').collect();
    let [id, date, region, service, "aws4_request"] = parts[..] else { return bad("IncompleteSignatureException") };
    assert_eq!(region, expected, "signed for another region");
    let Some((secret, with_token)) = state.keys.get(id) else { return bad("UnrecognizedClientException") };
    if *with_token != asked.header("X-Amz-Security-Token").is_some() {
        return bad("UnrecognizedClientException");
    }
    let headers: Vec<(&str, &str)> =
        names.split(';').map(|name| (name, asked.header(name).unwrap_or_default())).collect();
    let query = asked.target.split_once('?').map(|(_, query)| query);
    let canonical = canonical_request(&asked.method, &asked.path, query, &headers, &asked.body);
    let timestamp = asked.header("X-Amz-Date").unwrap_or_default().to_owned();
    assert!(timestamp.starts_with(date), "the scope is of another day than the request");
    let scope = SignatureScope { timestamp, region: region.to_owned(), service: service.to_owned() };
    let computed = signature(&Secret::new(secret.clone()), &scope, &string_to_sign(&scope, &canonical.hash()));
    if computed == given { Ok(id.to_owned()) } else { bad("InvalidSignatureException") }
}

/// Who calls, where that is allowed: the role behind a session, else the key id.
fn permitted(state: &mut State, site: &Site, asked: &Asked, action: &str, path: &str) -> Result<String, Reply> {
    state.calls.push(action.to_owned());
    let id = signer(state, site.region, asked)?;
    if let Some(mut hook) = state.hook.take() {
        let reply = hook(asked, action, state.store_of(site));
        state.hook = Some(hook);
        if let Some(reply) = reply {
            return Err(reply);
        }
    }
    let identity = state.roles.get(&id).cloned().unwrap_or(id);
    if action.starts_with("sts:") {
        return Ok(identity);
    }
    match state.permits(&identity, action, site, path) {
        Ok(()) => Ok(identity),
        Err(message) => Err(refusal("AccessDeniedException", &message)),
    }
}

pub(super) fn api(state: &mut State, site: &Site, asked: &Asked) -> Reply {
    let (service, operation) = asked.header("X-Amz-Target").and_then(|t| t.split_once('.')).unwrap_or_default();
    let is_public = service == "SpencerFrontendService";
    let action = format!("{}:{operation}", if is_public { "ecr-public" } else { "ecr" });
    let site = if is_public { &super::FAR_SITE } else { site };
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    let name = body["repositoryName"].as_str().or(body["repositoryNames"][0].as_str()).unwrap_or_default().to_owned();
    let identity = match permitted(state, site, asked, &action, &name) {
        Ok(identity) => identity,
        Err(reply) => return reply,
    };
    if operation == "GetAuthorizationToken" {
        let word = if is_public { PASSWORD.to_owned() } else { state.lend(&identity, site) };
        let end = state.lifetime.map_or(3.2E10, |lifetime| now() + f64::from(lifetime));
        let token = json!({"authorizationToken": base64(format!("AWS:{word}").as_bytes()), "expiresAt": end});
        let data = if is_public { token } else { json!([token]) };
        return Reply::json(&json!({"authorizationData": data}));
    }
    let account = site.account;
    if operation == "DescribeRepositories" {
        let (kind, filters) = (if state.immutable { "IMMUTABLE" } else { "MUTABLE" }, state.exclusions.clone());
        let filters: Vec<Value> = filters.iter().map(|f| json!({"filterType": "WILDCARD", "filter": f})).collect();
        let kind = if filters.is_empty() { kind.to_owned() } else { format!("{kind}_WITH_EXCLUSION") };
        let one = json!({"imageTagMutability": kind, "imageTagMutabilityExclusionFilters": filters});
        return Reply::json(&json!({"repositories": [one]}));
    }
    assert_eq!(body["registryId"], account);
    let immutable = state.immutable;
    let (serial, open) = (state.addresses.0 + 1, format!("n={}", state.addresses.0 + 1));
    if operation == "GetDownloadUrlForLayer" {
        state.addresses.0 = serial;
        state.addresses.1.insert(serial.to_string());
    }
    let Some(repository) = state.store_of(site).repositories.get_mut(&name) else {
        let message = format!("The repository with name '{name}' does not exist in the registry with id '{account}'");
        return refusal("RepositoryNotFoundException", &message);
    };
    match operation {
        "BatchGetImage" => {
            let (mut images, mut failures) = (Vec::new(), Vec::new());
            for id in body["imageIds"].as_array().unwrap() {
                let tagged = id["imageTag"].as_str().map(|tag| repository.tags.get(tag).cloned().unwrap_or_default());
                let wanted = tagged.or_else(|| id["imageDigest"].as_str().map(str::to_owned)).unwrap_or_default();
                match repository.manifests.get(&wanted) {
                    Some((media_type, bytes)) => images.push(json!({
                        "registryId": account,
                        "repositoryName": name,
                        "imageId": {"imageDigest": wanted, "imageTag": id["imageTag"]},
                        "imageManifest": String::from_utf8(bytes.clone()).unwrap(),
                        "imageManifestMediaType": media_type,
                    })),
                    None => failures.push(json!({
                        "imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found",
                    })),
                }
            }
            Reply::json(&json!({"images": images, "failures": failures}))
        }
        "GetDownloadUrlForLayer" => {
            let layer = body["layerDigest"].as_str().unwrap();
            if !repository.blobs.contains_key(layer) {
                return refusal("LayersNotFoundException", "The specified layers could not be found.");
            }
            let port =
                asked.header("Host").unwrap().split_once(':').map(|(_, port)| format!(":{port}")).unwrap_or_default();
            let url = format!("https://{}{port}/{name}/{layer}?X-Amz-Signature=marked-signature&{open}", site.bucket);
            Reply::json(&json!({"downloadUrl": url, "layerDigest": layer}))
        }
        "PutImage" => {
            let (manifest, tag) = (body["imageManifest"].as_str().unwrap(), body["imageTag"].as_str());
            let found = digest(manifest.as_bytes());
            if body["imageDigest"] != found {
                return refusal("ImageDigestDoesNotMatchException", "The image digest does not match.");
            }
            let parsed: Value = serde_json::from_str(manifest).unwrap();
            if let Some(lost) = missing(&parsed, repository) {
                let is_index = parsed.get("manifests").is_some();
                let kind = if is_index { "ReferencedImagesNotFoundException" } else { "LayersNotFoundException" };
                return refusal(kind, &format!("'{lost}', which the image in '{name}' requires, does not exist"));
            }
            match tag.map(|tag| (tag, repository.tags.get(tag))) {
                None if repository.manifests.contains_key(&found) => {
                    return refusal("ImageAlreadyExistsException", "Image with digest already exists.");
                }
                Some((_, Some(held))) if *held == found => {
                    return refusal("ImageAlreadyExistsException", "Image with digest and tag already exists.");
                }
                Some((tag, Some(_))) if immutable => {
                    let message = format!(
                        "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the repository is immutable."
                    );
                    return refusal("ImageTagAlreadyExistsException", &message);
                }
                _ => {}
            }
            if let Some(tag) = tag {
                repository.tags.insert(tag.to_owned(), found.clone());
            }
            let media_type = body["imageManifestMediaType"].as_str().unwrap().to_owned();
            repository.manifests.insert(found.clone(), (media_type, manifest.as_bytes().to_vec()));
            Reply::json(&json!({"image": {"imageId": {"imageDigest": found, "imageTag": tag}}}))
        }
        "ListImages" | "DescribeImages" => {
            let most = usize::try_from(body["maxResults"].as_u64().unwrap_or(100)).unwrap();
            assert!(most <= 1000);
            let from: usize = body["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
            let all: Vec<(&String, &String)> = repository.tags.iter().collect();
            let page = &all[from..all.len().min(from + most)];
            let next = (from + most < all.len()).then(|| (from + most).to_string());
            let list: Vec<Value> = page
                .iter()
                .map(|(tag, held)| match operation {
                    "ListImages" => json!({"imageDigest": held, "imageTag": tag}),
                    _ => json!({"imageDigest": held, "imageTags": [tag], "imagePushedAt": 1.7E9}),
                })
                .collect();
            let key = if operation == "ListImages" { "imageIds" } else { "imageDetails" };
            Reply::json(&json!({key: list, "nextToken": next}))
        }
        other => refusal("UnknownOperationException", other),
    }
}

pub(super) fn sts(state: &mut State, site: &Site, asked: &Asked) -> Reply {
    let fields = form(&String::from_utf8(asked.body.clone()).unwrap());
    let field =
        |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default();
    let action = field("Action");
    if action == "AssumeRoleWithWebIdentity" {
        state.calls.push(format!("sts:{action}"));
        assert!(asked.header("Authorization").is_none(), "a web identity is not signed");
        if field("WebIdentityToken") != "marked-web-identity-token" {
            return sts_refusal(400, "InvalidIdentityToken", "Couldn't retrieve verification key");
        }
    } else if let Err(reply) = permitted(state, site, asked, &format!("sts:{action}"), "") {
        return reply;
    }
    if action == "GetCallerIdentity" {
        let result = json!({"Arn": "arn:aws:sts::123456789012:assumed-role/ci/build", "Account": "123456789012"});
        return Reply::json(&json!({"GetCallerIdentityResponse": {"GetCallerIdentityResult": result}}));
    }
    if field("RoleArn").ends_with("/guarded") && field("ExternalId") != "agreed" {
        let message =
            "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: sts:AssumeRole on resource: arn";
        return sts_refusal(403, "AccessDenied", message);
    }
    let id = format!("ASIAMARKED{:010}", state.keys.len());
    let secret = format!("marked-secret-of-{id}");
    state.keys.insert(id.clone(), (secret.clone(), true));
    state.roles.insert(id.clone(), field("RoleArn"));
    // Half of the services in front of the real one do not care about `Accept`.
    if state.keys.len().is_multiple_of(2) {
        let xml = format!(
            "<{action}Response><{action}Result><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}\
             </SecretAccessKey><SessionToken>{SESSION}</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
             </Credentials></{action}Result></{action}Response>"
        );
        return Reply::with(200, "text/xml", xml);
    }
    let keys = json!({"AccessKeyId": id, "SecretAccessKey": secret, "SessionToken": SESSION, "Expiration": 3.2E10});
    Reply::json(&json!({format!("{action}Response"): {format!("{action}Result"): {"Credentials": keys}}}))
}

fn sts_refusal(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({"Error": {"Type": "Sender", "Code": code, "Message": message}, "RequestId": "request-2"});
    Reply::with(status, "application/json", body.to_string())
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}
