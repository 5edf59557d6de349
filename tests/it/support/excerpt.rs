//! Compares an excerpt on a page with an output: times, ages, addresses of the stand-in and widths of columns do not count.

/// The mark of what an excerpt leaves out: some lines where it is a line, and a part of a line elsewhere.
const LEFT_OUT: &str = "…";

/// Returns the first line of an excerpt that an output does not have at its place, or `None` if the output has all of them.
pub(crate) fn missing(excerpt: &[String], output: &[String]) -> Option<String> {
    let mut rest = output.iter().filter(|line| !line.trim().is_empty());
    let mut may_skip = false;
    if excerpt.iter().all(|line| line.trim() == LEFT_OUT) {
        return Some("(the excerpt shows nothing)".into());
    }
    for line in excerpt.iter().filter(|line| !line.trim().is_empty()) {
        if line.trim() == LEFT_OUT {
            may_skip = true;
            continue;
        }
        let is_there = match may_skip {
            true => rest.any(|printed| fits(line, printed)),
            false => rest.next().is_some_and(|printed| fits(line, printed)),
        };
        if !is_there {
            return Some(line.clone());
        }
        may_skip = false;
    }
    match rest.next() {
        Some(more) if !may_skip => Some(format!("(the excerpt ends before: {more})")),
        Some(_) | None => None,
    }
}

/// Returns whether a printed line is as a line of an excerpt says.
fn fits(line: &str, printed: &str) -> bool {
    let (line, printed) = (steady(line), steady(printed));
    let mut parts = line.split(LEFT_OUT);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        let found = if parts.peek().is_none() { rest.ends_with(part).then_some(rest.len()) } else { rest.find(part) };
        let Some(at) = found else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

/// Returns a line without what differs from run to run.
fn steady(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut steady: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        let is_number = word.chars().all(|c| c.is_ascii_digit());
        let unit = words.get(at).map(|unit| unit.trim_end_matches([',', ';', ':', ')']));
        let is_age = is_number && unit.is_some_and(|unit| ["s", "min", "h"].contains(&unit));
        if is_age && words.get(at + 1).is_some_and(|word| word.starts_with("ago")) {
            at += 1;
            steady.push("now".to_owned() + words[at].trim_start_matches("ago"));
            at += 1;
        } else if is_time(word) {
            steady.push(word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect());
        } else {
            steady.push((*word).to_owned());
        }
    }
    steady.join(" ")
}

/// Returns whether a word is a day or a time of day, such as `2026-11-30` or `21:04:11Z`.
fn is_time(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let is_of_time = word.chars().all(|c| c.is_ascii_digit() || "-:.TZ,;)(".contains(c));
    digits >= 4 && is_of_time && (word.matches('-').count() == 2 || word.contains(':'))
}

/// Returns an output with the addresses of Testmo accounts in place of those of the stand-in at `origin`.
pub(crate) fn as_in_the_field(output: &str, origin: &str) -> Vec<String> {
    let (mut text, address) = (String::new(), format!("{origin}/"));
    let mut parts = output.split(&address);
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(part.len());
        let (account, rest) = part.split_at(end);
        text.push_str(&format!("https://{account}.testmo.net{rest}"));
    }
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn an_excerpt_leaves_out_what_it_says_and_nothing_else() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let output = lines("id  batch  shelved\n1   acme/b-1  3 s ago\n2   acme/b-2  now\n\ndone at 2026-11-30 21:04:11Z");
    for (excerpt, first) in [
        ("id batch shelved\n…", None),
        ("id batch shelved\n1 acme/b-1 2 min ago\n2 acme/b-2 4 s ago\ndone at 2026-01-02 03:04:05Z", None),
        ("…\n2 acme/… 7 s ago\n…", None),
        ("…\ndone at …", None),
        ("…\n3 acme/b-3 now\n…", Some("3 acme/b-3 now")),
        ("id batch shelved\n2 acme/b-2 now\n…", Some("2 acme/b-2 now")),
        ("id batch shelved", Some("(the excerpt ends before: 1   acme/b-1  3 s ago)")),
        ("…\ndone at 21\n", Some("done at 21")),
        ("…", Some("(the excerpt shows nothing)")),
    ] {
        assert_eq!(missing(&lines(excerpt), &output).as_deref(), first, "{excerpt}");
    }
    let at = as_in_the_field(
        "see http://127.0.0.1:9/acme/repositories/1 or http://127.0.0.1:9/birch.",
        "http://127.0.0.1:9",
    );
    assert_eq!(at, ["see https://acme.testmo.net/repositories/1 or https://birch.testmo.net."]);
}
