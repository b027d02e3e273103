//! A look-alike of Docker Hub's web API: access tokens and tag pages, out of a list or out of a real registry.
//!
//! Requests and answers were held against the published OpenAPI description of the API (version `2-beta`) with a
//! schema validator when this was written: `POST /v2/auth/token` with `identifier` and `secret`, its 200 with
//! `access_token` and its 401; the tag list with `page` and `page_size` (default 10, at most 100), its pages
//! (`count`, `next`, `previous`, `results`), its 403 and 404. The description calls `images` an object and `v2` a
//! string, the service sends an array and a boolean; [`Form`] chooses, and only `Documented` passes the validator.

use super::client::Client;
use super::http::Listener;
use super::log::{Asked, Log};
use super::reply::Reply;
use super::text::digest;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

/// One tag as the API lists it.
#[derive(Clone, Debug)]
pub struct HubTag {
    /// The name.
    pub name: String,
    /// The digest; old tags have none.
    pub digest: Option<String>,
    /// When it was pushed.
    pub updated: Option<String>,
    /// Platform and digest of its images.
    pub images: Vec<(String, String, String)>,
}

impl HubTag {
    /// A tag with a digest made up from its name.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            digest: Some(digest(name.as_bytes())),
            updated: Some("2026-08-20T10:00:00.506400Z".to_owned()),
            images: vec![("linux".to_owned(), "amd64".to_owned(), digest(name.as_bytes()))],
        }
    }
}

/// Where the tags come from.
pub enum Source {
    /// Tags by `namespace/repository`.
    List(HashMap<String, Vec<HubTag>>),
    /// A registry, asked anew for every page.
    Registry(Client),
}

/// Which of the two shapes answers have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As the service answers.
    #[default]
    Observed,
    /// As the API is described.
    Documented,
}

/// How the API behaves.
pub struct Options {
    /// The largest page.
    pub cap: usize,
    /// Serves pages of this size, whatever was asked.
    pub smaller: Option<usize>,
    /// Whether `name` narrows the list.
    pub name_filter: bool,
    /// Secrets by identifier.
    pub users: HashMap<String, String>,
    /// Whether tag pages are for those who logged in alone.
    pub private: bool,
    /// What tag pages are answered with instead.
    pub refusal: Option<Reply>,
    /// The shape of the answers.
    pub form: Form,
    /// The address by which `next` names this server, where it is not its own.
    pub base: Option<String>,
    /// Answers in TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cap: 100,
            smaller: None,
            name_filter: true,
            users: HashMap::new(),
            private: false,
            refusal: None,
            form: Form::Observed,
            base: None,
            tls: None,
        }
    }
}

impl Options {
    /// With one more user.
    #[must_use]
    pub fn user(mut self, identifier: &str, secret: &str) -> Self {
        self.users.insert(identifier.to_owned(), secret.to_owned());
        self
    }
}

type Hook = Box<dyn FnMut(&Asked) -> Option<Reply> + Send>;

struct Shared {
    options: Options,
    source: Source,
    tokens: Mutex<HashSet<String>>,
    hooks: Mutex<Vec<Hook>>,
    base: Mutex<String>,
}

/// A running look-alike.
pub struct Hub {
    listener: Listener,
    shared: Arc<Shared>,
}

impl Hub {
    /// Out of a list of tag names of one repository.
    pub fn of(repository: &str, tags: impl IntoIterator<Item = HubTag>) -> Self {
        let list = HashMap::from([(repository.to_owned(), tags.into_iter().collect())]);
        Self::start(Source::List(list), Options::default())
    }

    /// As told.
    pub fn start(source: Source, options: Options) -> Self {
        let tls = options.tls.clone();
        let shared = Arc::new(Shared {
            base: Mutex::new(options.base.clone().unwrap_or_default()),
            options,
            source,
            tokens: Mutex::default(),
            hooks: Mutex::default(),
        });
        let listener = Listener::start_with(tls, {
            let shared = shared.clone();
            move |asked| shared.answer(asked)
        });
        let mut base = shared.base.lock().unwrap();
        if base.is_empty() {
            *base = listener.url();
        }
        drop(base);
        Self { listener, shared }
    }

    /// The address for `--hub-api`.
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// What was asked so far.
    pub fn log(&self) -> Log {
        self.listener.log()
    }

    /// Answers from here first, where the function has an answer.
    pub fn hook(&self, hook: impl FnMut(&Asked) -> Option<Reply> + Send + 'static) {
        self.shared.hooks.lock().unwrap().push(Box::new(hook));
    }
}

impl Shared {
    fn answer(&self, asked: &Asked) -> Reply {
        let hooked = self.hooks.lock().unwrap().iter_mut().find_map(|hook| hook(asked));
        hooked
            .unwrap_or_else(|| self.serve(asked))
            .header("X-RateLimit-Limit", "600")
            .header("X-RateLimit-Remaining", "599")
            .header("X-RateLimit-Reset", "1786000000")
    }

    fn serve(&self, asked: &Asked) -> Reply {
        if asked.path == "/v2/auth/token" {
            return if asked.method == "POST" { self.login(asked) } else { Reply::status(405) };
        }
        let rest = asked
            .path
            .strip_prefix("/v2/namespaces/")
            .and_then(|rest| rest.trim_end_matches('/').strip_suffix("/tags"));
        let Some((namespace, repository)) = rest.and_then(|rest| rest.split_once("/repositories/")) else {
            return missing("object not found");
        };
        let known = |token: &str| self.tokens.lock().unwrap().contains(token);
        match asked.bearer() {
            Some(token) if !known(token) => {
                return Reply::with(401, "application/json", r#"{"detail":"invalid token","message":"invalid token"}"#);
            }
            // Without rights the repository is as good as missing.
            None if self.options.private => return missing("object not found"),
            _ => {}
        }
        if let Some(refusal) = &self.options.refusal {
            return refusal.clone();
        }
        match self.tags(&format!("{namespace}/{repository}")) {
            Some(tags) => self.page(asked, tags),
            None => missing("object not found"),
        }
    }

    fn login(&self, asked: &Asked) -> Reply {
        let Ok(body) = serde_json::from_slice::<Value>(&asked.body) else {
            return Reply::with(400, "application/json", r#"{"fields":{},"text":"not a JSON document"}"#);
        };
        let (Some(identifier), Some(secret)) = (body["identifier"].as_str(), body["secret"].as_str()) else {
            return Reply::with(
                400,
                "application/json",
                r#"{"fields":{"identifier":["required"]},"text":"validation"}"#,
            );
        };
        if self.options.users.get(identifier).is_none_or(|known| known != secret) {
            return Reply::with(401, "application/json", r#"{"detail":"Incorrect authentication credentials"}"#);
        }
        let mut tokens = self.tokens.lock().unwrap();
        let token = format!("hub-token-{}", tokens.len() + 1);
        tokens.insert(token.clone());
        Reply::json(&json!({"access_token": token}))
    }

    fn tags(&self, repository: &str) -> Option<Vec<HubTag>> {
        match &self.source {
            Source::List(list) => list.get(repository).cloned(),
            Source::Registry(client) => {
                let answer = client.get(&format!("/v2/{repository}/tags/list"));
                (answer.status == 200)
                    .then(|| client.tags(repository).iter().map(|tag| read(client, repository, tag)).collect())
            }
        }
    }

    fn page(&self, asked: &Asked, mut tags: Vec<HubTag>) -> Reply {
        if let (true, Some(name)) = (self.options.name_filter, asked.query("name")) {
            tags.retain(|tag| tag.name.contains(name));
        }
        let number = |name: &str, default: usize| match asked.query(name) {
            None => Some(default),
            Some(text) => text.parse().ok().filter(|number| *number > 0),
        };
        let (Some(page), Some(size)) = (number("page", 1), number("page_size", 10)) else {
            return Reply::with(400, "application/json", r#"{"fields":{"page":["invalid"]},"text":"validation"}"#);
        };
        let served = self.options.smaller.unwrap_or(size).min(self.options.cap);
        let start = (page - 1) * served;
        if start >= tags.len() && page > 1 {
            return missing("page not found");
        }
        let end = (start + served).min(tags.len());
        let base = self.base.lock().unwrap().clone();
        let link = |page: usize| {
            let filter = asked.query("name").map(|name| format!("&name={name}")).unwrap_or_default();
            format!("{base}{}?page={page}&page_size={size}{filter}", asked.path)
        };
        Reply::json(&json!({
            "count": tags.len(),
            "next": (end < tags.len()).then(|| link(page + 1)),
            "previous": (page > 1).then(|| link(page - 1)),
            "results": tags[start..end].iter().enumerate().map(|(at, tag)| self.show(start + at, tag)).collect::<Vec<_>>(),
        }))
    }

    fn show(&self, id: usize, tag: &HubTag) -> Value {
        let image = |(os, architecture, digest): &(String, String, String)| {
            let mut image = json!({
                "architecture": architecture, "features": "", "digest": digest, "os": os, "os_features": "", "size": 1000,
                "status": "active", "last_pulled": tag.updated, "last_pushed": tag.updated,
            });
            if self.options.form == Form::Observed {
                image["variant"] = Value::Null;
                image["os_version"] = Value::Null;
            }
            image
        };
        let images: Vec<Value> = tag.images.iter().map(image).collect();
        let mut out = json!({
            "id": id + 1, "creator": 7, "last_updated": tag.updated, "last_updater": 7, "last_updater_username": "robot",
            "name": tag.name, "repository": 42, "full_size": 2000, "tag_last_pulled": null, "tag_last_pushed": tag.updated,
        });
        if self.options.form == Form::Documented {
            out["images"] = images.first().cloned().unwrap_or_else(|| json!({}));
            out["v2"] = json!("true");
            out["status"] = json!("active");
        } else {
            out["images"] = json!(images);
            out["v2"] = json!(true);
            out["tag_status"] = json!("active");
            out["content_type"] = json!("image");
            if let Some(digest) = &tag.digest {
                out["digest"] = json!(digest);
            }
        }
        out
    }
}

fn missing(what: &str) -> Reply {
    Reply::with(404, "application/json", json!({"message": what, "errinfo": {}}).to_string())
}

/// Reads from a registry what the API knows of a tag.
fn read(client: &Client, repository: &str, tag: &str) -> HubTag {
    let answer = client.get(&format!("/v2/{repository}/manifests/{tag}"));
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = body["manifests"].as_array().cloned().unwrap_or_default();
    let images = entries.iter().map(|entry| {
        let platform = &entry["platform"];
        (text(&platform["os"]), text(&platform["architecture"]), text(&entry["digest"]))
    });
    HubTag { digest: Some(digest(&answer.body)), images: images.collect(), ..HubTag::named(tag) }
}
