//! Finds which file names which: by `use` lines and by paths in the code, through the re-exports of folders.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, is_word};

/// The files that each file names, both by the paths of their modules.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// Returns which file names which.
pub(crate) fn graph(modules: &BTreeMap<String, Source>) -> Graph {
    let file = |(name, source): (_, &Source)| (String::as_str(name), File::of(name, &source.names));
    let files: BTreeMap<&str, File> = modules.iter().map(file).collect();
    let named = |name: &str, file: &File| -> BTreeSet<String> {
        let all = file.paths.iter().filter_map(|path| owner(&files, path, 0));
        all.filter(|owner| owner != name).collect()
    };
    files.iter().map(|(name, file)| ((*name).to_owned(), named(name, file))).collect()
}

/// The paths that a file names and re-exports, from the root of the crate.
struct File {
    paths: BTreeSet<Vec<String>>,
    exported: BTreeMap<String, Vec<String>>,
}

impl File {
    fn of(module: &str, code: &str) -> Self {
        let here = Here { module: split(module), children: declared(code) };
        let mut file = Self { paths: BTreeSet::new(), exported: BTreeMap::new() };
        let mut body = String::new();
        let mut exports = Vec::new();
        let mut rest = code;
        while let Some((at, use_at)) = next_use(rest) {
            body.push_str(&rest[..at]);
            let end = rest[use_at..].find(';').map_or(rest.len(), |end| use_at + end);
            let is_export = rest[at..use_at].starts_with("pub");
            for (path, name) in leaves(&rest[use_at + 4..end]) {
                let Some(path) = here.rooted(&path) else { continue };
                if is_export {
                    exports.push((name, path));
                } else {
                    file.paths.insert(path);
                }
            }
            rest = &rest[end..];
        }
        body.push_str(rest);
        // A declaration or a visibility names a module without using it.
        let lines = body.lines().filter(|line| declares(line).is_none());
        let body = without_visibility(&lines.collect::<Vec<_>>().join("\n"));
        file.paths.extend(paths_in(&body).iter().filter_map(|path| here.rooted(path)));
        let words: BTreeSet<&str> = body.split(|c| !is_word(c)).collect();
        for (name, path) in exports {
            // The file itself does not use names that it only re-exports.
            if words.contains(name.as_str()) {
                file.paths.insert(path.clone());
            }
            file.exported.insert(name, path);
        }
        file
    }
}

/// The file in which a path is written.
struct Here {
    module: Vec<String>,
    children: BTreeSet<String>,
}

impl Here {
    /// Returns a path from the root of the crate, or `None` if it leads to another crate.
    fn rooted(&self, path: &[String]) -> Option<Vec<String>> {
        let first = path.first()?.as_str();
        let ups = path.iter().take_while(|segment| *segment == "super").count();
        match first {
            "crate" | "testmo_courier" => Some(path[1..].to_vec()),
            "self" => Some([&self.module[..], &path[1..]].concat()),
            "super" => Some([&self.module[..self.module.len().checked_sub(ups)?], &path[ups..]].concat()),
            child if self.children.contains(child) => Some([&self.module[..], path].concat()),
            _ => None,
        }
    }
}

fn split(module: &str) -> Vec<String> {
    module.split("::").filter(|segment| *segment != "crate").map(str::to_owned).collect()
}

/// Returns the code without the paths of `pub(in …)`.
fn without_visibility(code: &str) -> String {
    let mut parts = code.split("pub(in ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |code, part| code + "pub " + part.split_once(')').map_or(part, |(_, rest)| rest))
}

/// Returns the modules that a file declares.
fn declared(code: &str) -> BTreeSet<String> {
    code.lines().filter_map(declares).map(str::to_owned).collect()
}

/// Returns the module that a line declares.
fn declares(line: &str) -> Option<&str> {
    let (before, name) = line.trim().strip_suffix(';')?.split_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then_some(name)
}

/// Returns where the next `use` line begins, with its visibility, and where its `use` stands.
fn next_use(code: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let use_at = from + code[from..].find("use ")?;
        let line = code[..use_at].rfind('\n').map_or(0, |at| at + 1);
        let before = code[line..use_at].trim();
        if before.is_empty() || before.starts_with("pub") && !before.contains('{') {
            return Some((use_at - code[line..use_at].trim_start().len(), use_at));
        }
        from = use_at + 4;
    }
}

/// Returns the paths of a `use` tree, each with the name it has in the file.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    let (head, group) = match tree.find('{') {
        Some(at) => (&tree[..at], Some(tree[at + 1..].trim_end().trim_end_matches('}'))),
        None => (tree, None),
    };
    let (head, alias) = head.split_once(" as ").map_or((head, None), |(head, alias)| (head, Some(alias.trim())));
    let mut path: Vec<String> =
        head.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    let Some(group) = group else {
        path.pop_if(|last| last == "*" || last == "self");
        let name = alias.or(path.last().map(String::as_str)).unwrap_or_default().to_owned();
        return vec![(path, name)];
    };
    let inner = parts(group).into_iter().flat_map(leaves);
    inner
        .map(|(rest, name)| {
            let name = if rest.is_empty() { path.last().cloned().unwrap_or_default() } else { name };
            ([&path[..], &rest[..]].concat(), name)
        })
        .collect()
}

/// Splits the inside of a group at its own commas.
fn parts(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&group[start..]);
    found.retain(|part| !part.trim().is_empty());
    found
}

/// Returns the paths with `::` that code holds outside `use` lines.
fn paths_in(code: &str) -> BTreeSet<Vec<String>> {
    let words = code.split(|c| !is_word(c) && c != ':').filter(|word| word.contains("::"));
    words.map(|word| word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()).collect()
}

/// Returns the file that a path leads to: the one that defines the name, not those that re-export it.
fn owner(files: &BTreeMap<&str, File>, path: &[String], hops: usize) -> Option<String> {
    let length = (1..=path.len()).rev().find(|length| files.contains_key(path[..*length].join("::").as_str()))?;
    let module = path[..length].join("::");
    let exported = path.get(length).and_then(|name| files[module.as_str()].exported.get(name));
    match exported {
        Some(exported) if hops < 10 => {
            owner(files, &[&exported[..], &path[length + 1..]].concat(), hops + 1).or(Some(module))
        }
        Some(_) | None => Some(module),
    }
}

#[test]
fn use_lines_and_paths_are_followed_to_the_file_that_defines_the_name() {
    let modules = [
        ("a", "pub mod b;\nmod c;\npub use self::b::B as Bee;\nuse c::C;\nfn f() { b::g() }"),
        ("a::b", "use super::{c::{self, C}, A};\npub struct B;"),
        ("a::c", "use crate::d::Bee;\nfn h() { super::super::d::i::<std::fmt::Error>() }"),
        ("d", "pub use crate::a::Bee;\npub(crate) use crate::a::c::C;\nfn j() { C }"),
    ];
    let modules = modules.map(|(name, code)| (name.to_owned(), Source::of(code))).into();
    let names = |file: &str| graph(&modules)[file].iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names("a"), "a::b a::c");
    assert_eq!(names("a::b"), "a a::c");
    assert_eq!(names("a::c"), "a::b d");
    assert_eq!(names("d"), "a::c");
}
