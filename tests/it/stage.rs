//! What several of these modules set up and show: repositories with versions, Docker Hub behind a proxy, runs as text.

use crate::support::cmd::{Ran, Tagwright};
use crate::support::image::{Built, Image};
use crate::support::proxy::Proxy;
use crate::support::registry::{Auth, Options, Registry};
use crate::support::reply::Reply;
use crate::support::tls::Authority;
use crate::support::token::Rules;
use serde_json::json;
use std::time::Duration;

/// Long enough that requests side by side overlap on a busy machine, and short enough to wait for.
pub const STEP: Duration = Duration::from_millis(150);

/// Proves that something takes so many round trips at most. On a busy machine what waits for a processor seems to take
/// more, so the least of a few runs counts.
pub fn check_trips(most: usize, run: impl Fn() -> usize) {
    let mut trips: Vec<usize> = Vec::new();
    while trips.len() < 4 && trips.last().is_none_or(|last| *last > most) {
        trips.push(run());
    }
    assert!(trips.iter().any(|trips| *trips <= most), "{trips:?} round trips, {most} at most");
}

/// An image for one platform, unlike any other with another name.
pub fn image(name: &str) -> Built {
    Image::new().label("git_revision", name).layer(format!("layer of {name}")).build()
}

/// Pushes an image of its own for each tag.
pub fn push(registry: &Registry, repository: &str, tags: &[&str]) {
    for tag in tags {
        registry.push(repository, tag, &image(tag));
    }
}

/// Points so many version tags, `2026.34.1` and up, at one image.
pub fn many(registry: &Registry, repository: &str, count: usize) -> String {
    let digest = registry.push(repository, "2026.34.1", &image("many"));
    registry.state(|state| (2..=count).for_each(|n| state.tag(repository, &format!("2026.34.{n}"), &digest)));
    digest
}

/// Docker Hub's registry and token server, met under their own names through a proxy.
pub struct DockerHub {
    pub registry: Registry,
    authority: Authority,
    proxy: Proxy,
}

impl DockerHub {
    /// With these rules about tokens.
    pub fn start(rules: Rules) -> Self {
        let names = ["registry-1.docker.io", "auth.docker.io"];
        let authority = Authority::for_names(&names);
        let registry = Registry::with(Options {
            auth: Auth::Bearer(rules.clone()),
            tls: Some(authority.server()),
            realm: Some("https://auth.docker.io/token".to_owned()),
            service: Some("registry.docker.io".to_owned()),
            ..Options::default()
        });
        let desk = registry.tokens().desk();
        registry.tokens().hook(move |asked| {
            if asked.query("service") != Some("registry.docker.io") {
                return None;
            }
            let rights = match asked.basic() {
                None => rules.anonymous,
                Some((user, password)) => match rules.users.get(&user) {
                    Some((known, rights)) if *known == password => *rights,
                    _ => {
                        return Some(Reply::with(
                            401,
                            "application/json",
                            r#"{"details":"incorrect username or password"}"#,
                        ));
                    }
                },
            };
            let scopes = asked.query.iter().filter(|(name, _)| name == "scope");
            let granted = scopes.filter_map(|(_, scope)| {
                let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
                let allowed = |action: &&str| match *action {
                    "pull" => rights.pull,
                    _ => rights.push,
                };
                Some((name.to_owned(), actions.split(',').filter(allowed).map(str::to_owned).collect()))
            });
            let token = desk.mint("somebody", &granted.collect::<Vec<_>>());
            Some(Reply::json(&json!({"token": token, "expires_in": 300})))
        });
        let proxy = Proxy::start([
            ("registry-1.docker.io:443", registry.port()),
            ("auth.docker.io:443", registry.tokens().port()),
        ]);
        Self { registry, authority, proxy }
    }

    /// The same run, led here.
    pub fn reach(&self, run: Tagwright) -> Tagwright {
        run.env("HTTPS_PROXY", self.proxy.url()).arg("--ca-file").arg(self.authority.ca_file())
    }
}

/// A run as text for a snapshot: hosts under the names given, times and durations taken out.
pub fn shown(ran: &Ran, names: &[(&str, &str)]) -> String {
    let mut text = without_exchanges(&ran.snapshot());
    for (found, name) in names {
        text = text.replace(found, name);
    }
    scrubbed(&text)
}

/// Leaves the list of exchanges out: what travels side by side comes in any order.
fn without_exchanges(text: &str) -> String {
    let (mut out, mut inside) = (String::new(), false);
    for line in text.split_inclusive('\n') {
        if line.trim() == "\"exchanges\": [" {
            inside = true;
            out.push_str("    \"exchanges\": […],\n");
        } else if inside {
            inside = line.trim() != "],";
        } else {
            out.push_str(line);
        }
    }
    out
}

/// Puts `[n]` for milliseconds, `[time]` for moments of today and `[tool]` for the version that was built.
pub fn scrubbed(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let mut words = Vec::new();
        let parts: Vec<&str> = line.split(' ').collect();
        for (at, word) in parts.iter().enumerate() {
            let is_count = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
            let counts_ms = parts.get(at + 1).is_some_and(|next| next.starts_with("ms"));
            let counts_s = parts.get(at + 1..at + 3) == Some(&["s", "into"]);
            words.push(if (is_count && counts_ms) || counts_s { "[n]" } else { word });
        }
        out.push_str(&words.join(" "));
    }
    for (key, name) in [("\"at\": \"", "[time]"), ("\"expiresAt\": \"", "[time]"), ("\"tool\": \"", "[tool]")] {
        let mut rest = std::mem::take(&mut out);
        while let Some(start) = rest.find(key) {
            let (before, tail) = rest.split_at(start + key.len());
            out.push_str(before);
            out.push_str(name);
            rest = tail[tail.find('"').unwrap_or(0)..].to_owned();
        }
        out.push_str(&rest);
    }
    out
}
