//! Linux and macOS, and others of their family.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, pipe};
use std::borrow::Cow;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

/// Where systems keep their roots, each in one file; the first that is there counts.
pub const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whether terminals obey escapes that colour a text.
pub const HAS_COLOURS: bool = true;

/// The command that makes a folder and those above it.
pub const MAKE_FOLDER: &str = "mkdir -p";

/// Where programs lie if no `PATH` tells.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What the file of a program may be called after its name; the first that is there counts.
pub const PROGRAM_ENDINGS: &[&str] = &[""];

/// The program that runs a line.
pub const SHELL: &str = "sh";

/// `O_NONBLOCK` where it is known: opening must not wait for whoever never comes.
const NONBLOCK: i32 = if cfg!(target_vendor = "apple") {
    4
} else if cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
    0o4000
} else {
    0
};

/// The name by which a variable of the environment is known.
pub fn variable(name: &str) -> Cow<'_, str> {
    Cow::Borrowed(name)
}

/// Has the shell run a line.
pub fn give_line(shell: &mut Command, line: &str) {
    shell.args(["-c", line]);
}

/// Opens a file without waiting for anybody. A link is followed in any case: [`is_named`] tells.
pub fn open(path: &Path, options: &mut OpenOptions, _follow: bool) -> io::Result<File> {
    options.custom_flags(NONBLOCK).open(path)
}

/// Whether a file that was opened is what its name stands for, and not what a link of that name leads to.
pub fn is_named(path: &Path, opened: &Metadata) -> io::Result<bool> {
    let named = path.symlink_metadata()?;
    Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino()))
}

/// Whether it might never say a word.
pub fn is_pipe(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_socket()
}

/// Whether others than its owner may read a file.
pub fn is_open_to_others(file: &Metadata) -> bool {
    file.mode() & 0o044 != 0
}

/// Whether nobody may make a file in a folder.
pub fn is_closed(folder: &Metadata) -> bool {
    folder.permissions().readonly()
}

/// Waits until the disk has the names of the files in a folder.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    open(folder, OpenOptions::new().read(true), true)?.sync_all()
}

/// Whether a name that was not found will not be found a moment later either.
///
/// Neither glibc nor musl nor macOS says it in a way that a program can read.
pub fn is_lasting(not_found: &io::Error) -> bool {
    let text = not_found.to_string().to_ascii_lowercase();
    ["not known", "does not resolve", "no address", "not provided"].iter().any(|lasting| text.contains(lasting))
}

/// Whether a write failed for want of anybody who reads it.
pub fn has_no_reader(why: &io::Error) -> bool {
    why.kind() == io::ErrorKind::BrokenPipe
}

/// Has something said before a person ends the run, which ends then as it would have without that.
pub fn before_end(say: impl Fn() + Send + Copy + 'static) {
    for signal in [SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal)) {
        let Ok((mut arrival, sender)) = UnixStream::pair() else { return };
        let wait = move || {
            if arrival.read_exact(&mut [0]).is_ok() {
                say();
                let _ = emulate_default_handler(signal);
            }
        };
        // Where nobody waits, the signal is better left to the system.
        if std::thread::Builder::new().spawn(wait).is_ok() {
            let _ = pipe::register(signal, sender);
        }
    }
}

/// Whether whoever began this run has it pass over a signal, as a shell does for what runs in the background. Linux
/// alone tells.
fn is_ignored(signal: i32) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the kernel tells this as a file")]
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_name_that_nobody_knows_is_told_from_one_that_nobody_could_look_up() {
        for (said, expected) in [
            ("failed to lookup address information: Name or service not known", true),
            ("failed to lookup address information: Name does not resolve", true),
            ("failed to lookup address information: nodename nor servname provided, or not known", true),
            ("failed to lookup address information: No address associated with hostname", true),
            ("failed to lookup address information: Temporary failure in name resolution", false),
            ("failed to lookup address information: Try again", false),
        ] {
            assert_eq!(is_lasting(&io::Error::other(said)), expected, "{said}");
        }
    }

    #[test]
    fn a_file_that_a_link_leads_to_is_not_what_the_links_name_stands_for() {
        let (file, folder) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempdir().unwrap());
        let link = folder.path().join("link");
        symlink(file.path(), &link).unwrap();
        let opened = file.as_file().metadata().unwrap();
        assert_eq!([file.path(), &link].map(|path| is_named(path, &opened).unwrap()), [true, false]);
    }

    #[test]
    fn a_folder_that_nobody_may_write_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        for (mode, expected) in [(0o555, true), (0o755, false)] {
            std::fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(is_closed(&folder.path().metadata().unwrap()), expected, "{mode:o}");
        }
    }
}
