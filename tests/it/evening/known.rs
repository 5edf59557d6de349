//! Remembers which commands outputs have named, as a person does who knows no other.

use super::desk::Desk;

const PROGRAM: &str = "testmo-courier ";

/// What a person has read so far.
#[derive(Default)]
pub(super) struct Known {
    text: String,
    /// Commands without the name of the program.
    commands: Vec<Vec<String>>,
}

impl Known {
    /// Reads an output.
    pub(super) fn read(&mut self, lines: &[String]) {
        for line in lines {
            self.text.push_str(line);
            self.text.push('\n');
            let quoted = line.split('`').skip(1).step_by(2);
            let rest = line.split('`').step_by(2).filter_map(|part| Some(part.split_once(PROGRAM)?.1));
            let rest = rest.map(|command| command.split("  ").next().unwrap_or_default());
            let all = quoted.filter_map(|part| part.strip_prefix(PROGRAM)).chain(rest);
            self.commands.extend(all.map(|command| words(command.split(" > ").next().unwrap_or_default())));
        }
    }

    /// Returns what a command has that was nowhere to be read: it has to be one that was named, with options of its help.
    pub(super) fn unknown(&self, line: &str, desk: &Desk<'_>) -> Option<String> {
        let line = line.split(" > ").next().unwrap_or_default();
        let command = words(line.strip_prefix(PROGRAM).expect("a command of the program"));
        if command == ["--help"] {
            return None;
        }
        let named = self.commands.iter().filter(|named| self.fits(named, &command)).map(Vec::len).max();
        let Some(named) = named else { return Some(format!("no output has named: {line}")) };
        let is_part =
            |word: &&String| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
        let parts: Vec<String> = command.iter().take(2).take_while(is_part).cloned().collect();
        let (_, help) = desk.run(&format!("{PROGRAM}{} --help", parts.join(" ")));
        let is_option = |option: &str| help.iter().any(|line| line.trim_start().split(' ').any(|word| word == option));
        let mut value_is_next = false;
        for word in &command[named..] {
            let begins_an_option = word.starts_with("--");
            if begins_an_option && !is_option(word) {
                return Some(format!("{word} is no option of {parts:?}"));
            }
            if !begins_an_option && !value_is_next {
                return Some(format!("nobody says to add {word} to: {line}"));
            }
            value_is_next = begins_an_option;
        }
        None
    }

    /// Returns whether a command begins as one that was named; words in capitals stand for others.
    fn fits(&self, named: &[String], command: &[String]) -> bool {
        let is_read = |word: &str| self.text.contains(word);
        let fits = |(named, word): (&String, &String)| match named.as_str() {
            "TEXT" | "FILE" => true,
            same if same == word => true,
            name if is_placeholder(name) || is_entry(name) => is_read(word) && (is_entry(word) || is_placeholder(name)),
            _ => false,
        };
        named.len() <= command.len() && named.iter().zip(command).all(fits)
    }
}

fn is_placeholder(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_uppercase() || "/=[]_".contains(c))
}

/// Returns whether a word is the name of an entry of the shelf: an id, or a batch with its tenant.
fn is_entry(word: &str) -> bool {
    word.contains('/') || (word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit()))
}

/// Splits a command as a shell does; only single quotes are known.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted, mut is_begun) = (Vec::new(), String::new(), false, false);
    for c in command.chars() {
        match c {
            '\'' => (is_quoted, is_begun) = (!is_quoted, true),
            ' ' if !is_quoted => {
                words.extend((is_begun || !word.is_empty()).then(|| std::mem::take(&mut word)));
                is_begun = false;
            }
            c => word.push(c),
        }
    }
    words.extend((is_begun || !word.is_empty()).then_some(word));
    words
}

#[test]
fn only_what_was_printed_is_known() {
    let mut known = Known::default();
    let lines = [
        "  testmo-courier shelf edit 0000003f  # corrects one of them",
        "To replay it: testmo-courier replay --group c-1",
        "`testmo-courier replays watch 2` shows how; acme/b-1; `testmo-courier tenants set acme --mapping FILE`",
        "  testmo-courier batches compare TENANT   what is there",
    ];
    known.read(&lines.map(str::to_owned));
    let fits = |command: &str| known.commands.iter().any(|named| known.fits(named, &words(command)));
    for command in [
        "shelf edit 0000003f --replay",
        "shelf edit acme/b-1",
        "replay --group c-1 --unchanged",
        "replays watch 2",
        "tenants set acme --mapping 'my file.json'",
        "batches compare acme",
    ] {
        assert!(fits(command), "{command}");
    }
    for command in [
        "shelf edit birch/b-1",
        "replay --group c-2",
        "replays cancel 2",
        "shelf show 0000003f",
        "batches compare birch",
    ] {
        assert!(!fits(command), "{command}");
    }
}
