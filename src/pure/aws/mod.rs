//! Amazon's identity and container registry, as far as it can be decided without a socket.
//!
//! Host names to account and region, configuration files to what they ask for, replies to
//! credentials, requests to signed requests, and refusals to codes and hints.

pub mod answer;
pub mod ecr;
pub mod fault;
pub mod host;
pub mod profile;
pub mod profile_plan;
pub mod sigv4;
pub mod sts;

pub use answer::{AwsCredential, Form};
pub use ecr::{EcrLogin, EcrTag};
pub use fault::AwsFault;
pub use host::{EcrHost, Variant};
pub use profile::{Profiles, Section, SharedFile};
pub use profile_plan::{Base, ProfilePlan};
pub use sts::{AwsIdentity, Role};
