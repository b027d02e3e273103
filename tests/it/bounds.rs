//! What a server sends is bounded: numbers, lists, texts, and the time that working through them takes.

use crate::stage::{STEP, image, push};
use crate::support::cmd::tagwright;
use crate::support::image::{Built, Image, Index, descriptor, types};
use crate::support::registry::{Options, Registry};
use crate::support::reply::Reply;
use crate::support::text::digest;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const APP: &str = "acme/app";

/// How many seconds each run has: far more than the work should take, so that only work that grows too fast comes near.
const LIMIT: &str = "40";

/// An image with these sizes for its layers, whatever they hold.
fn with_sizes(sizes: &[u64]) -> Built {
    let mut built = image("sizes");
    let mut manifest: Value = serde_json::from_slice(&built.bytes).unwrap();
    let layers = sizes.iter().enumerate().map(
        |(n, size)| json!({"mediaType": types::OCI_LAYER, "digest": digest(&n.to_string().into_bytes()), "size": size}),
    );
    manifest["layers"] = layers.collect();
    built.bytes = manifest.to_string().into_bytes();
    built
}

#[test]
fn no_number_of_a_server_is_too_large_to_be_told() {
    for (name, value) in [
        ("Retry-After", "18446744073709551615"),
        ("Retry-After", "999999999999999999999999999999"),
        ("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("X-Retry-After", "9223372036854775807"),
    ] {
        let registry = Registry::start();
        registry.before(move |_, _| Some(Reply::error(429, "TOOMANYREQUESTS", "later").header(name, value)));
        let ran = tagwright(["labels", &registry.name("acme/app:1"), "--retries", "1", "--timeout", "30"]).run();
        assert_eq!(ran.code(), "rate-limited", "{name} {value}: {ran}");
    }
    let registry = Registry::start();
    let (large, small) = (u64::try_from(i64::MAX).unwrap(), 1);
    registry.push(APP, "large", &with_sizes(&[large, large, large]));
    registry.push(APP, "too-large", &with_sizes(&[small, large + 1]));
    let ran = tagwright(["inspect", &registry.name("acme/app:large")]).run();
    assert_eq!(ran.result()["size"], u64::MAX, "{ran}");
    let target = Registry::start();
    let words = ["promote", &registry.name("acme/app:large"), "--into", &target.name(APP), "--to", "x", "--dry-run"];
    assert_eq!(tagwright(words).run().result()["copied"]["bytes"], u64::MAX);
    assert_eq!(tagwright(["inspect", &registry.name("acme/app:too-large")]).run().code(), "reply-malformed");
}

/// An index of so many things that nobody has, the first of which has this number, and of one more manifest.
fn many(kind: &str, count: usize, first: usize, more: Option<&Built>) -> Vec<u8> {
    let one = |n| format!(r#"{{"mediaType":"{kind}","digest":"sha256:{n:064x}","size":2}}"#);
    let mut entries: Vec<String> = (first..first + count).map(one).collect();
    entries.extend(more.map(|built| built.descriptor().to_string()));
    let index = types::OCI_INDEX;
    format!(r#"{{"schemaVersion":2,"mediaType":"{index}","manifests":[{}]}}"#, entries.join(",")).into_bytes()
}

#[test]
fn nested_indexes_of_many_entries_are_worked_through_in_time() {
    for (kind, code) in [(types::OCI_MANIFEST, "size-exceeded"), ("application/vnd.example.thing+json", "index-empty")]
    {
        let registry = Registry::with(Options { careless: true, ..Options::default() });
        let mut inner: Option<Built> = None;
        for level in 0..4 {
            let body = many(kind, 27_000, level * 27_000, inner.as_ref());
            inner = Some(Built { children: inner.take().into_iter().collect(), ..Built::raw(types::OCI_INDEX, body) });
        }
        registry.push(APP, "1.2.3", &inner.unwrap());
        let (source, target) = (registry.name("acme/app:1.2.3"), Registry::start());
        for (words, code) in [
            (vec!["labels", &source, "--platform", "linux/arm64"], code),
            (vec!["promote", &source, "--to", "x", "--attach-record"], ""),
            (vec!["promote", &source, "--into", &target.name(APP), "--to", "x"], "size-exceeded"),
        ] {
            let ran = tagwright([]).args(&words).args(["--timeout", LIMIT, "--retries", "0"]).run();
            let ended = if ran.exit == Some(0) { String::new() } else { ran.code() };
            assert_eq!(ended, code, "{kind} {words:?}: {}", ran.stderr);
        }
    }
}

#[test]
fn an_index_may_name_five_hundred_images_and_no_more() {
    let (registry, one) = (Registry::start(), image("1.2.3"));
    for (tag, count) in [("most", 500), ("more", 501)] {
        let entries = vec![one.descriptor().to_string(); count].join(",");
        let body = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{entries}]}}"#, types::OCI_INDEX);
        registry.push(APP, tag, &Built { children: vec![one.clone()], ..Built::raw(types::OCI_INDEX, body) });
    }
    let labels = |tag: &str| tagwright(["labels", &registry.name(&format!("{APP}:{tag}")), "--all-platforms"]).run();
    assert_eq!(labels("most").result()["platforms"].as_array().unwrap().len(), 500);
    let ran = labels("more");
    assert!(ran.code() == "size-exceeded" && ran.stderr.contains("names more than 500 images"), "{ran}");
}

/// An image, and these pages of what points at it.
fn pointed_at(pages: Vec<Vec<u8>>) -> Registry {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    push(&registry, APP, &["1.2.3"]);
    registry.before(move |asked, _| {
        if !asked.path.contains("/referrers/") {
            return None;
        }
        let page: usize = asked.query("page").map_or(0, |page| page.parse().unwrap());
        let reply = Reply::with(200, types::OCI_INDEX, pages[page].clone());
        let next = format!("<{}?page={}>; rel=\"next\"", asked.path, page + 1);
        Some(if page + 1 < pages.len() { reply.header("Link", next) } else { reply })
    });
    registry
}

#[test]
fn eighty_thousand_referrers_are_worked_through_in_time() {
    let registry = pointed_at((0..8).map(|page| many(types::OCI_MANIFEST, 10_000, page * 10_000, None)).collect());
    let (source, target) = (registry.name("acme/app:1.2.3"), Registry::start());
    let timed = |words: &[&str]| tagwright([]).args(words).args(["--timeout", LIMIT]).run();
    let ran = timed(&["promote", &source, "--to", "x"]);
    assert_eq!(ran.result()["referrers"]["found"], 80_000, "{ran}");
    let ran = timed(&["promote", &source, "--into", &target.name(APP), "--to", "x"]);
    assert_eq!(ran.code(), "size-exceeded", "{ran}");
    assert!(ran.stderr.contains("--no-referrers") && target.log().writes() == 0, "{ran}");
    assert_eq!(timed(&["history", &registry.name(APP)]).result()["records"], json!([]));
}

#[test]
fn the_pages_of_what_points_at_an_image_have_sixty_four_mebibytes_at_most() {
    for (more, warnings) in [(0, vec![]), (1, vec!["referrers-unknown".to_owned()])] {
        let page = |n: usize| {
            let mut page = many(types::OCI_MANIFEST, 1, n, None);
            page.resize((4 << 20) + if n == 0 { more } else { 0 }, b' ');
            page
        };
        let registry = pointed_at((0..16).map(page).collect());
        let ran = tagwright(["promote", &registry.name("acme/app:1.2.3"), "--to", "x"]).run();
        assert_eq!((&ran.result()["referrers"]["found"], ran.warnings()), (&json!(16), warnings), "{ran}");
    }
}

#[test]
fn an_image_is_one_of_the_two_thousand_manifests_that_may_belong_to_it() {
    for points in [false, true] {
        let registry = Registry::with(Options { referrers: true, careless: true, ..Options::default() });
        let list = many(types::OCI_MANIFEST, 2000, 0, None);
        if points {
            push(&registry, APP, &["1.2.3"]);
            registry.before(move |asked, _| {
                asked.path.contains("/referrers/").then(|| Reply::with(200, types::OCI_INDEX, list.clone()))
            });
        } else {
            registry.push(APP, "1.2.3", &Built::raw(types::OCI_INDEX, list));
        }
        let target = Registry::start();
        let ran = tagwright(["promote", &registry.name("acme/app:1.2.3"), "--into", &target.name(APP)]).run();
        assert_eq!((ran.code().as_str(), target.log().writes()), ("size-exceeded", 0), "{ran}");
        assert_eq!(registry.log().matching("GET", "/manifests/sha256:"), 0, "none is read in vain");
    }
}

#[test]
fn a_list_of_more_tags_than_any_repository_has_is_refused() {
    let names = vec!["\"\""; 2_000_001].join(",");
    let registry = Registry::start();
    let body = format!("{{\"name\":\"app\",\"tags\":[{names}]}}");
    registry.before(move |asked, _| {
        asked.path.ends_with("/tags/list").then(|| Reply::with(200, "application/json", body.clone()))
    });
    let ran = tagwright(["tags", &registry.name(APP)]).run();
    assert_eq!(ran.code(), "size-exceeded", "{}", ran.stderr);
    assert!(ran.stderr.contains("more than 2000000 tags"), "{}", ran.stderr);
}

#[test]
fn what_is_longer_than_anybody_reads_is_cut_in_failures() {
    // Words of a parser that repeats what it has read.
    let registry = Registry::start();
    let body = json!({"tags": "x".repeat(1 << 20)}).to_string();
    registry.before(move |asked, _| {
        asked.path.ends_with("/tags/list").then(|| Reply::with(200, "application/json", body.clone()))
    });
    let ran = tagwright(["tags", &registry.name(APP)]).run();
    assert!(ran.code() == "reply-malformed" && ran.stdout.len() < 16 << 10, "{} bytes", ran.stdout.len());
    // Lists for programs, and the same in a sentence.
    let registry = Registry::start();
    let labels = (0..300).fold(Image::new(), |image, n| image.label(&format!("label-{n:03}"), "x"));
    registry.push(APP, "labels", &labels.build());
    let platforms = (0..300).map(|n| Image::new().platform(&format!("os{n}/arch")));
    registry.push(APP, "platforms", &Index::of(platforms.map(|image| image.build())).build());
    for (words, key) in [
        (["labels", &registry.name("acme/app:labels"), "--label", "none"], "labels"),
        (["labels", &registry.name("acme/app:platforms"), "--platform", "none/none"], "platforms"),
    ] {
        let ran = tagwright(words).run();
        assert_eq!(ran.error()["details"][key].as_array().unwrap().len(), 100, "{ran}");
        assert!(ran.error()["hint"].as_str().unwrap().contains(" and 280 more"), "{ran}");
    }
}

#[test]
fn a_refusal_is_read_up_to_sixty_four_kibibytes() {
    for (letters, is_told) in [(64_000, true), (66_000, false)] {
        let registry = Registry::start();
        let body = json!({"errors": [{"code": "DENIED", "detail": "x".repeat(letters), "message": "ask its owner"}]});
        registry.before(move |_, _| Some(Reply::with(403, "application/json", body.to_string())));
        let ran = tagwright(["labels", &registry.name("acme/app:1")]).run();
        assert_eq!((ran.exit, ran.stderr.contains("ask its owner")), (Some(4), is_told), "{letters}: {}", ran.stderr);
    }
}

#[test]
fn an_answer_of_call_has_four_mebibytes_at_most() {
    let registry = Registry::start();
    // Each letter takes six bytes where all is ASCII.
    registry.push(APP, "large", &Image::new().label("much", &"é".repeat(1 << 20)).build());
    let call = |command: &str, args: Value| {
        tagwright(["call", "-"]).stdin(json!({"command": command, "args": args}).to_string()).run()
    };
    let ran = call("labels", json!({"image": registry.name("acme/app:large")}));
    assert_eq!(ran.json()["error"]["code"], "size-exceeded", "{}", ran.stderr);
    assert!(ran.stdout.len() < 4096, "{}", ran.stdout);
    // For people there is no such limit.
    let ran = tagwright(["labels", &registry.name("acme/app:large")]).run();
    assert_eq!(ran.exit, Some(0), "{}", ran.stderr);
    // What writes is refused before it does.
    push(&registry, APP, &["1.2.3"]);
    registry.clear();
    let tags: Vec<String> = (0..8000).map(|n| format!("a-tag-of-{n}")).collect();
    let ran = call("promote", json!({"image": registry.name("acme/app:1.2.3"), "to": tags}));
    let error = &ran.json()["error"];
    assert_eq!((&error["code"], &error["changed"]), (&json!("size-exceeded"), &json!(false)), "{}", ran.stderr);
    assert_eq!(registry.log().writes(), 0);
    // Several places together have twice as much room, for their answer does not tell everything again.
    let into = [registry.name("acme/one"), registry.name("acme/two")];
    let args = json!({"image": registry.name("acme/app:1.2.3"), "into": into, "to": tags[..4000], "dryRun": true});
    let answer = call("promote", args).json();
    assert!(answer["result"]["record"].to_string().len() > 1 << 20, "{}", answer["error"]);
}

#[test]
fn large_manifests_are_read_a_few_at_a_time() {
    let registry = Registry::start();
    let children = (0..12).map(|n| {
        let image = Image::new().layer(format!("large {n}")).platform(&format!("linux/arch{n}"));
        image.annotations(json!({"much": "x".repeat(1 << 20)})).build()
    });
    registry.push(APP, "large", &Index::of(children).build());
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    registry.gate(move |asked| {
        if asked.path.contains("/manifests/sha256:") {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Time enough for others to come meanwhile; nothing depends on it where they may not.
            std::thread::sleep(STEP);
            now.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let ran = tagwright(["labels", &registry.name("acme/app:large"), "--all-platforms"]).run();
    assert_eq!(ran.result()["platforms"].as_array().unwrap().len(), 12, "{}", ran.stderr);
    assert!(most.load(Ordering::SeqCst) <= 4, "{most:?} at once");
    // And not all there could be.
    let entry = |n: usize| {
        let mut entry = descriptor(types::OCI_MANIFEST, &n.to_string().into_bytes());
        entry["size"] = json!(4 << 20);
        entry
    };
    let body =
        json!({"schemaVersion": 2, "mediaType": types::OCI_INDEX, "manifests": (0..17).map(entry).collect::<Vec<_>>()});
    registry.push(APP, "too-large", &Built::raw(types::OCI_INDEX, body.to_string()));
    let ran = tagwright(["labels", &registry.name("acme/app:too-large")]).run();
    assert_eq!(ran.code(), "size-exceeded", "{ran}");
}
