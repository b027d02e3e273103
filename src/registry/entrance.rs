//! What answers at the entrance of a registry, `/v2/`, to somebody who has not logged in.
//!
//! Specification: OCI distribution, endpoint end-1.

use crate::error::Error;
use crate::pure::auth::challenge;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{Subject, refusal, retry};
use crate::pure::image::Registry;
use crate::registry::limits;
use crate::registry::login::Client;
use time::Duration;

/// What answers at the entrance.
pub struct Entrance {
    /// How it wants to be answered, each way with its realm; none where everybody is let in.
    pub ways: Vec<String>,
    /// How far its clock is ahead of ours, where it tells the time.
    pub ahead: Option<Duration>,
}

/// Asks at the entrance.
///
/// # Errors
/// Those of the way; the status, where it is none of a registry's.
pub fn look(client: &Client, registry: &Registry) -> Result<Entrance, Error> {
    let (wanted, request) = (format!("ask `{registry}`"), Request::new(Method::Get, client.url(registry, "")));
    let response = client.exchange.send(&wanted, &request, limits::SMALL)?;
    let values: Vec<&str> = response.headers.all("www-authenticate").collect();
    if !response.is_success() && (response.status != 401 || values.is_empty()) {
        return Err(refusal::error(Subject::Service, &wanted, &request, &response));
    }
    let now = client.exchange.world.now();
    let theirs = response.headers.get("date").and_then(|date| retry::http_date(date, now));
    let way = |challenge: challenge::Challenge| match challenge.realm {
        Some(realm) => format!("{} ({realm})", challenge.scheme),
        None => challenge.scheme.to_string(),
    };
    let ways = challenge::parse(&values).into_iter().map(way).collect();
    Ok(Entrance { ways, ahead: theirs.map(|theirs| theirs - now) })
}
