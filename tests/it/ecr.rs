//! Amazon ECR under its real names: its own API, its registry API, what each command asks for, and every refusal in words.

use crate::stage::{STEP, image};
use crate::support::amazon::{self, API, Amazon, BUCKET, HOST, KEY, PASSWORD, PUBLIC, SESSION, refusal};
use crate::support::cmd::tagwright;
use crate::support::image::{Built, Image, two_platforms};
use crate::support::reply::{Fault, Reply};
use crate::support::text::{base64, base64_url};
use serde_json::json;
use std::collections::BTreeSet;

fn team() -> String {
    format!("{HOST}/team/app")
}

fn set(actions: &[&str]) -> Option<BTreeSet<String>> {
    Some(actions.iter().map(|action| format!("ecr:{action}")).collect())
}

/// Three versions, the newest of which is what `latest` holds not yet.
fn versions(amazon: &Amazon) -> [String; 3] {
    let digests = ["2026.34.101", "2026.34.102", "2026.34.103"].map(|tag| amazon.push("team/app", tag, &image(tag)));
    amazon.state(|state| state.store.tag("team/app", "latest", &digests[1]));
    digests
}

#[test]
fn labels_take_three_requests_and_none_of_them_is_for_a_password() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1.4.2", &image("abc"));
    let run = amazon.signed(["labels", &format!("{}:1.4.2", team()), "--label", "git_revision"]);
    assert_eq!(run.run().result()["value"], "abc");
    assert_eq!(amazon.log().count(), 3, "{:#?}", amazon.log().lines());
    assert_eq!(amazon.calls(), ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]);
    amazon.clear();
    amazon.latency(STEP);
    run.run().result();
    // Connection and TLS count one each for API and bucket on top of the three requests.
    assert_eq!(amazon.log().round_trips(), 7);
}

#[test]
fn promote_to_two_tags_looks_at_both_in_one_call() {
    let amazon = Amazon::start();
    versions(&amazon);
    amazon.latency(STEP);
    amazon.signed(["promote", &team(), "--build", "103"]).run().result();
    let calls = amazon.calls();
    let count = |action: &str| calls.iter().filter(|call| *call == action).count();
    assert_eq!(
        (count("ecr:BatchGetImage"), count("ecr:PutImage"), count("ecr:DescribeImages")),
        (3, 2, 2),
        "{calls:?}"
    );
    // Seven calls one after another, the last of them list and reading back in one, and one connection with TLS.
    assert_eq!(amazon.log().round_trips(), 9);
}

#[test]
fn every_platform_of_an_index_is_read() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &two_platforms("abc", "layer"));
    let run = amazon.signed(["labels", &format!("{}:1", team()), "--all-platforms"]);
    assert_eq!(run.run().result()["consistent"], true);
}

#[test]
fn promote_looks_writes_and_reads_back_over_the_api() {
    let amazon = Amazon::start();
    let [_, _, newest] = versions(&amazon);
    let result = amazon.signed(["promote", &team(), "--build", "103"]).run().result();
    assert_eq!(result["digest"], newest.as_str());
    assert_eq!(result["tags"][0]["action"], "created");
    assert_eq!(result["tags"][1]["action"], "moved");
    assert_eq!(result["tags"][1]["beforeVersion"], "2026.34.102");
    assert_eq!(result["tags"][1]["verified"], true);
    assert_eq!(amazon.resolve("team/app", "latest"), Some(newest.clone()));
    let again = amazon.signed(["promote", &team(), "--build", "103"]).run().result();
    for tag in again["tags"].as_array().unwrap() {
        assert_eq!(tag["action"], "unchanged");
    }
    let undo: Vec<&str> = result["rollback"][0].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let back = amazon.signed([undo[1], undo[2], undo[3], undo[4], undo[5]]).run().result();
    assert_eq!(back["tags"][0]["action"], "moved");
    assert_ne!(amazon.resolve("team/app", "latest"), Some(newest));
}

#[test]
fn an_older_version_does_not_take_a_tag_back() {
    let amazon = Amazon::start();
    let [_, before, _] = versions(&amazon);
    let run = amazon.signed(["promote", &format!("{}:2026.34.101", team()), "--move", "latest"]);
    assert_eq!(run.run().code(), "downgrade-refused");
    assert_eq!(amazon.resolve("team/app", "latest"), Some(before));
    assert!(!amazon.calls().contains(&"ecr:PutImage".to_owned()));
}

#[test]
fn an_immutable_tag_is_left_alone_or_refused() {
    for via in ["ecr-api", "registry"] {
        let amazon = Amazon::start();
        let [_, _, newest] = versions(&amazon);
        amazon.state(|state| state.immutable = true);
        let moved = amazon.signed(["promote", &team(), "--build", "103", "--move", "latest", "--via", via]).run();
        let error = moved.error();
        assert_eq!(error["code"], "tag-immutable", "{moved}");
        assert!(error["text"].as_str().unwrap().contains("cannot be overwritten because the repository is immutable"));
        assert_eq!(error["changed"], false);
        amazon.state(|state| state.store.tag("team/app", "latest", &newest));
        let same = amazon.signed(["promote", &team(), "--build", "103", "--move", "latest", "--via", via]).run();
        assert_eq!(same.result()["tags"][0]["action"], "unchanged");
    }
}

#[test]
fn a_tag_that_exists_already_is_success_with_the_same_digest_only() {
    for (held, outcome) in [("2026.34.103", Ok("created")), ("2026.34.101", Err("tag-immutable"))] {
        let amazon = Amazon::start();
        versions(&amazon);
        amazon.hook(move |_, action, store| {
            // Somebody else writes between the look and the write.
            let digest = store.resolve("team/app", held)?;
            (action == "ecr:PutImage").then(|| {
                store.tag("team/app", "x", &digest);
                refusal("ImageAlreadyExistsException", "Image with digest and tag already exists")
            })
        });
        let ran = amazon.signed(["promote", &format!("{}:2026.34.103", team()), "--to", "x"]).run();
        match outcome {
            Ok(action) => assert_eq!(ran.result()["tags"][0]["action"], action),
            Err(code) => assert_eq!(ran.code(), code, "{ran}"),
        }
    }
}

#[test]
fn lists_are_read_to_the_last_page_with_digests_and_times() {
    let amazon = Amazon::start();
    let digest = amazon.push("team/app", "2026.34.1", &image("a"));
    amazon.state(|state| (2..=2500).for_each(|n| state.store.tag("team/app", &format!("2026.34.{n}"), &digest)));
    let result = amazon.signed(["tags", &team(), "--limit", "1"]).run().result();
    assert_eq!((&result["scanned"], &result["via"]), (&json!(2500), &json!("ecr-api")));
    assert_eq!(result["tags"][0]["tag"], "2026.34.2500");
    assert_eq!(result["tags"][0]["digest"], digest.as_str());
    assert_eq!(result["tags"][0]["updated"], "2023-11-14T22:13:20Z");
    assert_eq!(amazon.calls(), ["ecr:DescribeImages"; 3]);
    amazon.clear();
    let found = amazon.signed(["find-tag", &team(), "--build", "1234"]).run().result();
    assert_eq!((&found["tag"], &found["via"]), (&json!("2026.34.1234"), &json!("ecr-api")));
    assert_eq!(amazon.calls(), ["ecr:ListImages"; 3]);
}

/// The table of `docs/aws.md`, as far as it names actions.
fn documented(command: &str) -> Vec<String> {
    let text = include_str!("../../docs/aws.md");
    let row = text
        .lines()
        .find(|line| line.starts_with(&format!("| {command} |")))
        .unwrap_or_else(|| panic!("no row for {command}"));
    let actions = row.split('|').nth(2).unwrap();
    actions.split('`').filter_map(|word| word.strip_prefix("ecr:")).map(str::to_owned).collect()
}

#[test]
fn the_documented_rights_are_those_that_each_command_needs() {
    let reference = format!("{}:2026.34.103", team());
    let team = team();
    for (command, words) in [
        ("`labels`", vec!["labels", &reference]),
        ("`inspect`", vec!["inspect", &reference]),
        ("`diff`", vec!["diff", &reference, &reference]),
        ("`find-tag`", vec!["find-tag", &team, "--build", "103"]),
        ("`tags`", vec!["tags", &team]),
        ("`next-version`", vec!["next-version", &team, "--build", "auto"]),
        ("`promote --to`", vec!["promote", &reference, "--to", "stable-1"]),
        ("`promote --build`", vec!["promote", &team, "--build", "103"]),
        ("`promote --move`", vec!["promote", &reference, "--move", "latest"]),
        ("`promote --dry-run`", vec!["promote", &team, "--build", "103", "--dry-run"]),
        ("any with `--via registry`", vec!["labels", &reference, "--via", "registry"]),
    ] {
        let rights = documented(command);
        let all: Vec<&str> = rights.iter().map(String::as_str).collect();
        assert!(!all.is_empty(), "{command}");
        for without in std::iter::once(None).chain(all.iter().map(Some)) {
            let amazon = Amazon::start();
            versions(&amazon);
            let left: Vec<&str> = all.iter().copied().filter(|action| Some(action) != without).collect();
            amazon.state(|state| state.allowed = set(&left));
            let ran = amazon.signed(["auth", "x"]);
            let ran = ran.clone_words(&words).run();
            match without {
                None => {
                    assert_eq!(ran.exit, Some(0), "{command} with {left:?}: {ran}");
                    let spare: Vec<&&str> =
                        all.iter().filter(|a| !amazon.calls().contains(&format!("ecr:{a}"))).collect();
                    let by_registry = words.contains(&"registry");
                    assert!(spare.is_empty() || by_registry, "{command} never calls {spare:?}");
                }
                Some(action) if words.contains(&"registry") && *action != "GetAuthorizationToken" => {}
                Some(action) => {
                    let error = ran.error();
                    assert_eq!(error["code"], "denied", "{command} without {action}: {ran}");
                    assert!(error["hint"].as_str().unwrap_or_default().contains(&format!("`ecr:{action}`")), "{ran}");
                }
            }
        }
    }
}

#[test]
fn a_right_to_the_other_list_is_enough() {
    let amazon = Amazon::start();
    versions(&amazon);
    for (allowed, updated) in [("ListImages", json!(null)), ("DescribeImages", json!("2023-11-14T22:13:20Z"))] {
        amazon.state(|state| state.allowed = set(&[allowed]));
        let result = amazon.signed(["tags", &team()]).run().result();
        assert_eq!(result["tags"][0]["updated"], updated);
        amazon.signed(["find-tag", &team(), "--build", "103"]).run().result();
    }
    // The other list is for whoever lacks that right, and for nothing else.
    amazon.state(|state| state.allowed = None);
    amazon.clear();
    assert_eq!(amazon.signed(["tags", &format!("{HOST}/team/none")]).run().code(), "repository-unknown");
    assert_eq!(amazon.calls().len(), 1, "{:?}", amazon.calls());
}

#[test]
fn a_tag_that_cannot_be_looked_at_is_none_that_is_missing() {
    // Alone it is refused, among others it is listed with the reason.
    let why = json!({"imageId": {"imageTag": "x"}, "failureCode": "ImageInaccessible", "failureReason": "archived"});
    let listed = Reply::json(&json!({"images": [], "failures": [why]}));
    for (more, reply) in [(&[][..], refusal("AccessDeniedException", "not that one")), (&["--to", "y"], listed)] {
        let amazon = Amazon::start();
        versions(&amazon);
        amazon.hook(move |asked, action, _| {
            let hit = action == "ecr:BatchGetImage" && String::from_utf8_lossy(&asked.body).contains("\"x\"");
            hit.then(|| reply.clone())
        });
        let ran = amazon.signed(["promote", &format!("{}:2026.34.103", team()), "--to", "x"]).args(more).run();
        assert_eq!((ran.code().as_str(), ran.error()["changed"].as_bool()), ("denied", Some(false)), "{ran}");
        assert!(!amazon.calls().contains(&"ecr:PutImage".to_owned()), "{:?}", amazon.calls());
    }
}

#[test]
fn the_registry_api_is_spoken_to_by_choice_and_no_credential_follows_to_the_bucket() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let run = amazon.signed(["labels", &format!("{}:1", team()), "--label", "git_revision", "--via", "registry"]);
    assert_eq!(run.run().result()["value"], "abc");
    assert_eq!(amazon.calls(), ["ecr:GetAuthorizationToken"]);
    let log = amazon.log();
    let to_bucket = log.0.iter().filter(|exchange| exchange.asked.header("Host") == Some(BUCKET)).count();
    assert_eq!(to_bucket, 1);
    let result = amazon.signed(["auth", &team(), "--via", "registry"]).run().result();
    assert_eq!((&result["challenge"], &result["source"]), (&json!("basic"), &json!("environment")));
    assert_eq!(result["identity"], "arn:aws:sts::123456789012:assumed-role/ci/build");
}

#[test]
fn a_password_that_is_over_on_arrival_by_the_clock_here_serves_the_run() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    amazon.state(|state| state.lifetime = Some(0));
    amazon.signed(["labels", &format!("{}:1", team()), "--via", "registry"]).run().result();
    assert_eq!(amazon.calls(), ["ecr:GetAuthorizationToken"]);
}

#[test]
fn a_host_that_stands_for_ecr_is_treated_as_ecr() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let named = format!("images.internal={HOST}");
    for via in [&["--via", "ecr-api"][..], &["--via", "registry"], &[]] {
        let run = amazon.signed(["labels", "images.internal/team/app:1", "--ecr", &named]).args(via);
        assert_eq!(run.run().result()["labels"]["git_revision"], "abc");
    }
    let ran = amazon.signed(["labels", "images.internal/team/app:1", "--via", "ecr-api"]).run();
    assert_eq!(ran.code(), "request-invalid");
    // A name without a port is the host at every port.
    for name in ["images.internal", "images.internal:5000"] {
        let named = format!("{name}={HOST}");
        let run = amazon.signed(["labels", "images.internal:5000/team/app:1", "--via", "ecr-api", "--ecr", &named]);
        assert_eq!(run.run().result()["labels"]["git_revision"], "abc");
    }
}

#[test]
fn the_real_name_is_reached_at_another_address() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let port = amazon.port();
    let mut run = tagwright(["labels", &format!("{HOST}:{port}/team/app:1"), "--print", "labels.git_revision"]);
    for host in [HOST, API, BUCKET] {
        run = run.arg("--resolve").arg(format!("{host}:{port}:127.0.0.1"));
    }
    run = run.env("AWS_ACCESS_KEY_ID", KEY.0).env("AWS_SECRET_ACCESS_KEY", KEY.1);
    run = run.env("AWS_ENDPOINT_URL_ECR", format!("https://{API}:{port}"));
    run = run.env("AWS_CA_BUNDLE", amazon.authority().ca_file());
    for via in [&[][..], &["--via", "registry"]] {
        let ran = run.clone().args(via).run();
        assert_eq!((ran.exit, ran.stdout.as_str()), (Some(0), "abc\n"), "{ran}");
    }
}

#[test]
fn a_stale_login_in_dockers_file_does_not_win() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let stale = json!({"auths": {HOST: {"auth": base64(b"AWS:stale")}}}).to_string();
    for via in ["registry", "ecr-api"] {
        let run = amazon.signed(["labels", &format!("{}:1", team()), "--via", via]);
        run.env("DOCKER_AUTH_CONFIG", &stale).run().result();
    }
    let fresh = json!({"auths": {HOST: {"auth": base64(format!("AWS:{PASSWORD}").as_bytes())}}}).to_string();
    let run = amazon.anonymous(["labels", &format!("{}:1", team())]).env("DOCKER_AUTH_CONFIG", &fresh);
    run.run().result();
    let run = amazon.signed(["labels", &format!("{}:1", team()), "--credentials-from", "docker-config"]);
    assert_eq!(run.env("DOCKER_AUTH_CONFIG", &stale).run().code(), "unauthenticated");
}

#[test]
fn a_pair_of_the_environment_counts_only_where_it_is_pinned_to_ecr() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let run = amazon.signed(["labels", &format!("{}:1", team())]).login("hub-user", "hub-password");
    run.clone().run().result();
    assert_eq!(amazon.calls(), ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]);
    amazon.clear();
    let pinned = amazon.signed(["labels", &format!("{}:1", team())]).login("AWS", PASSWORD).env("REGISTRY_HOST", HOST);
    pinned.clone().run().result();
    assert_eq!(amazon.calls(), [""; 0]);
    // A role that is asked for goes before it.
    pinned.args(["--aws-role", "arn:aws:iam::123456789012:role/reader"]).run().result();
    assert_eq!(amazon.calls(), ["sts:AssumeRole", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]);
    amazon.clear();
    assert_eq!(run.env("REGISTRY_HOST", "docker.io").run().code(), "credential-host-mismatch");
    assert_eq!(amazon.log().count(), 0);
}

#[test]
fn without_any_credential_each_place_has_its_say() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let ran = amazon.anonymous(["labels", &format!("{}:1", team())]).run();
    let error = ran.error();
    assert_eq!(error["code"], "credential-missing", "{ran}");
    let places: Vec<&str> =
        error["details"]["tried"].as_array().unwrap().iter().map(|tried| tried["source"].as_str().unwrap()).collect();
    assert_eq!(
        places[..6],
        ["environment", "environment", "web identity", "profile `default`", "container endpoint", "metadata service"]
    );
    let only = amazon.anonymous(["labels", &format!("{}:1", team()), "--credentials-from", "aws"]).run();
    assert_eq!(only.code(), "credential-missing");
    assert!(only.stderr.contains("metadata service: turned off by AWS_EC2_METADATA_DISABLED"), "{only}");
    for ran in [ran, only] {
        assert!(ran.error()["hint"].as_str().unwrap().starts_with("give the agent a role that allows"), "{ran}");
    }
}

#[test]
fn auth_says_who_from_where_and_until_when() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let role = "arn:aws:iam::123456789012:role/reader";
    let result = amazon.signed(["auth", &team(), "--aws-role", role]).run().result();
    assert_eq!(result["identity"], "arn:aws:sts::123456789012:assumed-role/ci/build");
    assert_eq!(result["source"], format!("environment, role `{role}`"));
    assert_eq!(result["challenge"], "aws");
    assert_eq!(result["granted"], json!(["repository:team/app:pull"]));
    assert!(result["expiresAt"].as_str().unwrap() > "2900");
    assert_eq!(result["tried"][0]["source"], "environment");
    for via in ["ecr-api", "registry"] {
        let ran = amazon.signed(["auth", &team(), "--action", "push", "--via", via]).run();
        assert_eq!((&ran.result()["missing"], ran.warnings()), (&json!([]), vec!["push-unknown".to_owned()]), "{ran}");
    }
    // An agent may reach the registry and not who tells its name.
    amazon.hook(|_, action, _| (action == "sts:GetCallerIdentity").then(|| Reply::broken(Fault::Close)));
    let ran = amazon.signed(["auth", &team(), "--retries", "0"]).run();
    assert_eq!(
        (&ran.result()["identity"], ran.warnings()),
        (&json!(null), vec!["identity-unknown".to_owned()]),
        "{ran}"
    );
    assert_eq!(ran.result()["granted"], result["granted"]);
}

#[test]
fn auth_says_what_the_public_registrys_token_grants() {
    let amazon = Amazon::start();
    amazon.push("acme/app", "1", &image("abc"));
    let claims = json!({"access": [{"type": "repository", "name": "acme/app", "actions": ["pull"]}]}).to_string();
    let token = json!({"token": format!("e30.{}.e30", base64_url(claims.as_bytes())), "expires_in": 300});
    amazon.watch(move |asked, _, reply| {
        if asked.path == "/token/" {
            *reply = Reply::json(&token);
        }
    });
    let ran = amazon.signed(["auth", &format!("{PUBLIC}/acme/app"), "--action", "push"]).run();
    let result = ran.result();
    assert_eq!((&result["challenge"], &result["source"]), (&json!("bearer"), &json!("environment")), "{ran}");
    assert_eq!(result["missing"], json!(["repository:acme/app:push"]), "{ran}");
    assert!(result["identity"].is_string() && result["expiresAt"].is_string(), "{ran}");
}

#[test]
fn a_role_may_want_an_external_id() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let role = "arn:aws:iam::123456789012:role/guarded";
    let run = amazon.signed(["labels", &format!("{}:1", team()), "--aws-role", role]);
    let ran = run.clone().run();
    let error = ran.error();
    assert_eq!(error["code"], "denied", "{ran}");
    assert!(error["hint"].as_str().unwrap().contains("trust policy"), "{ran}");
    run.args(["--aws-external-id", "agreed"]).run().result();
    // It goes with the role that it was given with, and with no other.
    let other = ["--aws-role", "arn:aws:iam::123456789012:role/reader", "--aws-external-id", "agreed"];
    let run = amazon.signed(["labels", &format!("{}:1", team()), "--aws-role-for", &format!("{HOST}={role}")]);
    assert_eq!(run.args(other).run().code(), "denied");
}

#[test]
fn the_way_back_goes_by_the_same_role() {
    let amazon = Amazon::start();
    versions(&amazon);
    let role = "arn:aws:iam::123456789012:role/guarded";
    let run = amazon.signed(["promote", &team(), "--build", "103", "--aws-role", role, "--aws-external-id", "agreed"]);
    let undo = run.run().result()["rollback"][0].clone();
    let words: Vec<&str> = undo.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let flags = ["--aws-role", role, "--aws-external-id", "agreed"];
    assert!(words.windows(4).any(|four| four == flags), "{words:?}");
    // The file with the roots is among the words of every run here already.
    let at = words.iter().position(|word| *word == "--ca-file").unwrap();
    let own = [&words[1..at], &words[at + 2..]].concat();
    let back = amazon.signed(["auth", "x"]).clone_words(&own).run().result();
    assert_eq!(back["tags"][0]["action"], "moved");
}

#[test]
fn refusals_of_the_api_keep_their_own_words_and_get_a_code() {
    for (name, message, code, hint) in [
        ("AccessDeniedException", "no", "denied", Some("allow the action")),
        (
            "ExpiredTokenException",
            "The security token included in the request is expired",
            "token-expired",
            Some("get fresh credentials"),
        ),
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            "unauthenticated",
            Some("check the access key"),
        ),
        (
            "InvalidSignatureException",
            "The request signature we calculated does not match",
            "unauthenticated",
            Some("clock"),
        ),
        (
            "RepositoryNotFoundException",
            "The repository does not exist",
            "repository-unknown",
            Some("account and region"),
        ),
        ("ThrottlingException", "Rate exceeded", "rate-limited", Some("try again later")),
        ("ServerException", "oops", "registry-unavailable", Some("try again later")),
        ("KmsException", "key disabled", "denied", Some("key that encrypts")),
        ("InvalidParameterException", "Invalid parameter at 'imageIds'", "request-invalid", None),
        (
            "UnableToGetUpstreamImageException",
            "not found upstream",
            "registry-unavailable",
            Some("pull-through cache rule"),
        ),
        ("SomethingNewException", "what", "denied", None),
    ] {
        let amazon = Amazon::start();
        amazon.push("team/app", "1", &image("abc"));
        amazon.hook(move |_, _, _| Some(refusal(name, message)));
        let ran = amazon.signed(["labels", &format!("{}:1", team()), "--retries", "0"]).run();
        let error = ran.error();
        assert_eq!(error["code"], code, "{ran}");
        assert_eq!(error["http"]["code"], name);
        assert_eq!(error["http"]["requestId"], "request-1");
        assert!(error["text"].as_str().unwrap().contains(&format!("Amazon ECR said: \"{message}\"")), "{ran}");
        match hint {
            Some(part) => assert!(error["hint"].as_str().unwrap_or_default().contains(part), "{ran}"),
            None => assert!(error["hint"].is_null(), "{ran}"),
        }
    }
}

#[test]
fn a_service_that_asks_for_patience_gets_it() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let mut left = 2;
    amazon.hook(move |_, _, _| {
        left -= 1;
        (left >= 0).then(|| refusal("ThrottlingException", "Rate exceeded"))
    });
    amazon.signed(["labels", &format!("{}:1", team())]).run().result();
    assert_eq!(amazon.calls().len(), 4);
}

#[test]
fn a_wrong_clock_is_corrected_once_and_reported() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let mut first = true;
    amazon.hook(move |_, _, _| {
        let reply = refusal("InvalidSignatureException", "Signature expired: 20150830T123600Z is now earlier than x");
        std::mem::take(&mut first).then(|| reply.header("Date", "Sat, 01 Aug 2099 12:00:00 GMT"))
    });
    let ran = amazon.signed(["labels", &format!("{}:1", team())]).run();
    ran.result();
    assert_eq!(ran.warnings(), ["clock-wrong"]);
    assert_eq!(amazon.calls(), ["ecr:BatchGetImage", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]);
    let dates: Vec<String> =
        amazon.log().0.iter().filter_map(|e| e.asked.header("X-Amz-Date").map(str::to_owned)).collect();
    assert!(dates[1].starts_with("20990801T12") && dates[2].starts_with("20990801T12"), "{dates:?}");
}

#[test]
fn a_download_address_that_has_run_out_is_asked_for_again_and_one_that_leads_astray_is_not_followed() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let reference = format!("{}:1", team());
    let lead = |url: String, times: usize| {
        let mut left = times;
        amazon.hook(move |_, action, _| {
            if action != "ecr:GetDownloadUrlForLayer" || left == 0 {
                return None;
            }
            left -= 1;
            Some(Reply::json(&json!({"downloadUrl": url})))
        });
    };
    lead(format!("https://{BUCKET}/x?X-Amz-Signature=old"), 1);
    amazon.signed(["labels", &reference]).run().result();
    lead(format!("https://{BUCKET}/x?X-Amz-Signature=old"), 9);
    let ran = amazon.signed(["labels", &reference]).run();
    assert_eq!(ran.code(), "denied", "{ran}");
    assert!(ran.stderr.contains("Request has expired"), "{ran}");
    for url in ["http://bucket.example/x", "https://127.0.0.1/x", "https://169.254.169.254/x", "https://10.0.0.1/x"] {
        lead(url.to_owned(), 9);
        let ran = amazon.signed(["labels", &reference]).run();
        assert_eq!(ran.code(), "redirect-refused", "{ran}");
    }
    lead("nonsense".to_owned(), 9);
    assert_eq!(amazon.signed(["labels", &reference]).run().code(), "reply-malformed");
}

#[test]
fn a_bucket_that_cannot_be_reached_is_told_to_be_where_blobs_come_from() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    amazon.hook(|_, action, _| {
        let closed = json!({"downloadUrl": "https://bucket.example/x"});
        (action == "ecr:GetDownloadUrlForLayer").then(|| Reply::json(&closed))
    });
    let ran = amazon.signed(["labels", &format!("{}:1", team()), "--retries", "0"]).run();
    assert_eq!((ran.code().as_str(), ran.exit), ("unreachable", Some(6)), "{ran}");
    let causes = ran.error()["causes"].to_string();
    assert!(
        causes.contains("https://bucket.example/x") && causes.contains("a bucket of S3, which this machine"),
        "{ran}"
    );
}

#[test]
fn a_password_on_standard_input_is_for_the_registry_that_is_named_with_it() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    let words = ["--username", "AWS", "--password-stdin"];
    let run = |password: &str| amazon.signed(["labels", &format!("{}:1", team())]).args(words).stdin(password).run();
    run(PASSWORD).result();
    assert_eq!(run("nonsense").exit, Some(4));
}

#[test]
fn what_is_not_there_is_told_in_the_words_of_either_api() {
    let amazon = Amazon::start();
    amazon.push("team/app", "1", &image("abc"));
    amazon.push("team/app", "latest", &image("abc"));
    for via in ["ecr-api", "registry"] {
        let ran = amazon.signed(["labels", &format!("{}:lates", team()), "--via", via]).run();
        assert_eq!(ran.code(), "tag-unknown", "{ran}");
        assert!(ran.stderr.contains("Requested image not found"), "{ran}");
        let hint = format!(
            "name one that is there, such as `latest`, or list the tags there are with `tagwright tags {}`",
            team()
        );
        assert_eq!(ran.error()["hint"], hint, "{ran}");
        let ran = amazon.signed(["labels", &format!("{HOST}/team/other:2"), "--via", via]).run();
        assert_eq!(ran.code(), "repository-unknown", "{ran}");
        assert!(ran.stderr.contains("does not exist"), "{ran}");
    }
    amazon.state(|state| state.store.repositories.get_mut("team/app").unwrap().blobs.clear());
    let ran = amazon.signed(["labels", &format!("{}:1", team())]).run();
    assert_eq!(ran.code(), "blob-missing", "{ran}");
}

#[test]
fn content_that_is_not_what_its_digest_says_is_refused() {
    let amazon = Amazon::start();
    let built = image("abc");
    amazon.push("team/app", "1", &built);
    let damaged = [built.bytes.as_slice(), b" "].concat();
    amazon.state(|state| {
        let manifests = &mut state.store.repositories.get_mut("team/app").unwrap().manifests;
        manifests.get_mut(&built.digest()).unwrap().1 = damaged;
    });
    assert_eq!(amazon.signed(["labels", &format!("{}:1", team())]).run().code(), "digest-mismatch");
}

#[test]
fn the_public_registry_is_read_by_anybody_and_by_somebody() {
    let amazon = Amazon::start();
    amazon.push("acme/app", "1", &image("abc"));
    let reference = format!("{PUBLIC}/acme/app:1");
    let ran = amazon.anonymous(["labels", &reference]).run();
    assert_eq!(ran.result()["labels"]["git_revision"], "abc", "{ran}");
    assert_eq!(amazon.calls(), [""; 0]);
    amazon.signed(["labels", &reference]).run().result();
    assert_eq!(amazon.calls(), ["ecr-public:GetAuthorizationToken"]);
    let last = amazon.log().0.iter().rev().find_map(|exchange| exchange.asked.bearer().map(str::to_owned));
    assert_eq!(last.as_deref(), Some("signed"));
}

#[test]
fn flags_for_amazon_are_refused_elsewhere() {
    for words in [
        ["labels", "acme/app:1", "--credentials-from", "aws"],
        ["labels", "acme/app:1", "--via", "ecr-api"],
        ["labels", "acme/app:1", "--aws-profile", "x"],
        ["labels", "acme/app:1", "--aws-role", "arn:aws:iam::123456789012:role/x"],
        ["labels", "public.ecr.aws/acme/app:1", "--via", "ecr-api"],
    ] {
        let ran = tagwright(words).run();
        let named = ran.error()["message"].as_str().unwrap().starts_with(&format!("`{}", words[2]));
        assert!(ran.code() == "request-invalid" && named, "{ran}");
    }
}

#[test]
fn a_misspelt_registry_is_refused_before_any_packet() {
    let amazon = Amazon::start();
    let ran = amazon.signed(["labels", "12345678901.dkr.ecr.eu-west-1.amazonaws.com/app:1"]).run();
    assert_eq!(ran.code(), "reference-invalid");
    assert!(ran.stderr.contains("has not 12 digits"), "{ran}");
    assert_eq!(amazon.log().count(), 0);
}

#[test]
fn no_secret_of_aws_gets_out() {
    let amazon = Amazon::start();
    let broken = Built::raw("application/vnd.oci.image.manifest.v1+json", "{}");
    amazon.push("team/app", "1", &Image::new().label("a", "b").build());
    amazon.push("team/app", "broken", &broken);
    let role = "arn:aws:iam::123456789012:role/reader";
    let reference = format!("{}:1", team());
    let echo = |asked: &crate::support::log::Asked, _: &str, _: &mut amazon::Store| {
        // A refused signature is answered with what was signed.
        let all: Vec<String> = asked.headers.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        let text = format!(
            "The request signature we calculated does not match.\n\nThe Canonical String for this request should have been\n'{}'",
            all.join("\n")
        );
        Some(refusal("InvalidSignatureException", &text))
    };
    for words in [
        vec!["labels", &reference],
        vec!["labels", &reference, "--via", "registry"],
        vec!["auth", &reference[..reference.len() - 2]],
        vec!["promote", &reference, "--to", "x"],
        vec!["labels", &format!("{}:broken", team())],
        vec!["labels", &format!("{}:none", team())],
        vec!["tags", &team()],
    ] {
        for refused in [false, true] {
            if refused {
                amazon.hook(echo);
            }
            let ran = amazon.signed(["auth", "x"]).clone_words(&words).args(["--aws-role", role, "--verbose"]).run();
            let shown = format!("{}{}", ran.stdout, ran.stderr);
            for secret in
                [KEY.0, KEY.1, PASSWORD, SESSION, "ASIAMARKED", "marked-secret", "marked-signature", "AWS4-HMAC"]
            {
                assert!(!shown.contains(secret), "{secret}: {ran}");
            }
            let encoded = base64(format!("AWS:{PASSWORD}").as_bytes());
            assert!(!shown.contains(&encoded), "{ran}");
            amazon.hook(|_, _, _| None);
        }
    }
    assert!(amazon.log().mentions(amazon::SESSION), "the marks were never sent");
}

#[test]
fn every_known_refusal_is_documented() {
    let text = include_str!("../../docs/aws.md");
    for known in tagwright::pure::aws::fault::KNOWN {
        let hint = if known.hint.is_empty() { "read what the service said" } else { known.hint };
        for name in known.names {
            let row = format!("| `{name}` | `{}` | {hint} |", known.code.as_str());
            assert!(text.lines().any(|line| line == row), "docs/aws.md lacks {row}");
        }
    }
}
