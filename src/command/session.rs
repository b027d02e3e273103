//! What every command works with: the clients, set up as the flags say.

use super::request::{Common, CredentialSource, Via};
use crate::error::Error;
use crate::io::aws::{self, Aws};
use crate::io::client::Client;
use crate::io::exchange::{Exchange, Settings};
use crate::io::http::{Http, Options};
use crate::io::hub::{self, Hub};
use crate::io::keychain::{Keychain, Source};
use crate::io::world::World;
use crate::pure::http::url::Url;
use crate::pure::image::registry::Registry;

/// The clients of one command.
pub struct Session<'w> {
    /// Registries.
    pub client: Client<'w>,
    /// Docker Hub's web API.
    pub hub: Hub,
    /// The one source of tag lists that is wanted.
    pub via: Option<Via>,
    /// The flags that reach the same registry in another command, for undo commands.
    pub connection: Vec<String>,
}

impl<'w> Session<'w> {
    /// Sets the clients up for a command about `registry`; opens nothing.
    ///
    /// # Errors
    /// `config-malformed` for roots and proxies that cannot be read.
    pub fn new(world: &'w World, common: &Common, registry: Option<&Registry>) -> Result<Self, Error> {
        let settings = Settings {
            until: Some(world.started + common.timeout),
            timeout: common.timeout,
            retries: common.retries,
            verbose: common.verbose,
            https: common.https,
            plain_http: common.plain_http.clone(),
        };
        let pin = common.credentials_from.map(|source| match source {
            CredentialSource::Env => Source::Env,
            CredentialSource::DockerConfig => Source::DockerConfig,
            CredentialSource::Aws => Source::Aws,
            CredentialSource::Anonymous => Source::Anonymous,
        });
        let named = common.aws.role.is_some() || common.aws.profile.is_some();
        let aws = aws::Settings {
            profile: common.aws.profile.clone(),
            role: common.aws.role.clone(),
            external_id: common.aws.external_id.clone(),
            names: common.ecr.clone(),
            only: named || pin == Some(Source::Aws),
            asked: pin.is_none_or(|pin| pin == Source::Aws),
            native: common.via.map(|via| via == Via::EcrApi),
        };
        // The roots that AWS tools are given count where one of Amazon's registries is meant.
        let is_aws = registry.is_some_and(|registry| aws.host(registry).is_some());
        let bundle = || world.env("AWS_CA_BUNDLE").filter(|_| is_aws).map(str::to_owned);
        let options = Options {
            ca_file: common.ca_file.clone().or_else(bundle),
            resolve: common.resolve.iter().map(|r| (r.host.clone(), r.port, r.address)).collect(),
            user_agent: format!("tagwright/{}", env!("CARGO_PKG_VERSION")),
        };
        let exchange = Exchange::new(world, settings, Http::new(world, &options)?);
        let api = match &common.hub_api {
            Some(api) => api.clone(),
            None => Url::parse(hub::API)?,
        };
        Ok(Self {
            client: Client::new(exchange, Keychain::new(world, pin).with_aws(aws.clone()), Aws::new(aws)),
            hub: Hub::new(api),
            via: common.via,
            connection: connection(common),
        })
    }
}

fn connection(common: &Common) -> Vec<String> {
    let mut words = Vec::new();
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(file) = &common.ca_file {
        flag("--ca-file", file.clone());
    }
    for host in &common.plain_http {
        flag("--plain-http", host.clone());
    }
    for resolve in &common.resolve {
        let address = match resolve.address {
            std::net::IpAddr::V6(v6) => format!("[{v6}]"),
            v4 => v4.to_string(),
        };
        flag("--resolve", format!("{}:{}:{address}", resolve.host, resolve.port));
    }
    for (name, value) in [
        ("--aws-role", &common.aws.role),
        ("--aws-external-id", &common.aws.external_id),
        ("--aws-profile", &common.aws.profile),
    ] {
        if let Some(value) = value {
            flag(name, value.clone());
        }
    }
    for (name, host) in &common.ecr {
        flag("--ecr", format!("{name}={host}"));
    }
    if common.https {
        words.push("--https".to_owned());
    }
    words
}
