//! What every command works with: the clients, set up as the flags say.

use super::request::{Common, CredentialSource, Via};
use crate::error::Error;
use crate::io::client::Client;
use crate::io::exchange::{Exchange, Settings};
use crate::io::http::{Http, Options};
use crate::io::hub::{self, Hub};
use crate::io::keychain::{Keychain, Source};
use crate::io::world::World;
use crate::pure::http::url::Url;

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
    /// Sets the clients up; opens nothing.
    ///
    /// # Errors
    /// `config-malformed` for roots and proxies that cannot be read.
    pub fn new(world: &'w World, common: &Common) -> Result<Self, Error> {
        let settings = Settings {
            until: Some(world.started + common.timeout),
            timeout: common.timeout,
            retries: common.retries,
            verbose: common.verbose,
            https: common.https,
            plain_http: common.plain_http.clone(),
        };
        let options = Options {
            ca_file: common.ca_file.clone(),
            resolve: common.resolve.iter().map(|r| (r.host.clone(), r.port, r.address)).collect(),
            user_agent: format!("tagwright/{}", env!("CARGO_PKG_VERSION")),
        };
        let pin = common.credentials_from.map(|source| match source {
            CredentialSource::Env => Source::Env,
            CredentialSource::DockerConfig => Source::DockerConfig,
            CredentialSource::Anonymous => Source::Anonymous,
        });
        let exchange = Exchange::new(world, settings, Http::new(world, &options)?);
        let api = match &common.hub_api {
            Some(api) => api.clone(),
            None => Url::parse(hub::API)?,
        };
        Ok(Self {
            client: Client::new(exchange, Keychain::new(world, pin)),
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
    if common.https {
        words.push("--https".to_owned());
    }
    words
}
