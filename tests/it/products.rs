//! The ways of registries that cannot be had here, as they are documented: how each asks for a login, lists tags, refuses,
//! mounts and redirects.
//!
//! A row is a registry, and one story is told to all of them. The token server is on another port than the registry,
//! and so is the storage where blobs are redirected to.

use crate::stage::push;
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::http::Listener;
use crate::support::log::Asked;
use crate::support::registry::{Auth, Options, Registry, split};
use crate::support::reply::Reply;
use crate::support::token::{Rights, Rules};
use crate::support::uploads::{Blobs, Location, Mounts};
use serde_json::{Value, json};

const PASSWORD: &str = "s3kret";

/// What a registry does in its own way.
struct Product {
    name: &'static str,
    /// The path of the realm.
    realm: &'static str,
    /// Whether it takes a password in place of a token.
    basic: bool,
    service: Option<&'static str>,
    user: &'static str,
    password: &'static str,
    repository: &'static str,
    /// The challenge to a request, of what every challenge begins with and the scope that the request takes.
    challenge: fn(&Asked, &str, &str) -> String,
    /// What follows `Link: <`, of the address of the registry, the path of the list, how many tags a page has, and the last one.
    link: fn(&str, &str, usize, &str) -> String,
    blobs: Blobs,
    referrers: bool,
    /// That a tag is not there.
    absent: (&'static str, &'static str),
    /// That a repository is not there, and what becomes of it.
    nowhere: (u16, &'static str, &'static str, &'static str),
    /// That `latest` may not be written, and what becomes of it.
    refused: (u16, &'static str, &'static str, &'static str),
    /// The code with which it asks to come back later.
    limited: &'static str,
    /// The right that it takes to list tags.
    lists: &'static str,
    /// What the list of tags holds besides.
    more: Value,
    /// What else it does, before all that.
    quirk: fn(&Registry),
}

fn redirected(blobs: Blobs) -> Blobs {
    Blobs { redirect: true, ..blobs }
}

fn with_scope(_: &Asked, bearer: &str, scope: &str) -> String {
    format!("{bearer},scope=\"{scope}\"")
}

fn relative(_: &str, list: &str, n: usize, last: &str) -> String {
    format!("{list}?last={last}&n={n}")
}

fn absolute(origin: &str, list: &str, n: usize, last: &str) -> String {
    format!("{origin}{list}?n={n}&last={last}")
}

const NAME_UNKNOWN: (u16, &str, &str, &str) =
    (404, "NAME_UNKNOWN", "repository name not known to registry", "repository-unknown");
const MANIFEST_UNKNOWN: (&str, &str) = ("MANIFEST_UNKNOWN", "manifest unknown");

fn products() -> Vec<Product> {
    let plain = || Product {
        name: "",
        realm: "/token",
        basic: false,
        service: None,
        user: "robot",
        password: PASSWORD,
        repository: "acme/app",
        challenge: with_scope,
        link: relative,
        blobs: Blobs::default(),
        referrers: false,
        absent: MANIFEST_UNKNOWN,
        nowhere: NAME_UNKNOWN,
        refused: (403, "DENIED", "requested access to the resource is denied", "denied"),
        limited: "TOOMANYREQUESTS",
        lists: "pull",
        more: json!({}),
        quirk: |_| {},
    };
    vec![
        // GitHub's documents on the container registry, and the errors that its users quote.
        Product {
            name: "GHCR",
            service: Some("ghcr.io"),
            user: "octocat",
            blobs: redirected(Blobs::default()),
            refused: (403, "DENIED", "permission_denied: write_package", "denied"),
            // It leads whoever lists referrers to a page of another host, which soon asks to come back later (the issue
            // 4785 of Artifact Hub).
            quirk: |registry| {
                let page = Listener::start(|_| Reply::status(429).header("Retry-After", "3600"));
                registry.before(move |asked, _| {
                    let lists = asked.path.contains("/referrers/");
                    lists.then(|| Reply::redirect(303, &format!("{}/-/v2/packages/container/package/app", page.url())))
                });
            },
            ..plain()
        },
        // The source of Quay: endpoints/v2 and auth/registry_jwt_auth.py.
        Product {
            name: "Quay",
            realm: "/v2/auth",
            service: Some("quay.io"),
            user: "acme+robot",
            link: absolute,
            blobs: redirected(Blobs { location: Location::Whole, ..Blobs::default() }),
            referrers: true,
            nowhere: (401, "UNAUTHORIZED", "access to the requested resource is not authorized", "unauthenticated"),
            // What points at an image that is not there cannot be asked.
            quirk: |registry| {
                registry.before(|asked, state| {
                    let path = split(&asked.path).filter(|path| path.kind == "referrers")?;
                    let home = state.repositories.get(path.repository);
                    let known = home.is_some_and(|home| home.manifests.contains_key(path.rest));
                    (!known).then(|| Reply::error(400, "MANIFEST_INVALID", "manifest invalid"))
                });
            },
            refused: (409, "TAG_IMMUTABLE", "tag is immutable and cannot be overwritten", "tag-immutable"),
            ..plain()
        },
        // Google's documents on authentication, and what its registries answer to `GET /v2/`: a realm alone.
        Product {
            name: "Google Artifact Registry",
            realm: "/v2/token",
            user: "_json_key",
            password: "{\n  \"type\": \"service_account\",\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\ns3kret\\n\"\n}",
            repository: "project/images/app",
            challenge: |_, bearer, _| bearer.to_owned(),
            blobs: redirected(Blobs { location: Location::Whole, ..Blobs::default() }),
            nowhere: (
                403,
                "DENIED",
                "Permission \"artifactregistry.repositories.downloadArtifacts\" denied (or it may not exist)",
                "denied",
            ),
            refused: (
                400,
                "MANIFEST_INVALID",
                "cannot update tag latest: the repository has enabled tag immutability",
                "tag-immutable",
            ),
            more: json!({"child": ["deep"], "manifest": {"sha256:00": {"tag": ["2026.34.999"], "timeUploadedMs": "1"}}}),
            ..plain()
        },
        // Azure's documents on tokens and on locks, and the answers that its SDKs record.
        Product {
            name: "Azure Container Registry",
            realm: "/oauth2/token",
            service: Some("acme.azurecr.io"),
            user: "00000000-0000-0000-0000-000000000000",
            challenge: |asked, bearer, scope| {
                let lists = asked.path.ends_with("/tags/list");
                let scope = if lists { scope.replace(":pull", ":metadata_read") } else { scope.to_owned() };
                let error = if asked.bearer().is_some() { ",error=\"insufficient_scope\"" } else { "" };
                format!("{bearer},scope=\"{scope}\"{error}")
            },
            lists: "metadata_read",
            link: |_, list, n, last| format!("{list}?last={last}&n={n}&orderby="),
            blobs: redirected(Blobs::default()),
            referrers: true,
            refused: (
                405,
                "UNSUPPORTED",
                "The operation is disallowed on this registry, repository or image.",
                "tag-immutable",
            ),
            ..plain()
        },
        // The source of its open relatives, and containerd's issue 3556: no scope in the answer to a `HEAD`.
        Product {
            name: "JFrog Artifactory",
            realm: "/artifactory/api/docker/docker-local/v2/token",
            service: Some("acme.jfrog.example"),
            repository: "docker-local/acme/app",
            challenge: |asked, bearer, scope| match asked.method.as_str() {
                "HEAD" => bearer.to_owned(),
                _ => format!("{bearer},scope=\"{scope}\""),
            },
            referrers: true,
            absent: ("MANIFEST_UNKNOWN", "The named manifest is not known to the registry."),
            refused: (403, "UNAUTHORIZED", "The client does not have permission to push to the repository.", "denied"),
            ..plain()
        },
        // Sonatype's documents on the Docker Bearer Token Realm and on path based routing.
        Product {
            name: "Sonatype Nexus",
            realm: "/v2/token",
            service: Some("https://nexus.example/v2/token"),
            repository: "docker-hosted/acme/app",
            challenge: |_, bearer, _| bearer.to_owned(),
            blobs: Blobs { mounts: Mounts::Ignored, location: Location::Path, ..Blobs::default() },
            refused: (400, "UNKNOWN", "Repository does not allow updating assets: docker-hosted", "tag-immutable"),
            ..plain()
        },
        // The source of Harbor: src/server/middleware/{v2auth,immutable}, src/lib/errors.
        Product {
            name: "Harbor",
            basic: true,
            realm: "/service/token",
            service: Some("harbor-registry"),
            user: "robot$acme+ci",
            challenge: |asked, bearer, scope| match asked.header("Authorization") {
                Some(_) => "Basic realm=\"harbor\"".to_owned(),
                None => format!("{bearer},scope=\"{scope}\""),
            },
            referrers: true,
            absent: ("NOT_FOUND", "artifact acme/app:none not found"),
            nowhere: (404, "NOT_FOUND", "repository acme/nowhere not found", "repository-unknown"),
            refused: (
                412,
                "PRECONDITION",
                "Failed to process request due to 'app:latest' configured as immutable.",
                "tag-immutable",
            ),
            limited: "TOO_MANY_REQUEST",
            ..plain()
        },
        // The source of GitLab's registry: handlers/manifests.go; its documents on deploy tokens.
        Product {
            name: "GitLab",
            realm: "/jwt/auth",
            service: Some("container_registry"),
            user: "gitlab+deploy-token-1",
            repository: "acme/project/app",
            link: absolute,
            blobs: redirected(Blobs { location: Location::Whole, ..Blobs::default() }),
            refused: (400, "IMMUTABLE_TAG", "tag \"latest\" is immutable", "tag-immutable"),
            // A tag that is made of a digest and is not there is read as the digest (the issue 1396 of oras-go).
            quirk: |registry| {
                registry.before(|asked, state| {
                    let path = split(&asked.path).filter(|path| path.kind == "manifests" && asked.method != "PUT")?;
                    let home = state.repositories.get(path.repository)?;
                    let digest = path.rest.replacen("sha256-", "sha256:", 1);
                    let (media_type, bytes) = home.manifests.get(&digest).filter(|_| digest != path.rest)?;
                    let is_tag = home.tags.contains_key(path.rest) || asked.bearer().is_none();
                    let reply = Reply::with(200, media_type, bytes.clone()).header("Docker-Content-Digest", digest);
                    (!is_tag).then_some(reply)
                });
            },
            ..plain()
        },
    ]
}

impl Product {
    /// With versions on several pages, `latest` on the last but one.
    fn start(&self) -> Registry {
        let rules = Rules { path: self.realm, service: self.service, basic: self.basic, ..Rules::default() };
        let rules = rules.user(self.user, self.password, Rights::PUSH).identity_token("s3kret-refresh", self.user);
        let options = Options {
            auth: Auth::Bearer(rules),
            page: Some(2),
            referrers: self.referrers,
            blobs: self.blobs.clone(),
            ..Options::default()
        };
        let registry = Registry::with(options);
        push(&registry, self.repository, &["2026.34.101", "2026.34.102", "2026.34.103"]);
        let digest = registry.resolve(self.repository, "2026.34.102").unwrap();
        registry.state(|state| state.tag(self.repository, "latest", &digest));

        (self.quirk)(&registry);
        let (challenge, link, absent, nowhere) = (self.challenge, self.link, self.absent, self.nowhere);
        let service = self.service.map(|service| format!(",service=\"{service}\"")).unwrap_or_default();
        let (bearer, origin) = (format!("Bearer realm=\"{}\"{service}", registry.tokens().realm()), registry.url());
        let (desk, right, more) = (registry.tokens().desk(), self.lists, self.more.clone());
        registry.after(move |asked, _, reply| {
            let granted = asked.bearer().and_then(|token| desk.granted(token)).unwrap_or_default();
            let may = granted.iter().any(|(_, actions)| actions.iter().any(|action| action == right));
            if reply.status == 200 && asked.path.ends_with("/tags/list") {
                let mut list: Value = serde_json::from_slice(&reply.body).unwrap();
                list.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                *reply = match may {
                    true => reply.clone().body(list.to_string()),
                    false => {
                        Reply::error(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", "")
                    }
                };
            }
            let path = split(&asked.path);
            if reply.status == 404
                && let Some(path) = path.as_ref().filter(|path| path.kind == "manifests")
            {
                let (status, code, words) = match path.repository {
                    "acme/nowhere" => (nowhere.0, nowhere.1, nowhere.2),
                    _ => (404, absent.0, absent.1),
                };
                *reply = Reply::error(status, code, words);
                if status == 401 {
                    *reply = reply.clone().header("WWW-Authenticate", "");
                }
            }
            let actions = if matches!(asked.method.as_str(), "GET" | "HEAD") { "pull" } else { "pull,push" };
            let scope = path.map(|path| format!("repository:{}:{actions}", path.repository)).unwrap_or_default();
            if reply.header_value("WWW-Authenticate").is_some() {
                *reply = reply.clone().set("WWW-Authenticate", challenge(asked, &bearer, &scope));
            }
            if let Some(value) = reply.header_value("Link") {
                let next = value.split("last=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default();
                let next = link(&origin, &asked.path, 2, next);
                *reply = reply.clone().set("Link", format!("<{next}>; rel=\"next\""));
            }
        });
        registry
    }

    fn run(&self, words: &[&str]) -> Tagwright {
        tagwright([]).args(words.to_vec()).args(["--retries", "0"]).login(self.user, self.password)
    }

    fn other(&self) -> String {
        format!("{}-release", self.repository)
    }
}

fn actions(ran: &Ran) -> Vec<String> {
    let result = ran.result();
    let tags = result["tags"].as_array().unwrap().iter();
    tags.map(|tag| format!("{} {}", tag["tag"].as_str().unwrap(), tag["action"].as_str().unwrap())).collect()
}

#[test]
fn every_product_is_promoted_in_its_own_ways() {
    for product in products() {
        let (name, registry) = (product.name, product.start());
        let app = registry.name(product.repository);
        let ran = product.run(&["promote", &app, "--build", "103"]).run();
        assert_eq!(actions(&ran), ["2026.34.103-rc created", "latest moved"], "{name}: {ran}");
        let pages = registry.log().matching("GET", "/tags/list");
        assert!(pages >= 2, "{name}: {:#?}", registry.log().lines());
        check_tokens(&product, &registry);

        let into = registry.name(&product.other());
        let ran = product.run(&["promote", &format!("{app}:2026.34.103"), "--into", &into, "--to", "{tag}"]).run();
        assert_eq!(actions(&ran), ["2026.34.103 created"], "{name}: {ran}");
        let copied = ran.result()["copied"].clone();
        let of = |key: &str| copied[key].as_u64().unwrap();
        let mounts = product.blobs.mounts == Mounts::Made;
        assert_eq!((of("mounted") > 0, of("blobs") > 0), (mounts, !mounts), "{name}: {copied}");
        let digest = registry.resolve(product.repository, "2026.34.103");
        assert_eq!(registry.resolve(&product.other(), "2026.34.103"), digest, "{name}");

        let ran = product.run(&["labels", &format!("{app}:2026.34.103"), "--label", "git_revision"]).run();
        assert_eq!(ran.result()["value"], "2026.34.103", "{name}: {ran}");
        if product.blobs.redirect {
            let storage = registry.elsewhere().log();
            assert!(storage.count() > 0 && !storage.mentions(PASSWORD), "{name}: {storage:?}");
            assert!(storage.0.iter().all(|one| one.asked.header("Authorization").is_none()), "{name}: {storage:?}");
        }
    }
}

/// Every token was asked for at the realm, for the service, as the user, and each request to write had the right to.
fn check_tokens(product: &Product, registry: &Registry) {
    let log = registry.tokens().log();
    assert!(log.count() > 0, "{}", product.name);
    for one in &log.0 {
        let asked = &one.asked;
        assert_eq!((asked.path.as_str(), asked.query("service")), (product.realm, product.service), "{}", product.name);
        assert_eq!(asked.basic(), Some((product.user.to_owned(), product.password.to_owned())), "{}", product.name);
        assert!(asked.query("scope").is_some_and(|scope| scope.contains(product.repository)), "{asked:?}");
    }
}

#[test]
fn what_is_not_there_or_not_allowed_is_told_in_the_words_of_every_product() {
    for product in products() {
        let (name, registry) = (product.name, product.start());
        let app = registry.name(product.repository);
        let ran = product.run(&["labels", &format!("{app}:none")]).run();
        assert_eq!((ran.code().as_str(), ran.exit), ("tag-unknown", Some(3)), "{name}: {ran}");
        let ran = product.run(&["labels", &registry.name("acme/nowhere:1")]).run();
        assert_eq!(ran.code(), product.nowhere.3, "{name}: {ran}");
        let ran = product.run(&["labels", &app]).login(product.user, "wrong").run();
        assert_eq!((ran.code().as_str(), ran.exit), ("unauthenticated", Some(4)), "{name}: {ran}");

        let (status, code, words, expected) = product.refused;
        registry.before(move |asked, _| (asked.method == "PUT").then(|| Reply::error(status, code, words)));
        let ran = product.run(&["promote", &app, "--build", "103", "--move", "latest"]).run();
        assert_eq!((ran.code().as_str(), &ran.error()["changed"]), (expected, &json!(false)), "{name}: {ran}");
        let said = ran.error()["causes"].to_string();
        let first = words.split('"').next().unwrap();
        assert!(said.contains(first), "{name}: {said}");

        let code = product.limited;
        registry.before(move |asked, _| {
            (asked.path.starts_with("/v2/acme") || asked.path.contains("app"))
                .then(|| Reply::error(429, code, "too many requests").header("Retry-After", "7"))
        });
        let ran = product.run(&["labels", &app, "--timeout", "5"]).run();
        assert_eq!((ran.code().as_str(), ran.exit), ("rate-limited", Some(6)), "{name}: {ran}");
    }
}

#[test]
fn an_image_from_elsewhere_comes_into_every_product() {
    let source = Registry::start();
    push(&source, "acme/app", &["2026.34.103"]);
    for product in products() {
        let (name, registry) = (product.name, product.start());
        let into = registry.name(&product.other());
        let words =
            ["promote", &source.name("acme/app:2026.34.103"), "--into", &into, "--to", "{tag}", "--retries", "0"];
        let run = tagwright(words).env("INTO_REGISTRY_USERNAME", product.user);
        let run = run.env("INTO_REGISTRY_PASSWORD", product.password);
        let ran = run.run();
        assert_eq!(actions(&ran), ["2026.34.103 created"], "{name}: {ran}");
        let digest = source.resolve("acme/app", "2026.34.103");
        assert_eq!(registry.resolve(&product.other(), "2026.34.103"), digest, "{name}");
        assert_eq!(ran.result()["copied"]["blobs"], 2, "{name}: {ran}");
        // A second run sends nothing.
        let written = registry.log().writes();
        assert_eq!(actions(&run.run()), ["2026.34.103 unchanged"], "{name}");
        assert_eq!(registry.log().writes(), written, "{name}: {:#?}", registry.log().lines());
    }
}

#[test]
fn what_points_at_an_image_is_kept_in_the_way_of_every_product() {
    for product in products() {
        let (name, registry) = (product.name, product.start());
        let image = format!("{}:2026.34.103", registry.name(product.repository));
        product.run(&["promote", &image, "--move", "kept", "--attach-record"]).run().result();
        let ran = product.run(&["history", &registry.name(&format!("{}:kept", product.repository))]).run();
        let records: Vec<Value> = ran.result()["records"].as_array().unwrap().clone();
        assert_eq!((records.len(), &records[0]["tags"][0]["tag"]), (1, &json!("kept")), "{name}: {ran}");
        let subject = registry.resolve(product.repository, "2026.34.103").unwrap();
        let fallback = registry.resolve(product.repository, &subject.replace(':', "-"));
        assert_eq!(fallback.is_some(), !product.referrers, "{name}");

        // The record goes along, and is found there.
        let into = registry.name(&product.other());
        product.run(&["promote", &image, "--into", &into, "--to", "{tag}"]).run().result();
        let ran = product.run(&["history", &into]).run();
        assert_eq!(ran.result()["records"].as_array().map(Vec::len), Some(1), "{name}: {ran}");
    }
}

#[test]
fn who_has_no_credential_is_told_so_whatever_the_token_server_says() {
    let denied = |words: &str| Some(Reply::error(403, "DENIED", words));
    for (name, answer) in [
        ("GHCR", denied("requested access to the resource is denied")),
        (
            "Google Artifact Registry",
            denied("Unauthenticated request. Unauthenticated requests do not have permission"),
        ),
        ("Azure Container Registry", Some(Reply::error(401, "UNAUTHORIZED", "authentication required"))),
        ("GitLab", denied("access forbidden")),
        // Everybody is lent a token, and what is private is not in it.
        ("Quay", None),
        ("Harbor", None),
    ] {
        let product = products().into_iter().find(|product| product.name == name).unwrap();
        let registry = product.start();
        match answer {
            Some(reply) => registry.tokens().hook(move |asked| asked.basic().is_none().then(|| reply.clone())),
            None => {
                let desk = registry.tokens().desk();
                let token = desk.mint("", &[]);
                registry
                    .tokens()
                    .hook(move |asked| asked.basic().is_none().then(|| Reply::json(&json!({"token": token}))));
            }
        }
        let ran = tagwright(["labels", &registry.name(product.repository)]).run();
        assert_eq!((ran.code().as_str(), ran.exit), ("credential-missing", Some(4)), "{name}: {ran}");
        assert!(ran.error()["hint"].as_str().unwrap().contains("REGISTRY_USERNAME"), "{name}: {ran}");
    }
}

#[test]
fn a_refresh_token_of_azure_is_exchanged_at_the_realm() {
    let product = products().into_iter().find(|product| product.name.starts_with("Azure")).unwrap();
    let registry = product.start();
    let config = json!({"auths": {registry.host(): {
        "auth": crate::support::text::base64(format!("{}:", product.user).as_bytes()),
        "identitytoken": "s3kret-refresh",
    }}});
    let words = ["promote", &registry.name(product.repository), "--build", "103"];
    let ran = tagwright(words).env("DOCKER_AUTH_CONFIG", config.to_string()).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc created", "latest moved"], "{ran}");
    for one in registry.tokens().log().0 {
        assert_eq!((one.asked.method.as_str(), one.asked.path.as_str()), ("POST", product.realm));
        let body = String::from_utf8(one.asked.body).unwrap();
        assert!(body.contains("grant_type=refresh_token&refresh_token=s3kret-refresh"), "{body}");
        assert!(body.contains("service=acme.azurecr.io"), "{body}");
    }
}

#[test]
fn a_token_of_harbor_that_runs_out_is_followed_by_the_password_which_it_asks_for_then() {
    let product = products().into_iter().find(|product| product.name == "Harbor").unwrap();
    let registry = product.start();
    let (desk, mut revoked) = (registry.tokens().desk(), false);
    registry.before(move |asked, _| {
        if asked.method == "PUT" && !revoked {
            revoked = true;
            desk.revoke();
        }
        None
    });
    let ran = product.run(&["promote", &registry.name(product.repository), "--build", "103"]).run();
    assert_eq!(actions(&ran), ["2026.34.103-rc created", "latest moved"], "{ran}");
    let with_password =
        registry.log().0.iter().filter(|one| one.asked.basic().is_some() && one.asked.path.starts_with("/v2/")).count();
    assert!(with_password > 0, "{:#?}", registry.log().lines());
}

#[test]
fn a_project_that_harbor_does_not_know_is_told_with_its_words() {
    let product = products().into_iter().find(|product| product.name == "Harbor").unwrap();
    let registry = product.start();
    // The challenge is empty then.
    registry.before(|asked, _| {
        let known = asked.bearer().is_some() && asked.path.starts_with("/v2/nowhere/");
        let reply = || Reply::error(401, "UNAUTHORIZED", "project nowhere not found").header("WWW-Authenticate", "");
        known.then(reply)
    });
    let ran = product.run(&["labels", &registry.name("nowhere/app:1")]).run();
    let error = ran.error();
    assert_eq!((ran.code().as_str(), ran.exit), ("unauthenticated", Some(4)), "{ran}");
    assert!(error["causes"].to_string().contains("project nowhere not found"), "{ran}");
    assert!(error["hint"].as_str().unwrap().contains("a repository that does not exist may look the same"), "{ran}");
}
