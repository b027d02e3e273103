//! Speaks to registries about content that does not fit in memory: opens what is read, sends what is written.
//!
//! How a blob is copied with it is in [`crate::registry::blobs`]; who one is to a registry, in [`crate::registry::login::client`].

use crate::registry::login::client::{Client, Place, authorized, has_run_out};
use crate::http::{Body, Limits};
use crate::error::{Code, Error};
use crate::pure::auth::challenge;
use crate::pure::auth::scope::Action;
use crate::pure::http::fault::Fault;
use crate::pure::http::message::{Request, Response};
use crate::pure::http::redirect;
use crate::pure::http::refusal::{self, Subject};
use crate::pure::http::url::Scheme;
use crate::pure::image::repository::Repository;
use std::io::Read;

impl Client<'_> {
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
        limit: u64,
    ) -> Result<(Response, Option<Body>), Error> {
        self.speak(repository, action, wanted, request, limit, true)
    }

    /// Sends a request of an upload to the address that the registry has named for it, once.
    ///
    /// A body is read while it is sent; where it fails, the fault says no more than that. The credential
    /// goes to the registry alone. A 401 comes back as an answer, and the next request has a new token.
    ///
    /// # Errors
    /// `redirect-refused` for an address that nothing is sent to, and those of the credential.
    pub fn upload(
        &self,
        repository: &Repository,
        wanted: &str,
        request: &Request,
        body: Option<(&mut dyn Read, u64)>,
    ) -> Result<Result<Response, Fault>, Error> {
        let home = self.url(repository.registry(), "");
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
        let place = Place::of(repository);
        let scopes = self.scopes(repository, Action::Push);
        let standing = self.standing(&place);
        let own = request.url.origin() == home.origin();
        let sent = if own { self.authorization(&place, &standing, &scopes)? } else { None };
        let ready = authorized(request, sent.as_ref());
        let outcome = match body {
            Some((body, length)) => self.exchange.upload(&ready, body, length),
            None => self.exchange.once(&ready, &Limits::default()),
        };
        if let Ok(response) = &outcome
            && own
        {
            let values: Vec<&str> = response.headers.all("www-authenticate").collect();
            if response.status == 401 && !values.is_empty() || sent.is_some() && has_run_out(response) {
                self.answer(&place, &standing, &challenge::parse(&values), &scopes, sent.as_ref())?;
            }
        }
        Ok(outcome)
    }

    /// Why an upload was refused.
    pub fn upload_refused(
        &self,
        repository: &Repository,
        wanted: &str,
        request: &Request,
        response: &Response,
    ) -> Error {
        if !matches!(response.status, 401 | 403) {
            return refusal::error(Subject::Write, wanted, request, response);
        }
        let place = Place::of(repository);
        let scopes = self.scopes(repository, Action::Push);
        self.refused(&place, &self.standing(&place), (Action::Push, &scopes), wanted, request, response)
    }
}
