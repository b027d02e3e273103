//! Why a registry refused somebody, in words that say what to do: no credential, one that is not accepted, a right
//! that is missing.

use crate::error::{Code, Error};
use crate::pure::auth::{Token, lookup};
use crate::pure::aws::AwsFault;
use crate::pure::http::message::{Method, Request};
use crate::pure::http::{ErrorDocument, Response, Subject, refusal};
use crate::pure::image::Registry;
use crate::registry::login::CredentialLookup;
use crate::registry::login::state::AccessState;
use crate::threads::lock;
use time::OffsetDateTime;

/// Why an answered request was refused all the same.
pub(super) fn refused(
    standing: &AccessState,
    now: OffsetDateTime,
    wanted: &str,
    request: &Request,
    response: &Response,
) -> Error {
    let (registry, scopes, state) = (&standing.domain.registry, &standing.scopes, lock(&standing.state));
    let subject = if request.method == Method::Put { Subject::Write } else { Subject::Manifest };
    let error = refusal::error(subject, wanted, request, response);
    if error.code() == Code::TagImmutable {
        return error;
    }
    let Some(found) = &state.found else {
        return error;
    };
    // Whoever asks about no repository hears of none.
    let or_absent = if scopes.is_empty() { "" } else { "; a repository that does not exist may look the same" };
    if found.credential.is_anonymous() {
        let missing = credential_missing(registry, found);
        return error
            .with_code(Code::CredentialMissing)
            .retold(missing.message())
            .hint(format!("{}{or_absent}", found.way_out))
            .detail("tried", lookup::values(&found.tried));
    }
    let said = ErrorDocument::read(response);
    let host = request.url.authority();
    let identity = found.identity.as_deref().unwrap_or("the holder of the token");
    let token = state.tokens.values().next();
    let withheld =
        token.and_then(Token::granted).map(|granted| scopes.missing(&granted)).filter(|missing| !missing.is_empty());
    let insufficient = state.challenges.iter().any(|c| c.error.as_deref() == Some("insufficient_scope"));
    let is_over = found.lent_until.is_some() && said.has_expired();
    if !is_over && (response.status == 403 || insufficient || withheld.is_some() || said.has(&["DENIED"])) {
        let error = error.with_code(Code::Denied).retold(format!("`{host}` refused to {wanted} as `{identity}`"));
        let error = match withheld {
            Some(missing) => error.cause(format!("the token was lent without `{missing}`")),
            None => error,
        };
        // ECR names the action that is lacking, and a password of its own says nothing about who that is.
        let named = said.words().and_then(|words| AwsFault::listed("", &words).hint());
        return error.hint(named.unwrap_or_else(|| {
            format!("give `{identity}` the right to {} there, or use another credential{or_absent}", scopes.action())
        }));
    }
    let expired = token.is_some_and(|token| token.expires_at <= now) || said.has_expired();
    error
        .with_code(if expired { Code::TokenExpired } else { Code::Unauthenticated })
        .retold(format!("`{host}` did not accept the credential{} from {} to {wanted}", whose(found), origin(found)))
        .hint(format!("check the credential{or_absent}"))
}

/// Where a credential came from, in a sentence.
pub(super) fn origin(found: &CredentialLookup) -> String {
    match found.source.as_str() {
        "environment" => "the environment".to_owned(),
        "standard input" => "standard input".to_owned(),
        source => format!("`{source}`"),
    }
}

/// Whose credential it is, in a sentence, where that is known.
pub(super) fn whose(found: &CredentialLookup) -> String {
    found.identity.as_ref().map(|identity| format!(" of `{identity}`")).unwrap_or_default()
}

/// That a credential is wanted, and what each place said.
pub(super) fn credential_missing(registry: &Registry, found: &CredentialLookup) -> Error {
    Error::new(Code::CredentialMissing, format!("`{registry}` asked for a credential and none was found"))
        .cause(lookup::line(&found.tried))
        .hint(found.way_out.as_str())
        .detail("tried", lookup::values(&found.tried))
}
