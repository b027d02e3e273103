//! A crowd of promotions against real registries.

use crate::stage::{Door, Program, REPOSITORY, Stage};
use crate::support::crowd::{self, LINE, VERSIONS, tag};
use crate::support::image::Image;

#[test]
fn latest_and_a_floating_tag_end_at_the_newest_of_two_hundred_promotions_or_somebody_says_so() {
    check_crowd(Program::Debian);
}

#[test]
fn latest_and_a_floating_tag_end_at_the_newest_of_two_hundred_promotions_on_registry_3_or_somebody_says_so() {
    check_crowd(Program::Three);
}

fn check_crowd(program: Program) {
    let stage = Stage::start(program, Door::Open);
    let image = |build: u64| Image::new().label("git_revision", &tag(build)).layer(tag(build)).build();
    for build in 0..=VERSIONS {
        stage.client.push(REPOSITORY, &tag(build), &image(build));
    }
    for name in ["latest", LINE] {
        stage.client.push(REPOSITORY, name, &image(0));
    }
    let all = crowd::promote(&stage.live.name(REPOSITORY));
    for name in ["latest", LINE] {
        let end = stage.client.digest(REPOSITORY, name);
        crowd::check_end(&all, (1..=VERSIONS).find(|build| end == Some(image(*build).digest())));
    }
}
