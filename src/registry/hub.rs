//! The web API of Docker Hub: logs in where there is a credential, and reads tag pages to the end.
//!
//! A client of its own beside the registry, because host, login and limits are others.
//!
//! Documentation: Docker Hub API, operations `AuthCreateAccessToken` and `ListRepositoryTags`.

use crate::registry::login::client::Client;
use crate::threads::lock;
use crate::error::{Code, Error};
use crate::pure::http::message::{Method, Request, Response};
use crate::pure::http::refusal::{self, Subject};
use crate::pure::http::url::Url;
use crate::pure::hub::{login, page};
use crate::pure::image::repository::Repository;
use crate::pure::image::listing::TagEntry;
use crate::secret::Secret;
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

/// The public address of the API.
pub const API: &str = "https://hub.docker.com";
/// A page holds at most 100 tags with all their images.
const PAGE_LIMIT: u64 = 32 << 20;
/// A login answers with a token and little else.
const LOGIN_LIMIT: u64 = 1 << 20;
/// The way out where the API answers with something that is none of its answers.
const ELSEWHERE: &str =
    "check what answers at the address of `--hub-api`, or read the registry's own list with `--via registry`";
/// How long to wait for an API that there is a substitute for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The tags of a repository as the API has them.
#[derive(Clone, Debug)]
pub struct Tags {
    /// The tags, in the order of the pages.
    pub listed: Vec<TagEntry>,
    /// How many tags were looked at.
    pub scanned: usize,
}

/// The API at one address, logged in at most once.
pub struct Hub {
    api: Url,
    patience: Option<Duration>,
    token: Mutex<Option<Option<Secret>>>,
}

impl Hub {
    /// The API at an address; asks nothing yet. Where something stands in for it, it is not waited for long.
    pub fn new(api: Url, has_substitute: bool) -> Self {
        Self { api, patience: has_substitute.then_some(PATIENCE), token: Mutex::default() }
    }

    /// Reads all tag pages, or those that a name filter leaves where the server honours it.
    ///
    /// # Errors
    /// `unauthenticated` and `denied` where the API refuses login or token, `repository-unknown`, the codes of
    /// unreachable and broken services, `reply-malformed`.
    pub fn tags(&self, client: &Client, repository: &Repository, filter: Option<&str>) -> Result<Tags, Error> {
        let wanted = format!("list the tags of `{repository}`");
        let mut request = page::first(&self.api, repository, filter);
        let mut seen: HashSet<Url> = HashSet::new();
        let mut names: HashSet<String> = HashSet::new();
        let mut listed: Vec<TagEntry> = Vec::new();
        let (mut most, mut scanned) = (usize::MAX, 0usize);
        loop {
            if !seen.insert(request.url.clone()) {
                return Err(malformed(&wanted, "a page is named as its own successor"));
            }
            let response = self.ask(client, repository, &wanted, &request)?;
            if !response.is_success() {
                return Err(refusal::error(Subject::Tags, &wanted, &request, &response));
            }
            let page = page::parse(&response.body).map_err(|error| foreign(&wanted, error))?;
            if seen.len() == 1 {
                most = page.count.saturating_add(1);
            }
            scanned += page.tags.len();
            listed.extend(page.tags.into_iter().filter(|tag| names.insert(tag.name.clone())));
            match page.next {
                None => return Ok(Tags { listed, scanned }),
                Some(_) if seen.len() > most => return Err(malformed(&wanted, "there are more pages than tags")),
                Some(next) => {
                    let url = page::next_url(&self.api, &next).map_err(|error| foreign(&wanted, error))?;
                    request = Request::new(Method::Get, url);
                }
            }
        }
    }

    fn ask(
        &self,
        client: &Client,
        repository: &Repository,
        wanted: &str,
        request: &Request,
    ) -> Result<Response, Error> {
        let request = match self.token(client, repository)? {
            Some(token) => request.clone().header("Authorization", format!("Bearer {}", token.reveal())),
            None => request.clone(),
        };
        client.exchange.send(wanted, &Request { patience: self.patience, ..request }, PAGE_LIMIT)
    }

    /// The login, once a run; without a credential the API is read as anybody.
    fn token(&self, client: &Client, repository: &Repository) -> Result<Option<Secret>, Error> {
        let mut token = lock(&self.token);
        if token.is_none() {
            *token = Some(self.log_in(client, repository)?);
        }
        Ok(token.clone().flatten())
    }

    fn log_in(&self, client: &Client, repository: &Repository) -> Result<Option<Secret>, Error> {
        let wanted = "log in to Docker Hub's web API";
        let found = client.credential(repository)?;
        let Some(request) = login::request(&self.api, &found.credential) else {
            return Ok(None);
        };
        let request = Request { patience: self.patience, ..request };
        let response = client.exchange.send(wanted, &request, LOGIN_LIMIT)?;
        if response.is_success() {
            let token = login::parse(&response.body).map_err(|error| foreign(wanted, error))?;
            client.exchange.journal.guard(&token);
            return Ok(Some(token));
        }
        Err(refusal::error(Subject::Service, wanted, &request, &response))
    }
}

/// An answer that is none of the API's.
fn foreign(wanted: &str, error: Error) -> Error {
    let message = format!("cannot {wanted}: {}", error.message());
    error.retold(message).hint_if_none(ELSEWHERE)
}

fn malformed(wanted: &str, why: &str) -> Error {
    Error::new(Code::ReplyMalformed, format!("cannot {wanted}: {why}")).hint(ELSEWHERE)
}
