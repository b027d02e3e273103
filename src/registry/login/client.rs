//! Speaks to registries as somebody: answers a challenge once, keeps tokens for the run, renews them in time.
//!
//! The first request is the one that is wanted; `/v2/` is not asked beforehand. Which request answers a
//! challenge is decided in `pure::auth::flow`; which credential, in [`crate::registry::login::keychain`].

use crate::aws::identity::Aws;
use crate::registry::ecr::Ecr;
use crate::http::exchange::Exchange;
use crate::threads::lock;
use crate::http::Body;
use crate::registry::login::keychain::{CredentialLookup, Keychain};
use crate::registry::login::refused::{credential_missing, origin};
use crate::error::{Code, Error};
use crate::pure::auth::challenge::{self, Challenge};
use crate::pure::auth::credential::Credential;
use crate::pure::auth::flow::{self, Authorization, TokenRequest};
use crate::pure::auth::scope::{Action, Scope, ScopeSet};
use crate::pure::auth::token::{self, Token};
use crate::pure::aws::host::EcrHost;
use crate::pure::http::message::{Request, Response};
use crate::pure::http::refusal::{self, ErrorDocument, Subject};
use crate::pure::http::url::{Origin, Url};
use crate::pure::image::registry::Registry;
use crate::pure::image::repository::Repository;
use crate::secret::Secret;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use time::OffsetDateTime;

/// A token reply is small; anything larger is not one.
pub(crate) const TOKEN_LIMIT: u64 = 1 << 20;
/// How long before its end a password that was lent is replaced.
const MARGIN: time::Duration = time::Duration::seconds(30);

/// What a credential belongs to: a registry, or with podman's files one repository of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) registry: Registry,
    pub(crate) path: Option<String>,
}

impl Place {
    pub(crate) fn of(repository: &Repository) -> Self {
        Self { registry: repository.registry().clone(), path: Some(repository.path().to_owned()) }
    }
}

/// What has been learned about one place in this run.
#[derive(Default)]
pub(crate) struct Standing {
    /// How it asked for a credential; empty while it has not.
    pub(crate) challenges: Vec<Challenge>,
    /// A header that answers every request: Basic, or a token of the user's own.
    pub(crate) header: Option<Secret>,
    /// Tokens by the scopes they were asked for.
    pub(crate) tokens: HashMap<String, Token>,
    /// The credential, looked up at the first challenge.
    pub(crate) found: Option<Arc<CredentialLookup>>,
}

impl Standing {
    /// Forgets a password that was lent, so that the next request has another.
    fn give_back(&mut self) {
        (self.header, self.found) = (None, None);
    }
}

/// Everything a command needs to speak to registries.
pub struct Client<'w> {
    /// The way out, which both sides of a copy share.
    pub exchange: Arc<Exchange<'w>>,
    /// Amazon's registries.
    pub aws: Aws,
    pub(crate) keychain: Keychain<'w>,
    standings: Mutex<HashMap<Place, Arc<Mutex<Standing>>>>,
    /// How registries ask for a credential, whichever repository is asked about.
    asked: Mutex<HashMap<Registry, Vec<Challenge>>>,
    /// A repository that is written to, and the one in the same registry that its blobs are mounted from.
    mounts: Option<(Repository, Repository)>,
}

impl<'w> Client<'w> {
    /// Puts the parts together; asks nothing.
    pub fn new(exchange: Arc<Exchange<'w>>, keychain: Keychain<'w>, aws: Aws) -> Self {
        Self { exchange, aws, keychain, standings: Mutex::default(), asked: Mutex::default(), mounts: None }
    }

    /// The same, with every right to write to `target` asked for together with the right to read `source`, which
    /// mounting blobs takes.
    #[must_use]
    pub fn mounting(self, target: &Repository, source: &Repository) -> Self {
        Self { mounts: Some((target.clone(), source.clone())), ..self }
    }

    /// ECR's own API, where a registry is one of Amazon's and an AWS credential answers for it.
    ///
    /// # Errors
    /// Those of [`Aws::native`], and those of the environment's credential.
    pub fn native(&self, registry: &Registry) -> Result<Option<Ecr<'_>>, Error> {
        if self.aws.settings.host(registry).is_none() || self.keychain.has_own(registry)? {
            return Ok(None);
        }
        self.aws.native(&self.exchange, registry)
    }

    /// Refuses a registry that the environment's credential is pinned away from, before any packet.
    ///
    /// # Errors
    /// `credential-host-mismatch`, `missing-value`.
    pub fn check(&self, registry: &Registry) -> Result<(), Error> {
        self.aws.check(registry)?;
        self.keychain.check(registry)
    }

    /// The address of a path under `/v2/`.
    pub fn url(&self, registry: &Registry, tail: &str) -> Url {
        let (host, port) = registry.endpoint();
        let scheme = self.exchange.settings.scheme(registry.host(), &registry.authority(), registry.is_loopback());
        let port = port.unwrap_or(scheme.default_port());
        Url::new(Origin { scheme, host, port }, format!("/v2/{tail}"), None)
    }

    /// Sends a request about a repository, authenticated as far as the registry asks for it.
    ///
    /// Every status but those about authentication comes back as an answer; 401 and 403 become errors.
    ///
    /// # Errors
    /// As [`Exchange::send`], and `credential-missing`, `unauthenticated`, `denied`, `token-expired`,
    /// `realm-refused`, and those of the keychain.
    pub fn ask(
        &self,
        repository: &Repository,
        action: Action,
        wanted: &str,
        request: Request,
        limit: u64,
    ) -> Result<Response, Error> {
        self.speak(repository, action, wanted, &request, Some(limit)).map(|(response, _)| response)
    }

    /// As [`Client::ask`], with the body of a success left to be read in pieces.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn open(
        &self,
        repository: &Repository,
        action: Action,
        wanted: &str,
        request: &Request,
    ) -> Result<(Response, Option<Body>), Error> {
        self.speak(repository, action, wanted, request, None)
    }

    /// Without a limit, the body of a success is left to be read in pieces.
    ///
    /// Only the registry is answered: a refusal of a server that it led to is that server's, and what that one asks for
    /// is not even read.
    fn speak(
        &self,
        repository: &Repository,
        action: Action,
        wanted: &str,
        request: &Request,
        limit: Option<u64>,
    ) -> Result<(Response, Option<Body>), Error> {
        let place = Place::of(repository);
        let scopes = self.scopes(repository, action);
        let standing = self.standing(&place);
        let mut sent = self.authorization(&place, &standing, &scopes).map_err(Error::unsent)?;
        let mut answered = false;
        loop {
            let ready = authorized(request, sent.as_ref());
            let (response, body) = match limit {
                Some(limit) => (self.exchange.send(wanted, &ready, limit)?, None),
                None => self.exchange.open(wanted, &ready)?,
            };
            match response.status {
                401 | 403 if response.from.origin() != request.url.origin() => {
                    return Err(refusal::elsewhere(&request.url, wanted, request, &response));
                }
                401 if !answered => {
                    let values: Vec<&str> = response.headers.all("www-authenticate").collect();
                    let challenges = challenge::parse(&values);
                    if challenges.is_empty() {
                        return Err(refusal::error(Subject::Service, wanted, request, &response)
                            .cause("the answer names no way to authenticate (no `WWW-Authenticate` header)"));
                    }
                    let answer = self.answer(&place, &standing, &challenges, &scopes, sent.as_ref());
                    sent = answer.map_err(Error::unsent)?;
                    answered = true;
                }
                403 if !answered && sent.is_some() && has_run_out(&response) => {
                    sent = self.answer(&place, &standing, &[], &scopes, sent.as_ref())?;
                    answered = true;
                }
                401 | 403 => {
                    return Err(self.refused(&place, &standing, (action, &scopes), wanted, request, &response));
                }
                _ => return Ok((response, body)),
            }
        }
    }

    /// The rights that a request about a repository takes.
    pub(crate) fn scopes(&self, repository: &Repository, action: Action) -> ScopeSet {
        let mut scopes = scopes(repository, action);
        if let Some((target, source)) = &self.mounts
            && action == Action::Push
            && target == repository
        {
            scopes.add(Scope::pull(source.path()));
        }
        scopes
    }

    /// The credential of a repository, looked up once.
    ///
    /// # Errors
    /// Those of the keychain.
    pub fn credential(&self, repository: &Repository) -> Result<Arc<CredentialLookup>, Error> {
        let place = Place::of(repository);
        self.found(&place, &mut lock(&self.standing(&place)))
    }

    pub(crate) fn standing(&self, place: &Place) -> Arc<Mutex<Standing>> {
        lock(&self.standings).entry(place.clone()).or_default().clone()
    }

    fn found(&self, place: &Place, standing: &mut Standing) -> Result<Arc<CredentialLookup>, Error> {
        if let Some(found) = &standing.found {
            return Ok(found.clone());
        }
        let found = Arc::new(self.look_up(place)?);
        for warning in &found.warnings {
            self.exchange.warn("credential-helper", warning.clone());
        }
        for secret in found.credential.secrets() {
            self.exchange.journal.guard(&secret);
        }
        standing.found = Some(found.clone());
        Ok(found)
    }

    /// The keychain's places, with AWS between the environment and Docker's files.
    fn look_up(&self, place: &Place) -> Result<CredentialLookup, Error> {
        let registry = &place.registry;
        let find = || self.keychain.find(registry, place.path.as_deref());
        if self.aws.settings.host(registry).is_none() || self.keychain.has_own(registry)? {
            return find();
        }
        let Some(standing) = self.aws.standing(&self.exchange, registry)? else { return find() };
        let tried = standing.search.tried.iter().cloned();
        let now = self.exchange.world.now();
        match (self.aws.login(&self.exchange, registry, &standing)?, &standing.search.found) {
            (Some(login), Some(from)) => Ok(CredentialLookup {
                identity: Some(login.username.clone()),
                credential: Credential::Password { username: login.username, password: login.password },
                source: from.source.clone(),
                tried: tried.collect(),
                warnings: Vec::new(),
                // Half a day is the longest that there is, and one that is over on arrival shows a wrong clock.
                lent_until: login.expires_at.filter(|end| *end > now).or(Some(now + time::Duration::hours(12))),
            }),
            _ => {
                let mut found = find()?;
                let first = found.tried.iter().take_while(|tried| tried.source == "environment").count();
                found.tried.splice(first..first, tried);
                Ok(found)
            }
        }
    }

    /// What can be sent without being asked: what answered before, or a token of a realm known beforehand.
    pub(crate) fn authorization(
        &self,
        place: &Place,
        standing: &Mutex<Standing>,
        scopes: &ScopeSet,
    ) -> Result<Option<Secret>, Error> {
        let mut standing = lock(standing);
        if standing.found.as_ref().and_then(|found| found.lent_until).is_some_and(|end| self.is_near(end)) {
            standing.give_back();
        }
        if let Some(header) = &standing.header {
            return Ok(Some(header.clone()));
        }
        let guessed = standing.challenges.is_empty();
        if guessed {
            match flow::known(&place.registry) {
                Some(known) => standing.challenges = vec![known],
                // ECR asks everybody for a password, and whoever has none is not asked beforehand.
                None if matches!(self.aws.settings.host(&place.registry), Some(EcrHost::Private(_))) => {
                    standing.challenges = vec![flow::basic()];
                }
                None => standing.challenges = lock(&self.asked).get(&place.registry).cloned().unwrap_or_default(),
            }
            if standing.challenges.is_empty() {
                return Ok(None);
            }
        }
        let challenges = standing.challenges.clone();
        match self.respond(place, &mut standing, &challenges, scopes) {
            // This repository has not asked for a credential, and may not.
            Err(error) if guessed && error.code() == Code::CredentialMissing => {
                standing.challenges.clear();
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
    pub(crate) fn answer(
        &self,
        place: &Place,
        standing: &Mutex<Standing>,
        challenges: &[Challenge],
        scopes: &ScopeSet,
        refused: Option<&Secret>,
    ) -> Result<Option<Secret>, Error> {
        let mut standing = lock(standing);
        let fresh = standing.tokens.get(&key(scopes)).map(Token::header);
        if refused.is_none() || fresh.as_ref() != refused {
            // Somebody else, working beside this request, has got a token meanwhile.
            if let Some(header) = standing.header.clone().or(fresh).filter(|header| Some(header) != refused) {
                return Ok(Some(header));
            }
        }
        standing.tokens.remove(&key(scopes));
        if refused.is_some() && standing.found.as_ref().is_some_and(|found| found.lent_until.is_some()) {
            standing.give_back();
        }
        if !challenges.is_empty() {
            standing.challenges = challenges.to_vec();
        }
        let for_any = |challenge: &Challenge| Challenge { scope: None, error: None, ..challenge.clone() };
        let challenges = standing.challenges.clone();
        lock(&self.asked).insert(place.registry.clone(), challenges.iter().map(for_any).collect());
        self.respond(place, &mut standing, &challenges, scopes)
    }

    fn respond(
        &self,
        place: &Place,
        standing: &mut Standing,
        challenges: &[Challenge],
        scopes: &ScopeSet,
    ) -> Result<Option<Secret>, Error> {
        let now = self.exchange.world.now();
        if let Some(token) = standing.tokens.get(&key(scopes)).filter(|token| now < token.renew_at()) {
            return Ok(Some(token.header()));
        }
        let found = self.found(place, standing)?;
        let url = self.url(&place.registry, "");
        let nothing = |error: Error| match error.code() {
            Code::CredentialMissing if found.credential.is_anonymous() => credential_missing(&place.registry, &found),
            _ => error,
        };
        match flow::answer(&url, challenges, scopes, &found.credential).map_err(nothing)? {
            Authorization::Header(header) => {
                standing.header = Some(header.clone());
                Ok(Some(header))
            }
            Authorization::Token(request) => {
                let token = self.fetch_token(&place.registry, &request, &found)?;
                self.exchange.journal.guard(&token.value);
                let header = token.header();
                standing.tokens.insert(key(scopes), token);
                Ok(Some(header))
            }
        }
    }

    fn fetch_token(&self, registry: &Registry, wanted: &TokenRequest, found: &CredentialLookup) -> Result<Token, Error> {
        let what = format!("get a token for `{registry}`");
        let mut request = wanted.request();
        let mut response = self.exchange.send(&what, &request, TOKEN_LIMIT)?;
        if let Some(other) = wanted.fallback(&response) {
            request = other;
            response = self.exchange.send(&what, &request, TOKEN_LIMIT)?;
        }
        if response.is_success() {
            return token::parse(&response.body, self.exchange.world.now()).map_err(|error| {
                let realm = request.url.authority();
                let hint =
                    format!("check that a token server answers at `{realm}`, and no proxy or login page in its place");
                error.restate(format!("cannot {what}: the answer of `{realm}` holds none")).hint(hint)
            });
        }
        let mut said = ErrorDocument::read(&response);
        // A server may repeat what it was sent.
        said.text = said.text.map(|text| wanted.without_secret(&text));
        if !matches!(response.status, 400 | 401 | 403) {
            return Err(refusal::of(Subject::Service, &what, &request, &response, &said));
        }
        let expired = said.has_expired();
        let code = if expired { Code::TokenExpired } else { Code::Unauthenticated };
        let (realm, source) = (request.url.authority(), origin(found));
        let error = match &found.credential {
            Credential::Anonymous => credential_missing(registry, found),
            Credential::IdentityToken { .. } => {
                Error::new(code, format!("`{realm}` did not accept the identity token from {source} for `{registry}`"))
                    .hint("log in again with the tool that wrote it; identity tokens run out")
            }
            _ => Error::new(code, format!("`{realm}` did not accept the credential from {source} for `{registry}`"))
                .hint(match code {
                    Code::TokenExpired => "make a new password or access token, and give that one",
                    _ => "check user name and password; where two-factor login is on, use an access token as the password",
                }),
        };
        let line = refusal::cause(&request, &response, &said);
        Err(error.cause(line).http(refusal::refusal(&request, &response, &said)))
    }
}

/// Whether a refusal says that what was sent has run out; ECR does so with the status of a missing right.
pub(crate) fn has_run_out(response: &Response) -> bool {
    response.status == 403 && ErrorDocument::read(response).has_expired()
}

/// The scopes of one repository for reading or for writing.
pub fn scopes(repository: &Repository, action: Action) -> ScopeSet {
    let mut scopes = ScopeSet::new();
    scopes.add(match action {
        Action::Pull => Scope::pull(repository.path()),
        Action::Push => Scope::push(repository.path()),
    });
    scopes
}

pub(crate) fn key(scopes: &ScopeSet) -> String {
    scopes.to_string()
}

pub(crate) fn authorized(request: &Request, header: Option<&Secret>) -> Request {
    match header {
        Some(header) => request.clone().header("Authorization", header.reveal()),
        None => request.clone(),
    }
}
