//! Every place that AWS credentials may come from, each with a real file, program or endpoint on loopback behind it.

use crate::stage::image;
use crate::support::amazon::{Amazon, HOST, KEY, PUBLIC, SESSION};
use crate::support::cmd::{Ran, Tagwright};
use crate::support::http::{Listener, closed_port};
use crate::support::log::Asked;
use crate::support::reply::{Fault, Reply};
use crate::support::text::form;
use serde_json::json;

use std::time::Duration;

/// Amazon with one image, and an empty home.
struct Stage {
    amazon: Amazon,
    home: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let amazon = Amazon::start();
        amazon.push("team/app", "1", &image("abc"));
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        Self { amazon, home }
    }

    /// `auth` on the registry, with the metadata service where the variables say.
    fn auth(&self) -> Tagwright {
        let run = self.amazon.anonymous(["auth", HOST]);
        run.env("HOME", self.home.path()).env("AWS_EC2_METADATA_DISABLED", "false")
    }

    fn without_metadata(&self) -> Tagwright {
        self.auth().env("AWS_EC2_METADATA_DISABLED", "true")
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.home.path().join(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }
}

fn keys() -> serde_json::Value {
    json!({"Code": "Success", "Version": 1, "AccessKeyId": KEY.0, "SecretAccessKey": KEY.1, "Expiration": "2999-01-01T00:00:00Z"})
}

#[track_caller]
fn check_source(run: &Tagwright, source: &str) -> Ran {
    let ran = run.run();
    assert_eq!(ran.result()["source"], source, "{ran}");
    assert_eq!(ran.result()["identity"], "arn:aws:sts::123456789012:assumed-role/ci/build");
    no_secret(&ran);
    ran
}

#[track_caller]
fn check_failure(run: &Tagwright, code: &str, parts: &[&str]) {
    let ran = run.run();
    let error = ran.error();
    assert_eq!(error["code"], code, "{ran}");
    for part in parts {
        assert!(error["text"].as_str().unwrap().contains(part), "{part}: {ran}");
    }
    no_secret(&ran);
}

#[track_caller]
fn no_secret(ran: &Ran) {
    for secret in [KEY.1, SESSION, "marked-web-identity-token", "marked-pod-token", "marked-secret"] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{secret}: {ran}");
    }
}

/// A metadata service with one role.
fn metadata() -> Listener {
    Listener::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PUT", "/latest/api/token") if asked.header("x-aws-ec2-metadata-token-ttl-seconds") == Some("21600") => {
            Reply::with(200, "text/plain", "marked-metadata-token")
        }
        _ if asked.header("x-aws-ec2-metadata-token") != Some("marked-metadata-token") => Reply::status(401),
        ("GET", "/latest/meta-data/iam/security-credentials/") => Reply::with(200, "text/plain", "agent-role"),
        ("GET", "/latest/meta-data/iam/security-credentials/agent-role") => Reply::json(&keys()),
        _ => Reply::status(404),
    })
}

#[test]
fn the_environment_answers_under_both_names() {
    let stage = Stage::new();
    for [id, secret] in [["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], ["AWS_ACCESS_KEY", "AWS_SECRET_KEY"]] {
        check_source(&stage.without_metadata().env(id, KEY.0).env(secret, KEY.1), "environment");
        check_failure(&stage.without_metadata().env(id, KEY.0), "missing-value", &["is set and", "is not"]);
    }
}

#[test]
fn a_web_identity_is_exchanged_and_its_file_must_be_good() {
    let stage = Stage::new();
    let role = "arn:aws:iam::123456789012:role/pod";
    let run =
        stage.without_metadata().env("AWS_ROLE_ARN", role).env("AWS_WEB_IDENTITY_TOKEN_FILE", stage.path("token"));
    check_failure(&run, "config-malformed", &["token` of AWS_WEB_IDENTITY_TOKEN_FILE cannot be used: No such file"]);
    stage.write("token", " \n");
    check_failure(&run, "config-malformed", &["it is empty"]);
    stage.write("token", "of another cluster");
    check_failure(&run, "unauthenticated", &["InvalidIdentityToken", "OIDC provider"]);
    stage.write("token", "marked-web-identity-token\n");
    let ran = check_source(&run, &format!("web identity, role `{role}`"));
    assert!(ran.result()["expiresAt"].as_str().unwrap() > "2900");
}

#[test]
fn a_profile_is_followed_through_files_roles_and_programs() {
    let stage = Stage::new();
    let role = "arn:aws:iam::123456789012:role/guarded";
    let keys_of = format!("aws_access_key_id = {}\naws_secret_access_key = {}\n", KEY.0, KEY.1);
    stage.write(".aws/credentials", &format!("[base]\n{keys_of}[default]\n{keys_of}"));
    stage.write(
        ".aws/config",
        &format!("[profile ci]\nrole_arn = {role}\nexternal_id = agreed\nsource_profile = base\n[profile lost]\nsource_profile = lost\nrole_arn = {role}\n"),
    );
    check_source(&stage.without_metadata(), "profile `default`");
    let expected = format!("profile `ci` → `base`, role `{role}`");
    check_source(&stage.without_metadata().env("AWS_PROFILE", "ci"), &expected);
    check_source(&stage.without_metadata().args(["--aws-profile", "ci"]), &expected);
    check_failure(
        &stage.without_metadata().args(["--aws-profile", "lost"]),
        "config-malformed",
        &["goes in a circle: `lost` → `lost`"],
    );
    check_failure(
        &stage.without_metadata().env("AWS_PROFILE", "none"),
        "config-malformed",
        &["`none` does not exist", "name one of: base, ci, default, lost"],
    );

    let elsewhere = stage.without_metadata().env("AWS_CONFIG_FILE", stage.path("config"));
    let elsewhere = elsewhere.env("AWS_SHARED_CREDENTIALS_FILE", stage.path("none"));
    stage.write("reply", &keys().to_string());
    stage.write("config", &format!("[default]\ncredential_process = cat '{}'\n", stage.path("reply")));
    check_source(&elsewhere, "profile `default`, credential_process");
    stage.write("config", "[default]\ncredential_process = echo not logged in with marked-secret >&2; exit 3\n");
    check_failure(&elsewhere, "credential-missing", &["ended with 3\n", "run the command of the profile by hand"]);
    stage.write("config", "[default]\ncredential_process = sleep 60\n");
    check_failure(&elsewhere.clone().args(["--timeout", "1"]), "timeout", &["did not end within 1 s"]);
    stage.write("config", &format!("[default]\ncredential_process = echo {}\n", KEY.1));
    check_failure(&elsewhere, "reply-malformed", &["printed no credential: the answer is not JSON"]);
    stage.write("config", "[default]\nregion = x\nthis is no line\n");
    check_failure(&elsewhere, "config-malformed", &["config:3` cannot be read"]);
    stage.write("config", "[default]\nsso_session = s\n[sso-session s]\nsso_region = eu-west-1\n");
    check_failure(&elsewhere, "credential-missing", &["single sign-on", "aws sso login --profile default"]);
    std::fs::write(stage.home.path().join("config"), b"[default]\nregion = \xff\n").unwrap();
    check_failure(&elsewhere, "config-malformed", &["it is not UTF-8 text"]);
}

#[test]
fn a_profile_may_lead_to_environment_container_or_instance() {
    let stage = Stage::new();
    let (metadata, role) = (metadata(), "arn:aws:iam::123456789012:role/reader");
    let container = Listener::start(|_| Reply::json(&keys()));
    let run = stage.auth().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url()).args(["--aws-profile", "p"]);
    let run = run.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url());
    let run = run.env("AWS_ACCESS_KEY_ID", KEY.0).env("AWS_SECRET_ACCESS_KEY", KEY.1);
    for (word, shown) in [
        ("Environment", "environment"),
        ("EcsContainer", "container endpoint"),
        ("Ec2InstanceMetadata", "metadata service"),
    ] {
        stage.write(".aws/config", &format!("[profile p]\nrole_arn = {role}\ncredential_source = {word}\n"));
        check_source(&run, &format!("profile `p`, {shown}, role `{role}`"));
    }
}

#[test]
fn the_container_endpoint_gets_its_token_and_is_taken_at_its_word() {
    let stage = Stage::new();
    stage.write("token", "marked-pod-token");
    let endpoint = Listener::start(|asked: &Asked| match asked.header("Authorization") {
        Some("marked-pod-token") => Reply::json(&keys()),
        _ => Reply::with(401, "application/json", r#"{"code":"AccessDenied","message":"no association"}"#),
    });
    let run = stage
        .without_metadata()
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", endpoint.url()));
    check_source(&run.clone().env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", stage.path("token")), "container endpoint");
    check_source(&run.clone().env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "marked-pod-token"), "container endpoint");
    check_failure(&run, "denied", &["no association", "service account"]);
    let lost = run.clone().env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", stage.path("none"));
    check_failure(&lost, "config-malformed", &["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]);
    let foreign = stage.without_metadata().env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://creds.example/x");
    check_failure(&foreign, "plain-http-refused", &["`creds.example` over plain HTTP"]);
    // What is no path would go on the address of the platform and make another host of it.
    let no_path = stage.without_metadata().env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ".creds.example/x");
    check_failure(&no_path, "config-malformed", &["RELATIVE_URI is not a path that starts with `/`"]);
    let html = Listener::start(|_| Reply::with(200, "text/html", "<html>marked-secret</html>"));
    let run = stage.without_metadata().env("AWS_CONTAINER_CREDENTIALS_FULL_URI", html.url());
    check_failure(&run, "reply-malformed", &["the answer is HTML or XML, not JSON"]);
}

#[test]
fn a_service_that_repeats_what_it_was_sent_is_quoted_without_that() {
    let stage = Stage::new();
    let role = "arn:aws:iam::123456789012:role/ci";
    // Behind so many letters the text is cut within the secret.
    let said = |secret: &str| format!("{} {secret} is not known here", "x".repeat(485));
    let refuse = move |secret: Option<&str>| match secret {
        Some(secret) => {
            Reply::with(403, "application/json", json!({"Code": "No", "Message": said(secret)}).to_string())
        }
        None => Reply::status(500),
    };
    let container = Listener::start(move |asked| refuse(asked.header("Authorization")));
    let run = stage.without_metadata().env("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url());
    let pod = run.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "marked-pod-token");
    let metadata = Listener::start(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PUT", _) => Reply::with(200, "text/plain", "marked-metadata-token"),
        (_, "/latest/meta-data/iam/security-credentials/") => Reply::with(200, "text/plain", "agent-role"),
        _ => refuse(asked.header("x-aws-ec2-metadata-token")),
    });
    let instance = stage.auth().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url());
    stage.write("token", "marked-web-identity-token");
    let web =
        stage.without_metadata().env("AWS_ROLE_ARN", role).env("AWS_WEB_IDENTITY_TOKEN_FILE", stage.path("token"));
    let sts = Listener::start(move |asked| {
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        let token = form(&body).into_iter().find(|(name, _)| name == "WebIdentityToken").map(|(_, token)| token);
        refuse(token.as_deref().or(asked.header("x-amz-security-token")))
    });
    let web = web.env("AWS_ENDPOINT_URL_STS", sts.url());
    let keys = stage
        .without_metadata()
        .env("AWS_ENDPOINT_URL_STS", sts.url())
        .env("AWS_ACCESS_KEY_ID", KEY.0)
        .env("AWS_SECRET_ACCESS_KEY", KEY.1);
    let base = keys.env("AWS_SESSION_TOKEN", "marked-base-session").args(["--aws-role", role]);
    for (run, secret) in [
        (pod, "marked-pod-token"),
        (instance, "marked-metadata-token"),
        (web, "marked-web-identity-token"),
        (base, "marked-base-session"),
    ] {
        let ran = run.args(["--verbose", "--retries", "0"]).run();
        assert!(ran.stderr.contains("xxx") && ran.exit == Some(4), "{ran}");
        assert!(!ran.stdout.contains("marked") && !ran.stderr.contains("marked"), "{secret}: {ran}");
    }
}

#[test]
fn the_metadata_service_is_asked_in_version_2() {
    let (stage, metadata) = (Stage::new(), metadata());
    check_source(&stage.auth().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url()), "metadata service");
    assert_eq!(metadata.log().count(), 3);
}

#[test]
fn the_metadata_service_is_asked_about_the_public_registry_only_where_an_identity_of_aws_is_wanted() {
    let (stage, metadata) = (Stage::new(), metadata());
    let role = "arn:aws:iam::123456789012:role/reader";
    for (words, source) in [
        (&[][..], "anonymous".to_owned()),
        (&["--credentials-from", "aws"], "metadata service".to_owned()),
        (&["--aws-role", role], format!("metadata service, role `{role}`")),
    ] {
        metadata.clear();
        let run = stage.auth().clone_words(&["auth", PUBLIC]).args(words.iter().copied());
        let result = run.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url()).run().result();
        assert_eq!((result["source"].as_str(), metadata.log().count() > 0), (Some(&*source), !words.is_empty()));
    }
}

#[test]
fn a_credential_that_is_about_to_end_is_asked_for_anew_each_time() {
    let stage = Stage::new();
    for (left, is_asked_again) in [(time::Duration::MINUTE, true), (time::Duration::HOUR, false)] {
        let mut lent = keys();
        let end = time::OffsetDateTime::now_utc() + left;
        lent["Expiration"] = json!(end.format(&time::format_description::well_known::Rfc3339).unwrap());
        let endpoint = Listener::start(move |_| Reply::json(&lent));
        let run = stage.without_metadata().env("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.url());
        run.clone_words(&["promote", &format!("{HOST}/team/app:1"), "--to", "x"]).run().result();
        assert_eq!(endpoint.log().count() > 1, is_asked_again, "{:#?}", endpoint.log().lines());
    }
}

#[test]
fn an_absent_or_odd_metadata_service_costs_little_and_is_told() {
    let stage = Stage::new();
    let hanging = Listener::start(|_| Reply::broken(Fault::Hang));
    let drip = Fault::Drip(Duration::from_millis(200));
    let slow = Listener::start(move |_| Reply::with(200, "text/plain", "t".repeat(1000)).fault(drip.clone()));
    let html = Listener::start(|_| Reply::with(200, "text/html", "<html>log in</html>"));
    let odd = Listener::start(|_| Reply::with(200, "text/plain", "t\u{1}t"));
    let old = Listener::start(|asked| {
        if asked.method == "PUT" { Reply::status(405) } else { Reply::with(200, "text/plain", "role") }
    });
    let bare =
        Listener::start(
            |asked| if asked.method == "PUT" { Reply::with(200, "text/plain", "t") } else { Reply::status(404) },
        );
    let role = |reply: Reply| {
        let token = Reply::with(200, "text/plain", "t");
        Listener::start(move |asked| if asked.method == "PUT" { token.clone() } else { reply.clone() })
    };
    let refused = role(Reply::with(401, "text/plain", "Unauthorized"));
    let astray = role(Reply::with(200, "text/plain", "../../user-data"));
    for (endpoint, said) in [
        (format!("http://{}", closed_port()), "no answer"),
        (hanging.url(), "set the instance's metadata hop limit to 2"),
        (slow.url(), "it accepted the connection and did not answer"),
        (html.url(), "it answered with something that is no token"),
        (odd.url(), "it answered with something that is no token"),
        (old.url(), "it answered 405 to version 2, and version 1 is not used"),
        (bare.url(), "the instance has no role"),
        (refused.url(), "it answered 401 when asked for the role"),
        (astray.url(), "it answered with something that is no role name"),
    ] {
        let run = stage.auth().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint).args(["--credentials-from", "aws"]);
        // Not the time that a registry has for an answer.
        let ran = run.limit(Duration::from_secs(25)).run();
        assert_eq!(ran.code(), "credential-missing", "{ran}");
        assert!(ran.stderr.contains(&format!("metadata service: {said}")) || ran.stderr.contains(said), "{ran}");
    }
    assert_eq!(hanging.log().count(), 2, "a short try and a longer one");
}

#[test]
fn a_credential_that_has_run_out_is_told_from_one_that_is_refused() {
    let stage = Stage::new();
    let mut old = keys();
    old["Expiration"] = json!("2001-01-01T00:00:00Z");
    stage.write("reply", &old.to_string());
    stage.write(".aws/config", &format!("[default]\ncredential_process = cat '{}'\n", stage.path("reply")));
    check_failure(&stage.without_metadata(), "token-expired", &["profile `default` has run out"]);
    let run = stage.without_metadata().env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN").env("AWS_SECRET_ACCESS_KEY", KEY.1);
    check_failure(&run, "unauthenticated", &["UnrecognizedClientException"]);
    let wrong = stage.without_metadata().env("AWS_ACCESS_KEY_ID", KEY.0).env("AWS_SECRET_ACCESS_KEY", "wrong");
    check_failure(&wrong, "unauthenticated", &["InvalidSignatureException"]);
}

#[test]
fn the_environments_default_region_does_not_matter() {
    let stage = Stage::new();
    let run = stage.without_metadata().env("AWS_REGION", "ap-south-1").env("AWS_DEFAULT_REGION", "cn-north-1");
    check_source(&run.env("AWS_ACCESS_KEY_ID", KEY.0).env("AWS_SECRET_ACCESS_KEY", KEY.1), "environment");
}
