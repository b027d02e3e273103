//! How a registry asks who is there, and what is answered, without a socket.

pub mod challenge;
pub mod credential;
pub mod docker_config;
pub mod flow;
pub mod lookup;
pub mod scope;
pub mod token;

pub use challenge::{AuthScheme, Challenge};
pub use credential::{Credential, CredentialReach, CredentialSource};
pub use docker_config::{DockerConfig, Lookup};
pub use flow::{Authorization, TokenRequest};
pub use lookup::LookupStep;
pub use scope::{Scope, ScopeSet};
pub use token::Token;
