//! Windows.

use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::borrow::Cow;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The system keeps its roots where only its own library reads them.
pub const BUNDLES: &[&str] = &[];

/// Whether terminals obey escapes that colour a text. A console has to be asked for it, which std does not do.
pub const HAS_COLOURS: bool = false;

/// The command that makes a folder and those above it.
pub const MAKE_FOLDER: &str = "mkdir";

/// Where programs lie if no `PATH` tells.
pub const PATH: &str = r"C:\Windows\System32";

/// What the file of a program may be called after its name; the first that is there counts. Of a name that has its
/// ending already, and of scripts that are there for other systems, the last one is.
pub const PROGRAM_ENDINGS: &[&str] = &[".exe", ".cmd", ".bat", ""];

/// The program that runs a line.
pub const SHELL: &str = "cmd";

/// `FILE_FLAG_OPEN_REPARSE_POINT`: a link itself, in place of what it leads to.
const LINK_ITSELF: u32 = 0x0020_0000;

/// How a run ends that is ended at the keyboard: `STATUS_CONTROL_C_EXIT`.
const CONTROL_C_EXIT: u32 = 0xC000_013A;

/// `ERROR_PIPE_NOT_CONNECTED`: whoever opened a pipe with a name has closed it, as programs give their children.
const PIPE_NOT_CONNECTED: i32 = 233;

/// How often is looked whether somebody has ended the run.
const TICK: Duration = Duration::from_millis(50);

/// The name by which a variable of the environment is known; case does not tell one from another, and who somebody is
/// has another name.
pub fn variable(name: &str) -> Cow<'_, str> {
    let name = name.to_uppercase();
    Cow::Owned(if name == "USER" { "USERNAME".to_owned() } else { name })
}

/// Has the shell run a line, which it takes apart by rules of its own: what stands between the outer quotes is the line.
pub fn give_line(shell: &mut Command, line: &str) {
    shell.raw_arg(format!("/d /s /c \"{line}\""));
}

/// Opens a file, or the link itself where none is to be followed.
pub fn open(path: &Path, options: &mut OpenOptions, follow: bool) -> io::Result<File> {
    options.custom_flags(if follow { 0 } else { LINK_ITSELF }).open(path)
}

/// Whether a file that was opened without following a link is what its name stands for.
pub fn is_named(_: &Path, opened: &Metadata) -> io::Result<bool> {
    Ok(!opened.is_symlink())
}

/// Whether it might never say a word: a device or a pipe has no kind, and is refused for that.
pub fn is_pipe(_: FileType) -> bool {
    false
}

/// Whether others than its owner may read a file; who may stands in a list that std does not read.
pub fn is_open_to_others(_: &Metadata) -> bool {
    false
}

/// Whether nobody may make a file in a folder; the mark for reading only says nothing about that here.
pub fn is_closed(_: &Metadata) -> bool {
    false
}

/// The file system keeps a journal of the names in a folder by itself.
pub fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether a name that was not found will not be found a moment later either: `WSAHOST_NOT_FOUND`, `WSANO_DATA`.
pub fn is_lasting(not_found: &io::Error) -> bool {
    matches!(not_found.raw_os_error(), Some(11001 | 11004))
}

/// Whether a write failed for want of anybody who reads it.
pub fn has_no_reader(why: &io::Error) -> bool {
    why.kind() == io::ErrorKind::BrokenPipe || why.raw_os_error() == Some(PIPE_NOT_CONNECTED)
}

/// Has something said before a person ends the run, which ends then as it would have without that.
pub fn before_end(say: impl Fn() + Send + Copy + 'static) {
    let ended = Arc::new(AtomicBool::new(false));
    let seen = ended.clone();
    let wait = move || {
        while !seen.load(Ordering::Relaxed) {
            thread::sleep(TICK);
        }
        say();
        #[expect(clippy::disallowed_methods, reason = "the run was ended")]
        std::process::exit(CONTROL_C_EXIT.cast_signed());
    };
    // Where nobody waits, it is better left to the system.
    if thread::Builder::new().spawn(wait).is_ok() {
        let _ = flag::register(SIGINT, ended);
    }
}
