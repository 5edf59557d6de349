//! Makes the case that a probe creates, as the tenant's mapping renders it, and the edits of it.

use serde_json::{Map, Value, json};

use crate::batch::message::decode::decode;
use crate::batch::render::kinds::FieldKinds;
use crate::batch::render::mapping::Mapping;
use crate::batch::render::render;
use crate::batch::{TenantId, json_of};

/// The beginning of the name of each case that a probe creates.
pub(super) const NAME: &str = "testmo-courier probe";
/// The tag of each case that a probe creates.
pub const TAG: &str = "courier-probe";
/// A tag that no case has.
pub(super) const NO_TAG: &str = "courier-probe-of-no-case";
/// The text that people are to read in the case.
pub(super) const TEXT: &str = "a & b < c > d \"e\" é";
/// The HTML that an edit puts in its place.
pub(super) const MARKUP: &str = "<p>a & b <b>c</b> <script>d</script></p>";

/// A rule for tags that a probe tries, one tag each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagRule {
    Length,
    Case,
    Blank,
    Dot,
}

impl TagRule {
    pub(super) const ALL: [Self; 4] = [Self::Length, Self::Case, Self::Blank, Self::Dot];

    /// Returns the tag that shows what Testmo does.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Length => "courier-probe-of-32-characters-x",
            Self::Case => "courier-probe-CAPITALS",
            Self::Blank => "courier-probe blank",
            Self::Dot => "courier-probe.dot",
        }
    }
}

/// The case that a probe creates.
#[derive(Clone, Debug)]
pub(super) struct ProbeCase {
    /// A part of the name that no other case has.
    pub(super) mark: String,
    /// The name, without the blanks at its ends.
    pub(super) name: String,
    fields: Map<String, Value>,
    /// The column that holds HTML, if the mapping sends one.
    column: Option<String>,
}

impl ProbeCase {
    /// Makes the case of a probe that `serial` tells from all others. Steps come before a description, which not every
    /// template has.
    pub(super) fn new(tenant: &TenantId, mapping: &Mapping, serial: &str) -> Self {
        let mark = format!("{NAME} {serial}");
        let name = format!("{mark}, to be deleted: A & <b>  \"ü\"");
        let column = mapping.steps.clone().or_else(|| mapping.description.clone());
        let text = json_of(TEXT);
        let content = match (&mapping.steps, &mapping.description) {
            (Some(_), _) => format!(r#", "steps": [{{"action": {text}}}]"#),
            (None, Some(_)) => format!(r#", "description": {text}"#),
            (None, None) => String::new(),
        };
        let message = format!(
            r#"{{"schema_version": 1, "batch_id": "probe", "tenant_id": {}, "generated_at": "2026-01-01T00:00:00Z",
                "cases": [{{"name": {}{content}}}]}}"#,
            json_of(tenant.as_str()),
            json_of(&name)
        );
        let batch = decode(message.as_bytes()).ok();
        let rendered = batch.map(|batch| render(&batch, mapping, &FieldKinds::default())).unwrap_or_default();
        let entry = rendered.first().and_then(|case| serde_json::from_str(&case.entry).ok());
        let mut fields: Map<String, Value> = entry.unwrap_or_default();
        fields.insert("name".into(), format!(" {name} ").into());
        fields.insert("tags".into(), json!([TAG]));
        Self { mark, name, fields, column }
    }

    /// Returns the whole request that creates the case.
    pub(super) fn creation(&self, folder: u64) -> String {
        let mut fields = self.fields.clone();
        fields.insert("folder_id".into(), folder.into());
        json!({"cases": [fields]}).to_string()
    }

    /// Returns the whole request that gives the case one more tag, or other HTML. Some tenants require fields in an edit,
    /// too, so it has all custom fields.
    pub(super) fn edit(&self, id: u64, tag: Option<&str>, html: Option<&str>) -> String {
        let custom = self.fields.iter().filter(|(column, _)| column.starts_with("custom_"));
        let mut fields: Map<String, Value> = custom.map(|(column, value)| (column.clone(), value.clone())).collect();
        if let (Some(html), Some(column)) = (html, &self.column) {
            match fields.get_mut(column) {
                Some(Value::Array(steps)) if !steps.is_empty() => steps[0]["text1"] = html.into(),
                Some(_) | None => drop(fields.insert(column.clone(), html.into())),
            }
        }
        fields.insert("ids".into(), json!([id]));
        fields.insert("tags".into(), json!([TAG].into_iter().chain(tag).collect::<Vec<_>>()));
        Value::Object(fields).to_string()
    }

    /// Returns the HTML in an answer that shows the case.
    pub(super) fn html_in<'v>(&self, values: &'v Map<String, Value>) -> Option<&'v str> {
        let value = values.get(self.column.as_ref()?)?;
        match value.as_array() {
            Some(steps) => steps.first()?.get("text1")?.as_str(),
            None => value.as_str(),
        }
    }

    /// Returns whether the case has HTML.
    pub(super) fn has_html(&self) -> bool {
        self.column.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(mapping: &Mapping) -> ProbeCase {
        ProbeCase::new(&"acme".parse().unwrap(), mapping, "1a2b")
    }

    #[test]
    fn the_case_is_rendered_as_a_batch_would_be_and_has_the_probes_tag_alone() {
        let mapping = Mapping { tags: vec!["ai".into()], state_id: Some(4), ..Mapping::default() };
        let sent: Value = serde_json::from_str(&case(&mapping).creation(7)).unwrap();
        let entry = &sent["cases"][0];
        assert_eq!((&entry["folder_id"], &entry["tags"], &entry["state_id"]), (&7.into(), &json!([TAG]), &4.into()));
        assert_eq!(entry["custom_steps"][0]["text1"], "<p>a &amp; b &lt; c &gt; d \"e\" é</p>");
        assert!(entry["name"].as_str().unwrap().starts_with(" testmo-courier probe 1a2b, "), "{entry}");
        assert!(entry.get("custom_description").is_none());
    }

    #[test]
    fn an_edit_has_the_custom_fields_and_changes_one_thing() {
        let steps = case(&Mapping::default());
        let edit: Value = serde_json::from_str(&steps.edit(9, Some("x"), None)).unwrap();
        assert_eq!((&edit["ids"], &edit["tags"]), (&json!([9]), &json!([TAG, "x"])));
        assert!(edit["custom_steps"][0]["text1"].as_str().unwrap().contains("&amp;") && edit.get("name").is_none());
        let edit: Value = serde_json::from_str(&steps.edit(9, None, Some(MARKUP))).unwrap();
        assert_eq!((&edit["tags"], &edit["custom_steps"][0]["text1"]), (&json!([TAG]), &MARKUP.into()));
        let text = case(&Mapping { steps: None, ..Mapping::default() });
        let edit: Value = serde_json::from_str(&text.edit(9, None, Some(MARKUP))).unwrap();
        assert_eq!(edit["custom_description"], MARKUP);
        assert_eq!(text.html_in(edit.as_object().unwrap()), Some(MARKUP));
        let bare = case(&Mapping { steps: None, description: None, ..Mapping::default() });
        assert!(!bare.has_html());
    }

    #[test]
    fn only_the_tags_that_are_to_break_a_rule_do() {
        for rule in TagRule::ALL {
            let is_kept = crate::batch::render::tag::tag(rule.tag()).as_deref() == Some(rule.tag());
            assert_eq!(is_kept, rule == TagRule::Length, "{rule:?}");
        }
        assert_eq!(TagRule::Length.tag().len(), 32);
    }
}
