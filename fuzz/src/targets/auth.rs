//! What registries and token servers say about who may do what, and the files that hold credentials.

use super::check::{self, ok, text};
use tagwright::pure::auth::challenge;
use tagwright::pure::auth::credential::Credential;
use tagwright::pure::auth::docker_config::{self, DockerConfig, Lookup};
use tagwright::pure::auth::flow::{self, Authorization};
use tagwright::pure::auth::scope::{Scope, ScopeSet};
use tagwright::pure::auth::token;
use tagwright::pure::http::message::Request;
use tagwright::pure::http::url::{Place, Scheme, Url, place};
use tagwright::pure::hub;
use tagwright::pure::image::registry::Registry;
use tagwright::secret::Secret;
use time::OffsetDateTime;

const PASSWORD: &str = "a password, never in an address";

/// No challenge gets a credential to a place where none belongs, and none gets it into an address.
pub fn challenge(data: &[u8]) {
    let text = text(data);
    let values: Vec<&str> = text.lines().collect();
    let challenges = challenge::parse(&values);
    assert!(challenges.len() <= text.len());
    let wanted: ScopeSet = [Scope::push("acme/app")].into_iter().collect();
    if let Some(scope) = Scope::parse(&text) {
        assert_eq!(Scope::parse(&scope.to_string()), Some(scope));
    }
    let credential = Credential::Password { username: "ci".to_owned(), password: Secret::new(PASSWORD) };
    for home in ["https://registry.example", "http://127.0.0.1:5000", "https://10.0.0.1"] {
        let home = Url::parse(home).expect("an address");
        for credential in [&credential, &Credential::Anonymous] {
            let Some(Authorization::Token(asked)) = ok(flow::answer(&home, &challenges, &wanted, credential)) else {
                continue;
            };
            let realm = &asked.realm;
            assert!(home.scheme() == Scheme::Http || realm.scheme() == Scheme::Https, "{realm}");
            let at_home = place(home.host()) != Place::Public;
            let there = place(realm.host());
            assert!(there == Place::Public || at_home && matches!(there, Place::Private | Place::Loopback), "{realm}");
            sendable(&asked.request());
        }
    }
}

/// A request line and its fields stay one line each, and no secret is part of the address.
fn sendable(request: &Request) {
    let target = request.url.target();
    assert!(target.is_ascii() && !target.contains(|c: char| c.is_ascii_control() || c == ' '), "{target:?}");
    assert!(!target.contains("password"), "{target}");
    assert!(request.headers.iter().all(|(_, value)| !value.contains(char::is_control)));
}

/// No token outlives what is believed, and one that is taken fits into a header.
pub fn token(data: &[u8]) {
    let now = OffsetDateTime::from_unix_timestamp(1_787_227_200).expect("a date");
    if let Some(token) = ok(token::parse(data, now)) {
        let left = (token.expires_at - now).whole_seconds();
        assert!((0..=31 * 24 * 3600).contains(&left), "{left} s");
        assert!(token.renew_at() <= token.expires_at);
        assert!(token.header().reveal().bytes().all(|b| b.is_ascii_graphic() || b == b' '));
        token.granted().iter().flatten().for_each(|right| check::terminal(right));
    }
    if let Some(token) = ok(hub::login::parse(data)) {
        assert!(token.reveal().bytes().all(|b| b.is_ascii_graphic()));
    }
}

/// A helper's name is no path and no option, its key one line; no message repeats what may be a secret.
pub fn docker_config(data: &[u8]) {
    let text = text(data);
    docker_config::read_key(&text);
    let Some(config) = ok(DockerConfig::parse(&text, "config.json")) else { return };
    for registry in ["docker.io", "registry.example:5000", "localhost", "[::1]:5000"] {
        let registry = Registry::parse(registry).expect("a registry");
        for path in [None, Some("acme/app")] {
            if let Some(Lookup::Helper { name, server_key, .. }) = ok(config.lookup(&registry, path)) {
                assert!(!name.is_empty() && !name.contains(['/', '\0', ' ']));
                assert!(!server_key.contains(char::is_control));
            }
            if let Some(Some(found)) = ok(config.entry(&registry, path)) {
                credential(&found);
            }
        }
    }
}

/// What a helper printed is a credential or is refused.
pub fn helper(data: &[u8]) {
    if let Some(found) = ok(docker_config::helper_answer(data)) {
        credential(&found);
    }
    docker_config::is_not_found(&text(data));
}

fn credential(found: &Credential) {
    assert!(found.is_anonymous() == found.secrets().is_empty() || found.identity().is_some());
    let told = format!("{found:?}");
    for secret in found.secrets().iter().filter(|secret| secret.reveal().len() > 24) {
        assert!(!told.contains(secret.reveal()), "a secret is told");
    }
    if let Some(header) = found.basic_header() {
        assert!(header.reveal().bytes().all(|b| b.is_ascii_graphic() || b == b' '));
    }
}
