//! The servers of the tests themselves: sound where they should be, broken as told, and strict where a script is kept.

use crate::support::client::Client;
use crate::support::http::Listener;
use crate::support::hub::{Form, Hub, HubTag, Options as HubOptions, Source};
use crate::support::image::{Family, Image, Index, helm_chart, two_platforms, types};
use crate::support::proxy::Proxy;
use crate::support::registry::{Auth, Options, Registry, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::server::{Script, get};
use crate::support::text::digest;
use crate::support::tls::Authority;
use crate::support::token::Rights;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn a_pushed_index_is_read_back_byte_for_byte() {
    let registry = Registry::start();
    let built = two_platforms("abc", "one");
    let client = Client::new(&registry.host());
    let pushed = client.push("acme/app", "1", &built);
    assert_eq!(client.digest("acme/app", "1"), Some(pushed.clone()));
    assert_eq!(registry.resolve("acme/app", "1"), Some(pushed));
    assert_eq!(client.get("/v2/acme/app/manifests/1").header("content-type"), Some(types::OCI_INDEX));
    assert_eq!(client.get("/v2/acme/app/manifests/2").status, 404);
    assert_eq!(client.get("/v2/acme/other/manifests/2").status, 404);
}

#[test]
fn a_manifest_whose_blobs_are_missing_is_refused() {
    let registry = Registry::start();
    let built = helm_chart();
    let client = Client::new(&registry.host());
    let answer = client.send("PUT", "/v2/a/manifests/1", &[("Content-Type", &built.media_type)], &built.bytes);
    assert_eq!(answer.status, 404);
    assert!(registry.tags("a").is_empty());
}

#[test]
fn tag_lists_come_in_pages() {
    let registry = Registry::with(Options { page: Some(2), ..Options::default() });
    for tag in ["1", "2", "3"] {
        registry.push("a", tag, &Image::new().build());
    }
    let client = Client::new(&registry.host());
    let first = client.get("/v2/a/tags/list?n=100");
    assert_eq!(first.header("link"), Some("</v2/a/tags/list?last=2&n=2>; rel=\"next\""));
    let second: Value = serde_json::from_slice(&client.get("/v2/a/tags/list?last=2&n=2").body).unwrap();
    assert_eq!(second, json!({"name": "a", "tags": ["3"]}));
}

#[test]
fn passwords_and_tokens_are_asked_for_and_checked() {
    let registry = Registry::basic("robot", "secret");
    registry.push("a", "1", &Image::new().build());
    let client = Client::new(&registry.host());
    assert_eq!(client.get("/v2/a/manifests/1").status, 401);
    assert_eq!(client.clone().basic("robot", "wrong").get("/v2/a/manifests/1").status, 401);
    assert_eq!(client.basic("robot", "secret").get("/v2/a/manifests/1").status, 200);

    let registry = Registry::bearer(one_user("robot", "secret").anonymous(Rights::PULL));
    registry.push("a", "1", &Image::new().build());
    let client = Client::new(&registry.host());
    let challenge = client.get("/v2/a/manifests/1");
    assert_eq!(challenge.status, 401);
    assert!(challenge.header("www-authenticate").unwrap().ends_with("scope=\"repository:a:pull\""), "{challenge:?}");
    let desk = Client::new(&registry.tokens().host());
    let ask = "/token?service=tagwright+tests&scope=repository%3Aa%3Apull%2Cpush";
    let token = |answer: crate::support::client::Answer| -> String {
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        body["token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    };
    let anonymous = token(desk.get(ask));
    assert_eq!(client.clone().bearer(&anonymous).get("/v2/a/manifests/1").status, 200);
    assert_eq!(client.clone().bearer(&anonymous).send("PUT", "/v2/a/manifests/2", &[], b"{}").status, 401);
    let full = token(desk.clone().basic("robot", "secret").get(ask));
    assert_eq!(client.clone().bearer(&full).send("PUT", "/v2/a/manifests/2", &[], b"[").status, 400);
    assert_eq!(desk.basic("robot", "wrong").get(ask).status, 401);
    registry.tokens().desk().revoke();
    assert_eq!(client.bearer(&full).get("/v2/a/manifests/1").status, 401);
}

#[test]
fn a_script_that_is_not_followed_fails_the_test() {
    let told = std::panic::catch_unwind(|| {
        let server = Script::new().then(get("/a")).then(get("/b")).start();
        let client = Client::new(&server.host());
        client.get("/b");
    });
    let why = told.unwrap_err().downcast::<String>().unwrap();
    for part in ["GET /b: not expected now", "GET /a: came 0 times, not 1", "GET /b: came 0 times, not 1"] {
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn a_script_takes_the_exchanges_of_one_step_in_any_order() {
    let server = Script::new()
        .then(get("/first").header("X-A", "1"))
        .together([get("/a").times(2), get("/b").no_header("X-A")])
        .then(get("/last?x=1").reply(Reply::status(404)))
        .start();
    let client = Client::new(&server.host());
    client.send("GET", "/first", &[("X-A", "1")], b"");
    for target in ["/b", "/a", "/a?query"] {
        assert_eq!(client.get(target).status, 200);
    }
    assert_eq!(client.get("/last?x=1").status, 404);
    assert_eq!(server.connections(), 5);
}

/// What a client without any manners reads: all up to the end of the connection, or up to `tail` and then nothing.
fn raw(fault: Fault, tail: &str) -> (String, Option<std::io::ErrorKind>) {
    let reply = Reply::with(200, "text/plain", "0123456789").fault(fault);
    let server = Listener::start(move |_| reply.clone());
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let ended = loop {
        // Once all is there that should be, a short while shows that no more comes.
        let wait = Duration::from_millis(if bytes.ends_with(tail.as_bytes()) { 150 } else { 20_000 });
        stream.set_read_timeout(Some(wait)).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) => break Some(error.kind()),
        }
        if bytes.len() > 1 << 20 {
            break None;
        }
    };
    (String::from_utf8(bytes).unwrap(), ended)
}

#[test]
fn faults_are_what_they_say() {
    use std::io::ErrorKind::{ConnectionReset, WouldBlock};
    // A text that no answer holds, for those that end by themselves.
    let never = "\0";
    let ends = |fault: Fault, tail: &str, ended| {
        let (text, how) = raw(fault.clone(), if ended == Some(WouldBlock) { tail } else { never });
        assert!(text.ends_with(tail), "{fault:?}: {text}");
        assert_eq!(how, ended, "{fault:?}");
        text
    };
    ends(Fault::None, "Length: 10\r\n\r\n0123456789", Some(WouldBlock));
    assert_eq!(ends(Fault::Close, "", None), "");
    assert_eq!(ends(Fault::Reset, "", Some(ConnectionReset)), "");
    assert_eq!(ends(Fault::Hang, "", Some(WouldBlock)), "");
    ends(Fault::CloseAfter(3), "Length: 10\r\n\r\n012", None);
    ends(Fault::ResetAfter(3), "Length: 10\r\n\r\n012", Some(ConnectionReset));
    ends(Fault::HangAfter(0), "Length: 10\r\n\r\n", Some(WouldBlock));
    ends(Fault::Drip(Duration::from_millis(1)), "0123456789", Some(WouldBlock));
    ends(Fault::Length(99), "Length: 99\r\n\r\n0123456789", None);
    ends(Fault::Chunked, "a\r\n0123456789\r\n0\r\n\r\n", Some(WouldBlock));
    ends(Fault::BadChunks, "zz\r\n0123456789", None);
    ends(Fault::CloseLater, "Length: 10\r\n\r\n0123456789", None);
    assert_eq!(ends(Fault::Raw(b"huh".to_vec()), "huh", None), "huh");
    assert!(!raw(Fault::Unannounced, never).0.contains("Content-Length"));
    assert!(raw(Fault::Endless, never).0.len() > 1 << 20);
    assert!(raw(Fault::EndlessHeaders, never).0.len() > 1 << 20);
}

#[test]
fn round_trips_count_requests_side_by_side_once() {
    let server = Listener::start(|_| Reply::status(200));
    server.latency(Duration::from_millis(60));
    let client = Client::new(&server.host());
    std::thread::scope(|scope| {
        for target in ["/a", "/b", "/c"] {
            let client = &client;
            scope.spawn(move || client.get(target));
        }
    });
    client.get("/d");
    // Two for connecting and two for asking: the client makes a connection each time.
    assert_eq!((server.log().count(), server.log().round_trips()), (4, 4));
}

#[test]
fn the_hub_serves_pages_as_large_as_it_likes() {
    let tags: Vec<HubTag> = (1..=25).map(|build| HubTag::named(&format!("2026.34.{build}"))).collect();
    let list = HashMap::from([("acme/app".to_owned(), tags)]);
    let options = HubOptions { smaller: Some(10), ..HubOptions::default() }.user("robot", "pat");
    let hub = Hub::start(Source::List(list), options);
    let client = Client::new(hub.url().trim_start_matches("http://"));
    let read = |target: &str| -> Value { serde_json::from_slice(&client.get(target).body).unwrap() };
    let page = read("/v2/namespaces/acme/repositories/app/tags?page_size=100");
    assert_eq!((page["count"].as_u64(), page["results"].as_array().unwrap().len()), (Some(25), 10));
    assert_eq!(page["next"], format!("{}/v2/namespaces/acme/repositories/app/tags?page=2&page_size=100", hub.url()));
    assert_eq!(client.get("/v2/namespaces/acme/repositories/app/tags?page=4&page_size=100").status, 404);
    assert_eq!(read("/v2/namespaces/acme/repositories/app/tags?name=.25")["count"], 1);
    assert_eq!(client.get("/v2/namespaces/acme/repositories/none/tags").status, 404);
    let login =
        |body: &str| client.send("POST", "/v2/auth/token", &[("Content-Type", "application/json")], body.as_bytes());
    assert_eq!(login(r#"{"identifier":"robot","secret":"wrong"}"#).status, 401);
    let token: Value = serde_json::from_slice(&login(r#"{"identifier":"robot","secret":"pat"}"#).body).unwrap();
    let token = token["access_token"].as_str().unwrap();
    assert_eq!(client.clone().bearer(token).get("/v2/namespaces/acme/repositories/app/tags").status, 200);
    assert_eq!(client.clone().bearer("other").get("/v2/namespaces/acme/repositories/app/tags").status, 401);
}

#[test]
fn the_hub_reads_its_tags_from_a_registry() {
    let registry = Registry::start();
    let built = registry.push("acme/app", "2026.34.1", &two_platforms("abc", "one"));
    let options = HubOptions { form: Form::Documented, ..HubOptions::default() };
    let hub = Hub::start(Source::Registry(Client::new(&registry.host())), options);
    let client = Client::new(hub.url().trim_start_matches("http://"));
    let page: Value = serde_json::from_slice(&client.get("/v2/namespaces/acme/repositories/app/tags").body).unwrap();
    assert_eq!(page["results"][0]["images"]["architecture"], "amd64");
    assert_eq!(registry.resolve("acme/app", "2026.34.1"), Some(built));
}

#[test]
fn a_proxy_leads_names_to_loopback() {
    let authority = Authority::for_names(&["registry-1.docker.io"]);
    let registry = Registry::with(Options { tls: Some(authority.server()), ..Options::default() });
    let proxy = Proxy::start([("registry-1.docker.io:443", registry.port())]);
    let mut stream = TcpStream::connect(proxy.url().trim_start_matches("http://")).unwrap();
    stream.write_all(b"CONNECT registry-1.docker.io:443 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer[..22]).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 Go on\r\n\r\n"));
    let name = "registry-1.docker.io".try_into().unwrap();
    let connection = rustls::ClientConnection::new(authority.client(), name).unwrap();
    let mut tls = rustls::StreamOwned::new(connection, stream);
    tls.write_all(b"GET /v2/ HTTP/1.1\r\nHost: registry-1.docker.io\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    tls.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert_eq!(proxy.asked(), ["CONNECT registry-1.docker.io:443"]);
}

#[test]
fn a_server_that_is_dropped_leaves_nobody_waiting() {
    let server = Listener::start(|_| Reply::broken(Fault::Hang));
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    std::thread::spawn(move || drop(server));
    let ended = stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
    assert!(matches!(ended, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)), "{ended:?}");
}

#[test]
fn images_of_both_families_differ_and_name_what_they_hold() {
    for (family, expected) in [(Family::Oci, types::OCI_MANIFEST), (Family::Docker, types::DOCKER_MANIFEST)] {
        let image = Image::new().label("a", "b");
        let image = if family == Family::Docker { image.docker() } else { image }.build();
        let manifest: Value = serde_json::from_slice(&image.bytes).unwrap();
        assert_eq!((image.media_type.as_str(), manifest["mediaType"].as_str()), (expected, Some(expected)));
        assert_eq!(manifest["config"]["digest"], digest(&image.blobs[0]));
        let list = Index::of([image]).docker().build();
        assert_eq!(list.media_type, types::DOCKER_LIST);
    }
}

#[test]
fn faults_strike_as_often_as_told() {
    let registry = Registry::with(Options { auth: Auth::None, ..Options::default() });
    registry.push("a", "1", &Image::new().build());
    registry.fail(2, "GET", "/manifests/", Reply::status(503));
    let client = Client::new(&registry.host());
    let seen: Vec<u16> = (0..3).map(|_| client.get("/v2/a/manifests/1").status).collect();
    assert_eq!(seen, [503, 503, 200]);
}
