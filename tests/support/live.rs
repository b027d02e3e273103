//! Real registries: the Debian package `docker-registry`, another build of the same program, or olareg, which is of
//! a different make, on a free port.
//!
//! Storage lies in a temporary folder; the process ends when its handle is dropped, or with the test itself.

use super::client::Client;
use super::tls::Authority;
use super::token::{ISSUER, SERVICE, TokenServer};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Whose command line and configuration a program understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Make {
    /// The distribution project's.
    #[default]
    Distribution,
    /// olareg's, which knows the referrers API, and neither passwords nor tokens.
    Olareg,
}

/// How a real registry is set up.
#[derive(Default)]
pub struct Setup<'a> {
    /// Who made the program.
    pub make: Make,
    /// The program; Debian's where none is named.
    pub program: Option<PathBuf>,
    /// User name and password, kept as bcrypt in an htpasswd file.
    pub password: Option<(&'a str, &'a str)>,
    /// The token server to send clients to.
    pub tokens: Option<&'a TokenServer>,
    /// Whose certificate to answer with.
    pub authority: Option<&'a Authority>,
}

/// A running registry.
pub struct Live {
    host: String,
    version: String,
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    keeper: Option<thread::JoinHandle<()>>,
}

impl Live {
    /// Starts a registry and waits until it listens. Fails the test where there is none to start.
    pub fn start(setup: &Setup) -> Self {
        let program = setup.program.clone().unwrap_or_else(debian);
        let version = version(setup.make, &program);
        let folder = tempfile::tempdir().unwrap();
        let command = match setup.make {
            Make::Distribution => distribution(setup, &program, folder.path()),
            Make::Olareg => olareg(setup, &program, folder.path()),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        // The child asks the kernel to die with the thread that started it, so this thread stays with it to the end.
        let keeper = thread::spawn({
            let stop = stop.clone();
            move || keep(command, &stop, &tell)
        });
        let host = match told.recv_timeout(Duration::from_secs(30)) {
            Ok(Ok(host)) => host,
            Ok(Err(why)) => panic!("{version} did not start: {why}"),
            Err(why) => panic!("{version} did not say that it listens: {why}"),
        };
        Self { host, version, folder, stop, keeper: Some(keeper) }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `127.0.0.1:PORT/REPOSITORY`.
    pub fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.host)
    }

    /// Name and version of the program.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where everything it stores lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client without a credential.
    pub fn client(&self) -> Client {
        Client::new(&self.host)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Debian's program.
fn debian() -> PathBuf {
    let path = PathBuf::from("/usr/bin/docker-registry");
    assert!(path.exists(), "`docker-registry` is not installed; run `scripts/install-tools`");
    path
}

/// A program that `scripts/install-tools` builds into `target/tools`.
pub fn tool(name: &str) -> PathBuf {
    let target = std::env::current_exe().unwrap();
    let mut folders = target.ancestors().map(|folder| folder.join("tools").join(name));
    folders.find(|path| path.exists()).unwrap_or_else(|| panic!("`{name}` is not there; run `scripts/install-tools`"))
}

fn version(make: Make, program: &Path) -> String {
    let word = if make == Make::Olareg { "version" } else { "--version" };
    let out = Command::new(program).arg(word).output().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let text = String::from_utf8_lossy(&out.stdout);
    match text.lines().find_map(|line| line.strip_prefix("VCSTag:")) {
        Some(tag) => format!("olareg {}", tag.trim()),
        None => text.trim().to_owned(),
    }
}

/// What starts a program, to die with the thread that starts it.
fn bound(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).env_clear().env("PATH", "/usr/bin:/bin");
    command
}

fn distribution(setup: &Setup, program: &Path, folder: &Path) -> Start {
    let config = folder.join("config.yml");
    std::fs::write(&config, configuration(setup, folder)).unwrap();
    let mut command = bound(program);
    command.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none");
    Start { command, host: None }
}

fn olareg(setup: &Setup, program: &Path, folder: &Path) -> Start {
    assert!(setup.password.is_none() && setup.tokens.is_none(), "olareg lets everybody in");
    // It does not say which port it was given, so it is told one that was free a moment ago.
    let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let mut command = bound(program);
    command.args(["serve", "--addr", "127.0.0.1", "--port", &address.port().to_string(), "--dir"]);
    command.arg(folder.join("storage"));
    if let Some(authority) = setup.authority {
        command.arg("--tls-cert").arg(authority.certificate_file()).arg("--tls-key").arg(authority.key_file());
    }
    Start { command, host: Some(address) }
}

/// A program to start, with the address where it is told to listen.
struct Start {
    command: Command,
    /// `None` where the program itself says it.
    host: Option<SocketAddr>,
}

fn configuration(setup: &Setup, folder: &Path) -> String {
    let mut out = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n",
        folder.join("storage").display()
    );
    // Without this a manifest may not say where else its layers lie.
    out.push_str("validation:\n  manifests: {urls: {allow: ['^https?://']}}\n");
    out.push_str("http:\n  addr: 127.0.0.1:0\n  secret: of the tests\n");
    if let Some(authority) = setup.authority {
        let (certificate, key) = (authority.certificate_file(), authority.key_file());
        out.push_str(&format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display()));
    }
    if let Some((user, password)) = setup.password {
        // Cost 4 is the least there is: the password guards nothing.
        let hash = bcrypt::hash(password, 4).unwrap();
        let file = folder.join("htpasswd");
        std::fs::write(&file, format!("{user}:{hash}\n")).unwrap();
        out.push_str(&format!("auth:\n  htpasswd: {{realm: tests, path: {}}}\n", file.display()));
    }
    if let Some(tokens) = setup.tokens {
        out.push_str(&format!(
            "auth:\n  token: {{realm: \"{}\", service: \"{SERVICE}\", issuer: \"{ISSUER}\", rootcertbundle: {}}}\n",
            tokens.realm(),
            tokens.certificate_file().display()
        ));
    }
    out
}

fn keep(mut start: Start, stop: &AtomicBool, tell: &mpsc::Sender<Result<String, String>>) {
    let started = start.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return tell.send(Err(error.to_string())).unwrap_or_default(),
    };
    let reader = thread::spawn({
        let stderr = child.stderr.take();
        let tell = tell.clone();
        move || {
            let mut seen = String::new();
            let Some(stderr) = stderr else { return };
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let host: String = rest.chars().take_while(|c| !matches!(c, ',' | '"' | ' ')).collect();
                    let _ = tell.send(Ok(host));
                    seen.clear();
                }
                seen = format!("{seen}{line}\n");
            }
            let _ = tell.send(Err(seen));
        }
    });
    while !stop.load(Ordering::SeqCst) && child.try_wait().is_ok_and(|status| status.is_none()) {
        if let Some(address) = start.host.take_if(|address| TcpStream::connect(*address).is_ok()) {
            let _ = tell.send(Ok(address.to_string()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    end(&mut child);
    let _ = reader.join();
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
