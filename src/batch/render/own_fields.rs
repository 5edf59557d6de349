//! Renders the values that a case has for custom fields. Texts in fields of rich text and in steps have the format of the
//! case; those in other fields are shown as they are.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::catalogue::FieldKind;
use super::text::html;
use crate::batch::message::TextFormat;

/// The texts of a step.
const STEP_TEXTS: [&str; 4] = ["text1", "text2", "text3", "text4"];

/// Returns a value of a case as a field of this kind takes it, if its texts have this format.
pub(super) fn rendered(value: &Value, kind: FieldKind, format: TextFormat) -> Cow<'_, Value> {
    let rich = |text: &str| rich(text, format);
    let rendered = match kind {
        FieldKind::RichText => changed(value, &rich),
        FieldKind::Steps => steps(value, &rich),
        FieldKind::Dropdown
        | FieldKind::MultiSelect
        | FieldKind::Checkbox
        | FieldKind::Date
        | FieldKind::Number
        | FieldKind::Link
        | FieldKind::Plain => None,
        FieldKind::Unknown if has_steps(value) => steps(value, &rich),
        FieldKind::Unknown => changed(value, &without_markup),
    };
    rendered.map_or(Cow::Borrowed(value), Cow::Owned)
}

/// Returns a text as HTML; `None` if it is shown the same without.
fn rich(text: &str, format: TextFormat) -> Option<String> {
    let html = html(text, format);
    let shown = html.strip_prefix("<p>").and_then(|rest| rest.strip_suffix("</p>"));
    (shown != Some(text)).then_some(html)
}

/// Returns a text in which nothing begins a tag; `None` if nothing does. The field may hold HTML, of which text would be
/// lost, or plain text, an address or the name of an option, in which nothing else may change.
fn without_markup(text: &str) -> Option<String> {
    let mut safe = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let begins_tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        safe.push_str(before);
        safe.push_str(if begins_tag { "&lt;" } else { "<" });
        rest = after;
    }
    safe.push_str(rest);
    (safe != text).then_some(safe)
}

/// Returns a value with all texts in it changed; `None` if none is.
fn changed(value: &Value, change: &impl Fn(&str) -> Option<String>) -> Option<Value> {
    match value {
        Value::String(text) => change(text).map(Value::String),
        Value::Array(values) => {
            let new: Vec<Option<Value>> = values.iter().map(|value| changed(value, change)).collect();
            let is_changed = new.iter().any(Option::is_some);
            let all = new.into_iter().zip(values).map(|(new, old)| new.unwrap_or_else(|| old.clone()));
            is_changed.then(|| all.collect())
        }
        Value::Object(members) => {
            let new: Vec<(&String, Value)> =
                members.iter().filter_map(|(name, value)| Some((name, changed(value, change)?))).collect();
            (!new.is_empty()).then(|| with(members, new))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn with(members: &Map<String, Value>, new: Vec<(&String, Value)>) -> Value {
    let mut members = members.clone();
    members.extend(new.into_iter().map(|(name, value)| (name.clone(), value)));
    Value::Object(members)
}

/// Returns whether a value has the form of steps, which no other field has.
fn has_steps(value: &Value) -> bool {
    let is_step = |step: &Value| STEP_TEXTS.iter().any(|text| step.get(text).is_some());
    value.as_array().is_some_and(|steps| steps.iter().any(is_step))
}

/// Returns a list of steps with the texts of each as HTML; `None` if none is changed.
fn steps(value: &Value, rich: &impl Fn(&str) -> Option<String>) -> Option<Value> {
    let step = |step: &Value| {
        let Some(members) = step.as_object() else { return step.clone() };
        let texts = members.iter().filter(|(name, _)| STEP_TEXTS.contains(&name.as_str()));
        let new: Vec<_> = texts.filter_map(|(name, text)| Some((name, changed(text, rich)?))).collect();
        with(members, new)
    };
    let steps: Value = value.as_array()?.iter().map(step).collect();
    (steps != *value).then_some(steps)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_becomes_what_its_field_shows_as_that_text() {
        use FieldKind::{Plain, RichText, Steps, Unknown};
        let script = "<script>alert(1)</script>";
        for (kind, value, expected) in [
            (RichText, json!("one line"), json!("one line")),
            (RichText, json!("a < b && c"), json!("<p>a &lt; b &amp;&amp; c</p>")),
            (RichText, json!(script), json!("<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>")),
            (RichText, json!("one\ntwo\n\nthree"), json!("<p>one<br />two</p><p>three</p>")),
            (RichText, json!("  one  line"), json!("<p>\u{a0}\u{a0}one\u{a0} line</p>")),
            (RichText, json!(7), json!(7)),
            (RichText, json!(null), json!(null)),
            (Plain, json!(script), json!(script)),
            (Plain, json!("https://shop.example/?a=1&b=2"), json!("https://shop.example/?a=1&b=2")),
            (Plain, json!(["a < b"]), json!(["a < b"])),
            (Unknown, json!(script), json!("&lt;script>alert(1)&lt;/script>")),
            (Unknown, json!("List<String> <!-- x --> <?php"), json!("List&lt;String> &lt;!-- x --> &lt;?php")),
            (Unknown, json!("a < b && c\n<3 <"), json!("a < b && c\n<3 <")),
            (Unknown, json!("https://shop.example/?a=1&b=2"), json!("https://shop.example/?a=1&b=2")),
            (Unknown, json!({"a": ["<b>", 1], "c": "d"}), json!({"a": ["&lt;b>", 1], "c": "d"})),
            (
                Steps,
                json!([{"text1": "a < b", "text3": "c", "display_order": 1, "odd": "<b>"}, "<b>"]),
                json!([{"text1": "<p>a &lt; b</p>", "text3": "c", "display_order": 1, "odd": "<b>"}, "<b>"]),
            ),
            (Steps, json!("<b>"), json!("<b>")),
            (Unknown, json!([{"text1": "<b> & c"}]), json!([{"text1": "<p>&lt;b&gt; &amp; c</p>"}])),
        ] {
            assert_eq!(*rendered(&value, kind, TextFormat::Plain), expected, "{kind:?} {value}");
        }
    }

    #[test]
    fn markdown_is_read_in_fields_that_hold_html_only() {
        use FieldKind::{Plain, RichText, Steps, Unknown};
        let strong = json!("<p>a <strong>b</strong></p>");
        for (kind, value, expected) in [
            (RichText, json!("a **b**"), strong.clone()),
            (RichText, json!("plain"), json!("plain")),
            (Steps, json!([{"text1": "a **b**"}]), json!([{"text1": strong}])),
            (Plain, json!("a **b**"), json!("a **b**")),
            (Unknown, json!("a **b** <i>"), json!("a **b** &lt;i>")),
        ] {
            assert_eq!(*rendered(&value, kind, TextFormat::Markdown), expected, "{kind:?} {value}");
        }
    }

    #[test]
    fn what_does_not_change_is_not_copied() {
        let value = json!([{"text1": "plain"}, {"a": ["b"]}]);
        for kind in [FieldKind::RichText, FieldKind::Steps, FieldKind::Plain, FieldKind::Unknown] {
            assert!(matches!(rendered(&value, kind, TextFormat::Plain), Cow::Borrowed(_)), "{kind:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_opens_a_tag_in_a_field_that_may_hold_html(text in "([<>&/!?a-z \n]|\\PC){0,40}") {
            for kind in [FieldKind::RichText, FieldKind::Unknown] {
                let value = Value::from(text.as_str());
                let sent = rendered(&value, kind, TextFormat::Plain).as_str().unwrap().to_owned();
                let rest = sent.replace("<p>", "").replace("</p>", "").replace("<br />", "");
                let mut tags = rest.split('<').skip(1);
                proptest::prop_assert!(!tags.any(|after| after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')));
            }
        }
    }
}
