//! Reads a page as the script of an evening: its commands, the output that it shows, its files and its stage directions.

/// A page that can be carried out, with everything between its steps as it is written.
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
}

/// A piece of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Lines that are read by people only.
    Text(Vec<String>),
    /// What happens meanwhile, in a comment that readers do not see.
    Direction(String),
    /// A file that a person writes.
    File { name: String, lines: Vec<String> },
    /// Commands.
    Commands(Vec<String>),
    /// What the commands before it print.
    Output(Vec<String>),
}

const BEGINNING: &str = "<!-- evening: ";
const END: &str = " -->";
/// What a direction begins with that names the file of the block behind it.
const FILE: &str = "writes ";

impl Script {
    /// Reads a page. Only blocks behind the first stage direction are carried out, up to the direction `ends`.
    pub(super) fn of(page: &str) -> Self {
        let (mut steps, mut lines, mut file) = (Vec::new(), page.lines(), None);
        let mut is_on = false;
        while let Some(line) = lines.next() {
            if let Some(direction) = line.strip_prefix(BEGINNING).and_then(|rest| rest.strip_suffix(END)) {
                is_on = direction != "ends";
                file = direction.strip_prefix(FILE).map(str::to_owned);
                steps.push(Step::Direction(direction.to_owned()));
                continue;
            }
            let language = line.strip_prefix("```").filter(|_| is_on);
            let Some(language) = language else {
                match steps.last_mut() {
                    Some(Step::Text(text)) => text.push(line.to_owned()),
                    Some(_) | None => steps.push(Step::Text(vec![line.to_owned()])),
                }
                continue;
            };
            let block: Vec<String> = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
            steps.push(match (language, file.take()) {
                (_, Some(name)) => Step::File { name, lines: block },
                ("sh", None) => Step::Commands(block),
                ("text", None) => Step::Output(block),
                (other, None) => panic!("a block in {other:?} is not part of an evening: {block:?}"),
            });
        }
        Self { steps }
    }

    /// Writes the page.
    pub(super) fn page(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for step in &self.steps {
            let block = match step {
                Step::Text(text) => {
                    lines.extend(text.iter().cloned());
                    continue;
                }
                Step::Direction(direction) => {
                    lines.push(format!("{BEGINNING}{direction}{END}"));
                    continue;
                }
                Step::File { lines, .. } => ("json", lines),
                Step::Commands(commands) => ("sh", commands),
                Step::Output(output) => ("text", output),
            };
            lines.push(format!("```{}", block.0));
            lines.extend(block.1.iter().cloned());
            lines.push("```".to_owned());
        }
        lines.join("\n") + "\n"
    }
}

#[test]
fn a_page_is_read_and_written_without_a_change() {
    let page = "# T\n\n```sh\nnot carried out\n```\n\n<!-- evening: begins -->\nA.\n\n```sh\na\nb\n```\n\n```text\nc\n…\n```\n\
                <!-- evening: writes x.json -->\n```json\n{}\n```\n<!-- evening: ends -->\n```sh\nd\n```\n";
    let script = Script::of(page);
    assert_eq!(script.page(), page);
    let commands: Vec<&Step> = script.steps.iter().filter(|step| matches!(step, Step::Commands(_))).collect();
    assert_eq!(commands, [&Step::Commands(vec!["a".into(), "b".into()])]);
    let file = Step::File { name: "x.json".into(), lines: vec!["{}".into()] };
    assert!(script.steps.contains(&file), "{:?}", script.steps);
}
