//! Who one is to AWS: credentials from their places, and calls that are signed with them.

pub mod call;
pub mod chain;
pub mod identity;
pub mod sources;

pub use call::{AwsAnswer, Caller, ClockSkew, Signer};
pub use chain::{AwsLookup, Chain, ChainSettings};
pub use identity::{Aws, AwsAccess, AwsSettings};
pub use sources::MetadataAddress;
