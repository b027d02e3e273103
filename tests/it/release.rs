//! `release`: the words and the list, and several images in one run.

use crate::stage::image;
use crate::support::cmd::{Ran, tagwright};
use crate::support::registry::Registry;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;
use tagwright::World;
use tagwright::command::session::Session;

/// A release of this list by words.
fn typed(list: &str, words: &[&str]) -> Ran {
    tagwright(["release", "-"]).args(words.iter().copied()).stdin(list).run()
}

/// The same by a request.
fn called(args: &Value) -> Ran {
    tagwright(["call"]).env("TAGWRIGHT_REQUEST", json!({"command": "release", "args": args}).to_string()).run()
}

/// A part of an error; `call` tells no usage error on stderr.
fn text(ran: &Ran, key: &str) -> String {
    ran.json()["error"][key].as_str().unwrap_or_else(|| panic!("{ran}")).to_owned()
}

/// Two images in one repository each.
fn two() -> Registry {
    let registry = Registry::start();
    for (repository, version) in [("acme/app", "2026.34.103"), ("acme/web", "2026.34.7")] {
        registry.push(repository, version, &image(version));
    }
    registry
}

fn actions(ran: &Ran) -> Vec<String> {
    let result = ran.result();
    let images = result["images"].as_array().unwrap().iter();
    let one = |tag: &Value| format!("{} {}", tag["tag"].as_str().unwrap(), tag["action"].as_str().unwrap());
    images.flat_map(|image| image["tags"].as_array().unwrap().iter().map(one)).collect()
}

#[test]
fn a_list_is_an_array_or_an_object_a_line_in_a_file_on_stdin_or_in_a_request() {
    let registry = two();
    let [app, web] = [
        json!({"image": registry.name("acme/app:2026.34.103")}),
        json!({"repository": registry.name("acme/web"), "build": 7, "to": "{version}-ok"}),
    ];
    let expected = ["2026.34.103-rc created", "latest created", "2026.34.7-ok created"];
    let lines = format!("\u{feff}{app}\r\n\r\n{web}\r\n");
    for list in [json!([app, web]).to_string(), lines] {
        assert_eq!(actions(&typed(&list, &["--dry-run"])), expected);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("set@1.json"), &list).unwrap();
        assert_eq!(actions(&tagwright(["release", "set@1.json", "--dry-run"]).folder(folder.path()).run()), expected);
    }
    let ran = called(&json!({"images": [app, web], "dryRun": true}));
    assert_eq!(actions(&ran), expected);
    assert!(ran.stderr.starts_with("tagwright release --dry-run -- -\n"), "{ran}");
    assert_eq!(registry.log().writes(), 0);
    let ran = called(&json!({"images": [app, web]}));
    assert_eq!(actions(&ran), expected);
    assert_eq!(registry.resolve("acme/web", "2026.34.7-ok"), registry.resolve("acme/web", "2026.34.7"));
    let shown = ran.json().to_string();
    assert!(!shown.contains("images[0]"), "{ran}");
    let quiet = typed(&json!([app, web]).to_string(), &["--text", "--quiet"]).stdout;
    let digests = ["2026.34.103", "2026.34.7"].map(|version| image(version).digest() + "\n");
    assert_eq!(quiet, digests.concat());
}

#[test]
fn a_list_in_a_file_leaves_standard_input_to_a_password() {
    let registry = Registry::basic("ci", "secret");
    registry.push("acme/app", "2026.34.103", &image("103"));
    let folder = tempfile::tempdir().unwrap();
    let list = json!([{"image": registry.name("acme/app:2026.34.103"), "to": "{version}-ok"}]);
    std::fs::write(folder.path().join("set.json"), list.to_string()).unwrap();
    let run = tagwright(["release", "set.json", "--username", "ci", "--password-stdin"]).folder(folder.path());
    assert_eq!(actions(&run.env("REGISTRY_HOST", registry.host()).stdin("secret").run()), ["2026.34.103-ok created"]);
}

#[test]
fn a_flag_holds_for_each_promotion_that_does_not_have_its_key() {
    let registry = two();
    let (app, web) = (registry.name("acme/app"), registry.name("acme/web"));
    let prod = registry.name("prod/web");
    let list = json!([
        {"repository": app, "move": ["stable"]},
        {"image": format!("{web}:2026.34.7"), "into": [{"repository": prod}], "to": ["{tag}"], "noReferrers": false},
    ]);
    let flags = ["--build", "103", "--move", "latest", "--no-referrers", "--jobs", "2", "--newest"];
    let ran = typed(&list.to_string(), &flags);
    // A build beside an image is refused as with `promote`.
    assert_eq!((text(&ran, "code").as_str(), ran.exit), ("request-invalid", Some(2)), "{ran}");
    assert!(text(&ran, "message").starts_with("`images[1]`: "), "{ran}");
    let list = json!([list[0], {"repository": web, "build": 7, "into": prod, "to": ["{tag}"]}]);
    let ran = typed(&list.to_string(), &flags);
    assert_eq!(actions(&ran), ["stable created", "2026.34.7 created", "latest created"]);
    let ran = called(&json!({"images": [{"image": format!("{app}:2026.34.103")}], "jobs": 2}));
    assert_eq!(text(&ran, "code"), "request-invalid", "{ran}");
    assert!(text(&ran, "message").contains("is about another repository, and none is given"), "{ran}");
}

#[test]
fn what_is_wrong_with_a_promotion_is_told_with_its_place() {
    let good = json!({"image": "acme/app:1.2.3"});
    let mut shots = String::new();
    for bad in [
        json!({"image": "acme/app:1.2.3", "mvoe": "latest"}),
        json!({"image": "acme/App:1.2.3"}),
        json!({"image": "acme/app"}),
        json!({"to": "x"}),
        json!({"image": null}),
        json!({"image": "acme/web:1", "to": ""}),
        json!({"image": "acme/web:1", "to": ["a", null]}),
        json!({"image": "acme/web:1", "into": [{"repositry": "acme/x"}]}),
        json!({"image": "acme/web:1", "into": [{}]}),
        json!({"image": "acme/web:1", "into": [{"repository": ""}]}),
        json!({"image": "acme/web:1", "into": ["acme/x", "acme/x"]}),
        json!({"image": "acme/web:1", "record": "file"}),
        json!({"image": "acme/web:1", "dryRun": true}),
        json!({"image": "acme/web:1", "timeout": 5}),
        json!({"image": "acme/web:1", "credentialsId": "hub"}),
        json!({"image": "acme/web:1", "intoAwsRole": "arn:aws:iam::123456789012:role/x"}),
        json!({"image": "acme/web:1", "print": "digest"}),
        json!("acme/web:1"),
        // The same tag twice, as far as that shows.
        json!({"image": "docker.io/acme/app:1.2.4"}),
        json!({"image": "acme/other:2", "into": "acme/app", "to": "1.2.3-rc", "move": "x"}),
    ] {
        let lines = format!("{good}\n\n{bad}\n");
        for (ran, place) in
            [(typed(&lines, &[]), "line 3: "), (called(&json!({"images": [good, bad]})), "`images[1]`: ")]
        {
            assert_eq!(ran.exit, Some(2), "{ran}");
            assert!(text(&ran, "message").starts_with(place), "{ran}");
            let (code, message, hint) = (text(&ran, "code"), text(&ran, "message"), text(&ran, "hint"));
            shots.push_str(&format!("{bad}\n{code}: {message}\n  {hint}\n\n"));
        }
    }
    insta::assert_snapshot!(shots);
}

#[test]
fn what_is_no_list_is_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("latin"), b"{\"image\": \"caf\xe9\"}").unwrap();
    std::fs::write(folder.path().join("large"), vec![b' '; (16 << 20) + 1]).unwrap();
    let file = |name: &str| tagwright(["release", name]).folder(folder.path()).run();
    let one = json!({"image": "acme/app:1"});
    let many = vec![one.to_string(); 1001].join("\n");
    let mut shots = String::new();
    for ran in [
        tagwright(["release"]).run(),
        file("none.json"),
        file("latin"),
        file("large"),
        file("."),
        typed("", &[]),
        typed(" \n\n", &[]),
        typed("[]", &[]),
        typed("- image: acme/app:1\n", &[]),
        typed("{\n  \"image\": \"acme/app:1\"\n}", &[]),
        typed("[{\"image\": \"acme/app:1\"},]", &[]),
        typed(&many, &[]),
        typed(&format!("[{}]", many.replace('\n', ",")), &[]),
        typed(&one.to_string(), &["--username", "ci", "--password-stdin"]),
        typed(&one.to_string(), &["--record", "-"]),
        typed(&one.to_string(), &["more.json"]),
        called(&json!({})),
        called(&json!({"images": null})),
        called(&json!({"images": []})),
        called(&json!({"images": "images.json"})),
        called(&json!({"images": [one], "image": "acme/app:1"})),
        called(&json!({"images": [one], "imagse": 1})),
    ] {
        let (code, message, hint) = (text(&ran, "code"), text(&ran, "message"), text(&ran, "hint"));
        shots.push_str(&format!("{code}, {}: {message}\n  {hint}\n\n", ran.exit.unwrap()));
    }
    insta::assert_snapshot!(shots);
}

#[test]
fn only_what_copies_nothing_is_ended_by_a_time_of_its_own() {
    let world = World {
        environment: BTreeMap::new(),
        log: Box::new(|_| ()),
        stdin: Box::new(|_| Ok(Vec::new())),
        status: None,
        hidden: Default::default(),
        sleep: Box::new(|_| ()),
        started: Instant::now(),
    };
    let one = json!({"image": "acme/app:1"});
    for (command, args, is_ended) in [
        ("release", json!({"images": [one]}), false),
        ("release", json!({"images": [one], "timeout": 5}), true),
        ("promote", json!({"image": "acme/app:1", "into": ["acme/a", "acme/b"]}), false),
        ("promote", one.clone(), true),
    ] {
        let text = json!({"command": command, "args": args}).to_string();
        let (invocation, _) = tagwright::cli::json::invocation(&text).unwrap();
        let session = Session::new(&world, &invocation.common, &invocation.request, None).unwrap();
        assert_eq!(session.exchange.until.is_some(), is_ended, "{text}");
    }
}
