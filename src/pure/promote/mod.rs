//! What a promotion would change, whether it may, and what was done, without a socket.

pub mod copy;
pub mod facts;
pub mod history;
pub mod plan;
pub mod race;
pub mod record;
pub mod recorded;
pub mod rollback_plan;
pub mod tag_write;
pub mod template;
pub mod upload;
