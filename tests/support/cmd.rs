//! The real program as a child process in an empty environment: what it printed, how it ended, how long it took.

use serde_json::Value;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// One run of the program, to be described and started.
#[derive(Clone, Debug)]
pub struct Tagwright {
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    stdin: Option<Vec<u8>>,
    typed: bool,
    ignored: Option<&'static str>,
    folder: Option<PathBuf>,
    limit: Duration,
}

/// The program with these words.
pub fn tagwright<const N: usize>(args: [&str; N]) -> Tagwright {
    Tagwright {
        args: args.iter().map(OsString::from).collect(),
        env: Vec::new(),
        stdin: None,
        typed: false,
        ignored: None,
        folder: None,
        limit: Duration::from_secs(60),
    }
}

/// Where the program under test lies; `TAGWRIGHT_TEST_PROGRAM` names another one than was built beside the tests.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TAGWRIGHT_TEST_PROGRAM") {
        return PathBuf::from(path);
    }
    match option_env!("CARGO_BIN_EXE_tagwright") {
        Some(path) => PathBuf::from(path),
        // An example lies in a folder beside the programs.
        None => std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("tagwright"),
    }
}

impl Tagwright {
    /// Adds a word.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds words.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The same run with other words in the place of its first two.
    #[must_use]
    pub fn clone_words(&self, words: &[&str]) -> Self {
        let rest = self.args.iter().skip(2).cloned();
        Self { args: words.iter().map(OsString::from).chain(rest).collect(), ..self.clone() }
    }

    /// Sets a variable; no other is there.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Logs in.
    #[must_use]
    pub fn login(self, user: &str, password: &str) -> Self {
        self.env("REGISTRY_USERNAME", user).env("REGISTRY_PASSWORD", password)
    }

    /// Sends this to its standard input, which is closed otherwise.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Makes its standard input what its output is: a terminal.
    #[must_use]
    pub fn typed(self) -> Self {
        Self { typed: true, ..self }
    }

    /// Has it pass over a signal, as a shell does with what runs in the background.
    #[must_use]
    pub fn ignoring(self, signal: &'static str) -> Self {
        Self { ignored: Some(signal), ..self }
    }

    /// Runs it in this folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// How long it may take at most before the test fails; a minute otherwise.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The words, for a person to read.
    pub fn line(&self) -> String {
        let words = self.args.iter().map(|word| quoted(&word.to_string_lossy()));
        std::iter::once("tagwright".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Starts it and leaves the rest to the caller; what it prints is thrown away.
    pub fn start(&self) -> Child {
        self.spawn(Stdio::null)
    }

    pub(super) fn spawn(&self, out: impl Fn() -> Stdio) -> Child {
        let mut command = Command::new(self.ignored.map_or(binary(), |_| "/bin/sh".into()));
        if let Some(signal) = self.ignored {
            command.arg("-c").arg(format!(r#"trap '' {signal} && exec "$0" "$@""#)).arg(binary());
        }
        command.args(&self.args).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let stdin = || if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(if self.typed { out() } else { stdin() }).stdout(out()).stderr(out());
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary().display()))
    }

    /// Runs it to its end.
    pub fn run(&self) -> Ran {
        let started = Instant::now();
        let mut child = self.spawn(Stdio::piped);
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.stdin.clone()) {
            // The program may end without reading it all.
            thread::spawn(move || pipe.write_all(&bytes).ok());
        }
        let (sender, closed) = mpsc::channel();
        let stdout = drain(child.stdout.take(), sender.clone());
        let stderr = drain(child.stderr.take(), sender);
        // When it ends, both of its pipes are closed.
        let left = || self.limit.saturating_sub(started.elapsed());
        let in_time = (0..2).all(|_| closed.recv_timeout(left()).is_ok());
        if !in_time {
            let _ = child.kill();
        }
        let status = child.wait().ok().filter(|_| in_time);
        let took = started.elapsed();
        let ran = Ran {
            line: self.line(),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
            exit: status.and_then(|status| status.code()),
            took,
        };
        assert!(status.is_some(), "still running after {:?}: {ran}", self.limit);
        ran
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>, closed: mpsc::Sender<()>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = closed.send(());
        String::from_utf8(bytes).unwrap_or_else(|error| panic!("not UTF-8: {error}"))
    })
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The words, for a message.
    pub line: String,
    /// What it printed.
    pub stdout: String,
    /// What it told a person.
    pub stderr: String,
    /// The exit status; `None` where a signal ended it.
    pub exit: Option<i32>,
    /// How long it took.
    pub took: Duration,
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nexit: {:?}\nstdout: {}\nstderr: {}", self.line, self.exit, self.stdout, self.stderr)
    }
}

impl Ran {
    /// The one document on stdout.
    pub fn json(&self) -> Value {
        assert!(self.stdout.ends_with('\n'), "no newline at the end: {self}");
        let document: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"));
        assert_eq!(document["schema"], 1, "{self}");
        let is_told = document["command"] == "doctor";
        let agrees = (document["ok"] == true) == (self.exit == Some(0)) || is_told;
        assert!(agrees, "envelope and exit status differ: {self}");
        super::schema::check(&self.stdout);
        assert!(longest_number(&self.stdout) <= 20, "a number that costs whoever parses it: {self}");
        document
    }

    /// The result of a run that did what was asked.
    pub fn result(&self) -> Value {
        assert_eq!(self.exit, Some(0), "{self}");
        self.json()["result"].clone()
    }

    /// The error of a run that did not, which the envelope, the exit status and stderr agree on.
    pub fn error(&self) -> Value {
        let document = self.json();
        let error = document["error"].clone();
        assert_eq!(document["ok"], false, "{self}");
        assert_eq!(error["exit"].as_i64(), self.exit.map(i64::from), "{self}");
        let text = error["text"].as_str().unwrap_or_else(|| panic!("no text: {self}"));
        assert!(text.starts_with(&format!("error[{}]: ", error["code"].as_str().unwrap_or_default())), "{self}");
        assert!(self.stderr.contains(text.trim_end()), "stderr lacks the text: {self}");
        error
    }

    /// The error code of a run that did not do what was asked.
    pub fn code(&self) -> String {
        self.error()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The codes of the warnings.
    pub fn warnings(&self) -> Vec<String> {
        let list = self.json()["warnings"].as_array().cloned().unwrap_or_default();
        list.iter().map(|one| one["code"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Everything in one text for a snapshot: the words, the exit status, stdout spread over lines, stderr.
    pub fn snapshot(&self) -> String {
        let stdout = if self.stdout.starts_with('{') { indented(&self.stdout) } else { self.stdout.clone() };
        format!("$ {}\nexit {}\n\n{stdout}\n---- stderr\n{}", self.line, self.exit.unwrap_or(-1), self.stderr)
    }
}

/// How many digits the longest number outside of texts has.
fn longest_number(json: &str) -> usize {
    let (mut quoted, mut escaped, mut digits, mut longest) = (false, false, 0, 0);
    for c in json.chars() {
        digits = if !quoted && (c.is_ascii_digit() || "+-.eE".contains(c) && digits > 0) { digits + 1 } else { 0 };
        longest = longest.max(digits);
        quoted = quoted != (c == '"' && !escaped);
        escaped = quoted && !escaped && c == '\\';
    }
    longest
}

/// Spreads compact JSON over lines without touching the order of its keys.
pub fn indented(json: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let chars: Vec<char> = json.trim_end().chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if !matches!(chars.get(at + 1), Some('}' | ']')) {
                    depth += 1;
                    break_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                if !matches!(at.checked_sub(1).and_then(|at| chars.get(at)), Some('{' | '[')) {
                    depth = depth.saturating_sub(1);
                    break_line(&mut out, depth);
                }
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}
