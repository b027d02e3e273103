//! `promote --into`: what is copied and in which order, what stays, and what a failure leaves behind.

use crate::stage::{STEP, image, push, shown};
use crate::support::client::Client;
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::image::{Built, Family, Image, Index, cosign_signature, descriptor, two_platforms, types};
use crate::support::log::Log;
use crate::support::registry::{Options, Registry, one_user};
use crate::support::release::{five_platforms, signed, with_foreign_layer};
use crate::support::reply::{Fault, Reply};
use crate::support::text::{digest, sha512};
use crate::support::token::Rights;
use crate::support::uploads::{Blobs, Mounts};
use crate::support::whole::whole;
use serde_json::{Value, json};

const FROM: &str = "acme/build";
const TO: &str = "acme/release";
const TAG: &str = "2026.34.103";

/// Two registries; the first holds an image under [`TAG`].
fn two(built: &Built) -> (Registry, Registry) {
    let (from, to) = (Registry::start(), Registry::start());
    from.push(FROM, TAG, built);
    (from, to)
}

fn layered() -> Built {
    layers(4, 50_000)
}

/// An image with so many layers of that many bytes each.
fn layers(count: u8, size: usize) -> Built {
    let mut image = Image::new().label("git_revision", "abc").build();
    let mut body: Value = serde_json::from_slice(&image.bytes).unwrap();
    image.blobs.truncate(1);
    image.blobs.extend((0..count).map(|n| vec![n; size]));
    let list = image.blobs.iter().skip(1).map(|blob| descriptor(types::OCI_LAYER, blob));
    body["layers"] = list.collect();
    image.bytes = body.to_string().into_bytes();
    image
}

fn across(from: &Registry, to: &Registry) -> Tagwright {
    tagwright(["promote", &from.name(&format!("{FROM}:{TAG}")), "--into", &to.name(TO)])
}

fn actions(ran: &Ran) -> Vec<String> {
    let result = ran.result();
    let list = result["tags"].as_array().unwrap();
    list.iter().map(|tag| format!("{}: {}", tag["tag"].as_str().unwrap(), tag["action"].as_str().unwrap())).collect()
}

fn copied(ran: &Ran) -> [u64; 4] {
    let copied = &ran.result()["copied"];
    ["blobs", "mounted", "skipped", "bytes"].map(|key| copied[key].as_u64().unwrap())
}

fn look(ran: &Ran, from: &Registry, to: &Registry) -> String {
    shown(ran, &[(&from.host(), "[source]"), (&to.host(), "[target]")])
}

/// Nothing that was asked of a target could have changed a tag.
fn check_untagged(to: &Registry) {
    assert_eq!(to.tags(TO).len(), 0, "{:#?}", to.tags(TO));
}

/// The image is at the target, whole, under every tag that it has there.
fn check_whole(to: &Registry) {
    let client = Client::new(&to.host());
    for tag in to.tags(TO).keys() {
        whole(&client, TO, tag).unwrap();
    }
}

fn writes(log: &Log) -> Vec<String> {
    log.0
        .iter()
        .map(|one| &one.asked)
        .filter(|asked| asked.method != "GET" && asked.method != "HEAD")
        .map(|asked| asked.line())
        .collect()
}

#[test]
fn an_image_arrives_with_its_three_tags() {
    let (from, to) = two(&layered());
    let ran = across(&from, &to).run();
    insta::assert_snapshot!(look(&ran, &from, &to));
    assert_eq!(actions(&ran), ["2026.34.103: created", "2026.34.103-rc: created", "latest: created"]);
    check_whole(&to);
    assert_eq!(from.log().writes(), 0);
    // The list of tags has told that nothing points at the image.
    assert_eq!(["GET", "HEAD"].map(|method| from.log().matching(method, "/manifests/sha256-")), [0, 0]);
    // Run again, everything is as it was, and no blob is even asked about.
    to.clear();
    let ran = across(&from, &to).run();
    assert_eq!(actions(&ran), ["2026.34.103: unchanged", "2026.34.103-rc: unchanged", "latest: unchanged"]);
    assert_eq!((copied(&ran), to.log().writes(), to.log().matching("HEAD", "/blobs/")), ([0, 0, 5, 0], 0, 0));
}

#[test]
fn an_index_that_is_there_without_a_tag_is_only_tagged_whatever_signatures_come() {
    let (from, to) = (Registry::start(), Registry::start());
    let built = signed(two_platforms("abc", "one"));
    built.push(&Client::new(&from.host()), FROM, TAG);
    let digest = to.state(|state| state.store(TO, &built.image));
    let ran = across(&from, &to).run();
    assert_eq!(
        (&ran.result()["referrers"]["left"], to.resolve(TO, "latest")),
        (&json!(0), Some(digest.clone())),
        "{ran}"
    );
    assert_eq!(to.log().matching("PUT", &format!("/manifests/{digest}")), 0, "{:#?}", to.log().lines());
}

#[test]
fn a_dry_run_tells_what_the_real_run_does_with_rights_to_read_alone() {
    let rules = one_user("robot", "secret").user("reader", "secret", Rights::PULL);
    let (from, to) = (Registry::start(), Registry::bearer(rules));
    let built = signed(two_platforms("abc", "one"));
    built.push(&Client::new(&from.host()), FROM, TAG);
    to.state(|state| state.store(TO, &built.image.children[0]));
    let into = |user: &str, words: &[&str]| {
        let run = across(&from, &to).args(words.iter().copied());
        run.env("INTO_REGISTRY_USERNAME", user).env("INTO_REGISTRY_PASSWORD", "secret").run()
    };
    let dry = into("reader", &["--dry-run"]);
    assert_eq!((to.log().writes(), to.tags(TO).len()), (0, 0), "{:#?}", to.log().lines());
    let real = into("robot", &[]);
    let strip = |ran: &Ran| {
        let mut result = ran.result();
        for key in ["dryRun", "record", "summary"] {
            result.as_object_mut().unwrap().remove(key);
        }
        for tag in result["tags"].as_array_mut().unwrap() {
            tag["verified"] = Value::Null;
        }
        result
    };
    assert_eq!(strip(&dry), strip(&real));
    assert_eq!(to.tags(TO).keys().filter(|tag| !tag.starts_with("sha256-")).count(), 3);
}

#[test]
fn a_dry_run_into_a_repository_that_the_first_push_makes_ends_as_the_real_run_does() {
    for (status, code) in [(401, "UNAUTHORIZED"), (403, "DENIED")] {
        let (from, to) = (Registry::start(), Registry::bearer(one_user("robot", "secret")));
        from.push(FROM, TAG, &image("abc"));
        // As on Docker Hub: whoever may only read what is there is not told that nothing is there.
        let desk = to.tokens().desk();
        to.before(move |asked, state| {
            let granted = desk.granted(asked.bearer()?)?;
            let pushes = granted.iter().any(|(name, actions)| name == TO && actions.contains(&"push".to_owned()));
            let hides = asked.path.starts_with("/v2/acme/release/") && !state.repositories.contains_key(TO) && !pushes;
            hides.then(|| Reply::error(status, code, "requested access to the resource is denied"))
        });
        let run = |words: &[&str]| {
            let run = across(&from, &to).args(words.iter().copied());
            run.env("INTO_REGISTRY_USERNAME", "robot").env("INTO_REGISTRY_PASSWORD", "secret").run()
        };
        let dry = run(&["--dry-run"]);
        assert_eq!((actions(&dry).len(), to.log().writes()), (3, 0), "{status}: {dry}");
        let real = run(&[]);
        assert_eq!((actions(&dry), copied(&dry)), (actions(&real), copied(&real)));
    }
}

#[test]
fn blobs_come_first_then_manifests_from_below_then_what_points_at_them_and_the_tags_last() {
    let (from, to) = (Registry::start(), Registry::with(Options { referrers: true, ..Options::default() }));
    let built = signed(five_platforms(Family::Oci, "abc"));
    let root = built.push(&Client::new(&from.host()), FROM, TAG);
    across(&from, &to).run().result();
    let puts: Vec<String> = writes(&to.log())
        .iter()
        .filter_map(|line| Some(line.strip_prefix("PUT /v2/acme/release/")?.to_owned()))
        .collect();
    let kind = |line: &str| match line.strip_prefix("manifests/") {
        None => "blob",
        Some(name) if *name == root => "root",
        Some(name) if built.image.children.iter().any(|child| child.digest() == name) => "child",
        Some(name) if name.starts_with("sha256") => "referrer",
        Some(_) => "tag",
    };
    let mut kinds: Vec<&str> = puts.iter().map(|line| kind(line)).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "child").count(), 10, "{puts:#?}");
    kinds.dedup();
    assert_eq!(kinds, ["blob", "child", "root", "referrer", "tag"], "{puts:#?}");
    check_whole(&to);
}

#[test]
fn what_points_at_an_image_goes_along_wherever_it_is_listed() {
    for (api_there, api_here) in [(true, true), (true, false), (false, true), (false, false)] {
        let options = |referrers| Options { referrers, ..Options::default() };
        let (from, to) = (Registry::with(options(api_there)), Registry::with(options(api_here)));
        let built = signed(two_platforms("abc", "one"));
        built.push(&Client::new(&from.host()), FROM, TAG);
        let ran = across(&from, &to).run();
        assert_eq!(ran.result()["referrers"], json!({"found": 5, "copied": 5, "left": 0}), "{api_there} {api_here}");
        let client = Client::new(&to.host());
        for (subject, referrer) in built.references() {
            let listed = client.referrers(TO, &subject);
            assert!(listed.iter().any(|entry| entry["digest"] == *referrer), "{api_there} {api_here}: {listed:#?}");
        }
        let signature = built.cosign[0].1.digest();
        assert_eq!(
            from.log().matching("GET", &format!("/manifests/{signature}")),
            0,
            "it was read by its tag: {:#?}",
            from.log().lines()
        );
        assert_eq!(to.resolve(TO, &built.cosign_tag("sig")), Some(signature));
        to.clear();
        let again = across(&from, &to).run();
        assert_eq!(again.result()["referrers"], json!({"found": 5, "copied": 0, "left": 0}));
        assert_eq!(to.log().writes(), 0, "{:#?}", writes(&to.log()));
    }
}

#[test]
fn a_list_that_is_cut_short_between_two_runs_is_made_whole() {
    let (from, to) = (Registry::start(), Registry::start());
    let built = signed(image("abc"));
    built.push(&Client::new(&from.host()), FROM, TAG);
    across(&from, &to).run().result();
    // As after a run that was killed between a referrer and the list that names it.
    let list = built.image.digest().replace(':', "-");
    to.state(|state| state.repositories.get_mut(TO).unwrap().tags.remove(&list));
    let ran = across(&from, &to).run();
    assert_eq!(ran.result()["referrers"], json!({"found": 4, "copied": 2, "left": 0}), "{ran}");
    assert_eq!(Client::new(&to.host()).referrers(TO, &built.image.digest()).len(), 2);
}

#[test]
fn a_signature_that_is_made_after_a_promotion_is_promoted_by_the_next() {
    let built = signed(image("abc"));
    let (from, to) = two(&built.image);
    across(&from, &to).run().result();
    built.push(&Client::new(&from.host()), FROM, TAG);
    let ran = across(&from, &to).run();
    let (told, result) = (ran.stderr.starts_with("promoted "), ran.result());
    assert_eq!(result["referrers"], json!({"found": 4, "copied": 4, "left": 0}), "{ran}");
    assert!(told && ran.stderr.contains(" blobs copied, "), "{ran}");
}

#[test]
fn what_the_target_has_of_another_image_is_counted_and_not_sent() {
    let (from, to) = two(&layers(4, 50_000));
    // The same config and two of the layers.
    to.push(TO, "other", &layers(2, 50_000));
    assert_eq!(copied(&across(&from, &to).run())[..3], [2, 0, 3]);
    check_whole(&to);
}

#[test]
fn signatures_that_only_the_target_has_are_not_written_over() {
    let (from, to) = (Registry::start(), Registry::start());
    let built = signed(image("abc"));
    built.push(&Client::new(&from.host()), FROM, TAG);
    let tag = built.cosign_tag("sig");
    let own = to.push(TO, &tag, &Image::new().layer(b"a signature of production".to_vec()).build());
    let ran = across(&from, &to).run();
    assert_eq!((to.resolve(TO, &tag), ran.warnings()), (Some(own), vec!["signature-conflict".to_owned()]));
    // One that the source's signatures include is replaced.
    let (from, to) = (Registry::start(), Registry::start());
    built.push(&Client::new(&from.host()), FROM, TAG);
    let mut fewer = cosign_signature();
    fewer.bytes.push(b' ');
    to.push(TO, &tag, &fewer);
    let ran = across(&from, &to).run();
    assert_eq!((to.resolve(TO, &tag), ran.warnings()), (Some(built.cosign[0].1.digest()), Vec::new()));
    // One that somebody else has copied meanwhile is there.
    let (from, to) = (Registry::start(), Registry::start());
    built.push(&Client::new(&from.host()), FROM, TAG);
    let (other, name) = (built.cosign[0].1.clone(), tag.clone());
    to.before(move |asked, state| {
        if asked.method == "PUT" && asked.path.contains("/manifests/sha256:") {
            let digest = state.store(TO, &other);
            state.tag(TO, &name, &digest);
        }
        None
    });
    let ran = across(&from, &to).run();
    assert_eq!((actions(&ran).len(), ran.warnings()), (3, Vec::new()), "{ran}");
}

#[test]
fn as_many_connections_are_made_ahead_as_the_first_questions_leave_blobs_without_one() {
    // The config and eight layers, and before them three tags and the list.
    let (image, words) = (layers(8, 1000), ["--to", "a", "--to", "b", "--move", "latest", "--dry-run"]);
    let made = || {
        let (from, to) = two(&image);
        to.latency(STEP);
        across(&from, &to).args(words).run().result();
        to.connections()
    };
    // A question that comes before a connection is there may make one of its own.
    let made: Vec<usize> = (0..4).map(|_| made()).collect();
    assert_eq!(made.iter().min(), Some(&9), "{made:?}");
}

#[test]
fn the_first_promotion_into_a_repository_sees_another_that_comes_meanwhile() {
    let (from, to) = two(&layered());
    let mut done = false;
    to.after(move |asked, state, _| {
        if !done && asked.method == "PUT" && asked.path.ends_with(&format!("/manifests/{TAG}")) {
            done = true;
            let newer = state.store(TO, &image("newer"));
            state.tag(TO, "2026.34.104", &newer);
        }
    });
    let ran = across(&from, &to).args(["--to", "{version}", "--move", "latest"]).run();
    assert_eq!((actions(&ran).len(), ran.warnings()), (2, vec!["overlapped".to_owned()]), "{ran}");
}

#[test]
fn layers_that_lie_elsewhere_stay_there() {
    for family in [Family::Oci, Family::Docker] {
        let to = Registry::with(Options { careless: true, ..Options::default() });
        let from = Registry::with(Options { careless: true, ..Options::default() });
        from.push(FROM, TAG, &with_foreign_layer(family));
        let ran = across(&from, &to).run();
        assert_eq!((copied(&ran)[0], ran.warnings()), (2, vec!["foreign-layers".to_owned()]), "{ran}");
    }
}

#[test]
fn one_registry_mounts_and_one_that_does_not_gets_the_blobs_sent() {
    let built = layered();
    for (mounts, expected) in
        [(Mounts::Made, [0, 5, 0]), (Mounts::Ignored, [5, 0, 0]), (Mounts::Refused(405), [5, 0, 0])]
    {
        let registry = Registry::with(Options { blobs: Blobs { mounts, ..Blobs::default() }, ..Options::default() });
        registry.push(FROM, TAG, &built);
        let ran = across(&registry, &registry).run();
        assert_eq!(copied(&ran)[..3], expected, "{mounts:?}");
        let (reads, heads) = (registry.log().matching("GET", "/blobs/"), registry.log().matching("HEAD", "/blobs/"));
        assert_eq!((reads as u64, heads as u64), (expected[0], expected[0]), "{mounts:?}");
        assert_eq!(registry.state(|state| state.uploads.open()), 0, "{mounts:?}: uploads were left open");
        check_whole(&registry);
    }
}

#[test]
fn a_copy_within_one_registry_takes_few_requests() {
    let image = layers(8, 1000);
    for (words, requests, trips) in
        [(&["--to", "{tag}"][..], 16, 10), (&["--to", "{version}-rc", "--move", "latest"], 24, 12)]
    {
        let registry = Registry::with(Options { referrers: true, ..Options::default() });
        registry.push(FROM, TAG, &image);
        push(&registry, TO, &["2026.34.102"]);
        registry.state(|state| {
            let digest = state.resolve(TO, "2026.34.102").unwrap();
            state.tag(TO, "latest", &digest);
        });
        registry.latency(STEP);
        across(&registry, &registry).args(words.iter().copied()).run().result();
        let log = registry.log();
        assert!(
            log.count() <= requests && log.round_trips() <= trips,
            "{} {} {:#?}",
            log.count(),
            log.round_trips(),
            log.lines()
        );
    }
}

#[test]
fn guards_are_about_the_target_and_come_before_the_first_blob() {
    let built = layered();
    let (from, to) = two(&built);
    push(&to, TO, &["2026.34.104"]);
    let newer = to.resolve(TO, "2026.34.104").unwrap();
    to.state(|state| state.tag(TO, "latest", &newer));
    for (words, code) in [
        (vec![], "downgrade-refused"),
        (vec!["--to", "2026.34.104"], "tag-conflict"),
        (vec!["--expect-digest", newer.as_str()], "digest-unexpected"),
        (vec!["--require-label", "git_revision=xyz"], "label-mismatch"),
    ] {
        let ran = across(&from, &to).args(words.clone()).run();
        assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), (code, Some(false)), "{words:?} {ran}");
    }
    assert_eq!(to.log().writes(), 0);
    let log = from.log();
    assert!(built.blobs.iter().skip(1).all(|blob| log.matching("GET", &digest(blob)) == 0), "{:#?}", log.lines());
    let ran = across(&from, &to).arg("--allow-downgrade").run();
    assert_eq!(actions(&ran)[2], "latest: moved");
}

#[test]
fn who_may_not_write_learns_it_before_a_blob_is_read() {
    let rules = one_user("robot", "secret").user("reader", "secret", Rights::PULL).anonymous(Rights::PULL);
    let to = Registry::bearer(rules);
    let (from, _) = two(&layered());
    for (user, code) in [("reader", "denied"), ("", "credential-missing")] {
        let mut run = across(&from, &to);
        if !user.is_empty() {
            run = run.env("INTO_REGISTRY_USERNAME", user).env("INTO_REGISTRY_PASSWORD", "secret");
        }
        let ran = run.run();
        assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), (code, Some(false)), "{ran}");
        assert!(ran.stderr.contains(&to.host()) && ran.stderr.ends_with("\nnothing was written\n"), "{ran}");
        assert_eq!(from.log().matching("GET", "/blobs/"), 0, "{:#?}", from.log().lines());
    }
}

/// Refuses all but the first of such requests.
fn refuse_the_second(registry: &Registry, method: &'static str, place: &'static str, refusal: Reply) {
    let mut seen = 0;
    registry.before(move |asked, _| {
        let is_one = asked.method == method && asked.path.contains(place);
        seen += usize::from(is_one);
        (is_one && seen > 1).then(|| refusal.clone())
    });
}

#[test]
fn what_was_begun_beside_a_refusal_of_the_other_side_is_ended() {
    let gone = Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    let denied = Reply::error(403, "DENIED", "the quota is used up");
    for code in ["blob-missing", "denied"] {
        let (from, to) = two(&layers(3, 50_000));
        match code {
            "denied" => refuse_the_second(&to, "POST", "/blobs/uploads/", denied.clone()),
            _ => refuse_the_second(&from, "GET", "/blobs/", gone.clone()),
        }
        let ran = across(&from, &to).args(["--jobs", "1"]).run();
        assert_eq!(ran.code(), code, "{ran}");
        let asked = (to.log().matching("POST", "/blobs/uploads/"), from.log().matching("GET", "/blobs/"));
        assert_eq!(asked, (2, 2), "{code}: both at once");
        assert_eq!(to.state(|state| state.uploads.open()), 0, "{code}: {:#?}", to.log().lines());
        assert_eq!(to.resolve(TO, TAG), None, "{ran}");
    }
}

#[test]
fn the_credential_of_one_side_is_not_the_others() {
    let (from, to) = (Registry::basic("one", "secret-one"), Registry::basic("two", "secret-two"));
    from.push(FROM, TAG, &layered());
    let run = across(&from, &to).login("one", "secret-one");
    assert_eq!(run.run().code(), "credential-missing");
    let into = |run: Tagwright| run.env("INTO_REGISTRY_USERNAME", "two").env("INTO_REGISTRY_PASSWORD", "secret-two");
    assert_eq!(actions(&into(run.clone()).run()).len(), 3);
    for (log, foreign) in [(from.log(), "two"), (to.log(), "one")] {
        assert!(
            log.0.iter().all(|one| one.asked.basic().is_none_or(|(user, _)| user != foreign)),
            "{:#?}",
            log.lines()
        );
    }
    let ran = into(run).env("INTO_REGISTRY_HOST", "elsewhere.example").run();
    assert_eq!(ran.code(), "credential-host-mismatch");
    // Within one registry the first pair serves both sides.
    let ran = across(&from, &from).login("one", "secret-one").run();
    assert_eq!(copied(&ran)[1], 5);
}

#[test]
fn blobs_that_are_not_what_the_manifest_says_end_the_run_and_leave_no_tag() {
    let built = layered();
    let bad = digest(&built.blobs[2]);
    let mut shots = String::new();
    type Answer = Box<dyn Fn() -> Reply + Send>;
    let cases: [(&str, Answer); 5] = [
        ("missing", Box::new(|| Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry"))),
        ("shorter", Box::new(|| Reply::with(200, "application/octet-stream", vec![1; 49_000]))),
        ("longer", Box::new(|| Reply::with(200, "application/octet-stream", vec![1; 51_000]))),
        ("other", Box::new(|| Reply::with(200, "application/octet-stream", vec![9; 50_000]))),
        ("a page", Box::new(|| Reply::with(200, "text/html", "<html>please log in</html>"))),
    ];
    for (name, reply) in cases {
        let (from, to) = two(&built);
        let path = format!("/blobs/{bad}");
        from.before(move |asked, _| (asked.method == "GET" && asked.path.ends_with(&path)).then(&reply));
        let ran = across(&from, &to).arg("--retries").arg("1").run();
        assert!(matches!(ran.exit, Some(7)), "{name}: {ran}");
        check_untagged(&to);
        assert!(!to.state(|state| state.repositories.get(TO).is_some_and(|r| r.blobs.contains_key(&bad))));
        let text = ran.stderr.replace(&from.host(), "[source]");
        // What else was under way when it ended is a matter of moments.
        let said = text.lines().filter(|line| !line.starts_with("written") && !line.starts_with("nothing"));
        shots.push_str(&format!("## {name}\n{}\n\n", said.collect::<Vec<_>>().join("\n")));
    }
    insta::assert_snapshot!(shots);
}

#[test]
fn a_source_that_breaks_is_read_on_and_a_target_that_breaks_is_asked_again() {
    let built = layered();
    let blob = digest(&built.blobs[3]);
    let (from, to) = two(&built);
    from.fail(1, "GET", &format!("/blobs/{blob}"), Reply::broken(Fault::Close));
    to.fail(1, "PUT", "/blobs/uploads/", Reply::error(503, "UNAVAILABLE", "try again"));
    let ran = across(&from, &to).run();
    assert_eq!(actions(&ran).len(), 3, "{ran}");
    check_whole(&to);
}

#[test]
fn a_target_that_is_full_is_told_with_what_was_written() {
    let (from, to) = two(&layered());
    to.before(|asked, _| {
        (asked.method == "PUT" && asked.path.contains("/blobs/uploads/") && asked.body.len() > 10_000)
            .then(|| Reply::with(507, "text/plain", "no space left on device"))
    });
    let ran = across(&from, &to).args(["--jobs", "1", "--retries", "0"]).run();
    let error = ran.error();
    assert_eq!(error["code"], "registry-unavailable", "{ran}");
    assert!(ran.stderr.contains("no space left on device"), "{ran}");
    check_untagged(&to);
    // The next run finishes it where there is room again.
    let spacious = Registry::start();
    assert_eq!(actions(&across(&from, &spacious).run()).len(), 3);
}

#[test]
fn what_was_written_before_a_failure_is_told() {
    let (from, to) = two(&layered());
    to.fail(9, "PUT", "/manifests/", Reply::error(403, "DENIED", "manifests are for others"));
    let ran = across(&from, &to).run();
    insta::assert_snapshot!(look(&ran, &from, &to));
    let error = ran.error();
    assert_eq!((error["code"].as_str(), error["changed"].as_bool()), (Some("denied"), Some(true)));
    assert_eq!(error["done"], json!([format!("5 blobs in `{}`", to.name(TO))]), "{ran}");
}

#[test]
fn blobs_that_were_written_before_one_is_refused_are_told() {
    for count in [0, 1, 2] {
        let (from, to) = two(&layered());
        to.before(move |asked, state| {
            let there = state.repositories.get(TO).map_or(0, |home| home.blobs.len());
            let is_upload = asked.method != "GET" && asked.path.contains("/blobs/uploads/");
            (is_upload && there == count).then(|| Reply::error(403, "DENIED", "no more of them"))
        });
        let ran = across(&from, &to).args(["--jobs", "1", "--retries", "0"]).run();
        let error = ran.error();
        assert_eq!((error["code"].as_str(), error["changed"].as_bool()), (Some("denied"), Some(count > 0)), "{ran}");
        let done = format!("{count} blobs and 0 manifests in `{}`, without a tag", to.name(TO));
        assert_eq!(error["done"], if count > 0 { json!([done]) } else { json!([]) }, "{ran}");
        assert_eq!(ran.stderr.ends_with("\nnothing was written\n"), count == 0, "{ran}");
        check_untagged(&to);
    }
}

#[test]
fn a_copy_of_as_many_blobs_as_manifests_is_told_where_the_next_manifest_is_refused() {
    let built = two_platforms("abc", "one");
    let (from, to) = two(&built);
    let (lacking, refused) = (digest(&built.children[0].blobs[0]), Reply::error(403, "DENIED", "no more of them"));
    to.state(|state| {
        state.store(TO, &built);
        let home = state.repositories.get_mut(TO).unwrap();
        home.manifests.clear();
        home.blobs.remove(&lacking);
    });
    to.before(move |asked, state| {
        let is_next = asked.method == "PUT" && asked.path.contains("/manifests/");
        (is_next && !state.repositories[TO].manifests.is_empty()).then(|| refused.clone())
    });
    let done = format!("1 blobs and 1 manifests in `{}`, without a tag", to.name(TO));
    let ran = across(&from, &to).run();
    assert_eq!(ran.error()["done"], json!([done]), "{ran}");
    check_untagged(&to);
}

#[test]
fn a_registry_that_forgets_an_upload_gets_it_anew() {
    let (from, to) = two(&layered());
    let mut left = 1;
    to.before(move |asked, state| {
        if left > 0 && asked.method == "PUT" && asked.path.contains("/blobs/uploads/") {
            left -= 1;
            state.uploads.forget();
        }
        None
    });
    assert_eq!(actions(&across(&from, &to).run()).len(), 3);
    check_whole(&to);
}

#[test]
fn a_source_that_changes_its_tag_meanwhile_changes_nothing() {
    let built = layered();
    let (from, to) = two(&built);
    let other = image("another");
    from.after(move |asked, state, _| {
        if asked.method == "GET" && asked.path.ends_with(TAG) {
            let digest = state.store(FROM, &other);
            state.tag(FROM, TAG, &digest);
        }
    });
    let ran = across(&from, &to).run();
    assert_eq!(ran.result()["digest"], built.digest());
    assert_eq!(to.resolve(TO, "latest"), Some(built.digest()));
    check_whole(&to);
}

#[test]
fn an_index_that_lacks_an_image_is_not_promoted() {
    let built = two_platforms("abc", "one");
    let (from, to) = two(&built);
    let lost = built.children[1].digest();
    from.state(|state| state.repositories.get_mut(FROM).unwrap().manifests.remove(&lost));
    let ran = across(&from, &to).run();
    assert_eq!((ran.code().as_str(), to.log().writes()), ("blob-missing", 0), "{ran}");
    assert!(ran.stderr.contains(&lost), "{ran}");
}

#[test]
fn an_index_at_the_target_that_lacks_an_image_is_completed() {
    let built = two_platforms("abc", "one");
    let (from, to) = two(&built);
    // As a registry that looks at no manifest below an index may hold one.
    to.push(TO, TAG, &built);
    let lost = built.children[1].digest();
    to.state(|state| state.repositories.get_mut(TO).unwrap().manifests.remove(&lost));
    let ran = across(&from, &to).run();
    assert_eq!(actions(&ran)[0], "2026.34.103: unchanged");
    check_whole(&to);
}

#[test]
fn no_more_blobs_are_under_way_than_jobs() {
    for jobs in [1, 3] {
        let image = layers(8, 1000);
        let (from, to) = two(&image);
        from.latency(STEP / 3);
        across(&from, &to).args(["--jobs", &jobs.to_string()]).run().result();
        let log = from.log();
        let reads: Vec<_> =
            log.0.iter().filter(|one| one.asked.method == "GET" && one.asked.path.contains("/blobs/")).collect();
        let most = reads
            .iter()
            .map(|one| reads.iter().filter(|o| o.started <= one.started && one.started < o.ended).count())
            .max();
        assert_eq!((most, reads.len()), (Some(jobs), 9));
    }
}

#[test]
fn a_build_is_found_in_one_repository_and_promoted_into_another() {
    let (from, to) = two(&layered());
    let run = tagwright(["promote", &from.name(FROM), "--build", "103", "--into", &to.name(TO)]);
    let ran = run.run();
    assert_eq!(actions(&ran), ["2026.34.103: created", "2026.34.103-rc: created", "latest: created"]);
    assert_eq!(ran.result()["repository"], to.name(TO));
    assert_eq!(ran.result()["source"]["reference"], from.name(&format!("{FROM}:{TAG}")));
}

#[test]
fn a_tag_that_was_moved_is_put_back_by_the_command_that_is_printed() {
    let (from, to) = two(&layered());
    push(&to, TO, &["2026.34.102"]);
    let before = to.resolve(TO, "2026.34.102").unwrap();
    to.state(|state| state.tag(TO, "latest", &before));
    let result = across(&from, &to).run().result();
    assert_ne!(to.resolve(TO, "latest"), Some(before.clone()));
    let words: Vec<String> = serde_json::from_value(result["rollback"][0].clone()).unwrap();
    tagwright([]).args(words.into_iter().skip(1)).run().result();
    assert_eq!(to.resolve(TO, "latest"), Some(before));
}

#[test]
fn a_copy_within_one_registry_that_wants_tokens_asks_for_one_each_side() {
    let registry = Registry::bearer(one_user("robot", "secret"));
    registry.push(FROM, TAG, &layers(8, 1000));
    // Who mounts reads the source with the right to write; who only looks takes no more than each side's own.
    across(&registry, &registry).arg("--dry-run").login("robot", "secret").run().result();
    let log = registry.log();
    let asked = log.0.iter().flat_map(|one| &one.asked.query).filter(|(name, _)| name == "scope");
    let mut asked: Vec<&str> = asked.map(|(_, scope)| scope.as_str()).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["repository:acme/build:pull", "repository:acme/release:pull"]);
    registry.clear();
    registry.latency(STEP);
    let ran = across(&registry, &registry).args(["--to", "{tag}"]).login("robot", "secret").run();
    assert_eq!(copied(&ran)[1], 9);
    let log = registry.log();
    let scopes: Vec<_> = log.0.iter().filter_map(|one| one.asked.query("scope").map(str::to_owned)).collect();
    // Both sides are asked at once, and each question may be challenged.
    let challenged = log.0.iter().filter(|one| one.status == 401).count();
    assert!((1..=3).contains(&challenged), "{:#?}", log.lines());
    assert_eq!(
        (scopes.len(), log.round_trips() <= 12),
        (2, true),
        "{scopes:?} {} {:#?}",
        log.round_trips(),
        log.lines()
    );
}

#[test]
fn the_first_scope_of_a_token_is_about_the_repository_that_it_is_for() {
    // Some token servers look at no other.
    let registry = Registry::bearer(one_user("robot", "secret"));
    registry.push(FROM, TAG, &layered());
    let run = tagwright(["promote", &registry.name(FROM), "--build", "103", "--into", &registry.name(TO)]);
    run.login("robot", "secret").run().result();
    let log = registry.tokens().log();
    let first: Vec<_> = log.0.iter().filter_map(|one| one.asked.query("scope")).collect();
    assert_eq!(first, ["repository:acme/build:pull", "repository:acme/release:pull,push"]);
}

#[test]
fn an_upload_that_was_begun_for_a_blob_that_is_there_is_given_up() {
    let blobs = Blobs { mounts: Mounts::Ignored, ..Blobs::default() };
    let registry = Registry::with(Options { blobs, ..Options::default() });
    let built = layered();
    registry.push(FROM, TAG, &built);
    registry.state(|state| {
        let home = state.repositories.entry(TO.to_owned()).or_default();
        home.blobs.extend(built.blobs.iter().take(3).map(|blob| (digest(blob), blob.clone())));
    });
    let ran = across(&registry, &registry).run();
    assert_eq!(copied(&ran)[..3], [2, 0, 3]);
    assert_eq!(registry.state(|state| state.uploads.open()), 0);
}

/// Answers 503 to every request of a target that this is true of, for as long as the test runs.
fn busy(target: &Registry, is_met: impl Fn(&str) -> bool + Send + 'static) {
    target.before(move |asked, _| is_met(&asked.method).then(|| Reply::status(503)));
}

#[test]
fn the_first_failure_stops_what_runs_beside_it() {
    let children = (0..200).map(|n| Image::new().label("number", &n.to_string()).build());
    let built = Index::of(children).build();
    type Question = fn(&str) -> bool;
    let cases: [(&str, Question, Question); 3] = [
        ("to everything", |_| true, |_| true),
        ("to what begins an upload", |method| method == "POST", |method| method == "POST"),
        ("to manifests", |method| method == "PUT", |method| method == "PUT"),
    ];
    std::thread::scope(|scope| {
        for (what, is_busy, counts) in cases {
            let built = &built;
            scope.spawn(move || {
                let (from, to) = two(built);
                busy(&to, is_busy);
                let ran = across(&from, &to).run();
                assert_eq!(ran.code(), "registry-unavailable", "{what} {ran}");
                let asked = to.log().0.iter().filter(|one| counts(&one.asked.method)).count();
                assert!(asked < 100, "{what}: {asked}");
                check_untagged(&to);
            });
        }
    });
}

#[test]
fn what_waits_to_be_tried_again_is_not_when_something_beside_it_fails() {
    let children = (0..40).map(|n| Image::new().label("number", &n.to_string()).build());
    let (from, to) = two(&Index::of(children).build());
    // All that come are to come back in half a minute, but for the eighth, which is refused.
    let mut begun = 0;
    to.before(move |asked, _| {
        let begins = asked.method == "POST";
        begun += usize::from(begins);
        let later = Reply::status(429).header("Retry-After", "30");
        begins.then(|| if begun == 8 { Reply::error(403, "DENIED", "not yours") } else { later })
    });
    let ran = across(&from, &to).args(["--jobs", "8"]).run();
    assert_eq!(ran.code(), "denied", "{ran}");
    assert_eq!(to.log().method("POST"), 8, "nobody came back: {:#?}", to.log().lines());
    check_untagged(&to);
}

#[test]
fn a_mount_that_cannot_be_made_for_the_moment_is_made_later() {
    let built = layered();
    for reply in [
        Reply::status(429).header("Retry-After", "1"),
        Reply::status(503),
        Reply::broken(Fault::Close),
        Reply::broken(Fault::Reset),
    ] {
        let registry = Registry::start();
        registry.push(FROM, TAG, &built);
        registry.fail(1, "POST", "/blobs/uploads/", reply.clone());
        let ran = across(&registry, &registry).run();
        assert_eq!(copied(&ran)[..3], [0, 5, 0], "{reply:?}");
        assert_eq!(registry.state(|state| state.uploads.open()), 0, "{reply:?}");
        check_whole(&registry);
    }
}

#[test]
fn a_mount_that_is_to_be_made_much_later_is_no_mount_that_is_refused() {
    let registry = Registry::start();
    registry.push(FROM, TAG, &layered());
    registry
        .before(|asked, _| asked.query("mount").is_some().then(|| Reply::status(429).header("Retry-After", "9999")));
    let ran = across(&registry, &registry).run();
    assert_eq!((ran.code().as_str(), registry.log().method("PUT")), ("rate-limited", 0), "{ran}");
}

#[test]
fn a_blob_that_the_target_calls_by_another_algorithm_is_no_mismatch() {
    for (other, same, code) in [(true, true, None), (true, false, None), (false, false, Some("digest-mismatch"))] {
        let (from, to) = two(&layered());
        to.after(move |asked, _, reply| {
            if asked.method == "PUT" && asked.path.contains("/blobs/uploads/") {
                let body = if same { asked.body.clone() } else { b"something else".to_vec() };
                *reply = reply.clone().set("Docker-Content-Digest", if other { sha512(&body) } else { digest(&body) });
            }
        });
        let ran = across(&from, &to).run();
        match code {
            Some(code) => assert_eq!(ran.code(), code, "{ran}"),
            None => check_whole(&to),
        }
        assert_eq!(ran.exit == Some(0), code.is_none(), "{ran}");
    }
}

#[test]
fn a_credential_that_lacks_is_asked_for_by_the_names_of_its_side() {
    let (from, to) = (Registry::basic("one", "secret-one"), Registry::basic("two", "secret-two"));
    from.push(FROM, TAG, &layered());
    let hint = |ran: &Ran| ran.error()["hint"].as_str().unwrap().to_owned();
    let ran = across(&from, &to).login("one", "secret-one").run();
    assert_eq!(ran.code(), "credential-missing", "{ran}");
    let into = "set INTO_REGISTRY_USERNAME and INTO_REGISTRY_PASSWORD (in a step `intoCredentialsId`), or ";
    assert!(hint(&ran).starts_with(into), "{ran}");
    let ran = across(&from, &to).run();
    assert!(hint(&ran).starts_with("set REGISTRY_USERNAME and REGISTRY_PASSWORD, or "), "{ran}");
}

#[test]
fn the_command_that_undoes_a_copy_runs_where_it_was_printed() {
    let (from, to) = (Registry::basic("one", "secret-one"), Registry::basic("two", "secret-two"));
    from.push(FROM, TAG, &layered());
    to.push(TO, "latest", &image("2026.34.102"));
    let folder = tempfile::tempdir().unwrap();
    let log_in = |run: Tagwright| {
        let run = run.login("one", "secret-one").folder(folder.path());
        run.env("INTO_REGISTRY_USERNAME", "two").env("INTO_REGISTRY_PASSWORD", "secret-two")
    };
    let promoted = log_in(across(&from, &to).args(["--record", "record.jsonl"])).run().result();
    let undo: Vec<String> = serde_json::from_value(promoted["rollback"][0].clone()).unwrap();
    let undo = tagwright([]).args(&undo[1..]);
    let dry = |run: Tagwright| run.arg("--dry-run").run();
    assert_eq!(actions(&dry(log_in(undo.clone()))).last().unwrap(), "latest: moved");
    assert!(to.log().0.iter().all(|one| one.asked.basic().is_none_or(|(user, _)| user == "two")));
    // The first pair counts where it is named for the registry, and the second where that is.
    let named = |run: Tagwright, variable: &str| run.env(variable, to.host());
    let first = named(log_in(undo.clone()), "REGISTRY_HOST");
    assert_eq!(dry(first.clone()).code(), "unauthenticated");
    assert_eq!(actions(&dry(named(first, "INTO_REGISTRY_HOST"))).len(), 3);
    let by_file = log_in(tagwright(["rollback", "--record", "record.jsonl"]));
    assert_eq!(dry(by_file.clone()).code(), "credential-missing");
    assert_eq!(actions(&dry(named(by_file, "INTO_REGISTRY_HOST"))).len(), 3);
    let elsewhere = log_in(undo).env("INTO_REGISTRY_HOST", "elsewhere.example");
    assert_eq!(dry(elsewhere).code(), "unauthenticated");
}
