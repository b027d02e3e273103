//! tagwright promotes container images and reads their labels.
//!
//! One straight line per command: arguments → request → look → plan → act → report → JSON.
//! [`cli`] reads words, [`command`] holds the lines, [`pure`] decides, [`registry`], [`aws`] and [`http`] meet the world.

// Nobody outside sees what is in here but the tests, through a feature; so the compiler finds what is dead.
#[path = ""]
mod house {
    pub mod aws;
    pub mod cli;
    pub mod command;
    pub mod error;
    pub mod http;
    pub mod last_words;
    pub mod output;
    pub mod program;
    pub mod pure;
    pub mod registry;
    pub mod secret;
    pub mod system;
    pub mod threads;
    pub mod world;
}

#[cfg(not(feature = "internals"))]
use house::*;
#[cfg(feature = "internals")]
pub use house::*;
pub use last_words::{at_panic, when_stopped};
pub use output::{Ending, Screen};
pub use system::{HAS_COLOURS, before_end, has_no_reader};
pub use world::{Log, World};

use cli::parse::{self, CommandLine};
use cli::{Arguments, Misuse, RELEASE};
use command::report::Report;
use command::request::{Invocation, Request};
use command::session::Session;
use error::{Code, Error};
use http::Journal;
use output::{Layout, Style, envelope};
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often is looked what a run waits for.
const TICK: Duration = Duration::from_millis(500);

/// The largest request that is read from a file or from standard input.
const REQUEST_LIMIT: u64 = 16 << 20;

/// Runs one command. `screen` is the terminal that stdout leads to, if it does.
pub fn run(words: &[OsString], world: &World, screen: Option<Screen>) -> Ending {
    let layout = match screen {
        _ if parse::asks(words, "text") => Layout::Text(screen.unwrap_or(Screen::NONE)),
        Some(_) if parse::asks(words, "json") => Layout::Indented,
        Some(screen) => Layout::Text(screen),
        None => Layout::Compact,
    };
    match parse::parse(words) {
        // Nothing was asked for, and a script that left its words out is not told that all went well.
        Ok(CommandLine::Help(text)) => {
            Ending { stdout: text.into_bytes(), stderr: String::new(), exit: if words.is_empty() { 2 } else { 0 } }
        }
        Ok(CommandLine::Version) => {
            Ending { stdout: format!("{}\n", program::version()).into_bytes(), stderr: String::new(), exit: 0 }
        }
        Ok(CommandLine::Run(invocation)) => carry_out(world, *invocation, layout),
        Ok(CommandLine::Call { stdin }) => call(world, stdin),
        Ok(CommandLine::Release(mut given)) => match listed(world, &mut given) {
            Ok(invocation) => carry_out(world, invocation, layout),
            Err(error) => misused(words, Misuse { command: Some(RELEASE), error }, layout),
        },
        Err(misuse) => misused(words, misuse, layout),
    }
}

fn misused(words: &[OsString], misuse: Misuse, layout: Layout) -> Ending {
    let print = parse::asks(words, "print").then(String::new).into_iter().collect();
    let bytes = misuse.command == Some("inspect") && ["raw", "config"].iter().any(|part| parse::asks(words, part));
    let style = Style { layout, print, bytes, quiet: false };
    envelope::ending(misuse.command, Err(misuse.error), &Journal::default(), &style)
}

/// A release with the list that it names.
fn listed(world: &World, given: &mut Arguments) -> Result<Invocation, Error> {
    // What is wrong with the flags shows before anything is read.
    cli::common::common(given)?;
    let file = cli::build::list(given)?;
    let place = if file == "-" { "standard input".to_owned() } else { pure::text::quoted(file) };
    let bytes = match file {
        "-" => (world.stdin)(REQUEST_LIMIT),
        file => world.read_regular(std::path::Path::new(file), REQUEST_LIMIT),
    };
    let unreadable = |code, why: String| {
        Error::new(code, format!("the list of promotions in {place} cannot be read"))
            .cause(why)
            .hint("give a file of at most 16 MiB, JSON in UTF-8, or `-` and pipe it in")
    };
    let bytes = bytes.map_err(|why| match why.kind() {
        std::io::ErrorKind::FileTooLarge => unreadable(Code::SizeExceeded, why.to_string()),
        _ => unreadable(Code::RequestInvalid, why.to_string()),
    })?;
    let text = String::from_utf8(bytes).map_err(|why| unreadable(Code::RequestInvalid, why.to_string()))?;
    cli::json::entries(given, &text)?;
    cli::build::invocation(given)
}

/// `call`: the same as the command line, from a JSON request, for programs.
fn call(world: &World, stdin: bool) -> Ending {
    let style = Style { layout: Layout::Ascii, ..Style::default() };
    let ended = |command, error| envelope::ending(command, Err(error), &Journal::default(), &style);
    let text = match request_text(world, stdin) {
        Ok(text) => text,
        Err(error) => return ended(Some("call"), error),
    };
    match cli::json::invocation(&text) {
        Ok((invocation, words)) => {
            if !invocation.common.exchange.quiet {
                world.log(&format!("tagwright {}", pure::text::shell::line(&words)));
            }
            carry_out(world, invocation, Layout::Ascii)
        }
        Err(misuse) => ended(misuse.command.or(Some("call")), misuse.error),
    }
}

fn request_text(world: &World, stdin: bool) -> Result<String, Error> {
    let unreadable = |place: &str, why: String| {
        Error::new(Code::RequestInvalid, format!("the request in {place} cannot be read"))
            .cause(why)
            .hint("write the request there as JSON in UTF-8, or into TAGWRIGHT_REQUEST")
    };
    let (place, bytes) = if stdin {
        let bytes = (world.stdin)(REQUEST_LIMIT).map_err(|error| unreadable("standard input", error.to_string()))?;
        ("standard input".to_owned(), bytes)
    } else {
        let Some(text) = world.env("TAGWRIGHT_REQUEST") else {
            return Err(Error::new(Code::MissingValue, "`call` has no request: TAGWRIGHT_REQUEST is not set")
                .hint(r#"set it to JSON such as {"command":"labels","args":{"image":"acme/app:1"}}, or to `@FILE`, or write `call -`"#));
        };
        match text.strip_prefix('@') {
            None => return Ok(text.to_owned()),
            Some(path) => {
                let read = world.read_regular(std::path::Path::new(path), REQUEST_LIMIT);
                (format!("`{path}`"), read.map_err(|error| unreadable(&format!("`{path}`"), error.to_string()))?)
            }
        }
    };
    String::from_utf8(bytes).map_err(|error| unreadable(&place, error.to_string()))
}

fn carry_out(world: &World, invocation: Invocation, layout: Layout) -> Ending {
    let Invocation { command, mut request, common } = invocation;
    let style =
        Style { layout, quiet: common.exchange.quiet, print: common.print.clone(), bytes: request.prints_bytes() };
    // Which registry a rollback is about stands in its record.
    let read = match &mut request {
        Request::Rollback(rollback) => command::rollback::read(world, rollback),
        _ => Ok(()),
    };
    let session = read
        .and_then(|()| common.username.as_deref().map(|name| command::login::read(world, name)).transpose())
        .and_then(|login| Session::new(world, &common, &request, login));
    match session {
        Err(error) => envelope::ending(Some(command), Err(error), &Journal::default(), &style),
        Ok(session) => {
            let (journal, until) = (&session.exchange.journal, session.exchange.until);
            last_words::note(command, style.clone(), journal.clone(), until);
            let outcome = watched(&session, || dispatch(&session, &request));
            let outcome = outcome.and_then(|report| match journal.budget() {
                // Its result tells that already.
                Some(budget) if command != "rate-limit" => report.and("rateLimit", &budget),
                _ => Ok(report),
            });
            let ending = envelope::ending(Some(command), outcome, journal, &style);
            last_words::over();
            ending
        }
    }
}

/// Does the work of a run, and shows on a terminal what it waits for where that takes long.
fn watched<T>(session: &Session, work: impl FnOnce() -> T) -> T {
    let exchange = &session.exchange;
    let Some(draw) = exchange.world.status.as_ref().filter(|_| !exchange.settings.quiet) else { return work() };
    let drawn = AtomicBool::new(false);
    let wipe = || drawn.swap(false, Ordering::Relaxed).then(|| draw(""));
    let show = || match exchange.journal.waits.line(exchange.world.instant()) {
        Some(line) => {
            drawn.store(true, Ordering::Relaxed);
            draw(&line);
        }
        None => drop(wipe()),
    };
    let done = threads::beside(TICK, show, work);
    wipe();
    done
}

fn dispatch(session: &Session, request: &Request) -> Result<Report, Error> {
    // What is wrong with a credential is what a doctor tells.
    if !matches!(request, Request::Doctor(_)) {
        session.check()?;
    }
    match request {
        Request::Labels(request) => command::labels::run(session, request),
        Request::Inspect(request) => command::inspect::run(session, request),
        Request::FindTag(request) => command::find_tag::run(session, request),
        Request::Tags(request) => command::tags::run(session, request),
        Request::NextVersion(request) => command::next_version::run(session, request),
        Request::Promote(request) => command::promote::run(session, request),
        Request::Release(request) => command::release::run(session, request),
        Request::Rollback(request) => command::rollback::run(session, request),
        Request::History(request) => command::history::run(session, request),
        Request::Board(request) => command::board::run(session, request),
        Request::Diff(request) => command::diff::run(session, request),
        Request::RateLimit(request) => command::rate_limit::run(session, request),
        Request::Auth(request) => command::auth::run(session, request),
        Request::Doctor(request) => command::doctor::run(session, request),
    }
}
