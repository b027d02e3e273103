//! Promotions into and out of Amazon ECR: across accounts and regions, with other registries, within one registry.

use crate::stage::image;
use crate::support::amazon::{Amazon, FAR, HOST, KEY, OTHER_KEY, PASSWORD, SESSION, refusal};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::image::{Built, Image, two_platforms};
use crate::support::log::Asked;
use crate::support::registry::{Auth, Options, Registry, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::text::base64;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const READER: &str = "arn:aws:iam::123456789012:role/reader";
const WRITER: &str = "arn:aws:iam::210987654321:role/writer";
const SOURCE: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:2026.34.103";
const TARGET: &str = "210987654321.dkr.ecr.us-east-1.amazonaws.com/prod/app";

/// An image in the one registry, and an empty repository for it in the other.
fn staged() -> Amazon {
    let amazon = Amazon::start();
    amazon.push("team/app", "2026.34.103", &image("abc"));
    amazon.create([TARGET]);
    amazon
}

/// The same, where `latest` holds an older version.
fn staged_with_latest() -> Amazon {
    let amazon = staged();
    let old = amazon.push_far("prod/app", "2026.34.102", &image("old"));
    amazon.state(|state| state.far.tag("prod/app", "latest", &old));
    amazon
}

/// A promotion from [`HOST`] to [`FAR`] by one key.
fn promote(amazon: &Amazon) -> Tagwright {
    amazon.signed(["promote", SOURCE, "--into", TARGET])
}

fn far(amazon: &Amazon, tag: &str) -> Option<String> {
    amazon.state(|state| state.far.resolve("prod/app", tag))
}

/// What a registry holds of an image is the same here and there, to the last blob.
fn is_whole(amazon: &Amazon, tag: &str, built: &Built) {
    assert_eq!(far(amazon, tag), Some(built.digest()));
    amazon.state(|state| {
        let home = &state.far.repositories["prod/app"];
        for part in std::iter::once(built).chain(&built.children) {
            assert_eq!(home.manifests[&part.digest()].1, part.bytes);
            for blob in &part.blobs {
                assert!(home.blobs.values().any(|held| held == blob), "a blob was not copied");
            }
        }
    });
}

/// How often an action was called, by either API or by one of them.
fn requests(amazon: &Amazon, method: &str, part: &str) -> usize {
    amazon.log().matching(method, part)
}

fn changed(ran: &Ran) -> bool {
    ran.error()["changed"] == true
}

#[test]
fn an_image_goes_from_account_to_account_by_a_role_for_each() {
    for via in [&[][..], &["--via", "ecr-api"], &["--via", "registry"]] {
        let amazon = Amazon::start();
        let built = two_platforms("abc", "layer");
        amazon.push("team/app", "2026.34.103", &built);
        amazon.create([TARGET]);
        let run = promote(&amazon).args(["--aws-role", READER, "--into-aws-role", WRITER]).args(via);
        let result = run.run().result();
        is_whole(&amazon, "latest", &built);
        is_whole(&amazon, "2026.34.103-rc", &built);
        assert_eq!(result["copied"]["mounted"], 0);
        let blobs: BTreeSet<&Vec<u8>> = built.children.iter().flat_map(|child| &child.blobs).collect();
        assert_eq!(result["copied"]["blobs"], blobs.len(), "{result:#}");
        let (reads, writes) = (amazon.used(READER), amazon.used(WRITER));
        for action in ["PutImage", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"] {
            assert!(!reads.contains(action) && writes.contains(action), "{action}: {reads:?} {writes:?}");
        }
        assert!(reads.contains("GetDownloadUrlForLayer") && !writes.contains("GetDownloadUrlForLayer"));
        assert!(amazon.used(KEY.0).is_empty(), "{:?}", amazon.used(KEY.0));
        // The second run finds all of it there.
        amazon.clear();
        let again = run.run().result();
        assert_eq!((&again["copied"]["blobs"], &again["tags"][1]["action"]), (&json!(0), &json!("unchanged")));
        assert_eq!(requests(&amazon, "POST", "/blobs/uploads/"), 0);
        assert!(!amazon.used(WRITER).contains("PutImage"));
        // The way back names the role that may go it, as that of the only side.
        let other = amazon.push("team/app", "2026.34.104", &image("next"));
        let next = amazon.signed(["promote", &SOURCE.replace("103", "104"), "--into", TARGET]);
        let moved = next.args(["--aws-role", READER, "--into-aws-role", WRITER]).args(via).run().result();
        assert_eq!(far(&amazon, "latest"), Some(other));
        let undo: Vec<&str> = moved["rollback"][0].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
        assert!(undo.windows(2).any(|two| two == ["--aws-role", WRITER]), "{undo:?}");
        assert!(!undo.contains(&READER), "{undo:?}");
    }
}

#[test]
fn a_role_is_assumed_once_for_all_repositories_of_one_registry() {
    let (amazon, into, more) = (staged(), format!("{HOST}/team/release"), format!("{FAR}/prod/more"));
    amazon.create([&into, &more]);
    let run = amazon.signed(["promote", SOURCE, "--into", &into]);
    run.clone().args(["--aws-role", READER]).run().result();
    assert_eq!(amazon.resolve("team/release", "latest"), amazon.resolve("team/app", "2026.34.103"));
    let assumed = || amazon.calls().iter().filter(|call| *call == "sts:AssumeRole").count();
    assert_eq!(assumed(), 1, "{:?}", amazon.calls());
    amazon.clear();
    run.args(["--into", TARGET, "--into", &more, "--into-aws-role", WRITER]).run().result();
    assert_eq!(assumed(), 2, "one for each registry: {:?}", amazon.calls());
}

#[test]
fn a_role_is_named_by_the_registry_that_it_is_for() {
    let roles = |run: Tagwright| {
        let [near, far] = [format!("{HOST}={READER}"), format!("{FAR}={WRITER}")];
        run.args(["--aws-role-for", &near, "--aws-role-for", &far])
    };
    for via in [&[][..], &["--via", "registry"]] {
        let amazon = staged_with_latest();
        // It comes before the role of the side.
        let run = roles(promote(&amazon)).args(["--into-aws-role", READER]).args(via);
        let result = run.run().result();
        is_whole(&amazon, "latest", &image("abc"));
        assert!(!amazon.used(READER).contains("PutImage") && amazon.used(WRITER).contains("PutImage"));
        assert!(amazon.used(KEY.0).is_empty(), "{:?}", amazon.used(KEY.0));
        let undo: Vec<&str> = result["rollback"][0].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
        assert!(undo.windows(2).any(|two| two == ["--aws-role", WRITER]), "{undo:?}");
    }
    let amazon = staged_with_latest();
    let ran = roles(amazon.signed(["diff", SOURCE, &format!("{TARGET}:latest")])).run();
    assert_eq!(ran.result()["to"]["version"], "2026.34.102", "{ran}");
    assert!(!amazon.used(READER).is_empty() && !amazon.used(WRITER).is_empty() && amazon.used(KEY.0).is_empty());
    let ran = roles(promote(&amazon)).args(["--aws-role-for", &format!("{HOST}={WRITER}")]).run();
    assert_eq!((ran.code().as_str(), ran.exit), ("request-invalid", Some(2)), "{ran}");
    let named = format!("images.internal={READER}");
    let ran = promote(&amazon).args(["--aws-role-for", &named]).run();
    assert_eq!(ran.code(), "request-invalid", "{ran}");
}

#[test]
fn each_side_may_have_a_key_of_its_own() {
    let amazon = staged();
    amazon
        .allow(KEY.0, ["ecr:BatchGetImage@123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr:GetDownloadUrlForLayer"]);
    let run = promote(&amazon).env("INTO_AWS_ACCESS_KEY_ID", OTHER_KEY.0);
    let ran = run.env("INTO_AWS_SECRET_ACCESS_KEY", OTHER_KEY.1).run();
    ran.result();
    assert_eq!(ran.warnings(), ["referrers-unknown"], "{ran}");
    is_whole(&amazon, "latest", &image("abc"));
    // One key for both: the second account does not let it in.
    let amazon = staged();
    amazon
        .allow(KEY.0, ["ecr:BatchGetImage@123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr:GetDownloadUrlForLayer"]);
    let ran = promote(&amazon).run();
    assert_eq!((ran.code().as_str(), changed(&ran)), ("denied", false), "{ran}");
    assert!(ran.error()["hint"].as_str().unwrap().contains("`ecr:BatchGetImage`"), "{ran}");
}

#[test]
fn profiles_and_a_web_identity_lead_to_two_roles() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    let text = format!(
        "[profile reading]\nrole_arn={READER}\nsource_profile=base\n[profile writing]\nrole_arn={WRITER}\nsource_profile=base\n\
         [profile base]\naws_access_key_id={}\naws_secret_access_key={}\n",
        KEY.0, KEY.1
    );
    std::fs::write(&config, text).unwrap();
    let amazon = staged();
    let run = amazon.anonymous(["promote", SOURCE, "--into", TARGET]).env("AWS_CONFIG_FILE", &config);
    run.args(["--aws-profile", "reading", "--into-aws-profile", "writing"]).run().result();
    assert!(amazon.used(WRITER).contains("PutImage") && !amazon.used(READER).contains("PutImage"));
    // A pod: its service account reads, and assumes the role that writes.
    let token = home.path().join("token");
    std::fs::write(&token, "marked-web-identity-token").unwrap();
    let amazon = staged();
    let run = amazon.anonymous(["promote", SOURCE, "--into", TARGET]).env("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
    run.env("AWS_ROLE_ARN", READER).args(["--into-aws-role", WRITER]).run().result();
    assert!(amazon.used(WRITER).contains("PutImage") && !amazon.used(READER).contains("PutImage"));
    assert!(amazon.calls().contains(&"sts:AssumeRoleWithWebIdentity".to_owned()));
}

#[test]
fn another_registry_is_promoted_into_ecr() {
    for via in [&[][..], &["--via", "registry"], &["--via", "ecr-api"], &["--credentials-from", "aws"]] {
        let amazon = Amazon::start();
        amazon.create([TARGET]);
        let open = via.contains(&"--credentials-from");
        let auth = if open { Auth::None } else { Auth::Bearer(one_user("ci", "marked-source-password")) };
        let registry = Registry::with(Options { auth, referrers: true, ..Options::default() });
        let built = two_platforms("abc", "layer");
        registry.push("team/app", "2026.34.103", &built);
        let source = registry.name("team/app:2026.34.103");
        let run = amazon.signed(["promote", &source, "--into", TARGET]).args(via);
        let run = run.login("ci", "marked-source-password").args(["--into-aws-role", WRITER]);
        run.run().result();
        is_whole(&amazon, "2026.34.103-rc", &built);
        assert!(amazon.used(WRITER).contains("PutImage"));
        assert!(!registry.log().mentions("AWS4-HMAC") && !registry.log().mentions(PASSWORD));
        assert!(!amazon.log().mentions("marked-source-password"));
    }
}

#[test]
fn ecr_is_promoted_into_another_registry() {
    for via in [&[][..], &["--via", "registry"], &["--via", "ecr-api"], &["--credentials-from", "aws"]] {
        let amazon = Amazon::start();
        let built = two_platforms("abc", "layer");
        amazon.push("team/app", "2026.34.103", &built);
        let open = via.contains(&"--credentials-from");
        let auth = if open { Auth::None } else { Auth::Bearer(one_user("prod", "marked-target-password")) };
        let registry = Registry::with(Options { auth, referrers: true, ..Options::default() });
        let target = registry.name("prod/app");
        let run = amazon.signed(["promote", SOURCE, "--into", &target, "--aws-role", READER]).args(via);
        let run = run.env("INTO_REGISTRY_USERNAME", "prod").env("INTO_REGISTRY_PASSWORD", "marked-target-password");
        run.run().result();
        assert_eq!(registry.resolve("prod/app", "latest"), Some(built.digest()));
        assert!(amazon.used(READER).contains("GetDownloadUrlForLayer"));
        assert!(!registry.log().mentions("AWS4-HMAC") && !registry.log().mentions(PASSWORD));
        assert!(!amazon.log().mentions("marked-target-password"));
    }
}

#[test]
fn the_public_registry_is_promoted_into_a_private_one() {
    let amazon = Amazon::start();
    amazon.create([TARGET]);
    let built = image("abc");
    amazon.push("acme/app", "1.2.3", &built);
    amazon.signed(["promote", "public.ecr.aws/acme/app:1.2.3", "--into", TARGET, "--to", "{tag}"]).run().result();
    is_whole(&amazon, "1.2.3", &built);
}

#[test]
fn two_repositories_of_one_registry_share_nothing_and_nothing_is_sent_twice() {
    let amazon = Amazon::start();
    let near = format!("{HOST}/prod/app");
    amazon.create([&near]);
    let built = image("abc");
    amazon.push("team/app", "2026.34.103", &built);
    // A part of it is there already, by another way.
    amazon.state(|state| {
        let config =
            state.store.repositories["team/app"].blobs.clone().into_iter().find(|(_, held)| *held == built.blobs[0]);
        state.store.repositories.get_mut("prod/app").unwrap().blobs.extend(config);
    });
    for (identity, actions) in [
        (
            READER,
            &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:ListImages", "ecr:GetAuthorizationToken"][..],
        ),
        (
            WRITER,
            &[
                "ecr:BatchGetImage",
                "ecr:BatchCheckLayerAvailability",
                "ecr:InitiateLayerUpload",
                "ecr:UploadLayerPart",
                "ecr:CompleteLayerUpload",
                "ecr:PutImage",
            ],
        ),
    ] {
        let path = if identity == READER { "team/app" } else { "prod/app" };
        let actions: Vec<String> = actions.iter().map(|action| format!("{action}@{HOST}/{path}")).collect();
        let actions = actions.iter().map(String::as_str).chain(["ecr:GetAuthorizationToken"]);
        amazon.allow(identity, actions);
    }
    let run = amazon.signed(["promote", SOURCE, "--into", &near, "--to", "{tag}"]);
    let run = run.args(["--aws-role", READER, "--into-aws-role", WRITER]);
    let result = run.run().result();
    assert_eq!(result["copied"], json!({"blobs": 1, "mounted": 0, "skipped": 1, "bytes": built.blobs[1].len()}));
    assert_eq!(amazon.resolve("prod/app", "2026.34.103"), Some(built.digest()));
    assert_eq!(amazon.state(|state| state.store.repositories["prod/app"].blobs.len()), 2);
    // The upload that the service began in place of a mount was gone on with.
    assert_eq!(requests(&amazon, "POST", "/blobs/uploads/"), 2);
    amazon.clear();
    assert_eq!(run.run().result()["copied"]["blobs"], 0);
    assert_eq!(requests(&amazon, "PUT", "/blobs/uploads/"), 0);
}

#[test]
fn a_host_that_stands_for_ecr_is_ecr_on_the_into_side_too() {
    for via in [&[][..], &["--via", "registry"], &["--via", "ecr-api"]] {
        let amazon = Amazon::start();
        let registry = Registry::start();
        registry.push("team/app", "1.2.3", &image("abc"));
        let (target, named) = ("images.internal/prod/app", format!("images.internal={HOST}"));
        amazon.create([&format!("{HOST}/prod/app")]);
        let source = registry.name("team/app:1.2.3");
        let run = amazon.signed(["promote", &source, "--into", target, "--ecr", &named, "--into-aws-role", WRITER]);
        run.args(via).run().result();
        assert_eq!(amazon.resolve("prod/app", "latest"), Some(image("abc").digest()));
        assert!(amazon.used(WRITER).contains("CompleteLayerUpload"));
    }
    let registry = Registry::start();
    let target = registry.name("prod/app");
    let ran = tagwright(["promote", SOURCE, "--into", &target, "--into-aws-role", WRITER]).run();
    assert_eq!(ran.code(), "request-invalid", "{ran}");
    assert!(ran.stderr.contains("`--into-aws-role` is for private registries"), "{ran}");
}

#[test]
fn a_repository_that_is_not_there_is_told_before_a_blob_is_read() {
    for via in [&[][..], &["--via", "registry"]] {
        let amazon = Amazon::start();
        amazon.push("team/app", "2026.34.103", &image("abc"));
        let ran = promote(&amazon).args(via).run();
        let error = ran.error();
        assert_eq!((&error["code"], &error["changed"]), (&json!("repository-unknown"), &json!(false)), "{ran}");
        let text = error["text"].as_str().unwrap();
        assert!(text.contains(&format!("there is no repository `{TARGET}`")), "{ran}");
        assert!(text.contains("does not exist in the registry with id '210987654321'"), "{ran}");
        let made = "aws ecr create-repository --registry-id 210987654321 --region us-east-1 --repository-name prod/app";
        assert!(error["hint"].as_str().unwrap().contains(made), "{ran}");
        assert_eq!(requests(&amazon, "GET", "team/app/sha256:"), 0, "{:#?}", amazon.log().lines());
        // A creation template makes it with the first push.
        let tag = format!("{}.sig", image("abc").digest().replace(':', "-"));
        let signature = amazon.push("team/app", &tag, &image("signature"));
        amazon.state(|state| state.creates = true);
        promote(&amazon).args(via).run().result();
        is_whole(&amazon, "latest", &image("abc"));
        assert_eq!(far(&amazon, &tag), Some(signature));
    }
    // Whether there is such a template cannot be seen without pushing.
    let amazon = Amazon::start();
    amazon.push("team/app", "2026.34.103", &image("abc"));
    assert_eq!(promote(&amazon).arg("--dry-run").run().code(), "repository-unknown");
}

#[test]
fn a_tag_that_cannot_change_is_told_before_anything_is_written() {
    let amazon = staged_with_latest();
    amazon.state(|state| state.immutable = true);
    for dry in [&[][..], &["--dry-run"]] {
        let ran = promote(&amazon).args(dry).run();
        assert_eq!((ran.code().as_str(), changed(&ran)), ("tag-immutable", false), "{ran}");
    }
    assert!(!amazon.used(KEY.0).contains("PutImage") && !amazon.used(KEY.0).contains("InitiateLayerUpload"));
    // Settings may except tags, one way and the other.
    amazon.state(|state| state.exclusions = vec!["rc-*".to_owned(), "lat*".to_owned()]);
    promote(&amazon).arg("--dry-run").run().result();
    amazon.state(|state| state.immutable = false);
    assert_eq!(promote(&amazon).arg("--dry-run").run().code(), "tag-immutable");
}

#[test]
fn without_the_right_to_see_that_a_tag_cannot_change_its_refusal_says_what_was_written() {
    for via in [&[][..], &["--via", "registry"]] {
        let amazon = staged_with_latest();
        let old = image("old").digest();
        amazon.state(|state| state.immutable = true);
        let rights = documented("`promote --into`, target");
        amazon.allow(WRITER, rights.iter().map(String::as_str).chain(["ecr:ListImages"]));
        let promote = |more: &[&str]| promote(&amazon).args(["--into-aws-role", WRITER]).args(via).args(more).run();
        let ran = promote(&[]);
        let error = ran.error();
        assert_eq!(error["code"], "tag-immutable", "{ran}");
        assert_eq!(far(&amazon, "latest"), Some(old.clone()));
        assert!(error["text"].as_str().unwrap().contains("2026.34.103-rc (created)"), "{ran}");
        // Those that need not change are no reason to fail.
        assert_eq!(promote(&["--to", "{version}-rc"]).result()["tags"][0]["action"], "unchanged");
        let ran = promote(&["--to", "2026.34.102"]);
        assert_eq!((ran.code().as_str(), changed(&ran)), ("tag-conflict", false), "{ran}");
    }
}

#[test]
fn signatures_come_along_and_are_not_written_twice() {
    for via in [&[][..], &["--via", "registry"]] {
        let amazon = staged();
        let built = image("abc");
        let sbom = Image::new().layer("sbom").subject(&built).build();
        let signature = Image::new().layer("signature").build();
        let tag = format!("{}.sig", built.digest().replace(':', "-"));
        amazon.state(|state| drop(state.store.store("team/app", &sbom)));
        amazon.push("team/app", &tag, &signature);
        let result = promote(&amazon).args(via).run().result();
        assert_eq!(result["referrers"], json!({"found": 2, "copied": 2, "left": 0}), "{result:#}");
        assert_eq!(far(&amazon, &tag), Some(signature.digest()));
        assert!(amazon.state(|state| state.far.repositories["prod/app"].manifests.contains_key(&sbom.digest())));
        amazon.clear();
        let again = promote(&amazon).args(via).run().result();
        assert_eq!(again["referrers"], json!({"found": 2, "copied": 0, "left": 0}), "{again:#}");
        assert!(!amazon.used(KEY.0).contains("PutImage"), "{:?}", amazon.calls());
    }
    // The registry API takes a right of its own; without it the image is copied all the same.
    let amazon = staged();
    amazon.allow(READER, ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]);
    let run = promote(&amazon).args(["--aws-role", READER, "--into-aws-role", WRITER]);
    let ran = run.run();
    assert_eq!(ran.result()["referrers"]["found"], Value::Null);
    assert_eq!(ran.warnings(), ["referrers-unknown"], "{ran}");
    // What has a tag is found, whatever else there may be.
    let tag = format!("{}.sig", image("abc").digest().replace(':', "-"));
    amazon.push("team/app", &tag, &Image::new().layer("signature").build());
    let ran = run.run();
    assert_eq!(ran.result()["referrers"], json!({"found": 1, "copied": 1, "left": 0}), "{ran}");
    assert_eq!(ran.warnings(), ["referrers-unknown"], "{ran}");
}

#[test]
fn what_points_at_an_image_is_not_left_behind_where_ecr_cannot_tell_for_the_moment() {
    let amazon = staged();
    amazon.watch(|asked, _, reply| {
        if asked.path.contains("/referrers/") {
            *reply = Reply::status(503);
        }
    });
    let ran = promote(&amazon).args(["--retries", "0"]).run();
    assert_eq!((ran.code().as_str(), far(&amazon, "latest")), ("registry-unavailable", None), "{ran}");
}

#[test]
fn what_points_at_an_image_and_may_not_be_written_is_not_left_behind() {
    for name in ["AccessDeniedException", "LimitExceededException"] {
        let amazon = staged();
        let sbom = Image::new().layer("sbom").subject(&image("abc")).build();
        amazon.state(|state| drop(state.store.store("team/app", &sbom)));
        amazon.hook(move |asked, action, _| {
            let hit = action == "ecr:PutImage" && String::from_utf8_lossy(&asked.body).contains(&sbom.digest());
            hit.then(|| refusal(name, "no more of them"))
        });
        let ran = promote(&amazon).run();
        assert_eq!((ran.code().as_str(), far(&amazon, "latest")), ("denied", None), "{ran}");
    }
}

#[test]
fn a_part_that_cannot_be_looked_for_in_the_target_is_none_that_is_missing() {
    let (amazon, built) = (Amazon::start(), two_platforms("abc", "layer"));
    amazon.push("team/app", "2026.34.103", &built);
    amazon.create([TARGET]);
    let child = built.children[0].digest();
    amazon.hook(move |asked, action, _| {
        let body = String::from_utf8_lossy(&asked.body);
        let hit = action == "ecr:BatchGetImage" && body.contains("prod/app") && body.contains(&child);
        hit.then(|| refusal("KmsException", "key disabled"))
    });
    let ran = promote(&amazon).run();
    assert_eq!((ran.code().as_str(), changed(&ran)), ("denied", false), "{ran}");
    assert_eq!(requests(&amazon, "POST", "/blobs/uploads/"), 0, "{:#?}", amazon.log().lines());
}

#[test]
fn a_password_that_runs_out_on_the_way_is_replaced() {
    // By its own word, before it is refused.
    let amazon = staged();
    amazon.state(|state| state.lifetime = Some(20));
    promote(&amazon).run().result();
    is_whole(&amazon, "latest", &image("abc"));
    assert!(amazon.calls().iter().filter(|call| *call == "ecr:GetAuthorizationToken").count() > 3);
    // By surprise, at each request that writes.
    for (method, part) in
        [("HEAD", "/blobs/"), ("POST", "/blobs/uploads/"), ("PUT", "/blobs/uploads/"), ("PUT", "/manifests/")]
    {
        for via in [&[][..], &["--via", "registry"]] {
            if via.is_empty() && part == "/manifests/" {
                continue;
            }
            let amazon = staged();
            let mut aged = false;
            amazon.watch(move |asked, state, reply| {
                if !aged && asked.method == method && asked.path.contains(part) && reply.status < 300
                    || reply.status == 404 && !aged
                {
                    aged = true;
                    state.age();
                }
            });
            let ran = promote(&amazon).args(via).run();
            ran.result();
            is_whole(&amazon, "latest", &image("abc"));
        }
    }
    // One that is refused although it is new is told.
    let amazon = staged();
    amazon.watch(|_, state, _| state.age());
    let ran = promote(&amazon).run();
    assert_eq!(ran.code(), "token-expired", "{ran}");
}

#[test]
fn a_download_address_that_has_run_out_is_replaced_where_the_copy_goes_on() {
    let amazon = Amazon::start();
    let layer: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let built = Image::new().layer(layer.clone()).build();
    amazon.push("team/app", "2026.34.103", &built);
    amazon.create([TARGET]);
    amazon.state(|state| state.once = true);
    let breaks = Arc::new(AtomicUsize::new(0));
    amazon.watch({
        let breaks = breaks.clone();
        move |asked, _, reply| {
            let is_layer = asked.query("X-Amz-Signature").is_some() && reply.body.len() > 100_000;
            if is_layer && breaks.fetch_add(1, Ordering::SeqCst) < 2 {
                reply.fault = Fault::CloseAfter(400_000);
            }
        }
    });
    promote(&amazon).run().result();
    is_whole(&amazon, "latest", &built);
    let log = amazon.log();
    let ranges: Vec<&str> = log
        .0
        .iter()
        .filter(|one| one.asked.path.contains("/sha256:"))
        .filter_map(|one| one.asked.header("Range"))
        .collect();
    assert_eq!(ranges.len(), 2, "{:#?}", log.lines());
    assert!(ranges[0] > "bytes=1" && ranges[0] != ranges[1], "{ranges:?}");
}

/// A row of the table in `docs/aws.md`.
fn documented(row: &str) -> Vec<String> {
    let text = include_str!("../../docs/aws.md");
    let line =
        text.lines().find(|line| line.starts_with(&format!("| {row} |"))).unwrap_or_else(|| panic!("no row {row}"));
    let actions = line.split('|').nth(2).unwrap();
    actions.split('`').filter(|word| word.starts_with("ecr:")).map(str::to_owned).collect()
}

#[test]
fn the_documented_rights_are_those_that_a_copy_needs() {
    let rights = [documented("`promote --into`, source"), documented("`promote --into`, target")];
    let tokens = |actions: &[String]| actions.iter().any(|action| action == "ecr:GetAuthorizationToken");
    assert!(tokens(&rights[1]), "an upload takes a password");
    let old = image("old").digest();
    let run = |lacking: Option<&str>| {
        let amazon = staged_with_latest();
        let sides = [("", READER), ("into ", WRITER)];
        for ((side, identity), actions) in sides.iter().zip(&rights) {
            let left = actions.iter().filter(|action| lacking != Some(&format!("{side}{action}")));
            amazon.allow(identity, left.map(String::as_str));
        }
        let ran = promote(&amazon).args(["--aws-role", READER, "--into-aws-role", WRITER]).run();
        (ran, amazon)
    };
    let (ran, amazon) = run(None);
    ran.result();
    assert_eq!(ran.warnings(), [""; 0]);
    for (identity, actions) in [READER, WRITER].into_iter().zip(&rights) {
        // Whether tags may change is asked too, and does without an answer.
        let asked = amazon.used(identity).into_iter().filter(|action| action != "DescribeRepositories");
        let all: BTreeSet<String> = actions.iter().map(|action| action.replacen("ecr:", "", 1)).collect();
        assert_eq!(asked.collect::<BTreeSet<_>>(), all, "{identity}");
    }
    for action in &rights[0] {
        let (ran, _) = run(Some(action));
        match action.as_str() {
            // What belongs to the image is found in other ways, or told to be unknown.
            "ecr:ListImages" => assert_eq!(ran.warnings(), [""; 0], "{ran}"),
            "ecr:GetAuthorizationToken" => assert_eq!(ran.warnings(), ["referrers-unknown"], "{ran}"),
            _ => assert!(ran.error()["hint"].as_str().unwrap().contains(&format!("`{action}`")), "{ran}"),
        }
    }
    for action in &rights[1] {
        let (ran, amazon) = run(Some(&format!("into {action}")));
        let error = ran.error();
        assert_eq!(error["code"], "denied", "without {action}: {ran}");
        assert!(error["hint"].as_str().unwrap().contains(&format!("`{action}`")), "without {action}: {ran}");
        // Only what takes content or comes after it needs content to be refused.
        let late = ["ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"].contains(&action.as_str());
        if !late {
            let read = requests(&amazon, "GET", "team/app/sha256:");
            assert_eq!((read, &error["changed"]), (0, &json!(false)), "without {action}: {ran}");
        }
        assert_eq!(far(&amazon, "latest").as_ref(), Some(&old), "without {action}");
    }
}

#[test]
fn the_documented_policies_are_the_documented_rights() {
    let text = include_str!("../../docs/aws.md");
    let allowed = |heading: &str| -> BTreeSet<String> {
        let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
        let json = rest.split("```").nth(1).unwrap().trim_start_matches("json");
        let policy: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{heading}: {error}"));
        let statements = policy["Statement"].as_array().unwrap();
        let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
        actions.map(|action| action.as_str().unwrap().to_owned()).collect()
    };
    let set = |row: &str| documented(row).into_iter().collect::<BTreeSet<String>>();
    assert_eq!(allowed("whoever reads in `promote --into`:"), set("`promote --into`, source"));
    assert_eq!(allowed("And for whoever writes:"), set("`promote --into`, target"));
    let mut foreign = allowed("its repository policy can let the agent in:");
    foreign.insert("ecr:GetAuthorizationToken".to_owned());
    assert_eq!(foreign, set("`promote --into`, target"));
}

#[test]
fn a_dry_run_into_ecr_only_looks() {
    let amazon = staged_with_latest();
    let rights = documented("`promote --into --dry-run`, target");
    amazon.allow(WRITER, rights.iter().map(String::as_str));
    let ran = promote(&amazon).args(["--dry-run", "--into-aws-role", WRITER]).run();
    assert_eq!(ran.result()["copied"]["blobs"], 2, "{ran}");
    let all = rights.iter().map(|action| action.replacen("ecr:", "", 1)).chain(["DescribeRepositories".to_owned()]);
    assert_eq!(amazon.used(WRITER), all.collect());
}

#[test]
fn the_into_side_is_looked_at_with_auth() {
    let amazon = staged();
    let result = amazon.signed(["auth", TARGET, "--aws-role", WRITER, "--action", "push"]).run().result();
    assert_eq!(result["source"], format!("environment, role `{WRITER}`"));
    let keys = amazon.anonymous(["auth", TARGET]).env("INTO_AWS_ACCESS_KEY_ID", KEY.0);
    let ran = keys.env("INTO_AWS_SECRET_ACCESS_KEY", KEY.1).run();
    assert_eq!(ran.code(), "credential-missing", "`auth` knows no second side: {ran}");
}

#[test]
fn no_secret_of_either_side_gets_out() {
    let echo = |asked: &Asked| -> String {
        let sent = |name: &str| asked.header(name).unwrap_or_default().replace("AWS4-HMAC-SHA256", "");
        let key = asked.header("Authorization").and_then(|value| value.split(['=', '/']).nth(1)).unwrap_or_default();
        let word = asked.basic().map(|basic| basic.1).unwrap_or_default();
        let (secret, basic) = (if key == OTHER_KEY.0 { OTHER_KEY.1 } else { "" }, sent("Authorization"));
        let basic = if word.is_empty() { "" } else { &basic };
        format!("{key} {secret} {} {basic} {word}", sent("X-Amz-Security-Token"))
    };
    for step in 0..5 {
        let amazon = staged();
        match step {
            0 => {}
            1 => amazon.hook(move |asked, action, _| {
                (action == "ecr:PutImage").then(|| refusal("InvalidSignatureException", &echo(asked)))
            }),
            2 => amazon.hook(move |asked, action, _| {
                (action == "ecr:GetAuthorizationToken").then(|| refusal("AccessDeniedException", &echo(asked)))
            }),
            _ => amazon.watch(move |asked, _, reply| {
                let method = if step == 3 { "POST" } else { "PUT" };
                if asked.method == method {
                    *reply = Reply::error(403, "DENIED", &echo(asked));
                }
            }),
        }
        let run = promote(&amazon).args(["--aws-role", READER, "--verbose", "--retries", "0"]);
        let run = run.env("INTO_AWS_ACCESS_KEY_ID", OTHER_KEY.0).env("INTO_AWS_SECRET_ACCESS_KEY", OTHER_KEY.1);
        let run = run.env("REGISTRY_USERNAME", "hub").env("REGISTRY_PASSWORD", "marked-hub-password");
        let ran = run.env("INTO_REGISTRY_USERNAME", "hub").env("INTO_REGISTRY_PASSWORD", "marked-into-password").run();
        assert_eq!(ran.exit == Some(0), step == 0, "{ran}");
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        let words = (0..9).map(|n| format!("AWS:{PASSWORD}-{n}")).chain([format!("AWS:{PASSWORD}")]);
        let encoded: Vec<String> = words.map(|word| base64(word.as_bytes())).collect();
        let marks = [KEY.0, KEY.1, OTHER_KEY.0, OTHER_KEY.1, PASSWORD, SESSION, "ASIAMARKED", "marked-", "AWS4-HMAC"];
        for secret in marks.into_iter().chain(encoded.iter().map(String::as_str)) {
            assert!(!shown.contains(secret), "step {step}, `{secret}`: {ran}");
        }
        for secret in ["marked-hub-password", "marked-into-password"] {
            assert!(!amazon.log().mentions(secret), "a pair that names no host went to ECR");
        }
    }
}
