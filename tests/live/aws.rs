//! Amazon as moto plays it, with every signature computed again by botocore.

use crate::support::cmd::{Tagwright, tagwright};
use crate::support::image::{Built, Image, two_platforms};
use crate::support::program::tool;
use crate::support::text::base64;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
/// The registry of another account in another region.
const FAR: &str = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
const KEY: (&str, &str) = ("AKIAMARKEDKEYID00001", "marked/secret+access/key");

/// A running moto; it ends when its standard input does.
struct Moto {
    child: Child,
    host: String,
}

impl Moto {
    fn start() -> Self {
        let python = tool("moto").join("bin/python");
        let door = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/aws/door.py");
        let mut child = Command::new(&python)
            .arg("-I")
            .arg(door)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_ACCESS_KEY_ID", "of-moto-itself")
            .env("AWS_SECRET_ACCESS_KEY", "of-moto-itself")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `scripts/install-tools`", python.display()));
        let (mut seen, mut reader) = (String::new(), BufReader::new(child.stderr.take().unwrap()));
        let host = loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "moto did not start: {seen}");
            if let Some(host) = line.trim().strip_prefix("listening on ") {
                break host.to_owned();
            }
            seen.push_str(&line);
        };
        // Nobody reads what it says from now on, and it must not wait for that.
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        let _ = writeln!(std::io::stderr(), "against moto on {host}");
        Self { child, host }
    }

    fn send(&self, method: &str, target: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nConnection: close\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n{body}",
            self.host
        );
        // In one piece: what is written in several waits for acknowledgements.
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.split(' ').nth(1) == Some("200"), "{answer}");
        body.to_owned()
    }

    fn push(&self, repository: &str, tag: &str, built: &Built) -> String {
        for child in &built.children {
            self.push(repository, &format!("child-{}", &child.digest()[7..19]), child);
        }
        let blobs: Vec<String> = built.blobs.iter().map(|blob| base64(blob)).collect();
        let image = json!({
            "repository": repository,
            "tag": tag,
            "mediaType": built.media_type,
            "manifest": String::from_utf8(built.bytes.clone()).unwrap(),
            "blobs": blobs,
            "mutability": repository.starts_with("immutable").then_some("IMMUTABLE"),
        });
        let digest = self.send("PUT", "/door/images", &image.to_string());
        assert_eq!(digest, built.digest());
        digest
    }

    /// Makes an empty repository in [`FAR`].
    fn create_far(&self, repository: &str) {
        let place = json!({"repository": repository, "account": &FAR[..12], "region": "us-east-1"});
        self.send("PUT", "/door/images", &place.to_string());
    }

    fn port(&self) -> &str {
        self.host.rsplit(':').next().unwrap()
    }

    /// The operations whose signature botocore computed again, and that none was refused.
    fn met(&self) -> Vec<String> {
        let met: Vec<Value> = serde_json::from_str(&self.send("GET", "/door/met", "")).unwrap();
        for one in &met {
            assert_eq!(one["refused"], Value::Null, "{met:#?}");
        }
        met.iter().map(|one| one["operation"].as_str().unwrap().to_owned()).collect()
    }

    fn run<const N: usize>(&self, args: [&str; N]) -> Tagwright {
        let run = tagwright(args).env("AWS_ENDPOINT_URL", format!("http://{}", self.host)).env("PATH", "/usr/bin:/bin");
        run.env("AWS_ACCESS_KEY_ID", KEY.0).env("AWS_SECRET_ACCESS_KEY", KEY.1)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn image(name: &str) -> Built {
    Image::new().label("git_revision", name).layer(format!("layer of {name}")).build()
}

#[test]
fn every_command_works_against_moto_and_botocore_accepts_every_signature() {
    let moto = Moto::start();
    let team = format!("{HOST}/team/app");
    for tag in ["2026.34.101", "2026.34.102"] {
        moto.push("team/app", tag, &image(tag));
    }
    let newest = moto.push("team/app", "2026.34.103", &two_platforms("abc", "layer"));

    let labels = moto.run(["labels", &format!("{team}:2026.34.103"), "--label", "git_revision"]).run().result();
    assert_eq!(labels["value"], "abc");
    let found = moto.run(["find-tag", &team, "--build", "102"]).run().result();
    assert_eq!((&found["tag"], &found["via"]), (&json!("2026.34.102"), &json!("ecr-api")));
    let tags = moto.run(["tags", &team, "--match", "2026.*"]).run().result();
    assert_eq!(tags["tags"][0]["digest"], newest.as_str());
    assert!(tags["tags"][0]["updated"].as_str().is_some());
    let next = moto.run(["next-version", &team, "--build", "auto", "--at", "2026-08-24"]).run().result();
    assert_eq!(next["version"], "2026.35.104");
    moto.run(["inspect", &format!("{team}:2026.34.103")]).run().result();
    let promoted = moto.run(["promote", &team, "--build", "103"]).run().result();
    for tag in promoted["tags"].as_array().unwrap() {
        assert_eq!((&tag["action"], &tag["verified"]), (&json!("created"), &json!(true)));
    }
    let again = moto.run(["promote", &team, "--build", "103"]).run().result();
    for tag in again["tags"].as_array().unwrap() {
        assert_eq!(tag["action"], "unchanged");
    }
    let older = moto.run(["promote", &format!("{team}:2026.34.101"), "--move", "latest"]).run();
    assert_eq!(older.code(), "downgrade-refused", "{older}");

    let met = moto.met();
    for operation in ["BatchGetImage", "GetDownloadUrlForLayer", "ListImages", "DescribeImages", "PutImage"] {
        assert!(met.iter().any(|known| known == operation), "{operation} was never called: {met:?}");
    }
}

#[test]
fn roles_web_identities_and_passwords_come_from_moto() {
    let moto = Moto::start();
    moto.push("team/app", "1", &image("abc"));
    let reference = format!("{HOST}/team/app:1");
    let role = "arn:aws:iam::123456789012:role/reader";
    let result = moto.run(["labels", &reference, "--aws-role", role]).run().result();
    assert_eq!(result["labels"]["git_revision"], "abc");
    let auth = moto.run(["auth", &format!("{HOST}/team/app"), "--aws-role", role]).run().result();
    let identity = auth["identity"].as_str().unwrap();
    assert!(identity.starts_with("arn:aws:sts::123456789012:assumed-role/reader/tagwright"), "{identity}");

    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "marked-web-identity-token").unwrap();
    let run = tagwright(["labels", &reference]).env("AWS_ENDPOINT_URL", format!("http://{}", moto.host));
    let run = run.env("AWS_ROLE_ARN", role).env("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
    assert_eq!(run.run().result()["labels"]["git_revision"], "abc");

    let files = folder.path().join("config");
    let keys = format!("aws_access_key_id={}\naws_secret_access_key={}", KEY.0, KEY.1);
    std::fs::write(&files, format!("[profile ci]\nrole_arn={role}\nsource_profile=base\n[profile base]\n{keys}\n"))
        .unwrap();
    let run = tagwright(["labels", &reference, "--aws-profile", "ci"]).env("AWS_CONFIG_FILE", &files);
    run.env("AWS_ENDPOINT_URL", format!("http://{}", moto.host)).run().result();

    let met = moto.met();
    assert!(met.iter().filter(|operation| *operation == "AssumeRole").count() >= 3, "{met:?}");
    assert!(met.iter().any(|operation| operation == "GetCallerIdentity"), "{met:?}");
}

#[test]
fn a_promotion_goes_from_account_to_account_and_every_digest_is_the_same_there() {
    for (via, built) in
        [("ecr-api", image("abc")), ("registry", image("abc")), ("ecr-api", two_platforms("abc", "layer"))]
    {
        let moto = Moto::start();
        let digest = moto.push("team/app", "2026.34.103", &built);
        moto.create_far("prod/app");
        let port = moto.port();
        let (near, far) = (format!("{HOST}:{port}"), format!("{FAR}:{port}"));
        let bucket = format!("prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com:{port}");
        let far_bucket = bucket.replace("eu-west-1", "us-east-1");
        let reached = |run: Tagwright| {
            [&near, &far, &bucket, &far_bucket].iter().fold(run, |run, host| {
                run.args(["--plain-http", host.as_str(), "--resolve", &format!("{host}:127.0.0.1")])
            })
        };
        let (source, target) = (format!("{near}/team/app:2026.34.103"), format!("{far}/prod/app"));
        let roles = ["arn:aws:iam::123456789012:role/reader", "arn:aws:iam::210987654321:role/writer"];
        let run =
            moto.run(["promote", &source, "--into", &target, "--aws-role", roles[0], "--into-aws-role", roles[1]]);
        let run = reached(run.args(["--via", via]));
        let result = run.run().result();
        for tag in result["tags"].as_array().unwrap() {
            assert_eq!((&tag["after"], &tag["verified"]), (&json!(digest), &json!(true)));
        }
        // Who only reads there finds it whole: every label of every platform.
        let latest = format!("{target}:latest");
        let labels =
            moto.run(["labels", &latest, "--aws-role", roles[1], "--all-platforms", "--label", "git_revision"]);
        assert_eq!(reached(labels).run().result()["value"], "abc");
        let again = run.run().result();
        assert_eq!((&again["copied"]["blobs"], &again["tags"][0]["action"]), (&json!(0), &json!("unchanged")));
        let met = moto.met();
        for operation in ["AssumeRole", "GetAuthorizationToken"] {
            assert!(met.iter().any(|known| known == operation), "{operation} was never called: {met:?}");
        }
        assert_eq!(met.iter().any(|known| known == "PutImage"), via == "ecr-api");
    }
}

#[test]
fn what_moto_refuses_is_told() {
    let moto = Moto::start();
    moto.push("immutable/app", "1", &image("abc"));
    moto.push("immutable/app", "2", &image("def"));
    let reference = format!("{HOST}/immutable/app:1");
    assert_eq!(moto.run(["labels", &format!("{HOST}/immutable/app:3")]).run().code(), "tag-unknown");
    assert_eq!(moto.run(["labels", &format!("{HOST}/none:3")]).run().code(), "repository-unknown");
    let ran = moto.run(["promote", &reference, "--move", "2"]).run();
    assert_eq!(ran.code(), "tag-immutable", "{ran}");
    let ran = moto.run(["labels", &reference]).env("AWS_SECRET_ACCESS_KEY", "the-secret-of-nobody").run();
    assert_eq!(ran.code(), "unauthenticated", "{ran}");
    assert!(ran.stderr.contains("botocore computes another signature"), "{ran}");
}
