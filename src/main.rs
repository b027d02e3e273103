//! The program: words and environment in, bytes and an exit status out. The only file that prints.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use tagwright::io::world::World;

fn main() -> ExitCode {
    let world = World::real(Box::new(|line| {
        // A log that cannot be written must not stop the work.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }));
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let ending = tagwright::run(&words, &world, std::io::stdout().is_terminal());
    let printed = std::io::stdout().lock().write_all(ending.stdout.as_bytes());
    let _ = std::io::stderr().lock().write_all(ending.stderr.as_bytes());
    match printed {
        Ok(()) => ExitCode::from(ending.exit),
        // Whoever reads the output has gone; the work is done, its report is lost.
        Err(_) => ExitCode::from(70),
    }
}
