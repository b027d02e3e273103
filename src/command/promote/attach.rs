//! Keeps the record of a promotion in the registry, as an artifact that points at the image.
//!
//! By then the tags are where they belong, so that a record which cannot be kept is told and is no failure.

use crate::command::promote::Lane;
use crate::error::{Code, Error};
use crate::pure::image::{Digest, OCI_MANIFEST, RawManifest};
use crate::pure::promote::record::EMPTY_BLOB;
use crate::pure::promote::{Record, record};
use crate::pure::text::show;
use crate::registry::Remote;
use crate::threads;

/// Attaches the record of one lane where that is wanted; the digest of the artifact.
pub fn attach(lane: &Lane, record: &Record) -> Option<Digest> {
    let (request, target) = (lane.request, &lane.sides.target);
    if !request.attach_record || request.dry_run {
        return None;
    }
    match push(target, record, lane.survey.source.manifest.body.len()) {
        Ok(digest) => Some(digest),
        Err(error) => {
            let sentence = format!("the promotion is done, and its record is not kept there: {}", error.message());
            target.warn("record-unattached", sentence);
            None
        }
    }
}

fn push(target: &Remote, record: &Record, subject_size: usize) -> Result<Digest, Error> {
    let line = record.line();
    if line.len() > record::LONGEST {
        let (most, is) = (show::bytes(record::LONGEST as u64), show::bytes(line.len() as u64));
        return Err(Error::new(Code::SizeExceeded, format!("it has {is}, and a registry is given {most} at most")));
    }
    let blobs = [EMPTY_BLOB, line.as_bytes()];
    threads::map(&blobs, |bytes| target.put_blob(bytes))?;
    let body = record::artifact(&line, &record.source, subject_size, &record.annotations());
    let artifact = RawManifest::of(body, OCI_MANIFEST)?;
    let digest = artifact.digest.clone();
    target.put_referrers(&[artifact], &record.source.digest)?;
    Ok(digest)
}
