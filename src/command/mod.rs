//! One file per command: its request, its report, and the straight line between them.

pub mod auth;
pub mod board;
pub mod caller;
pub mod diff;
pub mod doctor;
pub mod find_tag;
pub mod history;
pub mod inspect;
pub mod keys;
pub mod labels;
pub mod login;
pub mod next_version;
pub mod platforms;
pub mod progress;
pub mod promote;
pub mod rate_limit;
pub mod referrers;
pub mod release;
pub mod report;
pub mod request;
pub mod rollback;
pub mod session;
pub mod tags;
pub mod wait;
