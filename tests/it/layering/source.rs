//! Reads the source files of the crate as modules, without comments, texts and test code.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// The code of a file, without comments and test code.
pub(crate) struct Source {
    /// The code with its texts.
    pub(crate) code: String,
    /// The code with every text blank, so that only real names look like names.
    pub(crate) names: String,
}

/// Returns every file below `src` by the path of its module, such as `store::shelf`.
pub(crate) fn modules() -> BTreeMap<String, Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    walk(&src, "", &mut found);
    assert!(found.len() > 100, "only {} files below {}", found.len(), src.display());
    found
}

impl Source {
    pub(crate) fn of(text: &str) -> Self {
        let names = blanked(text, true);
        let kept = outside_tests(&names);
        let keep = |code: &str| kept.iter().map(|range| &code[range.clone()]).collect();
        Self { code: keep(&blanked(text, false)), names: keep(&names) }
    }
}

fn walk(folder: &Path, above: &str, found: &mut BTreeMap<String, Source>) {
    for entry in fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("an entry of a source folder").path();
        let name = path.file_stem().expect("a file name").to_string_lossy().into_owned();
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if name == "tests" || name == "snapshots" {
            continue;
        }
        let module = match (above, name.as_str()) {
            ("", "lib") => "crate".to_owned(),
            ("", _) => name,
            (_, "mod") => above.to_owned(),
            (_, _) => format!("{above}::{name}"),
        };
        if path.is_dir() {
            walk(&path, &module, found);
        } else if is_rust {
            let text = fs::read_to_string(&path).expect("a source file");
            found.insert(module, Source::of(&text));
        }
    }
}

/// Returns code of the same length in which comments are blank, and texts too if `texts` is set.
fn blanked(source: &str, texts: bool) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let (length, is_blank) = match c {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), true),
            '/' if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |end| end + 2), true),
            'r' if !code.ends_with(is_word) => (raw_text(rest), texts),
            '"' => (text(rest), texts),
            '\'' => (letter(rest), texts),
            _ => (0, false),
        };
        let (part, behind) = rest.split_at(length.max(c.len_utf8()));
        match is_blank && length > 0 {
            true => code.extend(part.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' })),
            false => code.push_str(part),
        }
        rest = behind;
    }
    code
}

/// Returns the length of the raw text at the start, or 0 if there is none.
fn raw_text(code: &str) -> usize {
    let after = &code[1..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after[hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = hashes + 2;
    code[start..].find(&end).map_or(code.len(), |at| start + at + end.len())
}

/// Returns the length of the text at the start.
fn text(code: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in code.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Returns the length of the character literal at the start, or 0 if a lifetime begins there.
fn letter(code: &str) -> usize {
    let mut chars = code.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => code[3..].find('\'').map_or(0, |at| at + 4),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// Returns the parts of the code outside the items that only test builds have.
fn outside_tests(code: &str) -> Vec<Range<usize>> {
    const MARK: &str = "#[cfg(test)]";
    let (mut kept, mut from) = (Vec::new(), 0);
    while let Some(at) = code[from..].find(MARK) {
        kept.push(from..from + at);
        let item = from + at + MARK.len();
        from = item + end_of_item(&code[item..]);
    }
    kept.push(from..code.len());
    kept
}

/// Returns where the item at the start ends: after its block, or after its semicolon.
fn end_of_item(code: &str) -> usize {
    let mut depth = 0_usize;
    let mut is_use = false;
    for (at, c) in code.char_indices() {
        match c {
            'u' if depth == 0 && code[at..].starts_with("use ") => is_use = true,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 && !is_use {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn comments_texts_and_test_code_are_not_read() {
    let source = "use crate::a; // use crate::b;\nconst T: &str = \"use crate::c; \\\" \";\nconst R: &str = r#\"crate::d \"quoted\" \"#;\n\
        fn f<'a>(x: &'a str) -> bool { x.contains('\"') && x.contains('\\'') }\n#[cfg(test)]\nuse crate::e::{F, G};\n\
        #[cfg(test)]\nmod tests { fn g() { crate::h() } }\nuse crate::i;\n";
    let source = Source::of(source);
    let named = |code: &str| code.split("crate::").skip(1).map(|rest| rest[..1].to_owned()).collect::<String>();
    assert_eq!((named(&source.names).as_str(), named(&source.code).as_str()), ("ai", "acdi"), "{}", source.code);
}
