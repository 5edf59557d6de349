//! Collects names that only the source text holds: members of printed JSON, and fields of log lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose JSON is printed or served to programs.
const JSON_FOLDERS: [&str; 3] = ["cli", "app", "worker"];

/// Returns the members of all objects that are printed as JSON.
pub(super) fn json_members(root: &Path) -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    for text in JSON_FOLDERS.iter().flat_map(|folder| sources(&root.join(folder))) {
        for body in arguments(&text, "json!(") {
            let quoted: Vec<&str> = body.split('"').collect();
            // A quoted word is a member where a colon follows it.
            members.extend(quoted.windows(3).filter(|part| part[2].starts_with(": ")).map(|part| part[1].to_owned()));
        }
        for rest in text.split("value[\"").skip(1) {
            if let Some((name, after)) = rest.split_once("\"]")
                && after.starts_with(" = ")
            {
                members.insert(name.to_owned());
            }
        }
    }
    sources(&root.join("app/view")).iter().for_each(|text| members.extend(serialized_fields(text)));
    members
}

/// Returns the members of the structs in a text that are printed as they are.
fn serialized_fields(text: &str) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    let derives = text.split("#[derive(").skip(1);
    for body in derives.filter(|rest| rest.split(")]").next().is_some_and(|of| of.contains("Serialize"))) {
        let (mut renamed, mut is_flat) = (None, false);
        for line in body.lines().take_while(|line| *line != "}") {
            let line = line.trim();
            is_flat |= line.starts_with("#[serde(flatten");
            renamed = line.strip_prefix("#[serde(rename = \"").and_then(|rest| rest.split('"').next()).or(renamed);
            let name = line.strip_prefix("pub ").unwrap_or(line).split_once(": ").map(|(name, _)| name);
            if let Some(name) = name.filter(|name| !line.starts_with("//") && !line.starts_with('#') && is_word(name)) {
                if !std::mem::take(&mut is_flat) {
                    fields.insert(renamed.unwrap_or(name).to_owned());
                }
                renamed = None;
            }
        }
    }
    fields
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

/// Returns the fields of all log lines.
pub(super) fn log_fields(root: &Path) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for text in sources(root) {
        for level in ["error", "warn", "info", "debug", "trace"] {
            for body in arguments(&text, &format!("tracing::{level}!(")) {
                // The fields stand before the message, which is the only part that begins with a quote.
                fields.extend(parts(&body).into_iter().take_while(|part| !part.starts_with('"')).map(name_of));
            }
        }
    }
    fields
}

fn name_of(part: String) -> String {
    let name = part.split(" = ").next().unwrap_or_default();
    name.trim_start_matches(['?', '%']).to_owned()
}

/// Files that end or delay a worker in test builds only.
const TEST_BUILDS: [&str; 2] = ["crash.rs", "failpoint.rs"];

/// Returns the text of every file in a folder, without the tests at its end.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" && name != "names" {
            texts.extend(sources(&path));
        } else if name.ends_with(".rs")
            && !["tests.rs", "names.rs", "fixture.rs"].contains(&&*name)
            && !TEST_BUILDS.contains(&&*name)
        {
            let text = fs::read_to_string(&path).unwrap();
            // Some modules of tests are shared with those of other files.
            let begins = |rest: &str| rest.lines().next().is_some_and(|line| line.ends_with("mod tests {"));
            let mut marks = text.match_indices("#[cfg(test)]\n");
            let end = marks.find(|(at, mark)| begins(&text[at + mark.len()..])).map_or(text.len(), |(at, _)| at);
            texts.push(text[..end].to_owned());
        }
    }
    texts
}

/// Returns the arguments of every call of a macro.
fn arguments(text: &str, call: &str) -> Vec<String> {
    text.match_indices(call).map(|(at, _)| parts(&text[at + call.len()..]).join(", ")).collect()
}

/// Returns the arguments at the start of a text, up to the bracket that closes them.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth, mut is_quoted, mut before) = (Vec::new(), String::new(), 0, false, ' ');
    for letter in text.chars() {
        match letter {
            '"' if before != '\\' => is_quoted = !is_quoted,
            '(' | '[' | '{' if !is_quoted => depth += 1,
            ')' | ']' | '}' if !is_quoted && depth == 0 => break,
            ')' | ']' | '}' if !is_quoted => depth -= 1,
            ',' if !is_quoted && depth == 0 => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                before = letter;
                continue;
            }
            _ => {}
        }
        part.push(letter);
        before = letter;
    }
    parts.push(part.trim().to_owned());
    parts.retain(|part| !part.is_empty());
    parts
}

#[test]
fn the_fields_of_a_serialized_struct_are_members_by_their_printed_names() {
    let text = "#[derive(Clone, Serialize)]\npub struct A {\n    a: u8,\n    #[serde(rename = \"type\")]\n    kind: String,\n    \
                #[serde(flatten)]\n    rest: B,\n}\n#[derive(Clone)]\nstruct C {\n    c: u8,\n}\n";
    assert_eq!(serialized_fields(text).into_iter().collect::<Vec<_>>(), ["a", "type"]);
}

#[test]
fn arguments_end_where_their_bracket_closes() {
    assert_eq!(parts("%a, b = f(x, [1]), \"c, (d\", e) + g"), ["%a", "b = f(x, [1])", "\"c, (d\"", "e"]);
    assert_eq!(name_of("?wait".into()), "wait");
    assert_eq!(name_of("b = f(x)".into()), "b");
}
