//! What a release is made with and refused for: the scripts of `make release` on a small tree of their own.

use super::tidy::files;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// The project's own scripts and papers in a repository with one commit, its changelog with this heading.
fn project(heading: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wanted = |path: &str| {
        ["scripts/", "vars/", "resources/", "docs/"].iter().any(|start| path.starts_with(start)) || !path.contains('/')
    };
    for file in files(wanted) {
        let to = folder.path().join(&file.path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root.join(&file.path), &to).unwrap();
    }
    let changelog = fs::read_to_string(root.join("CHANGELOG.md")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let old = changelog.lines().find(|line| line.starts_with(&format!("## {version}"))).unwrap();
    fs::write(folder.path().join("CHANGELOG.md"), changelog.replace(old, heading)).unwrap();
    for words in ["init -q", "add -A", "-c user.name=a -c user.email=a@example.org commit -q -m one"] {
        assert!(git(folder.path(), words).status.success(), "git {words}");
    }
    folder
}

fn git(folder: &Path, words: &str) -> Output {
    Command::new("git").current_dir(folder).args(words.split(' ')).output().unwrap()
}

fn script(folder: &Path, words: &[&str]) -> Output {
    Command::new("sh").current_dir(folder).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_release_of_a_version_that_the_changelog_calls_unreleased_is_refused_before_it_is_built() {
    let version = env!("CARGO_PKG_VERSION");
    let output = script(project(&format!("## {version} (unreleased)")).path(), &["scripts/check-release", "sources"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&format!("CHANGELOG.md calls {version} unreleased")), "{}", said(&output));
    let output = script(project(&format!("## {version} (2026-11-27)")).path(), &["scripts/check-release", "sources"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_library_holds_what_there_is_to_read_and_names_its_toolchain() {
    let project = project(&format!("## {} (2026-11-27)", env!("CARGO_PKG_VERSION")));
    let output = script(project.path(), &["scripts/build-library", "out"]);
    assert!(output.status.success(), "{}", said(&output));
    let out = project.path().join("out");
    for path in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE",
        "Jenkinsfile.example",
        "docs/security.md",
        "docs/schema/promote.result.json",
    ] {
        assert!(out.join(path).is_file(), "{path}");
    }
    let release = fs::read_to_string(out.join("resources/tagwright/release.json")).unwrap();
    let release: serde_json::Value = serde_json::from_str(&release).unwrap();
    for tool in ["rust", "std", "zig", "cargo-zigbuild", "zopfli"] {
        assert!(release["toolchain"][tool].is_string(), "{tool}: {release}");
    }
}

#[test]
fn a_release_with_another_toolchain_or_another_sum_is_refused() {
    let project = project(&format!("## {} (2026-11-27)", env!("CARGO_PKG_VERSION")));
    let folder = project.path();
    fs::write(folder.join("program"), "stands for a program").unwrap();
    let pairs = TARGETS.map(|target| format!("{target}=program"));
    let output = script(folder, &["scripts/build-library", "target/library", &pairs[0], &pairs[1]]);
    assert!(output.status.success(), "{}", said(&output));
    // What is here is what is pinned, then a pin is another one.
    let here = script(folder, &["scripts/toolchain"]).stdout;
    fs::write(folder.join("scripts/toolchain.json"), &here).unwrap();
    let json = folder.join("target/library/resources/tagwright/release.json");
    let clean = fs::read_to_string(&json).unwrap().replace("-dirty", "");
    fs::write(&json, &clean).unwrap();
    let output = script(folder, &["scripts/check-release"]);
    assert!(output.status.success(), "{}", said(&output));

    let other = String::from_utf8(here).unwrap().replacen("\"rust\": \"rustc ", "\"rust\": \"rustc 9", 1);
    fs::write(folder.join("scripts/toolchain.json"), other).unwrap();
    let output = script(folder, &["scripts/check-release"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("was built with rust `rustc "), "{}", said(&output));

    fs::write(folder.join("scripts/toolchain.json"), script(folder, &["scripts/toolchain"]).stdout).unwrap();
    fs::write(
        folder.join("target/library/resources/tagwright/bin/SHA256SUMS"),
        format!("{:064}  {}/tagwright.gz\n", 0, TARGETS[0]),
    )
    .unwrap();
    let output = script(folder, &["scripts/check-release"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("SHA256SUMS has another sum"), "{}", said(&output));
}

#[test]
fn what_people_have_at_their_terminals_has_a_tag_of_its_own_and_no_agent_gets_it() {
    let version = env!("CARGO_PKG_VERSION");
    let project = project(&format!("## {version} (2026-11-27)"));
    let folder = project.path();
    // The papers take tools that are built first.
    fs::write(folder.join("scripts/release-papers"), "#!/bin/sh\necho \"$2\" >\"$1/sbom.cdx.json\"\n").unwrap();
    fs::write(folder.join("scripts/toolchain.json"), script(folder, &["scripts/toolchain"]).stdout).unwrap();
    for words in ["config user.name a", "config user.email a@example.org", "commit -q -a -m two"] {
        assert!(git(folder, words).status.success(), "git {words}");
    }
    let others = ["aarch64-apple-darwin", "x86_64-apple-darwin", "x86_64-pc-windows-gnu"];
    let all: Vec<&str> = TARGETS.into_iter().chain(others).collect();
    for target in &all {
        let end = if target.contains("windows") { ".exe" } else { "" };
        let place = folder.join("target/static").join(target);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(format!("tagwright{end}")), format!("stands for {target}")).unwrap();
    }
    let pairs = TARGETS.map(|target| format!("{target}=target/static/{target}/tagwright"));
    let library = ["scripts/build-library", "target/library", &pairs[0], &pairs[1]];
    let programs: Vec<&str> = ["scripts/build-programs", "target/programs"].into_iter().chain(all).collect();
    for words in [&library[..], &programs, &["scripts/make-release"]] {
        let output = script(folder, words);
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }
    let listed = |tag: &str| {
        let listed = git(folder, &format!("ls-tree -r --name-only {tag}")).stdout;
        String::from_utf8(listed).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut expected: Vec<String> = vec!["SHA256SUMS".to_owned()];
    for target in TARGETS.iter().chain(&others) {
        let end = if target.contains("windows") { ".exe" } else { "" };
        let papers = ["LICENSE".to_owned(), "sbom.cdx.json".to_owned(), format!("tagwright{end}")];
        expected.extend(papers.map(|name| format!("{target}/{name}")));
    }
    expected.sort();
    assert_eq!(listed(&format!("v{version}-programs")), expected);
    for tag in [format!("v{version}"), format!("v{version}-slim")] {
        assert!(listed(&tag).iter().all(|path| !others.iter().any(|target| path.contains(target))), "{tag}");
    }
    let output = Command::new("sha256sum")
        .args(["-c", "SHA256SUMS"])
        .current_dir(folder.join("target/programs"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches(": OK").count(), 5, "{}", said(&output));
}

#[test]
fn the_compiler_of_the_checks_is_pinned_to_one_version() {
    let pin = files(|path| path == "rust-toolchain.toml").remove(0).text;
    let channel = pin.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"')).unwrap();
    assert_eq!(channel.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "`{channel}` is no version");
}
