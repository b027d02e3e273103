//! The program on a terminal of a certain width, as a person has it.

use super::cmd::Tagwright;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::Read;
use std::process::Stdio;

/// What a terminal has shown, and how the run has ended.
#[derive(Debug)]
pub struct Shown {
    /// All that was written, lines ending in `\n`.
    pub text: String,
    /// The exit status.
    pub exit: Option<i32>,
}

impl Tagwright {
    /// Runs it with stdout and stderr on a terminal of so many columns.
    pub fn on_terminal(&self, columns: u16) -> Shown {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        tcsetwinsize(&controller, Winsize { ws_row: 25, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = File::from(rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap());
        let mut child = self.spawn(|| Stdio::from(terminal.try_clone().unwrap()));
        drop(terminal);
        let (mut bytes, mut controller) = (Vec::new(), File::from(controller));
        // The end of the last writer is an error here.
        let _ = controller.read_to_end(&mut bytes);
        let status = child.wait().unwrap();
        Shown { text: String::from_utf8(bytes).unwrap().replace("\r\n", "\n"), exit: status.code() }
    }
}
