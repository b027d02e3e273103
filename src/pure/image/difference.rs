//! What differs between two images: their labels, their platforms, and the layers that one of them lacks.

use crate::pure::image::{Descriptor, Digest};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// The labels of an image.
pub type LabelMap = BTreeMap<String, String>;

/// How labels differ.
#[derive(Debug, Default, Serialize)]
pub struct LabelDifference {
    /// Those of the second image alone.
    pub added: LabelMap,
    /// Those of the first image alone.
    pub removed: LabelMap,
    /// Those that both have, with their two values as `from` and `to`.
    pub changed: Map<String, Value>,
}

/// What became of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlatformState {
    /// The second image alone has it.
    Added,
    /// The first image alone has it.
    Removed,
    /// Both have the same image for it.
    Same,
    /// Both have an image for it, and another.
    Changed,
}

/// One platform of two images.
#[derive(Debug, Serialize)]
pub struct PlatformDifference {
    /// The platform.
    pub platform: String,
    /// What became of it.
    pub state: PlatformState,
    /// Its digest in the first image.
    pub from: Option<Digest>,
    /// Its digest in the second image.
    pub to: Option<Digest>,
}

/// How layers differ, each counted once.
#[derive(Debug, Serialize)]
pub struct LayerDifference {
    /// Those that both images have.
    pub shared: usize,
    /// Those that the first image lacks.
    pub new: usize,
    /// The size of those, as they are pulled.
    pub bytes: u64,
}

/// The labels on which all platforms of an image agree, and the names of the others.
pub fn agreed<'l>(platforms: impl Iterator<Item = &'l LabelMap> + Clone) -> (LabelMap, Vec<&'l String>) {
    let mut agreed = platforms.clone().next().cloned().unwrap_or_default();
    agreed.retain(|key, value| platforms.clone().all(|labels| labels.get(key) == Some(value)));
    let mut apart: Vec<&String> = platforms.flat_map(BTreeMap::keys).filter(|key| !agreed.contains_key(*key)).collect();
    apart.sort_unstable();
    apart.dedup();
    (agreed, apart)
}

/// How the labels of two images differ.
pub fn labels(from: &LabelMap, to: &LabelMap) -> LabelDifference {
    let beyond = |these: &LabelMap, those: &LabelMap| {
        let alone = these.iter().filter(|(key, _)| !those.contains_key(*key));
        alone.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let both = from.iter().filter_map(|(key, value)| Some((key, value, to.get(key)?)));
    let changed = both.filter(|(_, before, after)| before != after);
    LabelDifference {
        added: beyond(to, from),
        removed: beyond(from, to),
        changed: changed.map(|(key, from, to)| (key.clone(), json!({"from": from, "to": to}))).collect(),
    }
}

/// What became of each platform: those of the first image in its order, then those that are new.
pub fn platforms(from: &[(String, Digest)], to: &[(String, Digest)]) -> Vec<PlatformDifference> {
    let mut new: Vec<_> = to.iter().collect();
    let mut all = Vec::new();
    for (platform, before) in from {
        let after = new.iter().position(|(other, _)| other == platform).map(|at| new.remove(at).1.clone());
        let state = match &after {
            None => PlatformState::Removed,
            Some(after) if after == before => PlatformState::Same,
            Some(_) => PlatformState::Changed,
        };
        all.push(PlatformDifference { platform: platform.clone(), state, from: Some(before.clone()), to: after });
    }
    all.extend(new.into_iter().map(|(platform, digest)| PlatformDifference {
        platform: platform.clone(),
        state: PlatformState::Added,
        from: None,
        to: Some(digest.clone()),
    }));
    all
}

/// How the layers of two images differ.
pub fn layers<'d>(
    from: impl Iterator<Item = &'d Descriptor>,
    to: impl Iterator<Item = &'d Descriptor>,
) -> LayerDifference {
    let known: HashSet<&Digest> = from.map(|layer| &layer.digest).collect();
    let (mut seen, mut difference) = (HashSet::new(), LayerDifference { shared: 0, new: 0, bytes: 0 });
    for layer in to.filter(|layer| seen.insert(&layer.digest)) {
        if known.contains(&layer.digest) {
            difference.shared += 1;
        } else {
            difference.new += 1;
            difference.bytes = difference.bytes.saturating_add(layer.size);
        }
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(labels: &[(&str, &str)]) -> LabelMap {
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn digest(letter: &str) -> Digest {
        Digest::parse(&format!("sha256:{}", letter.repeat(64))).unwrap()
    }

    #[test]
    fn labels_are_added_removed_or_changed() {
        let all = [("same", "1"), ("other", "2"), ("gone", "3")];
        for (from, to, expected) in [
            (some(&all), some(&all), r#"{"added":{},"removed":{},"changed":{}}"#),
            (
                some(&all),
                some(&[("same", "1"), ("other", "3"), ("new", "")]),
                r#"{"added":{"new":""},"removed":{"gone":"3"},"changed":{"other":{"from":"2","to":"3"}}}"#,
            ),
            (some(&[]), some(&all[..1]), r#"{"added":{"same":"1"},"removed":{},"changed":{}}"#),
        ] {
            assert_eq!(serde_json::to_string(&labels(&from, &to)).unwrap(), expected);
        }
    }

    #[test]
    fn a_label_is_agreed_on_where_every_platform_has_it_alike() {
        let platforms = [some(&[("a", "1"), ("b", "1"), ("c", "1")]), some(&[("a", "1"), ("b", "2"), ("d", "1")])];
        let (agreed, apart) = agreed(platforms.iter());
        assert_eq!(
            (agreed, apart.into_iter().map(String::as_str).collect::<String>()),
            (some(&[("a", "1")]), "bcd".into())
        );
        assert_eq!(super::agreed(platforms[..1].iter()), (platforms[0].clone(), Vec::new()));
        assert_eq!(super::agreed([].iter()), (LabelMap::new(), Vec::new()));
    }

    #[test]
    fn a_platform_is_told_by_what_became_of_it() {
        let images = |list: &[(&str, &str)]| -> Vec<(String, Digest)> {
            list.iter().map(|(platform, letter)| ((*platform).to_owned(), digest(letter))).collect()
        };
        let from = images(&[("a", "1"), ("b", "2"), ("c", "3"), ("twice", "4"), ("twice", "5")]);
        let to = images(&[("d", "9"), ("twice", "4"), ("twice", "6"), ("a", "1"), ("b", "7")]);
        let told: Vec<_> = platforms(&from, &to).into_iter().map(|one| (one.platform, one.state)).collect();
        use PlatformState::{Added, Changed, Removed, Same};
        let expected = [("a", Same), ("b", Changed), ("c", Removed), ("twice", Same), ("twice", Changed), ("d", Added)];
        assert_eq!(told, expected.map(|(platform, state)| (platform.to_owned(), state)));
    }

    #[test]
    fn a_layer_is_pulled_once_and_only_where_it_is_new() {
        let layer = |letter: &str, size: u64| -> Descriptor {
            let digest = digest(letter);
            serde_json::from_value(json!({"mediaType": "x", "digest": digest, "size": size})).unwrap()
        };
        let (from, to) = ([layer("a", 1), layer("b", 2)], [layer("b", 2), layer("c", 3), layer("c", 3), layer("d", 4)]);
        let told = |from: &[Descriptor], to: &[Descriptor]| {
            let LayerDifference { shared, new, bytes } = layers(from.iter(), to.iter());
            (shared, new, bytes)
        };
        assert_eq!((told(&from, &to), told(&to, &to), told(&[], &from)), ((1, 2, 7), (3, 0, 0), (0, 2, 3)));
        // A size has 63 bits, and a sum of them stays at the largest number.
        let most = i64::MAX.unsigned_abs();
        assert_eq!(told(&[], &[layer("e", most), layer("f", most), layer("0", 2)]), (0, 3, u64::MAX));
    }
}
