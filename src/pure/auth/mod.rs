//! How a registry asks who is there, and what is answered, without a socket.

pub mod challenge;
pub mod credential;
pub mod docker_config;
pub mod flow;
pub mod lookup;
pub mod scope;
pub mod token;
