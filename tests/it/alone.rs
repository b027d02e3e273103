//! Where the system has no thread to give, the answers are the same, one after the other.

use crate::stage::{image, push, scrubbed};
use crate::support::cmd::{Tagwright, tagwright};
use crate::support::image::{Index, two_platforms};
use crate::support::registry::{Options, Registry};

/// A stack that no address space has room for, so that no thread can be made.
const NO_ROOM: &str = "70368744177664";

/// The same question with and without threads: the same answer, from two registries that are alike.
fn check(what: &str, fill: impl Fn(&Registry), ask: impl Fn(&Registry, &Registry) -> Tagwright) {
    let [with, without] = [false, true].map(|alone| {
        let options = Options { referrers: true, ..Options::default() };
        let (registry, target) = (Registry::with(options.clone()), Registry::with(options));
        fill(&registry);
        let run = ask(&registry, &target);
        let ran = if alone { run.env("RUST_MIN_STACK", NO_ROOM).run() } else { run.run() };
        if alone {
            assert!(registry.connections() <= 1 && target.connections() <= 1, "{what}: there was a thread");
        }
        let shown = format!("{:?} {}{}", ran.exit, ran.stdout, ran.stderr);
        // A record has the second in which it was made.
        let shown = match shown.split_once(r#""at":""#) {
            Some((before, after)) => format!("{before}{}", &after["2026-08-20T10:00:00Z".len()..]),
            None => shown,
        };
        let shown = shown
            .replace(&format!(":{}/", registry.port()), ":[port]/")
            .replace(&registry.host(), "[source]")
            .replace(&target.host(), "[target]");
        (
            scrubbed(&shown),
            registry.log().count() + target.log().count(),
            registry.tags("acme/app"),
            target.tags("acme/app"),
        )
    });
    assert_eq!(with, without, "{what}");
}

#[test]
fn without_threads_the_answers_are_the_same() {
    let versions = |registry: &Registry| push(registry, "acme/app", &["2026.34.101", "2026.34.102", "2026.35.103"]);
    check("find-tag", versions, |registry, _| tagwright(["find-tag", &registry.name("acme/app"), "--build", "102"]));
    check("promote", versions, |registry, _| {
        tagwright(["promote", &registry.name("acme/app:2026.34.102"), "--to", "a", "--to", "b", "--move", "latest"])
    });
    let platforms = |registry: &Registry| drop(registry.push("acme/app", "1", &two_platforms("abc", "layer")));
    check("labels", platforms, |registry, _| tagwright(["labels", &registry.name("acme/app:1"), "--all-platforms"]));
    check("by name", platforms, |registry, _| {
        tagwright(["labels", &format!("localhost:{}/acme/app:1", registry.port()), "--platform", "linux/amd64"])
    });
    let many = |registry: &Registry| {
        let children = (0..20).map(|n| image(&format!("child {n}")));
        registry.push("acme/app", "2026.34.102", &Index::of(children).build());
    };
    check("a copy", many, |registry, target| {
        tagwright(["promote", &registry.name("acme/app:2026.34.102"), "--into", &target.name("acme/app")])
    });
}
