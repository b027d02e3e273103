//! The launcher that a step hands to `sh`, under every shell that an agent may have.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The shells, each as a controller calls it for a script without an interpreter of its own.
const SHELLS: [&[&str]; 5] = [&["dash"], &["busybox", "sh"], &["mksh"], &["bash", "--posix"], &["bash"]];

/// One agent: a folder for all it has, and the environment that a step gives to the launcher.
struct Agent {
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl Agent {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("job")).unwrap();
        let agent = Self { folder, env: Vec::new() };
        let parcel = agent.path("job@tmp/tagwright-1.gz");
        agent
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TAGWRIGHT_REQUEST", r#"{"command":"inspect","args":{}}"#)
            .env("TAGWRIGHT_RELEASE", "0.1.0")
            .env("TAGWRIGHT_PARCEL", &parcel)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A script in the place of a program.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn command(&self, shell: &[&str]) -> Command {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg("-xe").arg(launcher()).current_dir(self.folder.path().join("job"));
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self, shell: &[&str]) -> Child {
        self.command(shell)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; scripts/install-tools installs it", shell[0]))
    }

    fn run(&self, shell: &[&str]) -> Output {
        self.start(shell).wait_with_output().unwrap()
    }
}

fn launcher() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("resources/tagwright/launch.sh")
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([format!("-{name}"), process.to_string()]).status().unwrap().success());
}

/// The status that a shell shows of a process that ended so.
fn shown(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap())
}

#[test]
fn a_signal_to_the_launcher_ends_the_program_and_both_end_with_it() {
    for shell in SHELLS {
        for (name, status) in [("HUP", 129), ("INT", 130), ("QUIT", 131), ("TERM", 143)] {
            for by_file in [false, true] {
                let mut agent = Agent::new();
                let request = agent.path("request.json");
                if by_file {
                    std::fs::write(&request, "{}").unwrap();
                    agent = agent.env("TAGWRIGHT_REQUEST", &format!("@{request}"));
                }
                let program = agent.script("slow", "echo $$\nexec sleep 60");
                agent = agent.env("TAGWRIGHT_BIN", &program.display().to_string());
                let mut child = agent.start(shell);
                let mut first = Vec::new();
                while first.last() != Some(&b'\n') {
                    let mut byte = [0];
                    child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
                    first.push(byte[0]);
                }
                let program = String::from_utf8(first).unwrap();
                signal(name, child.id());
                let output = child.wait_with_output().unwrap();
                let what = format!("{shell:?}, SIG{name}, by file: {by_file}");
                assert_eq!(shown(&output), status, "{what}");
                assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{what}: nothing is said after a signal");
                assert!(!Path::new(&format!("/proc/{}", program.trim())).exists(), "{what}: the program still runs");
                assert!(!Path::new(&request).exists(), "{what}: the request file stays");
            }
        }
    }
}

#[test]
fn a_signal_to_the_program_is_the_launchers_exit_status_too() {
    for shell in SHELLS {
        for (name, status) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
            let agent = Agent::new();
            let program = agent.script("odd", &format!("printf '{{\"schema\":1'; kill -{name} $$"));
            let output = agent.env("TAGWRIGHT_BIN", &program.display().to_string()).run(shell);
            assert_eq!(shown(&output), status, "{shell:?}: {output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), r#"{"schema":1"#, "{shell:?}");
        }
    }
}

#[test]
fn whatever_else_goes_wrong_is_told_on_stdout_and_the_exit_status_is_0() {
    for shell in SHELLS {
        let table = [
            ("echo refused; exit 5", "refused\n"),
            ("exit 42", "ended with status 42, which tagwright never does"),
            ("exit 255", "ended with status 255, which tagwright never does"),
        ];
        for (text, said) in table {
            let agent = Agent::new();
            let program = agent.script("odd", text);
            let output = agent.env("TAGWRIGHT_BIN", &program.display().to_string()).run(shell);
            assert_eq!(shown(&output), 0, "{shell:?}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains(said), "{shell:?}: {output:?}");
        }
    }
}
