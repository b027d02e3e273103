//! A fake of Amazon: the registries of two accounts, each with ECR's own API, its registry API and the bucket its blobs
//! lie in, and the token services, all under their real names behind a proxy.
//!
//! Every call must carry a signature that its key makes; the bucket refuses a request with a credential, as S3 does.
//! Whoever calls may be allowed less than everything, each by name.

mod api;
mod registry;

use super::cmd::{Tagwright, tagwright};
use super::http::Listener;
use super::image::Built;
use super::log::{Asked, Log};
use super::proxy::Proxy;
pub use super::registry::State as Store;
use super::reply::{Fault, Reply};
use super::tls::Authority;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

pub const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
pub const API: &str = "api.ecr.eu-west-1.amazonaws.com";
pub const STS: &str = "sts.eu-west-1.amazonaws.com";
pub const BUCKET: &str = "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com";
/// The registry of another account in another region.
pub const FAR: &str = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
const FAR_API: &str = "api.ecr.us-east-1.amazonaws.com";
const FAR_BUCKET: &str = "prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com";
pub const PUBLIC: &str = "public.ecr.aws";
pub const PUBLIC_API: &str = "api.ecr-public.us-east-1.amazonaws.com";
/// It serves the region of [`FAR`] too.
pub const PUBLIC_STS: &str = "sts.us-east-1.amazonaws.com";

/// A key that may do everything, and its secret.
pub const KEY: (&str, &str) = ("AKIAMARKEDKEYID00001", "marked/secret+access/key");
/// Another one.
pub const OTHER_KEY: (&str, &str) = ("AKIAMARKEDKEYID00002", "marked/other-secret+access/key");
/// The password that the API lends.
pub const PASSWORD: &str = "marked-registry-password";
/// The session token of every assumed role.
pub const SESSION: &str = "marked-session-token//==";

type Hook = Box<dyn FnMut(&Asked, &str, &mut Store) -> Option<Reply> + Send>;
type Watch = Box<dyn FnMut(&Asked, &mut State, &mut Reply) + Send>;

/// One registry.
struct Site {
    host: &'static str,
    api: &'static str,
    bucket: &'static str,
    account: &'static str,
    region: &'static str,
}

static NEAR_SITE: Site = Site { host: HOST, api: API, bucket: BUCKET, account: "123456789012", region: "eu-west-1" };
static FAR_SITE: Site =
    Site { host: FAR, api: FAR_API, bucket: FAR_BUCKET, account: "210987654321", region: "us-east-1" };

/// A password for the registry API.
pub struct Password {
    word: String,
    /// Who it was lent to.
    identity: String,
    host: &'static str,
    /// Whether it has run out.
    pub is_old: bool,
}

/// What it holds and allows.
pub struct State {
    /// Repositories with manifests, tags and blobs, of [`HOST`] and of the public registry.
    pub store: Store,
    /// Those of [`FAR`].
    pub far: Store,
    /// Whether tags cannot change.
    pub immutable: bool,
    /// Patterns of tags for which it is the other way round.
    pub exclusions: Vec<String>,
    /// Whether a repository comes to be with the first push.
    pub creates: bool,
    /// The actions that are allowed; all if `None`.
    pub allowed: Option<BTreeSet<String>>,
    /// The actions that are allowed to one identity, a key id or the ARN of a role: each alone, or as `action@host`,
    /// or as `action@host/repository`. Whoever is not named may do what is allowed to all.
    pub rights: BTreeMap<String, BTreeSet<String>>,
    /// The calls that were made, by the name of the action.
    pub calls: Vec<String>,
    /// What either API was asked to do, as identity and action.
    pub used: BTreeSet<(String, String)>,
    /// Secret access keys by key id, and whether a session token goes with each.
    pub keys: BTreeMap<String, (String, bool)>,
    /// The roles behind the keys of sessions.
    roles: BTreeMap<String, String>,
    /// Every password that was lent.
    pub passwords: Vec<Password>,
    /// How many seconds the passwords count that are lent from now on, by their own word.
    pub lifetime: Option<u32>,
    /// What goes wrong with the next answers of a bucket that are as long as this at least.
    pub broken: Vec<(usize, Fault)>,
    /// Whether each download address counts for one request.
    pub once: bool,
    addresses: (u32, BTreeSet<String>),
    hook: Option<Hook>,
    watch: Option<Watch>,
}

/// The running fake.
pub struct Amazon {
    listener: Listener,
    authority: Authority,
    proxy: Proxy,
    state: Arc<Mutex<State>>,
}

impl Amazon {
    /// Empty registries, and two keys that may do everything.
    pub fn start() -> Self {
        let names =
            [HOST, API, STS, BUCKET, FAR, FAR_API, FAR_BUCKET, PUBLIC, PUBLIC_API, PUBLIC_STS, "images.internal"];
        let authority = Authority::for_names(&names);
        let keys = [KEY, OTHER_KEY].map(|(id, secret)| (id.to_owned(), (secret.to_owned(), false)));
        let first = Password { word: PASSWORD.to_owned(), identity: KEY.0.to_owned(), host: HOST, is_old: false };
        let state = Arc::new(Mutex::new(State {
            store: Store::default(),
            far: Store::default(),
            immutable: false,
            exclusions: Vec::new(),
            creates: false,
            allowed: None,
            rights: BTreeMap::new(),
            calls: Vec::new(),
            used: BTreeSet::new(),
            keys: BTreeMap::from(keys),
            roles: BTreeMap::new(),
            passwords: vec![first],
            lifetime: None,
            broken: Vec::new(),
            once: false,
            addresses: (0, BTreeSet::new()),
            hook: None,
            watch: None,
        }));
        let listener = Listener::start_with(Some(authority.server()), {
            let state = state.clone();
            move |asked| answer(&mut state.lock().unwrap(), asked)
        });
        let port = listener.port();
        let routes = names.map(|name| (format!("{name}:443"), port));
        let routes: [(&str, u16); 11] = std::array::from_fn(|i| (routes[i].0.as_str(), routes[i].1));
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

    /// Stores an image in [`FAR`] and tags it.
    pub fn push_far(&self, repository: &str, tag: &str, built: &Built) -> String {
        self.state(|state| {
            let digest = state.far.store(repository, built);
            state.far.tag(repository, tag, &digest);
            digest
        })
    }

    /// Makes an empty repository in each of these places, a host with a path.
    pub fn create<const N: usize>(&self, places: [&str; N]) {
        self.state(|state| {
            for place in places {
                let (host, path) = place.split_once('/').unwrap();
                let store = if host == FAR { &mut state.far } else { &mut state.store };
                store.repositories.entry(path.to_owned()).or_default();
            }
        });
    }

    /// Allows one identity these actions and no others.
    pub fn allow<'a>(&self, identity: &str, actions: impl IntoIterator<Item = &'a str>) {
        let actions = actions.into_iter().map(str::to_owned).collect();
        self.state(|state| state.rights.insert(identity.to_owned(), actions));
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

    /// Sees every answer of a registry and of a bucket before it goes out, and may change it.
    pub fn watch(&self, watch: impl FnMut(&Asked, &mut State, &mut Reply) + Send + 'static) {
        self.state(|state| state.watch = Some(Box::new(watch)));
    }

    /// What either API was asked to do by an identity, without `ecr:`.
    pub fn used(&self, identity: &str) -> BTreeSet<String> {
        let own = |(who, action): &(String, String)| (who == identity).then(|| action.replacen("ecr:", "", 1));
        self.state(|state| state.used.iter().filter_map(own).collect())
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
        self.state(|state| (state.calls.clear(), state.used.clear()));
    }
}

/// A refusal in the form of ECR.
pub fn refusal(name: &str, message: &str) -> Reply {
    let body = json!({"__type": format!("com.amazonaws.ecr#{name}"), "message": message});
    Reply::with(400, "application/x-amz-json-1.1", body.to_string()).header("x-amzn-RequestId", "request-1")
}

fn answer(state: &mut State, asked: &Asked) -> Reply {
    let host = asked.header("Host").unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let site = if [FAR, FAR_API, FAR_BUCKET, PUBLIC_STS].contains(&host.as_str()) { &FAR_SITE } else { &NEAR_SITE };
    let mut reply = match host.as_str() {
        API | FAR_API | PUBLIC_API => return api::api(state, site, asked),
        STS | PUBLIC_STS => return api::sts(state, site, asked),
        BUCKET | FAR_BUCKET => registry::bucket(state, site, asked),
        PUBLIC => registry::public(state, asked),
        _ => registry::private(state, site, asked),
    };
    if let Some(mut watch) = state.watch.take() {
        watch(asked, state, &mut reply);
        state.watch = Some(watch);
    }
    reply
}

impl State {
    fn store_of(&mut self, site: &Site) -> &mut Store {
        if site.host == FAR { &mut self.far } else { &mut self.store }
    }

    /// Notes what is asked for, and says in the words of AWS why it is refused, if it is.
    fn permits(&mut self, identity: &str, action: &str, site: &Site, path: &str) -> Result<(), String> {
        self.used.insert((identity.to_owned(), action.to_owned()));
        let forms = [action.to_owned(), format!("{action}@{}", site.host), format!("{action}@{}/{path}", site.host)];
        let rights = self.rights.get(identity).or(self.allowed.as_ref());
        if rights.is_none_or(|rights| forms.iter().any(|form| rights.contains(form))) {
            return Ok(());
        }
        let Site { account, region, .. } = site;
        let who = match identity.split_once(":role/") {
            Some((account, role)) => format!("{}:assumed-role/{role}/build", account.replacen(":iam:", ":sts:", 1)),
            None => format!("arn:aws:iam::123456789012:user/{identity}"),
        };
        Err(format!(
            "User: {who} is not authorized to perform: {action} on resource: \
             arn:aws:ecr:{region}:{account}:repository/{path} because no identity-based policy allows the {action} action"
        ))
    }

    /// A password for an identity; the same one as long as it counts.
    fn lend(&mut self, identity: &str, site: &Site) -> String {
        let fits = |known: &&Password| known.identity == identity && known.host == site.host && !known.is_old;
        if let Some(known) = self.passwords.iter().find(fits) {
            return known.word.clone();
        }
        let word = format!("{PASSWORD}-{}", self.passwords.len());
        let password = Password { word: word.clone(), identity: identity.to_owned(), host: site.host, is_old: false };
        self.passwords.push(password);
        word
    }

    /// Makes every password old that was lent.
    pub fn age(&mut self) {
        self.passwords.iter_mut().for_each(|password| password.is_old = true);
    }
}
