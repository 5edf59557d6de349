//! Writes text into HTML so that a browser shows it as it was written.

/// The columns of a tab.
const TAB: usize = 4;
/// A blank that browsers keep.
const NO_BREAK_SPACE: char = '\u{a0}';

/// The bytes at which a text may not be copied as it is.
const STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        stops[control] = true;
        control += 1;
    }
    stops[b' ' as usize] = true;
    stops[b'&' as usize] = true;
    stops[b'<' as usize] = true;
    stops[b'>' as usize] = true;
    stops[0x7f] = true;
    // The control characters U+0080 to U+009F begin with it.
    stops[0xc2] = true;
    stops
};

/// Appends a line, or a part of one: escaped, without control characters. Blanks that a browser would drop become
/// no-break spaces: those at the start of the line, and all but the last of several.
pub(super) fn write_line(html: &mut String, line: &str, is_start: bool) {
    let bytes = line.as_bytes();
    let (mut written, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        if !STOPS[usize::from(byte)] {
            at += 1;
            continue;
        }
        let blanks = match byte {
            b' ' | b'\t' => bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count(),
            _ => 0,
        };
        let is_leading = is_start && at == 0;
        if byte == b' ' && blanks == 1 && !is_leading {
            at += 1;
            continue;
        }
        let length = if blanks > 0 { blanks } else { length_of_stop(&bytes[at..]) };
        if length == 0 {
            at += 2;
            continue;
        }
        html.push_str(&line[written..at]);
        if blanks > 0 {
            write_blanks(html, &bytes[at..at + blanks], is_leading);
        } else {
            html.push_str(entity(byte));
        }
        at += length;
        written = at;
    }
    html.push_str(&line[written..]);
}

/// Returns how many bytes of the text a stop that is no blank takes; none if it is an ordinary character.
fn length_of_stop(bytes: &[u8]) -> usize {
    match bytes {
        [0xc2, 0x80..=0x9f, ..] => 2,
        [0xc2, ..] => 0,
        _ => 1,
    }
}

fn entity(byte: u8) -> &'static str {
    match byte {
        b'&' => "&amp;",
        b'<' => "&lt;",
        b'>' => "&gt;",
        _ => "",
    }
}

fn write_blanks(html: &mut String, blanks: &[u8], is_leading: bool) {
    let columns: usize = blanks.iter().map(|byte| if *byte == b'\t' { TAB } else { 1 }).sum();
    // The last one is a blank at which the line may be broken.
    let kept = if is_leading { columns } else { columns - 1 };
    html.extend(std::iter::repeat_n(NO_BREAK_SPACE, kept));
    html.push_str(if is_leading { "" } else { " " });
}

/// Appends the lines of a text, each but the first after a break.
pub(super) fn write_lines(html: &mut String, text: &str) {
    for (index, line) in text.trim_end_matches('\n').split('\n').enumerate() {
        html.push_str(if index > 0 { "<br />" } else { "" });
        write_line(html, line, true);
    }
}

/// Appends preformatted text: escaped, with its line breaks, tabs and blanks, without other control characters.
pub(super) fn write_preformatted(html: &mut String, text: &str) {
    let is_special = |c: char| matches!(c, '&' | '<' | '>') || (c.is_control() && c != '\t' && c != '\n');
    let mut rest = text;
    while let Some(at) = rest.find(is_special) {
        html.push_str(&rest[..at]);
        let mut after = rest[at..].chars();
        html.push_str(after.next().and_then(|c| u8::try_from(c).ok()).map_or("", entity));
        rest = after.as_str();
    }
    html.push_str(rest);
}
