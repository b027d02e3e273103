//! Images that are not as usual: what points at them is gone or of another kind, an index names what nobody knows, there
//! are foreign layers, hashes of unknown algorithms, or very large manifests.

use crate::stage::image;
use crate::support::client::Client;
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::image::{Built, Family, Image, Index, descriptor, two_platforms, types};
use crate::support::registry::{Options, Registry};
use crate::support::release::{referrer, signed, with_foreign_layer};
use crate::support::reply::Reply;
use crate::support::text::digest;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const FROM: &str = "acme/build";
const TO: &str = "acme/release";
const TAG: &str = "2026.34.103";
const RETIRED: &str = "application/vnd.oci.artifact.manifest.v1+json";

fn with_referrers() -> Registry {
    Registry::with(Options { referrers: true, ..Options::default() })
}

fn across(from: &Registry, to: &Registry) -> Tagwright {
    tagwright(["promote", &from.name(&format!("{FROM}:{TAG}")), "--into", &to.name(TO)])
}

fn referrers(ran: &Ran) -> [Value; 3] {
    ["found", "copied", "left"].map(|key| ran.result()["referrers"][key].clone())
}

/// An artifact of the retired kind that points at an image.
fn retired(subject: &Built) -> Built {
    let payload = b"a bill of materials".to_vec();
    let manifest = json!({
        "mediaType": RETIRED, "artifactType": "application/spdx+json",
        "blobs": [descriptor("text/plain", &payload)], "subject": descriptor(&subject.media_type, &subject.bytes),
    });
    Built { blobs: vec![payload], ..Built::raw(RETIRED, manifest.to_string()) }
}

#[test]
fn a_referrer_that_is_gone_does_not_hold_the_image_back() {
    let built = signed(image("ours"));
    for lost in ["manifest", "blob"] {
        for api in [true, false] {
            let options = || Options { referrers: api, ..Options::default() };
            let (from, to) = (Registry::with(options()), Registry::with(options()));
            built.push(&Client::new(&from.host()), FROM, TAG);
            let gone = built.referrers[0].clone();
            if lost == "manifest" {
                // The list still names it.
                let digest = gone.digest();
                from.before(move |asked, _| {
                    let hit = asked.path.ends_with(&format!("/manifests/{digest}"));
                    hit.then(|| Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown"))
                });
            } else {
                let payload = digest(&gone.blobs[1]);
                from.state(|state| state.repositories.get_mut(FROM).unwrap().blobs.remove(&payload));
            }
            let ran = across(&from, &to).run();
            assert_eq!(referrers(&ran), [json!(4), json!(3), json!(1)], "{lost} {api}: {ran}");
            assert_eq!(ran.warnings(), ["referrers-left"]);
            assert_eq!(to.resolve(TO, "latest"), Some(built.image.digest()));
            let there = to.state(|state| state.repositories[TO].manifests.contains_key(&gone.digest()));
            assert!(!there, "half a referrer is none");
        }
    }
}

#[test]
fn a_referrer_that_cannot_be_read_for_the_moment_is_not_left_behind() {
    let built = signed(image("ours"));
    let (from, to) = (with_referrers(), with_referrers());
    built.push(&Client::new(&from.host()), FROM, TAG);
    let payload = format!("/blobs/{}", digest(&built.referrers[0].blobs[1]));
    from.before(move |asked, _| asked.path.ends_with(&payload).then(|| Reply::status(503)));
    let ran = across(&from, &to).args(["--retries", "0"]).run();
    assert_eq!((ran.code().as_str(), to.resolve(TO, "latest")), ("registry-unavailable", None), "{ran}");
}

#[test]
fn a_signature_whose_tag_cannot_be_read_for_the_moment_is_not_left_behind() {
    let built = signed(image("ours"));
    let (from, to) = (with_referrers(), with_referrers());
    built.push(&Client::new(&from.host()), FROM, TAG);
    // The same of the target, before anything is sent to it.
    for registry in [&to, &from] {
        let place = format!("/manifests/{}", built.cosign_tag("sig"));
        registry.before(move |asked, _| asked.path.ends_with(&place).then(|| Reply::status(503)));
        let ran = across(&from, &to).args(["--retries", "0"]).run();
        assert_eq!((ran.code().as_str(), to.log().writes()), ("registry-unavailable", 0), "{ran}");
    }
}

#[test]
fn a_signature_that_is_damaged_is_told_to_stay_behind() {
    let built = signed(image("ours"));
    let (from, to) = (with_referrers(), with_referrers());
    built.push(&Client::new(&from.host()), FROM, TAG);
    let place = format!("/manifests/{}", built.cosign_tag("sig"));
    from.before(move |asked, _| asked.path.ends_with(&place).then(|| Reply::with(200, types::OCI_MANIFEST, "{")));
    let ran = across(&from, &to).run();
    assert_eq!(referrers(&ran), [json!(4), json!(3), json!(1)], "{ran}");
    assert_eq!(ran.warnings(), ["referrers-left"]);
}

/// An index that points at an image and names one manifest.
fn index_about(subject: &Built, child: &Value) -> Built {
    let index = json!({
        "schemaVersion": 2, "mediaType": types::OCI_INDEX, "artifactType": "application/vnd.example.set",
        "manifests": [child], "subject": descriptor(&subject.media_type, &subject.bytes),
    });
    Built::raw(types::OCI_INDEX, index.to_string())
}

#[test]
fn a_referrer_that_lacks_a_part_stays_behind_and_one_whose_part_cannot_be_read_for_the_moment_does_not() {
    for (reply, is_gone) in [(Reply::error(404, "MANIFEST_UNKNOWN", "gone"), true), (Reply::status(503), false)] {
        let (from, to) = (with_referrers(), with_referrers());
        let (built, child) = (image("ours"), image("a part"));
        from.push(FROM, TAG, &built);
        let set = index_about(&built, &child.descriptor());
        from.state(|state| [&child, &set].map(|one| state.store(FROM, one)));
        let place = format!("/manifests/{}", child.digest());
        from.before(move |asked, _| asked.path.ends_with(&place).then(|| reply.clone()));
        let ran = across(&from, &to).args(["--retries", "0"]).run();
        if is_gone {
            assert_eq!(referrers(&ran), [json!(1), json!(0), json!(1)], "{ran}");
        } else {
            assert_eq!((ran.code().as_str(), to.log().writes()), ("registry-unavailable", 0), "{ran}");
        }
    }
}

#[test]
fn an_artifact_of_the_retired_kind_goes_along_where_the_target_takes_it() {
    for takes in [true, false] {
        let (from, to) = (with_referrers(), with_referrers());
        let built = image("ours");
        from.push(FROM, TAG, &built);
        let artifact = retired(&built);
        from.state(|state| state.store(FROM, &artifact));
        if !takes {
            to.before(|asked, _| {
                let hit = asked.method == "PUT" && asked.header("Content-Type") == Some(RETIRED);
                hit.then(|| Reply::error(400, "MANIFEST_INVALID", "unknown media type"))
            });
        }
        let ran = across(&from, &to).run();
        let copied = u64::from(takes);
        assert_eq!(referrers(&ran), [json!(1), json!(copied), json!(1 - copied)], "{ran}");
        assert_eq!(ran.warnings().contains(&"referrers-left".to_owned()), !takes, "{ran}");
        assert_eq!(to.resolve(TO, "latest"), Some(built.digest()));
        let stored = to.state(|state| state.repositories[TO].manifests.get(&artifact.digest()).cloned());
        assert_eq!(stored, takes.then_some((RETIRED.to_owned(), artifact.bytes)), "as it was, byte for byte");
    }
}

#[test]
fn an_artifact_of_the_retired_kind_is_no_image_and_can_be_tagged() {
    let registry = Registry::start();
    let artifact = retired(&image("ours"));
    let digest = registry.push(FROM, TAG, &artifact);
    let name = registry.name(&format!("{FROM}:{TAG}"));
    assert_eq!(tagwright(["labels", &name]).run().code(), "not-an-image");
    tagwright(["promote", &name, "--to", "kept"]).run().result();
    assert_eq!(registry.resolve(FROM, "kept"), Some(digest));
}

#[test]
fn no_referrer_is_read_where_none_is_wanted() {
    for (api, expected) in [(true, [json!(2), json!(0), json!(2)]), (false, [Value::Null, json!(0), json!(0)])] {
        let options = || Options { referrers: api, ..Options::default() };
        let (from, to) = (Registry::with(options()), Registry::with(options()));
        let built = signed(image("ours"));
        built.push(&Client::new(&from.host()), FROM, TAG);
        from.clear();
        let ran = across(&from, &to).arg("--no-referrers").run();
        assert_eq!((referrers(&ran), ran.warnings()), (expected, vec!["referrers-left".to_owned()]), "{ran}");
        assert_eq!(to.resolve(TO, &built.cosign_tag("sig")), None);
        let log = from.log();
        assert_eq!((log.matching("GET", "/referrers/"), log.matching("GET", "/tags/")), (1, 0), "{:#?}", log.lines());
        assert_eq!(log.matching("GET", "/manifests/"), 1, "the image alone: {:#?}", log.lines());
    }
}

/// An index of an image and of one more entry, whose bytes are stored as a manifest, as a blob, or nowhere.
fn with_entry(registry: &Registry, kind: &str, bytes: &[u8], stored: &str) -> Built {
    let child = image("ours");
    let mut index = Index::of([child]).build();
    let mut body: Value = serde_json::from_slice(&index.bytes).unwrap();
    body["manifests"].as_array_mut().unwrap().push(descriptor(kind, bytes));
    index.bytes = body.to_string().into_bytes();
    registry.push(FROM, TAG, &index);
    let named = digest(bytes);
    registry.state(|state| {
        let home = state.repositories.get_mut(FROM).unwrap();
        match stored {
            "manifest" => drop(home.manifests.insert(named, (kind.to_owned(), bytes.to_vec()))),
            "blob" => drop(home.blobs.insert(named, bytes.to_vec())),
            _ => {}
        }
    });
    index
}

#[test]
fn an_index_that_names_too_much_of_other_kinds_is_not_looked_through() {
    let (from, to) = (Registry::with(Options { careless: true, ..Options::default() }), Registry::start());
    let mut index = Index::of([]).build();
    let mut body: Value = serde_json::from_slice(&index.bytes).unwrap();
    body["manifests"] =
        (0..2001).map(|one| descriptor("application/vnd.example.thing+json", one.to_string().as_bytes())).collect();
    index.bytes = body.to_string().into_bytes();
    from.push(FROM, TAG, &index);
    from.clear();
    let ran = across(&from, &to).run();
    assert_eq!((ran.code().as_str(), from.log().matching("HEAD", "/blobs/")), ("size-exceeded", 0), "{ran}");
}

#[test]
fn what_an_index_names_twice_is_read_once() {
    let careless = || Registry::with(Options { careless: true, ..Options::default() });
    let (from, to) = (careless(), careless());
    let bytes = br#"{"schemaVersion":2,"thing":true}"#;
    let mut index = with_entry(&from, "application/x-thing", bytes, "blob");
    let mut body: Value = serde_json::from_slice(&index.bytes).unwrap();
    let entries = body["manifests"].as_array().unwrap().clone();
    body["manifests"].as_array_mut().unwrap().extend(entries.clone());
    index.bytes = body.to_string().into_bytes();
    from.push(FROM, TAG, &index);
    from.clear();
    across(&from, &to).run().result();
    for entry in &entries {
        let named = entry["digest"].as_str().unwrap();
        assert_eq!(from.log().matching("GET", &format!("/manifests/{named}")), 1, "{:#?}", from.log().lines());
    }
}

#[test]
fn an_index_entry_of_a_kind_that_nobody_knows_never_ends_a_run() {
    let careless = || Registry::with(Options { careless: true, ..Options::default() });
    for kind in ["application/vnd.example.thing+json", "application/x-thing", ""] {
        for stored in ["manifest", "blob", "nowhere"] {
            let (from, to) = (careless(), careless());
            let bytes = br#"{"schemaVersion":2,"thing":true}"#;
            let index = with_entry(&from, kind, bytes, stored);
            let ran = across(&from, &to).run();
            let named = digest(bytes);
            let there = to.state(|state| {
                let home = &state.repositories[TO];
                (home.manifests.contains_key(&named), home.blobs.contains_key(&named))
            });
            // What is served without a kind of its own is nothing that could be pushed again as it was.
            let readable = stored == "manifest" && kind.contains("vnd");
            assert_eq!(there, (readable, stored == "blob"), "{kind} {stored}: {ran}");
            let warnings: Vec<String> =
                (!readable && stored != "blob").then(|| "entries-left".to_owned()).into_iter().collect();
            assert_eq!(ran.warnings(), warnings, "{kind} {stored}: {ran}");
            assert_eq!(to.resolve(TO, "latest"), Some(index.digest()));
            let name = from.name(&format!("{FROM}:{TAG}"));
            assert_eq!(tagwright(["labels", &name]).run().result()["labels"]["git_revision"], "ours");
        }
    }
}

#[test]
fn an_index_entry_that_cannot_be_read_for_the_moment_is_not_left_behind() {
    let (from, to) = (Registry::start(), Registry::start());
    let bytes = br#"{"schemaVersion":2,"thing":true}"#;
    with_entry(&from, "application/vnd.example.thing+json", bytes, "manifest");
    from.fail(9, "GET", &digest(bytes), Reply::status(503));
    let ran = across(&from, &to).args(["--retries", "0"]).run();
    assert_eq!((ran.code().as_str(), to.log().writes()), ("registry-unavailable", 0), "{ran}");
}

#[test]
fn a_manifest_that_the_target_does_not_take_has_a_code_of_its_own() {
    for (status, code) in [(400, "MANIFEST_INVALID"), (415, "MANIFEST_INVALID"), (404, "MANIFEST_BLOB_UNKNOWN")] {
        let registry = Registry::start();
        registry.push(FROM, TAG, &image("ours"));
        registry.before(move |asked, _| {
            let hit = asked.method == "PUT" && asked.path.contains("/manifests/");
            hit.then(|| Reply::error(status, code, "this manifest is not taken here"))
        });
        let ran = tagwright(["promote", &registry.name(&format!("{FROM}:{TAG}")), "--to", "x"]).run();
        assert_eq!((ran.code().as_str(), ran.exit), ("manifest-refused", Some(5)), "{ran}");
        assert_eq!(ran.error()["changed"], false);
        assert!(ran.stderr.contains("this manifest is not taken here"), "{ran}");
    }
    // An image of an index is no entry that may stay behind, even where the target would take the index without it.
    let (from, to) = (Registry::start(), Registry::with(Options { careless: true, ..Options::default() }));
    let built = two_platforms("ours", "one");
    from.push(FROM, TAG, &built);
    let child = built.children[0].digest();
    to.before(move |asked, _| {
        let hit = asked.method == "PUT" && asked.path.ends_with(&child);
        hit.then(|| Reply::error(400, "MANIFEST_INVALID", "this manifest is not taken here"))
    });
    let ran = across(&from, &to).run();
    assert_eq!((ran.code().as_str(), to.tags(TO).len()), ("manifest-refused", 0), "{ran}");
}

#[test]
fn foreign_layers_are_named_where_they_are_why_a_manifest_is_refused() {
    // As a registry that wants every layer, and as one that takes none from this user.
    for (status, code, expected) in [(400, "MANIFEST_BLOB_UNKNOWN", "manifest-refused"), (403, "DENIED", "denied")] {
        let from = Registry::with(Options { careless: true, ..Options::default() });
        let to = Registry::start();
        from.push(FROM, TAG, &with_foreign_layer(Family::Docker));
        to.before(move |asked, _| {
            let hit = asked.method == "PUT" && asked.path.contains("/manifests/");
            hit.then(|| Reply::error(status, code, "it is not taken"))
        });
        let ran = across(&from, &to).run();
        assert_eq!(ran.code(), expected, "{ran}");
        let named = ran.stderr.contains("1 of its layers are not distributed by registries");
        assert_eq!(named, expected == "manifest-refused", "{ran}");
    }
}

#[test]
fn an_index_entry_of_another_kind_stays_behind_where_the_target_does_not_take_it_and_not_where_nobody_may_write() {
    for (status, code, refused) in
        [(400, "MANIFEST_INVALID", None), (405, "UNSUPPORTED", None), (403, "DENIED", Some(4))]
    {
        let careless = || Registry::with(Options { careless: true, ..Options::default() });
        let (from, to) = (careless(), careless());
        let bytes = br#"{"schemaVersion":2,"thing":true}"#;
        let index = with_entry(&from, "application/vnd.example.thing+json", bytes, "manifest");
        let entry = digest(bytes);
        to.before(move |asked, _| {
            let hit = asked.method == "PUT" && asked.path.ends_with(&entry);
            hit.then(|| Reply::error(status, code, "it is not taken"))
        });
        let ran = across(&from, &to).run();
        let taken = Some(index.digest()).filter(|_| refused.is_none());
        assert_eq!((ran.exit, to.resolve(TO, "latest")), (refused.or(Some(0)), taken), "{ran}");
        assert_eq!(ran.warnings().contains(&"entries-left".to_owned()), refused.is_none(), "{ran}");
    }
}

/// An image whose layer has a digest that cannot be checked here.
fn with_unknown_digest() -> (Built, String) {
    let mut built = image("ours");
    let mut body: Value = serde_json::from_slice(&built.bytes).unwrap();
    let digest = "blake3:AbC_123-x".to_owned();
    body["layers"][0]["digest"] = json!(digest);
    built.bytes = body.to_string().into_bytes();
    (built, digest)
}

#[test]
fn a_layer_with_a_digest_of_an_unknown_algorithm_passes_through_what_does_not_need_its_bytes() {
    let careless = || Registry::with(Options { careless: true, ..Options::default() });
    let (from, to) = (careless(), careless());
    let (built, digest) = with_unknown_digest();
    from.push(FROM, TAG, &built);
    let name = from.name(&format!("{FROM}:{TAG}"));
    assert_eq!(tagwright(["labels", &name]).run().result()["labels"]["git_revision"], "ours");
    tagwright(["inspect", &name]).run().result();
    tagwright(["promote", &name]).run().result();
    assert_eq!(from.resolve(FROM, "latest"), Some(built.digest()));
    // Nobody here can tell whether its bytes are right.
    let ran = across(&from, &to).run();
    assert_eq!((ran.code().as_str(), to.log().writes()), ("reply-malformed", 0), "{ran}");
    assert!(ran.stderr.contains("blake3"), "{ran}");
    // What is there need not be sent.
    to.state(|state| {
        let home = state.repositories.entry(TO.to_owned()).or_default();
        home.blobs.insert(digest, b"whatever".to_vec());
    });
    across(&from, &to).run().result();
    assert_eq!(to.resolve(TO, "latest"), Some(built.digest()));
}

/// An index of so many images, each with a manifest of 4 MB.
fn large(count: usize) -> Built {
    let padding = "x".repeat(4_000_000);
    let one = |n: usize| {
        let image = Image::new().label("n", &n.to_string()).annotations(json!({"padding": padding})).build();
        Built { platform: Some(json!({"os": "linux", "architecture": format!("a{n}")})), ..image }
    };
    Index::of((0..count).map(one)).build()
}

#[test]
fn an_image_of_large_manifests_is_copied_in_little_memory() {
    let (from, to) = (Registry::start(), Registry::start());
    let built = large(15);
    from.push(FROM, TAG, &built);
    // The peak lies behind when the last tag is written, and the program still runs then.
    let (pid, peak) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let (running, seen) = (pid.clone(), peak.clone());
    to.before(move |asked, _| {
        if asked.method == "PUT" && asked.path.ends_with("/latest") {
            let status = std::fs::read_to_string(format!("/proc/{}/status", *running.lock().unwrap())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
            *seen.lock().unwrap() = line.trim_end_matches(" kB").parse::<u64>().unwrap();
        }
        None
    });
    let mut running = pid.lock().unwrap();
    let mut child = across(&from, &to).start();
    *running = child.id();
    drop(running);
    assert!(child.wait().unwrap().success());
    let peak = *peak.lock().unwrap();
    assert!(peak > 0 && peak < 100 << 10, "{peak} KiB at most");
    assert_eq!(to.resolve(TO, "latest"), Some(built.digest()));
}

#[test]
fn an_image_of_more_manifests_than_can_be_held_is_refused_before_anything_is_written() {
    let (from, to) = (Registry::start(), Registry::start());
    from.push(FROM, TAG, &large(40));
    let ran = across(&from, &to).run();
    assert_eq!((ran.code().as_str(), to.log().writes()), ("size-exceeded", 0), "{ran}");
    assert_eq!(ran.error()["changed"], false);
    // The index counts too: what it names may be as large as everything together, and then nothing of it is read.
    let from = Registry::with(Options { careless: true, ..Options::default() });
    let entry = |n: u8| json!({"mediaType": types::OCI_MANIFEST, "digest": digest(&[n]), "size": 32 << 20});
    let index = json!({"schemaVersion": 2, "mediaType": types::OCI_INDEX, "manifests": [entry(1), entry(2)]});
    from.push(FROM, TAG, &Built::raw(types::OCI_INDEX, index.to_string()));
    assert_eq!(across(&from, &to).run().code(), "size-exceeded");
}

#[test]
fn what_points_at_an_image_shares_the_room_that_manifests_have() {
    let (from, to) = (with_referrers(), with_referrers());
    let built = Image::new().annotations(json!({"padding": "x".repeat(4_000_000)})).build();
    from.push(FROM, TAG, &built);
    // Alone it would fit.
    let child = image("a part");
    let mut entry = child.descriptor();
    entry["size"] = json!((64 << 20) - 3_000_000);
    let set = index_about(&built, &entry);
    from.state(|state| [&child, &set].map(|one| state.store(FROM, one)));
    let ran = across(&from, &to).run();
    assert_eq!(referrers(&ran), [json!(1), json!(0), json!(1)], "{ran}");
    assert_eq!(from.log().matching("GET", &child.digest()), 0, "{:#?}", from.log().lines());
}

#[test]
fn a_signature_of_what_stays_behind_stays_behind_too() {
    let (from, to) = (with_referrers(), with_referrers());
    let built = image("ours");
    from.push(FROM, TAG, &built);
    let sbom = retired(&built);
    let signature = referrer("application/vnd.example.signature", &sbom, "signature of the SBOM");
    from.state(|state| [&sbom, &signature].map(|one| state.store(FROM, one)));
    to.before(|asked, _| {
        let hit = asked.method == "PUT" && asked.header("Content-Type") == Some(RETIRED);
        hit.then(|| Reply::error(415, "UNSUPPORTED", "media type not supported"))
    });
    let ran = across(&from, &to).run();
    assert_eq!(referrers(&ran), [json!(2), json!(0), json!(2)], "{ran}");
}

#[test]
fn that_a_registry_lists_referrers_is_seen_once_before_it_is_believed() {
    for (lists, looks) in [(true, 1), (false, 1)] {
        let (from, to) = (with_referrers(), with_referrers());
        let built = signed(image("ours"));
        built.push(&Client::new(&from.host()), FROM, TAG);
        if !lists {
            to.after(|asked, _, reply| {
                if asked.path.contains("/referrers/") {
                    *reply = Reply::json(&json!({"schemaVersion": 2, "mediaType": types::OCI_INDEX, "manifests": []}));
                }
            });
        }
        let ran = across(&from, &to).args(["--jobs", "1"]).run();
        assert_eq!(ran.exit, Some(0), "{ran}");
        let fallback = to.resolve(TO, &built.image.digest().replace(':', "-"));
        assert_eq!(fallback.is_some(), !lists, "{ran}");
        let log = to.log();
        let put = log.0.iter().position(|one| one.asked.method == "PUT" && one.asked.path.contains("/manifests/"));
        let after = log.0.iter().skip(put.unwrap()).filter(|one| one.asked.path.contains("/referrers/")).count();
        assert_eq!(after, looks, "{:#?}", log.lines());
    }
}

#[test]
fn the_count_of_referrers_survives_a_list_that_leads_in_circles() {
    let registry = with_referrers();
    signed(image("ours")).push(&Client::new(&registry.host()), FROM, TAG);
    let all = tagwright(["promote", &registry.name(&format!("{FROM}:{TAG}")), "--to", "one"]).run();
    registry.after(|asked, _, reply| {
        if asked.path.contains("/referrers/") {
            *reply = reply.clone().header("Link", format!("<{}>; rel=\"next\"", asked.path));
        }
    });
    let ran = tagwright(["promote", &registry.name(&format!("{FROM}:{TAG}")), "--to", "two"]).run();
    assert_eq!((referrers(&ran), ran.warnings()), (referrers(&all), vec!["referrers-unknown".to_owned()]), "{ran}");
}
