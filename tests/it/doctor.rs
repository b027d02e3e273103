//! `doctor`: every check on good and on bad days, and what is skipped where one has failed.

use crate::stage::{push, shown};
use crate::support::amazon::{Amazon, HOST};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::http::closed_port;
use crate::support::proxy::Proxy;
use crate::support::registry::{Auth, Options, Registry, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::tls::Authority;
use crate::support::token::Rights;
use std::time::SystemTime;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

const APP: &str = "acme/app";
const VERSIONS: [&str; 3] = ["2026.34.101", "2026.34.102", "latest"];

fn doctor(registry: &Registry) -> Tagwright {
    tagwright(["doctor", &registry.name(APP), "--action", "push"])
}

/// Each check with what came of it.
fn states(ran: &Ran) -> Vec<String> {
    let result = ran.json()["result"].clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    result["checks"].as_array().unwrap().iter().map(|one| text(&one["name"]) + " " + &text(&one["state"])).collect()
}

/// One check.
fn check(ran: &Ran, name: &str) -> (String, String) {
    let result = ran.json()["result"].clone();
    let one = result["checks"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    (text("state"), format!("{} | {}", text("message"), text("hint")))
}

#[test]
fn a_registry_that_is_as_it_should_be_is_fine_in_every_check() {
    let registry = Registry::bearer(one_user("robot", "secret"));
    push(&registry, APP, &VERSIONS);
    let ran = doctor(&registry).login("robot", "secret").run();
    assert_eq!(ran.exit, Some(0), "{ran}");
    let names = [(registry.host(), "[registry]"), (registry.tokens().host(), "[tokens]")];
    let names: Vec<(&str, &str)> = names.iter().map(|(found, name)| (found.as_str(), *name)).collect();
    insta::with_settings!({filters => [(r"port \d+", "port 5000"), (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[end]")]}, {
        insta::assert_snapshot!(shown(&ran, &names));
    });
    assert_eq!(registry.log().writes(), 0);
    // Whoever gives no credential and is let in all the same has none.
    let open = Registry::bearer(one_user("robot", "secret").anonymous(Rights::PULL));
    push(&open, APP, &VERSIONS);
    let (state, text) = check(&tagwright(["doctor", &open.name(APP)]).run(), "credential");
    assert!(state == "ok" && text.starts_with("none was found, and the registry answers all the same"), "{text}");
    // Without a repository the way and the credential are looked at.
    let ran = tagwright(["doctor", &registry.host()]).login("robot", "secret").run();
    assert_eq!(
        (ran.exit, check(&ran, "credential").0, check(&ran, "tags").0),
        (Some(0), "ok".into(), "skipped".into())
    );
}

#[test]
fn a_terminal_shows_a_line_a_check_with_what_to_do_below() {
    let registry = Registry::basic("robot", "secret");
    push(&registry, APP, &VERSIONS);
    let mut texts = String::new();
    for columns in [80, 120] {
        let run = doctor(&registry).login("robot", "wrong").env("TERM", "dumb");
        let shown = run.on_terminal(columns);
        assert_eq!(shown.exit, Some(4), "{shown:?}");
        assert!(shown.text.lines().all(|line| line.chars().count() <= usize::from(columns)), "{shown:?}");
        texts += &shown.text.replace(&registry.port().to_string(), "55555");
    }
    insta::assert_snapshot!(texts);
    let quiet = doctor(&registry).login("robot", "wrong").args(["--text", "--quiet"]).run();
    let [ok, skipped] = ["ok\n", "skipped\n"].map(|state| move |times| state.repeat(times));
    assert_eq!(quiet.stdout, [ok(3), skipped(1), ok(1), skipped(1), "fail\n".to_owned(), skipped(5)].concat());
}

#[test]
fn a_certificate_is_told_of_before_its_end() {
    for (days, state, told) in [(5, "warn", "valid for 5 days"), (90, "ok", "valid for 90 days")] {
        let authority = Authority::for_days(days);
        let registry = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
        push(&registry, APP, &VERSIONS);
        let run = doctor(&registry).arg("--https");
        let ran = run.clone().arg("--ca-file").arg(authority.ca_file()).run();
        let (is, text) = check(&ran, "tls");
        assert!(is == state && text.contains(told), "{ran}");
        assert!(text.contains("TLS 1.3, signed by `tagwright test authority`"), "{ran}");
        assert_eq!((ran.exit, text.contains("renewed")), (Some(0), state == "warn"), "{ran}");
        let stranger = run.run();
        assert_eq!((stranger.exit, check(&stranger, "tls").0.as_str()), (Some(6), "fail"), "{stranger}");
        assert!(check(&stranger, "tls").1.contains("--ca-file"), "{stranger}");
        assert_eq!(check(&stranger, "registry"), ("skipped".into(), "`tls` has to be right first | ".into()));
    }
    let authority = Authority::for_days(-2);
    let registry = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
    let ran = doctor(&registry).arg("--https").arg("--ca-file").arg(authority.ca_file()).run();
    assert!(check(&ran, "tls").1.contains("has expired"), "{ran}");
}

#[test]
fn a_clock_that_is_wrong_is_told_with_how_much() {
    let format =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let now = OffsetDateTime::from(SystemTime::now());
    for (theirs, state, told) in [
        (now - Duration::days(1), "warn", "s ahead of that of the registry | set the clock"),
        (now + Duration::days(1), "warn", "s behind that of the registry | set the clock"),
        (now, "ok", " s from that of the registry | "),
    ] {
        let registry = Registry::start();
        push(&registry, APP, &VERSIONS);
        let date = theirs.format(format).unwrap();
        registry.after(move |asked, _, reply| {
            if asked.path == "/v2/" {
                *reply = reply.clone().header("Date", &date);
            }
        });
        let ran = doctor(&registry).run();
        let (is, text) = check(&ran, "clock");
        assert!(is == state && text.contains(told), "{ran}");
        assert_eq!(ran.exit, Some(0));
    }
}

#[test]
fn the_first_check_that_fails_decides_the_status_and_what_needs_it_is_skipped() {
    let closed = closed_port().to_string();
    let ran = tagwright(["doctor", &format!("{closed}/acme/app")]).run();
    assert_eq!((ran.exit, check(&ran, "connection").0.as_str()), (Some(6), "fail"), "{ran}");
    assert_eq!(states(&ran).iter().filter(|one| one.ends_with(" skipped")).count(), 9, "{ran}");

    let ran = tagwright(["doctor", "registry.invalid/acme/app"]).run();
    assert_eq!((ran.exit, check(&ran, "name").0.as_str()), (Some(6), "fail"), "{ran}");

    let registry = Registry::basic("robot", "secret");
    push(&registry, APP, &VERSIONS);
    for (run, exit) in [(doctor(&registry).login("robot", "wrong"), 4), (doctor(&registry), 4)] {
        let ran = run.run();
        assert_eq!((ran.exit, check(&ran, "credential").0.as_str()), (Some(exit), "fail"), "{ran}");
        assert_eq!(check(&ran, "tags").1, "`credential` has to be right first | ", "{ran}");
    }
    registry.clear();
    let ran = doctor(&registry).login("robot", "secret").env("REGISTRY_HOST", "elsewhere.example").run();
    assert_eq!((ran.exit, registry.log().count(), check(&ran, "name").0.as_str()), (Some(5), 0, "skipped"), "{ran}");

    let registry = Registry::start();
    registry
        .before(|asked, _| (asked.path == "/v2/").then(|| Reply::with(200, "text/html", "<html>").fault(Fault::Hang)));
    let ran = doctor(&registry).args(["--timeout", "1"]).run();
    assert_eq!((ran.exit, check(&ran, "registry").0.as_str()), (Some(6), "fail"), "{ran}");
    let registry = Registry::start();
    registry.before(|asked, _| (asked.path == "/v2/").then(|| Reply::error(403, "DENIED", "not from here")));
    let ran = doctor(&registry).run();
    assert!(ran.exit == Some(4) && check(&ran, "registry").1.contains("not from here"), "{ran}");
    // What asks for a login says how, and what says how and lets nobody in is no registry's entrance either.
    for reply in [Reply::status(401), Reply::status(403).header("WWW-Authenticate", "Basic realm=\"x\"")] {
        let registry = Registry::start();
        registry.before(move |asked, _| (asked.path == "/v2/").then(|| reply.clone()));
        let ran = doctor(&registry).run();
        assert_eq!((ran.exit, check(&ran, "registry").0.as_str()), (Some(4), "fail"), "{ran}");
    }
}

#[test]
fn a_missing_right_is_told_without_a_write() {
    let rules = one_user("robot", "secret").user("reader", "secret", Rights::PULL);
    let registry = Registry::bearer(rules);
    push(&registry, APP, &VERSIONS);
    let ran = doctor(&registry).login("reader", "secret").run();
    let (state, text) = check(&ran, "push");
    assert!(ran.exit == Some(4) && state == "fail", "{ran}");
    assert!(text.contains("lent without `repository:acme/app:push` | give `reader` the right to push"), "{ran}");
    assert_eq!(check(&ran, "tags").0, "ok", "{ran}");
    let ran = tagwright(["doctor", &registry.name("acme/none")]).login("reader", "secret").run();
    assert!(ran.exit == Some(3) && check(&ran, "tags").0 == "fail", "{ran}");
    registry.fail(100, "GET", "/tags/list", Reply::error(403, "DENIED", "no list"));
    let ran = doctor(&registry).login("reader", "secret").run();
    let (state, text) = check(&ran, "pull");
    assert!(state == "ok" && text.starts_with("granted: ") && text.contains("pull"), "{ran}");
    let registry = Registry::bearer(one_user("robot", "secret").user("nobody", "secret", Rights::NONE));
    push(&registry, APP, &VERSIONS);
    let ran = doctor(&registry).login("nobody", "secret").run();
    let expected = "only reading tells, and the list of tags could not be read | ";
    assert_eq!(check(&ran, "pull"), ("skipped".into(), expected.into()), "{ran}");
    let registry = Registry::basic("robot", "secret");
    push(&registry, APP, &VERSIONS);
    let ran = doctor(&registry).login("robot", "secret").run();
    assert_eq!((ran.exit, check(&ran, "push").0.as_str(), registry.log().writes()), (Some(0), "skipped", 0), "{ran}");
}

#[test]
fn a_limit_that_is_nearly_used_up_is_told() {
    let registry = Registry::start();
    push(&registry, APP, &VERSIONS);
    for (left, state) in [("3", "warn"), ("90", "ok")] {
        registry.after(move |_, _, reply| {
            *reply = reply.clone().set("RateLimit-Limit", "100;w=21600").set("RateLimit-Remaining", left);
        });
        let ran = doctor(&registry).run();
        let (is, text) = check(&ran, "limits");
        assert!(is == state && text.starts_with(&format!("{left} of 100 in 6 h are left")), "{ran}");
    }
}

#[test]
fn a_proxy_is_named_with_its_variable() {
    let authority = Authority::for_names(&["reg.example"]);
    let registry = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
    push(&registry, APP, &VERSIONS);
    let proxy = Proxy::start([("reg.example:443", registry.port())]);
    let run = |url: &str| {
        let run = tagwright(["doctor", "reg.example/acme/app", "--ca-file"]).arg(authority.ca_file());
        run.env("https_proxy", url).run()
    };
    let ran = run(&proxy.url());
    assert!(ran.exit == Some(0) && check(&ran, "proxy").1.contains("named by `https_proxy`"), "{ran}");
    assert_eq!(check(&ran, "connection").1, "port 443 by way of the proxy | ", "{ran}");
    let ran = run(&format!("http://{}", closed_port()));
    assert!(ran.exit == Some(6) && check(&ran, "connection").1.contains("https_proxy"), "{ran}");
    let ran = run("socks5://p:1");
    assert_eq!((ran.exit, check(&ran, "proxy").0.as_str()), (Some(2), "fail"), "{ran}");
}

#[test]
fn what_goes_in_the_clear_is_told_unless_it_stays_on_this_machine() {
    let registry = Registry::start();
    push(&registry, APP, &VERSIONS);
    let proxy = Proxy::start([("reg.example:80", registry.port())]);
    let words = ["doctor", "reg.example/acme/app", "--plain-http", "reg.example"];
    let far = tagwright(words).env("http_proxy", proxy.url()).run();
    let (state, text) = check(&far, "tls");
    assert!(far.exit == Some(0) && state == "warn" && text.starts_with("plain HTTP: everything can be read"), "{far}");
    let near = doctor(&registry).run();
    assert_eq!(check(&near, "tls"), ("skipped".into(), "plain HTTP on this machine | ".into()), "{near}");
}

#[test]
fn amazon_is_asked_who_one_is_and_whether_latest_may_be_moved() {
    let amazon = Amazon::start();
    VERSIONS.iter().for_each(|tag| drop(amazon.push("team/app", tag, &crate::stage::image("abc"))));
    let ran = amazon.signed(["doctor", &format!("{HOST}/team/app")]).run();
    assert_eq!(ran.exit, Some(0), "{ran}");
    assert!(check(&ran, "credential").1.contains("arn:aws:"), "{ran}");
    assert_eq!(check(&ran, "immutability"), ("ok".into(), "`latest` may be moved | ".into()), "{ran}");
    let calls = amazon.calls();
    assert!(!calls.iter().any(|call| call.contains("Put") || call.contains("Upload")), "{calls:?}");
}

#[test]
fn a_hostile_registry_gets_the_doctor_neither_to_hand_over_a_credential_nor_to_break() {
    let behind =
        Registry::with(Options { auth: Auth::Basic("robot".into(), "a long secret".into()), ..Options::default() });
    push(&behind, APP, &VERSIONS);
    let leads = |part: &'static str| {
        let registry = Registry::start();
        let url = behind.url();
        registry.before(move |asked, _| {
            asked.path.contains(part).then(|| Reply::redirect(307, &format!("{url}{}", asked.path)))
        });
        registry
    };
    let says = |reply: fn() -> Reply| {
        let registry = Registry::start();
        registry.before(move |_, _| Some(reply()));
        registry
    };
    let huge = || {
        let reply = Reply::json(&serde_json::json!({"name": APP, "tags": ["\u{1b}[2Jlatest"]}));
        let reply = reply.header("RateLimit-Limit", "99999999999999999999;w=99999999999999999999");
        reply.header("Date", "Fri, 31 Dec 9999 23:59:59 GMT").header("WWW-Authenticate", "Basic realm=\"\u{9b}31m\"")
    };
    let registries = [
        leads("/v2/"),
        leads("/tags/list"),
        leads("/referrers/"),
        says(huge),
        says(|| Reply::status(401)),
        says(|| Reply::status(200).body("{")),
        says(|| Reply::broken(Fault::Hang)),
    ];
    for registry in registries {
        let ran = doctor(&registry).login("robot", "a long secret").args(["--timeout", "3", "--retries", "0"]).run();
        assert!(states(&ran).len() >= 12 && ran.exit != Some(70), "{ran}");
        assert!(!ran.stdout.contains(['\u{1b}', '\u{9b}']) && !ran.stderr.contains(['\u{1b}', '\u{9b}']), "{ran}");
        assert_eq!(registry.log().writes(), 0, "{ran}");
    }
    assert!(behind.log().count() > 0);
    assert!(behind.log().0.iter().all(|one| one.asked.header("Authorization").is_none()), "a credential went behind");
}
