//! The registry in memory takes blobs in every way that registries do, refuses what they refuse, and counts.

use crate::support::client::{Answer, Client};
use crate::support::image::{Built, Image, helm_chart};
use crate::support::registry::{Auth, Options, Registry};
use crate::support::reply::{Fault, Reply};
use crate::support::text::digest;
use crate::support::uploads::{Blobs, Location, Mounts, Traffic};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const BLOB: &[u8] = b"0123456789";

fn with(blobs: Blobs) -> (Registry, Client) {
    let registry = Registry::with(Options { blobs, ..Options::default() });
    let client = Client::new(&registry.host());
    (registry, client)
}

fn location(answer: &Answer) -> String {
    answer.header("location").unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

fn start(client: &Client) -> String {
    let answer = client.send("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(answer.status, 202, "{answer:?}");
    location(&answer)
}

fn end(client: &Client, location: &str, body: &[u8]) -> Answer {
    let join = if location.contains('?') { '&' } else { '?' };
    client.send("PUT", &format!("{location}{join}digest={}", digest(BLOB)), &[], body)
}

#[test]
fn a_blob_comes_in_whole_in_chunks_and_by_mount() {
    let (registry, client) = with(Blobs::default());
    let single = format!("/v2/single/blobs/uploads/?digest={}", digest(BLOB));
    assert_eq!(client.send("POST", &single, &[], b"other").status, 400);
    assert_eq!(client.send("POST", &single, &[], BLOB).status, 201);

    let first = start(&client);
    let answer = client.send("PATCH", &first, &[("Content-Range", "0-3")], b"0123");
    assert_eq!((answer.status, answer.header("range")), (202, Some("0-3")));
    // Neither a hole nor a place that was left is written to.
    let next = location(&answer);
    assert_eq!(client.send("PATCH", &first, &[("Content-Range", "4-5")], b"45").status, 400);
    let answer = client.send("PATCH", &next, &[("Content-Range", "5-5")], b"5");
    assert_eq!((answer.status, answer.header("range")), (416, Some("0-3")));
    let asked = client.get(&location(&answer));
    assert_eq!((asked.status, asked.header("range")), (204, Some("0-3")));
    assert_eq!(end(&client, &location(&asked), b"456789").status, 201);
    assert_eq!(client.get(&location(&asked)).status, 404, "an upload that ended is gone");

    let mount = format!("/v2/b/blobs/uploads/?mount={}&from=", digest(BLOB));
    assert_eq!(client.send("POST", &format!("{mount}a"), &[], b"").status, 201);
    assert_eq!(client.send("POST", &format!("{mount}none"), &[], b"").status, 202);
    assert_eq!(registry.state(|state| state.uploads.open()), 1);
    assert_eq!(client.get(&format!("/v2/b/blobs/{}", digest(BLOB))).body, BLOB);
    let expected = Traffic { heads: 0, reads: 1, sent: 10, mounts: 1, uploads: 3 };
    assert_eq!(registry.traffic(&digest(BLOB)), expected);
}

#[test]
fn an_upload_is_given_up_and_forgotten() {
    let (registry, client) = with(Blobs::default());
    let first = start(&client);
    assert_eq!(client.send("DELETE", &first, &[], b"").status, 204);
    assert_eq!(end(&client, &first, BLOB).status, 404);
    let second = start(&client);
    registry.state(|state| state.uploads.forget());
    assert_eq!(client.send("PATCH", &second, &[], BLOB).status, 404);
}

#[test]
fn locations_come_in_each_form() {
    let forms = [Location::Path, Location::Query, Location::Whole, Location::Elsewhere];
    for form in forms {
        let auth = Auth::Basic("robot".to_owned(), "secret".to_owned());
        let blobs = Blobs { location: form, ..Blobs::default() };
        let registry = Registry::with(Options { auth, blobs, ..Options::default() });
        let client = Client::new(&registry.host()).basic("robot", "secret");
        let named = start(&client);
        let expected = match form {
            Location::Path | Location::Query => "/v2/a/blobs/uploads/upload-1".to_owned(),
            Location::Whole => format!("{}/v2/a/blobs/uploads/upload-1", registry.url()),
            Location::Elsewhere => format!("{}/v2/a/blobs/uploads/upload-1", registry.elsewhere().url()),
        };
        assert!(named.starts_with(&expected), "{named}");
        assert_eq!(named.contains('?'), form != Location::Path, "{named}");
        if form == Location::Elsewhere {
            let path = named.strip_prefix(&registry.elsewhere().url()).unwrap();
            let elsewhere = Client::new(&registry.elsewhere().host());
            assert_eq!(end(&elsewhere.clone().basic("robot", "secret"), path, BLOB).status, 400);
            assert_eq!(end(&elsewhere, path, BLOB).status, 201);
            assert_eq!(registry.log().method("PUT"), 2, "the log is of both origins");
        }
    }
}

#[test]
fn mounts_and_single_uploads_are_refused_as_told() {
    let mount = format!("/v2/b/blobs/uploads/?mount={}&from=a", digest(BLOB));
    let single = format!("/v2/a/blobs/uploads/?digest={}", digest(BLOB));
    let told = [(Mounts::Ignored, 202), (Mounts::Refused(405), 405), (Mounts::Refused(404), 404)];
    for (mounts, status) in told {
        let (_registry, client) = with(Blobs { mounts, no_single: true, ..Blobs::default() });
        assert_eq!(client.send("POST", &single, &[], BLOB).status, 202);
        assert_eq!(end(&client, &start(&client), BLOB).status, 201);
        assert_eq!(client.send("POST", &mount, &[], b"").status, status);
    }
}

#[test]
fn chunks_have_a_least_and_requests_a_greatest_length() {
    let (_registry, client) = with(Blobs { chunk_min: Some(4), limit: Some(6), ..Blobs::default() });
    let answer = client.send("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(answer.header("oci-chunk-min-length"), Some("4"));
    assert_eq!(end(&client, &location(&answer), BLOB).status, 413);
    let answer = client.send("PATCH", &location(&answer), &[("Content-Range", "0-3")], b"0123");
    assert_eq!(answer.status, 202);
    assert_eq!(end(&client, &location(&answer), b"456789").status, 201);
    let answer = client.send("PATCH", &start(&client), &[], b"012");
    assert_eq!(client.send("PATCH", &location(&answer), &[], b"345").status, 400);
}

#[test]
fn parts_of_a_blob_are_read_or_the_wish_is_passed_over() {
    let target = format!("/v2/a/blobs/{}", digest(BLOB));
    for no_ranges in [false, true] {
        let (registry, client) = with(Blobs { no_ranges, ..Blobs::default() });
        assert_eq!(end(&client, &start(&client), BLOB).status, 201);
        let part = |range: &str| client.send("GET", &target, &[("Range", range)], b"");
        let answer = part("bytes=4-");
        if no_ranges {
            assert_eq!((answer.status, answer.body.as_slice()), (200, BLOB));
            continue;
        }
        assert_eq!((answer.status, answer.header("content-range")), (206, Some("bytes 4-9/10")));
        assert_eq!((answer.body.as_slice(), part("bytes=0-1").body.as_slice()), (&b"456789"[..], &b"01"[..]));
        assert_eq!(part("bytes=10-").status, 416);
        assert_eq!(client.send("HEAD", &target, &[], b"").header("content-length"), Some("10"));
        assert_eq!(registry.traffic(&digest(BLOB)), Traffic { heads: 1, reads: 2, sent: 8, mounts: 0, uploads: 1 });
    }
}

#[test]
fn blobs_are_redirected_to_another_origin() {
    let (registry, client) = with(Blobs { redirect: true, ..Blobs::default() });
    assert_eq!(end(&client, &start(&client), BLOB).status, 201);
    let answer = client.get(&format!("/v2/a/blobs/{}", digest(BLOB)));
    let there = location(&answer);
    let path = there.strip_prefix(&registry.elsewhere().url()).unwrap();
    assert_eq!((answer.status, path.contains("?signature=")), (307, true));
    assert_eq!(Client::new(&registry.elsewhere().host()).get(path).body, BLOB);
    assert_eq!(registry.traffic(&digest(BLOB)).reads, 1);
}

#[test]
fn a_request_is_cut_off_before_its_body_was_read() {
    let (registry, client) = with(Blobs::default());
    registry.cut(1, "PATCH", "/uploads/", 4, true, Reply::broken(Fault::Reset));
    let named = start(&client);
    let mut stream = TcpStream::connect(registry.host()).unwrap();
    write!(stream, "PATCH {named} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123").unwrap();
    assert!(stream.read(&mut [0; 10]).is_err(), "the connection is reset");
    let answer = client.get(&named);
    assert_eq!((answer.status, answer.header("range")), (204, Some("0-3")));

    // An answer to half a request arrives, although the other half was never read.
    registry.cut(1, "PATCH", "/uploads/", 4, false, Reply::status(413));
    let mut stream = TcpStream::connect(registry.host()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "PATCH {named} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n012345").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    assert_eq!(client.get(&named).header("range"), Some("0-3"), "nothing of it was kept");
}

#[test]
fn a_manifest_needs_what_it_names_unless_that_lies_elsewhere() {
    let mut image = helm_chart();
    let put = |client: &Client, image: &Built| {
        client.send("PUT", "/v2/a/manifests/1", &[("Content-Type", &image.media_type)], &image.bytes).status
    };
    let (_registry, client) = with(Blobs::default());
    assert_eq!(put(&client, &image), 404);
    let careless = Registry::with(Options { careless: true, ..Options::default() });
    assert_eq!(put(&Client::new(&careless.host()), &image), 201);

    let (_registry, client) = with(Blobs::default());
    let mut body: Value = serde_json::from_slice(&image.bytes).unwrap();
    body["layers"][0]["urls"] = json!(["https://layers.example/1"]);
    image.bytes = body.to_string().into_bytes();
    assert_eq!(put(&client, &image), 404, "the config is needed");
    let config = format!("/v2/a/blobs/uploads/?digest={}", digest(&image.blobs[0]));
    assert_eq!(client.send("POST", &config, &[], &image.blobs[0]).status, 201);
    assert_eq!(put(&client, &image), 201);
}

#[test]
fn referrers_are_listed_in_pages_and_by_kind() {
    let options = Options { referrers: true, referrers_page: Some(1), ..Options::default() };
    let registry = Registry::with(options);
    let image = Image::new().build();
    registry.push("a", "1", &image);
    let client = Client::new(&registry.host());
    for layer in ["one", "two"] {
        let referrer = Image::new().layer(layer).subject(&image).annotations(json!({"layer": layer})).build();
        let target = format!("/v2/a/manifests/{}", client.push("a", layer, &referrer));
        let answer = client.send("PUT", &target, &[("Content-Type", &referrer.media_type)], &referrer.bytes);
        assert_eq!(answer.header("oci-subject"), Some(image.digest().as_str()));
    }
    let answer = client.get(&format!("/v2/a/referrers/{}", image.digest()));
    let next = format!("</v2/a/referrers/{}?after=1>; rel=\"next\"", image.digest());
    assert_eq!(answer.header("link"), Some(next.as_str()));
    let second = client.get(&format!("/v2/a/referrers/{}?after=1", image.digest()));
    assert_eq!(second.header("link"), None);
    let (one, two): (Value, Value) = (read(&answer), read(&second));
    let mut seen = [&one["manifests"][0], &two["manifests"][0]].map(|one| one["annotations"]["layer"].to_string());
    seen.sort();
    assert_eq!(seen, ["\"one\"", "\"two\""]);
    let none = client.get(&format!("/v2/a/referrers/{}?artifactType=none", image.digest()));
    assert_eq!(
        (read(&none)["manifests"].clone(), none.header("oci-filters-applied")),
        (json!([]), Some("artifactType"))
    );

    let plain = Registry::start();
    plain.push("a", "1", &image);
    assert_eq!(Client::new(&plain.host()).get(&format!("/v2/a/referrers/{}", image.digest())).status, 404);
}

fn read(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}
