//! What a caller owns and shows to a registry or its token server.
//!
//! Where it was found is the keychain's business; how it is shown is decided in [`crate::pure::auth::flow`].

use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A place where a credential may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`.
    Env,
    /// Docker's or podman's file, with its helpers.
    DockerConfig,
    /// Everything that AWS tools look at; for registries of Amazon.
    Aws,
    /// None at all.
    Anonymous,
}

/// Which registries the environment's credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialReach {
    /// The one that the command is about.
    Command,
    /// The one that its own variable names, because nobody else who may choose has named one.
    Pinned,
    /// The one that its own variable names, among several that the command is about.
    OneOfSeveral,
}

/// A credential for one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// None.
    Anonymous,
    /// User name and password, or an access token in the password's place.
    Password {
        /// Who.
        username: String,
        /// With what.
        password: Secret,
    },
    /// A refresh token that a token server once lent; it is sent to the realm alone.
    IdentityToken {
        /// Whose, where it is known.
        username: Option<String>,
        /// The token.
        token: Secret,
        /// The password that stands beside it, for servers that take no identity token.
        password: Option<Secret>,
    },
    /// A token that goes to the registry as it is.
    RegistryToken(Secret),
}

impl Credential {
    /// Everything in it that must not be shown, in every form it is sent in.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets = match self {
            Credential::Anonymous => Vec::new(),
            Credential::Password { password, .. } => vec![password.clone()],
            Credential::IdentityToken { token, password, .. } => {
                [token.clone()].into_iter().chain(password.clone()).collect()
            }
            Credential::RegistryToken(token) => vec![token.clone()],
        };
        secrets.extend(self.basic_header().map(|header| Secret::new(header.reveal().trim_start_matches("Basic "))));
        secrets
    }

    /// The value of an `Authorization` header, for user name and password.
    pub fn basic_header(&self) -> Option<Secret> {
        match self {
            Credential::Password { username, password }
            | Credential::IdentityToken { username: Some(username), password: Some(password), .. } => {
                Some(Secret::new(format!("Basic {}", pair(username, password).reveal())))
            }
            _ => None,
        }
    }

    /// Who it belongs to, where that is known.
    pub fn identity(&self) -> Option<&str> {
        match self {
            Credential::Password { username, .. } => Some(username),
            Credential::IdentityToken { username, .. } => username.as_deref(),
            Credential::Anonymous | Credential::RegistryToken(_) => None,
        }
    }

    /// Whether there is none.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Credential::Anonymous)
    }

    /// What kind it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Credential::Anonymous => "no credential",
            Credential::Password { .. } => "user name and password",
            Credential::IdentityToken { .. } => "an identity token",
            Credential::RegistryToken(_) => "a registry token",
        }
    }
}

/// User name and password as Basic authentication sends them, RFC 7617.
pub(super) fn pair(username: &str, password: &Secret) -> Secret {
    Secret::new(STANDARD.encode(format!("{username}:{}", password.reveal())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_password_makes_a_basic_header() {
        let (username, token) = (Some("Aladdin".to_owned()), Secret::new("t"));
        let beside = Credential::IdentityToken { username, token, password: Some(Secret::new("open sesame")) };
        assert_eq!(beside.basic_header().unwrap().reveal(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let password = Credential::Password { username: "Aladdin".to_owned(), password: Secret::new("open sesame") };
        assert_eq!(password.basic_header().unwrap().reveal(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        for other in [
            Credential::Anonymous,
            Credential::IdentityToken { username: Some("a".to_owned()), token: Secret::new("t"), password: None },
            Credential::RegistryToken(Secret::new("t")),
        ] {
            assert_eq!(other.basic_header(), None);
        }
    }

    #[test]
    fn each_kind_tells_whose_it_is_what_it_is_and_what_must_not_be_shown() {
        let (username, token) = (Some("mo".to_owned()), Secret::new("t"));
        let bare = Credential::IdentityToken { username: None, token: token.clone(), password: None };
        let beside = Credential::IdentityToken { username, token: token.clone(), password: Some(Secret::new("p")) };
        let password = Credential::Password { username: "mo".to_owned(), password: Secret::new("p") };
        for (credential, identity, kind, secrets) in [
            (Credential::Anonymous, None, "no credential", &[][..]),
            (password, Some("mo"), "user name and password", &["p", "bW86cA=="]),
            (bare, None, "an identity token", &["t"]),
            (beside, Some("mo"), "an identity token", &["t", "p", "bW86cA=="]),
            (Credential::RegistryToken(token), None, "a registry token", &["t"]),
        ] {
            assert_eq!((credential.identity(), credential.kind()), (identity, kind));
            assert_eq!(credential.is_anonymous(), secrets.is_empty(), "{kind}");
            assert_eq!(credential.secrets().iter().map(Secret::reveal).collect::<Vec<_>>(), secrets, "{kind}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = Credential::IdentityToken { username: None, token: Secret::new("hunter2"), password: None };
        let password = Credential::Password { username: "u".to_owned(), password: Secret::new("hunter2") };
        assert!(
            !format!("{token:?}{password:?}{:?}", Credential::RegistryToken(Secret::new("hunter2")))
                .contains("hunter2")
        );
    }
}
