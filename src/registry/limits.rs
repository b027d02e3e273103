//! How much of an answer is read, by what was asked; one list for all that registries, their logins and the APIs
//! beside them are asked.

use crate::threads::WIDTH;

/// A manifest: 4 MiB, as registries accept, and some slack. A page of referrers is one too.
pub const MANIFEST: u64 = (4 << 20) + (64 << 10);
/// A config blob.
pub const CONFIG: u64 = 16 << 20;
/// A signature with what it is of; a list of parts that is signed may be large.
pub const SIGNATURE: u64 = 16 << 20;
/// A page of a tag list: some registries send all tags in one.
pub const TAGS: u64 = 64 << 20;
/// The answer to a write, to a `HEAD`, a login, or anything that is only looked at for its status.
pub const SMALL: u64 = 1 << 20;
/// A page of Docker Hub's web API: at most 100 tags with all their images.
pub const HUB_PAGE: u64 = 32 << 20;
/// A manifest of 4 MiB, written as a JSON string.
pub const ECR_IMAGE: u64 = 16 << 20;
/// Several of those at once, few of which are as large as they may be.
pub const ECR_IMAGES: u64 = 64 << 20;
/// A page of a thousand tags with their digests.
pub const ECR_PAGE: u64 = 16 << 20;
/// A file of credentials.
pub const CREDENTIAL_FILE: u64 = 4 << 20;
/// What a credential helper says.
pub const HELPER_ANSWER: u64 = 1 << 20;
/// Pages of one list: two million tags at a hundred each.
pub const PAGES: usize = 20_000;
/// Tags of one list.
pub const ALL_TAGS: usize = 2_000_000;
/// Bytes of the manifests of one image, or of all pages that tell what points at it.
pub const MANIFESTS: u64 = 64 << 20;
/// Bytes of content that are read side by side.
const AT_ONCE: u64 = 4 << 20;

/// How many of this size are read side by side.
pub fn at_once(largest: u64) -> usize {
    usize::try_from(AT_ONCE / largest.max(1)).unwrap_or(WIDTH).clamp(1, WIDTH)
}
