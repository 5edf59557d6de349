//! Indents the JSON of a message for people without changing a key, a value or their order.

/// Returns a JSON text with one key or list entry on a line. Numbers and texts stay as they are written; a text that is no
/// JSON stays readable, but its spaces may change.
pub(super) fn indented(json: &str) -> String {
    let mut out = Indented { text: String::with_capacity(json.len() * 2), depth: 0 };
    let mut chars = json.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.text.push(c);
                while let Some(c) = chars.next() {
                    out.text.push(c);
                    match c {
                        '\\' => out.text.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                out.text.push(c);
                let close = if c == '{' { '}' } else { ']' };
                match chars.next_if_eq(&close) {
                    Some(close) => out.text.push(close),
                    None => out.begin_line(1),
                }
            }
            '}' | ']' => {
                out.begin_line(-1);
                out.text.push(c);
            }
            ',' => {
                out.text.push(c);
                out.begin_line(0);
            }
            ':' => out.text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.text.push(c),
        }
    }
    out.text.push('\n');
    out.text
}

struct Indented {
    text: String,
    depth: usize,
}

impl Indented {
    fn begin_line(&mut self, deeper: isize) {
        self.depth = self.depth.saturating_add_signed(deeper);
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_key_is_on_a_line_and_nothing_is_rewritten() {
        let text = r#" {"b":[1.50,{}, [ ],"x, \"y\" {"],"a":1e2 , "n":12345678901234567890123}"#;
        let expected = "{\n  \"b\": [\n    1.50,\n    {},\n    [],\n    \"x, \\\"y\\\" {\"\n  ],\n  \"a\": 1e2,\n  \
                        \"n\": 12345678901234567890123\n}\n";
        assert_eq!(indented(text), expected);
        assert_eq!(indented(expected), expected, "again");
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_value_stays_the_same(value in json()) {
            let text = indented(&value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }

        #[test]
        fn a_text_that_is_no_json_does_not_stop_it(text in ".*") {
            indented(&text);
        }
    }
}
