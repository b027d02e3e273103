//! A fake of Amazon: ECR's API, its registry, the bucket its blobs lie in, and the token service, all under their real
//! names behind a proxy.
//!
//! Every call must carry a signature that its key makes; the bucket refuses a request with a credential, as S3 does.

use super::cmd::{Tagwright, tagwright};
use super::http::Listener;
use super::image::Built;
use super::log::{Asked, Log};
use super::proxy::Proxy;
pub use super::registry::State as Store;
use super::reply::{Fault, Reply};
use super::text::{base64, digest, form};
use super::tls::Authority;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tagwright::pure::aws::sigv4::canonical_request::canonical_request;
use tagwright::pure::aws::sigv4::signature::signature;
use tagwright::pure::aws::sigv4::string_to_sign::{Scope, string_to_sign};
use tagwright::secret::Secret;

pub const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
pub const API: &str = "api.ecr.eu-west-1.amazonaws.com";
pub const STS: &str = "sts.eu-west-1.amazonaws.com";
pub const BUCKET: &str = "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com";
pub const PUBLIC: &str = "public.ecr.aws";
pub const PUBLIC_API: &str = "api.ecr-public.us-east-1.amazonaws.com";
pub const PUBLIC_STS: &str = "sts.us-east-1.amazonaws.com";

/// A key that may do everything, and its secret.
pub const KEY: (&str, &str) = ("AKIAMARKEDKEYID00001", "marked/secret+access/key");
/// The password that the API lends.
pub const PASSWORD: &str = "marked-registry-password";
/// The session token of every assumed role.
pub const SESSION: &str = "marked-session-token//==";

type Hook = Box<dyn FnMut(&Asked, &str, &mut Store) -> Option<Reply> + Send>;

/// What it holds and allows.
pub struct State {
    /// Repositories with manifests, tags and blobs.
    pub store: Store,
    /// Whether tags cannot change.
    pub immutable: bool,
    /// The actions that are allowed; all if `None`.
    pub allowed: Option<BTreeSet<String>>,
    /// The calls that were made, by the name of the action.
    pub calls: Vec<String>,
    /// Secret access keys by key id, and whether a session token goes with each.
    pub keys: BTreeMap<String, (String, bool)>,
    /// What goes wrong with the next answers of the bucket that are as long as this at least.
    pub broken: Vec<(usize, Fault)>,
    hook: Option<Hook>,
}

/// The running fake.
pub struct Amazon {
    listener: Listener,
    authority: Authority,
    proxy: Proxy,
    state: Arc<Mutex<State>>,
}

impl Amazon {
    /// An empty registry with one key.
    pub fn start() -> Self {
        let names = [HOST, API, STS, BUCKET, PUBLIC, PUBLIC_API, PUBLIC_STS, "images.internal"];
        let authority = Authority::for_names(&names);
        let keys = BTreeMap::from([(KEY.0.to_owned(), (KEY.1.to_owned(), false))]);
        let state = Arc::new(Mutex::new(State {
            store: Store::default(),
            immutable: false,
            allowed: None,
            calls: Vec::new(),
            keys,
            broken: Vec::new(),
            hook: None,
        }));
        let listener = Listener::start_with(Some(authority.server()), {
            let state = state.clone();
            move |asked| answer(&mut state.lock().unwrap(), asked)
        });
        let port = listener.port();
        let routes = names.map(|name| (format!("{name}:443"), port));
        let routes: [(&str, u16); 8] = std::array::from_fn(|i| (routes[i].0.as_str(), routes[i].1));
        let proxy = Proxy::start(routes);
        Self { listener, authority, proxy, state }
    }

    /// The program with these words, led here, without any credential.
    pub fn anonymous<const N: usize>(&self, args: [&str; N]) -> Tagwright {
        let run = tagwright(args).env("HTTPS_PROXY", self.proxy.url()).env("AWS_EC2_METADATA_DISABLED", "true");
        run.env("PATH", "/usr/bin:/bin").arg("--ca-file").arg(self.authority.ca_file())
    }

    /// The same with the key of [`KEY`] in its environment.
    pub fn signed<const N: usize>(&self, args: [&str; N]) -> Tagwright {
        self.anonymous(args).env("AWS_ACCESS_KEY_ID", KEY.0).env("AWS_SECRET_ACCESS_KEY", KEY.1)
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// The certificate to trust.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Stores an image and tags it.
    pub fn push(&self, repository: &str, tag: &str, built: &Built) -> String {
        let mut state = self.state.lock().unwrap();
        let digest = state.store.store(repository, built);
        state.store.tag(repository, tag, &digest);
        digest
    }

    /// Looks at what it holds, or changes it.
    pub fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap())
    }

    /// What a tag points at.
    pub fn resolve(&self, repository: &str, tag: &str) -> Option<String> {
        self.state(|state| state.store.resolve(repository, tag))
    }

    /// Answers in the place of the fake; the second argument is the action, such as `ecr:PutImage`.
    pub fn hook(&self, hook: impl FnMut(&Asked, &str, &mut Store) -> Option<Reply> + Send + 'static) {
        self.state(|state| state.hook = Some(Box::new(hook)));
    }

    /// The actions that were called, in order, and nothing of the registry API.
    pub fn calls(&self) -> Vec<String> {
        self.state(|state| state.calls.clone())
    }

    /// What was asked so far, of all names.
    pub fn log(&self) -> Log {
        self.listener.log()
    }

    /// Holds every answer back for so long.
    pub fn latency(&self, latency: std::time::Duration) {
        self.listener.latency(latency);
    }

    /// Forgets what was asked.
    pub fn clear(&self) {
        self.listener.clear();
        self.state(|state| state.calls.clear());
    }
}

/// A refusal in the form of ECR.
pub fn refusal(name: &str, message: &str) -> Reply {
    let body = json!({"__type": format!("com.amazonaws.ecr#{name}"), "message": message});
    Reply::with(400, "application/x-amz-json-1.1", body.to_string()).header("x-amzn-RequestId", "request-1")
}

fn answer(state: &mut State, asked: &Asked) -> Reply {
    let host = asked.header("Host").unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    match host.as_str() {
        API | PUBLIC_API => api(state, asked),
        STS | PUBLIC_STS => sts(state, asked),
        BUCKET => bucket(state, asked),
        PUBLIC => public(state, asked),
        _ => registry(state, asked),
    }
}

/// The key id, where the signature is the one that its secret makes.
fn signer(state: &State, asked: &Asked) -> Result<String, Reply> {
    let bad = |name: &str| Err(refusal(name, "The security token included in the request is invalid."));
    let Some(rest) = asked.header("Authorization").and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256 ")) else {
        return bad("MissingAuthenticationTokenException");
    };
    let part = |name: &str| rest.split(", ").find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned();
    let (credential, names, given) = (part("Credential="), part("SignedHeaders="), part("Signature="));
    let parts: Vec<&str> = credential.split('/').collect();
    let [id, date, region, service, "aws4_request"] = parts[..] else { return bad("IncompleteSignatureException") };
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
    let scope = Scope { timestamp, region: region.to_owned(), service: service.to_owned() };
    let expected = signature(&Secret::new(secret.clone()), &scope, &string_to_sign(&scope, &canonical.hash()));
    if expected == given { Ok(id.to_owned()) } else { bad("InvalidSignatureException") }
}

fn permitted(state: &mut State, asked: &Asked, action: &str) -> Result<(), Reply> {
    state.calls.push(action.to_owned());
    let id = signer(state, asked)?;
    if let Some(mut hook) = state.hook.take() {
        let reply = hook(asked, action, &mut state.store);
        state.hook = Some(hook);
        if let Some(reply) = reply {
            return Err(reply);
        }
    }
    if state.allowed.as_ref().is_none_or(|allowed| allowed.contains(action)) {
        return Ok(());
    }
    let message = format!(
        "User: arn:aws:iam::123456789012:user/{id} is not authorized to perform: {action} on resource: \
         arn:aws:ecr:eu-west-1:123456789012:repository/team/app because no identity-based policy allows the {action} action"
    );
    Err(refusal("AccessDeniedException", &message))
}

fn api(state: &mut State, asked: &Asked) -> Reply {
    let (service, operation) = asked.header("X-Amz-Target").and_then(|t| t.split_once('.')).unwrap_or_default();
    let is_public = service == "SpencerFrontendService";
    let action = format!("{}:{operation}", if is_public { "ecr-public" } else { "ecr" });
    if let Err(reply) = permitted(state, asked, &action) {
        return reply;
    }
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    if operation == "GetAuthorizationToken" {
        let token = json!({"authorizationToken": base64(format!("AWS:{PASSWORD}").as_bytes()), "expiresAt": 3.2E10});
        let data = if is_public { token } else { json!([token]) };
        return Reply::json(&json!({"authorizationData": data}));
    }
    assert_eq!(body["registryId"], "123456789012");
    let name = body["repositoryName"].as_str().unwrap().to_owned();
    let Some(repository) = state.store.repositories.get_mut(&name) else {
        let message =
            format!("The repository with name '{name}' does not exist in the registry with id '123456789012'");
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
                        "registryId": "123456789012",
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
            let url = format!("https://{BUCKET}{port}/{name}/{layer}?X-Amz-Signature=marked-signature");
            Reply::json(&json!({"downloadUrl": url, "layerDigest": layer}))
        }
        "PutImage" => {
            let (manifest, tag) = (body["imageManifest"].as_str().unwrap(), body["imageTag"].as_str().unwrap());
            let found = digest(manifest.as_bytes());
            if body["imageDigest"] != found {
                return refusal("ImageDigestDoesNotMatchException", "The image digest does not match.");
            }
            match repository.tags.get(tag) {
                Some(held) if *held == found => {
                    return refusal("ImageAlreadyExistsException", "Image with digest and tag already exists.");
                }
                Some(_) if state.immutable => {
                    let message = format!(
                        "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the repository is immutable."
                    );
                    return refusal("ImageTagAlreadyExistsException", &message);
                }
                _ => {}
            }
            repository.tags.insert(tag.to_owned(), found.clone());
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

fn sts(state: &mut State, asked: &Asked) -> Reply {
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
    } else if let Err(reply) = permitted(state, asked, &format!("sts:{action}")) {
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

fn bucket(state: &mut State, asked: &Asked) -> Reply {
    if asked.header("Authorization").is_some() || asked.header("X-Amz-Security-Token").is_some() {
        return Reply::with(
            400,
            "application/xml",
            "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>",
        );
    }
    if asked.query("X-Amz-Signature") != Some("marked-signature") {
        return Reply::with(
            403,
            "application/xml",
            "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
        );
    }
    let (repository, blob) = asked.path.trim_start_matches('/').rsplit_once('/').unwrap_or_default();
    match state.store.repositories.get(repository).and_then(|held| held.blobs.get(blob)) {
        Some(bytes) => {
            let first =
                asked.header("Range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
            let reply = match first {
                Some(first) => Reply::with(206, "application/octet-stream", &bytes[first..])
                    .header("Content-Range", format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len())),
                None => Reply::with(200, "application/octet-stream", bytes.clone()),
            };
            match state.broken.pop_if(|(least, _)| bytes.len() >= *least) {
                Some((_, fault)) => reply.fault(fault),
                None => reply,
            }
        }
        None => Reply::with(404, "application/xml", "<Error><Code>NoSuchKey</Code></Error>"),
    }
}

fn registry(state: &mut State, asked: &Asked) -> Reply {
    if asked.basic() != Some(("AWS".to_owned(), PASSWORD.to_owned())) {
        let realm = format!("Basic realm=\"https://{HOST}/\",service=\"ecr.amazonaws.com\"");
        return Reply::with(401, "text/plain", "Not Authorized").header("Www-Authenticate", realm);
    }
    read(state, asked)
}

fn public(state: &mut State, asked: &Asked) -> Reply {
    if asked.path == "/token/" {
        let token = match asked.basic() {
            None => "anonymous",
            Some((user, password)) if user == "AWS" && password == PASSWORD => "signed",
            Some(_) => return Reply::status(401),
        };
        return Reply::json(&json!({"token": token}));
    }
    if !matches!(asked.bearer(), Some("anonymous" | "signed")) {
        let challenge = format!("Bearer realm=\"https://{PUBLIC}/token/\",service=\"{PUBLIC}\",scope=\"aws\"");
        return Reply::status(401).header("WWW-Authenticate", challenge);
    }
    read(state, asked)
}

fn read(state: &mut State, asked: &Asked) -> Reply {
    let path = asked.path.trim_start_matches("/v2/");
    if path.is_empty() {
        return Reply::json(&json!({}));
    }
    if let Some((name, reference)) = path.split_once("/manifests/") {
        let Some(repository) = state.store.repositories.get_mut(name) else {
            return Reply::error(404, "NAME_UNKNOWN", "The repository does not exist");
        };
        if asked.method == "PUT" {
            let found = digest(&asked.body);
            let media_type = asked.header("Content-Type").unwrap_or_default().to_owned();
            if repository.tags.contains_key(reference) && state.immutable {
                let message = format!(
                    "The image tag '{reference}' already exists in the '{name}' repository and cannot be overwritten because the repository is immutable."
                );
                return Reply::error(400, "TAG_INVALID", &message);
            }
            repository.tags.insert(reference.to_owned(), found.clone());
            repository.manifests.insert(found.clone(), (media_type, asked.body.clone()));
            return Reply::status(201).header("Docker-Content-Digest", found);
        }
        let wanted = repository.tags.get(reference).cloned().unwrap_or_else(|| reference.to_owned());
        return match repository.manifests.get(&wanted) {
            Some((media_type, bytes)) => {
                Reply::with(200, media_type, bytes.clone()).header("Docker-Content-Digest", wanted)
            }
            None => Reply::error(404, "MANIFEST_UNKNOWN", "Requested image not found"),
        };
    }
    if let Some((name, blob)) = path.split_once("/blobs/") {
        let port =
            asked.header("Host").unwrap().split_once(':').map(|(_, port)| format!(":{port}")).unwrap_or_default();
        return Reply::redirect(307, &format!("https://{BUCKET}{port}/{name}/{blob}?X-Amz-Signature=marked-signature"));
    }
    if let Some(name) = path.strip_suffix("/tags/list") {
        let tags: Vec<String> = state.store.repositories[name].tags.keys().cloned().collect();
        return Reply::json(&json!({"name": name, "tags": tags}));
    }
    Reply::error(404, "UNSUPPORTED", "not here")
}
