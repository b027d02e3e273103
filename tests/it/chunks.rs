//! How each registry that cannot be had here takes a large blob, as it is documented, and which requests that comes to.
//!
//! Where a product takes a blob whole, something in front of it refuses that: only then it is sent in chunks.

use crate::support::registry::{Registry, State, split};
use crate::support::reply::{Fault, Reply};
use crate::support::uploads::{Blobs, Location};
use crate::transfer::{Case, side_by_side};

const MIB: usize = 1 << 20;

/// What a registry does in its own way.
struct Product {
    name: &'static str,
    /// How large the blob is.
    size: usize,
    blobs: Blobs,
    quirk: fn(&Registry),
    /// The requests about the upload, with what each holds.
    asked: &'static [&'static str],
}

/// A blob of 17 MiB where nothing in the chunks is to be sent again.
const IN_CHUNKS: &[&str] = &[
    "POST",
    "PUT 17825792",
    "DELETE",
    "POST",
    "PATCH 0-8388607",
    "PATCH 8388608-16777215",
    "PATCH 16777216-17825791",
    "PUT 0",
];

/// Changes what is answered to a request about an upload.
fn answered(registry: &Registry, method: &'static str, change: impl Fn(&mut Reply) + Send + 'static) {
    registry.after(move |asked, _, reply| {
        if asked.method == method && asked.path.contains("/blobs/uploads/") {
            change(reply);
        }
    });
}

/// Breaks the connection once, in the midst of the chunk that begins there.
fn broken(registry: &Registry, first: usize, kept: bool) {
    let begins = format!("{first}-");
    let is_it = move |range: &str| range.starts_with(&begins);
    registry.cut_where(
        1,
        move |asked| asked.header("Content-Range").is_some_and(&is_it),
        MIB,
        kept,
        Reply::broken(Fault::Close),
    );
}

fn products() -> Vec<Product> {
    let in_front = || Blobs { limit: Some(10 * MIB), ..Blobs::default() };
    vec![
        // The issue 35 of rust-oci-client, and the pull request 237 of ocx.
        Product {
            name: "GHCR",
            size: 9 * MIB,
            blobs: Blobs::default(),
            quirk: |registry| {
                let words = "the request body is too large and exceeds the maximum permissible limit of 4.00MiB";
                registry.before(move |asked, _| {
                    let is_long = asked.path.contains("/blobs/uploads/") && asked.length > 4 * MIB;
                    is_long.then(|| Reply::error(416, "REQUESTED_RANGE_NOT_SATISFIABLE", words))
                });
            },
            asked: &[
                "POST",
                "PUT 9437184",
                "DELETE",
                "POST",
                "PATCH 0-8388607",
                "PATCH 0-4194303",
                "PATCH 4194304-8388607",
                "PATCH 8388608-9437183",
                "PUT 0",
            ],
        },
        // The issue 23015 of Harbor, and the pull request that mends it: no more than about 20 MB, and always a length.
        Product {
            name: "Azure Container Registry",
            size: 21 * MIB,
            blobs: Blobs { limit: Some(20 * MIB), ..Blobs::default() },
            quirk: |registry| {
                registry.before(|asked, _| {
                    let lacks = asked.method != "GET" && asked.header("Content-Length").is_none() && asked.length > 0;
                    lacks.then(|| Reply::error(400, "CONTENT_LENGTH_INVALID", "the length is missing"))
                });
            },
            asked: &[
                "POST",
                "PUT 22020096",
                "DELETE",
                "POST",
                "PATCH 0-8388607",
                "PATCH 8388608-16777215",
                "PATCH 16777216-22020095",
                "PUT 0",
            ],
        },
        // The issue 2831 of Amazon's roadmap for containers, the issue 273 of Tart, and the API: no part but the last has
        // less than 5 MiB.
        Product {
            name: "Amazon ECR",
            size: 17 * MIB,
            blobs: in_front(),
            quirk: |registry| {
                answered(registry, "PATCH", |reply| {
                    if reply.status == 202 {
                        *reply = Reply { status: 201, ..reply.clone().set("Range", "0-8388607") };
                    }
                });
            },
            asked: IN_CHUNKS,
        },
        // The issue 961 of regclient: `Range` tells of the last chunk alone.
        Product {
            name: "Zot before August 2025",
            size: 17 * MIB,
            blobs: in_front(),
            quirk: |registry| {
                registry.after(|asked, _, reply| {
                    if asked.method == "PATCH" && reply.status == 202 {
                        *reply = reply.clone().set("Range", format!("0-{}", asked.length - 1));
                    }
                });
            },
            asked: IN_CHUNKS,
        },
        // The source of Quay: endpoints/v2/blob.py counts a byte too many where it is asked, and refuses one too many.
        Product {
            name: "Quay",
            size: 17 * MIB,
            blobs: Blobs { location: Location::Path, ..in_front() },
            quirk: |registry| {
                broken(registry, 8 * MIB, false);
                let one_more = |reply: &Reply| {
                    let held = reply.header_value("Range")?.strip_prefix("0-")?.parse::<usize>().ok()?;
                    Some(format!("bytes=0-{}", held + 1))
                };
                answered(registry, "GET", move |reply| {
                    let range = one_more(reply).unwrap_or_default();
                    *reply = Reply::status(204).header("Range", range);
                });
            },
            asked: &[
                "POST",
                "PUT 17825792",
                "DELETE",
                "POST",
                "PATCH 0-8388607",
                "PATCH 8388608-16777215",
                "GET",
                "PATCH 8388609-16777216",
                "DELETE",
                "POST",
                "PATCH 0-8388607",
                "PATCH 8388608-16777215",
                "PATCH 16777216-17825791",
                "PUT 0",
            ],
        },
        // The source of distribution 2, which Harbor and GitLab have too: an upload that is not where the address says is
        // given up.
        Product {
            name: "distribution 2",
            size: 17 * MIB,
            blobs: in_front(),
            quirk: |registry| {
                broken(registry, 8 * MIB, true);
                registry.before(|asked, state: &mut State| {
                    let path =
                        split(&asked.path).filter(|path| path.kind == "blobs/uploads" && asked.method == "GET")?;
                    state.uploads.forget();
                    let words = format!("upload {} resumed at wrong offset", path.rest);
                    Some(Reply::error(404, "BLOB_UPLOAD_INVALID", &words))
                });
            },
            asked: &[
                "POST",
                "PUT 17825792",
                "DELETE",
                "POST",
                "PATCH 0-8388607",
                "PATCH 8388608-16777215",
                "GET",
                "DELETE",
                "POST",
                "PATCH 0-8388607",
                "PATCH 8388608-16777215",
                "PATCH 16777216-17825791",
                "PUT 0",
            ],
        },
        // The issue 1130 of BuildKit, and 196 of Buildx.
        Product {
            name: "JFrog Artifactory 6",
            size: 3 * MIB,
            blobs: Blobs::default(),
            quirk: |registry| {
                registry.before(|asked, _| {
                    let ends = asked.method == "PUT" && asked.path.contains("/blobs/uploads/") && asked.length > 0;
                    ends.then(|| Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry"))
                });
            },
            asked: &["POST", "PUT 3145728", "DELETE", "POST", "PATCH 0-3145727", "PUT 0"],
        },
        // Google's documents: there are no uploads in chunks, so what breaks is sent whole again.
        Product {
            name: "Google Artifact Registry",
            size: 9 * MIB,
            blobs: Blobs { location: Location::Whole, ..Blobs::default() },
            quirk: |registry| registry.fail(1, "PUT", "/blobs/uploads/", Reply::status(503)),
            asked: &["POST", "PUT 9437184", "DELETE", "POST", "PUT 9437184"],
        },
        // The issues 2198 of go-containerregistry and 2199 of Pulp.
        Product {
            name: "go-containerregistry, Pulp",
            size: 11 * MIB,
            blobs: in_front(),
            quirk: |registry| {
                answered(registry, "PATCH", |reply| {
                    *reply = Reply { status: 204, ..reply.clone() };
                });
            },
            asked: &["POST", "PUT 11534336", "DELETE", "POST", "PATCH 0-8388607", "PATCH 8388608-11534335", "PUT 0"],
        },
    ]
}

#[test]
fn a_large_blob_comes_into_every_product_in_the_pieces_that_it_takes() {
    side_by_side(products(), |product| {
        let case = Case::with(product.size, Blobs::default(), product.blobs);
        (product.quirk)(&case.target);
        case.succeeds(product.name);
        let log = case.target.log();
        let uploads = log.0.iter().map(|one| &one.asked).filter(|asked| asked.path.contains("/blobs/uploads/"));
        let asked: Vec<String> = uploads
            .map(|asked| match (asked.method.as_str(), asked.header("Content-Range")) {
                ("PUT", _) => format!("PUT {}", asked.length),
                (method, Some(range)) => format!("{method} {range}"),
                (method, None) => method.to_owned(),
            })
            .collect();
        assert_eq!(asked, product.asked, "{}", product.name);
    });
}

#[test]
fn where_a_proxy_leads_no_upload_goes_on() {
    let case = Case::with(
        3 * MIB,
        Blobs::default(),
        Blobs { chunk_min: Some(2 * MIB), limit: Some(5 * MIB / 2), ..Blobs::default() },
    );
    broken(&case.target, 0, false);
    answered(&case.target, "GET", |reply| *reply = Reply::status(302).header("Location", "/login"));
    case.succeeds("a page to log in at in place of how far the upload got");
    assert!(!case.target.log().lines().iter().any(|line| line.contains("/login")));
}

#[test]
fn chunks_become_smaller_until_what_is_in_front_of_a_registry_lets_them_through() {
    let case = Case::with(5 * MIB, Blobs::default(), Blobs { limit: Some(MIB), ..Blobs::default() });
    case.succeeds("a limit of a mebibyte");
    let lengths: Vec<usize> = case.asked(&case.target, "PATCH").iter().map(|asked| asked.length).collect();
    assert_eq!(lengths[..3], [5 * MIB, 5 * MIB / 2, 5 * MIB / 4]);
    assert_eq!((lengths[3..].len(), lengths[3..].iter().sum::<usize>()), (8, 5 * MIB), "{lengths:?}");
}
