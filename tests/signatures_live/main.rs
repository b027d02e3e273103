//! cosign, in its two newest major versions, as the second opinion on signatures, with real registries between.
//!
//! Runs by name only, `make signatures-live`; a server or tool that is missing fails the tests. Nothing is asked of the
//! internet: no signature has an entry in a transparency log, and no root of trust is needed.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests meet the world")]

mod cosign;
mod required;
mod signed_records;
#[path = "../support/mod.rs"]
mod support;
