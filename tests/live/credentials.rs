//! Right, wrong and missing credentials, in each form they come in, and an authority that nobody trusts.

use crate::stage::{Door, PASSWORD, Program, REPOSITORY, Stage, USER};
use crate::support::text::base64;
use serde_json::json;

#[test]
fn a_wrong_password_is_told_from_a_missing_one() {
    for door in [Door::Password, Door::Tokens] {
        let stage = Stage::filled(Program::Debian, door);
        let before = stage.client.tags(REPOSITORY);
        for command in ["labels", "promote"] {
            let ran = stage.plain(command, ":2026.34.103", ["--verbose"]).login(USER, "marked-wrong-password").run();
            assert_eq!((ran.code().as_str(), ran.exit), ("unauthenticated", Some(4)), "{ran}");
            assert!(!format!("{ran}").contains("marked-wrong-password"), "a secret was printed: {ran}");
            let ran = stage.plain(command, ":2026.34.103", []).run();
            assert_eq!(ran.exit, Some(4), "{ran}");
            assert!(["credential-missing", "unauthenticated"].contains(&ran.code().as_str()), "{ran}");
        }
        assert_eq!(stage.client.tags(REPOSITORY), before);
    }
}

#[test]
fn reading_rights_do_not_promote() {
    let stage = Stage::filled(Program::Debian, Door::Tokens);
    let latest = stage.digest("latest");
    let ran = stage.plain("labels", ":2026.34.103", ["--label", "git_revision"]).login("reader", PASSWORD).run();
    assert_eq!(ran.result()["value"], "ccc");
    let ran = stage.plain("promote", ":2026.34.103", ["--dry-run"]).login("reader", PASSWORD).run();
    assert_eq!(ran.result()["dryRun"], true);
    let ran = stage.plain("promote", ":2026.34.103", []).login("reader", PASSWORD).run();
    assert_eq!(ran.exit, Some(4), "{ran}");
    assert_eq!((ran.error()["changed"].as_bool(), stage.digest("latest")), (Some(false), latest), "{ran}");
}

#[test]
fn docker_config_files_are_read_in_each_form() {
    let folder = tempfile::tempdir().unwrap();
    let check = |stage: &Stage, config: serde_json::Value| {
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let run = stage.plain("labels", ":2026.34.103", ["--label", "git_revision"]);
        let ran = run.env("DOCKER_CONFIG", folder.path()).env("PATH", folder.path()).run();
        assert_eq!(ran.result()["value"], "ccc", "{config}");
    };
    let stage = Stage::filled(Program::Debian, Door::Password);
    let host = stage.live.host();
    check(&stage, json!({"auths": {host: {"auth": base64(format!("{USER}:{PASSWORD}").as_bytes())}}}));
    check(&stage, json!({"auths": {format!("http://{host}/v1/"): {"username": USER, "password": PASSWORD}}}));

    let helper = folder.path().join("docker-credential-tests");
    let answer = json!({"ServerURL": host, "Username": USER, "Secret": PASSWORD});
    std::fs::write(&helper, format!("#!/bin/sh\nread -r server\n[ \"$1\" = get ] || exit 1\nprintf '%s' '{answer}'\n"))
        .unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    check(&stage, json!({"credHelpers": {host: "tests"}}));
    check(&stage, json!({"credsStore": "tests", "auths": {host: {}}}));

    let stage = Stage::filled(Program::Debian, Door::Tokens);
    let host = stage.live.host();
    check(&stage, json!({"auths": {host: {"identitytoken": "identity"}}}));
    check(&stage, json!({"auths": {host: {"auth": base64(b"<token>:"), "identitytoken": "identity"}}}));
    let token = stage.tokens.as_ref().unwrap().desk().pass(REPOSITORY);
    check(&stage, json!({"auths": {host: {"registrytoken": token}}}));
}

#[test]
fn an_authority_that_nobody_trusts_is_refused_with_the_way_out() {
    let stage = Stage::filled(Program::Debian, Door::Tls);
    let ran = crate::support::cmd::tagwright(["labels", &stage.name(":latest"), "--https"]).run();
    let error = ran.error();
    assert_eq!((ran.code().as_str(), ran.exit), ("unreachable", Some(6)), "{ran}");
    assert!(error["hint"].as_str().unwrap_or_default().contains("--ca-file"), "{ran}");
    let exchanges = error["exchanges"].as_array().map(Vec::len);
    assert_eq!(exchanges, Some(1), "a refused certificate is no reason to try again: {ran}");
    let authority = stage.authority.as_ref().unwrap();
    let run = crate::support::cmd::tagwright(["labels", &stage.name(":latest"), "--https"]);
    run.env("SSL_CERT_FILE", authority.ca_file()).run().result();
    // Plain HTTP to a server that speaks TLS is a refusal too, not a crash.
    let ran = crate::support::cmd::tagwright(["labels", &stage.name(":latest")]).run();
    assert_ne!(ran.exit, Some(0), "{ran}");
    assert_ne!(ran.code(), "internal", "{ran}");
}

#[test]
fn tokens_without_a_lifetime_last_long_enough() {
    let stage = Stage::filled(Program::Debian, Door::Tokens);
    let tokens = stage.tokens.as_ref().unwrap();
    tokens.desk().rule(|rules| rules.expires_in = None);
    let ran = stage.run("promote", "", ["--build", "103"]).run();
    assert_eq!(ran.result()["tags"][1]["action"], "moved", "{ran}");
}
