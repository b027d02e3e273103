//! The leak test: every command at `--verbose`, with marked secrets, against servers that repeat what they are sent.
//!
//! Beside the marks, whatever the servers found in `Authorization` and in the bodies of logins counts as secret, so that
//! tokens made up on the way are looked for too.

use crate::stage::{DockerHub, push};
use crate::support::cmd::{Ran, Tagwright, binary, tagwright};
use crate::support::http::closed_port;
use crate::support::hub::{Hub, HubTag, Options as HubOptions, Source};
use crate::support::log::{Asked, Log};
use crate::support::proxy::Proxy;
use crate::support::registry::{Auth, Options, Registry, one_user};
use crate::support::reply::Reply;
use crate::support::text::{base64, base64_url, form};
use crate::support::token::Rules;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

/// A password that has another spelling in JSON, in an address and in ASCII.
const PASSWORD: &str = "MARKpassword \"&%ö/1";
const IDENTITY: &str = "MARKidentity+token/1=";
const REGISTRY_TOKEN: &str = "MARKregistry-token.1";
const PAT: &str = "dckr_pat_MARKpat_1";

/// The mark in every secret that a test makes up.
const MARK: &str = "MARK";

fn check(ran: &Ran, log: &Log) {
    let mut secrets: BTreeSet<String> = BTreeSet::from([MARK.to_owned()]);
    for one in &log.0 {
        if let Some(value) = one.asked.header("Authorization") {
            secrets.extend(value.split(' ').map(str::to_owned).filter(|word| word.len() > 8));
        }
        let body = String::from_utf8_lossy(&one.asked.body);
        for (name, value) in form(&body) {
            if ["password", "refresh_token"].contains(&name.as_str()) {
                secrets.insert(value);
            }
        }
    }
    for secret in &secrets {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "`{secret}` got out: {ran}");
    }
}

/// A key that signs.
const SIGNING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys/p256.key");

/// Every command as its words.
fn commands(repository: &str) -> Vec<Vec<String>> {
    let tagged = format!("{repository}:2026.34.101");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    vec![
        words(&["labels", &tagged]),
        words(&["inspect", &tagged]),
        words(&["find-tag", repository, "--build", "101"]),
        words(&["tags", repository]),
        words(&["next-version", repository, "--build", "103", "--at", "2026-08-21"]),
        words(&["promote", &tagged]),
        words(&["promote", &tagged, "--dry-run"]),
        words(&["promote", &tagged, "--attach-record"]),
        words(&["promote", &tagged, "--attach-record", "--sign-record", SIGNING]),
        words(&["release", "-"]),
        words(&["rollback", repository, "--record", "-"]),
        words(&["history", repository]),
        words(&["history", repository, "--verify-key", &SIGNING.replace(".key", ".pub")]),
        words(&["board", repository]),
        words(&["diff", &tagged, &tagged]),
        words(&["rate-limit", repository]),
        words(&["auth", repository, "--action", "push"]),
        words(&["doctor", repository, "--action", "push"]),
        words(&["auth", repository.split('/').next().unwrap()]),
    ]
}

/// The record of a promotion that created a tag.
fn record(repository: &str) -> String {
    let digest = format!("sha256:{}", "b".repeat(64));
    let tag = json!({"tag": "2026.34.101", "before": null, "action": "created"});
    let nobody = json!({"registry": repository});
    json!({
        "schema": 1, "state": "done", "command": "promote", "at": "2026-08-20T10:00:00Z", "repository": repository,
        "tool": "tagwright 0.1.0", "copied": {"blobs": 0, "mounted": 0, "skipped": 0, "bytes": 0},
        "referrers": {"copied": 0, "left": 0}, "rollback": [], "claimed": {},
        "identity": {"source": nobody, "target": nobody},
        "source": {"reference": repository, "digest": digest, "mediaType": ""}, "tags": [tag],
    })
    .to_string()
}

/// Runs every command, and one of them through `call`; `set` adds the credential.
fn run_all(repository: &str, set: &dyn Fn(Tagwright) -> Tagwright, see: &mut dyn FnMut(&Ran)) {
    for words in commands(repository) {
        let is_release = words[0] == "release";
        let run = set(tagwright([]).args(words).args(["--verbose", "--retries", "0"]));
        let list = json!([{"image": format!("{repository}:2026.34.101")}]).to_string();
        // A list chooses no registry for a credential.
        let host = repository.split('/').next().filter(|host| host.contains(['.', ':'])).unwrap_or("docker.io");
        let run = if is_release { run.stdin(list).env("REGISTRY_HOST", host) } else { run.stdin(record(repository)) };
        see(&run.run());
    }
    let args = json!({"image": format!("{repository}:2026.34.101"), "verbose": true, "retries": 0});
    let request = json!({"command": "promote", "args": args}).to_string();
    see(&set(tagwright(["call"]).env("TAGWRIGHT_REQUEST", request)).run());
}

/// What was sent along, as a server repeats it.
fn echo(asked: &Asked) -> String {
    let sent = asked.header("Authorization").unwrap_or_default();
    let plain = asked.basic().map(|(user, password)| format!("{user}:{password}")).unwrap_or_default();
    format!("{sent} {plain} {}", String::from_utf8_lossy(&asked.body))
}

/// The same where a header field has to hold it: as it is, or as in an address.
fn header_safe(text: &str) -> String {
    if text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return text.to_owned();
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A way to answer badly, given what was asked.
type Bad = fn(&Asked) -> Reply;

/// Ways in which a server repeats what it was sent.
const BAD: &[(&str, Bad)] = &[
    ("401", |asked| {
        Reply::error(401, &echo(asked), &echo(asked)).header(
            "WWW-Authenticate",
            format!("Bearer realm=\"http://127.0.0.1:1/{}\"", header_safe(&echo(asked)).replace('"', "")),
        )
    }),
    ("401 of another scheme", |asked| {
        let words = header_safe(&echo(asked)).replace('"', "");
        Reply::error(401, "UNAUTHORIZED", &echo(asked)).header("WWW-Authenticate", format!("Negotiate x=\"{words}\""))
    }),
    ("403", |asked| Reply::error(403, "DENIED", &echo(asked)).header("X-Request-Id", header_safe(&echo(asked)))),
    ("404", |asked| Reply::with(404, "text/plain", echo(asked))),
    ("500", |asked| Reply::with(500, "text/html", format!("<h1>{}</h1>", echo(asked)))),
    ("429", |asked| Reply::error(429, "TOOMANYREQUESTS", &echo(asked)).header("Retry-After", "9999")),
    ("a redirect", |asked| {
        let words = crate::support::text::base64_url(echo(asked).as_bytes());
        Reply::redirect(307, &format!("http://127.0.0.1:1/x?sig=MARKsignature&w={words}&{}", asked.query.len()))
    }),
    ("a redirect with user info", |asked| {
        let token = asked.bearer().unwrap_or("none").to_owned();
        Reply::redirect(302, &format!("http://user:MARKuserinfo@127.0.0.1:1/{token}/MARKsegment?token=MARKquery"))
            .set("Location", format!("http://user:MARKuserinfo@127.0.0.1:1/{token}?token=MARKquery"))
    }),
    ("no JSON", |asked| Reply::with(200, "application/json", echo(asked))),
    ("a text for a list", |asked| {
        Reply::json(&json!({"tags": echo(asked), "mediaType": echo(asked), "manifests": echo(asked)}))
    }),
    ("a warning", |asked| {
        Reply::error(404, "NAME_UNKNOWN", &echo(asked))
            .header("Warning", format!("299 - \"{}\"", header_safe(&echo(asked))))
    }),
    ("a next page", |asked| {
        let words = header_safe(&echo(asked)).replace(' ', "");
        Reply::json(&json!({"tags": ["2026.34.101"]}))
            .header("Link", format!("<http://evil.example/{words}?token={words}>; rel=\"next\""))
    }),
];

/// A credential and the registry that takes it.
struct Door {
    name: &'static str,
    registry: Registry,
    folder: tempfile::TempDir,
    env: Vec<(&'static str, String)>,
}

impl Door {
    fn all() -> Vec<Door> {
        let bearer = || Registry::bearer(one_user("robot", PASSWORD).identity_token(IDENTITY, "robot"));
        let env = || vec![("REGISTRY_USERNAME", "robot".to_owned()), ("REGISTRY_PASSWORD", PASSWORD.to_owned())];
        let door = |name, registry: Registry, env: Vec<(&'static str, String)>, entry: Option<serde_json::Value>| {
            push(&registry, "acme/app", &["2026.34.101", "2026.34.102"]);
            let folder = tempfile::tempdir().unwrap();
            let mut env = env;
            if let Some(entry) = entry {
                let config = json!({"auths": {registry.host(): entry}});
                std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
                env.push(("DOCKER_CONFIG", folder.path().display().to_string()));
            }
            Door { name, registry, folder, env }
        };
        let auth = base64(format!("robot:{PASSWORD}").as_bytes());
        let helped = door("helper", bearer(), Vec::new(), None);
        let script = format!(
            "#!/bin/sh\necho \"$0 $*\" > \"{0}/argv\"\ncat > \"{0}/stdin\"\ncat \"{0}/answer\"\n",
            helped.folder.path().display()
        );
        let answer = json!({"ServerURL": helped.registry.host(), "Username": "robot", "Secret": PASSWORD});
        std::fs::write(helped.folder.path().join("answer"), answer.to_string()).unwrap();
        let program = helped.folder.path().join("docker-credential-marked");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = json!({"credHelpers": {helped.registry.host(): "marked"}});
        std::fs::write(helped.folder.path().join("config.json"), config.to_string()).unwrap();
        let folder = helped.folder.path().display().to_string();
        let helped = Door {
            env: vec![("DOCKER_CONFIG", folder.clone()), ("PATH", format!("{folder}:/usr/bin:/bin"))],
            ..helped
        };
        vec![
            door("Basic", Registry::basic("robot", PASSWORD), env(), None),
            door("Bearer", bearer(), env(), None),
            door("config file", bearer(), Vec::new(), Some(json!({"auth": auth}))),
            door("identity token", bearer(), Vec::new(), Some(json!({"identitytoken": IDENTITY}))),
            door("registry token", bearer(), Vec::new(), Some(json!({"registrytoken": REGISTRY_TOKEN}))),
            helped,
        ]
    }

    fn set(&self) -> impl Fn(Tagwright) -> Tagwright {
        let env = self.env.clone();
        move |run| env.iter().fold(run, |run, (name, value)| run.env(name, value))
    }
}

#[test]
fn nothing_gets_out_when_all_is_well() {
    for door in Door::all() {
        let mut good = 0;
        run_all(&door.registry.name("acme/app"), &door.set(), &mut |ran| {
            check(ran, &door.registry.log());
            good += usize::from(ran.exit == Some(0));
        });
        // A made-up registry token opens nothing here; each other door opens for every command.
        assert_eq!(good, if door.name == "registry token" { 0 } else { commands("").len() + 1 }, "{}", door.name);
        if door.name == "helper" {
            let argv = std::fs::read_to_string(door.folder.path().join("argv")).unwrap();
            assert!(argv.ends_with("docker-credential-marked get\n"), "{argv}");
        }
    }
}

#[test]
fn nothing_gets_out_of_registries_that_repeat_it() {
    for (name, bad) in BAD {
        for door in Door::all() {
            // Challenges are sound, so that the credential is sent at all; what is sent is repeated.
            door.registry.before(move |asked, _| asked.header("Authorization").is_some().then(|| bad(asked)));
            run_all(&door.registry.name("acme/app"), &door.set(), &mut |ran| {
                check(ran, &door.registry.log());
                assert!(ran.exit != Some(70) && ran.exit.is_some(), "{name} {}: {ran}", door.name);
            });
        }
    }
}

#[test]
fn nothing_gets_out_of_token_servers_that_repeat_it() {
    for (name, bad) in BAD {
        for door in Door::all().into_iter().filter(|door| !["Basic", "registry token"].contains(&door.name)) {
            door.registry.tokens().hook(move |asked| Some(bad(asked)));
            let set = door.set();
            for words in commands(&door.registry.name("acme/app")).into_iter().take(1) {
                let ran = set(tagwright([]).args(words).args(["--verbose", "--retries", "0"])).run();
                check(&ran, &door.registry.log());
                assert!(ran.error()["hint"].is_string(), "{name} {}: {ran}", door.name);
            }
        }
    }
}

/// Blanks, marks of markup, and letters that have another spelling everywhere.
const SPELLED: &str = "Zq7<kX>9  wP\u{f6}f&\"t/+Lm=\\3Vb~Gh?Y<5Ns";

/// A way to spell a secret.
type Spell = fn(&str) -> String;

/// The ways in which a server may spell what it repeats.
const SPELLINGS: &[(&str, Spell)] = &[
    ("as it is", |secret| secret.to_owned()),
    ("with other blanks", |secret| secret.replace(' ', "\n\t")),
    ("percent in capitals", |secret| percent(secret, "%20", |byte| format!("%{byte:02X}"))),
    ("percent in small letters", |secret| percent(secret, "%20", |byte| format!("%{byte:02x}"))),
    ("every letter percent", |secret| secret.bytes().map(|byte| format!("%{byte:02x}")).collect()),
    ("plus for a blank", |secret| percent(secret, "+", |byte| format!("%{byte:02X}"))),
    ("Base64", |secret| base64(secret.as_bytes())),
    ("Base64 without padding", |secret| base64(secret.as_bytes()).trim_end_matches('=').to_owned()),
    ("Base64 for addresses", |secret| base64_url(secret.as_bytes())),
    ("Base64 among others", |secret| base64_url(format!("{{\"user\":\"robot\",\"is\":\"{secret}\"}}").as_bytes())),
    ("JSON", |secret| json!(secret).to_string()),
    ("JSON fit for markup", |secret| json!(secret).to_string().replace('<', "\\u003c").replace('>', "\\u003E")),
    ("JSON in ASCII", |secret| secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()),
    ("markup", |secret| secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;")),
];

fn percent(text: &str, blank: &str, spell: fn(u8) -> String) -> String {
    let one = |byte: u8| match byte {
        b' ' => blank.to_owned(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => spell(byte),
    };
    text.bytes().map(one).collect()
}

/// Whether a part of a spelled secret that tells something stands in a text.
fn gets_out(spelled: &str, ran: &Ran) -> Option<String> {
    let spelled: Vec<char> = spelled.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    let texts = [ran.stdout.clone(), ran.stderr.clone(), ran.error()["text"].to_string()];
    let mut parts = spelled.windows(5).map(|part| part.iter().collect::<String>());
    parts.find(|part| texts.iter().any(|text| text.contains(part)))
}

#[test]
fn nothing_gets_out_in_any_spelling_wherever_it_is_cut_or_folded() {
    let mut out = Vec::new();
    for (name, spell) in SPELLINGS {
        let spelled = spell(SPELLED);
        // The text is cut after 500 characters: within the secret, too.
        for before in [0, 470, 480, 490] {
            for (form, body) in [
                ("document", json!({"errors": [{"code": "DENIED", "message": "MESSAGE"}]}).to_string()),
                ("text", "MESSAGE".to_owned()),
                ("page", "<html><p>MESSAGE</p></html>".to_owned()),
            ] {
                let registry = Registry::basic("robot", SPELLED);
                let message = format!("no{} {spelled} is not it", "x".repeat(before));
                let message = if form == "document" { json!(message).to_string() } else { format!("\"{message}\"") };
                let body = body.replace("\"MESSAGE\"", &message).replace("MESSAGE", message.trim_matches('"'));
                registry.before(move |asked, _| {
                    asked.header("Authorization").is_some().then(|| Reply::with(403, "text/plain", body.clone()))
                });
                let run = tagwright(["labels", &registry.name("acme/app:1"), "--verbose", "--retries", "0"]);
                let ran = run.login("robot", SPELLED).run();
                assert_eq!(ran.code(), "denied", "{ran}");
                out.extend(gets_out(&spelled, &ran).map(|part| format!("{name}, {form}, {before}: {part}")));
            }
        }
    }
    assert!(out.is_empty(), "{}", out.join("\n"));
}

#[test]
fn what_holds_a_short_password_is_not_quoted() {
    let password = "q9z";
    for (name, bad) in BAD.iter().filter(|(name, _)| !name.contains("redirect")) {
        for registry in [Registry::basic("robot", password), Registry::bearer(one_user("robot", password))] {
            push(&registry, "acme/app", &["2026.34.101", "2026.34.102"]);
            let bad = move |asked: &Asked| asked.header("Authorization").is_some().then(|| bad(asked));
            if registry.has_tokens() {
                registry.tokens().hook(bad);
            } else {
                registry.before(move |asked, _| bad(asked));
            }
            let run = |run: Tagwright| run.login("robot", password);
            run_all(&registry.name("acme/app"), &run, &mut |ran| {
                assert!(!ran.stdout.contains(password) && !ran.stderr.contains(password), "{name}: {ran}");
            });
        }
    }
    // The rest of the answer is told all the same.
    let registry = Registry::basic("robot", password);
    registry.before(|asked, _| asked.header("Authorization").is_some().then(|| Reply::error(403, "DENIED", "no q9z")));
    let ran = tagwright(["labels", &registry.name("acme/app:1")]).login("robot", password).run();
    assert_eq!((&ran.error()["http"]["code"], ran.code().as_str()), (&json!("DENIED"), "denied"), "{ran}");
    assert!(ran.stderr.contains(r#": 403; the registry said: "…""#), "{ran}");
}

#[test]
fn nothing_gets_out_of_a_token_reply_that_is_broken() {
    for reply in [
        r#"{"token":"MARKtoken1","#,
        r#"{"token":"MARKtoken 2"}"#,
        r#"["MARKtoken3"]"#,
        r#""MARKtoken4""#,
        r#"{"token":{"MARKtoken5":1},"expires_in":"MARK"}"#,
        "MARKtoken6",
    ] {
        let registry = Registry::bearer(one_user("robot", PASSWORD));
        push(&registry, "acme/app", &["1"]);
        registry.tokens().hook(move |_| Some(Reply::with(200, "application/json", reply)));
        let ran = tagwright(["labels", &registry.name("acme/app:1"), "--verbose"]).login("robot", PASSWORD).run();
        check(&ran, &registry.log());
        assert_eq!(ran.code(), "reply-malformed", "{ran}");
    }
}

#[test]
fn nothing_gets_out_of_docker_hubs_web_api() {
    let bad: Vec<(&str, Bad)> = BAD.to_vec();
    for (name, bad) in bad {
        for part in ["/auth/token", "/tags"] {
            let docker = DockerHub::start(one_user("robot", PAT));
            push(&docker.registry, "acme/app", &["2026.34.101"]);
            let list = HashMap::from([("acme/app".to_owned(), vec![HubTag::named("2026.34.101")])]);
            let hub = Hub::start(Source::List(list), HubOptions::default().user("robot", PAT));
            hub.hook(move |asked| asked.path.ends_with(part).then(|| bad(asked)));
            for via in [&["--via", "hub-api"][..], &[]] {
                for words in [
                    vec!["tags", "acme/app"],
                    vec!["find-tag", "acme/app", "--build", "101"],
                    vec!["promote", "acme/app", "--build", "101"],
                ] {
                    let run = tagwright([]).args(words).args(via.iter().copied());
                    let run = run.args(["--verbose", "--retries", "0", "--hub-api", &hub.url()]);
                    let ran = docker.reach(run).login("robot", PAT).run();
                    check(&ran, &docker.registry.log().and(hub.log()));
                    // Without `--via` the registry's own list steps in, and the warning quotes the API.
                    let redirected = name.contains("redirect") || name == "404" || name == "a next page";
                    if via.is_empty() && !redirected {
                        assert_eq!(ran.exit, Some(0), "{name} {part}: {ran}");
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_gets_out_of_addresses_with_user_info() {
    for words in [
        vec!["labels", "https://ci:MARK@reg.example/app"],
        vec!["labels", "ci:MARK@reg.example/app:1"],
        vec!["auth", "https://ci:MARK@reg.example"],
        vec!["tags", "acme/app", "--hub-api", "https://ci:MARK@hub.example"],
        vec!["tags", "acme/app", "--plain-http", "http://ci:MARK@reg.example/"],
        vec!["tags", "acme/app", "--plain-http", "ci:MARK@reg.example"],
    ] {
        let ran = tagwright([]).args(words).run();
        assert_eq!(ran.exit, Some(2), "{ran}");
        assert!(!ran.stdout.contains(MARK) && !ran.stderr.contains(MARK), "{ran}");
    }
}

#[test]
fn nothing_gets_out_of_a_proxy_address() {
    let port = closed_port().port();
    let refusing = Proxy::start_with([("registry.example:443", 1)], Some(("robot", "another")));
    for proxy in [
        format!("http://ci:MARKproxy@127.0.0.1:{port}"),
        refusing.url_for("ci", "MARKproxy"),
        "socks5://ci:MARKproxy@127.0.0.1:1080".to_owned(),
        "http://ci:MARKproxy@".to_owned(),
        "ci:MARKproxy@127.0.0.1:port".to_owned(),
    ] {
        let run = tagwright(["labels", "registry.example/acme/app:1", "--verbose", "--retries", "0"]);
        let ran = run.env("HTTPS_PROXY", proxy).run();
        assert!(ran.error()["hint"].is_string(), "{ran}");
        assert!(!ran.stdout.contains(MARK) && !ran.stderr.contains(MARK), "{ran}");
    }
}

#[test]
fn nothing_gets_out_of_credential_files_that_are_broken() {
    let registry = Registry::basic("robot", PASSWORD);
    push(&registry, "acme/app", &["1"]);
    let host = registry.host();
    for config in [
        "{\"auths\": {\"x\": {\"auth\": \"MARK\"".to_owned(),
        "MARK".to_owned(),
        "\"MARK\"".to_owned(),
        json!({"auths": {host.clone(): {"auth": "MARK not base64"}}}).to_string(),
        json!({"auths": {host.clone(): {"auth": base64(b"MARKwithout-colon")}}}).to_string(),
        json!({"auths": {host.clone(): {"auth": "", "username": "MARKuser"}}}).to_string(),
        json!({"auths": {host.clone(): "MARK"}}).to_string(),
        json!({"auths": {host.clone(): {"registrytoken": "MARK with\nnewline"}}}).to_string(),
        json!({"auths": "MARK"}).to_string(),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), &config).unwrap();
        let run = tagwright(["labels", &registry.name("acme/app:1"), "--verbose"]);
        let ran = run.env("DOCKER_CONFIG", folder.path().as_os_str()).run();
        assert_ne!(ran.exit, Some(0), "{config}: {ran}");
        check(&ran, &registry.log());
    }
}

#[test]
fn a_password_on_standard_input_stays_in() {
    for door in Door::all() {
        let words =
            ["labels", &door.registry.name("acme/app:1"), "--verbose", "--username", "robot", "--password-stdin"];
        let ran = tagwright(words).stdin(format!("{PASSWORD}\n")).run();
        check(&ran, &door.registry.log());
    }
}

#[test]
fn a_password_that_is_also_a_word_of_the_output_leaves_it_whole() {
    for password in ["text", "true", "null", "schema", "code", "false", "error", "1234", "labels"] {
        let registry = Registry::basic("robot", password);
        push(&registry, "acme/app", &["1"]);
        let ran = tagwright(["labels", &registry.name("acme/app:2")]).login("robot", password).run();
        assert_eq!(ran.code(), "tag-unknown", "{ran}");
    }
}

#[test]
fn no_secret_stands_in_an_argument_list() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    for door in Door::all() {
        let (found, host) = (seen.clone(), door.registry.host());
        door.registry.before(move |_, _| {
            // Tests beside this one run the program too, with marks in their arguments on purpose.
            found.lock().unwrap().extend(command_lines().into_iter().filter(|line| line.contains(&host)));
            None
        });
        run_all(&door.registry.name("acme/app"), &door.set(), &mut |_| ());
    }
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 20, "only {} command lines were seen", seen.len());
    for line in seen.iter() {
        assert!(!line.contains(MARK) && !line.contains(&base64(PASSWORD.as_bytes())), "{line}");
    }
}

/// The argument list of every process that runs the program now.
fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = processes.filter(|entry| std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == binary()));
    ours.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

#[test]
fn a_login_with_options_of_another_kind_is_looked_for_as_well() {
    // The check itself: what a server saw and a run prints is found.
    let registry = Registry::with(Options { auth: Auth::Bearer(Rules::default()), ..Options::default() });
    push(&registry, "acme/app", &["1"]);
    let ran = tagwright(["labels", &registry.name("acme/app:1")]).login("robot", PASSWORD).run();
    let leaked = Ran { stderr: format!("{} {}", ran.stderr, base64(format!("robot:{PASSWORD}").as_bytes())), ..ran };
    let log = registry.log();
    assert!(std::panic::catch_unwind(|| check(&leaked, &log)).is_err());
}
