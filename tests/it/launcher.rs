//! The launcher that a step hands to `sh`, under every shell that an agent may have: how it ends, what it trusts.

use crate::support::agent::{Agent, SHELLS, User, copy, ended, release};
use crate::support::cmd::{binary, tagwright};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([format!("-{name}"), process.to_string()]).status().unwrap().success());
}

fn line(from: &mut impl Read) -> String {
    let (mut text, mut byte) = (String::new(), [0]);
    while from.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        text.push(char::from(byte[0]));
    }
    text
}

#[test]
fn a_signal_to_the_launcher_ends_the_program_and_both_end_with_it() {
    for shell in SHELLS {
        for (name, status) in [("HUP", 129), ("INT", 130), ("QUIT", 131), ("TERM", 143)] {
            for by_file in [false, true] {
                let mut agent = Agent::new();
                let request = agent.path("request.json");
                if by_file {
                    agent.file("request.json", 0o644, "{}");
                    agent = agent.env("TAGWRIGHT_REQUEST", &format!("@{request}"));
                }
                let slow = agent.script("slow", "echo $$\nexec sleep 60");
                let agent = agent.env("TAGWRIGHT_BIN", &slow);
                let mut child = agent.start(shell);
                let program = line(child.stdout.as_mut().unwrap());
                signal(name, child.id());
                let answer = ended(child);
                let what = format!("{shell:?}, SIG{name}, by file: {by_file}");
                assert_eq!((answer.status, answer.stdout.as_str()), (status, ""), "{what}: {answer:?}");
                assert!(!Path::new(&format!("/proc/{program}")).exists(), "{what}: the program still runs");
                assert!(!Path::new(&request).exists(), "{what}: the request file stays");
            }
        }
    }
}

#[test]
fn a_signal_to_what_the_launcher_runs_is_its_exit_status_too() {
    for shell in SHELLS {
        for (name, status) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
            let agent = Agent::new();
            let program = agent.script("odd", &format!("printf '{{\"schema\":1'; kill -{name} $$"));
            let answer = agent.env("TAGWRIGHT_BIN", &program).run(shell);
            assert_eq!((answer.status, answer.stdout.as_str()), (status, r#"{"schema":1"#), "{shell:?}: {answer:?}");
        }
        // Whoever ends a step may come to a tool first.
        for tool in ["uname", "sha256sum", "gzip", "chmod"] {
            let agent = Agent::new();
            agent.deliver(&agent.parcel());
            agent.script(&format!("bin/{tool}"), "kill -TERM $$");
            let path = agent.path("bin") + ":/usr/bin:/bin";
            let agent = agent.env("PATH", &path);
            // busybox knows its own tools by name and starts no other.
            let answer = if shell[0] == "busybox" { continue } else { agent.run(shell) };
            assert_eq!((answer.status, answer.stdout.as_str()), (143, ""), "{shell:?}, {tool}: {answer:?}");
            assert_eq!(agent.files("job@tmp"), [""; 0], "{shell:?}, {tool}");
        }
    }
}

#[test]
fn the_program_ends_by_the_signal_that_it_gets_while_it_waits_for_a_registry() {
    for (name, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let image = format!("{}/acme/app:1", silent.local_addr().unwrap());
        let mut child = tagwright(["inspect", &image]).start();
        let connection = silent.accept().unwrap();
        signal(name, child.id());
        assert_eq!(child.wait().unwrap().signal(), Some(number), "SIG{name}");
        drop(connection);
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
            agent.env("TAGWRIGHT_BIN", &program).run(shell).said(said, &format!("{shell:?}: {text}"));
        }
        let table = [
            ("/nowhere/tagwright", "helper-missing\nthere is no program `/nowhere/tagwright` on this agent"),
            ("no-such-program", "helper-missing\nthere is no program `no-such-program` on this agent"),
            ("-rf", "helper-missing\nthere is no program `-rf` on this agent"),
            ("say", "helper-missing\nthere is no program `say` on this agent"),
            ("/dev/null", "helper-missing\nthere is no program `/dev/null` on this agent"),
            ("/etc/hostname", "helper-damaged\n`/etc/hostname` cannot be executed on this agent"),
        ];
        for (named, said) in table {
            let agent = Agent::new().env("TAGWRIGHT_BIN", named);
            agent.file("job/say", 0o755, "a file of the workspace");
            agent.run(shell).said(&format!("launcher: {said}"), &format!("{shell:?}: {named}"));
        }
    }
}

#[test]
fn a_request_file_goes_after_the_run_and_when_there_is_no_program_to_run() {
    for shell in SHELLS {
        for release in ["0.1.0", "0.1.0 riscv64-unknown-linux-musl=00"] {
            let agent = Agent::new();
            let request = agent.path("job@tmp/request.json");
            agent.file("job@tmp/request.json", 0o644, "{}");
            let agent = agent.env("TAGWRIGHT_REQUEST", &format!("@{request}")).env("TAGWRIGHT_RELEASE", release);
            agent.run(shell).said("launcher: helper-missing\n", &format!("{shell:?}"));
            assert_eq!(agent.files("job@tmp"), [""; 0], "{shell:?}");
        }
        let agent = Agent::new();
        let request = agent.path("job@tmp/request.json");
        agent.file("job@tmp/request.json", 0o644, "of a file");
        let reader = agent.script("reader", "cat; echo \" and $*\"");
        let agent = agent.env("TAGWRIGHT_REQUEST", &format!("@{request}")).env("TAGWRIGHT_BIN", &reader);
        agent.run(shell).said("of a file and call -\n", &format!("{shell:?}"));
        assert_eq!(agent.files("job@tmp"), [""; 0], "{shell:?}");
    }
}

#[test]
fn a_relative_or_empty_entry_of_the_path_is_never_searched() {
    for shell in SHELLS {
        let agent = Agent::new();
        let mark = agent.path("mark");
        for name in ["tagwright", "env", "uname", "sha256sum", "ls", "gzip", "mkdir"] {
            agent.script(&format!("job/{name}"), &format!("touch '{mark}'"));
            agent.script(&format!("job/bin/{name}"), &format!("touch '{mark}'"));
        }
        agent.deliver(&agent.parcel());
        let agent = agent.env("PATH", ":.:bin:./bin:/usr/bin::/bin:");
        agent.run(shell).ran(&agent, &format!("{shell:?}"));
        assert!(!Path::new(&mark).exists(), "{shell:?}: a program of the workspace ran");
        // Nothing absolute is left: the system's own folders are searched, never this one.
        agent.env("PATH", ".:").run(shell).said("in", &format!("{shell:?}"));
        assert!(!Path::new(&mark).exists(), "{shell:?}: a program of the workspace ran");
    }
}

#[test]
fn a_program_on_the_path_tells_its_version_without_seeing_a_secret_and_runs_with_them_when_it_is_the_one() {
    let secrets = [
        "REGISTRY_USERNAME",
        "REGISTRY_PASSWORD",
        "INTO_REGISTRY_PASSWORD",
        "INTO_2_REGISTRY_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "INTO_AWS_SECRET_ACCESS_KEY",
        "DOCKER_AUTH_CONFIG",
        "TAGWRIGHT_REQUEST",
        "OTHERS_TOKEN",
    ];
    for shell in SHELLS {
        for version in ["0.1.0", "0.0.9"] {
            let mut agent = Agent::new();
            let asked = agent.path("asked");
            agent.script("bin/tagwright", &format!(
                "[ \"$1\" = --version ] && env >'{asked}' && echo 'tagwright {version} (x)' && exit\necho \"$REGISTRY_PASSWORD\""
            ));
            let path = agent.path("bin") + ":/usr/bin:/bin";
            agent = agent.env("PATH", &path).env("HOME", "/home").env("JENKINS_SERVER_COOKIE", "durable-1");
            for name in secrets {
                agent = agent.env(name, "marked-secret");
            }
            let answer = agent.run(shell);
            let saw = std::fs::read_to_string(&asked).unwrap();
            assert!(!saw.contains("marked-secret"), "{shell:?}: {saw}");
            assert!(
                saw.contains("JENKINS_SERVER_COOKIE=durable-1\n") && saw.contains("HOME=/home\n"),
                "{shell:?}: {saw}"
            );
            answer
                .said(if version == "0.1.0" { "marked-secret\n" } else { "launcher: deliver" }, &format!("{shell:?}"));
        }
    }
}

#[test]
fn no_core_file_is_left_with_what_the_environment_holds() {
    for shell in SHELLS {
        let agent = Agent::new();
        let program = agent.script("limits", "ulimit -c; exit 70");
        let agent = agent.env("TAGWRIGHT_BIN", &program).after_mounts("ulimit -c 1024");
        assert_eq!(agent.run(shell).stdout, "0\n", "{shell:?}");
    }
}

#[test]
fn a_tool_that_is_missing_is_named() {
    let needed = ["uname", "gzip", "chmod", "mv", "mkdir", "rm", "ls", "sha256sum"];
    // busybox' own shell knows all its tools without looking for them.
    for shell in SHELLS.into_iter().filter(|shell| shell[0] != "busybox") {
        for missing in needed {
            let agent = Agent::new();
            agent.deliver(&agent.parcel());
            std::fs::create_dir(agent.path("bin")).unwrap();
            for name in needed.into_iter().filter(|name| *name != missing) {
                std::os::unix::fs::symlink(format!("/bin/{name}"), agent.path(&format!("bin/{name}"))).unwrap();
            }
            let path = agent.path("bin");
            let answer = agent.env("PATH", &path).run(shell);
            let what = format!("{shell:?} without {missing}");
            answer.said("launcher: helper-missing\nthis agent has no", &what);
            answer.said(&format!("`{missing}`"), &what);
        }
    }
}

#[test]
fn the_real_program_arrives_by_busybox_alone() {
    let agent = Agent::new().of(User::Stranger);
    let bytes = std::fs::read(binary()).unwrap();
    let packed = Command::new("gzip").arg("-1nc").arg(binary()).output().unwrap().stdout;
    std::fs::write(agent.parcel(), packed).unwrap();
    let release = release(&bytes);
    std::fs::create_dir(agent.path("bin")).unwrap();
    for name in ["uname", "gzip", "chmod", "mv", "mkdir", "rm", "ls", "sha256sum"] {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        std::os::unix::fs::symlink(busybox.unwrap(), agent.path(&format!("bin/{name}"))).unwrap();
    }
    let path = agent.path("bin");
    let request = r#"{"command":"inspect","args":{}}"#;
    let agent = agent.env("TAGWRIGHT_RELEASE", &release).env("PATH", &path).env("TAGWRIGHT_REQUEST", request);
    for _ in 0..2 {
        let told = r#"{"schema":1,"ok":false,"command":"inspect","error":{"code":"missing-value""#;
        agent.run(&["busybox", "sh"]).said(told, "busybox");
        assert_eq!(agent.files("job@tmp"), [copy("0.1.0")]);
    }
}

#[test]
fn a_root_with_a_shell_and_its_tools_alone_is_enough_for_the_real_program() {
    let agent = Agent::new();
    let bytes = std::fs::read(binary()).unwrap();
    let packed = Command::new("gzip").arg("-1nc").arg(binary()).output().unwrap().stdout;
    std::fs::write(agent.parcel(), packed).unwrap();
    let script = agent.path("job@tmp/script.sh");
    std::fs::copy(crate::support::agent::launcher(), &script).unwrap();
    // Neither passwd nor /proc nor /tmp nor a home; libraries for a program of this machine's, which is not static.
    let words = format!(
        "cd '{0}' && mkdir -p root/bin root/usr/bin root/dev root/lib root/lib64 root/usr/lib 'root/{0}' && touch root/dev/null \
         && cp \"$(command -v busybox)\" root/bin/ && cp root/bin/busybox root/usr/bin/ \
         && for tool in sh env uname gzip chmod mv mkdir rm ls sha256sum; do ln -s busybox root/bin/$tool; done \
         && mount --bind /dev/null root/dev/null && mount --rbind /lib root/lib && mount --rbind /usr/lib root/usr/lib \
         && {{ [ ! -d /lib64 ] || mount --rbind /lib64 root/lib64; }} && mount --bind '{0}' 'root/{0}' \
         && set -- chroot root /bin/sh -c 'cd \"$0\" && exec \"$@\"' '{0}/job' \"$@\"",
        agent.path("").trim_end_matches('/')
    );
    let agent =
        agent.env("TAGWRIGHT_RELEASE", &release(&bytes)).env("PATH", "/bin").without("TMPDIR").after_mounts(&words);
    let agent = agent.env("TAGWRIGHT_REQUEST", r#"{"command":"inspect","args":{}}"#);
    let told = r#"{"schema":1,"ok":false,"command":"inspect","error":{"code":"missing-value""#;
    agent.run_script(&["busybox", "sh"], &script).said(told, "a bare root");
    let kept = agent.files("job@tmp");
    assert!(kept.contains(&copy("0.1.0")), "{kept:?}");
}
