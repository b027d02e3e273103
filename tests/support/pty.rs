//! The program on a terminal of a certain width, as a person has it.

use super::cmd::Tagwright;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

/// What a terminal has shown, and how the run has ended.
#[derive(Debug)]
pub struct Shown {
    /// All that was written, lines ending in `\n`.
    pub text: String,
    /// The exit status.
    pub exit: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// A run under way on a terminal.
pub struct Sitting {
    child: Child,
    controller: File,
    bytes: Vec<u8>,
}

impl Tagwright {
    /// Runs it with stdout and stderr on a terminal of so many columns.
    pub fn on_terminal(&self, columns: u16) -> Shown {
        self.sit_down(columns).end()
    }

    /// Starts it with stdout and stderr on a terminal of so many columns.
    pub fn sit_down(&self, columns: u16) -> Sitting {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        tcsetwinsize(&controller, Winsize { ws_row: 25, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = File::from(rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap());
        let child = self.spawn(|| Stdio::from(terminal.try_clone().unwrap()));
        Sitting { child, controller: File::from(controller), bytes: Vec::new() }
    }
}

impl Sitting {
    /// Waits until this has been shown.
    pub fn wait_for(&mut self, text: &str) {
        let mut chunk = [0; 1024];
        while !String::from_utf8_lossy(&self.bytes).contains(text) {
            let shown = || String::from_utf8_lossy(&self.bytes).into_owned();
            let amount = (&self.controller).read(&mut chunk).unwrap_or_default();
            assert!(amount > 0, "`{text}` never came: {}", shown());
            self.bytes.extend_from_slice(&chunk[..amount]);
        }
    }

    /// Sends it a signal, by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// All that is shown until the end.
    pub fn end(mut self) -> Shown {
        // The end of the last writer is an error here.
        let _ = self.controller.read_to_end(&mut self.bytes);
        let status = self.child.wait().unwrap();
        let text = String::from_utf8(self.bytes).unwrap().replace("\r\n", "\n");
        Shown { text, exit: status.code(), signal: status.signal() }
    }
}
