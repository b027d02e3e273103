//! The registries that can be had as a package or as a module, and how each is started on loopback.

use super::client::Client;
use super::tls::Authority;
use super::token::{ISSUER, SERVICE, TokenServer};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which program answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// The distribution project's version 2, as the Debian package `docker-registry`.
    #[default]
    Debian,
    /// Its version 3.
    Three,
    /// olareg, which knows the referrers API, and neither passwords nor tokens.
    Olareg,
    /// `crane registry serve`, which is open to everybody.
    Crane,
    /// The registry in memory of CUE's modules.
    Cue,
    /// The same, with tags that do not move.
    CueImmutable,
    /// Peryx, with a token server of its own.
    Peryx,
    /// The packages of Gitea, with a token server of its own.
    Gitea,
}

/// How a real registry is set up.
#[derive(Default)]
pub struct Setup<'a> {
    /// The program; Debian's where none is named.
    pub program: Program,
    /// User name and password.
    pub password: Option<(&'a str, &'a str)>,
    /// The token server to send clients to.
    pub tokens: Option<&'a TokenServer>,
    /// Whose certificate to answer with.
    pub authority: Option<&'a Authority>,
}

impl Setup<'_> {
    /// Whether everybody comes in, in plain HTTP.
    fn is_open(&self) -> bool {
        self.password.is_none() && self.tokens.is_none() && self.authority.is_none()
    }
}

impl Program {
    /// The file that is run.
    fn path(self) -> PathBuf {
        match self {
            Self::Debian => {
                let path = PathBuf::from("/usr/bin/docker-registry");
                assert!(path.exists(), "`docker-registry` is not installed; run `scripts/install-tools`");
                path
            }
            Self::Three => tool("registry"),
            Self::Olareg => tool("olareg"),
            Self::Crane => tool("crane"),
            Self::Cue | Self::CueImmutable => tool("cue-registry"),
            Self::Peryx => tool("peryx").join("bin/peryx"),
            Self::Gitea => tool("gitea"),
        }
    }

    /// Name and version.
    pub(super) fn version(self) -> String {
        let mut command = Command::new(self.path());
        match self {
            Self::Olareg | Self::Crane => command.arg("version"),
            _ => command.arg("--version"),
        };
        let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = String::from_utf8_lossy(&out.stdout);
        match (self, text.lines().find_map(|line| line.strip_prefix("VCSTag:"))) {
            (_, Some(tag)) => format!("olareg {}", tag.trim()),
            (Self::Crane, None) => format!("crane registry serve {}", text.trim()),
            _ => text.trim().to_owned(),
        }
    }

    /// What starts it, with all that it stores in a folder.
    pub(super) fn start(self, setup: &Setup, folder: &Path) -> Start {
        match self {
            Self::Debian | Self::Three => self.distribution(setup, folder),
            Self::Olareg => self.olareg(setup, folder),
            Self::Crane => self.crane(setup, folder),
            Self::Cue | Self::CueImmutable => self.cue(setup),
            Self::Peryx => self.peryx(setup, folder),
            Self::Gitea => self.gitea(setup, folder),
        }
    }

    /// What can be done only while it runs.
    pub(super) fn prepare(self, setup: &Setup, host: &str) {
        let (Self::Gitea, Some((user, password))) = (self, setup.password) else { return };
        // A repository's first part is a user or an organisation there.
        let body = json!({"username": "acme"}).to_string();
        let client = Client::new(host).basic(user, password);
        let answer = client.send("POST", "/api/v1/orgs", &[("Content-Type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    }

    fn distribution(self, setup: &Setup, folder: &Path) -> Start {
        let config = folder.join("config.yml");
        std::fs::write(&config, distribution_config(setup, folder)).unwrap();
        let mut command = bound(&self.path());
        command.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none");
        Start { command, host: None }
    }

    fn olareg(self, setup: &Setup, folder: &Path) -> Start {
        assert!(setup.password.is_none() && setup.tokens.is_none(), "olareg lets everybody in");
        let address = free();
        let mut command = bound(&self.path());
        command.args(["serve", "--addr", "127.0.0.1", "--port", &address.port().to_string(), "--dir"]);
        command.arg(folder.join("storage"));
        if let Some(authority) = setup.authority {
            command.arg("--tls-cert").arg(authority.certificate_file()).arg("--tls-key").arg(authority.key_file());
        }
        Start { command, host: Some(address) }
    }

    fn crane(self, setup: &Setup, folder: &Path) -> Start {
        assert!(setup.is_open(), "crane's registry lets everybody in, without TLS");
        let (address, storage) = (free(), folder.join("storage"));
        std::fs::create_dir(&storage).unwrap();
        let mut command = bound(&self.path());
        command.args(["registry", "serve", "--address", &address.to_string(), "--disk"]).arg(storage);
        Start { command, host: Some(address) }
    }

    fn cue(self, setup: &Setup) -> Start {
        assert!(setup.is_open(), "CUE's registry lets everybody in, without TLS");
        let mut command = bound(&self.path());
        command.args((self == Self::CueImmutable).then_some("--immutable"));
        Start { command, host: None }
    }

    fn peryx(self, setup: &Setup, folder: &Path) -> Start {
        let (address, config) = (free(), folder.join("peryx.toml"));
        let (user, password) = setup.password.expect("Peryx takes a password for its tokens");
        let text = format!(
            "host = \"127.0.0.1\"\nport = {}\ndata_dir = {:?}\n[auth]\nsigning_key = \"of the tests, and no shorter than this one is\"\n\
             [[index]]\nname = \"acme\"\nroute = \"acme\"\necosystem = \"oci\"\nhosted = true\nanonymous_read = false\n\
             [[index.access_token]]\nname = \"{user}\"\nsecret = \"{password}\"\nresources = [\"*\"]\n\
             actions = [\"read\", \"write\"]\n",
            address.port(),
            folder.join("storage")
        );
        std::fs::write(&config, text).unwrap();
        let mut command = bound(&self.path());
        command.args(["serve", "--config"]).arg(config);
        Start { command, host: Some(address) }
    }

    fn gitea(self, setup: &Setup, folder: &Path) -> Start {
        let (address, config) = (free(), folder.join("app.ini"));
        let (user, password) = setup.password.expect("Gitea takes a password for its tokens");
        let text = format!(
            "I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true\n[server]\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {0}\nROOT_URL = http://{address}/\nOFFLINE_MODE = true\n\
             DISABLE_SSH = true\nSTATIC_ROOT_PATH = {1}\n[database]\nDB_TYPE = sqlite3\nPATH = {2}/gitea.db\n\
             [security]\nINSTALL_LOCK = true\nSECRET_KEY = of the tests\n[log]\nMODE = console\nLEVEL = Warn\n\
             [service]\nREQUIRE_SIGNIN_VIEW = true\n[cron.update_checker]\nENABLED = false\n",
            address.port(),
            tool("gitea-files").display(),
            folder.display()
        );
        std::fs::write(&config, text).unwrap();
        let run = |words: &[&str]| {
            let mut command = bound(&self.path());
            command.arg("--work-path").arg(folder).arg("--config").arg(&config).args(words).env("HOME", folder);
            command
        };
        let user = ["admin", "user", "create", "--admin", "--username", user, "--password", password];
        for words in [
            &["migrate"][..],
            &[&user[..], &["--email", "robot@tests.example", "--must-change-password=false"]].concat(),
        ] {
            let out = run(words).stdin(Stdio::null()).output().unwrap();
            assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        }
        Start { command: run(&["web"]), host: Some(address) }
    }
}

/// A program that `scripts/install-tools` builds into `target/tools`.
pub fn tool(name: &str) -> PathBuf {
    let target = std::env::current_exe().unwrap();
    let mut folders = target.ancestors().map(|folder| folder.join("tools").join(name));
    folders.find(|path| path.exists()).unwrap_or_else(|| panic!("`{name}` is not there; run `scripts/install-tools`"))
}

/// What starts a program, to die with the thread that starts it.
fn bound(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).env_clear().env("PATH", "/usr/bin:/bin").env("GOGC", "1000");
    command
}

/// A program to start, with the address where it is told to listen.
pub(super) struct Start {
    pub(super) command: Command,
    /// `None` where the program itself says it.
    pub(super) host: Option<SocketAddr>,
}

/// Where nobody listened a moment ago, for a program that does not say which port it was given.
fn free() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

fn distribution_config(setup: &Setup, folder: &Path) -> String {
    let mut out = format!(
        "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n",
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
