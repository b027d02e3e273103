//! What every command works with: the clients, set up as the flags say.

use crate::aws::{Aws, AwsSettings};
use crate::command::caller::{CallerRules, RegistryCaller};
use crate::command::request::{Common, Request};
use crate::error::{Code, Error};
use crate::http::{Exchange, Http, Options};
use crate::pure::auth::scope::Action;
use crate::pure::auth::{Credential, CredentialSource};
use crate::pure::aws::AwsIdentity;
use crate::pure::http::{ExchangeSettings, Url, bracketed};
use crate::pure::image::listing::Via;
use crate::pure::image::{Registry, Repository};
use crate::registry::login::{Client, Keychain};
use crate::registry::{HubApi, Remote, hub};
use crate::world::World;
use std::sync::Arc;
use std::time::Duration;

/// How long a command may take that copies nothing.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);

/// The two sides of a promotion, the same repository twice where the image stays where it is.
pub struct Sides<'s, 'w> {
    /// Where the image comes from.
    pub source: Remote<'s, 'w>,
    /// Where the tags are written.
    pub target: Remote<'s, 'w>,
    /// The flags that reach the target in another command, for the commands that undo.
    pub connection: &'s [String],
}

/// What one registry is spoken to with, as one caller.
struct Side<'w> {
    caller: RegistryCaller,
    client: Client<'w>,
    /// Docker Hub's web API.
    hub: HubApi,
    /// The one source of tag lists that is wanted.
    via: Option<Via>,
    /// The flags that reach the same registry in another command, for undo commands.
    connection: Vec<String>,
}

/// The clients of one command.
pub struct Session<'w> {
    /// The way out, which all clients share.
    pub exchange: Arc<Exchange<'w>>,
    sides: Vec<Side<'w>>,
    /// Which side speaks to a registry, by the number of the `--into` that names it, 0 for any other.
    parts: Vec<(usize, Registry, usize)>,
}

impl<'w> Session<'w> {
    /// Sets the clients up for a command; opens nothing. `login` stands in for the environment's first pair.
    ///
    /// # Errors
    /// `config-malformed` for roots and proxies that cannot be read.
    pub fn new(world: &'w World, common: &Common, request: &Request, login: Option<Credential>) -> Result<Self, Error> {
        let registries = request.registries();
        let copies = request.promotions().iter().any(|promote| !promote.into.is_empty());
        let is_usual = !copies && !matches!(request, Request::Release(_));
        let timeout = common.exchange.timeout.or(is_usual.then_some(USUAL_TIMEOUT));
        let timeout = timeout.map(|timeout| timeout + common.exchange.wait.unwrap_or_default());
        let settings = ExchangeSettings { timeout, ..common.exchange.clone() };
        let amazon = AwsSettings { names: common.ecr.clone(), ..AwsSettings::default() };
        let is_aws = |registry: &Registry| amazon.has_api(Via::EcrApi, registry);
        // The roots that AWS tools are given count where one of Amazon's registries is meant.
        let bundle = || {
            let any = registries.iter().any(|(_, registry)| is_aws(registry));
            world.env("AWS_CA_BUNDLE").filter(|_| any).map(str::to_owned)
        };
        let options = Options { ca_file: common.ca_file.clone().or_else(bundle), resolve: common.resolve.clone() };
        let exchange = Arc::new(Exchange::new(world, settings, Http::new(world, &options)?));
        let rules = CallerRules { world, request, common, amazon: &amazon, given: login.is_some() };
        let mut session = Self { exchange, sides: Vec::new(), parts: Vec::new() };
        for (into, registry) in registries {
            if session.parts.iter().any(|(number, known, _)| *number == into && known == registry) {
                continue;
            }
            let caller = rules.caller(into, registry);
            let known = session.sides.iter().position(|side| side.caller.is_same(&caller));
            let at = match known {
                Some(at) => at,
                None => session.add(&rules, caller, login.as_ref())?,
            };
            session.parts.push((into, registry.clone(), at));
        }
        if session.sides.is_empty() {
            // Nothing is asked, and by nobody.
            session.add(&rules, rules.caller(0, &Registry::docker_hub()), None)?;
        }
        Ok(session)
    }

    /// Adds the clients of one side, and says which it is.
    fn add(&mut self, rules: &CallerRules, caller: RegistryCaller, login: Option<&Credential>) -> Result<usize, Error> {
        let (common, registry) = (rules.common, &caller.registry);
        let all: Vec<&Registry> = rules.request.registries().into_iter().map(|(_, registry)| registry).collect();
        // A choice of API or of credential that only some registries know is about those.
        let knows = |via, registry: &Registry| rules.amazon.has_api(via, registry);
        let fits = |via| knows(via, registry) || !all.iter().any(|other| knows(via, other));
        let via = common.via.filter(|via| fits(*via));
        let pin = common.credentials_from.filter(|from| *from != CredentialSource::Aws || fits(Via::EcrApi));
        let named = caller.identity.role.is_some() || caller.identity.profile.is_some();
        let aws = AwsSettings {
            identity: caller.identity.clone(),
            names: common.ecr.clone(),
            only: named || pin == Some(CredentialSource::Aws),
            asked: pin.is_none_or(|pin| pin == CredentialSource::Aws),
            via,
            key: caller.key.clone(),
            flags: caller.flags,
        };
        let api = match &common.hub_api {
            Some(api) => api.clone(),
            None => Url::parse(hub::API)?,
        };
        let login = login.filter(|_| caller.pair.is_empty()).cloned();
        let keychain = Keychain::new(self.exchange.world, pin, aws.clone(), caller.reach).with(&caller.pair, login);
        let mounts = rules.request.promotions().iter().flat_map(|promote| {
            let source = promote.source.repository();
            let here = promote.into.iter().filter(|into| [into.registry(), source.registry()] == [registry; 2]);
            here.map(|into| (into.clone(), source.clone()))
        });
        let client = Client::new(self.exchange.clone(), keychain, Aws::new(aws)).mounting(mounts.collect());
        let connection = connection(common, &caller.identity);
        self.sides.push(Side { caller, client, hub: HubApi::new(api), via, connection });
        Ok(self.sides.len() - 1)
    }

    /// The side that speaks to a registry.
    fn side(&self, into: usize, registry: &Registry) -> &Side<'w> {
        let of = |number: Option<usize>| {
            let is_it = |(one, known, _): &&(usize, Registry, usize)| {
                known == registry && number.is_none_or(|number| number == *one)
            };
            self.parts.iter().find(is_it).map(|(.., at)| *at)
        };
        debug_assert!(of(None).is_some(), "the request does not say that `{registry}` is spoken to");
        &self.sides[of(Some(into)).or_else(|| of(None)).unwrap_or_default()]
    }

    /// The client of a command that speaks to one registry.
    pub fn client(&self) -> &Client<'w> {
        &self.sides[0].client
    }

    /// Refuses, before any packet, what the credential of a registry must not meet.
    ///
    /// # Errors
    /// Those of [`Client::check`]; `credential-host-mismatch` for a web API at another host than the credential is for.
    pub fn check(&self) -> Result<(), Error> {
        self.parts.iter().try_for_each(|(_, registry, at)| self.sides[*at].check(registry))
    }

    /// A repository, with the rights that are asked for.
    pub fn remote(&self, repository: &Repository, rights: Action) -> Remote<'_, 'w> {
        self.side(0, repository.registry()).remote(repository, rights)
    }

    /// Both sides of a promotion, the rights to write asked for where it is going to: a copy only reads its source.
    /// With `into` comes which `--into` it is, from 1.
    pub fn sides(&self, source: &Repository, into: Option<(usize, &Repository)>, writes: bool) -> Sides<'_, 'w> {
        let rights = if writes { Action::Push } else { Action::Pull };
        let reading = if into.is_some() { Action::Pull } else { rights };
        let (number, repository) = into.unwrap_or((0, source));
        let target = self.side(number, repository.registry());
        Sides {
            source: self.remote(source, reading),
            target: target.remote(repository, rights),
            connection: &target.connection,
        }
    }
}

impl<'w> Side<'w> {
    fn remote(&self, repository: &Repository, rights: Action) -> Remote<'_, 'w> {
        Remote::new(&self.client, &self.hub, self.via, repository, rights)
    }

    fn check(&self, registry: &Registry) -> Result<(), Error> {
        self.client.check(registry)?;
        let elsewhere = self.hub.elsewhere().filter(|_| registry.is_docker_hub());
        let Some((pin, host)) = self.client.pinning().zip(elsewhere) else { return Ok(()) };
        let message = format!("`{pin}` pins the credential to `{registry}`, and `--hub-api` leads to `{host}`");
        Err(Error::new(Code::CredentialHostMismatch, message)
            .hint(format!("leave `--hub-api` out, or unset `{pin}` where the credential may go to `{host}`")))
    }
}

fn connection(common: &Common, identity: &AwsIdentity) -> Vec<String> {
    let mut words = Vec::new();
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    common.ca_file.iter().for_each(|file| flag("--ca-file", file.clone()));
    common.exchange.plain_http.iter().for_each(|host| flag("--plain-http", host.clone()));
    for resolve in &common.resolve {
        let address = bracketed(&resolve.address.to_string());
        flag("--resolve", format!("{}:{}:{address}", resolve.host, resolve.port));
    }
    identity.role.iter().for_each(|role| flag("--aws-role", role.clone()));
    identity.external_id.iter().for_each(|id| flag("--aws-external-id", id.clone()));
    identity.profile.iter().for_each(|profile| flag("--aws-profile", profile.clone()));
    common.ecr.iter().for_each(|(name, host)| flag("--ecr", format!("{name}={host}")));
    if common.exchange.https {
        words.push("--https".to_owned());
    }
    words
}
