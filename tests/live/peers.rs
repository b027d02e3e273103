//! skopeo looks at what was promoted: the same digests, platforms, attestations and index.

use crate::stage::{Door, PASSWORD, Program, Stage, USER};
use crate::support::text::{base64, digest};
use serde_json::json;
use std::path::Path;
use std::process::Command;

#[test]
fn skopeo_agrees_on_an_open_registry() {
    check_peers(Program::Debian, Door::Open);
}

#[test]
fn skopeo_agrees_with_a_password() {
    check_peers(Program::Debian, Door::Password);
}

#[test]
fn skopeo_agrees_in_tls() {
    check_peers(Program::Debian, Door::Tls);
}

#[test]
fn skopeo_agrees_on_registry_3_with_tokens() {
    check_peers(Program::Three, Door::Tokens);
}

fn check_peers(program: Program, door: Door) {
    let stage = Stage::filled(program, door);
    let source = stage.digest("2026.34.103").unwrap();
    stage.run("promote", "", ["--build", "103"]).run().result();
    let home = tempfile::tempdir().unwrap();
    write_login(&stage, home.path());
    for tag in [":2026.34.103-rc", ":latest"] {
        check_skopeo(&stage, home.path(), tag, &source);
    }
}

/// A login file, and a folder with the authority as skopeo wants it.
fn write_login(stage: &Stage, home: &Path) {
    let auth = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let auths = if stage.asks() { json!({stage.live.host(): {"auth": auth}}) } else { json!({}) };
    std::fs::write(home.join("config.json"), json!({"auths": auths}).to_string()).unwrap();
    std::fs::create_dir(home.join("certs")).unwrap();
    if let Some(authority) = &stage.authority {
        std::fs::copy(authority.ca_file(), home.join("certs/ca.crt")).unwrap();
    }
}

fn output(command: &mut Command) -> Vec<u8> {
    let out = command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn check_skopeo(stage: &Stage, home: &Path, tag: &str, source: &str) {
    let image = format!("docker://{}", stage.name(tag));
    let login = home.join("config.json");
    let mut inspect = Command::new("skopeo");
    inspect.args(["inspect", "--raw", "--authfile"]).arg(&login);
    let mut copy = Command::new("skopeo");
    copy.args(["--insecure-policy", "copy", "--all", "--authfile"]).arg(&login);
    if stage.authority.is_some() {
        inspect.arg("--cert-dir").arg(home.join("certs"));
        copy.arg("--src-cert-dir").arg(home.join("certs"));
    } else {
        inspect.arg("--tls-verify=false");
        copy.arg("--src-tls-verify=false");
    }
    let raw = output(inspect.arg(&image));
    assert_eq!(digest(&raw), source, "skopeo reads another digest at {tag}");

    // Everything below the index is there: skopeo copies it whole, attestations included.
    let copied = home.join(format!("copy{}", tag.replace(':', "-")));
    output(copy.arg(&image).arg(format!("dir:{}", copied.display())));
    assert_eq!(digest(&std::fs::read(copied.join("manifest.json")).unwrap()), source);
    let manifests = std::fs::read_dir(&copied)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".manifest.json"));
    assert_eq!(manifests.count(), 4, "two images and two attestations");
}
