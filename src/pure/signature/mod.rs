//! Who signed an image: keys, what they signed, and what of it counts.
//!
//! [`pem`] and [`public_key`] read keys; [`envelope`], [`bundle`], [`statement`] and [`simple_signing`] are the forms in
//! which signatures lie in a registry; [`requirement`] says which of them count, and [`sign`] makes some. A form is only
//! read here, and whose it is says the key alone: what else stands beside a signature is not believed.

pub mod bundle;
pub mod envelope;
pub mod pem;
pub mod public_key;
pub mod requirement;
pub mod sign;
pub mod simple_signing;
pub mod statement;

pub use bundle::Bundle;
pub use envelope::SignedEnvelope;
pub use public_key::PublicKey;
pub use requirement::{Requirement, SignatureBlob, SignatureForm};
pub use sign::SigningKey;
pub use statement::Statement;
