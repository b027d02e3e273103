//! What a run has learned about how a registry answers to whom.

use crate::pure::auth::{Challenge, ScopeSet, Token};
use crate::pure::image::{Registry, Repository};
use crate::registry::login::CredentialLookup;
use crate::secret::Secret;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What a credential belongs to: a registry, or with podman's files one repository of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CredentialDomain {
    pub registry: Registry,
    pub path: Option<String>,
}

impl CredentialDomain {
    pub fn of(repository: &Repository) -> Self {
        Self { registry: repository.registry().clone(), path: Some(repository.path().to_owned()) }
    }
}

/// Who is answered, with what is known of it, and the rights that are asked for.
pub(super) struct AccessState {
    pub domain: CredentialDomain,
    pub state: Arc<Mutex<AuthState>>,
    pub scopes: ScopeSet,
}

/// What has been learned about one domain in this run.
#[derive(Default)]
pub(super) struct AuthState {
    /// How it asked for a credential; empty while it has not.
    pub challenges: Vec<Challenge>,
    /// A header that answers every request: Basic, or a token of the user's own.
    pub header: Option<Secret>,
    /// Tokens by the scopes they were asked for.
    pub tokens: HashMap<String, Token>,
    /// The credential, looked up at the first challenge.
    pub found: Option<Arc<CredentialLookup>>,
    /// Whether a repository of it has answered anything, so that it is not absent.
    pub has_answered: bool,
    /// The first names of its list of tags, where they were looked at.
    pub some_tags: Vec<String>,
}

impl AuthState {
    /// Forgets a password that was lent, so that the next request has another.
    pub fn give_back(&mut self) {
        (self.header, self.found) = (None, None);
    }
}
