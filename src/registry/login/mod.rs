//! How a registry is answered that asks who one is: challenge, credential, token.

pub mod access;
pub mod client;
pub mod grant;
pub mod keychain;
mod ledger;
mod refused;
mod state;

pub use access::Access;
pub use client::Client;
pub use keychain::{CredentialLookup, Keychain};
