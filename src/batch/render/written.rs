//! Shows the texts of a case as they were written, beside what they become.

use crate::batch::message::{Case, Script, TextFormat};
use crate::batch::render::format_of;
use crate::batch::render::mapping::Mapping;
use crate::batch::render::text::{code_block, gherkin, html};

/// A text whose form changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenText {
    /// Its place in the case, such as `description` or `steps/0/action`.
    pub place: String,
    /// The format in which it is read.
    pub format: TextFormat,
    /// The text as it was written.
    pub written: String,
    /// The HTML that it becomes.
    pub sent: String,
}

/// Returns the texts of a case that do not simply become one paragraph, in the order of the contract.
pub fn changed_texts(case: &Case, mapping: &Mapping) -> Vec<WrittenText> {
    let format = format_of(case, mapping);
    let mut texts = Vec::new();
    let mut add = |place: String, written: &str, sent: String, format| {
        let is_same = sent.strip_prefix("<p>").and_then(|rest| rest.strip_suffix("</p>")) == Some(written);
        if !is_same {
            texts.push(WrittenText { place, format, written: written.to_owned(), sent });
        }
    };
    for (place, text) in [("description", &case.description), ("preconditions", &case.preconditions)] {
        if let Some(text) = text {
            add(place.into(), text, html(text, format), format);
        }
    }
    match &case.script {
        Script::Steps(steps) => {
            for (index, step) in steps.iter().enumerate() {
                let parts = [("action", Some(&step.action)), ("data", step.data.as_ref())];
                for (part, text) in parts.into_iter().chain([("expected", step.expected.as_ref())]) {
                    if let Some(text) = text {
                        add(format!("steps/{index}/{part}"), text, html(text, format), format);
                    }
                }
            }
        }
        Script::Gherkin(text) => {
            let sent = if mapping.gherkin.is_some() { gherkin(text) } else { code_block(text) };
            add("gherkin".into(), text, sent, TextFormat::Plain);
        }
        Script::None => {}
    }
    texts
}
