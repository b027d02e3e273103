//! Where the launcher keeps the program, and what it takes from there: under every shell, for root and for a stranger.

use crate::support::agent::{Agent, SHELLS, User, copy};
use std::fs::{Permissions, remove_file, rename, set_permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

const NOTHING: [&str; 0] = [];

/// Every shell, with every user.
fn everybody(check: impl Fn(&[&str], User, &str)) {
    for shell in SHELLS {
        for user in [User::Root, User::Stranger] {
            check(shell, user, &format!("{shell:?}, {user:?}"));
        }
    }
}

fn chmod(agent: &Agent, name: &str, mode: u32) {
    set_permissions(agent.path(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_parcel_is_asked_for_once_unpacked_beside_the_workspace_and_run_in_the_steps_own_folder() {
    everybody(|shell, user, what| {
        let agent = Agent::new().of(user);
        agent.run(shell).asked(what);
        assert_eq!(agent.files("job@tmp"), NOTHING, "{what}");
        agent.deliver(&agent.parcel());
        for _ in 0..2 {
            agent.run(shell).ran(&agent, what);
            assert_eq!(agent.files("job@tmp"), [copy("0.1.0")], "{what}");
        }
        assert_eq!((agent.files("job"), agent.files("tmp")), (Vec::new(), Vec::new()), "{what}");
    });
}

/// Lays a copy of the program into a folder of the agent's and spoils it.
fn spoil(agent: &Agent, folder: &str, how: &str) {
    let real = if how == "a link" { "trap" } else { folder };
    let kept = format!("{real}/{}", copy("0.1.0"));
    agent.kept(real);
    agent.give(real, agent.uid());
    agent.give(&kept, agent.uid());
    match how {
        "open to all" => chmod(agent, real, 0o757),
        "open to a group" => chmod(agent, real, 0o775),
        "a link" => symlink(agent.path("trap"), agent.path(folder)).unwrap(),
        "of another" => agent.give(real, 1234),
        "a copy open to all" => chmod(agent, &kept, 0o777),
        "a copy of another" => agent.give(&kept, 1234),
        _ => {
            rename(agent.path(&kept), agent.path("kept")).unwrap();
            symlink(agent.path("kept"), agent.path(&kept)).unwrap();
        }
    }
}

#[test]
fn a_copy_that_somebody_else_could_have_changed_is_not_run_wherever_it_lies() {
    everybody(|shell, user, what| {
        for how in [
            "open to all",
            "open to a group",
            "a link",
            "of another",
            "a copy open to all",
            "a copy of another",
            "a linked copy",
        ] {
            for place in ["TAGWRIGHT_CACHE", "WORKSPACE_TMP", "TMPDIR"] {
                let agent = Agent::new().of(user).without("WORKSPACE_TMP");
                let folder = if place == "TMPDIR" { agent.tmp() } else { "cache".to_owned() };
                spoil(&agent, &folder, how);
                let path = agent.path(if place == "TMPDIR" { "tmp" } else { "cache" });
                // A slash at its end makes a link look like a folder.
                agent.env(place, &(path + "//")).run(shell).asked(&format!("{what}: {place} is {how}"));
            }
        }
    });
}

#[test]
fn nothing_is_unpacked_where_somebody_else_could_change_it_and_the_reason_is_told() {
    everybody(|shell, user, what| {
        for how in ["open to all", "open to a group", "a link", "of another"] {
            let agent = Agent::new().of(user).without("WORKSPACE_TMP");
            spoil(&agent, &agent.tmp(), how);
            let kept = agent.path(&format!("{}/{}", agent.tmp(), copy("0.1.0")));
            remove_file(&kept).unwrap();
            agent.deliver(&agent.parcel());
            let reason = "belongs to somebody else, is a link, or can be changed by others";
            let agent = agent.env("TAGWRIGHT_CACHE", "cache");
            let answer = agent.run(shell);
            answer.said(&format!("`cache`: is not an absolute path; `{}`: {reason}\n", agent.path(&agent.tmp())), what);
            assert_eq!(agent.files(&agent.tmp()), NOTHING, "{what}: {how}");
            assert_eq!(agent.files("job@tmp"), NOTHING, "{what}: {how}: the parcel stays");
        }
    });
}

#[test]
fn a_folder_of_roots_serves_everybody() {
    for shell in SHELLS {
        let agent = Agent::new().of(User::Stranger);
        agent.kept("cache");
        let path = agent.path("cache");
        let agent = agent.env("TAGWRIGHT_CACHE", &path);
        agent.run(shell).ran(&agent, &format!("{shell:?}"));
    }
}

#[test]
fn a_folder_that_is_exchanged_after_it_was_looked_at_is_not_the_one_that_is_used() {
    // busybox runs no other sha256sum than its own.
    for shell in SHELLS.into_iter().filter(|shell| shell[0] != "busybox") {
        for delivered in [false, true] {
            let agent = Agent::new().without("WORKSPACE_TMP");
            let folder = agent.path(&agent.tmp());
            agent.script(&format!("evil/{}", copy("0.1.0")), "echo evil");
            let exchange = format!(
                "[ -e '{folder}.old' ] || {{ mv '{folder}' '{folder}.old'; cp -r '{}' '{folder}'; }}",
                agent.path("evil")
            );
            agent.script("bin/sha256sum", &format!("{exchange}\nexec /usr/bin/sha256sum"));
            let path = agent.path("bin") + ":/usr/bin:/bin";
            if delivered {
                agent.deliver(&agent.parcel())
            } else {
                drop(agent.kept(&agent.tmp()))
            }
            let agent = agent.env("PATH", &path);
            agent.run(shell).ran(&agent, &format!("{shell:?}, delivered: {delivered}"));
        }
    }
}

#[test]
fn the_temporary_folder_is_for_agents_without_a_folder_beside_the_workspace() {
    everybody(|shell, user, what| {
        let agent = Agent::new().of(user);
        agent.kept(&agent.tmp());
        agent.give(&agent.tmp(), agent.uid());
        agent.run(shell).asked(what);
        assert_eq!(agent.files("job@tmp"), NOTHING, "{what}");
        let agent = agent.without("WORKSPACE_TMP");
        agent.run(shell).ran(&agent, what);
    });
}

#[test]
fn a_folder_that_forbids_execution_is_read_only_or_full_is_followed_by_the_next() {
    everybody(|shell, user, what| {
        for options in ["noexec", "ro", "size=64k"] {
            let what = &format!("{what}, {options}");
            let agent = Agent::new().of(user);
            let parcel = agent.path("parcel.gz");
            agent.deliver(&parcel);
            let agent = agent.mount("job@tmp", options).env("TAGWRIGHT_PARCEL", &parcel);
            agent.run(shell).ran(&agent, what);
            assert_eq!(agent.files(&agent.tmp()), [copy("0.1.0")], "{what}");
            // The copy in the temporary folder serves from now on, for the first place is as it was.
            agent.run(shell).ran(&agent, what);
        }
    });
}

#[test]
fn a_temporary_folder_that_is_read_only_forbids_execution_or_is_full_keeps_nobody_from_the_workspace() {
    everybody(|shell, user, what| {
        for options in ["noexec,mode=1777", "ro,mode=1777", "size=4k,mode=1777"] {
            let what = &format!("{what}, {options}");
            let agent = Agent::new().of(user);
            agent.deliver(&agent.parcel());
            let agent = agent.mount("tmp", options);
            agent.run(shell).ran(&agent, what);
            assert_eq!(agent.files("job@tmp"), [copy("0.1.0")], "{what}");
        }
    });
}

#[test]
fn where_no_place_is_left_each_is_named_with_its_reason_and_nothing_stays() {
    everybody(|shell, user, what| {
        let table = [
            ("noexec,mode=1777", "ermission denied"),
            ("ro,mode=1777", "ead-only file system"),
            ("size=64k,mode=1777", "o space left on device"),
        ];
        for (options, reason) in table {
            let agent = Agent::new().of(user).without("WORKSPACE_TMP").mount("tmp", options);
            agent.deliver(&agent.parcel());
            let answer = agent.run(shell);
            let said = answer.stdout.replace("Read-only", "read-only");
            assert!(
                said.starts_with("\nlauncher: helper-missing\nthe program could be put nowhere on this agent: `"),
                "{what}: {answer:?}"
            );
            assert!(said.contains(reason), "{what}, {options}: {answer:?}");
            assert_eq!(agent.files("job@tmp"), NOTHING, "{what}: the parcel stays");
        }
    });
}

#[test]
fn a_workspace_that_forbids_execution_is_enough_to_start() {
    everybody(|shell, user, what| {
        let agent = Agent::new().of(user);
        let program = agent.script("program", "echo started");
        let script = agent.path("job@tmp/script.sh");
        let copied = format!("cp '{}' '{script}'", crate::support::agent::launcher());
        let agent = agent.mount("job@tmp", "noexec,mode=755").after_mounts(&copied).env("TAGWRIGHT_BIN", &program);
        agent.run_script(shell, &script).said("started\n", what);
    });
}

#[test]
fn builds_that_install_at_once_all_succeed() {
    everybody(|shell, user, what| {
        let agent = Agent::new().of(user);
        for answer in agent.run_at_once(shell, 4) {
            answer.ran(&agent, what);
        }
        assert_eq!(agent.files("job@tmp"), [copy("0.1.0")], "{what}");
    });
}

#[test]
fn copies_of_older_versions_go_when_a_new_one_is_put_beside_them() {
    everybody(|shell, user, what| {
        let agent = Agent::new().of(user);
        let stays = ["tagwright-0.0.9-riscv64", &copy("0.1.1"), &copy("0.2.0"), &copy("1.0.0"), &copy("next"), "other"];
        for name in stays.iter().copied().chain([copy("0.0.9").as_str(), &copy("0.0.10")]) {
            agent.file(&format!("job@tmp/{name}"), 0o755, "");
        }
        agent.deliver(&agent.parcel());
        agent.run(shell).ran(&agent, what);
        let mut left = stays.map(str::to_owned).to_vec();
        left.push(copy("0.1.0"));
        left.sort();
        assert_eq!(agent.files("job@tmp"), left, "{what}");
    });
}

#[test]
fn a_copy_that_is_damaged_is_replaced_and_a_parcel_that_is_damaged_is_told() {
    everybody(|shell, user, what| {
        let agent = Agent::new().of(user);
        agent.script(&format!("job@tmp/{}", copy("0.1.0")), "echo broken");
        agent.run(shell).asked(what);
        agent.deliver(&agent.parcel());
        agent.run(shell).ran(&agent, what);

        let whole = Agent::new();
        whole.deliver(&whole.parcel());
        let whole = std::fs::read(whole.parcel()).unwrap();
        for spoiled in [&whole[..whole.len() / 2], b"not gzip", b""] {
            let agent = Agent::new().of(user);
            std::fs::write(agent.parcel(), spoiled).unwrap();
            agent.run(shell).said("launcher: helper-damaged\nthe program that this library carries for ", what);
            assert_eq!(agent.files("job@tmp"), NOTHING, "{what}");
        }
        let agent = Agent::new().of(user).env("TAGWRIGHT_RELEASE", &crate::support::agent::release(b"another"));
        agent.deliver(&agent.parcel());
        agent.run(shell).said("did not arrive whole: another sha256 than release.json names\n", what);
        assert_eq!(agent.files("job@tmp"), NOTHING, "{what}");
    });
}

#[test]
fn a_parcel_goes_where_the_user_can_remove_it_and_nowhere_else() {
    for shell in SHELLS {
        let what = &format!("{shell:?}");
        for mode in [0o755, 0o1777] {
            let agent = Agent::new().of(User::Stranger);
            agent.give("job@tmp", 0);
            chmod(&agent, "job@tmp", mode);
            agent.run(shell).said("\nlauncher: deliver ", what);
            agent.run(shell).said("-linux-musl\nhere\n", what);
            agent.deliver(&agent.path("job/.tagwright-1.gz"));
            agent.run(shell).ran(&agent, what);
            assert_eq!((agent.files("job"), agent.files("job@tmp")), (Vec::new(), Vec::new()), "{what}");
            agent.run(shell).ran(&agent, what);

            agent.give("job", 0);
            remove_file(agent.path(&format!("{}/{}", agent.tmp(), copy("0.1.0")))).unwrap();
            agent.run(shell).said("launcher: helper-missing\na copy of the program could not be removed again", what);
        }
    }
}

#[test]
fn a_copy_runs_where_there_is_no_proc_too() {
    for shell in SHELLS {
        let agent = Agent::new();
        agent.deliver(&agent.parcel());
        let agent = agent.mount("/proc", "ro");
        agent.run(shell).ran(&agent, &format!("{shell:?}"));
    }
}

#[test]
fn a_read_only_root_is_enough_where_the_workspace_can_be_written() {
    everybody(|shell, user, what| {
        let agent = Agent::new().of(user);
        agent.deliver(&agent.parcel());
        let words = format!(
            "mount --bind '{0}' '{0}' && mount -o remount,bind,ro / && {{ ! touch /tagwright-writes 2>/dev/null; }}",
            agent.path("")
        );
        let agent = agent.after_mounts(&words);
        agent.run(shell).ran(&agent, what);
        assert_eq!(agent.files("job@tmp"), [copy("0.1.0")], "{what}");
    });
}
