//! One repository with whoever asks and the rights that are asked for: what it sends is answered for as far as the
//! registry asks, and nobody else is answered.

use crate::error::{Code, Error};
use crate::http::{Body, Payload};
use crate::pure::auth::challenge;
use crate::pure::auth::scope::Action;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::url::Scheme;
use crate::pure::http::{Budget, ErrorDocument, Fault, Response, Subject, Url, redirect, refusal, retry};
use crate::pure::image::{Registry, Repository};
use crate::registry::limits;
use crate::registry::login::Client;
use crate::registry::login::ledger::is_pull;
use crate::registry::login::refused::refused;
use crate::registry::login::state::{AccessState, CredentialDomain};
use crate::secret::Secret;
use crate::threads::{both, lock};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// One repository, with its caller and its rights.
#[derive(Clone)]
pub struct Access<'c, 'w> {
    /// Whoever asks.
    pub client: &'c Client<'w>,
    /// The repository.
    pub repository: Repository,
    /// The rights that are asked for.
    pub rights: Action,
    /// Whether an upload was begun there in this run, so that the right to write need not be waited for.
    pub takes_uploads: Arc<AtomicBool>,
}

impl Access<'_, '_> {
    /// The registry that the repository is in.
    pub fn registry(&self) -> &Registry {
        self.repository.registry()
    }

    /// The address of something below the repository, such as `tags/list`.
    pub fn url(&self, tail: &str) -> Url {
        self.client.url(self.registry(), &format!("{}/{tail}", self.repository.path()))
    }

    /// Sends a request, authenticated as far as the registry asks for it.
    ///
    /// Every status but those about authentication comes back as an answer; 401 and 403 become errors.
    ///
    /// # Errors
    /// As [`crate::http::exchange::Exchange::send`], and `credential-missing`, `unauthenticated`, `denied`,
    /// `token-expired`, `realm-refused`, and those of the keychain.
    pub fn ask(&self, wanted: &str, request: &Request, limit: u64) -> Result<Response, Error> {
        self.speak(wanted, request, Some(limit)).map(|(response, _)| response)
    }

    /// As [`Access::ask`], with the body of a success left to be read in pieces.
    ///
    /// # Errors
    /// As [`Access::ask`].
    pub fn open(&self, wanted: &str, request: &Request) -> Result<(Response, Option<Body>), Error> {
        self.speak(wanted, request, None)
    }

    /// Without a limit, the body of a success is left to be read in pieces.
    ///
    /// Only the registry is answered: a refusal of a server that it led to is that server's, and what that one asks for
    /// is not even read.
    fn speak(&self, wanted: &str, request: &Request, limit: Option<u64>) -> Result<(Response, Option<Body>), Error> {
        let (client, exchange) = (self.client, &self.client.exchange);
        // What is left is told by a look, which costs nothing.
        if exchange.settings.min_remaining.is_some() && is_pull(request) && client.ledger.is_new(self.registry()) {
            let look = Request { method: Method::Head, ..request.clone() };
            match self.speak(wanted, &look, Some(limits::SMALL)) {
                // "Not now" tells of no limit, and would be said again.
                Ok((answer, _)) if retry::is_passing(answer.status) => {
                    return Err(refusal::error(Subject::Manifest, wanted, &look, &answer));
                }
                outcome => outcome.map_or_else(ends, |_| Ok(()))?,
            }
        }
        let standing = self.standing();
        let authorize = || client.authorization(&standing).map_err(Error::unsent);
        let mut sent = match client.is_ahead(&request.url, self.registry()) {
            true => both(|| exchange.open_ahead(&request.url), authorize).1,
            false => authorize(),
        }?;
        let mut answered = false;
        loop {
            let ready = authorized(request, sent.as_ref());
            let begun = self.begin(request)?;
            let outcome = match limit {
                Some(limit) => exchange.send(wanted, &ready, limit).map(|response| (response, None)),
                None => exchange.open(wanted, &ready),
            };
            let is_own = |response: &Response| response.from.origin() == request.url.origin();
            let answer = outcome.as_ref().ok().map(|(response, _)| response).filter(|response| is_own(response));
            self.end(is_pull(request), begun, answer);
            let (response, body) = outcome?;
            let is_own = is_own(&response);
            client.note(&response, is_own && (response.is_success() || response.status == 401));
            match response.status {
                401 | 403 if !is_own => {
                    return Err(refusal::elsewhere(&request.url, wanted, request, &response));
                }
                401 if !answered => {
                    let values: Vec<&str> = response.headers.all("www-authenticate").collect();
                    let mut challenges = challenge::parse(&values);
                    if challenges.is_empty() {
                        challenges = client.entrance(self.registry())?;
                    }
                    if challenges.is_empty() {
                        return Err(refusal::error(Subject::Service, wanted, request, &response)
                            .cause("the answer names no way to authenticate (no `WWW-Authenticate` header)"));
                    }
                    let answer = client.answer(&standing, &challenges, sent.as_ref());
                    sent = answer.map_err(Error::unsent)?;
                    answered = true;
                }
                403 if !answered && sent.is_some() && has_run_out(&response) => {
                    sent = client.answer(&standing, &[], sent.as_ref())?;
                    answered = true;
                }
                // Some registries hide what is private from whoever has not logged in, and never ask for it.
                403 | 404 if !answered && sent.is_none() && is_own && self.has_credential() => {
                    answered = true;
                    let challenges = client.entrance(self.registry())?;
                    if !challenges.is_empty() {
                        sent = client.answer(&standing, &challenges, None).map_err(Error::unsent)?;
                    } else if response.status == 403 {
                        return Err(self.refused(wanted, request, &response));
                    } else {
                        return Ok((response, body));
                    }
                }
                401 | 403 => return Err(self.refused(wanted, request, &response)),
                _ => {
                    lock(&standing.state).has_answered |= response.is_success();
                    return Ok((response, body));
                }
            }
        }
    }

    /// Takes a request on, unless less would be left than is to be kept.
    fn begin(&self, request: &Request) -> Result<u64, Error> {
        match self.client.exchange.settings.min_remaining {
            Some(least) => self.client.ledger.begin(self.registry(), is_pull(request), least),
            None => Ok(0),
        }
    }

    /// Takes note of what an answer says about limits.
    fn end(&self, costs: bool, begun: u64, answer: Option<&Response>) {
        let told = answer.and_then(|answer| Budget::read(&answer.headers));
        if let Some(budget) = &told {
            self.client.exchange.journal.note_budget(budget.clone());
        }
        if self.client.exchange.settings.min_remaining.is_some() {
            self.client.ledger.end(self.registry(), costs, begun, told);
        }
    }

    /// Whether a credential is at hand that nobody has asked for. That one cannot be read is no reason to fail where
    /// none is asked for.
    fn has_credential(&self) -> bool {
        let AccessState { domain, state, .. } = self.standing();
        let found = lock(&state).challenges.is_empty().then(|| self.client.look_up(&domain));
        found.is_some_and(|found| found.is_ok_and(|found| !found.credential.is_anonymous()))
    }

    /// Whether an answer proves that what was asked for is not there.
    pub fn proves_absence(&self, request: &Request, response: &Response) -> bool {
        // Amazon's are registries by their names.
        let is_registry = self.client.is_registry(response) || self.client.amazon(self.registry()).is_some();
        refusal::proves_absence(request.method, response, is_registry)
    }

    /// Whether the repository has answered anything in this run.
    pub fn has_answered(&self) -> bool {
        lock(&self.standing().state).has_answered
    }

    /// The first names of the list of tags, those that were read in this run.
    pub fn some_tags(&self) -> Vec<String> {
        lock(&self.standing().state).some_tags.clone()
    }

    /// Takes note of the first names of the list of tags.
    pub fn note_tags(&self, names: &[String]) {
        lock(&self.standing().state).some_tags = names.to_vec();
    }

    /// Sends a request of an upload to the address that the registry has named for it, once.
    ///
    /// A body is read while it is sent; where it fails, the fault says no more than that. The credential
    /// goes to the registry alone. Its 401 comes back as an answer, and the next request has a new token.
    ///
    /// # Errors
    /// `redirect-refused` for an address that nothing is sent to, the refusal of a server that is not the registry, and
    /// those of the credential.
    pub fn upload(
        &self,
        wanted: &str,
        request: &Request,
        payload: Option<&mut Payload>,
    ) -> Result<Result<Response, Fault>, Error> {
        let (client, exchange) = (self.client, &self.client.exchange);
        let home = client.url(self.registry(), "");
        if let Some(why) = redirect::unsafe_way(&home, &home, &request.url) {
            let host = home.authority();
            let message = format!("cannot {wanted}: `{host}` names an address for it that is not used: {why}");
            let error = Error::new(Code::RedirectRefused, message);
            return Err(if request.url.scheme() == Scheme::Http && home.scheme() == Scheme::Https {
                error.hint(format!(
                    "tell the registry its public address: the proxy in front of `{host}` has to send \
                     `X-Forwarded-Proto: https`, or the registry's own setting (`http.host`) has to name it"
                ))
            } else {
                error.hint(format!("ask whoever runs `{host}` to correct the `Location` of uploads"))
            });
        }
        let standing = self.standing();
        let own = request.url.origin() == home.origin();
        let sent = if own { client.authorization(&standing)? } else { None };
        let ready = authorized(request, sent.as_ref());
        let begun = self.begin(request)?;
        let outcome = exchange.attempt(&ready, payload, &exchange.limits(limits::SMALL), 1);
        self.end(false, begun, outcome.as_ref().ok().filter(|_| own));
        if let Ok(response) = &outcome {
            if !own && matches!(response.status, 401 | 403) {
                return Err(refusal::elsewhere(&home, wanted, request, response));
            }
            let values: Vec<&str> = response.headers.all("www-authenticate").collect();
            let is_over = response.status == 401 || has_run_out(response);
            if own && is_over && (sent.is_some() || !values.is_empty()) {
                client.answer(&standing, &challenge::parse(&values), sent.as_ref())?;
            }
        }
        Ok(outcome)
    }

    /// Why a request that writes was refused.
    pub fn write_refused(&self, wanted: &str, request: &Request, response: &Response) -> Error {
        match response.status {
            401 | 403 => self.refused(wanted, request, response),
            _ => refusal::error(Subject::Write, wanted, request, response),
        }
    }

    fn refused(&self, wanted: &str, request: &Request, response: &Response) -> Error {
        let now = self.client.exchange.world.now();
        refused(&self.standing(), now, wanted, request, response)
    }

    fn standing(&self) -> AccessState {
        let domain = CredentialDomain::of(&self.repository);
        let state = self.client.state(&domain);
        AccessState { domain, state, scopes: self.client.scopes(&self.repository, self.rights) }
    }
}

/// Whether there is no use in the request that a look was to go before; a refusal is told in words by that request alone.
fn ends(error: Error) -> Result<(), Error> {
    if matches!(error.code(), Code::Denied | Code::Unauthenticated) { Ok(()) } else { Err(error) }
}

/// Whether a refusal says that what was sent has run out; ECR does so with the status of a missing right.
fn has_run_out(response: &Response) -> bool {
    response.status == 403 && ErrorDocument::read(response).has_expired()
}

/// The request with what answers for it.
pub(super) fn authorized(request: &Request, header: Option<&Secret>) -> Request {
    match header {
        Some(header) => request.clone().header("Authorization", header.reveal()),
        None => request.clone(),
    }
}
