//! Writes links, to addresses of the web only.

use super::escape::write_line;

/// The characters that cannot be in an address, and how an address has them.
const ENCODED: [(char, &str); 6] =
    [(' ', "%20"), ('"', "%22"), ('\'', "%27"), ('<', "%3C"), ('>', "%3E"), ('&', "&amp;")];

/// Returns whether a text is an address to which a link may lead: http or https, with a host.
pub(super) fn is_web_address(text: &str) -> bool {
    let has_scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let rest =
        ["https://", "http://"].into_iter().find(|scheme| has_scheme(scheme)).map(|scheme| &text[scheme.len()..]);
    let has_host = rest.and_then(|rest| rest.chars().next()).is_some_and(|c| c.is_alphanumeric() || c == '[');
    has_host && !text.contains(|c: char| c.is_control() || (c.is_whitespace() && c != ' '))
}

/// Appends the start of a link to a web address.
pub(super) fn open_link(html: &mut String, address: &str) {
    html.push_str("<a href=\"");
    for c in address.chars() {
        match ENCODED.iter().find(|(special, _)| *special == c) {
            Some((_, encoded)) => html.push_str(encoded),
            None => html.push(c),
        }
    }
    html.push_str("\">");
}

/// Appends an address that is shown: as a link if it is a web address.
pub(in super::super) fn write_link(html: &mut String, address: &str) {
    let is_link = is_web_address(address);
    if is_link {
        open_link(html, address);
    }
    write_line(html, address, false);
    html.push_str(if is_link { "</a>" } else { "" });
}
