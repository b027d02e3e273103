//! Keeps the record of a promotion in the registry, as an artifact that points at the image.
//!
//! By then the tags are where they belong, so that a record which cannot be kept is told and is no failure.

use crate::command::promote::Lane;
use crate::error::{Code, Error};
use crate::pure::image::{Digest, OCI_MANIFEST, RawManifest};
use crate::pure::promote::record::{ARTIFACT, EMPTY_BLOB};
use crate::pure::promote::signed_record::ANNOTATIONS;
use crate::pure::promote::{Record, record, signed_record};
use crate::pure::signature::SigningKey;
use crate::pure::signature::bundle::BUNDLE;
use crate::pure::text::show;
use crate::registry::Remote;
use crate::threads;
use ring::rand::SystemRandom;

/// Attaches the record of one lane where that is wanted, signed where there is a key; the digest of the artifact.
pub fn attach(lane: &Lane, record: &Record, key: Option<&SigningKey>) -> Option<Digest> {
    let (request, target) = (lane.request, &lane.sides.target);
    if !request.attach_record || request.dry_run {
        return None;
    }
    match push(target, record, lane.survey.source.manifest.body.len(), key) {
        Ok(digest) => Some(digest),
        Err(error) => {
            let sentence = format!("the promotion is done, and its record is not kept there: {}", error.message());
            target.warn("record-unattached", sentence);
            None
        }
    }
}

fn push(target: &Remote, record: &Record, subject_size: usize, key: Option<&SigningKey>) -> Result<Digest, Error> {
    let line = record.line();
    if line.len() > record::LONGEST {
        let (most, is) = (show::bytes(record::LONGEST as u64), show::bytes(line.len() as u64));
        return Err(Error::new(Code::SizeExceeded, format!("it has {is}, and a registry is given {most} at most")));
    }
    let mut annotations = record.annotations();
    let (kind, text) = match key {
        None => (ARTIFACT, line),
        Some(key) => {
            annotations.extend(ANNOTATIONS.map(|(name, value)| (name, value.to_owned())));
            let signed = {
                let (name, image) = (&record.repository, &record.source.digest);
                signed_record::bundle(&line, name, image, key, &SystemRandom::new())
            };
            (BUNDLE, signed.ok_or_else(|| Error::new(Code::Internal, "this machine has no random numbers"))?)
        }
    };
    let blobs = [EMPTY_BLOB, text.as_bytes()];
    threads::map(&blobs, |bytes| target.put_blob(bytes))?;
    let body = record::artifact(kind, &text, &record.source, subject_size, &annotations);
    let artifact = RawManifest::of(body, OCI_MANIFEST)?;
    let digest = artifact.digest.clone();
    target.put_referrers(&[artifact], &record.source.digest)?;
    Ok(digest)
}
