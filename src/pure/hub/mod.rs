//! The web API of Docker Hub: its login and its tag pages, without a socket.

pub mod login;
pub mod page;
