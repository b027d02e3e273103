//! Credentials of each kind, from each place: who answers, who does not, and what `auth` says about it.

use crate::stage::{DockerHub, push, shown};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::hub::{Hub, Options as HubOptions, Source};
use crate::support::registry::{Auth, Options, Registry, one_user};
use crate::support::reply::Reply;
use crate::support::text::base64;
use crate::support::token::{Rights, Rules};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const APP: &str = "acme/app";

fn basic() -> Registry {
    filled(Registry::basic("robot", "secret"))
}

fn bearer() -> Registry {
    filled(Registry::bearer(one_user("robot", "secret").identity_token("identity", "robot")))
}

fn filled(registry: Registry) -> Registry {
    push(&registry, APP, &["1"]);
    registry
}

fn auth(registry: &Registry) -> Tagwright {
    tagwright(["auth", &registry.name(APP)])
}

/// A folder with a `config.json`.
fn config(document: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), document.to_string()).unwrap();
    folder
}

/// Adds a helper to a folder: a shell script that gets `get` as its argument and the server on its standard input.
fn helper(folder: &Path, name: &str, script: &str) {
    let path = folder.join(format!("docker-credential-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn with(run: Tagwright, folder: &Path) -> Tagwright {
    let path = format!("{}:/usr/bin:/bin", folder.display());
    run.env("DOCKER_CONFIG", folder.as_os_str()).env("PATH", path)
}

fn look(registry: &Registry, folder: &Path, ran: &Ran) -> String {
    let mut names = vec![(registry.host(), "[registry]"), (folder.display().to_string(), "[folder]")];
    if registry.has_tokens() {
        names.push((registry.tokens().host(), "[tokens]"));
    }
    let names: Vec<(&str, &str)> = names.iter().map(|(found, name)| (found.as_str(), *name)).collect();
    shown(ran, &names)
}

#[test]
fn the_environment_comes_first_and_ends_the_search() {
    let registry = bearer();
    let folder = config(&json!({"auths": {registry.host(): {"auth": base64(b"other:password")}}}));
    let ran = with(auth(&registry), folder.path()).login("robot", "secret").run();
    insta::assert_snapshot!(look(&registry, folder.path(), &ran));
    // A credential that is refused is never followed by the next source.
    let folder = config(&json!({"auths": {registry.host(): {"auth": base64(b"robot:secret")}}}));
    let ran = with(auth(&registry), folder.path()).login("robot", "wrong").run();
    assert_eq!(ran.code(), "unauthenticated");
}

#[test]
fn every_form_of_a_file_is_read() {
    for (entry, identity) in [
        (json!({"auth": base64(b"robot:secret")}), Some("robot")),
        (json!({"username": "robot", "password": "secret"}), Some("robot")),
        (json!({"identitytoken": "identity"}), None),
        (json!({"auth": base64(b"<token>:ignored"), "identitytoken": "identity"}), None),
    ] {
        let registry = bearer();
        let folder = config(&json!({"auths": {registry.host(): entry}}));
        let result = with(auth(&registry), folder.path()).run().result();
        assert_eq!((result["challenge"].as_str(), result["identity"].as_str()), (Some("bearer"), identity), "{entry}");
        assert_eq!(result["source"], folder.path().join("config.json").display().to_string());
        assert_eq!(result["granted"], json!(["repository:acme/app:pull"]), "{entry}");
    }
}

#[test]
fn an_identity_token_may_hold_blanks_and_a_server_without_post_gets_the_password_beside_it() {
    let registry = filled(Registry::bearer(one_user("robot", "secret").identity_token("identity of robot", "robot")));
    let entry = json!({"auth": base64(b"robot:secret"), "identitytoken": "identity of robot"});
    let folder = config(&json!({"auths": {registry.host(): entry}}));
    for (post, methods) in [(true, &["POST"][..]), (false, &["POST", "GET"])] {
        registry.tokens().desk().rule(|rules| rules.post = post);
        registry.tokens().clear();
        let result = with(auth(&registry), folder.path()).run().result();
        assert_eq!(result["granted"], json!(["repository:acme/app:pull"]));
        assert_eq!(registry.tokens().log().0.iter().map(|one| one.asked.method.as_str()).collect::<Vec<_>>(), methods);
    }
}

#[test]
fn a_key_that_is_an_address_means_its_host() {
    let registry = basic();
    for path in ["/v1/", "/v2/", "/team/other", ""] {
        let key = format!("https://{}{path}", registry.host());
        let folder = config(&json!({"auths": {key: {"auth": base64(b"robot:secret")}}}));
        assert_eq!(with(auth(&registry), folder.path()).run().result()["identity"], "robot", "{path}");
    }
}

#[test]
fn a_registry_token_is_sent_as_it_is() {
    let registry = bearer();
    let desk = registry.tokens().desk();
    let token = desk.mint("robot", &[(APP.to_owned(), vec!["pull".to_owned()])]);
    let folder = config(&json!({"auths": {registry.host(): {"registrytoken": token}}}));
    with(tagwright(["labels", &registry.name("acme/app:1")]), folder.path()).run().result();
    assert_eq!(registry.tokens().log().count(), 0);
}

#[test]
fn files_are_found_where_docker_and_podman_keep_them() {
    let registry = basic();
    let entry = json!({"auths": {registry.host(): {"auth": base64(b"robot:secret")}}}).to_string();
    let home = tempfile::tempdir().unwrap();
    let at = |tail: &str| {
        let file = home.path().join(tail);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &entry).unwrap();
        file.display().to_string()
    };
    let folder = home.path().as_os_str();
    for (tail, variable, value) in [
        (".docker/config.json", "HOME", folder.to_owned()),
        (".config/containers/auth.json", "HOME", folder.to_owned()),
        ("containers/auth.json", "XDG_RUNTIME_DIR", folder.to_owned()),
        ("elsewhere.json", "REGISTRY_AUTH_FILE", home.path().join("elsewhere.json").into_os_string()),
    ] {
        let file = at(tail);
        let result = auth(&registry).env(variable, value).run().result();
        assert_eq!(result["source"], file);
        std::fs::remove_file(&file).unwrap();
    }
    let result = auth(&registry).env("DOCKER_AUTH_CONFIG", entry.as_str()).run().result();
    assert_eq!(result["source"], "DOCKER_AUTH_CONFIG");
}

#[test]
fn podmans_entries_count_by_repository() {
    let registry = basic();
    let name = registry.name(APP);
    let folder = config(&json!({"auths": {
        registry.host(): {"auth": base64(b"robot:wrong")}, name: {"auth": base64(b"robot:secret")},
    }}));
    let run = auth(&registry).env("REGISTRY_AUTH_FILE", folder.path().join("config.json").into_os_string());
    assert_eq!(run.run().result()["identity"], "robot");
}

#[test]
fn helpers_answer_for_their_registry() {
    let registry = bearer();
    let folder = config(&json!({"credHelpers": {registry.host(): "told"}}));
    let answer = r#"cat > "${0%/*}/asked"; echo '{"ServerURL":"x","Username":"robot","Secret":"secret"}'"#;
    helper(folder.path(), "told", answer);
    let result = with(auth(&registry), folder.path()).run().result();
    assert_eq!(
        (result["source"].as_str(), result["identity"].as_str()),
        (Some("docker-credential-told"), Some("robot"))
    );
    assert_eq!(std::fs::read_to_string(folder.path().join("asked")).unwrap().trim(), registry.host());
    // The user name for identity tokens.
    helper(folder.path(), "told", r#"echo '{"ServerURL":"x","Username":"<token>","Secret":"identity"}'"#);
    let result = with(auth(&registry), folder.path()).run().result();
    assert_eq!(result["granted"], json!(["repository:acme/app:pull"]));
}

#[test]
fn a_helper_is_asked_once_whatever_becomes_of_a_token() {
    let registry = bearer();
    let folder = config(&json!({"credHelpers": {registry.host(): "told"}}));
    let answer = r#"echo once >> "${0%/*}/asked"; echo '{"ServerURL":"x","Username":"robot","Secret":"secret"}'"#;
    helper(folder.path(), "told", answer);
    let (desk, mut armed) = (registry.tokens().desk(), true);
    registry.before(move |asked, _| {
        if asked.path.contains("/blobs/") && std::mem::take(&mut armed) {
            desk.revoke();
        }
        None
    });
    with(tagwright(["labels", &registry.name("acme/app:1")]), folder.path()).run().result();
    assert_eq!(registry.tokens().log().count(), 2);
    assert_eq!(std::fs::read_to_string(folder.path().join("asked")).unwrap(), "once\n");
}

#[test]
fn a_helper_gets_no_secret_that_is_not_its_own_and_is_never_one_of_the_working_directory() {
    let registry = basic();
    let (folder, bin) = (config(&json!({"credHelpers": {registry.host(): "told"}})), tempfile::tempdir().unwrap());
    let answer = r#"echo '{"ServerURL":"x","Username":"robot","Secret":"secret"}'"#;
    helper(bin.path(), "told", &format!("env > \"${{0%/*}}/env\"; {answer}"));
    helper(folder.path(), "told", "touch planted; exit 1");
    let path = format!(":.:{}:/usr/bin:/bin", bin.path().display());
    let args = json!({"command": "auth", "args": {"repository": registry.name(APP)}}).to_string();
    let run = with(tagwright(["call"]), folder.path()).env("PATH", path).env("TAGWRIGHT_REQUEST", args);
    let secrets = [
        "DOCKER_AUTH_CONFIG",
        "INTO_REGISTRY_PASSWORD",
        "INTO_2_REGISTRY_PASSWORD",
        "INTO_AWS_SECRET_ACCESS_KEY",
        "INTO_2_AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_ACCESS_KEY",
    ];
    let run = secrets.iter().fold(run, |run, name| run.env(name, r#"{"marked": 1}"#)).folder(folder.path());
    assert_eq!(run.run().result()["identity"], "robot");
    let seen = std::fs::read_to_string(bin.path().join("env")).unwrap();
    assert!(seen.contains("DOCKER_CONFIG=") && !seen.contains("marked") && !seen.contains("TAGWRIGHT"), "{seen}");
    assert!(!folder.path().join("planted").exists());
}

#[test]
fn a_helper_that_leaves_a_child_behind_has_answered_when_it_ends() {
    let registry = basic();
    let folder = config(&json!({"credHelpers": {registry.host(): "told"}}));
    let answer = r#"echo '{"ServerURL":"x","Username":"robot","Secret":"secret"}'"#;
    helper(folder.path(), "told", &format!("sleep 600 & echo $! >\"${{0%/*}}/child\"; {answer}"));
    let result = with(auth(&registry), folder.path()).run().result();
    assert_eq!(result["identity"], "robot");
    let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
    let ended = std::process::Command::new("kill").arg(child.trim()).status().unwrap();
    assert!(ended.success(), "the child had ended by itself");
}

#[test]
fn a_helper_of_one_registry_that_fails_is_an_error_and_a_global_one_only_warns() {
    let registry = filled(Registry::start());
    let fails = "echo 'the key ring is locked' >&2; exit 1";
    let guarded = basic();
    let folder = config(&json!({"credHelpers": {guarded.host(): "broken"}}));
    helper(folder.path(), "broken", fails);
    let ran = with(auth(&guarded), folder.path()).run();
    let own = look(&guarded, folder.path(), &ran);
    assert_eq!(ran.code(), "credential-missing");
    // Nobody asked for a credential, so no helper runs.
    let folder = config(&json!({"credsStore": "broken"}));
    helper(folder.path(), "broken", fails);
    assert_eq!(with(auth(&registry), folder.path()).run().warnings(), Vec::<String>::new());
    let open = filled(Registry::bearer(Rules::default().anonymous(Rights::PULL)));
    let ran = with(tagwright(["labels", &open.name("acme/app:1")]), folder.path()).run();
    assert_eq!(ran.warnings(), ["credential-helper"]);
    insta::assert_snapshot!(format!("{own}\n\n{}", look(&open, folder.path(), &ran)));
}

#[test]
fn a_helper_that_has_nothing_is_followed_by_the_next_place() {
    let registry = filled(Registry::bearer(Rules::default().anonymous(Rights::PULL)));
    let folder = config(&json!({"credsStore": "empty"}));
    helper(folder.path(), "empty", "echo 'credentials not found in native keychain'; exit 1");
    let ran = with(auth(&registry), folder.path()).run();
    assert_eq!((ran.result()["source"].as_str(), ran.warnings()), (Some("anonymous"), vec![]));
    insta::assert_snapshot!(look(&registry, folder.path(), &ran));
    // It may tell at length how it has looked.
    let log = "yes looking | head -c 9999 >&2; echo 'credentials not found in native keychain' >&2; exit 1";
    helper(folder.path(), "empty", log);
    let again = with(auth(&registry), folder.path()).run();
    assert_eq!((&again.result()["tried"], again.warnings()), (&ran.result()["tried"], vec![]));
}

#[test]
fn what_was_tried_is_listed_where_nothing_was_found() {
    let registry = basic();
    let folder = config(&json!({"auths": {}}));
    let ran = with(tagwright(["labels", &registry.name("acme/app:1")]), folder.path()).run();
    insta::assert_snapshot!(look(&registry, folder.path(), &ran));
}

#[test]
fn one_place_can_be_asked_alone() {
    let registry = basic();
    let folder = config(&json!({"auths": {registry.host(): {"auth": base64(b"robot:secret")}}}));
    let run = |from: &str| with(auth(&registry), folder.path()).args(["--credentials-from", from]);
    assert_eq!(run("docker-config").login("robot", "wrong").run().result()["identity"], "robot");
    assert_eq!(run("env").login("robot", "wrong").run().code(), "unauthenticated");
    assert_eq!(run("env").run().code(), "credential-missing");
    assert_eq!(run("anonymous").login("robot", "secret").run().code(), "credential-missing");
    let empty = config(&json!({}));
    let ran = with(auth(&registry), empty.path()).args(["--credentials-from", "docker-config"]).run();
    assert_eq!(ran.code(), "credential-missing");
    assert!(ran.error()["hint"].is_string());
}

#[test]
fn a_credential_that_is_pinned_goes_to_its_registry_alone() {
    let registry = basic();
    let run = |host: &str| auth(&registry).login("robot", "secret").env("REGISTRY_HOST", host).run();
    assert_eq!(run(&registry.host()).result()["identity"], "robot");
    registry.clear();
    let ran = run("docker.io");
    insta::assert_snapshot!(look(&registry, Path::new("/none"), &ran));
    assert_eq!(registry.log().count(), 0);
    for words in [
        vec!["labels", "REF:1"],
        vec!["inspect", "REF:1"],
        vec!["find-tag", "REF", "--build", "1"],
        vec!["tags", "REF"],
        vec!["next-version", "REF", "--build", "1"],
        vec!["promote", "REF:1", "--to", "x"],
    ] {
        let words = words.into_iter().map(|word| word.replace("REF", &registry.name(APP)));
        let ran = tagwright([]).args(words).login("robot", "secret").env("REGISTRY_HOST", "docker.io").run();
        assert_eq!((ran.code().as_str(), ran.exit), ("credential-host-mismatch", Some(5)), "{ran}");
    }
    assert_eq!(registry.log().count(), 0);
    // Every name of Docker Hub is one registry.
    let docker = DockerHub::start(one_user("robot", "secret"));
    push(&docker.registry, APP, &["1"]);
    let run = docker.reach(tagwright(["labels", "index.docker.io/acme/app:1"]));
    run.login("robot", "secret").env("REGISTRY_HOST", "registry-1.docker.io").run().result();
}

#[test]
fn another_web_api_is_another_host_for_a_credential_that_is_pinned() {
    let hub = Hub::start(Source::List(HashMap::new()), HubOptions::default());
    for (side, words) in [
        ("", vec!["tags", "acme/app"]),
        ("", vec!["promote", "acme/app", "--build", "1"]),
        ("INTO_", vec!["promote", "reg.invalid/acme/app:1", "--into", "acme/app"]),
    ] {
        let set = |run: Tagwright, host: &str| {
            let run = run.env(&format!("{side}REGISTRY_USERNAME"), "robot");
            run.env(&format!("{side}REGISTRY_PASSWORD"), "secret").env(&format!("{side}REGISTRY_HOST"), host)
        };
        let ran = set(tagwright([]).args(words).args(["--hub-api", &hub.url()]), "docker.io").run();
        assert_eq!(ran.code(), "credential-host-mismatch", "{ran}");
        let message = ran.error()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&format!("`{side}REGISTRY_HOST`")) && message.contains("127.0.0.1"), "{ran}");
    }
    assert_eq!(hub.log().count(), 0);
    // Where an address is led to, and in which scheme, is no other host.
    let registry = basic();
    let host = format!("reg.example:{}", registry.port());
    let led = tagwright(["labels", &format!("{host}/acme/app:1"), "--plain-http", &host]);
    let led = led.arg("--resolve").arg(format!("{host}:127.0.0.1"));
    led.login("robot", "secret").env("REGISTRY_HOST", host).run().result();
}

#[test]
fn half_a_login_is_refused_before_any_packet() {
    let registry = basic();
    for (name, missing) in [("REGISTRY_USERNAME", "REGISTRY_PASSWORD"), ("REGISTRY_PASSWORD", "REGISTRY_USERNAME")] {
        let ran = auth(&registry).env(name, "x").run();
        assert_eq!((ran.code().as_str(), ran.exit), ("missing-value", Some(2)));
        assert!(ran.error()["message"].as_str().unwrap().contains(missing));
    }
    assert_eq!(registry.log().count(), 0);
    // A variable that is there and blank is not set.
    let ran = auth(&registry).env("REGISTRY_USERNAME", "").env("REGISTRY_PASSWORD", "").run();
    assert_eq!(ran.code(), "credential-missing");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let registry = basic();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{\"auths\": {").unwrap();
    let ran = with(auth(&registry), folder.path()).run();
    insta::assert_snapshot!(look(&registry, folder.path(), &ran));
}

#[test]
fn auth_says_what_is_granted_and_what_is_not() {
    let rules = one_user("robot", "secret").user("reader", "secret", Rights::PULL).anonymous(Rights::PULL);
    let registry = filled(Registry::bearer(rules));
    let push = || auth(&registry).args(["--action", "push"]);
    let granted = |ran: &Ran| ran.result()["granted"].clone();
    assert_eq!(granted(&push().login("robot", "secret").run()), json!(["repository:acme/app:pull,push"]));
    let ran = push().login("reader", "secret").run();
    assert_eq!((granted(&ran), ran.warnings()), (json!(["repository:acme/app:pull"]), vec!["not-granted".to_owned()]));
    assert_eq!(ran.result()["missing"], json!(["repository:acme/app:push"]));
    let partial = look(&registry, Path::new("/none"), &ran);
    let quiet = push().login("reader", "secret").args(["--text", "--quiet"]).run();
    assert_eq!(quiet.stdout, "repository:acme/app:pull\n");
    let ran = push().run();
    assert_eq!((ran.result()["source"].as_str(), ran.result()["identity"].as_str()), (Some("anonymous"), None));
    // A registry alone: what it asks for, and nothing about rights.
    let ran = tagwright(["auth", &registry.host()]).login("robot", "secret").run();
    assert_eq!(ran.result()["granted"], json!([]));
    // A password on every request says nothing about pushing.
    let plain = basic();
    let ran = auth(&plain).args(["--action", "push"]).login("robot", "secret").run();
    assert_eq!((granted(&ran), ran.warnings()), (json!(["repository:acme/app:pull"]), vec!["push-unknown".to_owned()]));
    assert_eq!(ran.result()["missing"], json!([]));
    let basic = look(&plain, Path::new("/none"), &ran);
    // No credential asked for.
    let open = filled(Registry::start());
    let ran = auth(&open).login("robot", "secret").run();
    assert_eq!((ran.result()["challenge"].as_str(), ran.result()["source"].as_str()), (Some("none"), None));
    assert_eq!(auth(&open).args(["--action", "push"]).run().warnings(), ["push-unknown"]);
    insta::assert_snapshot!([partial, basic, look(&open, Path::new("/none"), &ran)].join("\n\n"));
}

#[test]
fn what_no_token_tells_is_tried_by_reading() {
    let registry = bearer();
    registry.tokens().hook(|_| Some(Reply::json(&json!({"token": "opaque"}))));
    registry.before(|asked, _| {
        let is_read = asked.path.ends_with("/tags/list") && asked.bearer() == Some("opaque");
        is_read.then(|| Reply::json(&json!({"name": APP, "tags": ["1"]})))
    });
    let ran = auth(&registry).login("robot", "secret").run();
    let granted = ran.result()["granted"].clone();
    assert_eq!((granted, ran.warnings()), (json!(["repository:acme/app:pull"]), Vec::<String>::new()), "{ran}");
    let registry = basic();
    registry.fail(9, "GET", "/tags/list", Reply::error(403, "DENIED", "not the list"));
    let ran = auth(&registry).login("robot", "secret").run();
    assert_eq!((&ran.result()["granted"], ran.warnings()), (&json!([]), vec!["not-granted".to_owned()]), "{ran}");
}

#[test]
fn a_token_server_without_get_gets_a_form() {
    let registry = bearer();
    registry.tokens().hook(|asked| (asked.method == "GET").then(|| Reply::status(405)));
    let ran = tagwright(["labels", &registry.name("acme/app:1")]).login("robot", "secret").run();
    ran.result();
    let log = registry.tokens().log();
    assert_eq!((log.method("GET"), log.method("POST")), (1, 1));
}

#[test]
fn tokens_come_under_either_key_and_with_or_without_an_end() {
    for (key, expires_in) in [("token", Some(300)), ("access_token", None), ("access_token", Some(1))] {
        let rules = Rules { key: key.to_owned(), expires_in, ..one_user("robot", "secret") };
        let registry = filled(Registry::bearer(rules));
        tagwright(["labels", &registry.name("acme/app:1")]).login("robot", "secret").run().result();
    }
}

#[test]
fn several_challenges_are_answered_by_the_one_that_can_be() {
    let registry = Registry::with(Options { auth: Auth::Basic("robot".into(), "secret".into()), ..Options::default() });
    push(&registry, APP, &["1"]);
    registry.after(|_, _, reply| {
        if reply.status == 401 {
            *reply = reply.clone().set("WWW-Authenticate", "Negotiate, Digest realm=\"a, b\", Basic realm=\"c\"");
        }
    });
    let result = auth(&registry).login("robot", "secret").run().result();
    assert_eq!(result["challenge"], "basic");
}

#[test]
fn a_credential_of_a_kind_that_the_registry_does_not_take_is_named_by_its_kind() {
    let registry = basic();
    let folder = config(&json!({"auths": {registry.host(): {"identitytoken": "marked"}}}));
    let ran = with(auth(&registry), folder.path()).run();
    assert_eq!(ran.code(), "credential-missing", "{ran}");
    assert!(
        ran.stderr.contains("asked for a user name and a password, and what was found is an identity token"),
        "{ran}"
    );
}

#[test]
fn an_identity_token_that_is_refused_is_called_one_with_the_way_to_another() {
    let registry = bearer();
    let folder = config(&json!({"auths": {registry.host(): {"identitytoken": "marked"}}}));
    let ran = with(auth(&registry), folder.path()).run();
    assert_eq!(ran.code(), "unauthenticated", "{ran}");
    assert!(ran.stderr.contains("did not accept the identity token from"), "{ran}");
    assert!(ran.error()["hint"].as_str().unwrap().starts_with("log in again with the tool that wrote it"), "{ran}");
}

#[test]
fn a_right_that_is_missing_is_told_without_another_token() {
    let registry = bearer();
    registry.fail(9, "GET", "/blobs/", Reply::error(403, "DENIED", "not for you"));
    let ran = tagwright(["labels", &registry.name("acme/app:1")]).login("robot", "secret").run();
    let (log, tokens) = (registry.log(), registry.tokens().log());
    assert_eq!((ran.code().as_str(), log.matching("GET", "/blobs/"), tokens.count()), ("denied", 1, 1), "{ran}");
}

#[test]
fn a_credential_that_docker_hub_does_not_accept_is_shown_once_and_nothing_is_asked_without_it() {
    let docker = DockerHub::start(one_user("robot", "secret").anonymous(Rights::PULL));
    push(&docker.registry, APP, &["1"]);
    let ran = docker.reach(tagwright(["labels", "acme/app:1"])).login("robot", "wrong").run();
    let log = docker.registry.log();
    assert_eq!((ran.code().as_str(), log.matching("GET", "/token"), log.count()), ("unauthenticated", 1, 1), "{ran}");
}

#[test]
fn a_repository_that_asks_for_nothing_does_without_what_its_neighbour_asks_for() {
    let registry = Registry::start();
    push(&registry, APP, &["2026.34.101"]);
    registry.before(|asked, _| {
        let is_closed = asked.path.starts_with("/v2/acme/app/") && asked.basic().is_none();
        is_closed.then(|| Reply::status(401).header("WWW-Authenticate", "Basic realm=\"tests\""))
    });
    let name = registry.name(APP);
    let folder = config(&json!({"auths": {name.as_str(): {"auth": base64(b"robot:secret")}}}));
    let run = tagwright(["promote", &name, "--build", "101", "--into", &registry.name("open/app")]);
    let ran = run.env("REGISTRY_AUTH_FILE", folder.path().join("config.json").into_os_string()).run();
    assert_eq!(ran.result()["tags"][0]["action"], "created", "{ran}");
}

#[test]
fn a_refusal_names_who_was_refused_and_speaks_of_what_was_asked_about() {
    for registry in [basic(), bearer()] {
        let of = |object: &str| tagwright(["auth", object]).login("robert", "wrong").run();
        for ran in [of(&registry.host()), of(&registry.name(APP))] {
            let error = ran.error();
            assert_eq!(ran.code(), "unauthenticated", "{ran}");
            assert!(
                error["message"].as_str().unwrap().contains("credential of `robert` from the environment"),
                "{ran}"
            );
            assert!(!error["hint"].as_str().unwrap().contains("repository"), "{ran}");
        }
    }
}

#[test]
fn a_helper_that_is_not_there_is_named_with_the_way_out() {
    let registry = basic();
    let folder = config(&json!({"credHelpers": {registry.host(): "gone"}}));
    let own = with(auth(&registry), folder.path()).run();
    let folder = config(&json!({"credsStore": "gone"}));
    let ran = with(auth(&registry), folder.path()).run();
    assert_eq!((own.code(), ran.code()), ("credential-missing".to_owned(), "credential-missing".to_owned()));
    let file = folder.path().join("config.json").display().to_string();
    let install = "install `docker-credential-gone` in a folder of the `PATH`, or take it out of ";
    assert!(own.error()["hint"].as_str().unwrap().starts_with(install), "{own}");
    let warning = ran.json()["warnings"][0]["message"].as_str().unwrap().to_owned();
    assert!(warning.contains(&format!("named in `{file}`; {install}")), "{ran}");
}

#[test]
fn a_pair_that_only_lacks_the_name_of_its_registry_is_told_so() {
    let registry = filled(Registry::basic("robot", "secret"));
    let source = registry.name("acme/app:1");
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| tagwright([]).args(words.to_vec()).login("robot", "secret").folder(folder.path()).run();
    run(&["promote", &source, "--move", "latest", "--record", "r"]).result();
    let ran = run(&["rollback", "--record", "r"]);
    let hint = format!("set `REGISTRY_HOST` to `{}` if `REGISTRY_USERNAME` is for it, or name the", registry.host());
    assert!(ran.error()["hint"].as_str().unwrap().starts_with(&hint), "{ran}");
}

fn typed(registry: &Registry, password: impl Into<Vec<u8>>) -> Tagwright {
    auth(registry).args(["--username", "robot", "--password-stdin"]).stdin(password)
}

#[test]
fn a_password_comes_by_standard_input_and_stands_in_for_the_pair_of_the_environment() {
    let registry = bearer();
    for password in ["secret", "secret\n", "secret\r\n"] {
        let result = typed(&registry, password).run().result();
        assert_eq!((&result["source"], &result["identity"]), (&json!("standard input"), &json!("robot")));
    }
    typed(&registry, "secret").login("other", "wrong").run().result();
    let ran = typed(&registry, "wrong\n").login("robot", "secret").run();
    let message = ran.error()["message"].as_str().unwrap().to_owned();
    assert!(ran.code() == "unauthenticated" && message.contains("of `robot` from standard input"), "{ran}");
    registry.clear();
    let ran = typed(&registry, "secret").env("REGISTRY_HOST", "elsewhere.example").run();
    assert_eq!((ran.code().as_str(), registry.log().count()), ("credential-host-mismatch", 0), "{ran}");
}

#[test]
fn what_cannot_be_a_password_is_refused_with_the_recipe_before_any_packet() {
    let registry = basic();
    for (password, code) in [
        (Vec::new(), "missing-value"),
        (b"\n".to_vec(), "missing-value"),
        (b"one\ntwo\n".to_vec(), "request-invalid"),
        (b"caf\xe9".to_vec(), "request-invalid"),
        (vec![b'x'; (64 << 10) + 1], "request-invalid"),
    ] {
        let ran = typed(&registry, password).run();
        assert_eq!((ran.code().as_str(), ran.exit), (code, Some(2)), "{ran}");
        assert!(ran.error()["hint"].as_str().unwrap().contains("read -rs"), "{ran}");
    }
    let shown = auth(&registry).args(["--username", "robot", "--password-stdin"]).typed().on_terminal(80);
    assert!(shown.exit == Some(2) && shown.text.contains("terminal") && shown.text.contains("read -rs"), "{shown:?}");
    let app = registry.name(APP);
    for (words, code) in [
        (vec!["tags", &app, "--username", "robot"], "missing-value"),
        (vec!["tags", &app, "--password-stdin"], "missing-value"),
        (vec!["tags", &app, "--username", "a:b", "--password-stdin"], "request-invalid"),
        (vec!["rollback", &app, "--record", "-", "--username", "robot", "--password-stdin"], "request-invalid"),
        (vec!["tags", &app, "--username", "a", "--password-stdin", "--credentials-from", "aws"], "request-invalid"),
        (vec!["call", "--username", "robot"], "unknown-flag"),
        (vec!["call", "--password-stdin"], "unknown-flag"),
        (vec!["tags", &app, "--password", "hunter2"], "unknown-flag"),
    ] {
        let ran = tagwright([]).args(words).stdin("secret").run();
        assert_eq!((ran.code().as_str(), ran.exit), (code, Some(2)), "{ran}");
        assert!(!ran.stdout.contains("hunter2"), "{ran}");
    }
    for key in ["username", "passwordStdin"] {
        let request = json!({"command": "tags", "args": {"repository": app, key: "robot"}}).to_string();
        let ran = tagwright(["call"]).env("TAGWRIGHT_REQUEST", request).run();
        let hint = ran.json()["error"]["hint"].as_str().unwrap().to_owned();
        assert!(ran.json()["error"]["code"] == "unknown-key" && hint.contains("REGISTRY_USERNAME"), "{ran}");
    }
    assert_eq!(registry.log().count(), 0);
}
