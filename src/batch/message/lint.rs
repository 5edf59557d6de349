//! Reports every fault of a message, and every part that Testmo will show differently from how it was written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::batch::message::decode::{Undecodable, decode_naming};
use crate::batch::message::fault::Fault;
use crate::batch::message::fingerprint::is_batch_tag;
use crate::batch::message::text::{excerpt, is_blank};
use crate::batch::message::{Batch, Case, MOST_BYTES_BY_DEFAULT, Script, TextFormat};
use crate::batch::render::tag;
use crate::batch::{BatchKey, TenantId};

/// The most faults that are listed: the author wants to see all, and a message with more was not meant as a batch.
const MOST_FAULTS: usize = 10_000;
/// The most characters of a quoted text.
const LONGEST_QUOTE: usize = 60;

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

/// The findings about a message.
#[derive(Debug)]
pub struct Findings {
    /// The tenant and batch id in the message, if both are readable.
    pub key: Option<BatchKey>,
    /// The tenant in the message, if it is readable.
    pub tenant: Option<TenantId>,
    /// The number of cases; 0 if the message cannot be read.
    pub cases: usize,
    /// The faults that keep the message from being a batch.
    pub faults: Vec<Fault>,
    /// Results that may surprise the author without being faults; only for a message without faults.
    pub warnings: Vec<Fault>,
}

/// Checks a message and returns all findings.
pub fn lint(bytes: &[u8]) -> Findings {
    match decode_naming(bytes, MOST_FAULTS) {
        Ok(batch) => Findings {
            cases: batch.cases.len(),
            warnings: warn_of_size(bytes.len()).into_iter().chain(warnings(&batch)).collect(),
            tenant: Some(batch.key.tenant.clone()),
            key: Some(batch.key),
            faults: Vec::new(),
        },
        Err(Undecodable::NotJson(fault)) => {
            Findings { key: None, tenant: None, cases: 0, faults: vec![fault], warnings: Vec::new() }
        }
        Err(Undecodable::Schema { faults, key, tenant }) => {
            Findings { key, tenant, cases: 0, faults, warnings: Vec::new() }
        }
    }
}

fn warnings(batch: &Batch) -> Vec<Fault> {
    let mut found = Vec::new();
    warn_of_missing_ids(batch, &mut found);
    warn_of_equal_names(batch, &mut found);
    warn_of_tags(batch, &mut found);
    for (index, case) in batch.cases.iter().enumerate() {
        warn_of_empty_steps(case, index, &mut found);
        if case.format != Some(TextFormat::Markdown) {
            warn_of_markup(case, index, &mut found);
        }
    }
    found
}

fn warning(pointer: String, what: String, remedy: &str) -> Fault {
    Fault::at(pointer, what, remedy.into())
}

/// Warns of a message that a worker takes only if its limit was raised.
fn warn_of_size(bytes: usize) -> Option<Fault> {
    let what = format!("has {bytes} bytes; by default a worker takes at most {MOST_BYTES_BY_DEFAULT}");
    let remedy = "publish the cases in several smaller batches, each with its own batch_id";
    (bytes > MOST_BYTES_BY_DEFAULT).then(|| warning(String::new(), what, remedy))
}

fn warn_of_missing_ids(batch: &Batch, found: &mut Vec<Fault>) {
    let missing = |case: &&Case| case.external_id.is_none();
    let Some(first) = batch.cases.iter().position(|case| missing(&case)) else { return };
    let (count, all) = (batch.cases.iter().filter(missing).count(), batch.cases.len());
    let what = format!("has no external_id ({count} of {all} cases); events call it #{}", first + 1);
    found.push(warning(format!("/cases/{first}"), what, "send the generator's own id to recognize the case in events"));
}

/// Warns of equal names: Testmo allows them, but people cannot distinguish such cases.
fn warn_of_equal_names(batch: &Batch, found: &mut Vec<Fault>) {
    let mut first_of: HashMap<&str, usize> = HashMap::new();
    for (index, case) in batch.cases.iter().enumerate() {
        match first_of.entry(&case.name) {
            Entry::Vacant(place) => {
                place.insert(index);
            }
            Entry::Occupied(first) => {
                let what = format!("is also the name of case #{}", first.get() + 1);
                found.push(warning(format!("/cases/{index}/name"), what, "keep it, or give each case its own name"));
            }
        }
    }
}

/// Warns once for each text, however many cases carry it.
fn warn_of_tags(batch: &Batch, found: &mut Vec<Fault>) {
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
        let Some(becomes) = fate(text) else { continue };
        let (pointer, others) = &places[text];
        let elsewhere = match others {
            0 => String::new(),
            1 => ", here and in 1 more place".into(),
            others => format!(", here and in {others} more places"),
        };
        let what = format!("`{}` {becomes}{elsewhere}", excerpt(text, LONGEST_QUOTE));
        found.push(warning(pointer.clone(), what, "write 1 to 32 of a-z, 0-9, _ and - to keep the tag unchanged"));
    }
}

/// Describes what happens to a tag; `None` if it is sent unchanged.
fn fate(text: &str) -> Option<String> {
    match tag(text) {
        None => Some("is left out: it contains no character that Testmo accepts in a tag".into()),
        Some(tag) if is_batch_tag(&tag) => Some("is left out: it has the form of a batch tag".into()),
        Some(tag) if tag == text => None,
        Some(tag) => Some(format!("is sent as `{tag}`")),
    }
}

fn warn_of_empty_steps(case: &Case, index: usize, found: &mut Vec<Fault>) {
    match &case.script {
        Script::None => {
            let what = "has neither steps nor gherkin".into();
            found.push(warning(format!("/cases/{index}"), what, "send one of them, so that people can run the case"));
        }
        Script::Steps(steps) => {
            for (position, _) in steps.iter().enumerate().filter(|(_, step)| step.action.chars().all(is_blank)) {
                let pointer = format!("/cases/{index}/steps/{position}/action");
                found.push(warning(pointer, "is blank".into(), "describe the action, or remove the step"));
            }
        }
        Script::Gherkin(_) => {}
    }
}

fn warn_of_markup(case: &Case, index: usize, found: &mut Vec<Fault>) {
    let mut check = |place: &str, text: &str| {
        if let Some(markup) = markup(text) {
            let what = format!("contains `{}`, which Testmo shows as plain text", excerpt(markup, LONGEST_QUOTE));
            found.push(warning(
                format!("/cases/{index}/{place}"),
                what,
                "send plain text; blank lines make paragraphs",
            ));
        }
    };
    check("name", &case.name);
    for (place, text) in [("description", &case.description), ("preconditions", &case.preconditions)] {
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

/// Returns the first markup in a text: HTML of known elements, character references, and unmistakable Markdown.
fn markup(text: &str) -> Option<&str> {
    element(text).or_else(|| reference(text)).or_else(|| markdown(text))
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

fn markdown(text: &str) -> Option<&str> {
    if let Some(at) = text.find("```") {
        return Some(&text[at..at + 3]);
    }
    let heading = |line: &&str| line.trim_start_matches('#').starts_with(' ') && line.starts_with('#');
    let bold = |line: &&str| line.match_indices("**").nth(1).is_some();
    text.lines().find(|line| heading(line) || bold(line) || line.contains("](http"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hints(cases: Value) -> Vec<String> {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
        let findings = lint(message.to_string().as_bytes());
        assert_eq!(findings.faults, []);
        findings.warnings.iter().map(|found| format!("{} {}", found.pointer, found.what)).collect()
    }

    #[test]
    fn a_message_as_it_should_be_has_nothing_to_tell() {
        let case = json!({"external_id": "A", "name": "Enter <amount> & pay", "tags": ["smoke", "a_b-c"],
            "description": "If a < b, 2 * 3 ** 4, then x > y; C# and #1", "steps": [{"action": "Enter <url>"}]});
        assert_eq!(hints(json!([case, {"external_id": "B", "name": "b", "gherkin": "# x\nFeature: <b>"}])), [""; 0]);
    }

    #[test]
    fn what_testmo_will_show_differently_is_reported() {
        let cases = json!([
            {"external_id": "A", "name": "Pay", "tags": ["Smoke Test", "→", "sqai-0123456789ab"], "steps": []},
            {"name": "Pay", "tags": ["Smoke Test"], "description": "Use <B>bold</B>", "preconditions": "a &amp; b",
             "fields": {"custom_note": "<p>x</p>", "custom_risk": 3},
             "steps": [{"action": " "}, {"action": "x", "data": "# Data", "expected": "**now**"}]},
        ]);
        assert_eq!(
            hints(cases),
            [
                "/cases/1 has no external_id (1 of 2 cases); events call it #2",
                "/cases/1/name is also the name of case #1",
                "/cases/0/tags/0 `Smoke Test` is sent as `smoke-test`, here and in 1 more place",
                "/cases/0/tags/1 `→` is left out: it contains no character that Testmo accepts in a tag",
                "/cases/0/tags/2 `sqai-0123456789ab` is left out: it has the form of a batch tag",
                "/cases/0 has neither steps nor gherkin",
                "/cases/1/steps/0/action is blank",
                "/cases/1/description contains `<B>`, which Testmo shows as plain text",
                "/cases/1/preconditions contains `&amp;`, which Testmo shows as plain text",
                "/cases/1/fields/custom_note contains `<p>`, which Testmo shows as plain text",
                "/cases/1/steps/1/data contains `# Data`, which Testmo shows as plain text",
                "/cases/1/steps/1/expected contains `**now**`, which Testmo shows as plain text",
            ]
        );
    }

    #[test]
    fn markdown_that_is_meant_is_no_surprise() {
        let case = |format| json!([{"external_id": "A", "name": "a", "gherkin": "g", "description": "**b** `c`", "format": format}]);
        assert_eq!(hints(case(json!("markdown"))), [""; 0]);
        assert_eq!(hints(case(json!("plain"))).len(), 1);
    }

    #[test]
    fn a_message_above_the_default_limit_is_warned_of() {
        let case = |length| json!([{"external_id": "A", "name": "a", "gherkin": "g".repeat(length)}]);
        assert_eq!(hints(case(MOST_BYTES_BY_DEFAULT - 1_000)), [""; 0]);
        let found = hints(case(MOST_BYTES_BY_DEFAULT));
        assert!(
            found.len() == 1 && found[0].ends_with("bytes; by default a worker takes at most 8000000"),
            "{found:?}"
        );
    }

    #[test]
    fn all_faults_are_named() {
        let cases: Vec<Value> = (0..1_000).map(|_| json!({})).collect();
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
        let findings = lint(message.to_string().as_bytes());
        assert_eq!(findings.faults.len(), 1_000);
        assert_eq!(findings.key.unwrap().to_string(), "acme/b-1");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_search_for_markup_panic(text in "([<>/&#*`\\]( \n]|br|é|\\PC){0,40}") {
            markup(&text);
        }
    }
}
