//! The program: words and environment in, bytes and an exit status out. The only file that prints.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use tagwright::{Ending, Log, Screen, World};

/// How long the line is that is drawn over, in characters.
static DRAWN: Mutex<usize> = Mutex::new(0);

fn main() -> ExitCode {
    tagwright::at_panic(|ending| {
        let _ = print(ending);
        #[expect(clippy::disallowed_methods, reason = "a panic does not come back here")]
        std::process::exit(i32::from(ending.exit));
    });
    let log: Log = Box::new(|line| write(line, true));
    let draw: Log = Box::new(|line| write(line, false));
    let world = World::real(log, std::io::stderr().is_terminal().then_some(draw));
    if std::io::stderr().is_terminal() {
        tagwright::before_end(|| write(&tagwright::when_stopped().unwrap_or_default(), true));
    }
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let ending = tagwright::run(&words, &world, screen(&world));
    match print(&ending) {
        Ok(()) => ExitCode::from(ending.exit),
        // Whoever reads the output has had enough, as with a program that the signal ends.
        Err(why) if tagwright::has_no_reader(&why) => ExitCode::from(128 + SIGPIPE),
        Err(why) => {
            // By the log, for stderr may be a terminal, and values are printed raw.
            let lost = String::from_utf8_lossy(&ending.stdout);
            world.log(&format!("error: stdout could not be written: {why}; it was to hold: {}", lost.trim_end()));
            ExitCode::from(70)
        }
    }
}

/// The number of the signal that a closed pipe sends.
const SIGPIPE: u8 = 13;

/// The terminal that stdout leads to.
fn screen(world: &World) -> Option<Screen> {
    let stdout = std::io::stdout();
    let columns = terminal_size::terminal_size_of(&stdout).map_or(80, |(width, _)| usize::from(width.0));
    let plain = world.env("NO_COLOR").is_some_and(|text| !text.is_empty()) || world.env("TERM") == Some("dumb");
    // Errors are coloured too, and they go to stderr.
    let colour = tagwright::HAS_COLOURS && !plain && std::io::stderr().is_terminal();
    stdout.is_terminal().then_some(Screen { columns: columns.max(20), colour })
}

fn print(ending: &Ending) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let printed = stdout.write_all(&ending.stdout).and_then(|()| stdout.flush());
    if !printed.as_ref().is_err_and(tagwright::has_no_reader) {
        let _ = std::io::stderr().lock().write_all(ending.stderr.as_bytes());
    }
    printed
}

/// Writes a line that stays, or draws one that the next line takes the place of; an empty one wipes it away.
fn write(line: &str, stays: bool) {
    // A line that is wider than the terminal could not be wiped away.
    let width = || terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| usize::from(width.0));
    let most = if stays { usize::MAX } else { width().saturating_sub(1) };
    let cut = |line: &str| line.chars().take(most.saturating_sub(1)).chain(['…']).collect();
    let line: String = if line.chars().count() > most { cut(line) } else { line.to_owned() };
    let mut drawn = DRAWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let wipe = if *drawn == 0 { String::new() } else { format!("\r{}\r", " ".repeat(*drawn)) };
    *drawn = if stays { 0 } else { line.chars().count() };
    let end = if stays { "\n" } else { "" };
    // A log that cannot be written must not stop the work.
    let _ = std::io::stderr().lock().write_all(format!("{wipe}{line}{end}").as_bytes());
}
