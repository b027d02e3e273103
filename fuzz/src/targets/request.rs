//! What somebody wants: as JSON, and as words.

use super::check::{self, ok, text};
use std::ffi::OsString;
use tagwright::cli::json;
use tagwright::cli::parse::{CommandLine, parse};
use tagwright::pure::text::shell;

/// A request is what its words say.
pub fn json(data: &[u8]) {
    match json::invocation(&text(data)) {
        Err(misuse) => check::error(&misuse.error),
        Ok((invocation, words)) => {
            let line = shell::line(&words);
            assert!(!line.contains(char::is_control), "{line:?}");
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            match parse(&words) {
                Ok(CommandLine::Run(same)) => assert_eq!(format!("{same:?}"), format!("{invocation:?}"), "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}

/// No words are too odd to be told what is wrong with them.
pub fn words(data: &[u8]) {
    let text = text(data);
    let words: Vec<OsString> = text.split(['\0', '\n', ' ']).map(OsString::from).collect();
    match parse(&words) {
        Ok(read) => check::terminal(&format!("{read:?}")),
        Err(misuse) => _ = ok(Err::<(), _>(misuse.error)),
    }
}
