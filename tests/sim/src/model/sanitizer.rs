//! Removes from HTML what an editor does not know, as editors do on save.

/// The elements that stay, each with the attributes that it may have.
const KNOWN: [(&str, &[&str]); 31] = [
    ("a", &["href", "title", "target", "rel"]),
    ("b", &[]),
    ("blockquote", &[]),
    ("br", &[]),
    ("code", &["class"]),
    ("del", &[]),
    ("em", &[]),
    ("h1", &[]),
    ("h2", &[]),
    ("h3", &[]),
    ("h4", &[]),
    ("h5", &[]),
    ("h6", &[]),
    ("hr", &[]),
    ("i", &[]),
    ("img", &["src", "alt"]),
    ("li", &[]),
    ("ol", &["start"]),
    ("p", &[]),
    ("pre", &[]),
    ("s", &[]),
    ("strong", &[]),
    ("table", &[]),
    ("tbody", &[]),
    ("td", &["colspan", "rowspan"]),
    ("th", &["colspan", "rowspan"]),
    ("thead", &[]),
    ("tr", &[]),
    ("u", &[]),
    ("ul", &[]),
    ("span", &[]),
];

/// Returns HTML without unknown tags, whose text stays, and without unknown attributes of the others. A `<` that begins no
/// tag stays.
pub(super) fn sanitized(html: &str) -> String {
    let mut kept = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_tag = rest[1..].trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic());
        match rest.find('>').filter(|_| is_tag) {
            Some(end) => {
                kept.push_str(&known_tag(&rest[1..end]));
                rest = &rest[end + 1..];
            }
            None => {
                kept.push('<');
                rest = &rest[1..];
            }
        }
    }
    kept + rest
}

/// Returns a tag as it is kept; nothing of an unknown one.
fn known_tag(tag: &str) -> String {
    let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
    let Some((known, attributes)) = KNOWN.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) else {
        return String::new();
    };
    if tag.starts_with('/') {
        return format!("</{known}>");
    }
    let mut kept = format!("<{known}");
    let mut rest = tag[name.len()..].trim_end_matches('/').trim();
    while let Some((attribute, after)) = rest.split_once('=') {
        let attribute = attribute.rsplit(char::is_whitespace).next().unwrap_or_default();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, later) = match quote {
            Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        if attributes.contains(&attribute) && !value.trim_start().to_ascii_lowercase().starts_with("javascript:") {
            let quote = quote.unwrap_or('"');
            kept += &format!(" {attribute}={quote}{value}{quote}");
        }
        rest = later;
    }
    kept + if tag.ends_with('/') { " />" } else { ">" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_editor_knows_stays() {
        for (html, stored) in [
            ("<p>a<br />b</p>", "<p>a<br />b</p>"),
            (
                "<pre><code class='editor-gherkin'>a\n  b</code></pre>",
                "<pre><code class='editor-gherkin'>a\n  b</code></pre>",
            ),
            ("<ol start=\"3\"><li>a</li></ol>", "<ol start=\"3\"><li>a</li></ol>"),
            ("<script>a</script><P onclick=\"b\" >c</P>", "a<p>c</p>"),
            (
                "<a href=\"https://a.example/?b=1&amp;c\" onclick=d>e</a>",
                "<a href=\"https://a.example/?b=1&amp;c\">e</a>",
            ),
            ("<a href=\"JavaScript:a()\">b</a>", "<a>b</a>"),
            ("<section><b>a</b></section>", "<b>a</b>"),
            ("a < b <3 <", "a < b <3 <"),
            ("a &lt;b&gt;", "a &lt;b&gt;"),
            ("<b", "<b"),
        ] {
            assert_eq!(sanitized(html), stored, "{html}");
        }
    }
}
