//! What a command needs from the machine it runs on: environment, clock, files, programs, standard input.
//!
//! Handed down, never global, so that a test brings its own. Connections are the business of
//! [`crate::http`].

use crate::pure::text::show;
use crate::system;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, PipeReader, PipeWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{fmt, thread};
use time::OffsetDateTime;

/// Takes one line for people.
pub type Log = Box<dyn Fn(&str) + Send + Sync>;

/// Reads standard input to its end, at most so many bytes.
pub type Stdin = Box<dyn Fn(u64) -> io::Result<Vec<u8>> + Send + Sync>;

/// Waits so long.
pub type Sleep = Box<dyn Fn(Duration) + Send + Sync>;

/// The machine as one command sees it.
pub struct World {
    /// The environment variables.
    pub environment: BTreeMap<String, String>,
    /// Where lines for people go.
    pub log: Log,
    /// Standard input.
    pub stdin: Stdin,
    /// Draws a line in the place of the last one; `None` where nobody watches.
    pub status: Option<Log>,
    /// The variable that holds a private key, which no program gets that is run.
    pub hidden: OnceLock<String>,
    /// How time is passed between two tries.
    pub sleep: Sleep,
    /// When the command began.
    pub started: Instant,
}

/// What a program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// The beginning of what it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// How much of a program's standard error is kept.
const STDERR_KEPT: u64 = 64 * 1024;

impl World {
    /// The real machine. Variables that are not Unicode are left out.
    pub fn real(log: Log, status: Option<Log>) -> Self {
        let variables = std::env::vars_os();
        let known = |name: OsString| Some(system::variable(name.to_str()?).into_owned());
        let environment =
            variables.filter_map(|(name, value)| Some((known(name)?, value.into_string().ok()?))).collect();
        let stdin: Stdin = Box::new(|limit| read_limited(io::stdin().lock(), limit));
        // Lines are partly made of what others say.
        let shown = |log: Log| -> Log { Box::new(move |text| log(&show::line(text))) };
        let (log, status) = (shown(log), status.map(shown));
        let (sleep, hidden): (Sleep, _) = (Box::new(thread::sleep), OnceLock::new());
        Self { environment, log, stdin, status, hidden, sleep, started: instant() }
    }

    /// The value of a variable that is set and not empty.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.environment.get(&*system::variable(name)).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The time of day, UTC.
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    /// A moment to measure from.
    pub fn instant(&self) -> Instant {
        instant()
    }

    /// Waits.
    pub fn sleep(&self, duration: Duration) {
        (self.sleep)(duration);
    }

    /// Hands a line to the person at the other end.
    pub fn log(&self, line: &str) {
        (self.log)(line);
    }

    /// Whether standard input is a terminal.
    pub fn is_typed(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// The user's home.
    pub fn home(&self) -> Option<PathBuf> {
        self.env("HOME").or_else(|| self.env("USERPROFILE")).map(PathBuf::from)
    }

    /// A whole file.
    ///
    /// # Errors
    /// As the system says, and `FileTooLarge` where it holds more than `limit` bytes.
    pub fn read_file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        read_file(path, limit)
    }

    /// Whether others than its owner may read a file, as far as its mode tells.
    pub fn is_open_to_others(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|found| system::is_open_to_others(&found))
    }

    /// A whole file that somebody else may have put there: a regular one, without a link on the way.
    ///
    /// # Errors
    /// As [`World::read_file`], and for anything else.
    pub fn read_regular(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        // What is not there must not be made.
        path.symlink_metadata()?;
        read_limited(open_regular(path, OpenOptions::new().read(true))?, limit)
    }

    /// Adds a line to the end of a file, made if it is not there, and waits until the disk has it.
    ///
    /// # Errors
    /// As the system says.
    pub fn append_line(&self, path: &Path, line: &str) -> io::Result<()> {
        append_line(path, line)
    }

    /// Puts a file with these bytes in the place of another one, as a whole or not at all.
    ///
    /// # Errors
    /// As the system says, and for a link.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        without_links(path)?;
        let draft = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = open(&draft, OpenOptions::new().write(true).create_new(true), false)?;
        let placed = file.write_all(bytes).and_then(|()| std::fs::rename(&draft, path));
        if placed.is_err() {
            let _ = std::fs::remove_file(&draft);
        }
        placed
    }

    /// Makes the folder that a file is to lie in, and those above it.
    ///
    /// # Errors
    /// As the system says.
    pub fn make_folder_of(&self, path: &Path) -> io::Result<()> {
        without_links(folder(path))?;
        std::fs::create_dir_all(folder(path))
    }

    /// Whether a line could be added to a file, as far as that can be told without making it.
    ///
    /// # Errors
    /// As the system would say.
    pub fn may_append(&self, path: &Path) -> io::Result<()> {
        may_append(path)
    }

    /// Runs a program without a shell and waits for it, at most `limit`; its output may be `max` bytes long.
    ///
    /// The program is found in the `PATH` of this world and sees the environment of this world without what is secret
    /// and not its own; AWS' variables are there for `aws` alone.
    ///
    /// # Errors
    /// As the system says; `TimedOut` when it was ended at the limit, `FileTooLarge` when it wrote too much.
    pub fn run(
        &self,
        program: &str,
        args: &[&str],
        stdin: &[u8],
        limit: Duration,
        max: u64,
        aws: bool,
    ) -> io::Result<Ran> {
        let mut command = self.command(program)?;
        command.args(args);
        self.finish(command, stdin, limit, max, aws)
    }

    /// Has the system's shell run a line, with AWS' variables, and waits for it as [`World::run`] does.
    ///
    /// # Errors
    /// As [`World::run`].
    pub fn run_line(&self, line: &str, limit: Duration, max: u64) -> io::Result<Ran> {
        let mut shell = self.command(system::SHELL)?;
        system::give_line(&mut shell, line);
        self.finish(shell, b"", limit, max, true)
    }

    fn command(&self, program: &str) -> io::Result<Command> {
        let path = self.find(program)?;
        #[expect(clippy::disallowed_methods, reason = "this is where programs are run")]
        Ok(Command::new(path))
    }

    fn finish(&self, mut command: Command, stdin: &[u8], limit: Duration, max: u64, aws: bool) -> io::Result<Ran> {
        let is_hidden = |name: &str| self.hidden.get().is_some_and(|hidden| system::variable(hidden) == name);
        let is_theirs = |name: &str| !is_own(name) && !is_hidden(name);
        let theirs = self.environment.iter().filter(|(name, _)| is_theirs(name) && (aws || !name.starts_with("AWS_")));
        command.env_clear().envs(theirs).env("PATH", std::env::join_paths(self.folders()).unwrap_or_default());
        let pipes = Pipes { stdout: io::pipe()?, stderr: io::pipe()? };
        command.stdin(Stdio::piped()).stdout(pipes.stdout.1.try_clone()?).stderr(pipes.stderr.1.try_clone()?);
        let mut child = command.spawn()?;
        // The command holds the ends that it has given to the child.
        drop(command);
        let ran = attend(&mut child, pipes, stdin.to_vec(), instant() + limit, max);
        if ran.is_err() {
            // Without a wait it would stay as a zombie as long as this program lives.
            let _ = child.kill();
            let _ = child.wait();
        }
        ran
    }

    /// Where a program lies. The system's own search would use the `PATH` of this process.
    fn find(&self, program: &str) -> io::Result<PathBuf> {
        if program.contains(std::path::is_separator) {
            return Ok(PathBuf::from(program));
        }
        let names =
            |folder: PathBuf| system::PROGRAM_ENDINGS.iter().map(move |end| folder.join(format!("{program}{end}")));
        let found = self.folders().flat_map(names).find(|path| path.is_file());
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such program in PATH"))
    }

    /// The folders of the `PATH`; what is relative to the working directory is whoever's who fills that.
    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        std::env::split_paths(self.env("PATH").unwrap_or(system::PATH)).filter(|folder| folder.is_absolute())
    }
}

/// Whether a variable is for this program alone.
fn is_own(name: &str) -> bool {
    matches!(name, "DOCKER_AUTH_CONFIG" | "REGISTRY_USERNAME" | "REGISTRY_PASSWORD" | "REGISTRY_HOST")
        || name.starts_with("INTO_")
        || name.starts_with("TAGWRIGHT_")
}

impl fmt::Debug for World {
    /// Says nothing of the environment, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let new = !path.exists();
    let mut file = open_regular(path, OpenOptions::new().read(true).append(true))?;
    let length = file.metadata()?.len();
    // A line that was cut off must not swallow this one.
    let torn = length > 0 && !ends_a_line(&mut file);
    let text = format!("{}{line}\n", if torn { "\n" } else { "" });
    // In one piece, so that lines of several programs do not mix.
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // A new file is there after a loss of power only if its folder has been written too.
    if new { system::sync_folder(folder(path)) } else { Ok(()) }
}

fn ends_a_line(file: &mut (impl Read + Seek)) -> bool {
    let mut last = [0];
    file.seek(SeekFrom::End(-1)).is_ok() && file.read_exact(&mut last).is_ok() && last == *b"\n"
}

fn may_append(path: &Path) -> io::Result<()> {
    let folder = folder(path);
    if path.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else if path.symlink_metadata().is_ok() {
        open_regular(path, OpenOptions::new().append(true)).map(drop)
    } else if !folder.exists() {
        Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no folder `{}`", folder.display())))
    } else if !folder.is_dir() {
        Err(io::Error::new(io::ErrorKind::NotADirectory, format!("`{}` is no folder", folder.display())))
    } else if system::is_closed(&folder.metadata()?) {
        Err(io::ErrorKind::PermissionDenied.into())
    } else {
        without_links(path)
    }
}

/// Opens what is no pipe, which might never say a word.
fn open(path: &Path, options: &mut OpenOptions, follow: bool) -> io::Result<File> {
    let pipe = || io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe, and not a file");
    if path.metadata().is_ok_and(|found| system::is_pipe(found.file_type())) {
        return Err(pipe());
    }
    let file = system::open(path, options, follow)?;
    if system::is_pipe(file.metadata()?.file_type()) { Err(pipe()) } else { Ok(file) }
}

/// Opens a regular file that no link leads to; made where that is meant and it is not there.
fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    without_links(path)?;
    let file = open_or_make(path, options, path.symlink_metadata().is_ok())?;
    let opened = file.metadata()?;
    if !opened.is_file() || !system::is_named(path, &opened)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Opens a file that was there, and makes one that was not. A link that has come up meanwhile is not followed.
fn open_or_make(path: &Path, options: &mut OpenOptions, was_there: bool) -> io::Result<File> {
    match open(path, options.clone().create_new(!was_there), false) {
        // Somebody else has made it first.
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => open(path, options, false),
        made => made,
    }
}

/// Refuses a file that a link leads to: by its own name, or below the working directory.
fn without_links(path: &Path) -> io::Result<()> {
    let home = std::env::current_dir().unwrap_or_default();
    let below = |part: &&Path| part.is_relative() || part.starts_with(&home) && **part != home;
    let parts = path.ancestors().filter(|part| !part.as_os_str().is_empty());
    let links = parts.filter(|part| *part == path || below(part)).filter(|part| part.is_symlink());
    match links.last() {
        Some(link) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is a link", link.display()))),
        None => Ok(()),
    }
}

/// The folder that a file lies in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The one place that looks at the clock for measuring.
#[expect(clippy::disallowed_methods, reason = "this is where moments come from")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// A whole file, for those who read one long after they were given the world.
pub(crate) fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_limited(open(path, OpenOptions::new().read(true), true)?, limit)
}

fn read_limited(mut from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.by_ref().take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

/// Feeds and hears a program from threads of their own, because any of the three pipes may block.
///
/// It has answered when it ends, whoever else holds its pipes then: what comes after `mark`, written into both pipes at
/// that moment, is not its. The threads are not waited for.
fn attend(child: &mut Child, pipes: Pipes, stdin: Vec<u8>, until: Instant, max: u64) -> io::Result<Ran> {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos();
    let mark = format!("\0the end of {} at {now}\0", child.id()).into_bytes();
    if let Some(mut pipe) = child.stdin.take() {
        thread::Builder::new().spawn(move || {
            // A program that does not read its input is free to do so.
            let _ = pipe.write_all(&stdin);
        })?;
    }
    let stdout = hear(pipes.stdout.0, mark.clone(), max)?;
    let stderr = hear(pipes.stderr.0, mark.clone(), STDERR_KEPT)?;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if instant() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    for mut pipe in [pipes.stdout.1, pipes.stderr.1] {
        pipe.write_all(&mark)?;
    }
    let stdout = expect(&stdout, until)?;
    if stdout.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {max} bytes of output")));
    }
    let mut stderr = expect(&stderr, until)?;
    stderr.truncate(usize::try_from(STDERR_KEPT).unwrap_or(usize::MAX));
    Ok(Ran { status: status.code(), stdout, stderr })
}

/// The two pipes that a program writes to, each as its two ends.
struct Pipes {
    stdout: (PipeReader, PipeWriter),
    stderr: (PipeReader, PipeWriter),
}

/// Reads a pipe up to a mark and keeps one byte more than `max` at most.
fn hear(mut pipe: PipeReader, mark: Vec<u8>, max: u64) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = channel();
    let most = usize::try_from(max.saturating_add(1)).unwrap_or(usize::MAX);
    let mut read = move || {
        let (mut bytes, mut unsure, mut chunk) = (Vec::new(), Vec::new(), [0; 8 * 1024]);
        loop {
            let amount = pipe.read(&mut chunk)?;
            unsure.extend_from_slice(&chunk[..amount]);
            let end = unsure.windows(mark.len()).position(|part| part == mark);
            // A mark may come in two pieces.
            let sure = end.unwrap_or(unsure.len().saturating_sub(mark.len() - 1));
            bytes.extend(unsure.drain(..sure).take(most - bytes.len()));
            if end.is_some() || amount == 0 {
                return Ok(bytes);
            }
        }
    };
    thread::Builder::new().spawn(move || drop(sender.send(read())))?;
    Ok(receiver)
}

fn expect(from: &Receiver<io::Result<Vec<u8>>>, until: Instant) -> io::Result<Vec<u8>> {
    match from.recv_timeout(until.saturating_duration_since(instant())) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(environment: &[(&str, &str)]) -> World {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        World {
            environment,
            log: Box::new(|_| ()),
            stdin: Box::new(|_| Ok(Vec::new())),
            status: None,
            hidden: Default::default(),
            sleep: Box::new(thread::sleep),
            started: instant(),
        }
    }

    fn sh(script: &str, stdin: &[u8], limit: Duration, max: u64) -> io::Result<Ran> {
        world(&[("PATH", "/usr/bin:/bin"), ("NAME", "value")]).run("sh", &["-c", script], stdin, limit, max, false)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn an_empty_variable_is_not_set() {
        let world = world(&[("EMPTY", ""), ("HOME", "/home/me")]);
        assert_eq!((world.env("EMPTY"), world.env("NONE")), (None, None));
        assert_eq!(world.home(), Some(PathBuf::from("/home/me")));
        assert_eq!(format!("{world:?}"), "World { .. }");
    }

    #[test]
    fn a_program_gets_input_and_environment_and_its_output_comes_back() {
        let ran = sh("cat; echo $NAME; echo oops >&2; exit 3", b"hello ", LONG, 100).unwrap();
        assert_eq!(ran, Ran { status: Some(3), stdout: b"hello value\n".to_vec(), stderr: b"oops\n".to_vec() });
    }

    #[test]
    fn a_program_sees_no_secret_that_is_not_its_own_and_no_folder_that_is_relative() {
        let all = [
            ("PATH", ":.:bin:/usr/bin::/bin:"),
            ("HOME", "/home/me"),
            ("DOCKER_CONFIG", "/docker"),
            ("REGISTRY_AUTH_FILE", "/auth.json"),
            ("AWS_SECRET_ACCESS_KEY", "marked"),
            ("AWS_PROFILE", "ci"),
            ("DOCKER_AUTH_CONFIG", "marked"),
            ("REGISTRY_USERNAME", "marked"),
            ("REGISTRY_PASSWORD", "marked"),
            ("REGISTRY_HOST", "marked"),
            ("INTO_REGISTRY_PASSWORD", "marked"),
            ("INTO_2_AWS_SECRET_ACCESS_KEY", "marked"),
            ("TAGWRIGHT_REQUEST", "marked"),
        ];
        let all = world(&all);
        for (aws, expected) in [
            (false, "DOCKER_CONFIG=/docker HOME=/home/me PATH=/usr/bin:/bin REGISTRY_AUTH_FILE=/auth.json"),
            (
                true,
                "AWS_PROFILE=ci AWS_SECRET_ACCESS_KEY=marked DOCKER_CONFIG=/docker HOME=/home/me PATH=/usr/bin:/bin \
                 REGISTRY_AUTH_FILE=/auth.json",
            ),
        ] {
            let ran = all.run("env", &[], b"", LONG, 10_000, aws).unwrap();
            let mut lines: Vec<_> = std::str::from_utf8(&ran.stdout).unwrap().lines().collect();
            lines.sort_unstable();
            assert_eq!(lines.join(" "), expected);
        }
        let lost = world(&[("PATH", ":target:.")]).run("Cargo.toml", &[], b"", LONG, 1, false);
        assert_eq!(lost.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_program_that_leaves_a_child_behind_has_answered_when_it_ends() {
        let ran = sh("echo said; sleep 60 & exit 0", b"", LONG, 1000).unwrap();
        assert_eq!(ran, Ran { status: Some(0), stdout: b"said\n".to_vec(), stderr: Vec::new() });
        // What the child says meanwhile is somebody's, and does no harm.
        let ran = sh("yes & echo kill $! >&2; exit 3", b"", LONG, u64::MAX).unwrap();
        assert_eq!(ran.status, Some(3));
        let kill = String::from_utf8(ran.stderr).unwrap();
        sh(&kill, b"", LONG, 1000).unwrap();
    }

    #[test]
    fn a_program_is_ended_at_the_limit_and_its_children_are_not_waited_for() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let sleeper = format!("sh -c 'echo $PPID' >'{}'; exec sleep 600", file.path().display());
        for (script, is_child) in [(sleeper.clone(), false), (format!("({sleeper}); exit 0"), true)] {
            let error = sh(&script, b"", Duration::from_secs(2), 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{script}");
            // What is still there can be ended.
            let kill = format!("kill \"$(cat '{}')\"", file.path().display());
            assert_eq!(sh(&kill, b"", LONG, 100).unwrap().status == Some(0), is_child, "{script}");
        }
    }

    #[test]
    fn endless_output_and_unread_input_do_no_harm() {
        let error = sh("head -c 1000 /dev/zero", b"", LONG, 999).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let ran = sh("head -c 1000 /dev/zero; head -c 9999999 /dev/zero >&2", &vec![7; 1 << 20], LONG, 1000).unwrap();
        assert_eq!((ran.stdout.len(), ran.stderr.len() as u64), (1000, STDERR_KEPT));
        let error = sh("exec cat /dev/zero", b"", Duration::from_millis(200), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn of_output_that_is_too_long_no_more_is_kept_than_shows_it() {
        let (pipe, mut program) = io::pipe().unwrap();
        let heard = hear(pipe, b"the end".to_vec(), 10).unwrap();
        program.write_all(&[7; 100_000]).unwrap();
        program.write_all(b"the end").unwrap();
        assert_eq!(expect(&heard, instant() + LONG).unwrap(), [7; 11]);
    }

    #[test]
    fn a_missing_program_or_file_says_so() {
        let world = world(&[]);
        let error = world.run("no-such-program-here", &[], b"", LONG, 1, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = world.read_file(Path::new("/no/such/file"), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = world.read_file(Path::new("/proc/self/status"), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn lines_are_added_whole_whatever_the_file_ends_with() {
        let (world, folder) = (world(&[]), tempfile::tempdir().unwrap());
        let path = folder.path().join("lines");
        world.append_line(&path, "one").unwrap();
        world.append_line(&path, "two").unwrap();
        // A limit that a file just keeps is none.
        let read = |limit| String::from_utf8(read_file(&path, limit).unwrap()).unwrap();
        assert_eq!(read(8), "one\ntwo\n");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"cut o").unwrap();
        world.append_line(&path, "three").unwrap();
        assert_eq!(read(20), "one\ntwo\ncut o\nthree\n");
    }

    #[test]
    fn a_line_is_added_to_a_file_that_somebody_else_has_just_made() {
        let (world, folder) = (world(&[]), tempfile::tempdir().unwrap());
        for round in 0..50 {
            let (path, together) = (folder.path().join(round.to_string()), std::sync::Barrier::new(8));
            let add = || {
                together.wait();
                world.append_line(&path, "line").unwrap();
            };
            thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(add))));
            assert_eq!(read_file(&path, 100).unwrap(), b"line\n".repeat(8));
            assert!(open_or_make(&path, OpenOptions::new().append(true), false).is_ok());
        }
    }

    #[test]
    fn a_file_that_cannot_be_added_to_is_known_beforehand() {
        let (world, folder) = (world(&[]), tempfile::tempdir().unwrap());
        let kind = |name: &str| world.may_append(&folder.path().join(name)).map_err(|error| error.kind());
        world.append_line(&folder.path().join("file"), "").unwrap();
        assert_eq!((kind("file"), kind("new")), (Ok(()), Ok(())));
        assert_eq!(kind(""), Err(io::ErrorKind::IsADirectory));
        assert_eq!(kind("none/new"), Err(io::ErrorKind::NotFound));
        assert_eq!(kind("file/new"), Err(io::ErrorKind::NotADirectory));
        assert!(world.append_line(&folder.path().join("none/new"), "x").is_err());
        // What cannot be made is told by what the system says to that.
        let error = world.append_line(&folder.path().join("new/"), "x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert!(world.may_append(Path::new("name-without-folder")).is_ok());
    }
}
