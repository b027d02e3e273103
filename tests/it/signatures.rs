//! `--require-signature` and `--require-attestation`: what counts as signed, what does not, and where that is looked at.

use crate::stage::{STEP, image};
use crate::support::client::Client;
use crate::support::cmd::{Ran, Tagwright, tagwright};
use crate::support::image::{Built, Image, descriptor, two_platforms, types};
use crate::support::registry::{Options, Registry};
use crate::support::release::referrer;
use crate::support::reply::Reply;
use crate::support::signing::{
    BUNDLE, PROVENANCE, SIGN, Signer, bundled, key_file, signatures, statement, tag_of, under_tag,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const APP: &str = "acme/app";
const TAG: &str = "2026.34.103";
const P256: Signer = Signer("p256");
const P384: Signer = Signer("p384");

/// An image under [`TAG`], with what points at it.
struct SignedImage {
    registry: Registry,
    image: Built,
}

impl SignedImage {
    fn of(image: Built) -> Self {
        let registry = Registry::with(Options { referrers: true, careless: true, ..Options::default() });
        registry.push(APP, TAG, &image);
        registry.clear();
        Self { registry, image }
    }

    fn new() -> Self {
        Self::of(image("signed"))
    }

    /// With a manifest that names the image as its subject.
    fn and(self, built: &Built) -> Self {
        Client::new(&self.registry.host()).refer(APP, built);
        self.registry.clear();
        self
    }

    /// With something under a tag made of the digest.
    fn tagged(self, end: &str, built: &Built) -> Self {
        self.registry.push(APP, &tag_of(&self.image.digest(), end), built);
        self.registry.clear();
        self
    }

    fn simple(self, list: &[(String, String)]) -> Self {
        self.tagged("sig", &signatures(list))
    }

    fn promote(&self, words: &[&str]) -> Tagwright {
        tagwright(["promote", &self.registry.name(&format!("{APP}:{TAG}")), "--to", "x"]).args(words.iter().copied())
    }

    fn requiring(&self, key: Signer) -> Ran {
        self.promote(&["--require-signature", &key.file()]).run()
    }

    /// By a request, where a key may stand as it is.
    fn called(&self, key: &str) -> Ran {
        let args = json!({"image": self.registry.name(&format!("{APP}:{TAG}")), "to": "x", "requireSignature": key});
        tagwright(["call", "-"]).stdin(json!({"command": "promote", "args": args}).to_string()).run()
    }

    fn is_promoted(&self) -> bool {
        self.registry.resolve(APP, "x").is_some()
    }

    /// Refuses with this code, one of whose causes says so; nothing is written.
    fn check_refused(&self, ran: &Ran, code: &str, cause: &str) {
        let error = ran.error();
        assert_eq!((ran.code().as_str(), &error["exit"], &error["changed"]), (code, &json!(5), &json!(false)), "{ran}");
        assert!(error["causes"].to_string().contains(cause), "{cause}: {ran}");
        assert!(!self.is_promoted() && self.registry.log().writes() == 0, "{ran}");
    }
}

#[test]
fn an_image_is_promoted_with_a_signature_of_every_form_and_key() {
    for key in ["p256", "p384", "ed25519", "rsa2048", "rsa3072", "rsa4096"].map(Signer) {
        let digest = SignedImage::new().image.digest();
        let payload = key.simple(&digest, "elsewhere/app");
        let beside = |image: &Built| {
            let kind = "application/vnd.dev.cosign.artifact.sig.v1+json";
            let mut body: Value = serde_json::from_slice(&referrer(kind, image, &payload.0).bytes).unwrap();
            body["layers"][0]["mediaType"] = json!(types::COSIGN);
            body["layers"][0]["annotations"] = json!({"dev.cosignproject.cosign/signature": payload.1});
            let blobs = vec![b"{}".to_vec(), payload.0.clone().into_bytes()];
            Built { blobs, ..Built::raw(types::OCI_MANIFEST, body.to_string()) }
        };
        let new = SignedImage::new;
        for (signed, form, name) in [
            (new().simple(std::slice::from_ref(&payload)), "simple-signing", json!("elsewhere/app")),
            (new().and(&beside(&new().image)), "simple-signing", json!("elsewhere/app")),
            (new().and(&key.attests(&new().image, SIGN)), "bundle-dsse", json!("x")),
            (new().and(&key.seals(&new().image)), "bundle-message", Value::Null),
        ] {
            let ran = signed.requiring(key);
            let told = &ran.result()["signatures"];
            let expected = json!([{
                "keyId": key.id(), "form": form, "signs": digest, "name": name,
                "predicateType": if form == "bundle-dsse" { json!(SIGN) } else { Value::Null },
            }]);
            assert_eq!((told, signed.is_promoted()), (&expected, true), "{} {form}: {ran}", key.0);
        }
    }
}

#[test]
fn without_the_referrers_api_signatures_are_found_under_its_tag() {
    let registry = Registry::start();
    let image = image("signed");
    registry.push(APP, TAG, &image);
    Client::new(&registry.host()).refer(APP, &P256.attests(&image, SIGN));
    let source = registry.name(&format!("{APP}:{TAG}"));
    let ran = tagwright(["promote", &source, "--to", "x", "--require-signature", &P256.file()]).run();
    assert_eq!(ran.result()["signatures"][0]["keyId"], P256.id(), "{ran}");
}

#[test]
fn a_bundle_that_says_of_itself_only_that_it_is_empty_is_looked_into() {
    // As cosign 2 lists one where there is no referrers API.
    let image = SignedImage::new().image;
    let mut bundle = P256.attests(&image, SIGN);
    let mut body: Value = serde_json::from_slice(&bundle.bytes).unwrap();
    body["artifactType"] = Value::Null;
    bundle.bytes = body.to_string().into_bytes();
    let signed = SignedImage::new().and(&bundle);
    assert_eq!(signed.requiring(P256).result()["signatures"][0]["form"], "bundle-dsse");
}

#[test]
fn what_does_not_count_is_told_with_the_reason_before_anything_is_written() {
    let image = SignedImage::new().image;
    let digest = image.digest();
    let other = format!("sha256:{}", "0".repeat(64));
    let good = P256.simple(&digest, "a/b");
    let twice = good.0.replace(
        r#""docker-manifest-digest""#,
        &format!(r#""docker-manifest-digest":"{other}","docker-manifest-digest""#),
    );
    let damaged = P256.simple(&digest, "a/c").1;
    let beside = |text: &str| (good.0.clone(), text.to_owned());
    let (half, rest) = good.1.split_at(20);
    let new = || SignedImage::new();
    let mut keyless = P256.bundle("dsseEnvelope", P256.envelope(&statement("v1", &digest, SIGN)));
    keyless["verificationMaterial"] = json!({"certificate": {"rawBytes": "AQ=="}});
    let envelope = |text: &str| bundled(&image, P256.bundle("dsseEnvelope", P256.envelope(text)));
    let mut cut = P256.attests(&image, SIGN);
    let end = cut.blobs[1].len() - 2;
    cut = bundled(&image, Value::String(String::from_utf8_lossy(&cut.blobs[1][..end]).into_owned()));
    for (signed, cause) in [
        (new(), "nothing that points at it may be a signature"),
        (new().tagged("sig", &under_tag("text/plain", &[(good.0.clone(), None)])), "nothing that points at it may be"),
        (new().simple(&[P384.simple(&digest, "a/b")]), "is by another key, or damaged"),
        (new().simple(&[beside(&damaged)]), "is by another key, or damaged"),
        (new().simple(&[P256.simple(&other, "a/b")]), &format!("is of `{other}`")),
        (new().simple(&[P256.payload(&twice)]), "has the key `docker-manifest-digest` twice"),
        (new().simple(&[P256.payload("no JSON")]), "is no proper JSON"),
        (new().simple(&[beside(&format!("{half} {rest}"))]), "has a signature that is not proper base64"),
        (new().simple(&[beside(&format!("{half}\n{rest}"))]), "has a signature that is not proper base64"),
        (new().simple(&[beside("")]), "is by another key, or damaged"),
        (new().tagged("sig", &under_tag(types::COSIGN, &[(good.0.clone(), None)])), "has no signature beside it"),
        (new().and(&bundled(&image, keyless)), "goes by a certificate, and signatures without a key are not checked"),
        (new().and(&P384.attests(&image, SIGN)), "is by another key, or damaged"),
        (new().and(&P384.seals(&image)), "is by another key, or damaged"),
        (new().and(&envelope(&statement("v1", &other, SIGN))), &format!("is of `{other}`")),
        (new().and(&envelope(&statement("v2", &digest, SIGN))), "is no in-toto statement of version 0.1 or 1"),
        (new().and(&cut), "is no proper JSON"),
        (new().and(&P256.attests(&image, PROVENANCE)), &format!("is an attestation of the type `{PROVENANCE}`")),
    ] {
        let ran = signed.requiring(P256);
        signed.check_refused(&ran, "signature-missing", cause);
        let found = ran.error()["details"]["found"].as_array().unwrap().len();
        assert_eq!(found, usize::from(!cause.starts_with("nothing")), "{ran}");
    }
}

#[test]
fn a_signature_that_cannot_be_read_for_the_moment_is_not_one_that_does_not_count() {
    let one = P256.simple(&SignedImage::new().image.digest(), "a/b");
    let signed = SignedImage::new().simple(&[one]);
    signed.registry.before(|asked, _| asked.path.contains("/blobs/").then(|| Reply::status(503)));
    let ran = signed.promote(&["--require-signature", &P256.file(), "--retries", "0"]).run();
    assert_eq!((ran.code().as_str(), signed.is_promoted()), ("registry-unavailable", false), "{ran}");
}

#[test]
fn a_signature_that_counts_is_enough_beside_many_that_do_not() {
    let digest = SignedImage::new().image.digest();
    let list = [P384.simple(&digest, "a/b"), P256.simple(&digest, "a/b"), P384.payload("x")];
    let signed = SignedImage::new().simple(&list);
    assert_eq!(signed.requiring(P256).result()["signatures"].as_array().unwrap().len(), 1);
}

#[test]
fn keys_of_one_flag_stand_for_each_other_and_every_flag_has_to_hold() {
    let digest = SignedImage::new().image.digest();
    let signed = SignedImage::new().simple(&[P384.simple(&digest, "a/b")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("both.pem");
    std::fs::write(&file, [P256.public(), P384.public()].concat()).unwrap();
    let both = file.to_str().unwrap();
    let ran = signed.promote(&["--require-signature", both, "--require-signature", &P256.file()]).run();
    signed.check_refused(&ran, "signature-missing", &format!("is by `{}` alone", &P384.id()[..19]));
    for value in [both, "env:KEYS"] {
        let ran = signed.promote(&["--require-signature", value]).env("KEYS", P384.public()).run();
        assert_eq!(ran.result()["signatures"][0]["keyId"], P384.id(), "{ran}");
    }
    let ran = signed.called(&P384.public());
    assert_eq!(ran.result()["signatures"][0]["keyId"], P384.id(), "{ran}");
}

#[test]
fn what_is_no_public_key_is_refused_before_anything_is_asked() {
    let signed = SignedImage::new();
    let file = |name: &str| key_file(name).to_str().unwrap().to_owned();
    for (value, message) in [
        (file("p521.pub"), "holds a key of the curve P-521"),
        (file("k256.pub"), "holds a key of the curve secp256k1"),
        (file("encrypted.key"), "holds an encrypted private key"),
        (file("p256.key"), "holds a private key"),
        (file("certificate.pem"), "holds a certificate"),
        (file("none.pub"), "cannot be read"),
        (file(""), "cannot be read"),
        ("env:NO_SUCH_KEY".to_owned(), "the variable `NO_SUCH_KEY` of `--require-signature` cannot be read"),
        (file("rsa1024.pub"), "holds an RSA key of 1024 bits"),
    ] {
        let ran = signed.promote(&["--require-signature", &value]).run();
        assert_eq!((ran.code().as_str(), signed.registry.log().count()), ("config-malformed", 0), "{ran}");
        let told = ran.error()["message"].as_str().unwrap().to_owned();
        let place = if value.starts_with("env:") { "the variable `" } else { "the file `" };
        assert!(told.starts_with(place) && told.contains(message), "{ran}");
        assert!(ran.error()["hint"].is_string(), "{ran}");
    }
    let ran = signed.called(&std::fs::read_to_string(file("p521.pub")).unwrap());
    let told = ran.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(told.starts_with("the text of `--require-signature` holds a key of the curve P-521"), "{ran}");
}

#[test]
fn a_private_key_given_as_text_is_refused_and_not_repeated() {
    let signed = SignedImage::new();
    let text = std::fs::read_to_string(key_file("p256.key")).unwrap();
    let ran = signed.called(&text);
    assert_eq!(ran.json()["error"]["code"], "request-invalid", "{ran}");
    let secret = text.lines().nth(1).unwrap();
    assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{ran}");
}

#[test]
fn an_index_is_signed_itself_and_with_all_its_images_where_that_is_asked() {
    let index = two_platforms("abc", "one");
    let images: Vec<&Built> = index.children.iter().filter(|child| child.annotations.is_none()).collect();
    assert_eq!((images.len(), index.children.len()), (2, 4));
    let all = ["--require-signature", &P256.file(), "--require-signature-of", "all"];
    // Its images alone do not make it signed.
    let signed = images.iter().fold(SignedImage::of(index.clone()), |signed, one| signed.and(&P256.attests(one, SIGN)));
    signed.check_refused(&signed.requiring(P256), "signature-missing", "nothing that points at it may be a signature");
    let signed = signed.and(&P256.attests(&index, SIGN));
    let ran = signed.promote(&all).run();
    let signs: Vec<&str> = ["signs"; 3].to_vec();
    let told: Vec<String> =
        (0..3).map(|n| ran.result()["signatures"][n][signs[n]].as_str().unwrap().to_owned()).collect();
    let mut expected = vec![index.digest(), images[0].digest(), images[1].digest()];
    expected[1..].sort();
    let mut told = told;
    told[1..].sort();
    assert_eq!(told, expected, "{ran}");
    // The index alone is enough where nothing else is said, and not for all of it.
    let signed = SignedImage::of(index.clone()).and(&P256.attests(&index, SIGN)).and(&P256.seals(images[0]));
    let ran = signed.promote(&all).run();
    signed.check_refused(&ran, "signature-missing", "nothing that points at it may be a signature");
    assert!(ran.error()["message"].as_str().unwrap().contains(&images[1].digest()), "{ran}");
    assert_eq!(signed.requiring(P256).result()["signatures"].as_array().unwrap().len(), 1);
}

#[test]
fn an_attestation_counts_by_its_type_and_by_a_key_that_is_required() {
    let image = SignedImage::new().image;
    let sealed = || SignedImage::new().and(&P256.seals(&image));
    let of = |version: &str| P256.envelope(&statement(version, &image.digest(), PROVENANCE)).to_string();
    let kind = "application/vnd.dsse.envelope.v1+json";
    let attested = |version: &str| under_tag(kind, &[(of(version), Some(("predicateType", PROVENANCE.to_owned())))]);
    let words = ["--require-signature", &P256.file(), "--require-attestation", PROVENANCE];
    for (signed, form) in [
        (sealed().and(&P256.attests(&image, PROVENANCE)), "bundle-dsse"),
        (sealed().tagged("att", &attested("v0.1")), "dsse"),
        (sealed().tagged("att", &attested("v1")), "dsse"),
    ] {
        let ran = signed.promote(&words).run();
        let told = ran.result()["signatures"].as_array().unwrap().clone();
        let is_it =
            |one: &Value| one["predicateType"] == PROVENANCE && one["form"] == form && one["keyId"] == P256.id();
        assert!(told.len() == 2 && told.iter().any(is_it), "{ran}");
    }
    for (signed, cause) in [
        (sealed(), "is by"),
        (sealed().and(&P384.attests(&image, PROVENANCE)), "is by another key, or damaged"),
        (sealed().and(&P256.attests(&image, "https://spdx.dev/Document")), "is by"),
    ] {
        signed.check_refused(&signed.promote(&words).run(), "attestation-missing", cause);
    }
    let ran = sealed().promote(&["--require-attestation", PROVENANCE]).run();
    assert_eq!(ran.code(), "missing-value", "{ran}");
    let ran = sealed().promote(&["--require-signature", &P256.file(), "--require-attestation", "slsaprovenance"]).run();
    assert_eq!(ran.code(), "request-invalid", "{ran}");
}

#[test]
fn what_says_of_itself_that_it_is_no_signature_or_no_attestation_that_is_asked_for_is_not_read() {
    let image = SignedImage::new().image;
    let list = referrer("application/spdx+json", &image, "a list of parts");
    let mut other = P256.attests(&image, PROVENANCE);
    let mut body: Value = serde_json::from_slice(&other.bytes).unwrap();
    body["annotations"]["dev.sigstore.bundle.predicateType"] = json!(PROVENANCE);
    other.bytes = body.to_string().into_bytes();
    let signed = SignedImage::new().and(&list).and(&other).and(&P256.attests(&image, SIGN));
    assert_eq!(signed.requiring(P256).result()["signatures"].as_array().unwrap().len(), 1);
    for built in [list, other] {
        assert!(!signed.registry.log().mentions(&built.digest()), "{:#?}", signed.registry.log().lines());
    }
}

/// Signatures of these sizes that are not there.
fn of_sizes(sizes: &[u64]) -> Built {
    let layer = |(n, size): (usize, &u64)| json!({"mediaType": types::COSIGN, "digest": format!("sha256:{n:064}"), "size": size});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "config": descriptor(types::OCI_CONFIG, b"{}"),
        "layers": sizes.iter().enumerate().map(layer).collect::<Vec<_>>(),
    });
    Built::raw(types::OCI_MANIFEST, manifest.to_string())
}

#[test]
fn large_signatures_are_read_one_after_another() {
    let signed = SignedImage::new().tagged("sig", &of_sizes(&[4 << 20; 4]));
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    signed.registry.gate(move |asked| {
        if asked.path.contains("/blobs/") {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Time enough for others to come meanwhile; nothing depends on it where they may not.
            std::thread::sleep(STEP);
            now.fetch_sub(1, Ordering::SeqCst);
        }
    });
    signed.check_refused(&signed.requiring(P256), "signature-missing", "cannot be read: ");
    assert_eq!((most.load(Ordering::SeqCst), signed.registry.log().matching("GET", "/blobs/")), (1, 4));
}

#[test]
fn a_layer_of_a_hundred_megabytes_and_ten_thousand_signatures_are_not_read() {
    let image = SignedImage::new().image;
    for (size, cause, asked) in [
        (100_000_000, "has 95.3 MiB, and 16.0 MiB are read at most", 0),
        // One that is not too large, and is not there.
        (16 << 20, "cannot be read: ", 1),
    ] {
        let signed = SignedImage::new().tagged("sig", &of_sizes(&[size]));
        signed.check_refused(&signed.requiring(P256), "signature-missing", cause);
        assert_eq!(signed.registry.log().matching("GET", "/blobs/"), asked);
    }
    let signed =
        SignedImage::new().simple(&(0..201).map(|n| ("one".to_owned(), format!("{n:04}"))).collect::<Vec<_>>());
    let ran = signed.requiring(P256);
    signed.check_refused(&ran, "signature-missing", "198 more were found, 1 of them not read");

    let payload = |n: usize| (format!("{n}"), Some(("dev.cosignproject.cosign/signature", "AQ==".to_owned())));
    let many: Vec<_> = (0..10_000).map(payload).collect();
    let signed = SignedImage::new().tagged("sig", &under_tag(types::COSIGN, &many));
    let ran = signed.requiring(P256);
    signed.check_refused(&ran, "signature-missing", "9997 more were found, 9800 of them not read");
    assert_eq!(signed.registry.log().matching("GET", "/blobs/"), 200);
    // The newest come first.
    let mut many = many;
    let good = P256.simple(&image.digest(), "a/b");
    many.push((good.0, Some(("dev.cosignproject.cosign/signature", good.1))));
    let signed = SignedImage::new().tagged("sig", &under_tag(types::COSIGN, &many));
    assert_eq!(signed.requiring(P256).result()["signatures"].as_array().unwrap().len(), 1);

    let signed = SignedImage::new();
    signed.registry.state(|state| {
        for n in 0..10_000 {
            let mut built = referrer(BUNDLE, &image, "not one");
            let mut body: Value = serde_json::from_slice(&built.bytes).unwrap();
            body["annotations"]["n"] = json!(n.to_string());
            built.bytes = body.to_string().into_bytes();
            state.store(APP, &built);
        }
    });
    let ran = signed.requiring(P256);
    signed.check_refused(&ran, "signature-missing", "9800 of them not read");
    assert!(signed.registry.log().count() < 250, "{}", signed.registry.log().count());
}

#[test]
fn a_copy_is_checked_at_the_source_and_at_the_target_before_it_has_a_tag() {
    let signed = SignedImage::new();
    let signed = SignedImage::new().simple(&[P256.simple(&signed.image.digest(), "a/b")]);
    let tag = tag_of(&signed.image.digest(), "sig");
    let source = signed.registry.name(&format!("{APP}:{TAG}"));
    let into = |to: &Registry| {
        let key = P256.file();
        tagwright(["promote", &source, "--to", "x", "--into", &to.name(APP), "--require-signature", &key]).run()
    };
    let to = Registry::start();
    let ran = into(&to);
    assert_eq!((&ran.result()["signatures"][0]["keyId"], to.tags(APP).len()), (&json!(P256.id()), 2), "{ran}");
    let asked = to.log().lines();
    let at = |part: &str| asked.iter().rposition(|line| line.contains(part)).unwrap();
    let read = asked.iter().rposition(|line| line.starts_with("GET") && line.contains("/blobs/")).unwrap();
    assert!(read < at(&format!("PUT /v2/{APP}/manifests/x")), "{asked:#?}");

    // A target that takes a signature and does not keep it gets no tag.
    let to = Registry::start();
    to.after(move |asked, state, _| {
        if asked.method == "PUT" && asked.path.ends_with(".sig") {
            state.repositories.get_mut(APP).unwrap().tags.remove(&tag);
        }
    });
    let ran = into(&to);
    assert_eq!((ran.code().as_str(), to.tags(APP).len()), ("signature-missing", 0), "{ran}");
    assert!(ran.error()["message"].as_str().unwrap().contains(&to.name(APP)), "{ran}");
    assert_eq!(ran.error()["changed"], true, "{ran}");

    // What is not signed at the source is not copied.
    let unsigned = SignedImage::new();
    let to = Registry::start();
    let source = unsigned.registry.name(&format!("{APP}:{TAG}"));
    let words = ["promote", &source, "--into", &to.name(APP), "--require-signature", &P256.file()];
    let ran = tagwright(words).run();
    assert_eq!((ran.code().as_str(), to.log().writes()), ("signature-missing", 0), "{ran}");
    let ran = tagwright(words).arg("--no-referrers").run();
    assert_eq!((ran.code().as_str(), ran.error()["exit"].clone()), ("request-invalid", json!(2)), "{ran}");
}

#[test]
fn each_target_is_checked_and_one_that_is_not_signed_keeps_tags_from_all() {
    let first = SignedImage::new();
    let signed = SignedImage::new().simple(&[P256.simple(&first.image.digest(), "a/b")]);
    let tag = tag_of(&signed.image.digest(), "sig");
    let (one, two) = (Registry::start(), Registry::start());
    two.after(move |asked, state, _| {
        if asked.method == "PUT" && asked.path.ends_with(".sig") {
            state.repositories.get_mut(APP).unwrap().tags.remove(&tag);
        }
    });
    let (to_one, to_two) = (one.name(APP), two.name(APP));
    let ran = signed.promote(&["--into", &to_one, "--into", &to_two, "--require-signature", &P256.file()]).run();
    assert_eq!(ran.code(), "signature-missing", "{ran}");
    assert!(one.resolve(APP, "x").is_none() && two.resolve(APP, "x").is_none(), "{ran}");
}

#[test]
fn a_release_asks_for_the_signatures_of_each_entry() {
    let registry = Registry::with(Options { referrers: true, ..Options::default() });
    let images: Vec<Built> = (0..2).map(|n| Image::new().label("n", &n.to_string()).build()).collect();
    let client = Client::new(&registry.host());
    for (n, image) in images.iter().enumerate() {
        registry.push(&format!("{APP}{n}"), TAG, image);
    }
    client.refer(&format!("{APP}0"), &P256.attests(&images[0], SIGN));
    registry.clear();
    let release = |second: Value| {
        let entry = |n: usize| registry.name(&format!("{APP}{n}:{TAG}"));
        let mut two = json!({"image": entry(1), "to": ["x"]});
        two.as_object_mut().unwrap().extend(second.as_object().unwrap().clone());
        let one =
            json!({"image": entry(0), "to": ["x"], "requireSignature": [P256.file()], "requireSignatureOf": "all"});
        tagwright(["release", "-"]).stdin(json!([one, two]).to_string()).run()
    };
    let ran = release(json!({"requireSignature": P256.public()}));
    assert_eq!((ran.code().as_str(), registry.log().writes()), ("signature-missing", 0), "{ran}");
    let ran = release(json!({"requireAttestation": PROVENANCE}));
    assert_eq!((ran.code().as_str(), ran.error()["exit"].clone()), ("missing-value", json!(2)), "{ran}");
    let told = release(json!({})).result();
    let lengths: Vec<usize> = (0..2).map(|n| told["images"][n]["signatures"].as_array().unwrap().len()).collect();
    assert_eq!(lengths, [1, 0], "{told:#}");
}

#[test]
fn a_registry_that_does_not_tell_what_points_at_an_image_is_named() {
    let signed = SignedImage::new();
    signed.registry.fail(100, "GET", "/referrers/", Reply::error(403, "DENIED", "no"));
    let ran = signed.requiring(P256);
    assert!(["signature-missing", "denied"].contains(&ran.code().as_str()) && !signed.is_promoted(), "{ran}");
}
