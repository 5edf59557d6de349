//! Finds Markdown in a plain text, and leaves alone what only resembles it.

/// Characters that may follow each other many times in a text; each search checks this many places at most.
const MOST_PLACES: usize = 200;

/// Returns the line with the first Markdown construct of a text.
pub(super) fn markdown(text: &str) -> Option<&str> {
    let lines: Vec<&str> = text.lines().collect();
    (0..lines.len()).find(|at| is_block(&lines, *at) || is_inline(lines[*at])).map(|at| lines[at].trim())
}

/// Returns whether a line begins or belongs to a block of Markdown.
fn is_block(lines: &[&str], at: usize) -> bool {
    let line = lines[at].trim();
    let before = at.checked_sub(1).map_or("", |before| lines[before].trim());
    let after = lines.get(at + 1).map_or("", |after| after.trim());
    is_fence(line)
        || is_heading(line, before, after)
        || is_task(line)
        || (is_table_rule(line) && before.contains('|'))
        || (list_marker(line).is_some() && list_marker(line) == list_marker(after))
        || (is_quote(line) && is_quote(after))
        || (line.len() >= 3 && line.chars().all(|c| c == '=') && starts_with_letter(before))
        || (at > 0 && is_thematic_break(line) && before.is_empty())
        || is_definition(line)
}

fn is_fence(line: &str) -> bool {
    line.starts_with("```") || line.starts_with("~~~")
}

/// Returns whether a line is a heading. A single `#` also begins a comment of a script, which stands directly above or
/// below commands.
fn is_heading(line: &str, before: &str, after: &str) -> bool {
    let level = line.chars().take_while(|c| *c == '#').count();
    let is_titled = line[level..].starts_with(' ') && !line[level..].trim().is_empty();
    is_titled && ((2..=6).contains(&level) || (level == 1 && before.is_empty() && after.is_empty()))
}

fn is_task(line: &str) -> bool {
    let rest = line.strip_prefix(['-', '*', '+']).unwrap_or_default();
    [" [ ] ", " [x] ", " [X] "].iter().any(|mark| rest.starts_with(mark))
}

/// Returns whether a line is the rule below the head of a table.
fn is_table_rule(line: &str) -> bool {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let is_rule = |cell: &str| !cell.trim_matches(':').is_empty() && cell.trim_matches(':').chars().all(|c| c == '-');
    line.contains('|') && cells.iter().all(|cell| is_rule(cell))
}

/// Returns the marker of an item of a list; that of a numbered item is its dot or bracket. A number alone is no item.
fn list_marker(line: &str) -> Option<char> {
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let mut rest = line[digits..].chars();
    let marker = rest.next()?;
    let is_marker = if (1..=9).contains(&digits) { matches!(marker, '.' | ')') } else { "-*+".contains(marker) };
    let item = rest.as_str().strip_prefix(' ')?.trim_start();
    // A row of signs, and a negative number in a column, are no items.
    (is_marker && item.starts_with(|c: char| c.is_alphabetic() || "\"'`[(<*_“„«".contains(c))).then_some(marker)
}

fn is_quote(line: &str) -> bool {
    line.strip_prefix("> ").is_some_and(|rest| starts_with_letter(rest.trim_start()))
}

fn is_thematic_break(line: &str) -> bool {
    line.len() >= 3 && ["-", "*", "_"].iter().any(|mark| line.replace(mark, "").is_empty())
}

/// Returns whether a line defines the target of a link.
fn is_definition(line: &str) -> bool {
    let target = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    target.is_some_and(|(_, target)| target.starts_with("http://") || target.starts_with("https://"))
}

fn starts_with_letter(text: &str) -> bool {
    text.starts_with(char::is_alphabetic)
}

/// Returns whether a line has emphasis, code or a link.
fn is_inline(line: &str) -> bool {
    let is_any = |_: &str| true;
    is_link(line)
        || is_span(line, '`', 1, is_any)
        || is_span(line, '`', 2, is_any)
        || is_span(line, '*', 3, is_any)
        || is_span(line, '*', 2, is_any)
        || is_span(line, '*', 1, has_word_ends)
        || is_span(line, '~', 2, is_any)
        // Names such as `__init__` and `_id_` are no emphasis.
        || is_span(line, '_', 2, |inside| inside.contains(' '))
        || is_span(line, '_', 1, |inside| inside.contains(' ') && has_word_ends(inside))
}

fn has_word_ends(inside: &str) -> bool {
    inside.starts_with(char::is_alphanumeric) && inside.ends_with(|c: char| c.is_alphanumeric() || ".!?:".contains(c))
}

fn is_link(line: &str) -> bool {
    let is_target = |rest: &str| {
        let begins = ["http://", "https://", "mailto:", "/", "#", "./"].iter().any(|begin| rest.starts_with(begin));
        begins && rest.contains(')')
    };
    let inline = line.match_indices("](").take(MOST_PLACES).any(|(at, _)| is_target(&line[at + 2..]));
    let has_end = |rest: &str| rest.split(char::is_whitespace).next().is_some_and(|target| target.contains('>'));
    let auto = |scheme: &str| line.match_indices(scheme).take(MOST_PLACES).any(|(at, _)| has_end(&line[at..]));
    inline || auto("<http://") || auto("<https://")
}

/// Returns whether a line has a text between two runs of exactly `length` of a mark, which touch the text and no other
/// letter.
fn is_span(line: &str, mark: char, length: usize, is_meant: impl Fn(&str) -> bool) -> bool {
    let runs = runs(line, mark);
    let before = |at: usize| line[..at].chars().next_back();
    let after = |at: usize| line[at..].chars().next();
    let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let touches = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
    let fitting = runs.iter().filter(|(_, found)| *found == length).map(|(at, _)| *at);
    let mut open: Option<usize> = None;
    for at in fitting {
        if let Some(start) = open.filter(|_| touches(before(at)) && !is_letter(after(at + length))) {
            if is_meant(&line[start..at]) {
                return true;
            }
            open = None;
            continue;
        }
        if touches(after(at + length)) && !is_letter(before(at)) {
            open = Some(at + length);
        }
    }
    false
}

/// Returns where runs of a mark begin, with their lengths in bytes; a mark is ASCII.
fn runs(line: &str, mark: char) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in line.match_indices(mark) {
        let is_full = runs.len() == MOST_PLACES;
        match runs.last_mut() {
            Some((start, length)) if *start + *length == at => *length += 1,
            Some(_) if is_full => break,
            Some(_) | None => runs.push((at, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_construct_is_found() {
        for (text, line) in [
            ("Use **bold** here", "Use **bold** here"),
            ("***both***", "***both***"),
            ("an *emphasized* word", "an *emphasized* word"),
            ("__very important__", "__very important__"),
            ("_see the note_", "_see the note_"),
            ("~~old~~", "~~old~~"),
            ("Press `Enter`", "Press `Enter`"),
            ("a\n## Data\nb", "## Data"),
            ("# Data", "# Data"),
            ("# Data\n\nText", "# Data"),
            ("Title\n=====", "====="),
            ("- one\n- two", "- one"),
            ("Steps:\n1. open\n2. close", "1. open"),
            ("- [ ] open", "- [ ] open"),
            ("| a | b |\n|---|:-:|\n| 1 | 2 |", "|---|:-:|"),
            ("> said\n> more", "> said"),
            ("a\n\n---\n\nb", "---"),
            ("```\ncode\n```", "```"),
            ("[docs](https://example.com)", "[docs](https://example.com)"),
            ("![shot](/a.png)", "![shot](/a.png)"),
            ("<https://example.com>", "<https://example.com>"),
            ("[1]: https://example.com", "[1]: https://example.com"),
        ] {
            assert_eq!(markdown(text), Some(line), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_markdown_is_left_alone() {
        for text in [
            "2 ** 3 ** 4",
            "2**3**4",
            "2 * 3 * 4",
            "**** **** **** 4242",
            "Password: *****",
            "Fields with * are required *",
            "*.txt and *.md",
            "# install\nnpm install",
            "ls\n# comment\nls -l",
            "C# and #1",
            "snake_case_name and __init__",
            "_id_",
            "a - b\n- 5\n- 7",
            "- one item",
            "1. only one",
            "x > 5 and y > 6",
            "> 5 items",
            "a | b",
            "---\nkey: value",
            "list[0](x)",
            "~/.ssh and ~/bin",
            "<amount>",
            "It's 5 o'clock",
        ] {
            assert_eq!(markdown(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_search_panic(text in "([<>#*`_~|=\\-\\]\\[(): \n0-9]|http://|é|\\PC){0,40}") {
            markdown(&text);
        }
    }
}
