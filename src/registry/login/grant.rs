//! What a registry grants, asked for on purpose: for `auth`, which reports it, and for records.

use crate::aws::AwsAccess;
use crate::error::{Code, Error};
use crate::pure::auth::scope::Action;
use crate::pure::auth::{LookupStep, Scope, ScopeSet, Token, challenge};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Subject, refusal};
use crate::pure::image::{Registry, Repository};
use crate::registry::limits;
use crate::registry::login::Client;
use crate::registry::login::access::authorized;
use crate::registry::login::client::key;
use crate::registry::login::refused::refused;
use crate::registry::login::state::{AccessState, CredentialDomain};
use crate::threads::lock;
use std::time::Duration;
use time::OffsetDateTime;

/// How long a command waits to learn who the caller is, where that is only to be written down: many agents reach ECR
/// and nothing else of AWS.
const ARN_PATIENCE: Duration = Duration::from_secs(2);

/// What a registry granted.
#[derive(Default)]
pub struct GrantReport {
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
    /// The rights that were asked for.
    pub scopes: ScopeSet,
}

/// What a registry grants, for one of its repositories or for none.
///
/// # Errors
/// Those of the way there; `credential-missing`, `unauthenticated`, `denied`, `token-expired`, `realm-refused`.
pub fn grant(
    client: &Client,
    registry: &Registry,
    repository: Option<&Repository>,
    rights: Action,
) -> Result<GrantReport, Error> {
    let scopes =
        repository.map(|repository| ScopeSet::from_iter([Scope::of(repository.path(), rights)])).unwrap_or_default();
    if let Some(ecr) = client.ecr_api(registry)? {
        return Ok(GrantReport { scopes, ..signed(client, &ecr.access)? });
    }
    let (wanted, exchange) = (format!("log in to `{registry}`"), &client.exchange);
    let request = Request::new(Method::Get, client.url(registry, ""));
    let domain =
        repository.map_or_else(|| CredentialDomain { registry: registry.clone(), path: None }, CredentialDomain::of);
    let state = client.state(&domain);
    let standing = AccessState { domain, state: state.clone(), scopes: scopes.clone() };
    let response = exchange.send(&wanted, &request, limits::SMALL)?;
    if response.status != 401 {
        return if response.is_success() {
            Ok(GrantReport { challenge: "none", scopes, ..GrantReport::default() })
        } else {
            Err(refusal::error(Subject::Service, &wanted, &request, &response))
        };
    }
    let values: Vec<&str> = response.headers.all("www-authenticate").collect();
    let header = client.answer(&standing, &challenge::parse(&values), None)?;
    let basic = lock(&state).header.is_some();
    if basic {
        let response = exchange.send(&wanted, &authorized(&request, header.as_ref()), limits::SMALL)?;
        if !response.is_success() {
            let standing = AccessState { scopes: ScopeSet::new(), ..standing };
            return Err(refused(&standing, exchange.world.now(), &wanted, &request, &response));
        }
    }
    let (found, token) = {
        let state = lock(&state);
        (state.found.clone(), state.tokens.get(&key(&scopes)).cloned())
    };
    let challenge = if basic { "basic" } else { "bearer" };
    let expires_at = token.as_ref().map(|token| token.expires_at);
    // The user of a password that AWS lent is always the same; who stands behind it is asked of AWS.
    if let Some(found) = &found
        && let Some(access) = client.aws_access(registry)?
        && access.lookup.found.as_ref().is_some_and(|from| from.source == found.source)
    {
        let behind = signed(client, &access)?;
        return Ok(GrantReport { challenge, expires_at: expires_at.or(behind.expires_at), token, scopes, ..behind });
    }
    Ok(GrantReport {
        challenge,
        identity: found.as_ref().and_then(|found| found.identity.clone()),
        source: found.as_ref().map(|found| found.source.clone()),
        tried: found.map(|found| found.tried.clone()).unwrap_or_default(),
        token,
        expires_at,
        scopes,
    })
}

/// Whose credential a repository asked for and took, and where it came from; nothing is asked or looked up.
///
/// # Errors
/// Those of the environment's credential.
pub fn accepted(client: &Client, repository: &Repository) -> Result<Option<(Option<String>, String)>, Error> {
    let found = lock(&client.state(&CredentialDomain::of(repository))).found.clone();
    if let Some(found) = found {
        return Ok(Some((found.identity.clone(), found.source.clone())));
    }
    // Calls to ECR's own API are signed without being asked.
    let Some(ecr) = client.ecr_api(repository.registry())? else { return Ok(None) };
    Ok(ecr.access.lookup.found.as_ref().map(|found| (None, found.source.clone())))
}

/// Who AWS says the caller is at a registry of Amazon's; `None` where it is not AWS's credential that answers there.
///
/// # Errors
/// Those of the search for the credential, and of the call.
pub fn arn(client: &Client, registry: &Registry) -> Result<Option<String>, Error> {
    let Some(access) = client.aws_access(registry)? else { return Ok(None) };
    client.aws.identity(&client.exchange, &access, Some(ARN_PATIENCE))
}

/// What AWS says about the credential of a registry; that it cannot be asked only warns.
fn signed(client: &Client, access: &AwsAccess) -> Result<GrantReport, Error> {
    let identity = match client.aws.identity(&client.exchange, access, None) {
        Ok(identity) => identity,
        Err(error) if matches!(error.code(), Code::Unreachable | Code::Timeout) => {
            let sentence = format!("who the caller is could not be asked: {}", error.message());
            client.exchange.warn("identity-unknown", sentence);
            None
        }
        Err(error) => return Err(error),
    };
    let found = access.lookup.found.as_ref();
    Ok(GrantReport {
        challenge: "aws",
        identity,
        source: found.map(|found| found.source.clone()),
        tried: access.lookup.tried.clone(),
        expires_at: found.and_then(|found| found.credential.expires_at),
        ..GrantReport::default()
    })
}
