//! A promotion that is killed leaves no tag on anything incomplete, wherever it was, and one more run finishes it.

use crate::stage::{Door, Program, Stage};
use crate::support::cmd::{Tagwright, tagwright};
use crate::support::image::{Built, cosign_signature, types};
use crate::support::relay::Relay;
use crate::support::release::{Signed, push_large, referrer};
use crate::support::whole::{Whole, whole};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

const SOURCE: &str = "acme/build";
const TAG: &str = "2026.34.103";
const KILLS: u32 = 50;
const BYTES: u64 = 4 * 1024 * 1024;
/// So many bytes a second, both ways together: a copy takes long enough to be met in its midst.
const RATE: u64 = 16 * 1024 * 1024;
/// The numbers that decide when to kill come from this one, so that a run can be repeated.
const SEED: u64 = 20_260_820;

#[test]
fn fifty_kills_leave_no_tag_on_anything_incomplete() {
    let ground = Ground::new();
    let ran = ground.promote("acme/whole").run();
    ran.result();
    ground.check_complete("acme/whole");
    let (bytes, requests) = (ground.source.passed(), ground.target.times());

    let mut random = SEED;
    let mut ends = [0; 4];
    for number in 1..=KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Most bytes are of layers, the last requests are about what follows them: the one after the other.
        let moment = if number % 2 == 0 {
            Moment::Bytes(random % bytes)
        } else {
            Moment::Request(requests - random % (requests / 4), Duration::from_micros(random / requests % 3000))
        };
        let target = format!("acme/killed-{number}");
        let status = ground.kill(&target, &moment);
        let mut tags = ground.to.client.tags(&target);
        // The list names a tag as soon as the registry begins to write it; until it is written it reads as absent.
        tags.retain(|tag| ground.is_written(&target, tag));
        for tag in &tags {
            if let Err(why) = whole(&ground.to.client, &target, tag) {
                panic!("killed after {moment:?}, number {number}: `{tag}` points at something incomplete: {why}");
            }
        }
        let promoted = tags.iter().any(|tag| tag == TAG || tag == "latest");
        if promoted {
            // Whoever pulls by this tag may check the signature at once.
            ground.check_bound(&target);
        }
        ends[match (status.signal(), tags.is_empty(), promoted) {
            (None, ..) => 3,
            (_, true, _) => 0,
            (_, _, false) => 1,
            _ => 2,
        }] += 1;

        let ran = ground.promote(&target).run();
        assert_eq!(ran.exit, Some(0), "killed after {moment:?}, number {number}: {ran}");
        ground.check_complete(&target);
        ground.check_bound(&target);
        let again = ground.promote(&target).run().result();
        for tag in again["tags"].as_array().unwrap() {
            assert_eq!(tag["action"], "unchanged", "killed after {moment:?}, number {number}: {again}");
        }
    }
    let [none, some, done, late] = ends;
    let _ = writeln!(
        std::io::stderr(),
        "seed {SEED}: of {KILLS} kills within {bytes} bytes and {requests} requests, {none} before any tag, {some} after tags that name referrers, \
         {done} after a promoted tag, {late} after the end"
    );
    assert!(late <= KILLS / 5, "only {} of {KILLS} runs were killed", KILLS - late);
}

/// When a run is killed.
#[derive(Debug)]
enum Moment {
    /// When so many bytes came from the source.
    Bytes(u64),
    /// So long after the target was asked for the so-manieth time.
    Request(u64, Duration),
}

/// An image with layers and signatures at one registry, and another to promote it into, slowly.
struct Ground {
    _from: Stage,
    to: Stage,
    source: Relay,
    target: Relay,
    content: Whole,
    signed: Signed,
}

impl Ground {
    fn new() -> Self {
        let (from, to) = (Stage::start(Program::Three, Door::Open), Stage::start(Program::Debian, Door::Open));
        let digest = push_large(&from.client, SOURCE, TAG, 8, BYTES, 3);
        let answer = from.client.get(&format!("/v2/{SOURCE}/manifests/{TAG}"));
        let image = Built::raw(types::OCI_MANIFEST, answer.body);
        let sbom = referrer("application/spdx+json", &image, r#"{"spdxVersion":"SPDX-2.3"}"#);
        let signed = Signed { image, cosign: vec![("sig", cosign_signature())], referrers: vec![sbom] };
        from.client.push(SOURCE, &signed.cosign_tag("sig"), &signed.cosign[0].1);
        from.client.refer(SOURCE, &signed.referrers[0]);
        let source = Relay::start(from.live.host());
        source.throttle(RATE);
        let target = Relay::start(to.live.host());
        let content = whole(&from.client, SOURCE, TAG).unwrap();
        assert_eq!(content.digest, digest);
        Self { _from: from, to, source, target, content, signed }
    }

    fn promote(&self, target: &str) -> Tagwright {
        let source = format!("{}:{TAG}", self.source.name(SOURCE));
        tagwright(["promote", &source, "--into", &self.target.name(target), "--to", "{tag}", "--move", "latest"])
    }

    /// Starts a promotion and ends it with a signal that nobody can catch.
    fn kill(&self, target: &str, moment: &Moment) -> ExitStatus {
        self.source.clear();
        self.target.clear();
        let mut child = self.promote(target).start();
        let reached = || match moment {
            Moment::Bytes(number) => self.source.passed() >= *number,
            Moment::Request(number, _) => self.target.times() >= *number,
        };
        while !reached() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        if let Moment::Request(_, wait) = moment {
            std::thread::sleep(*wait);
        }
        let _ = child.kill();
        child.wait().unwrap()
    }

    /// Whether a tag is there once the registry has ended what it was at when the run was killed. While it writes a tag it may
    /// answer 500.
    fn is_written(&self, target: &str, tag: &str) -> bool {
        let place = format!("/v2/{target}/manifests/{tag}");
        for _ in 0..1000 {
            match self.to.client.get(&place).status {
                500 => std::thread::sleep(Duration::from_millis(5)),
                status => return status == 200,
            }
        }
        panic!("{place} answers 500 and does not cease to")
    }

    fn check_complete(&self, target: &str) {
        assert_eq!(whole(&self.to.client, target, TAG).as_ref(), Ok(&self.content), "{target}");
        assert_eq!(self.to.client.digest(target, "latest").as_ref(), Some(&self.content.digest), "{target}");
    }

    /// The signature and the SBOM are there and whole.
    fn check_bound(&self, target: &str) {
        let signature = whole(&self.to.client, target, &self.signed.cosign_tag("sig")).unwrap();
        assert_eq!(signature.digest, self.signed.cosign[0].1.digest());
        let found = self.to.client.referrers(target, &self.content.digest);
        let named: Vec<&str> = found.iter().filter_map(|entry| entry["digest"].as_str()).collect();
        assert_eq!(named, [self.signed.referrers[0].digest()], "{target}");
        whole(&self.to.client, target, named[0]).unwrap();
    }
}
