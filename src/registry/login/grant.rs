//! What a registry grants, asked for on purpose: for `auth`, which reports it.

use crate::aws::identity as aws;
use crate::registry::login::client::{Client, Place, TOKEN_LIMIT, authorized, key};
use crate::threads::lock;
use crate::registry::login::keychain::CredentialLookup;
use crate::pure::auth::lookup::LookupStep;
use crate::error::{Code, Error};
use crate::pure::auth::challenge;
use crate::pure::auth::scope::{Action, ScopeSet};
use crate::pure::auth::token::Token;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::refusal::{self, Subject};
use crate::pure::image::registry::Registry;
use crate::pure::image::repository::Repository;
use std::time::Duration;
use time::OffsetDateTime;

/// How long a command waits to learn who the caller is, where that is only to be written down: many agents reach ECR
/// and nothing else of AWS.
const ARN_PATIENCE: Duration = Duration::from_secs(2);

/// What the registry granted, for `auth`.
pub struct Granted {
    /// `bearer`, `basic`, `none`, or `aws` where calls are signed.
    pub challenge: &'static str,
    /// Whose credential answered, where that is known.
    pub identity: Option<String>,
    /// Where it came from, if one was asked for.
    pub source: Option<String>,
    /// The places that were asked, in order.
    pub tried: Vec<LookupStep>,
    /// The token, if one was lent.
    pub token: Option<Token>,
    /// When credential or token run out, where that is known.
    pub expires_at: Option<OffsetDateTime>,
}

impl Client<'_> {
    /// What a registry grants for a repository, asked for on purpose.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn grant(
        &self,
        registry: &Registry,
        repository: Option<&Repository>,
        scopes: &ScopeSet,
    ) -> Result<Granted, Error> {
        if let Some(ecr) = self.native(registry)? {
            return self.signed(&ecr.standing);
        }
        let wanted = format!("log in to `{registry}`");
        let request = Request::new(Method::Get, self.url(registry, ""));
        let place = repository.map_or_else(|| Place { registry: registry.clone(), path: None }, Place::of);
        let standing = self.standing(&place);
        let response = self.exchange.send(&wanted, &request, TOKEN_LIMIT)?;
        if matches!(response.status, 401 | 403) && response.from.origin() != request.url.origin() {
            return Err(refusal::elsewhere(&request.url, &wanted, &request, &response));
        }
        if response.status != 401 {
            return if response.is_success() {
                let (identity, source, token, expires_at) = (None, None, None, None);
                Ok(Granted { challenge: "none", identity, source, tried: Vec::new(), token, expires_at })
            } else {
                Err(refusal::error(Subject::Service, &wanted, &request, &response))
            };
        }
        let values: Vec<&str> = response.headers.all("www-authenticate").collect();
        let header = self.answer(&place, &standing, &challenge::parse(&values), scopes, None)?;
        let basic = lock(&standing).header.is_some();
        if basic {
            let response = self.exchange.send(&wanted, &authorized(&request, header.as_ref()), TOKEN_LIMIT)?;
            if !response.is_success() {
                return Err(self.refused(&place, &standing, (Action::Pull, scopes), &wanted, &request, &response));
            }
        }
        let (found, token) = {
            let standing = lock(&standing);
            (standing.found.clone(), standing.tokens.get(&key(scopes)).cloned())
        };
        let challenge = if basic { "basic" } else { "bearer" };
        let expires_at = token.as_ref().map(|token| token.expires_at);
        // The user of a password that AWS lent is always the same; who stands behind it is asked of AWS.
        if let Some(found) = &found
            && let Some(behind) = self.behind(registry, found)?
        {
            return Ok(Granted { challenge, expires_at: expires_at.or(behind.expires_at), token, ..behind });
        }
        Ok(Granted {
            challenge,
            identity: found.as_ref().and_then(|found| found.identity.clone()),
            source: found.as_ref().map(|found| found.source.clone()),
            tried: found.map(|found| found.tried.clone()).unwrap_or_default(),
            token,
            expires_at,
        })
    }

    /// Whose credential a repository asked for and took, and where it came from; nothing is asked or looked up.
    ///
    /// # Errors
    /// Those of the environment's credential.
    pub fn accepted(&self, repository: &Repository) -> Result<Option<(Option<String>, String)>, Error> {
        let found = lock(&self.standing(&Place::of(repository))).found.clone();
        if let Some(found) = found {
            return Ok(Some((found.identity.clone(), found.source.clone())));
        }
        // Calls to ECR's own API are signed without being asked.
        let Some(ecr) = self.native(repository.registry())? else { return Ok(None) };
        Ok(ecr.standing.search.found.as_ref().map(|found| (None, found.source.clone())))
    }

    /// Who AWS says the caller is at a registry of Amazon's; `None` where it is not AWS's credential that answers there.
    ///
    /// # Errors
    /// Those of the search for the credential, and of the call.
    pub fn arn(&self, registry: &Registry) -> Result<Option<String>, Error> {
        if self.aws.settings.host(registry).is_none() || self.keychain.has_own(registry)? {
            return Ok(None);
        }
        let Some(standing) = self.aws.standing(&self.exchange, registry)? else { return Ok(None) };
        Ok(self.aws.identity(&self.exchange, &standing, Some(ARN_PATIENCE))?.map(|identity| identity.arn))
    }

    fn behind(&self, registry: &Registry, found: &CredentialLookup) -> Result<Option<Granted>, Error> {
        if self.keychain.has_own(registry)? {
            return Ok(None);
        }
        match self.aws.standing(&self.exchange, registry)? {
            Some(standing) if standing.search.found.as_ref().is_some_and(|from| from.source == found.source) => {
                self.signed(&standing).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What AWS says about the credential of a registry; that it cannot be asked only warns.
    fn signed(&self, standing: &aws::Standing) -> Result<Granted, Error> {
        let identity = match self.aws.identity(&self.exchange, standing, None) {
            Ok(identity) => identity.map(|identity| identity.arn),
            Err(error) if matches!(error.code(), Code::Unreachable | Code::Timeout) => {
                self.exchange
                    .warn("identity-unknown", format!("who the caller is could not be asked: {}", error.message()));
                None
            }
            Err(error) => return Err(error),
        };
        let found = standing.search.found.as_ref();
        Ok(Granted {
            challenge: "aws",
            identity,
            source: found.map(|found| found.source.clone()),
            tried: standing.search.tried.iter().cloned().collect(),
            token: None,
            expires_at: found.and_then(|found| found.credential.expires_at),
        })
    }
}
