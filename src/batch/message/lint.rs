//! Reports every fault of a message, and every part that Testmo will show differently from how it was written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde::Serialize;

use crate::batch::message::decode::{Reading, read};
use crate::batch::message::fault::Fault;
use crate::batch::message::fingerprint::is_batch_tag;
use crate::batch::message::markdown::markdown;
use crate::batch::message::text::{excerpt, is_blank};
use crate::batch::message::{Batch, Case, MOST_BYTES_BY_DEFAULT, RequestedFolder, Script, TextFormat, Urgency};
use crate::batch::render::tag::tag;
use crate::batch::{BatchKey, TenantId};

/// The most faults that are listed: the author wants to see all, and a message with more was not meant as a batch.
const MOST_FAULTS: usize = 10_000;
/// The most characters of a quoted text.
const LONGEST_QUOTE: usize = 60;
/// The most characters of a name that is sure to be accepted.
const LONG_FOR_A_NAME: usize = 512;
/// The most cases that a finding about equal names lists.
const CASES_OF_GROUP: usize = 5;

/// HTML elements that are likely in texts for Testmo.
const ELEMENTS: [&str; 24] = [
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "div",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "span",
    "strong",
    "table",
    "td",
    "tr",
    "u",
    "ul",
];

/// One thing that was found in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Finding {
    /// The rule that found it; one of [`RULES`].
    pub rule: &'static str,
    /// Its place, what was found, and what to do.
    #[serde(flatten)]
    pub fault: Fault,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.fault, self.rule)
    }
}

/// Every rule with what it finds; docs/publishing.md has the same table.
pub const RULES: [(&str, &str); 16] = [
    (NOT_JSON, "the message is not JSON"),
    (MESSAGE_INVALID, "a part outside of the cases breaks the schema, so the whole message is rejected"),
    (CASE_INVALID, "a case breaks the schema; the case is refused, and the others are delivered"),
    (MESSAGE_SIZE, "the message is larger than a worker takes by default"),
    (NO_SOURCE_KEY, "no `source.key`, so a second generation of the same cases cannot be recognized"),
    (NO_EXTERNAL_ID, "cases without `external_id`, so a second generation of them cannot be recognized"),
    (FOLDER_SLASH, "a name in `folder_path` has a slash; it becomes one folder of this name, not one for each level"),
    (EQUAL_NAMES, "several cases have the same name; reported once for each name"),
    (LONG_NAME, "the name of a case has more than 512 characters"),
    (TAG_CHANGED, "a tag is sent in another form"),
    (TAG_LEFT_OUT, "a tag is not sent"),
    (UNKNOWN_PRIORITY, "the word for a priority is not known; it is left out unless the tenant's mapping lists it"),
    (NO_SCRIPT, "a case has neither steps nor Gherkin"),
    (BLANK_STEP, "the action of a step is blank"),
    (MARKDOWN, "a plain text has Markdown, which is shown as it is written"),
    (HTML, "a plain text has HTML or a character reference, which is shown as it is written"),
];
const NOT_JSON: &str = "not-json";
const MESSAGE_INVALID: &str = "message-invalid";
const CASE_INVALID: &str = "case-invalid";
const MESSAGE_SIZE: &str = "message-size";
const NO_SOURCE_KEY: &str = "no-source-key";
const NO_EXTERNAL_ID: &str = "no-external-id";
const FOLDER_SLASH: &str = "folder-slash";
const EQUAL_NAMES: &str = "equal-names";
pub(in crate::batch) const LONG_NAME: &str = "long-name";
const TAG_CHANGED: &str = "tag-changed";
const TAG_LEFT_OUT: &str = "tag-left-out";
const UNKNOWN_PRIORITY: &str = "unknown-priority";
const NO_SCRIPT: &str = "no-script";
const BLANK_STEP: &str = "blank-step";
const MARKDOWN: &str = "markdown";
const HTML: &str = "html";

/// The findings about a message.
#[derive(Debug)]
pub struct Findings {
    /// The tenant and batch id in the message, if both are readable.
    pub key: Option<BatchKey>,
    /// The tenant in the message, if it is readable.
    pub tenant: Option<TenantId>,
    /// The number of cases that would be delivered; 0 if the message is rejected as a whole.
    pub cases: usize,
    /// The faults that keep the message from being a batch.
    pub faults: Vec<Finding>,
    /// Results that may surprise the author without being faults; only for a message without faults.
    pub warnings: Vec<Finding>,
}

/// Checks a message and returns all findings.
pub fn lint(bytes: &[u8]) -> Findings {
    let Reading { batch, key, tenant, faults } = match read(bytes, MOST_FAULTS) {
        Ok(reading) => reading,
        Err(fault) => {
            let faults = vec![Finding { rule: NOT_JSON, fault }];
            return Findings { key: None, tenant: None, cases: 0, faults, warnings: Vec::new() };
        }
    };
    let cases = batch.iter().flat_map(|batch| &batch.cases).filter(|case| case.faulty.is_none()).count();
    let warnings = match &batch {
        Some(batch) if faults.is_empty() => warn_of_size(bytes.len()).into_iter().chain(warnings(batch)).collect(),
        Some(_) | None => Vec::new(),
    };
    let rule_of = |fault: &Fault| if fault.case.is_some() { CASE_INVALID } else { MESSAGE_INVALID };
    let faults = faults.into_iter().map(|fault| Finding { rule: rule_of(&fault), fault }).collect();
    Findings { key, tenant, cases, faults, warnings }
}

fn warnings(batch: &Batch) -> Vec<Finding> {
    let mut found = Vec::new();
    warn_of_missing_ids(batch, &mut found);
    found.extend(folder_slashes(batch));
    warn_of_names(batch, &mut found);
    warn_of_tags(batch, &mut found);
    for (index, case) in batch.cases.iter().enumerate() {
        warn_of_priority(case, index, &mut found);
        warn_of_empty_steps(case, index, &mut found);
        if case.format != Some(TextFormat::Markdown) {
            warn_of_markup(case, index, &mut found);
        }
    }
    found
}

fn warning(rule: &'static str, pointer: String, what: String, remedy: &str) -> Finding {
    Finding { rule, fault: Fault::at(pointer, what, remedy.into()) }
}

/// Warns of a message that a worker takes only if its limit was raised.
fn warn_of_size(bytes: usize) -> Option<Finding> {
    let what = format!("has {bytes} bytes; by default a worker takes at most {MOST_BYTES_BY_DEFAULT}");
    let remedy = "publish the cases in several smaller batches, each with its own batch_id";
    (bytes > MOST_BYTES_BY_DEFAULT).then(|| warning(MESSAGE_SIZE, String::new(), what, remedy))
}

/// Warns of cases without an identity, which is made of the source's key and the external id.
fn warn_of_missing_ids(batch: &Batch, found: &mut Vec<Finding>) {
    if batch.source.key.is_none() && batch.replaces.is_none() {
        let what = "has no key: a second generation of these cases cannot be recognized".into();
        let remedy = "send source.key with the key of the story or ticket";
        found.push(warning(NO_SOURCE_KEY, "/source".into(), what, remedy));
    }
    let missing = |case: &&Case| case.external_id.is_none();
    let Some(first) = batch.cases.iter().position(|case| missing(&case)) else { return };
    let (count, all) = (batch.cases.iter().filter(missing).count(), batch.cases.len());
    let what = format!("has no external_id ({count} of {all} cases); events call it #{}", first + 1);
    let remedy = "send the generator's own id to recognize the case in events and in a second generation";
    found.push(warning(NO_EXTERNAL_ID, format!("/cases/{first}"), what, remedy));
}

/// Returns a warning for each name of a folder path that has a slash: Testmo makes one folder of it. A path that several
/// cases request is named once.
pub fn folder_slashes(batch: &Batch) -> Vec<Finding> {
    let mut seen = vec![&batch.folder];
    let mut found = slashes_of("", &batch.folder);
    for (position, case) in batch.cases.iter().enumerate() {
        let Some(folder) = case.folder.as_ref().filter(|folder| !seen.contains(folder)) else { continue };
        seen.push(folder);
        found.extend(slashes_of(&format!("/cases/{position}"), folder));
    }
    found
}

fn slashes_of(place: &str, folder: &RequestedFolder) -> Vec<Finding> {
    let RequestedFolder::Path(names) = folder else { return Vec::new() };
    let warn = |(position, name): (usize, &String)| {
        let levels: Vec<String> =
            name.split('/').map(str::trim).filter(|level| !level.is_empty()).map(quoted).collect();
        let what = format!("is {}, which becomes one folder of this name", quoted(name));
        let remedy = match levels.as_slice() {
            [] | [_] => "write the name without the slash, unless the slash belongs to it".to_owned(),
            levels => format!(
                "write an entry for each level if several are meant: [{}]; keep the name if the slash belongs to it",
                levels.join(", ")
            ),
        };
        warning(FOLDER_SLASH, format!("{place}/folder_path/{position}"), what, &remedy)
    };
    names.iter().enumerate().filter(|(_, name)| name.contains('/')).map(warn).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(text, LONGEST_QUOTE))
}

/// Warns of long names, and once of each name that several cases have: Testmo allows that, but people cannot distinguish
/// such cases.
fn warn_of_names(batch: &Batch, found: &mut Vec<Finding>) {
    let mut cases_of: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, case) in batch.cases.iter().enumerate() {
        cases_of.entry(&case.name).or_default().push(index);
        let length = case.name.chars().count();
        if length > LONG_FOR_A_NAME {
            let what = format!("has {length} characters");
            let remedy = "shorten it to 512 characters: Testmo may refuse or cut longer names";
            found.push(warning(LONG_NAME, format!("/cases/{index}/name"), what, remedy));
        }
    }
    let mut groups: Vec<Vec<usize>> = cases_of.into_values().filter(|cases| cases.len() > 1).collect();
    groups.sort_unstable();
    for cases in groups {
        let named: Vec<String> =
            cases[1..].iter().take(CASES_OF_GROUP).map(|index| format!("#{}", index + 1)).collect();
        let more = match cases.len() - 1 - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let what = format!("is also the name of {}{more}", named.join(", "));
        let remedy = "keep it, or give each case its own name";
        found.push(warning(EQUAL_NAMES, format!("/cases/{}/name", cases[0]), what, remedy));
    }
}

fn warn_of_priority(case: &Case, index: usize, found: &mut Vec<Finding>) {
    if let Some(Urgency::Other(word)) = &case.priority {
        let what = format!("`{}` is not a known word for a priority", excerpt(word, LONGEST_QUOTE));
        let remedy = "send critical, high, normal or low, or list the word in the mapping under priority.words";
        found.push(warning(UNKNOWN_PRIORITY, format!("/cases/{index}/priority"), what, remedy));
    }
}

/// Warns once for each text, however many cases carry it.
fn warn_of_tags(batch: &Batch, found: &mut Vec<Finding>) {
    let mut places: HashMap<&str, (String, usize)> = HashMap::new();
    let mut order = Vec::new();
    for (index, case) in batch.cases.iter().enumerate() {
        for (position, text) in case.tags.iter().enumerate() {
            match places.entry(text) {
                Entry::Occupied(mut known) => known.get_mut().1 += 1,
                Entry::Vacant(place) => {
                    place.insert((format!("/cases/{index}/tags/{position}"), 0));
                    order.push(text.as_str());
                }
            }
        }
    }
    for text in order {
        let Some((rule, becomes)) = fate(text) else { continue };
        let (pointer, others) = &places[text];
        let elsewhere = match others {
            0 => String::new(),
            1 => ", here and in 1 more place".into(),
            others => format!(", here and in {others} more places"),
        };
        let what = format!("`{}` {becomes}{elsewhere}", excerpt(text, LONGEST_QUOTE));
        let remedy = "write 1 to 32 of a-z, 0-9, _ and - to keep the tag, or rename it with the mapping's rename_tags";
        found.push(warning(rule, pointer.clone(), what, remedy));
    }
}

/// Describes what happens to a tag; `None` if it is sent unchanged.
fn fate(text: &str) -> Option<(&'static str, String)> {
    match tag(text) {
        None => Some((TAG_LEFT_OUT, "is left out: no tag of Testmo can have the same meaning".into())),
        Some(tag) if is_batch_tag(&tag) => Some((TAG_LEFT_OUT, "is left out: it has the form of a batch tag".into())),
        Some(tag) if tag == text => None,
        Some(tag) => Some((TAG_CHANGED, format!("is sent as `{tag}`"))),
    }
}

fn warn_of_empty_steps(case: &Case, index: usize, found: &mut Vec<Finding>) {
    match &case.script {
        Script::None => {
            let what = "has neither steps nor gherkin".into();
            let remedy = "send one of them, so that people can run the case";
            found.push(warning(NO_SCRIPT, format!("/cases/{index}"), what, remedy));
        }
        Script::Steps(steps) => {
            for (position, _) in steps.iter().enumerate().filter(|(_, step)| step.action.chars().all(is_blank)) {
                let pointer = format!("/cases/{index}/steps/{position}/action");
                found.push(warning(BLANK_STEP, pointer, "is blank".into(), "describe the action, or remove the step"));
            }
        }
        Script::Gherkin(_) => {}
    }
}

fn warn_of_markup(case: &Case, index: usize, found: &mut Vec<Finding>) {
    let mut check = |place: &str, text: &str| {
        let html = element(text).or_else(|| reference(text)).map(|markup| (HTML, markup));
        let Some((rule, markup)) = html.or_else(|| Some((MARKDOWN, markdown(text)?))) else { return };
        let what = format!("contains `{}`, which Testmo shows as plain text", excerpt(markup, LONGEST_QUOTE));
        let remedy = "send plain text; blank lines make paragraphs";
        found.push(warning(rule, format!("/cases/{index}/{place}"), what, remedy));
    };
    check("name", &case.name);
    let texts =
        [("description", &case.description), ("preconditions", &case.preconditions), ("expected", &case.expected)];
    for (place, text) in texts {
        check(place, text.as_deref().unwrap_or_default());
    }
    for (column, value) in &case.fields {
        check(&format!("fields/{column}"), value.as_str().unwrap_or_default());
    }
    if let Script::Steps(steps) = &case.script {
        for (position, step) in steps.iter().enumerate() {
            check(&format!("steps/{position}/action"), &step.action);
            check(&format!("steps/{position}/data"), step.data.as_deref().unwrap_or_default());
            check(&format!("steps/{position}/expected"), step.expected.as_deref().unwrap_or_default());
        }
    }
}

/// Finds `<name …>` or `</name>`; a placeholder such as `<amount>` is not an element. Only the first few candidates are
/// checked, each up to a limit, so that a text of many `<` takes no longer than others.
fn element(text: &str) -> Option<&str> {
    text.match_indices('<').take(100).find_map(|(at, _)| {
        let inside = text[at + 1..].trim_start_matches('/');
        let name_end = inside.find(|c: char| !c.is_ascii_alphanumeric())?;
        let known = ELEMENTS.iter().any(|element| element.eq_ignore_ascii_case(&inside[..name_end]));
        let attributes = matches!(inside.as_bytes()[name_end], b'>' | b'/' | b' ');
        let end = inside.char_indices().take(200).find(|(_, c)| *c == '>').map(|(end, _)| end)?;
        let all = at..text.len() - inside.len() + end + 1;
        (known && attributes).then(|| &text[all])
    })
}

fn reference(text: &str) -> Option<&str> {
    text.match_indices('&').find_map(|(at, _)| {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&nbsp;", "&#39;"];
        known.into_iter().find(|reference| text[at..].starts_with(reference))
    })
}

#[cfg(test)]
mod tests;
