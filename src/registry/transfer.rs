//! Speaks to registries about content that does not fit in memory: sends what is written.
//!
//! How a blob is copied with it is in [`crate::registry::blobs`]; who one is to a registry, in [`crate::registry::login::client`].

use crate::registry::login::client::{Client, Place, authorized, has_run_out};
use crate::error::{Code, Error};
use crate::http::Payload;
use crate::pure::auth::challenge;
use crate::pure::auth::scope::Action;
use crate::pure::http::fault::Fault;
use crate::pure::http::message::{Request, Response};
use crate::pure::http::redirect;
use crate::pure::http::refusal::{self, Subject};
use crate::pure::http::url::Scheme;
use crate::pure::image::repository::Repository;

/// The most of the answer to an upload that is read.
const ANSWER_LIMIT: u64 = 1 << 20;

impl Client<'_> {
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
        repository: &Repository,
        wanted: &str,
        request: &Request,
        payload: Option<&mut Payload>,
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
        let outcome = self.exchange.attempt(&ready, payload, &self.exchange.limits(ANSWER_LIMIT), 1);
        if let Ok(response) = &outcome {
            if !own && matches!(response.status, 401 | 403) {
                return Err(refusal::elsewhere(&home, wanted, request, response));
            }
            let values: Vec<&str> = response.headers.all("www-authenticate").collect();
            if own && (response.status == 401 && !values.is_empty() || sent.is_some() && has_run_out(response)) {
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
