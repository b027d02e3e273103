//! The fuzz targets over their seeds, without a fuzzer: what they say of every input holds of the texts of the tests.

#[path = "../../fuzz/src/seeds.rs"]
mod seeds;
#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

use super::tidy::{assert_none, code, sources};

#[test]
fn every_fuzz_target_keeps_its_promises_on_the_texts_of_the_tests() {
    for target in targets::ALL {
        let seeds = seeds::of(target).unwrap();
        assert!(seeds.len() >= 5, "{} has {} seeds", target.name, seeds.len());
        for seed in seeds {
            (target.run)(&seed);
        }
    }
}

#[test]
fn every_module_that_reads_what_others_write_has_a_fuzz_target() {
    // What these read has been read by another module before, or is an answer that has been read.
    let covered = [
        "src/pure/text/json.rs",
        "src/pure/image/raw_manifest.rs",
        "src/pure/promote/race.rs",
        "src/pure/http/fault.rs",
    ];
    let reads =
        ["pub fn parse", "pub fn read", "pub fn decode", "pub fn next(", "json::from_slice(", "json::from_str("];
    let missing = sources().into_iter().filter(|file| file.path.starts_with("src/pure/")).filter(|file| {
        let code = code(&file.text);
        let named = targets::ALL.iter().any(|target| target.sources.contains(&file.path.as_str()));
        reads.iter().any(|word| code.contains(word)) && !named && !covered.contains(&file.path.as_str())
    });
    assert_none("modules that read foreign text and have no fuzz target", missing.map(|file| file.path).collect());
}

#[test]
fn texts_of_a_source_are_read_as_the_compiler_reads_them() {
    let source = r##"let a = "one\n\u{2026}\x41"; // "none"
        let q = '"'; let b = r#"two "x""#; let c = "three \
            four";"##;
    let found: Vec<String> = seeds::texts(source).into_iter().map(|text| String::from_utf8(text).unwrap()).collect();
    assert_eq!(found, ["one\n…A", "two \"x\"", "three four"]);
}
