//! One file per command: its request, its report, and the straight line between them.

pub mod auth;
pub mod find_tag;
pub mod heads;
pub mod history;
pub mod inspect;
pub mod labels;
pub mod listing;
pub mod next_version;
pub mod platforms;
pub mod promote;
pub mod request;
pub mod rollback;
pub mod session;
pub mod side_by_side;
pub mod tags;
