//! The list under a fall-back tag while others write it too, driven through the library with a clock that takes no time.

use crate::support::image::{Built, Image};
use crate::support::registry::State;
use crate::support::uploads::Blobs;
use crate::transfer::{Case, remote};
use std::sync::atomic::Ordering;
use tagwright::error::{Code, Error};
use tagwright::pure::auth::scope::Action;
use tagwright::pure::image::digest::Digest;
use tagwright::pure::image::raw_manifest::RawManifest;
use tagwright::pure::image::repository::Repository;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Puts a manifest that points at another one, beside somebody who changes what stands under the fall-back tag after
/// each time that it is written.
///
/// Told is what came, which warnings there were, and how often the list was written.
fn put(
    change: impl Fn(&mut State, &str, usize) + Send + 'static,
) -> (Case, Result<(), Error>, Vec<&'static str>, usize) {
    let case = Case::with(0, Blobs::default(), Blobs::default());
    let image = Image::new().build();
    case.target.push("to/app", "1", &image);
    let (mut count, tag) = (0, image.digest().replace(':', "-"));
    let written = tag.clone();
    case.target.after(move |asked, state, _| {
        if asked.method == "PUT" && asked.path.ends_with(&written) {
            count += 1;
            change(state, &written, count);
        }
    });
    let (world, body) = (case.world(), Image::new().layer("a signature").subject(&image).build());
    case.target.state(|state| state.store("to/app", &body));
    let client = case.client(&world);
    let target = Repository::parse(&case.target.name("to/app")).unwrap();
    let manifest = RawManifest::of(body.bytes.clone(), &body.media_type).unwrap();
    let outcome =
        remote(&client, &target, Action::Push).put_referrers(&[manifest], &Digest::parse(&image.digest()).unwrap());
    let warnings = client.exchange.journal.warnings().into_iter().map(|warning| warning.code).collect();
    let puts = case.target.log().matching("PUT", &tag);
    (case, outcome, warnings, puts)
}

/// A list of its own for each number.
fn list(number: usize) -> Built {
    let text =
        format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"annotations":{{"n":"{number}"}}}}"#);
    Built::raw(INDEX, text)
}

#[test]
fn a_list_that_loses_what_was_added_again_and_again_is_given_up_after_eight_times() {
    let (case, outcome, warnings, puts) = put(|state, tag, count| {
        let theirs = state.store("to/app", &list(count));
        state.tag("to/app", tag, &theirs);
    });
    let error = outcome.unwrap_err();
    assert_eq!((error.code(), warnings, puts), (Code::Raced, vec![], 8), "{error}");
    assert!(error.to_string().contains("lost what was added"), "{error}");
    // A tenth of a second, and twice as long each time.
    assert_eq!(case.slept.load(Ordering::SeqCst), 100 * (1 + 2 + 4 + 8 + 16 + 32));
}

#[test]
fn a_list_that_goes_on_reading_as_before_is_written_again_after_three_looks_and_warned_of() {
    let (case, outcome, warnings, puts) = put(|state, tag, _| {
        state.repositories.get_mut("to/app").unwrap().tags.remove(tag);
    });
    assert_eq!((outcome, warnings, puts), (Ok(()), vec!["unverified"], 3));
    let log = case.target.log();
    let of_list = log.0.iter().map(|one| &one.asked).filter(|asked| asked.path.contains("/manifests/sha256-"));
    let methods: Vec<&str> = of_list.map(|asked| asked.method.as_str()).collect();
    assert_eq!(methods.join(" "), "HEAD PUT HEAD HEAD HEAD PUT HEAD HEAD HEAD PUT HEAD");
}
