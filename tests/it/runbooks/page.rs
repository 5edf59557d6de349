//! Reads a runbook as a person does who types its commands, and remembers which of them were carried out.

use std::fs;
use std::path::Path;

use super::desk::Desk;
use crate::support::excerpt;

/// The page that says what the words in capitals stand for.
const NOTATION: &str = "docs/operating.md";

/// The commands of a runbook, with what each of them prints.
pub(super) struct Page {
    alert: &'static str,
    blocks: Vec<Block>,
    is_done: bool,
}

/// Commands between two fences, under a heading such as `Fix`.
pub(super) struct Block {
    pub(super) heading: String,
    pub(super) commands: String,
    /// The lines that the page shows of the output, if it shows some.
    pub(super) shown: Vec<String>,
    is_carried_out: bool,
}

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the text of an alert's runbook.
pub(super) fn text_of(alert: &str) -> String {
    text(&format!("docs/runbooks/{alert}.md"))
}

/// Returns the words that a person replaces, as the table of the notation lists them.
pub(super) fn placeholders() -> Vec<String> {
    let page = text(NOTATION);
    let (_, table) = page.split_once("| in a runbook | stands for |").expect("a table of the notation");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| `"));
    rows.filter_map(|row| row.split('`').nth(1)).map(str::to_owned).collect()
}

/// Returns the words in capitals of a command, such as `TENANT`.
pub(super) fn capitals(command: &str) -> impl Iterator<Item = &str> {
    let words = command.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

/// Returns a text with the words of a notation replaced, whole words only.
fn filled(text: &str, values: &[(&str, &str)]) -> String {
    let (mut filled, mut word) = (String::new(), String::new());
    let value = |word: &str| {
        values.iter().find(|(name, _)| *name == word).map_or(word.to_owned(), |(_, value)| (*value).into())
    };
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        filled.push_str(&value(&word));
        word.clear();
        filled.push(c);
    }
    filled.pop();
    filled
}

/// Returns the blocks of a page; a block in a list is indented as its item.
pub(super) fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut lines, mut heading): (Vec<Block>, _, _) = (Vec::new(), page.lines(), String::new());
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.to_owned();
        }
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        let indent = line.len() - line.trim_start().len();
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        let block: Vec<String> = block.map(|line| line.get(indent..).unwrap_or_default().to_owned()).collect();
        match language {
            "sh" => blocks.push(Block {
                heading: heading.clone(),
                commands: block.join("\n"),
                shown: Vec::new(),
                is_carried_out: false,
            }),
            "text" => blocks.last_mut().expect("commands before their output").shown = block,
            other => panic!("a block in {other:?} is neither commands nor their output: {block:?}"),
        }
    }
    blocks
}

impl Page {
    pub(super) fn of(alert: &'static str) -> Self {
        Self { alert, blocks: blocks(&text_of(alert)), is_done: false }
    }

    /// Carries out the block that contains some words, with the values of the words in capitals; it must end with a success
    /// and print what the page shows. Returns the output.
    pub(super) async fn follow(&mut self, desk: &mut Desk, words: &str, values: &[(&str, &str)]) -> String {
        self.finds(desk, words, values, 0).await
    }

    /// Does the same with a block whose last command ends with another exit code, such as 1 for a finding.
    pub(super) async fn finds(&mut self, desk: &mut Desk, words: &str, values: &[(&str, &str)], code: i32) -> String {
        let alert = self.alert;
        let block = self.blocks.iter_mut().find(|block| block.commands.contains(words));
        let block = block.unwrap_or_else(|| panic!("{alert}: no block contains {words:?}"));
        block.is_carried_out = true;
        let commands = filled(&block.commands, values);
        let left: Vec<&str> = capitals(&commands).collect();
        let open = placeholders().into_iter().find(|name| left.contains(&name.as_str()));
        assert_eq!(open, None, "{alert}: a word is not replaced in {commands}");
        let (ended, said) = desk.run(&commands).await;
        assert_eq!(ended, Some(code), "{alert}: {commands}\n{said}");
        let lines: Vec<String> = said.lines().map(|line| line.trim_end().to_owned()).collect();
        let shown: Vec<String> = block.shown.iter().map(|line| filled(line, values)).collect();
        if !shown.is_empty() {
            let missing = excerpt::missing(&shown, &lines);
            assert_eq!(missing, None, "{alert}: {commands}\nprints\n{said}");
        }
        said
    }

    /// Ends the work with a page; every block must have been carried out.
    pub(super) fn done(mut self) {
        self.is_done = true;
        let left: Vec<&str> =
            self.blocks.iter().filter(|block| !block.is_carried_out).map(|block| block.commands.as_str()).collect();
        assert!(left.is_empty(), "{}: nothing carries out {left:#?}", self.alert);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        assert!(self.is_done || std::thread::panicking(), "{} was dropped without `done`", self.alert);
    }
}

#[test]
fn blocks_are_read_with_what_they_print_and_only_whole_words_are_replaced() {
    let page = "# T\n## Diagnose\n- A:\n\n  ```sh\n  a TENANT\n  b\n  ```\n  ```text\n  c TENANT\n    d\n  ```\n## Fix\n```sh\ne\n```\n";
    let read = blocks(page);
    let parts: Vec<_> = read.iter().map(|block| (block.heading.as_str(), block.commands.as_str())).collect();
    assert_eq!(parts, [("Diagnose", "a TENANT\nb"), ("Fix", "e")]);
    assert_eq!(read[0].shown, ["c TENANT", "  d"]);
    assert_eq!(
        filled("a TENANT/BATCH --tenant=TENANT TENANTS", &[("TENANT", "acme")]),
        "a acme/BATCH --tenant=acme TENANTS"
    );
    assert_eq!(capitals("a TENANT/ID --state B").collect::<Vec<_>>(), ["TENANT", "ID"]);
}
