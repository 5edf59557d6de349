//! Turns a mapping as people write it into strict JSON: comments and commas after the last entry become blanks.

use std::borrow::Cow;

/// Returns strict JSON for JSON with comments, each from `//` to the end of its line, and with commas after the last entry of
/// an object or list. All other characters keep their places, so that an error names the place in the text as written.
pub(super) fn strict(text: &str) -> Cow<'_, str> {
    if !text.contains("//") && !text.contains(',') {
        return Cow::Borrowed(text);
    }
    let mut plain: Vec<char> = Vec::with_capacity(text.len());
    let (mut in_string, mut in_comment, mut is_escaped) = (false, false, false);
    // The place of a comma after which nothing has come yet.
    let mut comma = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => (in_string, in_comment, is_escaped) = (false, false, false),
            _ if in_comment => {}
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => (in_string, comma) = (!in_string, None),
            _ if in_string => {}
            '/' if characters.peek() == Some(&'/') => in_comment = true,
            ',' => comma = Some(plain.len()),
            '}' | ']' => {
                if let Some(last) = comma.take() {
                    plain[last] = ' ';
                }
            }
            blank if blank.is_whitespace() => {}
            _ => comma = None,
        }
        plain.push(if in_comment { ' ' } else { character });
    }
    Cow::Owned(plain.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_last_commas_become_blanks_and_texts_stay() {
        for (text, plain) in [
            ("{}", "{}"),
            ("{ // a \"b\"\n}", "{         \n}"),
            (r#"{"a": "http://x//y", "b": "\"//"} // c"#, r#"{"a": "http://x//y", "b": "\"//"}     "#),
            ("// é\r\n{} / /", "     \n{} / /"),
            ("\"\\\\\" // c", "\"\\\\\"     "),
            ("{\"a\": [1, 2,], // x\n // \"b\": 2,\n}", "{\"a\": [1, 2 ]      \n           \n}"),
            ("[1,,]", "[1, ]"),
            (r#"{"a": ",}", "b": ",]"}"#, r#"{"a": ",}", "b": ",]"}"#),
            ("[,]", "[ ]"),
        ] {
            assert_eq!(strict(text), plain, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn json_that_is_strict_already_means_the_same(text in "[a-z/,\\]}\"\\\\ \n]{0,12}", number in 0_u8..4) {
            let value = serde_json::json!({"a": [text, number], "b": {text.as_str(): "//,]"}});
            for written in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                proptest::prop_assert_eq!(strict(&written), written.as_str());
            }
        }
    }
}
