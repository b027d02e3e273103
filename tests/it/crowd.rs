//! A crowd of promotions against the registry in memory, which remembers every move.

use crate::stage::{image, push};
use crate::support::crowd::{self, LINE, Said, VERSIONS, tag};
use crate::support::registry::Registry;

const APP: &str = "acme/app";

#[test]
fn latest_and_a_floating_tag_end_at_the_newest_of_two_hundred_promotions_or_somebody_says_so() {
    let registry = Registry::start();
    let tags: Vec<String> = (1..=VERSIONS).map(tag).collect();
    push(&registry, APP, &tags.iter().map(String::as_str).collect::<Vec<_>>());
    registry.push(APP, "2026.34.0", &image("old"));
    let old = registry.resolve(APP, "2026.34.0").unwrap();
    registry.state(|state| ["latest", LINE].map(|name| state.tag(APP, name, &old)));
    let all = crowd::promote(&registry.name(APP));
    for name in ["latest", LINE] {
        let end = registry.resolve(APP, name);
        crowd::check_end(&all, (1..=VERSIONS).find(|build| end == registry.resolve(APP, &tag(*build))));
        check_moves(&registry, name, &all);
    }
}

fn check_moves(registry: &Registry, name: &str, all: &[Said]) {
    let (log, path) = (registry.log(), format!("/{name}"));
    let written = log.0.iter().filter(|one| one.asked.method == "PUT" && one.asked.path.ends_with(&path));
    let build_of = |body: &[u8]| (1..=VERSIONS).find(|build| image(&tag(*build)).bytes == body).unwrap();
    let order: Vec<u64> = written.map(|one| build_of(&one.asked.body)).collect();
    // Where an older version was written over a newer one, somebody says so.
    for pair in order.windows(2).filter(|pair| pair[1] < pair[0]) {
        let said: Vec<&Said> = all.iter().filter(|said| pair.contains(&said.build)).collect();
        assert!(said.iter().any(|said| said.is_told()), "{} went unseen over {}: {said:#?}", pair[1], pair[0]);
    }
    println!("{} requests; `{name}` was written in this order: {order:?}", log.count());
}
