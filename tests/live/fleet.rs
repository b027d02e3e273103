//! A dozen images at one real registry, to be released into two others of other makes, each behind a door where requests
//! are counted.

use crate::stage::{Door, Program, Stage};
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::image::{Family, Image};
use crate::support::relay::Relay;
use crate::support::release::{Signed, five_platforms, signed};
use crate::support::whole::{Whole, whole};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub const TAG: &str = "2026.34.103";
pub const IMAGES: usize = 12;

/// The registries, and what each image consists of.
pub struct Fleet {
    _from: Stage,
    pub to: [Stage; 2],
    pub source: Relay,
    pub targets: [Relay; 2],
    pub content: Vec<Whole>,
    pub signed: Vec<(usize, Signed)>,
}

/// The repository of one of the images at the source.
pub fn build(number: usize) -> String {
    format!("acme/build/image-{number}")
}

impl Fleet {
    pub fn start() -> Self {
        let from = Stage::start(Program::Three, Door::Open);
        let to = [Stage::start(Program::Debian, Door::Open), Stage::start(Program::Olareg, Door::Open)];
        let mut signatures = Vec::new();
        for number in 0..IMAGES {
            let file = format!("of image {number}");
            let image = Image::new().label("git_revision", &file).archive("app", file.as_bytes());
            match number {
                3 => signatures.push((number, signed(image.docker().build()))),
                7 => signatures.push((number, signed(five_platforms(Family::Oci, &file)))),
                _ => drop(from.client.push(&build(number), TAG, &image.build())),
            }
        }
        signatures.iter().for_each(|(number, signed)| drop(signed.push(&from.client, &build(*number), TAG)));
        let content = (0..IMAGES).map(|number| whole(&from.client, &build(number), TAG).unwrap()).collect();
        let source = Relay::start(from.live.host());
        let targets = to.each_ref().map(|stage| Relay::start(stage.live.host()));
        Self { _from: from, to, source, targets, content, signed: signatures }
    }

    /// The list of a release into repositories below a folder, in a file.
    pub fn list(&self, file: &Path, folder: &str) {
        let images: Vec<Value> = (0..IMAGES)
            .map(|number| {
                let into = self.targets.each_ref().map(|target| target.name(&format!("{folder}/image-{number}")));
                let source = format!("{}:{TAG}", self.source.name(&build(number)));
                json!({"reference": source, "into": into, "to": ["{tag}"], "move": ["latest"]})
            })
            .collect();
        fs::write(file, json!(images).to_string()).unwrap();
    }

    /// A release of such a list.
    pub fn release(&self, file: &Path, record: &Path) -> Tagwright {
        tagwright(["release"]).arg(file).arg("--record").arg(record)
    }

    /// How many requests have written anything at a target.
    pub fn writes(&self) -> usize {
        self.targets.iter().map(|target| target.count(&["POST", "PUT", "PATCH", "DELETE"], "")).sum()
    }

    pub fn clear(&self) {
        self.source.clear();
        self.targets.iter().for_each(Relay::clear);
    }

    /// Every image is whole at both targets under both tags, with all that is bound to it.
    pub fn check_whole(&self, folder: &str, what: &str) {
        for stage in &self.to {
            for (number, content) in self.content.iter().enumerate() {
                let repository = format!("{folder}/image-{number}");
                assert_eq!(whole(&stage.client, &repository, TAG).as_ref(), Ok(content), "{what}: {repository}");
                let latest = stage.client.digest(&repository, "latest");
                assert_eq!(latest.as_ref(), Some(&content.digest), "{what}: {repository}");
            }
            self.signed.iter().for_each(|(number, signed)| check_bound(stage, folder, *number, signed, what));
        }
    }
}

/// The signatures and SBOMs of an image are there and whole.
fn check_bound(stage: &Stage, folder: &str, number: usize, signed: &Signed, what: &str) {
    let repository = format!("{folder}/image-{number}");
    for (end, built) in &signed.cosign {
        let there = whole(&stage.client, &repository, &signed.cosign_tag(end)).unwrap();
        assert_eq!(there.digest, built.digest(), "{what}: {repository}");
    }
    for (subject, referrer) in signed.references() {
        let found = stage.client.referrers(&repository, &subject);
        assert!(found.iter().any(|entry| entry["digest"] == referrer.as_str()), "{what}: {repository}: {found:?}");
        whole(&stage.client, &repository, &referrer).unwrap();
    }
}

/// What was done to each tag of a release: as often as it was done.
pub fn actions(ran: &Ran, tag: &str) -> Vec<(String, usize)> {
    let result = ran.result();
    let mut counts: Vec<(String, usize)> = Vec::new();
    for image in result["images"].as_array().unwrap() {
        for target in image["targets"].as_array().unwrap() {
            for entry in target["tags"].as_array().unwrap().iter().filter(|entry| entry["tag"] == tag) {
                let action = entry["action"].as_str().unwrap();
                match counts.iter_mut().find(|(known, _)| known == action) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((action.to_owned(), 1)),
                }
            }
        }
    }
    counts
}
