//! What a person sees: every command's text on a terminal of 80 and of 120 columns, on success and on failure.

use crate::stage::{image, push};
use crate::support::cmd::{Tagwright, tagwright};
use crate::support::image::{Built, Image, Index, descriptor, helm_chart, types};
use crate::support::registry::{Options, Registry};
use crate::support::reply::{Fault, Reply};
use crate::support::token::{Rights, Rules};
use serde_json::json;

const APP: &str = "acme/serviceone";

/// A repository with versions, two platforms behind one of them, and a record of how `latest` came to be.
fn story() -> Registry {
    let registry = Registry::start();
    push(&registry, APP, &["2026.34.101", "2026.34.102", "2026.34.103", "nightly-of-a-branch-with-a-rather-long-name"]);
    let labels = [
        ("git_revision", "41d0aa9f2c"),
        ("org.opencontainers.image.source", "https://git.example/acme/serviceone"),
        ("org.opencontainers.image.description", "several words that do not fit into one line of eighty columns"),
        ("odd", "\u{1b}[31mred\nand a second line"),
    ];
    let labelled =
        |platform: &str| labels.iter().fold(Image::new().platform(platform), |image, (k, v)| image.label(k, v)).build();
    registry.push(APP, "2026.34.104", &Index::of(["linux/amd64", "linux/arm64/v8"].map(labelled)).build());
    let apart = |platform: &str| Image::new().platform(platform).label("platform", platform).build();
    registry.push(APP, "apart", &Index::of(["linux/amd64", "linux/arm64/v8"].map(apart)).build());
    registry.push(APP, "latest", &image("2026.34.101"));
    registry
}

/// What these words show on terminals of both widths, as one text.
fn on_terminals(registry: &Registry, runs: &[Tagwright]) -> String {
    let each = runs.iter().flat_map(|run| [80, 120].map(|columns| on_terminal(registry, run, columns)));
    each.collect()
}

/// What the words show, with the port made the same in every run.
fn on_terminal(registry: &Registry, run: &Tagwright, columns: u16) -> String {
    let shown = run.clone().env("TERM", "dumb").on_terminal(columns);
    assert!(!shown.text.contains("{\""), "JSON: {}", shown.text);
    // One word of a command is never taken apart.
    let is_word = |line: &str| line.trim_end_matches(" \\").split_whitespace().count() == 1;
    let fits = |line: &&str| line.chars().count() <= usize::from(columns) || is_word(line);
    let wide: Vec<&str> = shown.text.lines().filter(|line| !fits(line)).collect();
    assert!(wide.is_empty(), "wider than {columns}: {wide:?}");
    let (line, exit) = (run.line(), shown.exit.unwrap_or(-1));
    let host = registry.name("");
    let host = host.trim_end_matches('/');
    format!("$ {line}   # {columns} columns\n{}(exit {exit})\n\n", shown.text)
        .replace(host, &format!("localhost:{}", "5".repeat(host.len() - "localhost:".len())))
}

#[test]
fn reading_is_text_that_fits() {
    let registry = story();
    let app = registry.name(APP);
    let of = |tag: &str| format!("{app}:{tag}");
    let runs = [
        tagwright(["tags", &app]),
        tagwright(["tags", &app, "--match", "2026.*", "--limit", "2"]),
        tagwright(["tags", &app, "--match", "none"]),
        tagwright(["tags", &app, "--quiet"]),
        tagwright(["find-tag", &app, "--build", "103"]),
        tagwright(["next-version", &app, "--build", "105", "--at", "2026-08-21"]),
        tagwright(["inspect", &of("2026.34.104")]),
        tagwright(["inspect", &of("latest")]),
        tagwright(["diff", &of("2026.34.103"), &of("2026.34.104")]),
        tagwright(["diff", &of("latest"), &of("2026.34.104"), "--quiet"]),
        tagwright(["diff", &of("apart"), &app]),
        tagwright(["diff", &of("2026.34.103"), &of("2026.34.103")]),
        tagwright(["labels", &of("2026.34.104")]),
        tagwright(["labels", &of("2026.34.104"), "--label", "git_revision", "--quiet"]),
        tagwright(["labels", &of("apart"), "--all-platforms"]),
        tagwright(["auth", &app]),
        tagwright(["rate-limit", &app]),
        tagwright(["history", &app]),
        tagwright(["doctor", &app]),
    ];
    insta::with_settings!({filters => [(r"port \d+", "port 55555"), (r"\d s from", "0 s from")]}, {
        insta::assert_snapshot!(on_terminals(&registry, &runs));
    });
}

#[test]
fn since_when_and_what_points_at_it_stand_below_each_other() {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    let built = image("abc");
    registry.push(APP, "latest", &built);
    let annotations = json!({
        "org.opencontainers.image.created": "2026-08-21T10:00:00Z", "vnd.tagwright.promotion.tags": "1-rc latest",
        "vnd.tagwright.promotion.by": "mo\u{1b}[2J",
    });
    let kinds = ["application/vnd.tagwright.promotion.v1+json", "application/spdx+json", "odd\u{202e}type"];
    let mut referrers: Vec<_> = kinds.iter().map(|kind| (*kind, 0)).collect();
    referrers.extend((1..=6).map(|n| ("application/vnd.in-toto+json", n)));
    for (kind, n) in referrers {
        let layer = format!("{kind} {n}").into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "artifactType": kind, "annotations": annotations,
            "config": descriptor(types::OCI_EMPTY, b"{}"), "layers": [descriptor("text/plain", &layer)],
            "subject": descriptor(&built.media_type, &built.bytes),
        });
        let artifact = Built { blobs: vec![layer], ..Built::raw(types::OCI_MANIFEST, manifest.to_string()) };
        registry.state(|state| state.store(APP, &artifact));
    }
    registry.push(APP, "chart", &helm_chart());
    let annotated = Image::new().label("git_revision", "abc").annotations(json!({"vendor": "acme"})).build();
    registry.push(APP, "annotated", &Index::of([annotated]).annotations(json!({"team": "one\u{1b}[2J"})).build());
    let of = |tag: &str| registry.name(&format!("{APP}:{tag}"));
    let mut runs = vec![tagwright(["inspect", &of("latest")]), tagwright(["inspect", &of("chart")])];
    runs.push(tagwright(["labels", &of("annotated"), "--annotations", "--label", "git_revision", "--label", "vendor"]));
    runs[2] = runs[2].clone().args(["--label", "team", "--label", "none", "--default", "no"]);
    insta::assert_snapshot!(on_terminals(&registry, &runs));
}

#[test]
fn a_board_is_a_table_a_repository() {
    let registry = crate::board::filled();
    push(&registry, "acme/web", &["1.2.3", "a-branch-with-a-rather-long-name-that-nobody-types"]);
    push(&registry, "acme/fixed", &["1.2.3"]);
    let of = |name: &str| registry.name(name);
    let all =
        [of(&format!("acme/app:{}", "x".repeat(60))), of("acme/app"), of("acme/web"), of("acme/fixed"), of("acme/no")];
    let folder = tempfile::tempdir().unwrap();
    let runs = [
        tagwright(["board"]).args(&all),
        tagwright(["board", &of("acme/app")]).arg("--quiet"),
        tagwright(["board", &of("acme/web"), "--html", "board"]).folder(folder.path()),
        tagwright(["board", &of("acme/no"), &of("acme/none")]),
    ];
    insta::assert_snapshot!(on_terminals(&registry, &runs));
}

/// With a credential that is for another registry.
fn elsewhere(run: Tagwright) -> Tagwright {
    let pair = run.env("REGISTRY_USERNAME", "mo").env("REGISTRY_PASSWORD", "a long secret");
    pair.env("REGISTRY_HOST", "registry.example")
}

#[test]
fn failing_is_text_that_fits() {
    let registry = story();
    let app = registry.name(APP);
    let of = |tag: &str| format!("{app}:{tag}");
    let runs = [
        tagwright(["labels", &of("apart"), "--label", "platform"]),
        tagwright(["labels", &of("2026.34.104"), "--label", "gitrevision"]),
        tagwright(["inspect", &of("2026.34.999")]),
        tagwright(["find-tag", &app, "--build", "999"]),
        tagwright(["promote", &of("2026.34.101"), "--move", "latest", "--to", "2026.34.102"]),
        tagwright(["promot", &app]),
        tagwright(["promote", &app, "--biuld", "3"]),
        tagwright(["tags", &registry.name("acme/none")]),
        tagwright(["next-version", &app, "--build", "1", "--at", "2026-08-20"]),
        tagwright(["rollback", "--record", "/nowhere/record.jsonl"]),
        tagwright(["history", &registry.name("acme/none")]),
        tagwright(["diff", &of("2026.34.103"), &of("2026.34.999")]),
        tagwright(["auth", &app]).env("REGISTRY_USERNAME", "mo"),
        elsewhere(tagwright(["rate-limit", &app])),
        elsewhere(tagwright(["doctor", &app])),
    ];
    insta::assert_snapshot!(on_terminals(&registry, &runs));
}

#[test]
fn writing_is_a_line_a_tag_and_a_command_that_undoes_it() {
    let registry = story();
    let app = registry.name(APP);
    let source = format!("{app}:2026.34.103");
    let words = ["promote", &source, "--to", "2026.34.103-rc", "--move", "latest", "--move", "2026.34.103"];
    let promote = tagwright(words).env("USER", "mo").env("JOB_NAME", "release").env("BUILD_NUMBER", "7");
    let folder = tempfile::tempdir().unwrap();
    let rollback = tagwright(["rollback", "--record", "record.jsonl"]).folder(folder.path());
    let recorded = promote.clone().args(["--record", "record.jsonl", "--attach-record"]).folder(folder.path());
    let shown = [
        on_terminals(&registry, &[promote.clone().arg("--dry-run")]),
        on_terminal(&registry, &recorded, 80),
        on_terminals(&registry, &[tagwright(["history", &app])]),
        on_terminal(&registry, &promote, 80),
        on_terminals(&registry, &[rollback.clone().arg("--dry-run")]),
        on_terminal(&registry, &rollback, 80),
        on_terminal(&registry, &rollback, 80),
    ];
    insta::with_settings!({filters => [(r"2\d{3}-\d\d-\d\d \d\d:\d\d", "2026-11-27 03:27")]}, {
        insta::assert_snapshot!(shown.concat());
    });
}

#[test]
fn whether_a_record_is_verified_is_a_column_where_a_key_is_given() {
    let registry = story();
    let app = registry.name(APP);
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys");
    let signed = tagwright(["promote", &format!("{app}:2026.34.103"), "--move", "stable", "--attach-record"]);
    let signed = signed.env("USER", "mo").env("JOB_NAME", "release").env("BUILD_NUMBER", "7");
    signed.args(["--sign-record", &format!("{keys}/p256.key")]).run().result();
    let [ours, theirs] = ["p256", "ed25519"].map(|name| format!("{keys}/{name}.pub"));
    let runs = [
        tagwright(["history", &app, "--verify-key", &ours]),
        tagwright(["history", &app, "--verify-key", &theirs]),
        tagwright(["board", &app, "--verify-key", &ours]),
        tagwright(["board", &app, "--verify-key", &theirs]),
    ];
    insta::with_settings!({filters => [(r"2\d{3}-\d\d-\d\d \d\d:\d\d", "2026-11-27 03:27"), (r"2\d{3}-\d\d-\d\d \d…", "2026-11-27 0…"), (r"--verify-key \S+/keys", "--verify-key [keys]")]}, {
        insta::assert_snapshot!(on_terminals(&registry, &runs));
    });
}

#[test]
fn a_tag_that_is_kept_is_a_line_of_its_own_and_nothing_to_do() {
    let registry = story();
    let app = registry.name(APP);
    let source = format!("{app}:2026.34.102");
    let newest = tagwright(["promote", &format!("{app}:2026.34.103"), "--move", "latest"]).run();
    assert_eq!(newest.exit, Some(0), "{newest}");
    let words = ["--move", "{major}.{minor}", "--move-if-newer", "latest"];
    let promote = tagwright(["promote", &source]).args(words);
    let shown = [
        on_terminals(&registry, &[promote.clone().arg("--dry-run")]),
        on_terminal(&registry, &promote, 80),
        on_terminal(&registry, &promote, 80),
    ];
    insta::assert_snapshot!(shown.concat());
}

#[test]
fn a_flag_decides_where_the_place_would_not() {
    let registry = story();
    let app = registry.name(APP);
    let find = || tagwright(["find-tag", &app, "--build", "103"]);
    let piped = find().arg("--text").run();
    let shown = find().on_terminal(80);
    assert_eq!((piped.stdout.as_str(), piped.stderr.as_str()), (shown.text.as_str(), ""));
    assert_eq!(find().args(["--text", "--quiet"]).run().stdout, "2026.34.103\n");
    let print = find().args(["--print", "tag"]);
    let piped = print.run();
    assert_eq!(print.env("TERM", "dumb").on_terminal(200).text, piped.stdout + &piped.stderr);
    let json = find().arg("--json").on_terminal(80);
    assert!(json.text.starts_with("{\n  \"schema\": 1,\n"), "{}", json.text);
    assert_eq!(find().arg("--json").run().stdout, find().run().stdout);
    let tags = tagwright(["tags", &app, "--match", "2026.*", "--print", "tags.*.tag", "--print", "scanned"]).run();
    assert_eq!(tags.stdout, "2026.34.104\n2026.34.103\n2026.34.102\n2026.34.101\n7\n");
    for pair in [["--json", "--text"], ["--json", "--print=tag"], ["--text", "--print=tag"]] {
        let ran = find().args(pair).run();
        assert_eq!(ran.exit, Some(2), "{ran}");
    }
    let wrong = tagwright(["tags", &app, "--text", "--limit", "x"]).run();
    assert_eq!(wrong.stdout, "", "{wrong}");
    assert!(wrong.stderr.starts_with("error[request-invalid]"), "{wrong}");
}

#[test]
fn colour_marks_what_has_moved_and_what_is_refused_and_can_be_left_out() {
    let registry = story();
    let app = registry.name(APP);
    let run = |tag: &str| tagwright(["promote", &format!("{app}:{tag}"), "--move", "latest", "--dry-run"]);
    let moved = run("2026.34.103").on_terminal(80).text;
    assert!(moved.contains("\x1b[33m  latest  2026.34.101 → 2026.34.103  moved\x1b[0m\n"), "{moved}");
    let refused = tagwright(["find-tag", &app, "--build", "9"]).on_terminal(80).text;
    assert!(refused.starts_with("\x1b[31merror[no-tag-for-build]\x1b[0m: "), "{refused}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = run("2026.34.103").env(name, value).on_terminal(80).text;
        assert!(plain.contains("moved") && !plain.contains('\x1b'), "{plain}");
    }
}

/// What a terminal obeys, what hides in a line, what Jenkins takes for a note of its own, what a description renders.
const ODD: &str = "\u{1b}[2J\u{1b}[8mha:AAAA\u{1b}[0m\u{7f}\u{9b}31m\u{202e}\u{200b}\u{2028}<img src=x>&lt;";

#[test]
fn nothing_raw_reaches_a_terminal_a_log_or_a_description() {
    let registry = Registry::start();
    registry.push("acme/app", "1", &Image::new().label("odd", ODD).build());
    let (image, shown) = (registry.name("acme/app:1"), |text: &str| {
        text.chars().all(|c| matches!(c, '\n' | '\'' | '"' | '\\') || c.escape_debug().len() == 1)
    });
    registry
        .before(|asked, _| asked.path.ends_with("/2").then(|| Reply::error(403, "DENIED", &format!("no {ODD} here"))));
    let request = |tag: &str| {
        let args = json!({"image": registry.name(&format!("acme/app:{tag}")), "label": ODD, "verbose": true});
        tagwright(["call"]).env("TAGWRIGHT_REQUEST", json!({"command": "labels", "args": args}).to_string())
    };
    for run in [
        tagwright(["labels", &registry.name("acme/app:2"), "--verbose"]),
        tagwright(["labels", &registry.name("acme/app:2"), "--text"]),
        tagwright(["labels", &image, "--label", "odd"]),
        tagwright(["labels", &image, "--label", "odd", "--text"]),
        tagwright(["labels", &image, "--label", ODD]),
        tagwright(["labels", ODD]),
        request("1"),
        request("2"),
    ] {
        let ran = run.run();
        assert!(shown(&ran.stdout) && shown(&ran.stderr), "{ran:?}");
        if ran.exit != Some(0) && ran.stdout.starts_with('{') {
            let error = ran.json()["error"].clone();
            for key in ["text", "message"] {
                assert!(shown(error[key].as_str().unwrap()), "{key}: {error}");
            }
            let text = error["text"].as_str().unwrap();
            assert!(!text.contains('<') && !text.contains("&lt;"), "{text}");
        }
    }
    // A value that is asked for by itself goes to a pipe as it is, and to a terminal as it can be seen.
    let print = ["labels", &image, "--label", "odd", "--print", "value"];
    assert_eq!(tagwright(print).run().stdout, format!("{ODD}\n"));
    let terminal = tagwright(print).env("TERM", "dumb").on_terminal(80);
    assert!(shown(&terminal.text) && terminal.text.contains("\\u{1b}[2J"), "{:?}", terminal.text);
}

#[test]
fn a_terminal_gets_bytes_only_where_it_shows_them_all() {
    let registry = Registry::start();
    for (tag, chart) in [("plain", "{\"name\":\t\"é\"}"), ("odd", "{\"name\":\"\u{1b}[2J\"}"), ("back", "a\rb")] {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "config": descriptor(types::HELM_CONFIG, chart.as_bytes()),
            "layers": [],
        });
        let blobs = vec![chart.as_bytes().to_vec()];
        registry.push(APP, tag, &Built { blobs, ..Built::raw(types::OCI_MANIFEST, manifest.to_string()) });
        let run = tagwright(["inspect", &registry.name(&format!("{APP}:{tag}")), "--config", "--quiet"]);
        let shown = run.env("TERM", "dumb").on_terminal(80);
        match tag {
            "plain" => assert_eq!((shown.text.as_str(), shown.exit), (chart, Some(0))),
            _ => {
                assert!(shown.text.starts_with("error[request-invalid]: what is to be printed"), "{}", shown.text);
                assert!(shown.text.contains("> FILE") && shown.exit == Some(2), "{}", shown.text);
            }
        }
    }
}

#[test]
fn a_right_that_was_asked_for_and_is_not_granted_stands_below_those_that_are() {
    let registry = Registry::bearer(Rules::default().anonymous(Rights::PULL));
    registry.push(APP, "1", &image("abc"));
    let shown = on_terminals(&registry, &[tagwright(["auth", &registry.name(APP), "--action", "push"])]);
    let expires = [(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-11-27T03:27:00Z")];
    insta::with_settings!({filters => expires}, { insta::assert_snapshot!(shown) });
}

/// The lines that were drawn over each other.
fn drawn(text: &str) -> Vec<&str> {
    text.split(['\r', '\n']).filter(|line| !line.trim().is_empty()).collect()
}

#[test]
fn what_is_waited_for_shows_after_two_seconds_and_goes_again() {
    let registry = story();
    let name = registry.name(&format!("{APP}:2026.34.103"));
    let busy = || Reply::error(429, "TOOMANYREQUESTS", "slow down").header("Retry-After", "5");
    registry.fail(1, "GET", "/manifests/", busy().header("RateLimit-Limit", "100;w=21600"));
    let labels = tagwright(["labels", &name, "--label", "git_revision"]);
    let shown = labels.on_terminal(60);
    let host = registry.host();
    let lines = drawn(&shown.text);
    let told = format!("{host} asks to come back in");
    assert!(shown.exit == Some(0) && lines.iter().any(|line| line.starts_with(&told)), "{shown:?}");
    assert!(lines.iter().all(|line| line.chars().count() < 60), "{shown:?}");
    assert!(lines.last().unwrap().starts_with("git_revision"), "{shown:?}");

    registry.before(|asked, _| asked.path.contains("/manifests/").then(|| Reply::broken(Fault::Hang)));
    // A line may reach up to the last column.
    let waiting = format!("waiting for {host}, 2 s");
    let shown = labels.clone().args(["--timeout", "4"]).on_terminal(waiting.len() as u16 + 1);
    assert!(shown.exit == Some(6) && drawn(&shown.text).contains(&waiting.as_str()), "{shown:?}");
    let wiped = format!("\r{}\r", " ".repeat(waiting.len()));
    assert!(shown.text.contains(&wiped), "{shown:?}");
    let quiet = labels.clone().args(["--timeout", "3", "--quiet"]);
    assert!(!quiet.on_terminal(80).text.contains("waiting"));
    assert!(!labels.args(["--timeout", "3"]).run().stderr.contains("waiting"));
}

#[test]
fn whoever_stops_a_promotion_is_told_what_was_written() {
    for (stalled, signal, number, told, undo) in [
        ("/manifests/latest", "INT", 2, "written: ", true),
        (
            "/manifests/2026.34.103-rc",
            "TERM",
            15,
            "(not known whether it was written); undo: nothing to put back",
            false,
        ),
    ] {
        let registry = story();
        let name = registry.name(&format!("{APP}:2026.34.103"));
        registry.before(move |asked, _| {
            (asked.method == "PUT" && asked.path.ends_with(stalled)).then(|| Reply::broken(Fault::Hang))
        });
        let mut run = tagwright(["promote", &name]).sit_down(100);
        run.wait_for("waiting for");
        run.signal(signal);
        let shown = run.end();
        let last = drawn(&shown.text).last().unwrap().to_string();
        assert_eq!(shown.signal, Some(number), "{shown:?}");
        assert!(last.contains(told) && last.contains("tagwright promote ") == undo, "{shown:?}");
    }
    // A copy leaves something without a tag.
    let (from, to) = (story(), Registry::start());
    to.before(|asked, _| (asked.method == "POST").then(|| Reply::broken(Fault::Hang)));
    let words = ["promote", &from.name(&format!("{APP}:2026.34.103")), "--into", &to.name(APP)];
    let mut run = tagwright(words).sit_down(100);
    run.wait_for("waiting for");
    run.signal("INT");
    let shown = run.end();
    assert!(shown.text.contains("without a tag, as far as the copy came"), "{shown:?}");
    // What only reads has written nothing, so there is nothing to tell.
    let registry = story();
    registry.before(|_, _| Some(Reply::broken(Fault::Hang)));
    let tags = tagwright(["tags", &registry.name(APP)]);
    let mut run = tags.sit_down(100);
    run.wait_for("waiting for");
    run.signal("INT");
    let shown = run.end();
    assert!(shown.signal == Some(2) && !shown.text.contains("written"), "{shown:?}");
    // Whoever has it pass over a signal is obeyed.
    let mut run = tags.args(["--timeout", "4"]).ignoring("INT").sit_down(100);
    run.wait_for("waiting for");
    run.signal("INT");
    let shown = run.end();
    assert_eq!((shown.exit, shown.signal), (Some(6), None), "{shown:?}");
}
