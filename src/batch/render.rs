//! What does a case look like in Testmo? One entry of a create request, but for its folder.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::fingerprint;
use super::mapping::Mapping;
use super::message::{Batch, Case, Script, Source, Step};

/// The most characters of a tag; Testmo's own limit is not known.
const MAX_TAG: usize = 32;

/// A case as it will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedCase {
    /// Its key within the batch.
    pub key: String,
    /// Its name, as Testmo will hold it.
    pub name: String,
    /// The entry as JSON text, without `folder_id`; see [`super::push_body`].
    pub entry: String,
}

impl RenderedCase {
    /// Whether a field, named as in Testmo's errors, is sent with this case.
    pub fn sends(&self, field: &str) -> bool {
        let column = field.split('.').next().unwrap_or(field);
        let entry: Map<String, Value> = serde_json::from_str(&self.entry).unwrap_or_default();
        entry.contains_key(column)
    }
}

/// Every case of a batch as it will be sent, in order.
pub fn render(batch: &Batch, mapping: &Mapping) -> Vec<RenderedCase> {
    let mark = mapping.mark.then(|| fingerprint::mark(&batch.key));
    let one = |(index, case): (usize, &Case)| {
        let entry = Value::Object(entry(case, &batch.source, mapping, mark.as_deref()));
        RenderedCase { key: case.key(index), name: case.name.clone(), entry: entry.to_string() }
    };
    batch.cases.iter().enumerate().map(one).collect()
}

fn entry(case: &Case, source: &Source, mapping: &Mapping, mark: Option<&str>) -> Map<String, Value> {
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| {
        entry.insert(key.to_owned(), value);
    };
    put("name", json!(case.name));
    for (key, value) in case.fields.iter().chain(&mapping.fixed) {
        put(key, value.clone());
    }
    let gherkin = matches!(case.script, Script::Gherkin(_));
    let template = mapping.gherkin_template_id.filter(|_| gherkin).or(mapping.template_id);
    if let Some(id) = template {
        put("template_id", json!(id));
    }
    if let Some(id) = mapping.state_id {
        put("state_id", json!(id));
    }
    if let (Script::Steps(steps), Some(column)) = (&case.script, &mapping.steps) {
        put(column, steps.iter().enumerate().map(|(i, step)| step_value(step, i)).collect());
    }
    if let (Script::Gherkin(text), Some(column)) = (&case.script, &mapping.gherkin) {
        put(column, json!(rich_text(text)));
    }
    if let (Some(text), Some(column)) = (&case.preconditions, &mapping.preconditions) {
        put(column, json!(rich_text(text)));
    }
    if let Some(column) = &mapping.description {
        let html = description(case, source, mapping);
        if !html.is_empty() {
            put(column, json!(html));
        }
    }
    if let (Some(name), Some(priority)) = (case.priority, &mapping.priority)
        && let Some(option) = priority.values.get(&name)
    {
        put(&priority.column, json!(option));
    }
    let tags = tags(&case.tags, &mapping.tags, mark);
    if !tags.is_empty() {
        put("tags", json!(tags));
    }
    if let (Some(integration), false) = (mapping.integration_id, case.issues.is_empty()) {
        put("issues", case.issues.iter().map(|id| issue(id, integration, mapping.connection_project_id)).collect());
    }
    if let (true, Some(seconds)) = (mapping.estimate, case.estimate_seconds) {
        put("estimate", json!(seconds));
    }
    entry
}

/// By Testmo's default `text1` is the action, `text2` the data and `text3` what is expected.
fn step_value(step: &Step, index: usize) -> Value {
    let mut value = json!({"text1": rich_text(&step.action), "display_order": index + 1});
    for (text, key) in [(&step.data, "text2"), (&step.expected, "text3")] {
        if let Some(text) = text {
            value[key] = json!(rich_text(text));
        }
    }
    value
}

fn issue(display_id: &str, integration: u64, project: Option<u64>) -> Value {
    let mut value = json!({"display_id": display_id, "integration_id": integration});
    if let Some(project) = project {
        value["connection_project_id"] = json!(project);
    }
    value
}

fn description(case: &Case, source: &Source, mapping: &Mapping) -> String {
    let mut html = case.description.as_deref().map(rich_text).unwrap_or_default();
    if let (Script::Gherkin(text), None) = (&case.script, &mapping.gherkin) {
        html.push_str(&rich_text(text));
    }
    if let Some(note) = origin_note(source).filter(|_| mapping.origin_note) {
        html.push_str(&rich_text(&note));
    }
    html
}

/// `Generated from KEY: title (link)`, of the parts there are.
fn origin_note(source: &Source) -> Option<String> {
    let what = match (&source.key, &source.title) {
        (Some(key), Some(title)) => format!("{key}: {title}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => return source.link.as_ref().map(|link| format!("Generated from {link}")),
    };
    let link = source.link.as_ref().map(|link| format!(" ({link})")).unwrap_or_default();
    Some(format!("Generated from {what}{link}"))
}

/// Plain text as the HTML of Testmo's rich text: escaped, a paragraph for each block, a break for each line.
pub fn rich_text(text: &str) -> String {
    let text = match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(text),
    };
    let mut html = String::with_capacity(text.len() + 16);
    let mut open = false;
    for line in text.split('\n') {
        if line.chars().all(|c| c.is_whitespace() || c.is_control()) {
            html.push_str(if open { "</p>" } else { "" });
            open = false;
        } else {
            html.push_str(if open { "<br />" } else { "<p>" });
            escape_into(&mut html, line);
            open = true;
        }
    }
    html.push_str(if open { "</p>" } else { "" });
    html
}

fn escape_into(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '\t' => html.push(c),
            c if c.is_control() => {}
            c => html.push(c),
        }
    }
}

fn tags(of_case: &[String], of_tenant: &[String], mark: Option<&str>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    let of_case = of_case.iter().filter_map(|text| tag(text)).filter(|tag| !fingerprint::is_mark(tag));
    let all = of_case.chain(of_tenant.iter().filter_map(|text| tag(text))).chain(mark.map(Into::into));
    for tag in all {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// A text as a tag that Testmo takes: `[a-z0-9_-]`, at most 32 characters; `None` when nothing of it is left.
pub fn tag(text: &str) -> Option<String> {
    let mut tag = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            tag.push(c);
        } else if !tag.is_empty() && !tag.ends_with('-') {
            tag.push('-');
        }
    }
    tag.truncate(MAX_TAG);
    tag.truncate(tag.trim_end_matches('-').len());
    (!tag.is_empty()).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_html_that_shows_the_same_text() {
        for (text, html) in [
            ("plain", "<p>plain</p>"),
            ("a < b && c > d", "<p>a &lt; b &amp;&amp; c &gt; d</p>"),
            ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
            ("one\ntwo\r\n\r\nthree\n\n\n\nfour", "<p>one<br />two</p><p>three</p><p>four</p>"),
            ("&amp;", "<p>&amp;amp;</p>"),
            ("  \n\n ", ""),
            ("bell\u{7}", "<p>bell</p>"),
            ("one\rtwo\r\rthree", "<p>one<br />two</p><p>three</p>"),
            ("one\n \t\ntwo\n\u{7}\nthree", "<p>one</p><p>two</p><p>three</p>"),
            ("日本語 🎉", "<p>日本語 🎉</p>"),
        ] {
            assert_eq!(rich_text(text), html);
        }
    }

    #[test]
    fn no_case_carries_the_mark_of_another_batch() {
        let of_case = ["sqai-0123456789ab".to_owned(), "SQAI 0123456789ab".into(), "sqai-team".into()];
        assert_eq!(tags(&of_case, &[], Some("sqai-ccef28df1a44")), ["sqai-team", "sqai-ccef28df1a44"]);
    }

    #[test]
    fn any_text_becomes_a_tag_that_testmo_takes_or_none() {
        for (text, expected) in [
            ("Smoke Test", Some("smoke-test")),
            ("a/b#c(d)", Some("a-b-c-d")),
            ("under_score-dash", Some("under_score-dash")),
            ("→", None),
            ("Größe", Some("gr-e")),
            ("--", None),
            ("a very long tag that goes on and on", Some("a-very-long-tag-that-goes-on-and")),
        ] {
            assert_eq!(tag(text).as_deref(), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_tag_of_a_tag_is_the_same_tag(text in "\\PC*") {
            if let Some(once) = tag(&text) {
                proptest::prop_assert!(once.len() <= MAX_TAG);
                proptest::prop_assert_eq!(tag(&once), Some(once));
            }
        }

        #[test]
        fn no_text_opens_a_tag_of_its_own(text in "\\PC*") {
            let html = rich_text(&text);
            let rest = html.replace("<p>", "").replace("</p>", "").replace("<br />", "");
            proptest::prop_assert!(!rest.contains(['<', '>']));
        }
    }

    #[test]
    fn an_entry_holds_what_the_mapping_says() {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z",
            "source": {"key": "SHOP-1", "title": "Sign in", "link": "https://jira.example/SHOP-1"},
            "cases": [
              {"external_id": "A", "name": "Sign in & out", "description": "About it", "preconditions": "An account",
               "steps": [{"action": "Open", "data": "<url>", "expected": "Form"}], "priority": "high",
               "tags": ["Smoke Test", "auth"], "issues": ["SHOP-1"], "estimate_seconds": 60,
               "fields": {"custom_risk": 3, "custom_steps": "never"}},
              {"name": "In Gherkin", "gherkin": "Feature: x\n  Scenario: y"}]});
        let batch = super::super::decode::decode(message.to_string().as_bytes()).unwrap();
        let mapping = Mapping {
            template_id: Some(2),
            estimate: true,
            integration_id: Some(1),
            tags: vec!["ai-draft".into()],
            fixed: json!({"custom_type": 4}).as_object().unwrap().clone(),
            ..Mapping::default()
        };
        let cases = render(&batch, &mapping);
        let entries: Vec<Value> = cases.iter().map(|c| serde_json::from_str(&c.entry).unwrap()).collect();
        insta::assert_snapshot!(serde_json::to_string_pretty(&entries).unwrap());
    }
}
