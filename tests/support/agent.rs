//! An agent as the launcher meets it: a workspace, a folder beside it, a temporary folder, a shell and a user.

use super::text::digest;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

/// The shells, each as a controller calls it for a script that names no interpreter.
pub const SHELLS: [&[&str]; 5] = [&["dash"], &["busybox", "sh"], &["mksh"], &["bash", "--posix"], &["bash"]];

/// A user that no passwd file knows.
const STRANGER: u32 = 54_321;

/// What stands in for the program: it tells where it runs and what it was asked.
const PROGRAM: &str = r#"#!/bin/sh
[ "$1" = --version ] && echo 'tagwright 0.1.0 (test)' && exit
echo "{\"in\":\"$(pwd -P)\",\"asked\":\"$*\"}"
"#;

/// Who runs the launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    Root,
    Stranger,
}

/// One agent; everything it has lies in one folder.
pub struct Agent {
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
    user: User,
    mounts: String,
}

/// How the launcher ended.
#[derive(Debug)]
pub struct Answer {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Agent {
    /// An agent of root's, without the program.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["job", "job@tmp", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let agent = Self { folder, env: Vec::new(), user: User::Root, mounts: String::new() };
        let release = release(program().as_bytes());
        let (beside, tmp, parcel) = (agent.path("job@tmp"), agent.path("tmp"), agent.parcel());
        agent
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TAGWRIGHT_REQUEST", "{}")
            .env("TAGWRIGHT_RELEASE", &release)
            .env("TAGWRIGHT_PARCEL", &parcel)
            .env("WORKSPACE_TMP", &beside)
            .env("TMPDIR", &tmp)
    }

    /// The same agent, with everything on it given to this user.
    pub fn of(mut self, user: User) -> Self {
        self.user = user;
        if user == User::Stranger && root() {
            for name in ["", "job", "job@tmp", "tmp"] {
                self.give(name, STRANGER);
            }
        }
        self
    }

    /// Gives a file or a folder to somebody; without root's rights it belongs to the user already.
    pub fn give(&self, name: &str, to: u32) {
        if !root() && to == self.uid() {
            return;
        }
        let given = std::os::unix::fs::chown(self.folder.path().join(name), Some(to), Some(to));
        given.unwrap_or_else(|error| {
            panic!("{name}: {error}: this test has to run as root, which can give a file away")
        });
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// Mounts a file system of memory on a folder, for the launcher alone; it is the user's own.
    pub fn mount(mut self, name: &str, options: &str) -> Self {
        let path = if name.starts_with('/') { name.to_owned() } else { self.path(name) };
        let uid = if root() { self.uid() } else { 0 };
        self.mounts += &format!("mount -t tmpfs -o mode=755,uid={uid},gid={uid},{options} tmpfs '{path}' || exit 99\n");
        self
    }

    /// Does this, in the words of a shell, after the mounts.
    pub fn after_mounts(mut self, words: &str) -> Self {
        self.mounts += &format!("{words} || exit 99\n");
        self
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn parcel(&self) -> String {
        self.path("job@tmp/tagwright-1.gz")
    }

    /// The number of the user.
    pub fn uid(&self) -> u32 {
        if self.user == User::Stranger { STRANGER } else { 0 }
    }

    /// The temporary folder of the user.
    pub fn tmp(&self) -> String {
        format!("tmp/tagwright-{}", self.uid())
    }

    /// A file with this text and mode, in a folder that is made for it.
    pub fn file(&self, name: &str, mode: u32, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    pub fn script(&self, name: &str, text: &str) -> String {
        self.file(name, 0o755, &format!("#!/bin/sh\n{text}\n")).display().to_string()
    }

    /// The program as an earlier step has left it in this folder.
    pub fn kept(&self, folder: &str) -> PathBuf {
        self.file(&format!("{folder}/{}", copy("0.1.0")), 0o755, program())
    }

    /// Leaves the parcel as the bridge does.
    pub fn deliver(&self, path: &str) {
        std::fs::write(path, packed()).unwrap();
    }

    /// The names of the files below a folder, in order.
    pub fn files(&self, name: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join(name)) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn start(&self, shell: &[&str]) -> Child {
        self.spawn(shell, &launcher(), &[])
    }

    fn spawn(&self, shell: &[&str], script: &str, further: &[(&str, &str)]) -> Child {
        let mut words: Vec<String> = Vec::new();
        let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
        if !self.mounts.is_empty() {
            let script = format!("{}exec \"$@\"", self.mounts);
            add(if root() { &["unshare", "-m"] } else { &["unshare", "-rm"] });
            add(&["sh", "-c", &script, "sh"]);
        }
        match (self.user, root()) {
            (User::Root, false) if self.mounts.is_empty() => add(&["unshare", "-r"]),
            (User::Root, _) => (),
            (User::Stranger, true) => add(&["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]),
            (User::Stranger, false) => add(&["unshare", "--map-user=54321", "--map-group=54321"]),
        }
        // Nothing of this environment but what says where the words before the shell are found.
        add(&["env", "-i"]);
        words.extend(self.env.iter().map(|(name, value)| format!("{name}={value}")));
        words.extend(further.iter().map(|(name, value)| format!("{name}={value}")));
        let found = Command::new("sh").args(["-c", &format!("command -v {}", shell[0])]).output().unwrap().stdout;
        assert!(!found.is_empty(), "there is no shell `{}`: scripts/install-tools installs it", shell[0]);
        words.push(String::from_utf8(found).unwrap().trim().to_owned());
        words.extend(shell[1..].iter().map(|word| (*word).to_owned()));
        words.extend(["-xe".to_owned(), script.to_owned()]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.folder.path().join("job"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}", words[0]))
    }

    pub fn run(&self, shell: &[&str]) -> Answer {
        answer(self.start(shell))
    }

    /// The same with the launcher in another place.
    pub fn run_script(&self, shell: &[&str], script: &str) -> Answer {
        answer(self.spawn(shell, script, &[]))
    }

    /// Several launchers at once, each with a parcel of its own.
    pub fn run_at_once(&self, shell: &[&str], builds: usize) -> Vec<Answer> {
        let parcels: Vec<_> = (0..builds).map(|n| self.path(&format!("job@tmp/tagwright-build{n}.gz"))).collect();
        parcels.iter().for_each(|parcel| self.deliver(parcel));
        let running: Vec<_> = parcels
            .iter()
            .map(|parcel| self.spawn(shell, &launcher(), &[("TAGWRIGHT_PARCEL", parcel.as_str())]))
            .collect();
        running.into_iter().map(answer).collect()
    }
}

impl Answer {
    /// Checks that the program ran in the workspace, and that the log holds nothing but its words.
    #[track_caller]
    pub fn ran(&self, agent: &Agent, what: &str) {
        let job = std::fs::canonicalize(agent.path("job")).unwrap();
        let expected = format!("{{\"in\":\"{}\",\"asked\":\"call\"}}\n", job.display());
        assert_eq!((self.status, self.stdout.as_str()), (0, expected.as_str()), "{what}: {self:?}");
        // mksh alone traces a redirection before it is made; nothing in a script can come earlier.
        let log = self.stderr.replace("+ 2>/dev/null \n+ set +xe\n", "");
        assert_eq!(log, "", "{what}");
    }

    /// Checks that the launcher has said this and ended well.
    #[track_caller]
    pub fn said(&self, text: &str, what: &str) {
        assert_eq!(self.status, 0, "{what}: {self:?}");
        assert!(self.stdout.contains(text), "{what}: `{text}` was not said: {self:?}");
    }

    /// Checks that a parcel was asked for.
    #[track_caller]
    pub fn asked(&self, what: &str) {
        self.said(&format!("\nlauncher: deliver {}\n\n", target()), what);
    }
}

fn answer(child: Child) -> Answer {
    let output: Output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap());
    assert_ne!(status, 99, "the launcher's file systems cannot be mounted here: {}", text(output.stderr));
    Answer { status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Waits for a process that somebody else has ended and shows how.
pub fn ended(child: Child) -> Answer {
    answer(child)
}

pub fn launcher() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("resources/tagwright/launch.sh").display().to_string()
}

/// The version of these tests and the sum of this program, as a library of one program names them.
pub fn release(program: &[u8]) -> String {
    format!("0.1.0 {}={}", target(), digest(program).trim_start_matches("sha256:"))
}

pub fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// The name of a copy of this version for this machine.
pub fn copy(version: &str) -> String {
    format!("tagwright-{version}-{}", std::env::consts::ARCH)
}

/// The program, made longer by what does not pack, so that a small disk can be too small for it.
fn program() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let noise = (0..4096_u32).map(|n| format!("# {}\n", digest(&n.to_le_bytes())));
        PROGRAM.to_owned() + "exit\n" + &noise.collect::<String>()
    });
    &TEXT
}

/// The same as a library carries it.
fn packed() -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), program()).unwrap();
        Command::new("gzip").arg("-nc").arg(file.path()).output().unwrap().stdout
    });
    &BYTES
}

fn root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}
