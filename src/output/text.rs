//! What a command found, as text for people: tables, `key  value` lines, trees.
//!
//! It is made from the result that programs get, so that neither says what the other does not. The text is no contract.

use crate::output::table::{branches, columns, folded, pairs};
use crate::output::terminal::Screen;
use crate::pure::text::show::line;
use crate::pure::text::{shell, show};
use serde_json::Value;

/// The text of a result. `sentence` sums it up where a table does not say all.
pub fn of(command: &str, result: &Value, sentence: &str, screen: Screen) -> String {
    let width = screen.columns;
    let lines = match command {
        "tags" => tags(result, sentence, width),
        "history" => history(result, sentence, width),
        "board" => board(result, sentence, width),
        "labels" => labels(result, sentence, width),
        "inspect" => inspect(result, width),
        "promote" | "release" | "rollback" => promotions(result, sentence, screen),
        "diff" => difference(result, width),
        "rate-limit" => {
            [folded(&line(sentence), width), pairs(&named(result, &["countedBy", "resetsAt"]), width)].concat()
        }
        "doctor" => checkup(result, sentence, screen),
        "auth" => pairs(
            &named(result, &["registry", "identity", "source", "challenge", "granted", "missing", "expiresAt"]),
            width,
        ),
        "find-tag" => pairs(&named(result, &["tag", "version", "digest", "alternatives"]), width),
        "next-version" => pairs(&named(result, &["version", "previous", "reason"]), width),
        _ => folded(&line(sentence), width),
    };
    lines.into_iter().map(|line| line + "\n").collect()
}

/// What a script would want of a result, for `--quiet`: the paths of the values, as `--print` takes them.
pub fn values(command: &str) -> &'static [&'static str] {
    match command {
        "tags" => &["tags.*.tag"],
        "history" => &["records.*.digest"],
        "release" => &["images.*.digest"],
        "board" => &["repositories.*.tags.*.version"],
        "labels" => &["labels.*"],
        "find-tag" => &["tag"],
        "next-version" => &["version"],
        "auth" => &["granted.*"],
        "doctor" => &["checks.*.state"],
        "diff" => &["to.digest"],
        "rate-limit" => &["remaining"],
        _ => &["digest"],
    }
}

/// A value in one line: nothing for null, the parts of a list after each other.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => line(text),
        Value::Array(list) => list.iter().map(cell).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", "),
        // One of several things that have a name.
        Value::Object(map) => map.get("tag").map_or_else(|| line(&value.to_string()), cell),
        other => other.to_string(),
    }
}

/// Some keys with their values, those without a value left out.
fn named(result: &Value, keys: &[&str]) -> Vec<(String, String)> {
    let name = |key| match key {
        "reference" => "image",
        "mediaType" => "type",
        "missing" => "not granted",
        "artifactType" => "kind",
        "aliases" | "alternatives" => "also",
        "expiresAt" => "expires",
        "countedBy" => "counted by",
        "resetsAt" => "more at",
        key => key,
    };
    keys.iter().map(|key| (name(key).to_owned(), cell(&result[*key]))).filter(|(_, value)| !value.is_empty()).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A digest that people tell from others by its beginning.
fn short(value: &Value) -> String {
    let digest = cell(value);
    let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
    if hex.is_empty() { digest } else { format!("{algorithm}:{}", hex.chars().take(12).collect::<String>()) }
}

/// A time in UTC without its seconds, where it is one.
fn moment(value: &Value) -> String {
    let text = cell(value);
    let is_time = text.is_ascii() && text.len() >= 20 && text.ends_with('Z') && &text[10..11] == "T";
    if is_time { format!("{} {}", &text[..10], &text[11..16]) } else { text }
}

fn tags(result: &Value, sentence: &str, width: usize) -> Vec<String> {
    let heading = ["TAG", "VERSION", "DIGEST", "UPDATED"].map(str::to_owned).to_vec();
    let row =
        |one: &Value| vec![cell(&one["tag"]), cell(&one["version"]), short(&one["digest"]), moment(&one["updated"])];
    table(heading, list(&result["tags"]).iter().map(row).collect(), sentence, width)
}

fn history(result: &Value, sentence: &str, width: usize) -> Vec<String> {
    let heading = ["WHEN", "VERSION", "TAGS", "FROM", "BY", "VERIFIED"].map(str::to_owned).to_vec();
    let row = |one: &Value| {
        let written = |tag: &&Value| !matches!(tag["action"].as_str(), Some("unchanged" | "kept" | "left"));
        let tags: Vec<_> = list(&one["tags"]).iter().filter(written).map(|tag| cell(&tag["tag"])).collect();
        let claimed = &one["claimed"];
        let job = job(claimed);
        // What a registry has confirmed counts for more than what the environment said.
        let name = Some(cell(&one["identity"]["target"]["name"])).filter(|name| !name.is_empty());
        let who = [name.unwrap_or_else(|| cell(&claimed["user"])), job].into_iter().filter(|text| !text.is_empty());
        vec![
            moment(&one["at"]),
            cell(&one["version"]),
            tags.join(", "),
            short(&one["source"]["digest"]),
            who.collect::<Vec<_>>().join(", "),
            verified(one),
        ]
    };
    table(heading, list(&result["records"]).iter().map(row).collect(), sentence, width)
}

/// Whether a record is verified, where a key was given to check it by.
fn verified(row: &Value) -> String {
    row["verified"].as_bool().map_or("", |is| if is { "yes" } else { "no" }).to_owned()
}

/// A job with the number of its build.
fn job(origin: &Value) -> String {
    match [cell(&origin["job"]), cell(&origin["build"])] {
        [job, build] if !job.is_empty() && !build.is_empty() => format!("{job} #{build}"),
        [job, _] => job,
    }
}

/// A table a repository, and why there is none.
fn board(result: &Value, sentence: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let row = |one: &Value| {
        let version = if one["version"].is_null() { short(&one["digest"]) } else { cell(&one["version"]) };
        let version = if version.is_empty() { "not there".to_owned() } else { version };
        vec![
            cell(&one["tag"]),
            version,
            cell(&one["behind"]),
            moment(&one["since"]),
            job(&one["from"]),
            cell(&one["by"]),
            verified(one),
        ]
    };
    for one in list(&result["repositories"]) {
        let heading = ["TAG", "VERSION", "NEWER", "SINCE", "FROM", "BY", "VERIFIED"].map(str::to_owned).to_vec();
        let rows = list(&one["tags"]).iter().map(row).collect();
        let nothing = if one["error"].is_null() { "no tag here moves".to_owned() } else { cell(&one["error"]) };
        lines.extend(folded(&cell(&one["repository"]), width));
        let table = if list(&one["tags"]).is_empty() {
            folded(&nothing, width.saturating_sub(2))
        } else {
            columns(&[vec![heading], rows].concat(), true, width.saturating_sub(2))
        };
        lines.extend(table.into_iter().map(|line| format!("  {line}")).chain([String::new()]));
    }
    [lines, folded(&line(sentence), width)].concat()
}

/// A table below its heading, then how much of it there is; the sentence alone where there is nothing.
fn table(heading: Vec<String>, rows: Vec<Vec<String>>, sentence: &str, width: usize) -> Vec<String> {
    let told = folded(&line(sentence), width);
    if rows.is_empty() {
        return told;
    }
    let rows: Vec<_> = [heading].into_iter().chain(rows).collect();
    columns(&rows, true, width).into_iter().chain([String::new()]).chain(told).collect()
}

fn labels(result: &Value, sentence: &str, width: usize) -> Vec<String> {
    let of = |one: &Value| {
        let labels = one["labels"].as_object().into_iter().flatten();
        let source = |key: &str| match one["sources"][key].as_str() {
            Some(place @ ("manifest" | "index")) => format!(" (annotation of the {place})"),
            Some("default") => " (default)".to_owned(),
            _ => String::new(),
        };
        labels.map(|(key, value)| (line(key), cell(value) + &source(key))).collect::<Vec<_>>()
    };
    let platforms = list(&result["platforms"]);
    if platforms.is_empty() || result["consistent"] == true {
        let lines = pairs(&of(result), width);
        return if lines.is_empty() { folded(&line(sentence), width) } else { lines };
    }
    let one = |one: &Value| {
        let labels = pairs(&of(one), width.saturating_sub(2));
        [cell(&one["platform"])].into_iter().chain(labels.into_iter().map(|line| format!("  {line}")))
    };
    platforms.iter().flat_map(one).collect()
}

fn inspect(result: &Value, width: usize) -> Vec<String> {
    let mut known =
        named(result, &["reference", "digest", "mediaType", "artifactType", "version", "aliases", "created"]);
    let pushed = &result["pushed"];
    if pushed.is_object() {
        let by = Some(cell(&pushed["by"])).filter(|by| !by.is_empty()).map(|by| format!(" by {by}"));
        // What a record says is no registry's word.
        let source = if pushed["via"] == "record" { " (by a record)" } else { "" };
        known.push(("pushed".to_owned(), cell(&pushed["at"]) + &by.unwrap_or_default() + source));
    }
    known.extend(result["size"].as_u64().map(|size| ("size".to_owned(), show::bytes(size))));
    let platform = |one: &Value| (cell(&one["platform"]), one["digest"].clone());
    let referrer = |one: &Value| {
        let kind = Some(cell(&one["artifactType"])).filter(|kind| !kind.is_empty());
        let (kind, digests) = (kind.unwrap_or_else(|| "of no type".to_owned()), list(&one["digests"]));
        match one["count"].as_u64() {
            Some(count) if count > FEW || count != digests.len() as u64 => vec![(kind, one["count"].clone())],
            _ => digests.iter().map(|digest| (kind.clone(), digest.clone())).collect(),
        }
    };
    let mut lines = pairs(&known, width);
    lines.extend(tree("platforms", list(&result["platforms"]).iter().map(platform).collect(), width));
    lines.extend(tree("referrers", list(&result["referrers"]).iter().flat_map(referrer).collect(), width));
    lines
}

/// How many things of one type are told one by one.
const FEW: u64 = 5;

/// Names with their digests below a heading, the digests whole where there is room for that; nothing where there are none.
fn tree(heading: &str, parts: Vec<(String, Value)>, width: usize) -> Vec<String> {
    let rows = |digest: fn(&Value) -> String| -> Vec<_> {
        parts.iter().map(|(name, value)| vec![name.clone(), digest(value)]).collect()
    };
    let whole = rows(cell);
    let fits = columns(&whole, false, usize::MAX).iter().all(|line| line.chars().count() + 3 <= width);
    let rows = if fits { whole } else { rows(short) };
    let heading = Some(heading.to_owned()).filter(|_| !rows.is_empty());
    heading.into_iter().chain(branches(&rows, width)).collect()
}

/// Two images, and what is not the same in both.
fn difference(result: &Value, width: usize) -> Vec<String> {
    let (from, to) = (&result["from"], &result["to"]);
    let pair = |key: &str, text: String| (key.to_owned(), text);
    let mut known = vec![pair("from", cell(&from["reference"])), pair("to", cell(&to["reference"]))];
    if from["digest"] == to["digest"] {
        known.push(pair("digest", cell(&to["digest"])));
        return [pairs(&known, width), vec!["same image".to_owned()]].concat();
    }
    let size = |value: &Value| value.as_u64().map_or(String::new(), show::bytes);
    let looks = [("version", cell as fn(&Value) -> String), ("digest", short), ("created", moment), ("size", size)];
    for (key, look) in looks {
        let sides = [look(&from[key]), look(&to[key])];
        if sides.iter().any(|side| !side.is_empty()) {
            known.push(pair(key, arrow(sides)));
        }
    }
    let layers = &result["layers"];
    let count = |key: &str| layers[key].as_u64().unwrap_or_default();
    let (new, all) = (count("new"), count("shared").saturating_add(count("new")));
    known.push(pair("layers", format!("{new} of {all} are new, {} to pull", show::bytes(count("bytes")))));
    let mut lines = pairs(&known, width);
    let of = |mark: &str, labels: &Value, text: fn(&Value) -> String| -> Vec<(String, String)> {
        let labels = labels.as_object().into_iter().flatten();
        labels.map(|(key, value)| (format!("{mark} {}", line(key)), text(value))).collect()
    };
    let labels = &result["labels"];
    let changed = |value: &Value| arrow([cell(&value["from"]), cell(&value["to"])]);
    let changes =
        [of("~", &labels["changed"], changed), of("+", &labels["added"], cell), of("-", &labels["removed"], cell)];
    if changes.iter().any(|change| !change.is_empty()) {
        lines.push("labels".to_owned());
        lines.extend(pairs(&changes.concat(), width.saturating_sub(2)).into_iter().map(|line| format!("  {line}")));
    }
    let platform = |one: &Value| vec![cell(&one["platform"]), cell(&one["state"])];
    lines.push("platforms".to_owned());
    lines.extend(branches(&list(&result["platforms"]).iter().map(platform).collect::<Vec<_>>(), width));
    lines
}

/// What something was and is, said once where it has stayed as it was.
fn arrow([from, to]: [String; 2]) -> String {
    let shown = |text: &String| if text.is_empty() { "none".to_owned() } else { text.clone() };
    if from == to { to } else { format!("{} → {}", shown(&from), shown(&to)) }
}

/// One line a check, with what to do below it.
fn checkup(result: &Value, sentence: &str, screen: Screen) -> Vec<String> {
    let checks = list(&result["checks"]);
    let lengths = |key: &str| checks.iter().map(|check| cell(&check[key]).len()).max().unwrap_or_default();
    let (states, names) = (lengths("state"), lengths("name"));
    let width = screen.columns.saturating_sub(states + names + 4);
    let mut lines = Vec::new();
    for check in checks {
        let state = cell(&check["state"]);
        let mut lead = format!("{state:states$}  {:names$}  ", cell(&check["name"]));
        let blank = " ".repeat(lead.len());
        lead = match state.as_str() {
            "fail" => lead.replacen("fail", &screen.refused("fail"), 1),
            state => lead.replacen("warn", &screen.moved("warn", state == "warn"), 1),
        };
        let hint = Some(cell(&check["hint"])).filter(|hint| !hint.is_empty()).map(|hint| format!("hint: {hint}"));
        for line in [cell(&check["message"])].into_iter().chain(hint).flat_map(|text| folded(&text, width)) {
            lines.push(std::mem::replace(&mut lead, blank.clone()) + &line);
        }
    }
    lines.extend(folded(&line(sentence), screen.columns));
    lines
}

/// What became of each image, with one line a tag, and how to undo it.
fn promotions(result: &Value, sentence: &str, screen: Screen) -> Vec<String> {
    let mut lines = Vec::new();
    match result["images"].as_array() {
        Some(images) => {
            lines.extend(images.iter().flat_map(|image| promotion(image, &result["record"]["command"], screen)));
            lines.extend(folded(&line(sentence), screen.columns));
        }
        None => lines.extend(promotion(result, &result["record"]["command"], screen)),
    }
    let undo = list(&result["rollback"]);
    if result["dryRun"] != true && !undo.is_empty() {
        lines.push("undo:".to_owned());
        let words = |argv| list(argv).iter().map(cell).collect::<Vec<_>>();
        lines.extend(undo.iter().flat_map(|argv| typed(&words(argv), screen.columns)));
    }
    lines
}

/// One image: a part for each place that it goes to.
fn promotion(image: &Value, command: &Value, screen: Screen) -> Vec<String> {
    let places = match image["targets"].as_array() {
        Some(targets) => targets.iter().collect(),
        None => vec![image],
    };
    places.into_iter().flat_map(|place| promoted(image, place, command, screen)).collect()
}

/// One line a tag, and what was brought along.
fn promoted(image: &Value, place: &Value, command: &Value, screen: Screen) -> Vec<String> {
    let width = screen.columns;
    let dry = image["dryRun"] == true;
    let (reference, repository) = (cell(&image["source"]["reference"]), cell(&place["repository"]));
    let is_here = reference.strip_prefix(&repository).is_some_and(|rest| rest.starts_with([':', '@']));
    let into = if is_here { String::new() } else { format!(" into {repository}") };
    let tags = list(&place["tags"]);
    let copied = |key: &str| place["copied"][key].as_u64().unwrap_or_default();
    let is_idle = copied("blobs") + copied("mounted") == 0
        && tags.iter().all(|tag| matches!(tag["action"].as_str(), Some("unchanged" | "left" | "kept")));
    let is_kept = tags.iter().any(|tag| tag["action"] == "kept");
    let heading = match (command == "rollback", dry) {
        (true, _) if is_idle => format!("nothing to do: {repository} is rolled back already"),
        (false, _) if is_idle && is_kept => {
            format!("nothing to do for {reference} ({}){into}", short(&image["digest"]))
        }
        (false, _) if is_idle => {
            format!("nothing to do: {reference} ({}) is promoted{into} already", short(&image["digest"]))
        }
        // A version that a tag is back at stands in the sentence alone.
        (true, _) => cell(&image["summary"]),
        (false, true) => format!("would promote {reference} ({}){into}", short(&image["digest"])),
        (false, false) => format!("promoted {reference} ({}){into}", short(&image["digest"])),
    };
    let mut lines = folded(&heading, width);
    let either =
        |version: &Value, digest: &Value| Some(cell(version)).filter(|v| !v.is_empty()).unwrap_or(short(digest));
    let tag = |tag: &Value| {
        let before = either(&tag["beforeVersion"], &tag["before"]);
        let version = if tag["after"] == image["digest"] { &image["version"] } else { &Value::Null };
        let after = either(version, &tag["after"]);
        let action = cell(&tag["action"]);
        let change = match action.as_str() {
            "moved" | "superseded" => format!("{before} → {after}"),
            "unchanged" | "kept" | "left" => before,
            _ => after,
        };
        let unseen = if tag["verified"] == false { ", not seen yet" } else { "" };
        vec![cell(&tag["tag"]), change, format!("{action}{unseen}")]
    };
    let rows = columns(&tags.iter().map(tag).collect::<Vec<_>>(), false, width.saturating_sub(2));
    let moves = |tag: &Value| matches!(tag["action"].as_str(), Some("moved" | "superseded"));
    lines.extend(tags.iter().zip(rows).map(|(tag, row)| screen.moved(&format!("  {row}"), moves(tag))));
    if copied("blobs") > 0 {
        lines.push(format!("copied  {} blobs, {}", copied("blobs"), show::bytes(copied("bytes"))));
    }
    if copied("mounted") > 0 {
        lines.push(format!("mounted  {} blobs", copied("mounted")));
    }
    lines
}

/// A command as it can be typed again, on as many lines as it takes.
fn typed(words: &[String], width: usize) -> Vec<String> {
    let mut lines = vec![" ".to_owned()];
    for word in words {
        let word = shell::quote(word);
        let last = lines.len() - 1;
        // Room for what says that the command goes on.
        if lines[last].trim().is_empty() || lines[last].chars().count() + 1 + word.chars().count() + 2 <= width {
            lines[last] += &format!(" {word}");
        } else {
            lines[last] += " \\";
            lines.push(format!("    {word}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::CALL;
    use crate::cli::defs::COMMANDS;
    use serde_json::json;

    const PLAIN: Screen = Screen { columns: 100, colour: false };

    #[test]
    fn a_record_of_any_form_is_a_row() {
        let digest = "sha256:2467338c9cf8ecad8ca45b95078b55d4c9727724fa73898418f124bc05b6309b";
        let record = |at: &str, tags: Value, claimed: Value, identity: Value| {
            json!({"at": at, "version": "1.2.3", "tags": tags,
            "source": {"digest": digest}, "claimed": claimed, "identity": identity})
        };
        let moved = json!([{"tag": "1.2.3-rc", "action": "created"}, {"tag": "latest", "action": "moved"}, {"tag": "x", "action": "unchanged"}]);
        let records = [
            record(
                "2026-08-21T10:00:00Z",
                moved,
                json!({"user": "mo", "job": "nightly"}),
                json!({"target": {"name": "robot"}}),
            ),
            record("2026-08-20\n10:00, or so", json!([]), json!("damaged"), json!(7)),
            record(
                "2026-08-19T10:00:00Z",
                json!(3),
                json!({"user": "mo", "job": "release", "build": "7"}),
                Value::Null,
            ),
        ];
        let shown = of("history", &json!({"records": records}), "`app` has 3 records", PLAIN);
        let expected = "WHEN                      VERSION  TAGS              FROM                 BY\n\
            2026-08-21 10:00          1.2.3    1.2.3-rc, latest  sha256:2467338c9cf8  robot, nightly\n\
            2026-08-20\\n10:00, or so  1.2.3                      sha256:2467338c9cf8\n\
            2026-08-19 10:00          1.2.3                      sha256:2467338c9cf8  mo, release #7\n\n\
            `app` has 3 records\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_was_copied_stands_below_the_tags() {
        let tags = json!([{"tag": "latest", "action": "unchanged", "before": "sha256:0"}]);
        for (copied, expected) in [
            (json!({"blobs": 2, "mounted": 0, "bytes": 2048}), "copied  2 blobs, 2.0 KiB\n"),
            (json!({"blobs": 0, "mounted": 3, "bytes": 0}), "mounted  3 blobs\n"),
            (json!({"blobs": 0, "mounted": 0, "bytes": 0}), ""),
        ] {
            let shown = of("promote", &json!({"tags": tags, "copied": copied}), "the sentence", PLAIN);
            let below: String = shown.split_inclusive('\n').filter(|line| line.contains("blobs")).collect();
            assert_eq!(below, expected, "{shown}");
            // Whatever was brought along was something to do.
            assert_eq!(shown.starts_with("nothing to do"), expected.is_empty(), "{shown}");
        }
    }

    #[test]
    fn what_points_at_an_image_is_told_up_to_five_of_a_kind_and_with_whole_digests_where_they_fit() {
        let digests = |count| vec![format!("sha256:{}", "0123456789abcdef".repeat(4)); count];
        let kind = |name: &str, count| json!({"artifactType": name, "count": count, "digests": digests(count)});
        let result = json!({"referrers": [kind("some", 5), kind("more", 6)]});
        // Three for the branch, four for the kind, two between, and 71.
        for (columns, digest) in [(80, digests(1)[0].as_str()), (79, "sha256:0123456789ab")] {
            let shown = of("inspect", &result, "the sentence", Screen { columns, colour: false });
            let expected = format!("referrers\n{}└─ more  6\n", format!("├─ some  {digest}\n").repeat(5));
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn labels_stand_between_the_layers_and_the_platforms_where_some_are_not_the_same() {
        let changed = json!({"c": {"from": "1", "to": "2"}});
        for (labels, expected) in [
            (
                json!({"added": {"a": "1"}, "removed": {"r": "1"}, "changed": changed}),
                "labels\n  ~ c  1 → 2\n  + a  1\n  - r  1\n",
            ),
            (json!({"added": {}, "removed": {"r": "1"}, "changed": {}}), "labels\n  - r  1\n"),
            (json!({"added": {}, "removed": {}, "changed": {}}), ""),
        ] {
            let result = json!({"from": {"digest": "sha256:0"}, "to": {"digest": "sha256:1"}, "labels": labels});
            let shown = of("diff", &result, "the sentence", PLAIN);
            assert!(shown.contains(&format!(" to pull\n{expected}platforms\n")), "{shown}");
        }
    }

    #[test]
    fn what_a_check_has_failed_at_or_warns_of_has_a_colour() {
        let check = |state: &str| json!({"state": state, "name": "clock", "message": "it is said"});
        let result = json!({"checks": (["ok", "warn", "fail"].map(check))});
        let shown = of("doctor", &result, "the sentence", Screen { colour: true, ..PLAIN });
        let expected = ["ok   ", "\x1b[33mwarn\x1b[0m ", "\x1b[31mfail\x1b[0m "]
            .map(|state| format!("{state} clock  it is said\n"));
        assert_eq!(shown, expected.concat() + "the sentence\n");
    }

    #[test]
    fn a_command_goes_on_in_the_next_line_where_a_word_and_what_says_so_have_no_room() {
        let words = ["tagwright", "promote", "a:1"].map(str::to_owned);
        for (width, expected) in [
            (25, &["  tagwright promote a:1"][..]),
            (24, &["  tagwright promote \\", "    a:1"]),
            (21, &["  tagwright promote \\", "    a:1"]),
            (20, &["  tagwright \\", "    promote a:1"]),
        ] {
            assert_eq!(typed(&words, width), expected, "{width}");
        }
    }

    #[test]
    fn every_command_has_text_and_values() {
        for command in COMMANDS.iter().filter(|command| command.name != CALL) {
            let shown = of(command.name, &json!({}), "the sentence", PLAIN);
            assert!(!shown.contains('{') && !values(command.name).is_empty(), "{}: {shown}", command.name);
        }
    }
}
