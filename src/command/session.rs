//! What every command works with: the clients, set up as the flags say.

use crate::aws::sources::INTO_KEY;
use crate::aws::{Aws, AwsSettings};
use crate::command::request::{Common, Request, Rollback};
use crate::error::{Code, Error};
use crate::http::{Exchange, Http, Options};
use crate::pure::auth::scope::Action;
use crate::pure::auth::{Credential, CredentialSource};
use crate::pure::aws::AwsIdentity;
use crate::pure::http::{ExchangeSettings, Url, bracketed};
use crate::pure::image::listing::Via;
use crate::pure::image::{Reference, Registry, Repository};
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

/// The clients of one command.
pub struct Session<'w> {
    /// Registries.
    pub client: Client<'w>,
    /// Docker Hub's web API.
    pub hub: HubApi,
    /// The one source of tag lists that is wanted.
    pub via: Option<Via>,
    /// The flags that reach the same registry in another command, for undo commands.
    connection: Vec<String>,
    /// The other side of a command that has two, where a credential of its own may be wanted.
    into: Option<Box<Session<'w>>>,
}

impl<'w> Session<'w> {
    /// Sets the clients up for a command; opens nothing. `login` stands in for the environment's first pair.
    ///
    /// # Errors
    /// `config-malformed` for roots and proxies that cannot be read.
    pub fn new(world: &'w World, common: &Common, request: &Request, login: Option<Credential>) -> Result<Self, Error> {
        let (registry, into, sides) = (request.registry(), request.into(), request.sides());
        let timeout = common.exchange.timeout.or(into.is_none().then_some(USUAL_TIMEOUT));
        let timeout = timeout.map(|timeout| timeout + common.exchange.wait.unwrap_or_default());
        let settings = ExchangeSettings { timeout, ..common.exchange.clone() };
        let amazon = AwsSettings { names: common.ecr.clone(), ..AwsSettings::default() };
        let is_aws = |registry: &Registry| amazon.has_api(Via::EcrApi, registry);
        let registries = || registry.into_iter().chain(sides.map(|[_, other]| other));
        // The roots that AWS tools are given count where one of Amazon's registries is meant.
        let bundle = || world.env("AWS_CA_BUNDLE").filter(|_| registries().any(is_aws)).map(str::to_owned);
        let options = Options { ca_file: common.ca_file.clone().or_else(bundle), resolve: common.resolve.clone() };
        let exchange = Arc::new(Exchange::new(world, settings, Http::new(world, &options)?));
        let Some(sides) = sides else {
            let into = match request {
                Request::Rollback(rollback) if login.is_none() => takes_into(world, rollback, &is_aws),
                _ => false,
            };
            return Self::side(&exchange, common, request, login, into);
        };
        let [first, second] = sides;
        // A choice of API or of credential that only one of two sides knows is about that side.
        let narrowed = |registry: &Registry| Common {
            via: common
                .via
                .filter(|via| amazon.has_api(*via, registry) || !sides.iter().any(|side| amazon.has_api(*via, side))),
            credentials_from: common.credentials_from.filter(|from| {
                *from != CredentialSource::Aws || is_aws(registry) || !sides.iter().any(|side| is_aws(side))
            }),
            ..common.clone()
        };
        let writes = into.is_some();
        let own = common.into_aws != AwsIdentity::default()
            || Keychain::has_into(world)
            || is_aws(second) && world.env(INTO_KEY).is_some();
        // What is written to has a pair of its own.
        let other = login.clone().filter(|_| !writes);
        let mut session = Self::side(&exchange, &narrowed(first), request, login, false)?;
        if first != second || writes && own {
            session.into = Some(Box::new(Self::side(&exchange, &narrowed(second), request, other, writes)?));
        }
        Ok(session)
    }

    /// The clients of one side.
    fn side(
        exchange: &Arc<Exchange<'w>>,
        common: &Common,
        request: &Request,
        login: Option<Credential>,
        into: bool,
    ) -> Result<Self, Error> {
        let pin = common.credentials_from;
        let identity = if into && request.into().is_some() { &common.into_aws } else { &common.aws };
        let named = identity.role.is_some() || identity.profile.is_some();
        let aws = AwsSettings {
            identity: identity.clone(),
            names: common.ecr.clone(),
            only: named || pin == Some(CredentialSource::Aws),
            asked: pin.is_none_or(|pin| pin == CredentialSource::Aws),
            via: common.via,
            into,
        };
        let api = match &common.hub_api {
            Some(api) => api.clone(),
            None => Url::parse(hub::API)?,
        };
        let keychain = Keychain::new(exchange.world, pin, aws.clone(), request.reach()).with(login);
        let client = Client::new(exchange.clone(), keychain, Aws::new(aws));
        Ok(Self {
            client: match request.into() {
                Some((target, source)) if target.registry() == source.registry() => client.mounting(target, source),
                _ => client,
            },
            hub: HubApi::new(api),
            via: common.via,
            connection: connection(common, identity),
            into: None,
        })
    }

    /// Refuses, before any packet, what the credential of a registry must not meet.
    ///
    /// # Errors
    /// Those of [`Client::check`]; `credential-host-mismatch` for a web API at another host than the credential is for.
    pub fn check(&self, registry: &Registry) -> Result<(), Error> {
        self.client.check(registry)?;
        let elsewhere = self.hub.elsewhere().filter(|_| registry.is_docker_hub());
        let Some((pin, host)) = self.client.pinning().zip(elsewhere) else { return Ok(()) };
        let message = format!("`{pin}` pins the credential to `{registry}`, and `--hub-api` leads to `{host}`");
        Err(Error::new(Code::CredentialHostMismatch, message)
            .hint(format!("leave `--hub-api` out, or unset `{pin}` where the credential may go to `{host}`")))
    }

    /// A repository of this side, with the rights that are asked for.
    pub fn remote(&self, repository: &Repository, rights: Action) -> Remote<'_, 'w> {
        Remote::new(&self.client, &self.hub, self.via, repository, rights)
    }

    /// Both sides of a promotion, the rights to write asked for where it is going to: a copy only reads its source.
    /// With `into` comes which `--into` it is, from 1.
    pub fn sides(&self, source: &Repository, into: Option<(usize, &Repository)>, writes: bool) -> Sides<'_, 'w> {
        let rights = if writes { Action::Push } else { Action::Pull };
        let reading = if into.is_some() { Action::Pull } else { rights };
        Sides {
            source: self.remote(source, reading),
            target: self.target().remote(into.map_or(source, |(_, into)| into), rights),
            connection: &self.target().connection,
        }
    }

    /// The second side, such as that of `--into`, else the only one there is.
    pub fn target(&self) -> &Session<'w> {
        self.into.as_deref().unwrap_or(self)
    }
}

/// Whether a rollback speaks with the pair of the `--into` side, as the promotion did that it takes back: where its own
/// variable names the registry, or the caller does and the image came from another repository.
fn takes_into(world: &World, rollback: &Rollback, is_aws: &dyn Fn(&Registry) -> bool) -> bool {
    let Some(promotion) = &rollback.promotion else { return false };
    let repository = &promotion.record.repository;
    let came = Reference::parse(&promotion.record.source.reference).is_ok_and(|from| from.repository() != repository);
    let [first, into] = Keychain::pinned(world, repository.registry());
    let has_key = || is_aws(repository.registry()) && world.env(INTO_KEY).is_some();
    (Keychain::has_into(world) || has_key())
        && match into {
            Some(into) => into && (came || first != Some(true)),
            None => came && rollback.repository.is_some() && first != Some(true),
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
