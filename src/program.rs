//! What the program calls itself: for `--version`, for records, and for the servers that it asks.

/// The program's name with its version and the commit it was built from.
pub fn version() -> String {
    let commit = option_env!("TAGWRIGHT_COMMIT").unwrap_or("unknown");
    format!("tagwright {} ({commit})", env!("CARGO_PKG_VERSION"))
}

/// What it says to servers, in `User-Agent`.
pub const USER_AGENT: &str = concat!("tagwright/", env!("CARGO_PKG_VERSION"));
