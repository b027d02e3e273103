//! A dozen images from one real registry into two of other makes, as one release: all of it, or nothing.

use crate::fleet::{Fleet, IMAGES, TAG, actions};
use crate::support::cmd::tagwright;
use crate::support::image::Image;
use crate::support::program::tool;
use crate::support::text::digest;
use std::process::Command;

#[test]
fn a_dozen_images_come_into_two_registries_or_into_none() {
    let fleet = Fleet::start();
    let folder = tempfile::tempdir().unwrap();
    let (list, record) = (folder.path().join("images.json"), folder.path().join("record.jsonl"));
    let place = |number: usize| format!("acme/release/image-{number}");

    // What every repository has by now, so that there is something to go back to.
    let old = Image::new().label("git_revision", "old").archive("app", b"old").build();
    for stage in &fleet.to {
        for number in 0..IMAGES {
            stage.client.push(&place(number), "2026.34.100", &old);
            stage.client.push(&place(number), "latest", &old);
        }
    }
    fleet.list(&list, "acme/release");
    let other = Image::new().label("git_revision", "of somebody else").archive("app", b"other").build();
    fleet.list(&folder.path().join("refused.json"), "acme/refused");
    fleet.to[1].client.push(&format!("acme/refused/image-{}", IMAGES - 1), TAG, &other);

    fleet.clear();
    let ran = fleet.release(&folder.path().join("refused.json"), &folder.path().join("refused.jsonl")).run();
    assert_eq!(
        (ran.code().as_str(), ran.exit, &ran.error()["changed"]),
        ("tag-conflict", Some(5), &false.into()),
        "{ran}"
    );
    assert_eq!(fleet.writes(), 0, "a release that is refused wrote: {ran}");

    let ran = fleet.release(&list, &record).run();
    let all = 2 * IMAGES;
    assert_eq!(actions(&ran, TAG), [("created".to_owned(), all)], "{ran}");
    assert_eq!(actions(&ran, "latest"), [("moved".to_owned(), all)], "{ran}");
    fleet.check_whole("acme/release", "released");
    check_peers(&fleet, &place);

    fleet.clear();
    let again = fleet.release(&list, &folder.path().join("again.jsonl")).run();
    assert_eq!(actions(&again, "latest"), [("unchanged".to_owned(), all)], "{again}");
    assert_eq!(fleet.writes(), 0, "a second run writes: {again}");

    let ran = tagwright(["rollback", "--record"]).arg(&record).run();
    assert_eq!(ran.exit, Some(0), "{ran}");
    for stage in &fleet.to {
        for number in 0..IMAGES {
            let tags = [TAG, "latest"].map(|tag| stage.client.digest(&place(number), tag));
            let expected = [&fleet.content[number].digest, &old.digest()].map(|digest| Some(digest.clone()));
            assert_eq!(tags, expected, "{ran}");
        }
    }
}

/// crane and skopeo read every image at both targets and find what stands in the source.
fn check_peers(fleet: &Fleet, place: &impl Fn(usize) -> String) {
    for stage in &fleet.to {
        for (number, content) in fleet.content.iter().enumerate() {
            let image = format!("{}:{TAG}", stage.live.name(&place(number)));
            let said = output(Command::new(tool("crane")).args(["digest", &image]));
            assert_eq!(String::from_utf8(said).unwrap().trim(), content.digest, "crane reads another digest");
            let image = format!("docker://{}:latest", stage.live.name(&place(number)));
            let raw = output(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &image]));
            assert_eq!(digest(&raw), content.digest, "skopeo reads another manifest");
        }
    }
}

fn output(command: &mut Command) -> Vec<u8> {
    let out = command.env_clear().env("PATH", "/usr/bin:/bin").output();
    let out = out.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}
