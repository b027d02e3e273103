//! Requests and responses as values, and what can be decided from them without a socket.

pub mod fault;
pub mod link;
pub mod message;
pub mod proxy;
pub mod redact;
pub mod redirect;
pub mod refusal;
pub mod retry;
pub mod url;
pub mod warning;
