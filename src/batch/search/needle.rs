//! Reads what a person pasted: a text, an id, or a link into Testmo.

use std::str::FromStr;

use url::Url;

use super::fold::folded;

/// The most characters of a text that are searched: names are kept up to a length.
pub const LONGEST_NEEDLE: usize = 190;
/// The fewest characters of a text that is searched as a part of values.
pub const SHORTEST_PART: usize = 3;
/// The longest text that is read.
const LONGEST_TEXT: usize = 10_000;

/// What is searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    /// The text that a value has to have.
    pub text: Option<TextPart>,
    /// The id of the case in Testmo.
    pub testmo_id: Option<u64>,
    /// The account of the case in Testmo, if a link names it.
    pub account: Option<String>,
}

/// A folded text, and how a value has to have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextPart {
    /// Anywhere in it.
    Any(String),
    /// The value has to be the text: a shorter text would be in too many.
    Whole(String),
}

/// Why a text cannot be searched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANeedle {
    /// It has neither a letter nor a digit.
    #[error("the text has no letter and no digit")]
    NothingToFind,
    /// It is a link that names no case.
    #[error("the link names no case of Testmo: it has no `case_id`")]
    NoCase,
    /// It is too long to be one thing.
    #[error("the text has more than {LONGEST_TEXT} characters")]
    TooLong,
}

impl Needle {
    /// Returns a text that every value has in it that matches, with its digits for an id in Testmo.
    pub fn common_text(&self) -> String {
        match (self.testmo_id, &self.text) {
            (Some(id), _) => id.to_string(),
            (None, Some(TextPart::Any(text) | TextPart::Whole(text))) => text.clone(),
            (None, None) => String::new(),
        }
    }
}

impl FromStr for Needle {
    type Err = NotANeedle;

    fn from_str(text: &str) -> Result<Self, NotANeedle> {
        if text.chars().nth(LONGEST_TEXT).is_some() {
            return Err(NotANeedle::TooLong);
        }
        if let Some(link) = testmo_link(text.trim()) {
            return of_link(&link);
        }
        let text = folded(text);
        if !text.contains(char::is_alphanumeric) {
            return Err(NotANeedle::NothingToFind);
        }
        let testmo_id = testmo_id(text.strip_prefix('#').unwrap_or(&text));
        let part = match text.chars().count() {
            0..SHORTEST_PART => TextPart::Whole(text),
            _ => TextPart::Any(text.chars().take(LONGEST_NEEDLE).collect::<String>().trim_end().to_owned()),
        };
        Ok(Self { text: Some(part), testmo_id, account: None })
    }
}

/// Reads a link into Testmo's web pages, also one without its scheme.
fn testmo_link(text: &str) -> Option<Url> {
    let has_scheme = ["https://", "http://"].iter().any(|scheme| text.to_ascii_lowercase().starts_with(scheme));
    let url = if has_scheme { Url::parse(text) } else { Url::parse(&format!("https://{text}")) }.ok()?;
    let is_of_testmo = url.host_str().is_some_and(|host| host.ends_with(".testmo.net"));
    let is_repository =
        url.path().starts_with("/repositories") || url.path().contains("/repositories") && names_case(&url);
    (is_of_testmo && (has_scheme || url.path() != "/") || has_scheme && is_repository).then_some(url)
}

/// Reads the case and the account that a link names. An account that is reached through a proxy has a path.
fn of_link(link: &Url) -> Result<Needle, NotANeedle> {
    let named = link.query_pairs().find(|(name, _)| name == "case_id");
    let id = named.and_then(|(_, value)| testmo_id(&value)).ok_or(NotANeedle::NoCase)?;
    let path = link.path().split_once("/repositories").map_or("", |(before, _)| before);
    Ok(Needle { text: None, testmo_id: Some(id), account: Some(link.origin().ascii_serialization() + path) })
}

fn names_case(link: &Url) -> bool {
    link.query_pairs().any(|(name, _)| name == "case_id")
}

fn testmo_id(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(text: &str) -> Needle {
        Needle { text: Some(TextPart::Any(text.into())), testmo_id: None, account: None }
    }

    fn link(id: u64, account: &str) -> Result<Needle, NotANeedle> {
        Ok(Needle { text: None, testmo_id: Some(id), account: Some(account.into()) })
    }

    #[test]
    fn what_matches_has_the_common_text_in_it() {
        for (typed, text) in
            [("Sign  in", "sign in"), ("3721", "3721"), ("#0372", "372"), ("tc", "tc"), ("-1234", "-1234")]
        {
            assert_eq!(typed.parse::<Needle>().unwrap().common_text(), text);
        }
        let link: Needle = "https://acme.testmo.net/repositories/3?case_id=372".parse().unwrap();
        assert_eq!(link.common_text(), "372");
    }

    #[test]
    fn what_people_paste_is_read() {
        let acme = "https://acme.testmo.net";
        let digits = |text: &str, id| Needle { testmo_id: Some(id), ..any(text) };
        let table = [
            (" Sign  in ", Ok(any("sign in"))),
            ("tc", Ok(Needle { text: Some(TextPart::Whole("tc".into())), ..any("") })),
            ("3721", Ok(digits("3721", 3721))),
            ("#3721", Ok(digits("#3721", 3721))),
            ("99999999999999999999", Ok(any("99999999999999999999"))),
            ("-1234", Ok(any("-1234"))),
            ("https://acme.testmo.net/repositories/3?group_id=428&case_id=3721", link(3721, acme)),
            ("HTTPS://ACME.testmo.net:443/repositories/3?case_id=3721&x=%00#y", link(3721, acme)),
            ("acme.testmo.net/repositories/3?case_id=3721", link(3721, acme)),
            ("http://127.0.0.1:8080/repositories/3?case_id=7", link(7, "http://127.0.0.1:8080")),
            ("http://proxy:8080/testmo/acme/repositories/3?case_id=7", link(7, "http://proxy:8080/testmo/acme")),
            ("https://git.example.com/team/repositories/3", Ok(any("https://git.example.com/team/repositories/3"))),
            ("https://acme.testmo.net/repositories/3?group_id=428", Err(NotANeedle::NoCase)),
            ("https://acme.testmo.net/repositories/3?case_id=x", Err(NotANeedle::NoCase)),
            ("https://acme.testmo.net/repositories/3?case_id=", Err(NotANeedle::NoCase)),
            ("https://acme.testmo.net", Err(NotANeedle::NoCase)),
            ("acme.testmo.net", Ok(any("acme.testmo.net"))),
            ("https://jira.example/browse/SHOP-142", Ok(any("https://jira.example/browse/shop-142"))),
            ("", Err(NotANeedle::NothingToFind)),
            (" \u{0} %_*\"' ", Err(NotANeedle::NothingToFind)),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Needle>(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_to_what_is_kept_of_names() {
        let Some(TextPart::Any(text)) = "ü ".repeat(500).parse::<Needle>().unwrap().text else { panic!() };
        assert!(text.chars().count() <= LONGEST_NEEDLE && text.ends_with('ü'));
        assert_eq!("ü".repeat(10_001).parse::<Needle>(), Err(NotANeedle::TooLong));
    }
}
