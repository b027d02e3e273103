//! Docker Hub: the distribution API without a referrers API, and the web API beside it, which lists tags with their
//! digests and can look for a part of a name.
//!
//! The web API logs in where there is a credential. Host, login and limits are others than the registry's.
//!
//! Documentation: Docker Hub API, operations `AuthCreateAccessToken` and `ListRepositoryTags`.

use crate::error::{Code, Error};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Subject, Url, refusal};
use crate::pure::hub::{login, page};
use crate::pure::image::listing::Via;
use crate::pure::image::{Detail, Digest, Listing, ReferrerList, TagEntry};
use crate::registry::backend::Backend;
use crate::registry::login::Access;
use crate::registry::{distribution, limits, pages};
use crate::secret::Secret;
use crate::threads::lock;
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

/// The public address of the API.
pub const API: &str = "https://hub.docker.com";
/// The way out where the API answers with something that is none of its answers.
const ELSEWHERE: &str =
    "check what answers at the address of `--hub-api`, or read the registry's own list with `--via registry`";
/// How long to wait for an API that there is a substitute for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The web API at one address, logged in at most once.
pub struct HubApi {
    url: Url,
    token: Mutex<Option<Option<Secret>>>,
}

impl HubApi {
    /// The API at an address; asks nothing yet.
    pub fn new(url: Url) -> Self {
        Self { url, token: Mutex::default() }
    }

    /// The host that stands in for Docker Hub's own, where one does.
    pub fn elsewhere(&self) -> Option<String> {
        (self.url.origin().to_string() != API).then(|| self.url.authority())
    }
}

/// A repository of Docker Hub.
pub(super) struct Hub<'a> {
    /// The repository with its caller.
    pub access: &'a Access<'a, 'a>,
    /// The web API.
    pub api: &'a HubApi,
    /// The one source of tag lists that is wanted.
    pub via: Option<Via>,
}

impl Backend for Hub<'_> {
    fn access(&self) -> &Access<'_, '_> {
        self.access
    }

    /// The list of the web API; where that is of no use, and another is not ruled out, the registry's own.
    fn tags(&self, _detail: Detail, part: Option<&str>) -> Result<Listing, Error> {
        if self.via == Some(Via::Registry) {
            return distribution::list_tags(self.access);
        }
        let error = match self.list(part) {
            Err(error) if self.via.is_none() && gives_way(&error) => error,
            outcome => return outcome,
        };
        let reason = error.causes().last().map(|cause| format!(": {cause}")).unwrap_or_default();
        let sentence = "Docker Hub's web API was of no use, so the registry's own tag list was read";
        let exchange = &self.access.client.exchange;
        exchange.warn("hub-api-unavailable", format!("{sentence}: {}{reason}", error.message()));
        distribution::list_tags(self.access)
    }

    /// The registry's own list, unless the other is asked for: the web API may show a tag later.
    fn fresh_tags(&self) -> Result<Listing, Error> {
        if self.via == Some(Via::HubApi) { self.list(None) } else { distribution::list_tags(self.access) }
    }

    fn api_referrers(&self, _digest: &Digest, _patience: Option<Duration>) -> Result<ReferrerList, Error> {
        Ok(ReferrerList::NoApi)
    }
}

impl Hub<'_> {
    /// Reads all tag pages of the web API, or those that a part of the name leaves where the server honours it.
    ///
    /// # Errors
    /// `unauthenticated` and `denied` where the API refuses login or token, `repository-unknown`, the codes of
    /// unreachable and broken services, `reply-malformed`.
    fn list(&self, part: Option<&str>) -> Result<Listing, Error> {
        let wanted = format!("list the tags of `{}`", self.access.repository);
        let (mut tags, mut known): (Vec<TagEntry>, HashSet<String>) = Default::default();
        let (mut pages, mut most, mut scanned) = (0_usize, usize::MAX, 0_usize);
        let first = page::first(&self.api.url, &self.access.repository, part);
        pages::walk(&wanted, first, |url| {
            let request = Request::new(Method::Get, url.clone()).header("Accept", "application/json");
            let ready = match self.token()? {
                Some(token) => request.clone().header("Authorization", format!("Bearer {}", token.reveal())),
                None => request.clone(),
            };
            let response = self.access.client.exchange.send(&wanted, &self.patient(ready), limits::HUB_PAGE)?;
            if !response.is_success() {
                return Err(refusal::error(Subject::HubTags, &wanted, &request, &response));
            }
            let page = page::parse(&response.body).map_err(|error| foreign(&wanted, error))?;
            pages += 1;
            if pages == 1 {
                most = page.count.saturating_add(1);
            }
            scanned += page.tags.len();
            tags.extend(page.tags.into_iter().filter(|tag| tag.may_be_tag() && known.insert(tag.name.clone())));
            pages::fits(&wanted, tags.len())?;
            let Some(next) = page.next else { return Ok(None) };
            if pages > most {
                let message = format!("cannot {wanted}: there are more pages than tags");
                return Err(Error::new(Code::ReplyMalformed, message));
            }
            page::next_url(&self.api.url, &next).map(Some).map_err(|error| foreign(&wanted, error))
        })
        .map_err(|error| if error.code() == Code::ReplyMalformed { error.hint(ELSEWHERE) } else { error })?;
        Ok(Listing { tags, scanned, via: Via::HubApi, is_whole: part.is_none() })
    }

    /// An API that the registry's own list stands in for is not waited for as long as another.
    fn patient(&self, request: Request) -> Request {
        Request { patience: self.via.is_none().then_some(PATIENCE), ..request }
    }

    /// The login, once a run; without a credential the API is read as anybody.
    fn token(&self) -> Result<Option<Secret>, Error> {
        let mut token = lock(&self.api.token);
        if token.is_none() {
            *token = Some(self.log_in()?);
        }
        Ok(token.clone().flatten())
    }

    fn log_in(&self) -> Result<Option<Secret>, Error> {
        let (wanted, client) = ("log in to Docker Hub's web API", self.access.client);
        let found = client.credential(&self.access.repository)?;
        let Some(request) = login::request(&self.api.url, &found.credential) else {
            return Ok(None);
        };
        let response = client.exchange.send(wanted, &self.patient(request.clone()), limits::SMALL)?;
        if response.is_success() {
            let token = login::parse(&response.body).map_err(|error| foreign(wanted, error))?;
            client.exchange.journal.guard(&token);
            return Ok(Some(token));
        }
        Err(refusal::error(Subject::Service, wanted, &request, &response))
    }
}

/// Whether the registry's own list is worth asking after the web API failed in this way.
fn gives_way(error: &Error) -> bool {
    use Code::{Denied, RepositoryUnknown, TokenExpired, Unauthenticated};
    use Code::{RateLimited, RegistryUnavailable, ReplyMalformed, SizeExceeded, Timeout, Unreachable};
    let about_the_caller = [Denied, RepositoryUnknown, TokenExpired, Unauthenticated];
    let about_the_api = [RateLimited, RegistryUnavailable, ReplyMalformed, SizeExceeded, Timeout, Unreachable];
    about_the_caller.contains(&error.code()) || about_the_api.contains(&error.code())
}

/// An answer that is none of the API's.
fn foreign(wanted: &str, error: Error) -> Error {
    let message = format!("cannot {wanted}: {}", error.message());
    error.retold(message).hint_if_none(ELSEWHERE)
}
