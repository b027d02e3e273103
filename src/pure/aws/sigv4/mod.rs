//! Signature version 4, in the three steps of the standard: the request in its canonical form, the
//! string to sign, and the signature.

pub mod canonical_request;
pub mod signature;
pub mod string_to_sign;

pub use string_to_sign::SignatureScope;
