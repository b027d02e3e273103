//! The signatures that a promotion asks for: looked for at the source before anything is written, and at the target of a
//! copy before its tags are.
//!
//! What points at the image is read as for a copy; which of it counts is decided in `pure::signature::requirement`.

use crate::command::keys;
use crate::command::promote::tree::is_of_one;
use crate::command::promote::{Lane, Tree};
use crate::command::request::Promote;
use crate::error::Error;
use crate::pure::image::{Content, Descriptor, Digest, RawManifest};
use crate::pure::signature::bundle::BUNDLES;
use crate::pure::signature::requirement::{self, COSIGN_SIGN, SignatureVerdict};
use crate::pure::signature::simple_signing::{SIGNATURE, SIMPLE_SIGNING};
use crate::pure::signature::{Requirement, SignatureBlob, SignatureForm};
use crate::pure::text::show;
use crate::registry::{Remote, limits};
use crate::threads;
use crate::world::World;
use serde_json::Value;
use std::collections::HashSet;

/// How many signatures of one image are read.
const MOST: usize = 200;
/// Where a bundle says what its statement is of, and where a layer does.
const TYPES: [&str; 2] = ["dev.sigstore.bundle.predicateType", "predicateType"];
/// The media type of a signed statement.
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";

/// What a promotion asks for, where it asks for signatures.
///
/// # Errors
/// `config-malformed` for what is no public key.
pub fn required(world: &World, request: &Promote) -> Result<Option<Requirement>, Error> {
    let signed = &request.signed;
    if signed.keys.is_empty() {
        return Ok(None);
    }
    let keys =
        signed.keys.iter().map(|value| keys::public(world, "require-signature", value)).collect::<Result<_, _>>()?;
    Ok(Some(Requirement { keys, attestations: signed.attestations.clone(), all: signed.all }))
}

/// What points at an image, as far as it may be a signature.
fn tree(remote: &Remote, image: &RawManifest, required: &Requirement) -> Result<Tree, Error> {
    let mut tree = if required.all { Tree::read(remote, image)? } else { Tree::of(image) };
    let may_count = |one: &Descriptor| {
        let is_kind =
            |kind: &str| ["cosign", "sigstore", "dsse", "in-toto", "vnd.oci."].iter().any(|word| kind.contains(word));
        one.artifact_type.as_deref().is_none_or(is_kind) && is_asked(one, required)
    };
    tree.find_referrers(remote, Box::new(|| None), Some(&may_count))?;
    Ok(tree)
}

/// Whether what a descriptor says of itself is asked for. One that lies is not believed, only left out.
fn is_asked(one: &Descriptor, required: &Requirement) -> bool {
    let kind = TYPES.iter().find_map(|name| one.annotations.get(*name));
    kind.is_none_or(|kind| kind == COSIGN_SIGN || required.attestations.contains(kind))
}

/// Checks an image, and where that is asked for the images of an index; what counts, as it is told.
///
/// # Errors
/// `signature-missing`, `attestation-missing`, and those of reading.
pub fn check(remote: &Remote, image: &RawManifest, tree: &Tree, required: &Requirement) -> Result<Vec<Value>, Error> {
    let mut facts = Vec::new();
    let mut open = vec![image.clone()];
    let mut met: HashSet<Digest> = HashSet::new();
    while let Some(image) = open.pop() {
        let (verdicts, left) = verdicts(remote, &image, tree, required)?;
        let name = remote.repository().at(&image.digest).to_string();
        let told = requirement::check(required, &name, &image.digest, &verdicts, left);
        facts.extend(told.map_err(|error| match tree.whole {
            true => error,
            false => error.cause(format!("`{}` does not tell what points at an image", remote.registry())),
        })?);
        let Content::Index(index) = &image.content else { continue };
        for entry in index.manifests.iter().filter(|entry| required.all && entry.may_be_image()) {
            if let Some(node) = tree.nodes.get(&entry.digest).filter(|_| met.insert(entry.digest.clone())) {
                open.push(node.manifest(&entry.digest)?);
            }
        }
    }
    facts.truncate(TOLD);
    Ok(facts)
}

/// Checks an image whose signatures nobody has read yet.
///
/// # Errors
/// As [`check`].
pub fn check_here(remote: &Remote, image: &RawManifest, required: &Requirement) -> Result<Vec<Value>, Error> {
    check(remote, image, &tree(remote, image, required)?, required)
}

/// Checks at the target of a copy what was checked at the source.
///
/// # Errors
/// As [`check`].
pub fn check_copy(lane: &Lane) -> Result<(), Error> {
    let (target, image) = (&lane.sides.target, &lane.survey.source.manifest);
    let Some(required) = lane.survey.source.required.as_ref().filter(|_| lane.survey.copy.is_some()) else {
        return Ok(());
    };
    check_here(target, image, required).map(drop)
}

/// One layer, with every signature that is of it.
type Layer<'t> = (Descriptor, SignatureForm, Vec<(&'t Digest, Option<String>)>);

/// What is made of each signature of one image, and how many more there are than are looked at.
fn verdicts(
    remote: &Remote,
    image: &RawManifest,
    tree: &Tree,
    required: &Requirement,
) -> Result<(Vec<SignatureVerdict>, usize), Error> {
    let (mut layers, mut left): (Vec<Layer>, usize) = (Vec::new(), tree.left);
    for referrer in tree.referrers.iter().filter(|referrer| referrer.subject == image.digest) {
        let Some(node) = tree.nodes.get(&referrer.digest) else { continue };
        let Content::Image(artifact) = node.manifest(&referrer.digest)?.content else { continue };
        // Whoever signs again adds to the end.
        for layer in artifact.layers.into_iter().rev().filter(|layer| is_asked(layer, required)) {
            let form = match layer.media_type.as_str() {
                SIMPLE_SIGNING => SignatureForm::Simple,
                ENVELOPE => SignatureForm::Envelope,
                kind if kind.starts_with(BUNDLES) => SignatureForm::Bundle,
                _ => continue,
            };
            let one = (&referrer.digest, layer.annotations.get(SIGNATURE).cloned());
            // Many signatures are of one payload.
            let is_same = |known: &Descriptor| known.digest == layer.digest && known.media_type == layer.media_type;
            match layers.iter().position(|(known, ..)| is_same(known)) {
                Some(at) if layers[at].2.len() < MOST => layers[at].2.push(one),
                None if layers.len() < MOST => layers.push((layer, form, vec![one])),
                _ => left += 1,
            }
        }
    }
    let sizes = layers.iter().map(|(layer, ..)| layer.size);
    let largest = sizes.filter(|size| *size <= limits::SIGNATURE).max().unwrap_or_default();
    let verdicts = threads::map_at(limits::at_once(largest), &layers, |(layer, form, signatures)| {
        let content = content(remote, layer)?;
        let judge = |(artifact, signature): &(&Digest, Option<String>)| {
            let content = content.as_ref().map_err(Clone::clone);
            let signature = signature.as_deref();
            let candidate = content.map(|content| SignatureBlob { form: *form, content, signature });
            let verdict = candidate.and_then(|candidate| requirement::judge(required, image, &candidate));
            ((*artifact).clone(), verdict)
        };
        Ok(signatures.iter().map(judge).collect::<Vec<_>>())
    })?;
    Ok((verdicts.into_iter().flatten().collect(), left))
}

/// The bytes of a layer, or why they cannot be had.
fn content(remote: &Remote, layer: &Descriptor) -> Result<Result<Vec<u8>, String>, Error> {
    let most = limits::SIGNATURE;
    if layer.size > most {
        return Ok(Err(format!("has {}, and {} are read at most", show::bytes(layer.size), show::bytes(most))));
    }
    match remote.blob(layer, "signature", most) {
        Err(error) if is_of_one(error.code()) => Ok(Err(format!("cannot be read: {}", error.message()))),
        read => read.map(Ok),
    }
}

/// How many signatures of one promotion are told.
const TOLD: usize = 1000;
