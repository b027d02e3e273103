//! `auth`: which credential answers a registry, where it comes from, and what it is granted.

use crate::command::report::Report;
use crate::command::request::Auth;
use crate::command::session::Session;
use crate::error::Error;
use crate::pure::auth::scope::Action;
use crate::pure::auth::{LookupStep, Scope, Token};
use crate::pure::image::Detail;
use crate::pure::text::instant;
use crate::registry::login::grant;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthResult {
    registry: String,
    identity: Option<String>,
    source: Option<String>,
    challenge: &'static str,
    granted: Vec<String>,
    missing: Vec<String>,
    expires_at: Option<String>,
    tried: Vec<LookupStep>,
}

/// Logs in and says as whom.
///
/// # Errors
/// `credential-missing`, `unauthenticated`, `token-expired`, `realm-refused`, and those of the keychain.
pub fn run(session: &Session, request: &Auth) -> Result<Report, Error> {
    let (exchange, push) = (&session.exchange, request.actions.contains(&Action::Push));
    let rights = if push { Action::Push } else { Action::Pull };
    let granted = grant::grant(session.client(), &request.registry, request.repository.as_ref(), rights)?;
    let rights = match (&granted.token, &request.repository) {
        (Some(token), _) if token.granted().is_some() => token.granted().unwrap_or_default(),
        // An opaque token, Basic or no challenge: only asking tells, and only reading can be tried without writing.
        (_, Some(repository)) => match session.remote(repository, Action::Pull).tags(Detail::Names) {
            Ok(_) => vec![Scope::pull(repository.path()).to_string()],
            Err(error) => {
                exchange.warn("not-granted", format!("reading was tried and refused: {}", error.message()));
                Vec::new()
            }
        },
        (_, None) => Vec::new(),
    };
    let unmet = granted.scopes.missing(&rights);
    let mut missing = Vec::new();
    if !unmet.is_empty() {
        match granted.token.as_ref().and_then(Token::granted) {
            Some(_) => {
                exchange.warn("not-granted", format!("the token was lent without `{unmet}`"));
                missing.push(unmet.to_string());
            }
            None if push => {
                let sentence = "whether push is granted shows only when something is pushed";
                exchange.warn("push-unknown", sentence);
            }
            None => {}
        }
    }
    let registry = request.registry.to_string();
    let mut sentence = match &granted.source {
        Some(source) => format!(
            "`{registry}` answers to {} ({source})",
            granted.identity.as_deref().map_or("anybody".to_owned(), |identity| format!("`{identity}`")),
        ),
        None => format!("`{registry}` asks for no credential"),
    };
    if let Some(right) = missing.first() {
        sentence += &format!(", and does not grant `{right}`");
    }
    let answer = AuthResult {
        registry,
        identity: granted.identity,
        source: granted.source,
        challenge: granted.challenge,
        granted: rights,
        missing,
        expires_at: granted.expires_at.map(instant::rfc3339),
        tried: granted.tried,
    };
    Report::new(&answer, sentence)
}
