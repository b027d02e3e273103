//! What points at a manifest: listed under the fall-back tag where no API lists it, and put where both find it.
//!
//! Without the API the list is an index under a tag made of the digest, which every client changes by itself. Two
//! may do so at once, so what was written is read back and, where an entry was lost, written again.
//!
//! Specification: OCI distribution, "Listing Referrers" and "Pushing Manifests with Subject".

use crate::error::{Code, Error};
use crate::pure::image::{Content, Descriptor, Digest, Identifier, OCI_INDEX, RawManifest, ReferrerList, referrers};
use crate::registry::backend::Backend;
use std::time::Duration;

/// How often the list under a fall-back tag is read before it is given up.
const READS: u32 = 8;
/// How often it may read as before until it is written again.
const PATIENCE: u32 = 3;
/// The first wait between two reads; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// The list under the fall-back tag, empty where there is none.
///
/// # Errors
/// Those of reading the tag.
pub(super) fn tagged(backend: &dyn Backend, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
    match fallback(backend, digest)? {
        Some(RawManifest { content: Content::Index(index), .. }) => Ok(index.manifests),
        // Whatever else stands under that tag is no list.
        _ => Ok(Vec::new()),
    }
}

/// What stands under the fall-back tag.
fn fallback(backend: &dyn Backend, digest: &Digest) -> Result<Option<RawManifest>, Error> {
    match backend.head(&referrers::fallback_tag(digest))? {
        // GitLab reads a tag that is made of a digest, and is not there, as the digest.
        Some(now) if now == *digest => Ok(None),
        Some(now) => backend.manifest(&Identifier::Digest(now)).map(Some),
        None => Ok(None),
    }
}

/// Whether a registry that says so lists what points at a manifest; looked at once a run, for some say so and do not.
fn is_listed(backend: &dyn Backend, subject: &Digest, digest: &Digest) -> bool {
    let access = backend.access();
    access.client.keeps_referrers(access.registry(), || match backend.tells_referrers() {
        true => match backend.api_referrers(subject, None) {
            Ok(ReferrerList::Listed(list) | ReferrerList::Partial(list, _)) => {
                list.iter().any(|one| one.digest == *digest)
            }
            // What was not seen is not believed, and a list that is kept twice does no harm.
            Ok(ReferrerList::NoApi | ReferrerList::Unknown(_)) | Err(_) => false,
        },
        false => true,
    })
}

/// Puts manifests that point at another one, each by its digest, and sees to it that they are listed.
///
/// # Errors
/// Those of putting a manifest; `raced` where the list under the fall-back tag lost entries again and again.
pub(super) fn put(backend: &dyn Backend, manifests: &[RawManifest], subject: &Digest) -> Result<(), Error> {
    let mut unlisted = Vec::new();
    for manifest in manifests {
        let identifier = Identifier::Digest(manifest.digest.clone());
        let accepted = backend.put_manifest(&identifier, manifest)?;
        if !(accepted.lists_subject && is_listed(backend, subject, &manifest.digest)) {
            unlisted.push(referrers::entry(&manifest.digest, manifest.body.len(), &manifest.content));
        }
    }
    if unlisted.is_empty() {
        return Ok(());
    }
    let tag = referrers::fallback_tag(subject);
    let (access, exchange) = (backend.access(), &backend.access().client.exchange);
    let name = access.repository.tagged(&tag).to_string();
    let identifier = Identifier::Tag(tag);
    // What was read when the list was last written.
    let (mut replaced, mut stale): (Option<Option<Digest>>, u32) = (None, 0);
    for read in 0..READS {
        if read > 1 {
            exchange.world.sleep(PAUSE * (1 << (read - 2)));
        }
        let there = fallback(backend, subject)?;
        let body = there.as_ref().map(|there| &*there.body);
        let Some(body) = referrers::with_entries(body, &unlisted).map_err(|error| error.about(&name))? else {
            return Ok(());
        };
        let now = there.map(|there| there.digest);
        // What reads as before may be old news, or the same list written by somebody else.
        stale = if replaced.as_ref() == Some(&now) { stale + 1 } else { 0 };
        if stale % PATIENCE > 0 {
            continue;
        }
        let index = RawManifest::of(body, OCI_INDEX)?;
        backend.put_manifest(&identifier, &index)?;
        replaced = Some(now);
    }
    if stale > 0 {
        exchange.warn("unverified", format!("`{name}` was written and still reads as before"));
        return Ok(());
    }
    Err(Error::new(Code::Raced, format!("`{name}` was written again and again and lost what was added"))
        .hint("run it again; others are adding to the same list"))
}
