//! Who one is to AWS: credentials from their places, and calls that are signed with them.

pub mod call;
pub mod chain;
pub mod identity;
pub mod sources;
