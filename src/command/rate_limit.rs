//! `rate-limit`: how much may be read of a registry, asked without reading anything.

use crate::command::report::Report;
use crate::command::request::RateLimit;
use crate::command::session::Session;
use crate::error::Error;
use crate::pure::auth::scope::Action;
use crate::pure::text::instant;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RateLimitResult {
    registry: String,
    limit: Option<u64>,
    remaining: Option<u64>,
    window_seconds: Option<u64>,
    counted_by: Option<String>,
    resets_at: Option<String>,
}

/// Asks and tells.
///
/// # Errors
/// Those of the question; that a registry tells of no limit is an answer.
pub fn run(session: &Session, request: &RateLimit) -> Result<Report, Error> {
    let remote = session.remote(&request.repository, Action::Pull);
    let told = remote.budget()?;
    let registry = remote.registry().to_string();
    let limit = told.as_ref().and_then(|told| told.limit_words());
    let sentence = match (&told, limit) {
        (None, _) => format!("`{registry}` tells of no limit"),
        (Some(told), limit) => {
            let left = told.remaining.map_or_else(|| "an unknown part".to_owned(), |left| left.to_string());
            format!(
                "`{registry}` has {left} left of {}",
                limit.unwrap_or_else(|| "a limit that it does not tell".to_owned())
            )
        }
    };
    let told = told.unwrap_or_default();
    let answer = RateLimitResult {
        registry,
        limit: told.limit,
        remaining: told.remaining,
        window_seconds: told.window_seconds,
        resets_at: told.resets_at(remote.world().now()).map(instant::rfc3339),
        counted_by: told.counted_by,
    };
    Report::new(&answer, sentence)
}
