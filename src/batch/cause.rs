//! Recognizes what failed for the same cause: by the reason, and by what its detail says apart from names, ids and numbers.

use std::fmt::{self, Display};
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The most characters of a detail that are considered.
const LONGEST: usize = 8_000;

/// What stands for a name, an address or a quoted value.
const NAME: &str = "…";

/// What stands for a number or an id.
const NUMBER: &str = "#";

/// The beginnings of words that are columns of a project in Testmo, whatever digits they contain.
const COLUMN: &str = "custom_";

/// The id of a cause, printed as `c-` and eight hexadecimal digits. The same cause has the same id in every store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CauseId(u32);

impl CauseId {
    /// Returns the id of the cause for which something failed: the code of a reason, which may be one of a newer version, and
    /// its detail.
    pub fn of(reason: &str, detail: Option<&str>) -> Self {
        let mut hash = Sha256::new();
        hash.update(reason);
        hash.update([0]);
        hash.update(shape(detail.unwrap_or_default()));
        let digest = hash.finalize();
        Self(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
    }

    /// Returns the number that is stored.
    pub fn number(self) -> i64 {
        self.0.into()
    }

    /// Returns the id that was stored as a number; `None` if the number is none.
    pub fn from_number(number: i64) -> Option<Self> {
        u32::try_from(number).ok().map(Self)
    }
}

impl Display for CauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c-{:08x}", self.0)
    }
}

impl FromStr for CauseId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("c-").filter(|digits| digits.len() == 8);
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        number.map(Self).ok_or_else(|| format!("`{text}` is not the id of a group as printed by `shelf groups`"))
    }
}

/// Returns what a detail says apart from names, ids, numbers, quoted values and positions. What it says of several cases in
/// the same words stands there once.
pub fn shape(detail: &str) -> String {
    let detail: String = detail.chars().take(LONGEST).collect();
    let mut parts: Vec<String> = Vec::new();
    for part in without_quotes(&detail).split("; ") {
        let words = part.split_whitespace().map(general).collect::<Vec<_>>().join(" ");
        let words = without_case_key(&words);
        // The first part may begin with what is said of all.
        if !parts.iter().any(|before| before.ends_with(&words)) {
            parts.push(words);
        }
    }
    parts.retain(|part| !is_remainder(part));
    parts.join("; ")
}

/// Returns the field that a shape names: a word of its own before a colon, such as `custom_severity2` or `tags.#`, or the end of a
/// JSON pointer.
pub fn field(shape: &str) -> Option<&str> {
    let first = shape.split("; ").next()?;
    let pointer = first.split_whitespace().next().filter(|word| word.starts_with('/'));
    if let Some(pointer) = pointer {
        return pointer.rsplit('/').find(|step| step.starts_with(|c: char| c.is_alphabetic()));
    }
    let (named, _) = first.rsplit_once(": ")?;
    named.split(": ").find(|part| is_column(part))
}

/// Whether a part of a shape is the name of a field, as Testmo writes it.
fn is_column(part: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '#');
    part.starts_with(|c: char| c.is_ascii_lowercase()) && part.chars().all(is_inside)
}

/// Replaces quoted values. An apostrophe inside a word does not quote.
fn without_quotes(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, open)) = rest.char_indices().find(|(at, c)| opens(rest, &shape, *at, *c)) {
        let inside = &rest[at + open.len_utf8()..];
        let Some(end) = inside.char_indices().find(|(at, c)| closes(open, inside, *at, *c)).map(|(at, _)| at) else {
            break;
        };
        shape.push_str(&rest[..at]);
        shape.push_str(NAME);
        rest = inside[end..].chars().next().map_or("", |close| &inside[end + close.len_utf8()..]);
    }
    shape.push_str(rest);
    shape
}

fn opens(rest: &str, before: &str, at: usize, c: char) -> bool {
    let previous = rest[..at].chars().next_back().or_else(|| before.chars().next_back());
    matches!(c, '"' | '`' | '“' | '„' | '«') || (c == '\'' && !previous.is_some_and(char::is_alphanumeric))
}

fn closes(open: char, inside: &str, at: usize, c: char) -> bool {
    match open {
        '“' => c == '”',
        '„' => matches!(c, '“' | '”'),
        '«' => c == '»',
        '\'' => c == '\'' && !inside[at + 1..].chars().next().is_some_and(char::is_alphanumeric),
        _ => c == open,
    }
}

/// Replaces what of a word is a name or a number.
fn general(word: &str) -> String {
    let is_edge = |c: char| !c.is_alphanumeric() && !matches!(c, '/' | '_' | '#');
    let core = word.trim_matches(is_edge);
    let Some(start) = word.find(core).filter(|_| !core.is_empty()) else { return word.to_owned() };
    let general = if core.contains("://") || is_name(core) {
        NAME.to_owned()
    } else if is_id(core) {
        NUMBER.to_owned()
    } else if core.split('/').any(|step| step.starts_with(COLUMN)) {
        let steps = core.split('/').map(|step| if step.starts_with(COLUMN) { step.to_owned() } else { numbers(step) });
        steps.collect::<Vec<_>>().join("/")
    } else {
        numbers(core)
    };
    format!("{}{general}{}", &word[..start], &word[start + core.len()..])
}

/// Whether a word is a tenant with a batch, or an address without scheme. A JSON pointer begins with a slash.
fn is_name(word: &str) -> bool {
    word.find('/').is_some_and(|at| at > 0) && word.chars().any(|c| c.is_ascii_digit() || c == '.')
}

/// Whether a word is a hash, a UUID or another long id.
fn is_id(word: &str) -> bool {
    word.len() >= 8
        && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        && word.chars().any(|c| c.is_ascii_digit())
}

/// Replaces each number in a word.
fn numbers(word: &str) -> String {
    let mut shape = String::with_capacity(word.len());
    let mut is_number = false;
    for c in word.chars() {
        match (c.is_ascii_digit(), is_number) {
            (true, false) if !shape.ends_with(NUMBER) => shape.push_str(NUMBER),
            (true, _) => {}
            (false, _) => shape.push(c),
        }
        is_number = c.is_ascii_digit();
    }
    shape
}

/// Leaves out the key of a case, whose place in the batch follows it.
fn without_case_key(part: &str) -> String {
    const PLACE: &str = " (number # of the batch)";
    let Some((case, rest)) = part.split_once(PLACE) else { return part.to_owned() };
    match case.rfind("case ") {
        Some(at) => format!("{}case {NUMBER}{rest}", &case[..at]),
        None => part.to_owned(),
    }
}

/// Whether a part only says how many cases it leaves out.
fn is_remainder(part: &str) -> bool {
    part == "and # more cases"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_numbers_and_quoted_values_are_left_out() {
        for (detail, expected) in [
            ("", ""),
            ("Testmo answered 503", "Testmo answered #"),
            (
                "Testmo answered 422: case TC-7 (number 3 of the batch): custom_severity2: The selected value is invalid.",
                "Testmo answered #: case #: custom_severity2: The selected value is invalid.",
            ),
            (
                "Testmo answered 422: case #12: tags.3: must not have more than 255 characters",
                "Testmo answered #: case #: tags.#: must not have more than # characters",
            ),
            ("folder \"Checkout / Basket 7\" in folder 428", "folder … in folder #"),
            (
                "folder 428 does not exist, or is not below the tenant's folder 3",
                "folder # does not exist, or is not below the tenant's folder #",
            ),
            ("/cases/12/title (case 13) is missing: name it", "/cases/#/title (case #) is missing: name it"),
            ("no field is named “Seveirty”: did you mean 'Severity'?", "no field is named …: did you mean …?"),
            ("acme/b-17 was received before", "… was received before"),
            ("https://acme.testmo.net:443/x answered 404", "… answered #"),
            ("request 6f9619ff-8b86-d011-b42d-00cf4fc964ff failed", "request # failed"),
            ("an open \"quote stays", "an open \"quote stays"),
        ] {
            assert_eq!(shape(detail), expected, "{detail}");
        }
    }

    #[test]
    fn the_field_is_found_where_one_is_named() {
        for (detail, expected) in [
            (
                "Testmo answered 422: case TC-7 (number 3 of the batch): custom_severity2: The value: no",
                "custom_severity2",
            ),
            ("Testmo answered 422: case #12: tags.3: must not have more than 255 characters", "tags.#"),
            ("Testmo answered 422: state_id: is invalid; case 7: name: is empty", "state_id"),
            ("/cases/12/title (case 13) is missing: name it", "title"),
            ("/cases/12 is not an object", "cases"),
            ("Testmo answered 503", ""),
            ("folder \"Basket 7\" in folder 428: not there", ""),
            ("", ""),
        ] {
            assert_eq!(field(&shape(detail)).unwrap_or_default(), expected, "{detail}");
        }
    }

    #[test]
    fn several_cases_of_one_cause_say_it_once() {
        let one = "Testmo answered 422: case TC-1 (number 1 of the batch): state_id: is invalid";
        let many = format!("{one}; case log in (number 2 of the batch): state_id: is invalid; and 7 more cases");
        assert_eq!(shape(&many), shape(one));
    }

    #[test]
    fn an_id_is_read_as_it_is_printed() {
        let id = CauseId::of("case_refused", Some("tags.3: is too long"));
        assert_eq!(id, CauseId::of("case_refused", Some("tags.5: is too long")));
        assert_ne!(id, CauseId::of("rejected", Some("tags.3: is too long")));
        assert_ne!(id, CauseId::of("case_refused", None));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(CauseId::from_number(id.number()), Some(id));
        assert!("00000001".parse::<CauseId>().unwrap_err().contains("shelf groups"));
        assert_eq!(CauseId::from_number(-1), None);
    }

    proptest! {
        #[test]
        fn any_text_has_a_shape_without_numbers_that_is_not_longer(text in ".{0,200}") {
            let shape = shape(&text);
            prop_assert!(shape.chars().count() <= text.chars().count());
            let is_free = |word: &str| word.contains(COLUMN) || !word.chars().any(|c| c.is_ascii_digit());
            prop_assert!(shape.split_whitespace().all(is_free), "{shape}");
        }

        #[test]
        fn the_numbers_of_a_detail_make_no_difference(case in 1..2_000_u32, id in 1..u64::MAX, status in 400..600_u16) {
            let detail = |case: u32, id: u64, status: u16| {
                format!("Testmo answered {status}: case TC-{id} (number {case} of the batch): state_id: {id} is not known")
            };
            prop_assert_eq!(shape(&detail(case, id, status)), shape(&detail(1, 2, 422)));
        }
    }
}
