//! One file per command: its request, its report, and the straight line between them.

pub mod auth;
pub mod find_tag;
pub mod inspect;
pub mod labels;
pub mod next_version;
pub mod promote;
pub mod request;
pub mod tags;
