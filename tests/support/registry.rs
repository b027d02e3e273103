//! A registry in memory: manifests, blobs, tag lists, uploads, referrers, three ways to log in, and faults on demand.
//!
//! It keeps to the distribution specification where it is sound, so that whatever a test breaks is the test's doing.

use super::http::{Cut, Listener};
use super::image::Built;
use super::log::{Asked, Log};
use super::manifests::Shelf;
use super::reply::Reply;
use super::text::digest;
use super::token::{Rights, Rules, SERVICE, TokenServer};
use super::uploads::{Blobs, Desk, Location, Traffic, Uploads};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// How a registry wants to be logged in to.
#[derive(Clone, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// With a user name and a password on every request.
    Basic(String, String),
    /// With a token of a token server of its own.
    Bearer(Rules),
}

/// How a registry behaves.
#[derive(Clone, Default)]
pub struct Options {
    /// How to log in.
    pub auth: Auth,
    /// At most so many tags a page, whatever was asked.
    pub page: Option<usize>,
    /// Whether the referrers API is known here.
    pub referrers: bool,
    /// At most so many referrers a page.
    pub referrers_page: Option<usize>,
    /// How blobs come in and go out.
    pub blobs: Blobs,
    /// Whether a manifest is taken that names blobs or manifests which are not there.
    pub careless: bool,
    /// Whether a tag that is there may not change.
    pub immutable: bool,
    /// Whether `Docker-Content-Digest` is left out.
    pub no_digest_header: bool,
    /// Answers in TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Names this as the token realm in place of its own token server's.
    pub realm: Option<String>,
    /// Names this service in the challenge.
    pub service: Option<String>,
}

/// What one repository holds.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    /// Digests by tag.
    pub tags: BTreeMap<String, String>,
    /// Media type and bytes by digest.
    pub manifests: HashMap<String, (String, Vec<u8>)>,
    /// Bytes by digest.
    pub blobs: HashMap<String, Vec<u8>>,
}

/// What the registry holds; hooks may change it between two requests.
#[derive(Debug, Default)]
pub struct State {
    /// Repositories by name.
    pub repositories: BTreeMap<String, Repository>,
    /// Uploads under way, and what was counted by digest.
    pub uploads: Uploads,
}

impl State {
    /// Stores a manifest with everything below it and returns its digest.
    pub fn store(&mut self, repository: &str, built: &Built) -> String {
        for child in &built.children {
            self.store(repository, child);
        }
        let home = self.repositories.entry(repository.to_owned()).or_default();
        for blob in &built.blobs {
            home.blobs.insert(digest(blob), blob.clone());
        }
        home.manifests.insert(built.digest(), (built.media_type.clone(), built.bytes.clone()));
        built.digest()
    }

    /// Points a tag at a digest.
    pub fn tag(&mut self, repository: &str, tag: &str, digest: &str) {
        let home = self.repositories.entry(repository.to_owned()).or_default();
        home.tags.insert(tag.to_owned(), digest.to_owned());
    }

    /// What a tag points at.
    pub fn resolve(&self, repository: &str, tag: &str) -> Option<String> {
        self.repositories.get(repository)?.tags.get(tag).cloned()
    }
}

type Before = Box<dyn FnMut(&Asked, &mut State) -> Option<Reply> + Send>;
type Gate = Box<dyn Fn(&Asked) + Send + Sync>;
type After = Box<dyn FnMut(&Asked, &mut State, &mut Reply) + Send>;

struct Shared {
    options: Options,
    realm: Option<String>,
    tokens: Option<TokenServer>,
    state: Mutex<State>,
    /// The addresses of the roots of this registry and of its other origin.
    origins: OnceLock<(String, String)>,
    gate: OnceLock<Gate>,
    before: Mutex<Vec<Before>>,
    after: Mutex<Vec<After>>,
}

/// A running registry.
pub struct Registry {
    listener: Listener,
    elsewhere: Option<Listener>,
    shared: Arc<Shared>,
}

impl Registry {
    /// Open to everybody.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// With a password on every request.
    pub fn basic(user: &str, password: &str) -> Self {
        Self::with(Options { auth: Auth::Basic(user.to_owned(), password.to_owned()), ..Options::default() })
    }

    /// With tokens.
    pub fn bearer(rules: Rules) -> Self {
        Self::with(Options { auth: Auth::Bearer(rules), ..Options::default() })
    }

    /// As told.
    pub fn with(options: Options) -> Self {
        let tokens = match &options.auth {
            Auth::Bearer(rules) => Some(TokenServer::start_with(rules.clone(), options.tls.clone())),
            _ => None,
        };
        let realm = options.realm.clone().or_else(|| tokens.as_ref().map(TokenServer::realm));
        let tls = options.tls.clone();
        let shared = Arc::new(Shared {
            options,
            realm,
            tokens,
            state: Mutex::default(),
            origins: OnceLock::new(),
            gate: OnceLock::new(),
            before: Mutex::default(),
            after: Mutex::default(),
        });
        let listener = Listener::start_with(tls.clone(), {
            let shared = shared.clone();
            move |asked| shared.answer(asked, false)
        });
        let blobs = &shared.options.blobs;
        let elsewhere = (blobs.redirect || blobs.location == Location::Elsewhere).then(|| {
            let shared = shared.clone();
            Listener::start_with(tls, move |asked| shared.answer(asked, true))
        });
        let other = elsewhere.as_ref().map(Listener::url).unwrap_or_default();
        shared.origins.set((listener.url(), other)).unwrap();
        Self { listener, elsewhere, shared }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.listener.host()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// The address of the root, without a slash at its end.
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// `127.0.0.1:PORT/REPOSITORY`.
    pub fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.host())
    }

    /// Stores a manifest with everything below it under a tag and returns its digest.
    pub fn push(&self, repository: &str, tag: &str, built: &Built) -> String {
        let mut state = self.shared.state.lock().unwrap();
        let digest = state.store(repository, built);
        state.tag(repository, tag, &digest);
        digest
    }

    /// Reads or changes what is stored.
    pub fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.shared.state.lock().unwrap())
    }

    /// What a tag points at.
    pub fn resolve(&self, repository: &str, tag: &str) -> Option<String> {
        self.state(|state| state.resolve(repository, tag))
    }

    /// Every tag of a repository with its digest.
    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        self.state(|state| state.repositories.get(repository).map(|home| home.tags.clone()).unwrap_or_default())
    }

    /// Lets a request wait here until its turn has come, and others overtake it.
    pub fn gate(&self, gate: impl Fn(&Asked) + Send + Sync + 'static) {
        assert!(self.shared.gate.set(Box::new(gate)).is_ok(), "there is one gate already");
    }

    /// Answers from here first, where the function has an answer; it may change what is stored.
    pub fn before(&self, hook: impl FnMut(&Asked, &mut State) -> Option<Reply> + Send + 'static) {
        self.shared.before.lock().unwrap().push(Box::new(hook));
    }

    /// Sees each answer before it goes out, may change it and what is stored.
    pub fn after(&self, hook: impl FnMut(&Asked, &mut State, &mut Reply) + Send + 'static) {
        self.shared.after.lock().unwrap().push(Box::new(hook));
    }

    /// Answers the first so many requests of that method with that text in their path in this way.
    pub fn fail(&self, times: usize, method: &'static str, part: &str, reply: Reply) {
        let part = part.to_owned();
        let mut left = times;
        self.before(move |asked, _| {
            let hit = left > 0 && asked.method == method && asked.path.contains(&part);
            left -= usize::from(hit);
            hit.then(|| reply.clone())
        });
    }

    /// Ends the first so many requests of that method with that text in their path before their body is read to its
    /// end: after so many bytes of it this is answered, and the connection closed. `kept` says whether the bytes that
    /// came stay in the upload.
    pub fn cut(&self, times: usize, method: &'static str, part: &str, after: usize, kept: bool, reply: Reply) {
        let part = part.to_owned();
        let hit = move |asked: &Asked| asked.method == method && asked.path.contains(&part);
        self.cut_where(times, hit, after, kept, reply);
    }

    /// The same with requests of any kind.
    pub fn cut_where(
        &self,
        times: usize,
        part: impl Fn(&Asked) -> bool + Clone + Send + 'static,
        after: usize,
        kept: bool,
        reply: Reply,
    ) {
        for listener in [Some(&self.listener), self.elsewhere.as_ref()].into_iter().flatten() {
            let (part, reply, shared) = (part.clone(), reply.clone(), self.shared.clone());
            let mut left = times;
            listener.early(move |asked| {
                let hit = left > 0 && part(asked);
                left -= usize::from(hit);
                let shared = shared.clone();
                let keep = move |asked: &Asked| {
                    if kept {
                        shared.state.lock().unwrap().uploads.keep_part(asked);
                    }
                };
                hit.then(|| Cut { after, reply: reply.clone(), seen: Box::new(keep) })
            });
        }
    }

    /// What became of one blob here.
    pub fn traffic(&self, digest: &str) -> Traffic {
        self.state(|state| state.uploads.traffic(digest))
    }

    /// The other origin, where uploads or redirects lead to one.
    pub fn elsewhere(&self) -> &Listener {
        self.elsewhere.as_ref().expect("this registry has no other origin")
    }

    /// The token server, where there is one.
    pub fn tokens(&self) -> &TokenServer {
        self.shared.tokens.as_ref().expect("this registry has no token server")
    }

    /// Whether there is a token server.
    pub fn has_tokens(&self) -> bool {
        self.shared.tokens.is_some()
    }

    /// Holds every answer back for so long, the token server's and the other origin's too.
    pub fn latency(&self, latency: Duration) {
        self.listener.latency(latency);
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.latency(latency);
        }
        if let Some(tokens) = &self.shared.tokens {
            tokens.latency(latency);
        }
    }

    /// What was asked of the registry, of its other origin and of its token server so far.
    pub fn log(&self) -> Log {
        let log = self.listener.log();
        let log = match &self.elsewhere {
            Some(elsewhere) => log.and(elsewhere.log()),
            None => log,
        };
        match &self.shared.tokens {
            Some(tokens) => log.and(tokens.log()),
            None => log,
        }
    }

    /// Forgets what was asked so far.
    pub fn clear(&self) {
        self.listener.clear();
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.clear();
        }
        if let Some(tokens) = &self.shared.tokens {
            tokens.clear();
        }
    }

    /// How many connections were made to the registry.
    pub fn connections(&self) -> usize {
        self.listener.connections()
    }
}

/// Where in a repository a request goes.
pub struct Path<'a> {
    /// The repository.
    pub repository: &'a str,
    /// `manifests`, `blobs`, `blobs/uploads`, `tags` or `referrers`.
    pub kind: &'a str,
    /// What follows.
    pub rest: &'a str,
}

/// Reads the path of a request; `None` where it is none of the distribution API.
pub fn split(path: &str) -> Option<Path<'_>> {
    let inner = path.strip_prefix("/v2/")?;
    for kind in ["/manifests/", "/blobs/uploads/", "/blobs/", "/tags/", "/referrers/"] {
        if let Some(at) = inner.rfind(kind) {
            return Some(Path {
                repository: &inner[..at],
                kind: kind.trim_matches('/'),
                rest: &inner[at + kind.len()..],
            });
        }
    }
    None
}

impl Shared {
    fn answer(&self, asked: &Asked, elsewhere: bool) -> Reply {
        if let Some(gate) = self.gate.get() {
            gate(asked);
        }
        let mut state = self.state.lock().unwrap();
        for hook in self.before.lock().unwrap().iter_mut() {
            if let Some(reply) = hook(asked, &mut state) {
                return reply;
            }
        }
        let mut reply = if elsewhere {
            self.serve_elsewhere(asked, &mut state)
        } else {
            match self.refuse(asked) {
                Some(refusal) => refusal,
                None => self.options.serve(asked, &mut state, &self.desk()),
            }
        };
        for hook in self.after.lock().unwrap().iter_mut() {
            hook(asked, &mut state, &mut reply);
        }
        reply.set("Docker-Distribution-Api-Version", "registry/2.0")
    }

    /// The challenge or refusal for a request without the right to it.
    fn refuse(&self, asked: &Asked) -> Option<Reply> {
        let challenge = |value: String| {
            Some(Reply::error(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", value))
        };
        match &self.options.auth {
            Auth::None => None,
            Auth::Basic(user, password) => match asked.basic() {
                Some((known, secret)) if known == *user && secret == *password => None,
                _ => challenge("Basic realm=\"tests\"".to_owned()),
            },
            Auth::Bearer(rules) if rules.basic && asked.basic().is_some_and(|login| rules.knows(&login)) => None,
            Auth::Bearer(_) => {
                let reads = asked.method == "GET" || asked.method == "HEAD";
                let mut wanted = Vec::new();
                if let Some(path) = split(&asked.path) {
                    let actions = if reads { "pull" } else { "pull,push" };
                    wanted.push((path.repository.to_owned(), actions));
                    if let Some(from) = asked.query("from") {
                        wanted.push((from.to_owned(), "pull"));
                    }
                }
                let granted =
                    asked.bearer().map(|token| self.tokens.as_ref().and_then(|server| server.desk().granted(token)));
                let enough = match &granted {
                    Some(Some(granted)) => wanted.iter().all(|(name, actions)| {
                        actions.split(',').all(|action| {
                            granted
                                .iter()
                                .any(|(known, rights)| known == name && rights.iter().any(|right| right == action))
                        })
                    }),
                    _ => false,
                };
                if enough {
                    return None;
                }
                let scopes: Vec<String> =
                    wanted.iter().map(|(name, actions)| format!("repository:{name}:{actions}")).collect();
                let realm = self.realm.as_deref().unwrap_or_default();
                let service = self.options.service.as_deref().unwrap_or(SERVICE);
                let mut value = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
                if !scopes.is_empty() {
                    value.push_str(&format!(",scope=\"{}\"", scopes.join(" ")));
                }
                match granted {
                    None => {}
                    Some(None) => value.push_str(",error=\"invalid_token\""),
                    Some(Some(_)) => value.push_str(",error=\"insufficient_scope\""),
                }
                challenge(value)
            }
        }
    }

    /// The other origin: storage that takes uploads and gives blobs to whoever knows the address.
    fn serve_elsewhere(&self, asked: &Asked, state: &mut State) -> Reply {
        if asked.header("Authorization").is_some() {
            return Reply::with(400, "application/xml", "<Error><Code>InvalidArgument</Code></Error>");
        }
        match split(&asked.path).filter(|path| path.kind.starts_with("blobs")) {
            Some(path) => self.desk().answer(asked, &path, state),
            None => Reply::with(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>"),
        }
    }

    fn desk(&self) -> Desk<'_> {
        let (here, elsewhere) = self.origins.get().expect("the origins are set before any address is known");
        Desk { blobs: &self.options.blobs, here, elsewhere }
    }
}

impl Options {
    /// Answers a request that may be made.
    pub fn serve(&self, asked: &Asked, state: &mut State, desk: &Desk) -> Reply {
        if asked.path == "/v2/" || asked.path == "/v2" {
            return Reply::json(&json!({}));
        }
        let Some(path) = split(&asked.path) else { return Reply::with(404, "text/plain", "404 page not found\n") };
        let known = state.repositories.contains_key(path.repository);
        let reads = asked.method == "GET" || asked.method == "HEAD";
        if !known && reads && path.kind != "blobs/uploads" {
            return Reply::error(404, "NAME_UNKNOWN", "repository name not known to registry");
        }
        match path.kind {
            "blobs" | "blobs/uploads" => {
                desk.redirected(asked, &path).unwrap_or_else(|| desk.answer(asked, &path, state))
            }
            _ => Shelf { options: self }.answer(asked, &path, state),
        }
    }
}

/// Rules for one user who may do everything; nobody else may do anything.
pub fn one_user(user: &str, password: &str) -> Rules {
    Rules::default().user(user, password, Rights::PUSH)
}
