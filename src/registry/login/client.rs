//! Speaks to registries as somebody: answers a challenge once, keeps tokens for the run, renews them in time.
//!
//! The first request is the one that is wanted; `/v2/` is not asked beforehand. Which request answers a
//! challenge is decided in `pure::auth::flow`; which credential, in [`crate::registry::login::keychain`]. Who sends
//! with it is [`crate::registry::login::access`].

use crate::aws::{Aws, AwsAccess};
use crate::error::{Code, Error};
use crate::http::Exchange;
use crate::pure::auth::scope::Action;
use crate::pure::auth::{
    Authorization, Challenge, Credential, Scope, ScopeSet, Token, TokenRequest, challenge, flow, token,
};
use crate::pure::aws::EcrHost;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{ErrorDocument, Origin, Response, Subject, Url, refusal};
use crate::pure::image::listing::Via;
use crate::pure::image::{Registry, Repository};
use crate::registry::login::ledger::Ledger;
use crate::registry::login::refused::{credential_missing, origin, whose};
use crate::registry::login::state::{AccessState, AuthState, CredentialDomain};
use crate::registry::login::{CredentialLookup, Keychain};
use crate::registry::{EcrApi, limits};
use crate::secret::Secret;
use crate::threads::lock;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use time::OffsetDateTime;

/// How long before its end a password that was lent is replaced.
const MARGIN: time::Duration = time::Duration::seconds(30);

/// Everything a command needs to speak to registries.
pub struct Client<'w> {
    /// The way out, which both sides of a copy share.
    pub exchange: Arc<Exchange<'w>>,
    /// Amazon's registries.
    pub aws: Aws,
    pub(super) keychain: Keychain<'w>,
    states: Mutex<HashMap<CredentialDomain, Arc<Mutex<AuthState>>>>,
    /// How registries ask for a credential, whichever repository is asked about.
    asked: Mutex<HashMap<Registry, Vec<Challenge>>>,
    /// How registries that did not ask by themselves said at `/v2/` that they want to be answered.
    entrances: Mutex<HashMap<Registry, Vec<Challenge>>>,
    /// The hosts that have shown themselves to be registries in this run.
    registries: Mutex<HashSet<Origin>>,
    /// How much more may be asked of registries.
    pub(super) ledger: Ledger,
    /// Whether registries that say so list referrers by themselves.
    listings: Mutex<HashMap<Registry, bool>>,
    /// Repositories that are written to, each with one in the same registry that its blobs are mounted from.
    mounts: Vec<(Repository, Repository)>,
}

impl<'w> Client<'w> {
    /// Puts the parts together; asks nothing.
    pub fn new(exchange: Arc<Exchange<'w>>, keychain: Keychain<'w>, aws: Aws) -> Self {
        let (states, asked, entrances, registries, ledger, listings) = Default::default();
        Self { exchange, aws, keychain, states, asked, entrances, registries, ledger, listings, mounts: Vec::new() }
    }

    /// The same, with every right to write to a target, the first of a pair, asked for together with the right to read its
    /// source, which mounting blobs takes.
    #[must_use]
    pub fn mounting(self, mounts: Vec<(Repository, Repository)>) -> Self {
        Self { mounts, ..self }
    }

    /// Which of Amazon's registries this one is, if any.
    pub fn amazon(&self, registry: &Registry) -> Option<EcrHost> {
        self.aws.settings.host(registry)
    }

    /// What AWS has for a registry; `None` where it is none of Amazon's, or where another credential comes first.
    ///
    /// # Errors
    /// Those of [`Aws::access`], and those of the environment's credential.
    pub(super) fn aws_access(&self, registry: &Registry) -> Result<Option<Arc<AwsAccess>>, Error> {
        if self.amazon(registry).is_none() || self.keychain.has_own(registry)? {
            return Ok(None);
        }
        self.aws.access(&self.exchange, registry)
    }

    /// ECR's own API, where it is to be spoken to and an AWS credential answers for it.
    ///
    /// # Errors
    /// Those of the search for it; `credential-missing` where nothing else may be used and no place has one.
    pub fn ecr_api(&self, registry: &Registry) -> Result<Option<EcrApi<'_>>, Error> {
        let elsewhere = self.aws.settings.via.is_some_and(|via| via != Via::EcrApi);
        if elsewhere || !matches!(self.amazon(registry), Some(EcrHost::Private(_))) {
            return Ok(None);
        }
        let Some(access) = self.aws_access(registry)? else { return Ok(None) };
        self.aws.require(registry, &access)?;
        let has_one = access.lookup.found.is_some();
        Ok(has_one.then(|| EcrApi::new(&self.aws, &self.exchange, access)))
    }

    /// Refuses a registry that the environment's credential is pinned away from, before any packet.
    ///
    /// # Errors
    /// `credential-host-mismatch`, `missing-value`.
    pub fn check(&self, registry: &Registry) -> Result<(), Error> {
        self.aws.check(registry)?;
        self.keychain.check(registry)
    }

    /// The variable that pins the environment's credential to a registry, where one does.
    pub fn pinning(&self) -> Option<String> {
        self.keychain.pinning()
    }

    /// The address of a path under `/v2/`.
    pub fn url(&self, registry: &Registry, tail: &str) -> Url {
        let (host, port) = registry.endpoint();
        let scheme = self.exchange.settings.scheme(registry.host(), &registry.authority(), registry.is_loopback());
        let port = port.unwrap_or(scheme.default_port());
        Url::new(Origin { scheme, host, port }, format!("/v2/{tail}"), None)
    }

    /// How a registry says at its entrance that it wants to be answered; empty where it lets everybody in. It is asked
    /// once a run, and only where it refused without a word about that.
    ///
    /// # Errors
    /// Those of the question.
    pub(super) fn entrance(&self, registry: &Registry) -> Result<Vec<Challenge>, Error> {
        let mut entrances = lock(&self.entrances);
        if let Some(known) = entrances.get(registry) {
            return Ok(known.clone());
        }
        let request = Request::new(Method::Get, self.url(registry, ""));
        let response = self.exchange.send(&format!("ask `{registry}` how to log in"), &request, limits::SMALL)?;
        let is_own = response.from.origin() == request.url.origin();
        self.note(&response, is_own && (response.is_success() || response.status == 401));
        let values: Vec<&str> = response.headers.all("www-authenticate").collect();
        let challenges = if response.status == 401 && is_own { challenge::parse(&values) } else { Vec::new() };
        entrances.insert(registry.clone(), challenges.clone());
        Ok(challenges)
    }

    /// Whether a registry lists referrers as it says, by what was seen of it before, else by a look.
    pub fn keeps_referrers(&self, registry: &Registry, look: impl FnOnce() -> bool) -> bool {
        *lock(&self.listings).entry(registry.clone()).or_insert_with(look)
    }

    /// Takes note of a host that has shown itself to be a registry, by what it says or by answering as one: a store that
    /// a redirect led to may say 401 as well.
    pub(super) fn note(&self, response: &Response, as_registry: bool) {
        if as_registry || refusal::shows_registry(response) {
            lock(&self.registries).insert(response.from.origin().clone());
        }
    }

    /// Whether a registry that wants a token beforehand has still to be connected to.
    pub(super) fn is_ahead(&self, url: &Url, registry: &Registry) -> bool {
        flow::known(registry).is_some() && !lock(&self.registries).contains(url.origin())
    }

    /// Whether the host of a reply has shown itself to be a registry in this run.
    pub(super) fn is_registry(&self, response: &Response) -> bool {
        lock(&self.registries).contains(response.from.origin())
    }

    /// The rights that a request about a repository takes.
    pub(super) fn scopes(&self, repository: &Repository, action: Action) -> ScopeSet {
        let mut scopes = ScopeSet::from_iter([Scope::of(repository.path(), action)]);
        let mounts = self.mounts.iter().filter(|(target, _)| action == Action::Push && target == repository);
        mounts.for_each(|(_, source)| scopes.add(Scope::pull(source.path())));
        scopes
    }

    /// The credential of a repository, looked up once.
    ///
    /// # Errors
    /// Those of the keychain.
    pub fn credential(&self, repository: &Repository) -> Result<Arc<CredentialLookup>, Error> {
        let domain = CredentialDomain::of(repository);
        self.found(&domain, &mut lock(&self.state(&domain)))
    }

    pub(super) fn state(&self, domain: &CredentialDomain) -> Arc<Mutex<AuthState>> {
        lock(&self.states).entry(domain.clone()).or_default().clone()
    }

    fn found(&self, domain: &CredentialDomain, state: &mut AuthState) -> Result<Arc<CredentialLookup>, Error> {
        if let Some(found) = &state.found {
            return Ok(found.clone());
        }
        let found = Arc::new(self.look_up(domain)?);
        for warning in &found.warnings {
            self.exchange.warn("credential-helper", warning.clone());
        }
        for secret in found.credential.secrets() {
            self.exchange.journal.guard(&secret);
        }
        state.found = Some(found.clone());
        Ok(found)
    }

    /// The keychain's places, with AWS between the environment and Docker's files.
    pub(super) fn look_up(&self, domain: &CredentialDomain) -> Result<CredentialLookup, Error> {
        let registry = &domain.registry;
        let find = || self.keychain.find(registry, domain.path.as_deref());
        let Some(access) = self.aws_access(registry)? else { return find() };
        self.aws.require(registry, &access)?;
        if let Some(from) = &access.lookup.found {
            return self.lent(registry, &access, &from.source);
        }
        let mut found = find()?;
        let first = found.tried.iter().take_while(|tried| tried.source == "environment").count();
        found.tried.splice(first..first, access.lookup.tried.iter().cloned());
        Ok(found)
    }

    /// A password that AWS lends for the registry API.
    fn lent(&self, registry: &Registry, access: &Arc<AwsAccess>, source: &str) -> Result<CredentialLookup, Error> {
        let api = EcrApi::new(&self.aws, &self.exchange, access.clone());
        let login = api.get_authorization_token(&registry.to_string())?;
        let now = self.exchange.world.now();
        Ok(CredentialLookup {
            identity: Some(login.username.clone()),
            credential: Credential::Password { username: login.username, password: login.password },
            source: source.to_owned(),
            tried: access.lookup.tried.clone(),
            warnings: Vec::new(),
            way_out: String::new(),
            // Half a day is the longest that there is, and one that is over on arrival shows a wrong clock.
            lent_until: login.expires_at.filter(|end| *end > now).or(Some(now + time::Duration::hours(12))),
        })
    }

    /// What can be sent without being asked: what answered before, or a token of a realm known beforehand.
    pub(super) fn authorization(&self, standing: &AccessState) -> Result<Option<Secret>, Error> {
        let (registry, mut state) = (&standing.domain.registry, lock(&standing.state));
        if state.found.as_ref().and_then(|found| found.lent_until).is_some_and(|end| self.is_near(end)) {
            state.give_back();
        }
        if let Some(header) = &state.header {
            return Ok(Some(header.clone()));
        }
        let guessed = state.challenges.is_empty();
        if guessed {
            match flow::known(registry) {
                Some(known) => state.challenges = vec![known],
                // ECR asks everybody for a password, and whoever has none is not asked beforehand.
                None if matches!(self.amazon(registry), Some(EcrHost::Private(_))) => {
                    state.challenges = vec![flow::basic()];
                }
                None => state.challenges = lock(&self.asked).get(registry).cloned().unwrap_or_default(),
            }
            if state.challenges.is_empty() {
                return Ok(None);
            }
        }
        match self.respond(standing, &mut state) {
            // This repository has not asked for a credential, and may not.
            Err(error) if guessed && error.code() == Code::CredentialMissing => {
                state.challenges.clear();
                Ok(None)
            }
            outcome => outcome,
        }
    }

    fn is_near(&self, end: OffsetDateTime) -> bool {
        self.exchange.world.now() + MARGIN >= end
    }

    /// Answers a challenge; without a new one, the last one again. `refused` is what the registry did not accept, if
    /// anything was sent.
    pub(super) fn answer(
        &self,
        standing: &AccessState,
        challenges: &[Challenge],
        refused: Option<&Secret>,
    ) -> Result<Option<Secret>, Error> {
        let (scopes, mut state) = (&standing.scopes, lock(&standing.state));
        let fresh = state.tokens.get(&key(scopes)).map(Token::header);
        if refused.is_none() || fresh.as_ref() != refused {
            // Somebody else, working beside this request, has got a token meanwhile.
            if let Some(header) = state.header.clone().or(fresh).filter(|header| Some(header) != refused) {
                return Ok(Some(header));
            }
        }
        state.tokens.remove(&key(scopes));
        if refused.is_some() && state.found.as_ref().is_some_and(|found| found.lent_until.is_some()) {
            state.give_back();
        }
        if !challenges.is_empty() {
            state.challenges = challenges.to_vec();
        }
        let for_any = |challenge: &Challenge| Challenge { scope: None, error: None, ..challenge.clone() };
        lock(&self.asked).insert(standing.domain.registry.clone(), state.challenges.iter().map(for_any).collect());
        self.respond(standing, &mut state)
    }

    fn respond(&self, standing: &AccessState, state: &mut AuthState) -> Result<Option<Secret>, Error> {
        let AccessState { domain, scopes, .. } = standing;
        let now = self.exchange.world.now();
        if let Some(token) = state.tokens.get(&key(scopes)).filter(|token| now < token.renew_at()) {
            return Ok(Some(token.header()));
        }
        let found = self.found(domain, state)?;
        let url = self.url(&domain.registry, "");
        let nothing = |error: Error| match error.code() {
            Code::CredentialMissing if found.credential.is_anonymous() => credential_missing(&domain.registry, &found),
            _ => error,
        };
        match flow::answer(&url, &state.challenges, scopes, &found.credential).map_err(nothing)? {
            Authorization::Header(header) => {
                state.header = Some(header.clone());
                Ok(Some(header))
            }
            Authorization::Token(request) => {
                let token = self.fetch_token(&domain.registry, &request, &found)?;
                let header = token.header();
                state.tokens.insert(key(scopes), token);
                Ok(Some(header))
            }
        }
    }

    fn fetch_token(
        &self,
        registry: &Registry,
        wanted: &TokenRequest,
        found: &CredentialLookup,
    ) -> Result<Token, Error> {
        let what = format!("get a token for `{registry}`");
        let mut request = wanted.request();
        let mut response = self.exchange.send(&what, &request, limits::SMALL)?;
        if let Some(other) = wanted.fallback(&response) {
            request = other;
            response = self.exchange.send(&what, &request, limits::SMALL)?;
        }
        token::tokens(&response.body).iter().for_each(|token| self.exchange.journal.guard(token));
        if response.is_success() {
            return token::parse(&response.body, self.exchange.world.now()).map_err(|error| {
                let realm = request.url.authority();
                let hint =
                    format!("check that a token server answers at `{realm}`, and no proxy or login page in its place");
                error.restate(format!("cannot {what}: the answer of `{realm}` holds none")).hint(hint)
            });
        }
        let said = ErrorDocument::read(&response);
        if !matches!(response.status, 400 | 401 | 403) {
            return Err(refusal::of(Subject::Service, &what, &request, &response, &said));
        }
        let expired = said.has_expired();
        let code = if expired { Code::TokenExpired } else { Code::Unauthenticated };
        let (realm, source) = (request.url.authority(), origin(found));
        let whose = whose(found);
        let error = match &found.credential {
            Credential::Anonymous => credential_missing(registry, found),
            Credential::IdentityToken { .. } => Error::new(
                code,
                format!("`{realm}` did not accept the identity token{whose} from {source} for `{registry}`"),
            )
            .hint("log in again with the tool that wrote it; identity tokens run out"),
            _ => Error::new(
                code,
                format!("`{realm}` did not accept the credential{whose} from {source} for `{registry}`"),
            )
            .hint(match code {
                Code::TokenExpired => "make a new password or access token, and give that one",
                _ => "check user name and password; where two-factor login is on, use an access token as the password",
            }),
        };
        let line = refusal::cause(&request, &response, &said);
        Err(error.cause(line).http(refusal::refusal(&request, &response, &said)))
    }
}

pub(super) fn key(scopes: &ScopeSet) -> String {
    scopes.to_string()
}
