//! Servers that cannot be reached, never answer, or break: what is tried again, and how it ends otherwise.

use crate::faults::{Texts, once, versions};
use crate::stage::{image, push};
use crate::support::cmd::tagwright;
use crate::support::http::closed_port;
use crate::support::image::types;
use crate::support::registry::{Options, Registry, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::tls::Authority;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The port of a server that says this to whoever connects, once, as plain HTTP servers do to a TLS greeting.
fn talks_first(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut greeting = [0; 16];
        let _ = stream.read(&mut greeting);
        let _ = stream.write_all(words);
    });
    port
}

#[test]
fn every_warning_of_a_registry_is_told_once() {
    let registry = Registry::start();
    push(&registry, "acme/app", &["1"]);
    registry.after(|_, _, reply| {
        let text = r#"299 - "full, or \"nearly\" so" "Sat, 25 Aug 2012 23:34:45 GMT", 299 - "moves on Monday""#;
        *reply = reply.clone().header("Warning", text);
    });
    let ran = tagwright(["labels", &registry.name("acme/app:1")]).run();
    let warnings = ran.json()["warnings"].clone();
    let texts: Vec<&str> = warnings.as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
    let said = |text: &str| format!("`{}` says: {text}", registry.host());
    assert_eq!(texts, [said("full, or \"nearly\" so"), said("moves on Monday")]);
}

#[test]
fn a_proxy_that_cannot_be_used_is_told_with_the_variable_that_names_it() {
    let port = closed_port().port();
    for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        let ran =
            once(["labels", "registry.example/acme/app:1"]).env(variable, format!("http://127.0.0.1:{port}")).run();
        let hint = ran.error()["hint"].clone();
        assert!(hint.as_str().unwrap().contains(&format!("check the address in `{variable}`")), "{hint}");
    }
}

#[test]
fn registries_that_cannot_be_reached() {
    let mut texts = Texts::default();
    let port = closed_port().port();
    let name = format!("127.0.0.1:{port}/acme/app:1");
    let authority = Authority::for_names(&["other.example"]);
    let secure = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
    let plain = talks_first(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let there = |registry: &Registry| format!("registry.example:{}", registry.port());
    for (what, words, code) in [
        ("nothing listens", vec!["labels".to_owned(), name.clone()], "unreachable"),
        ("nothing listens", vec!["promote".to_owned(), name, "--to".to_owned(), "x".to_owned()], "unreachable"),
        (
            "TLS from an unknown authority",
            vec!["labels".into(), secure.name("acme/app:1"), "--https".into()],
            "unreachable",
        ),
        (
            "TLS for another name",
            vec![
                "labels".into(),
                format!("{}/acme/app:1", there(&secure)),
                "--resolve".into(),
                format!("{}:127.0.0.1", there(&secure)),
                "--ca-file".into(),
                authority.ca_file().display().to_string(),
            ],
            "unreachable",
        ),
        (
            "no TLS at all",
            vec!["labels".into(), format!("127.0.0.1:{plain}/acme/app:1"), "--https".into()],
            "unreachable",
        ),
        ("TLS where plain HTTP is spoken", vec!["labels".into(), secure.name("acme/app:1")], "reply-malformed"),
    ] {
        texts.0.push_str(&format!("# {what}\n"));
        let ran = once([]).args(words).limit(Duration::from_secs(30)).run();
        texts.check(&ran, code, "acme/app:1", None);
        let ca = authority.ca_file().display().to_string();
        for (found, name) in
            [(secure.port(), "[secure]"), (plain, "[plain]"), (port, "[closed]")].map(|(p, n)| (p.to_string(), n))
        {
            texts.0 = texts.0.replace(&format!(":{found}"), &format!(":{name}")).replace(&ca, "[ca]");
        }
    }
    insta::assert_snapshot!(texts.0);
}

#[test]
fn a_name_that_has_no_address() {
    let ran = once(["labels", "registry.invalid/acme/app:1"]).limit(Duration::from_secs(30)).run();
    let error = ran.error();
    assert!(["unreachable", "timeout"].contains(&error["code"].as_str().unwrap()), "{ran}");
    assert!(error["message"].as_str().unwrap().contains("`registry.invalid/acme/app:1`"), "{ran}");
    assert!(error["hint"].is_string(), "{ran}");
}

#[test]
fn servers_that_accept_and_never_answer() {
    let mut texts = Texts::default();
    let slow = Reply::with(200, types::OCI_MANIFEST, image("x").bytes);
    for (name, reply) in [
        ("no answer", Reply::broken(Fault::Hang)),
        ("no more than the head", slow.clone().fault(Fault::HangAfter(0))),
        ("half the body", slow.clone().fault(Fault::HangAfter(50))),
        ("one byte at a time", slow.fault(Fault::Drip(Duration::from_millis(200)))),
    ] {
        let registry = versions();
        registry.before(move |asked, _| asked.path.contains("/manifests/").then(|| reply.clone()));
        texts.0.push_str(&format!("# {name}\n"));
        for command in ["labels", "promote"] {
            let run = tagwright([command, &registry.name("acme/app:2026.34.101"), "--timeout", "1"]);
            let ran = run.limit(Duration::from_secs(20)).run();
            let mut ignored = Texts::default();
            let shown = if command == "labels" { &mut texts } else { &mut ignored };
            shown.check(&ran, "timeout", "acme/app:2026.34.101", Some(&registry));
        }
    }
    insta::assert_snapshot!(texts.0);
}

/// A read and a write are each tried once more after this answer, and then go through.
fn check_recovery(name: &str, reply: Reply) {
    let registry = versions();
    registry.fail(1, "GET", "/manifests/2026.34.101", reply.clone());
    let ran = tagwright(["labels", &registry.name("acme/app:2026.34.101")]).run();
    assert_eq!(ran.result()["labels"]["git_revision"], "2026.34.101", "{name}: {ran}");
    assert_eq!(registry.log().count(), 3, "{name}: {:#?}", registry.log().lines());

    let registry = versions();
    registry.fail(1, "PUT", "/manifests/", reply);
    let ran = tagwright(["promote", &registry.name("acme/app:2026.34.101"), "--to", "x"]).run();
    assert_eq!(ran.result()["tags"][0]["action"], "created", "{name}: {ran}");
    assert_eq!(ran.result()["tags"][0]["verified"], true);
    assert_eq!(registry.log().method("PUT"), 2, "{name}: {:#?}", registry.log().lines());
    assert_eq!(registry.resolve("acme/app", "x"), registry.resolve("acme/app", "2026.34.101"));
}

#[test]
fn looks_blobs_and_tokens_are_asked_for_again_as_well() {
    let registry = Registry::bearer(one_user("robot", "secret"));
    push(&registry, "acme/app", &["2026.34.101"]);
    let busy = || Reply::status(503);
    registry.fail(1, "HEAD", "/manifests/", busy());
    registry.fail(1, "GET", "/blobs/", busy());
    let mut down = true;
    let failing = std::sync::Mutex::new(move || std::mem::take(&mut down));
    registry.tokens().hook(move |_| (failing.lock().unwrap())().then(|| Reply::broken(Fault::Reset)));
    let words = ["--to", "x", "--require-label", "git_revision=2026.34.101"];
    let run = tagwright(["promote", &registry.name("acme/app:2026.34.101")]).args(words);
    assert_eq!(run.login("robot", "secret").run().result()["tags"][0]["action"], "created");
}

#[test]
fn what_passes_is_waited_for() {
    let busy = |status: u16| Reply::error(status, "UNAVAILABLE", "try again");
    check_recovery("503", busy(503));
    check_recovery("429 with seconds", Reply::status(429).header("Retry-After", "1"));
    check_recovery("429 with zero", Reply::status(429).header("Retry-After", "0"));
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 2;
    check_recovery("429 with a Unix time", Reply::status(429).header("X-Retry-After", soon.to_string()));
    check_recovery("429 with a date", Reply::status(429).header("Retry-After", http_date(soon)));
}

#[test]
fn what_breaks_is_tried_again() {
    check_recovery("reset", Reply::broken(Fault::Reset));
    check_recovery("closed", Reply::broken(Fault::Close));
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, without the right day of the week, which nobody checks.
fn http_date(seconds: u64) -> String {
    let (mut days, clock) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let length = |year: u64| {
        if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) { 366 } else { 365 }
    };
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut month = 0;
    for (at, days_in) in [31, length(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate() {
        month = at;
        if days < days_in {
            break;
        }
        days -= days_in;
    }
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("Thu, {:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", days + 1, names[month])
}

#[test]
fn a_wait_beyond_the_limit_fails_at_once_and_names_the_time() {
    let mut texts = Texts::default();
    let later = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    for (name, value) in
        [("Retry-After", "3600".to_owned()), ("Retry-After", http_date(later)), ("X-Retry-After", later.to_string())]
    {
        let registry = versions();
        let reply = Reply::error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit").header(name, value);
        registry.before(move |_, _| Some(reply.clone()));
        for command in ["labels", "promote"] {
            let ran = tagwright([command, &registry.name("acme/app:2026.34.101")]).limit(Duration::from_secs(20)).run();
            let mut ignored = Texts::default();
            let shown = if command == "labels" && texts.0.is_empty() { &mut texts } else { &mut ignored };
            shown.check(&ran, "rate-limited", "acme/app:2026.34.101", Some(&registry));
            // Nothing is asked again.
            let (lines, mut once) = (registry.log().lines(), registry.log().lines());
            once.sort();
            once.dedup();
            assert_eq!(lines.len(), once.len(), "{lines:#?}");
            registry.clear();
        }
    }
    let at = texts.0.find("again after ").unwrap() + "again after ".len();
    let end = at + texts.0[at..].find(';').unwrap();
    texts.0.replace_range(at..end, "[time]");
    insta::assert_snapshot!(texts.0);
}

#[test]
fn what_does_not_pass_ends_with_its_own_code() {
    let registry = versions();
    registry.before(|_, _| Some(Reply::status(503)));
    let ran = tagwright(["labels", &registry.name("acme/app:1"), "--retries", "1"]).run();
    assert_eq!(ran.code(), "registry-unavailable");
    assert_eq!(registry.log().count(), 2);
    registry.clear();
    let ran = tagwright(["labels", &registry.name("acme/app:1"), "--retries", "0"]).run();
    assert_eq!(ran.code(), "registry-unavailable");
    assert_eq!(registry.log().count(), 1);
}

#[test]
fn a_kept_connection_that_the_server_closed_is_opened_again() {
    let registry = versions();
    registry.after(|_, _, reply| *reply = reply.clone().fault(Fault::CloseLater));
    let ran = once(["labels", &registry.name("acme/app:2026.34.101")]).run();
    ran.result();
    assert_eq!((registry.log().count(), registry.connections()), (2, 2));
    let ran = once(["promote", &registry.name("acme/app:2026.34.101")]).run();
    assert_eq!(ran.result()["tags"][1]["verified"], true);
}

#[test]
fn a_question_on_a_connection_that_the_server_closes_meanwhile_is_asked_again() {
    let registry = Registry::with(Options { page: Some(2), ..Options::default() });
    push(&registry, "acme/app", &["2026.34.101", "2026.34.102", "2026.34.103"]);
    let mut pages = 0;
    registry.before(move |asked, _| {
        pages += usize::from(asked.path.ends_with("/tags/list"));
        (pages == 2).then(|| Reply::broken(Fault::Close))
    });
    once(["tags", &registry.name("acme/app")]).run().result();
    assert_eq!((registry.log().count(), registry.connections()), (3, 2), "{:#?}", registry.log().lines());
}

#[test]
fn chunks_and_bodies_without_a_length_are_sound() {
    for fault in [Fault::Chunked, Fault::Unannounced] {
        let registry = versions();
        let told = fault.clone();
        registry.after(move |asked, _, reply| {
            if asked.method == "GET" {
                *reply = reply.clone().fault(told.clone());
            }
        });
        once(["labels", &registry.name("acme/app:2026.34.101")]).run().result();
        once(["tags", &registry.name("acme/app")]).run().result();
    }
}

#[test]
fn a_body_that_is_announced_too_large_is_not_waited_for() {
    let registry = versions();
    registry.after(|asked, _, reply| {
        if asked.path.ends_with("/tags/list") {
            *reply = reply.clone().fault(Fault::Length(1 << 40));
        }
    });
    let ran = once(["tags", &registry.name("acme/app")]).run();
    assert_eq!(ran.code(), "size-exceeded", "{ran}");
}

#[test]
fn a_port_that_speaks_https_is_known_by_its_words() {
    let registry = Registry::start();
    registry.before(|_, _| Some(Reply::with(400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n")));
    let ran = tagwright(["tags", &registry.name("acme/app")]).run();
    assert_eq!(ran.code(), "reply-malformed", "{ran}");
    assert!(ran.stderr.contains(&format!("hint: speak HTTPS to `{}`: add `--https`", registry.host())), "{ran}");
}
