//! The shape of the house: which file names which, and what the types are called.
//!
//! Files are read as text. A path is followed to the longest part of it that is a file, a name that a `mod.rs` hands
//! on to the file that it comes from.

use super::tidy::{File, assert_none, code, sources};
use std::collections::{BTreeMap, BTreeSet};

/// The module that a file is: `pure::http::url`, empty for the root.
fn module(path: &str) -> String {
    let short = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(short, "lib" | "main") { String::new() } else { short.replace('/', "::") }
}

/// Every path of a use tree, groups spelt out: `a::{b, c::{self, d}}` is `a::b`, `a::c::self`, `a::c::d`.
fn spelt_out(tree: &str) -> Vec<String> {
    let Some((start, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.split_whitespace().collect()];
    };
    let (mut depth, mut parts, mut part) = (0_usize, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => {
                depth = if c == '{' { depth + 1 } else { depth - usize::from(c == '}') };
                part.push(c);
            }
        }
    }
    parts.push(part);
    let start: String = start.split_whitespace().collect();
    let whole = |part: &String| format!("{start}{}", part.trim());
    parts.iter().filter(|part| !part.trim().is_empty()).flat_map(|part| spelt_out(&whole(part))).collect()
}

/// Every path that a source names from the root of the crate or from its own folder, as a path from the root.
/// `rooms` are the modules at the top, which the root itself names without more.
fn named_paths(file: &File, rooms: &[String]) -> Vec<String> {
    let (code, own) = (code(&file.text), module(&file.path));
    let mut found: Vec<String> = Vec::new();
    let starts = if own.is_empty() { rooms } else { &["crate::".to_owned(), "super::".to_owned()] };
    for start in starts {
        for (at, _) in code.match_indices(start.as_str()) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &code[at..];
            let in_use = code[..at].trim_end().ends_with("use");
            let end =
                if in_use { rest.find(';') } else { rest.find(|c: char| !(c.is_alphanumeric() || "_:".contains(c))) };
            found.extend(spelt_out(&rest[..end.unwrap_or(rest.len())]));
        }
    }
    let from_root = |path: String| {
        let climbs = path.matches("super::").count();
        let rest = path.trim_start_matches("crate::").trim_start_matches("super::").to_owned();
        // A module's own folder is where its siblings are, so the first step up leaves only the file.
        let above: Vec<&str> = own.split("::").filter(|part| !part.is_empty()).collect();
        let above = &above[..above.len().saturating_sub(climbs)];
        if climbs == 0 { rest } else { above.iter().copied().chain([rest.as_str()]).collect::<Vec<_>>().join("::") }
    };
    found.into_iter().map(from_root).collect()
}

/// The names that `mod.rs` files hand on, each with the path that it stands for.
fn handed_on(files: &[File]) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.ends_with("/mod.rs")) {
        let code = code(&file.text);
        for tree in code.split("pub use ").skip(1) {
            for path in spelt_out(tree.split(';').next().unwrap_or_default()) {
                let name = path.rsplit("::").next().unwrap_or_default();
                let own = module(&file.path);
                known.insert(format!("{own}::{name}"), format!("{own}::{}", path.trim_start_matches("self::")));
            }
        }
    }
    known
}

/// Which file names which other, by their paths.
fn imports(files: &[File]) -> BTreeMap<String, BTreeSet<String>> {
    let by_module: BTreeMap<String, &str> = files
        .iter()
        .filter(|file| !file.path.ends_with("main.rs"))
        .map(|f| (module(&f.path), f.path.as_str()))
        .collect();
    let handed_on = handed_on(files);
    let resolve = |path: &str| -> Option<String> {
        let known = handed_on.iter().find(|(name, _)| path == *name || path.starts_with(&format!("{name}::")));
        let path = known.map_or(path.to_owned(), |(name, stands_for)| path.replacen(name, stands_for, 1));
        let mut parts: Vec<&str> = path.split("::").collect();
        loop {
            if let Some(file) = by_module.get(&parts.join("::")) {
                return Some((*file).to_owned());
            }
            parts.pop()?;
        }
    };
    let rooms: BTreeSet<&str> = by_module.keys().filter_map(|module| module.split("::").next()).collect();
    let rooms: Vec<String> =
        rooms.into_iter().filter(|room| !room.is_empty()).map(|room| format!("{room}::")).collect();
    let mut found = BTreeMap::new();
    for file in files.iter().filter(|file| !file.path.ends_with("/mod.rs")) {
        let named = named_paths(file, &rooms).into_iter().filter_map(|path| resolve(&path));
        let others = named.filter(|other| *other != file.path && !other.ends_with("/mod.rs"));
        found.insert(file.path.clone(), others.collect::<BTreeSet<_>>());
    }
    found
}

/// The shortest way from each file back to itself, once for every circle.
fn circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found: BTreeMap<BTreeSet<String>, String> = BTreeMap::new();
    for start in imports.keys() {
        let (mut ways, mut seen) = (vec![vec![start.clone()]], BTreeSet::new());
        while let Some(way) = (!ways.is_empty()).then(|| ways.remove(0)) {
            let here = way.last().map_or(start, |last| last);
            let next = imports.get(here).cloned().unwrap_or_default();
            if next.contains(start) {
                let members = way.iter().cloned().collect();
                found.entry(members).or_insert_with(|| format!("{} -> {start}", way.join(" -> ")));
                break;
            }
            let fresh: Vec<String> = next.into_iter().filter(|file| seen.insert(file.clone())).collect();
            ways.extend(fresh.into_iter().map(|file| way.iter().cloned().chain([file]).collect()));
        }
    }
    found.into_values().collect()
}

/// The types that a source defines for others or for itself; what stands inside a function is nobody else's business.
fn types(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    for line in code(&file.text).lines() {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let line = line.strip_prefix("pub(").and_then(|rest| Some(rest.split_once(") ")?.1)).unwrap_or(line);
        let defined = ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| line.strip_prefix(kind));
        found.extend(defined.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric()).collect::<String>()));
    }
    found
}

/// Type names that stand in several files.
fn used_twice(files: &[File]) -> Vec<String> {
    // Every command has its own of these.
    const STATIONS: [&str; 2] = ["Request", "Report"];
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for file in files {
        types(file).into_iter().for_each(|name| places.entry(name).or_default().push(&file.path));
    }
    places.retain(|name, places| places.len() > 1 && !STATIONS.contains(&name.as_str()));
    places.into_iter().map(|(name, places)| format!("{name}: {}", places.join(", "))).collect()
}

/// Type names that are no nouns.
fn no_nouns(files: &[File]) -> Vec<String> {
    const WORDS: [&str; 24] = [
        "Found", "Seen", "Told", "Held", "Said", "Known", "Given", "Broken", "Written", "Done", "Lost", "Gone", "Kept",
        "Made", "Sent", "Standing", "Which", "Who", "What", "Ours", "Theirs", "Other", "Others", "Answer",
    ];
    const NOUNS: [&str; 3] = ["Feed", "Need", "Seed"];
    let is_none = |name: &str| {
        let one_word = !name.chars().skip(1).any(char::is_uppercase);
        WORDS.contains(&name) || one_word && name.ends_with("ed") && !NOUNS.contains(&name)
    };
    let named = files.iter().flat_map(|file| types(file).into_iter().map(|name| (name, &file.path)));
    named.filter(|(name, _)| is_none(name)).map(|(name, path)| format!("{path}: {name}")).collect()
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn no_file_names_a_file_that_names_it() {
    assert_none("circles of imports", circles(&imports(&sources())));
}

#[test]
fn a_circle_is_found_straight_and_round_about() {
    let files = [
        file("src/lib.rs", "use a::one;\nfn version() {}\n"),
        file("src/a/mod.rs", "pub mod one;\npub mod two;\npub use one::run;\n"),
        file("src/a/one.rs", "use super::two::{self, Two};\nuse std::fmt;\n"),
        file("src/a/two.rs", "// crate::lonely\nfn f() { crate::b::f(\"crate::lonely\") }\n"),
        file("src/b.rs", "use crate::{a::{run}, lonely as l};\n"),
        file("src/lonely.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\nuse crate::b;\n}\n"),
    ];
    assert_eq!(circles(&imports(&files)), ["src/a/one.rs -> src/a/two.rs -> src/b.rs -> src/a/one.rs"]);
    let straight = [file("src/x.rs", "use crate::y::Y;"), file("src/y.rs", "use super::x::{X};")];
    assert_eq!(circles(&imports(&straight)), ["src/x.rs -> src/y.rs -> src/x.rs"]);
    let root = [file("src/lib.rs", "use x::X;\nfn version() {}"), file("src/x.rs", "fn f() { crate::version() }")];
    assert_eq!(circles(&imports(&root)), ["src/lib.rs -> src/x.rs -> src/lib.rs"]);
    let none = [file("src/x.rs", "use crate::y::Y;"), file("src/y.rs", "use std::fmt;")];
    assert!(circles(&imports(&none)).is_empty());
}

#[test]
fn every_type_has_a_name_of_its_own() {
    assert_none("type names that are used twice", used_twice(&sources()));
}

#[test]
fn types_are_named_by_nouns() {
    assert_none("types that are not named by what they are", no_nouns(&sources()));
}

#[test]
fn a_type_name_that_is_used_twice_is_found_and_so_is_one_that_is_no_noun() {
    let files = [
        file("src/a.rs", "pub struct Tag;\nenum Found { A }\nfn f() {\n    struct Wire;\n}\npub struct Report;\n"),
        file(
            "src/b.rs",
            "pub(crate) trait Tag {}\ntype Feed = u8;\nfn f() {\n    struct Wire;\n}\npub struct Report;\n",
        ),
        file("src/c.rs", "// struct Tag\nstruct Fetched;\n#[cfg(test)]\nmod tests {\nstruct Tag;\n}\n"),
    ];
    assert_eq!(used_twice(&files), ["Tag: src/a.rs, src/b.rs"]);
    assert_eq!(no_nouns(&files), ["src/a.rs: Found", "src/c.rs: Fetched"]);
}
