//! What a target begins with: every text that the tests of its parsers hold, and the fixtures it names.
//!
//! Nothing of it is kept, so a text that is added to a table of tests is a seed the next time.

use super::targets::Target;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The texts that a target begins with.
pub fn of(target: &Target) -> io::Result<BTreeSet<Vec<u8>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The crate of the fuzz targets lies in the project, the tests of the project in the project itself.
    let root = if root.ends_with("fuzz") { root.parent().unwrap_or(root) } else { root };
    let mut found = BTreeSet::new();
    for source in target.sources {
        let text = fs::read_to_string(root.join(source))
            .map_err(|why| io::Error::new(why.kind(), format!("{source}: {why}")))?;
        match text.split_once("\nmod tests {") {
            Some((_, tests)) => found.extend(texts(tests)),
            None if source.starts_with("tests/") && source.ends_with(".rs") => found.extend(texts(&text)),
            None => found.extend([text.into_bytes()]),
        }
    }
    Ok(found)
}

/// Writes them into a folder, a file each.
#[cfg_attr(test, expect(dead_code, reason = "the tests run them from memory"))]
pub fn write(target: &Target, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (number, seed) in of(target)?.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:04}")), seed)?;
    }
    Ok(())
}

/// Every text in a source of Rust, its escapes read.
pub fn texts(source: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, tail) = rest.split_at(at);
        let hashes = before.len() - before.trim_end_matches('#').len();
        let raw = before[..before.len() - hashes].ends_with('r');
        rest = if tail.starts_with("//") {
            tail.find('\n').map_or("", |end| &tail[end..])
        } else if let Some(after) = tail.strip_prefix("'\"'") {
            after
        } else if !tail.starts_with('"') {
            &tail[1..]
        } else if raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let Some((text, after)) = tail[1..].split_once(&end) else { break };
            found.push(text.as_bytes().to_vec());
            after
        } else {
            let (text, after) = plain(&tail[1..]);
            found.push(text);
            after
        };
    }
    found
}

/// A text up to its quote, and what follows it.
fn plain(tail: &str) -> (Vec<u8>, &str) {
    let mut text = Vec::new();
    let mut chars = tail.char_indices();
    let mut letter = [0; 4];
    while let Some((at, c)) = chars.next() {
        let escaped = match c {
            '"' => return (text, &tail[at + 1..]),
            '\\' => chars.next().map_or('\\', |(_, c)| c),
            c => {
                text.extend_from_slice(c.encode_utf8(&mut letter).as_bytes());
                continue;
            }
        };
        match escaped {
            'n' => text.push(b'\n'),
            'r' => text.push(b'\r'),
            't' => text.push(b'\t'),
            '0' => text.push(0),
            'x' => {
                let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                text.extend(u8::from_str_radix(&digits, 16));
            }
            'u' => {
                let digits: String = chars.by_ref().map(|(_, c)| c).take_while(|c| *c != '}').collect();
                let c = u32::from_str_radix(digits.trim_start_matches('{'), 16).ok().and_then(char::from_u32);
                text.extend_from_slice(c.unwrap_or('?').encode_utf8(&mut letter).as_bytes());
            }
            // A line that goes on: the break and the blanks after it are none of the text.
            '\n' => {
                let rest = chars.as_str();
                let skipped = rest.chars().take_while(|c| c.is_whitespace()).count();
                chars.by_ref().take(skipped).for_each(drop);
            }
            c => text.extend_from_slice(c.encode_utf8(&mut letter).as_bytes()),
        }
    }
    (text, "")
}
