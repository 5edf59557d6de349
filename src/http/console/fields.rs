//! Holds the fields of a query or a form.

use std::fmt::Display;
use std::str::FromStr;

use url::form_urlencoded;

use super::super::admin::problem::{Code, Problem};

/// The most fields of a query or a form.
const MOST: usize = 5_000;

/// Names and values in their order; a name can be there more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads fields as browsers send them. A name that is not among the known ones is an error, so that no filter is dropped.
    ///
    /// # Errors
    /// When there are too many, or one of an unknown name.
    pub(super) fn read(text: &[u8], known: &[&str]) -> Result<Self, Problem> {
        let mut fields = Vec::new();
        for (name, value) in form_urlencoded::parse(text) {
            if !known.contains(&&*name) {
                let shown: String = name.chars().take(64).collect();
                let problem = Problem::parameter(Code::InvalidParameter, &shown, "This page has no such field.");
                return Err(problem.remedy("Go back, and use the page's own form."));
            }
            if fields.len() == MOST {
                return Err(Problem::new(Code::BodyTooLarge, format!("A form has at most {MOST} fields.")));
            }
            // Browsers send each line of a text with \r\n at its end.
            fields.push((name.into_owned(), value.replace("\r\n", "\n")));
        }
        Ok(Self(fields))
    }

    /// Returns the value of a name as it was sent; empty if it is not there.
    pub(super) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Returns the value of a name without blanks around it; nothing if nothing is left.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        Some(self.raw(name).trim()).filter(|value| !value.is_empty())
    }

    /// Returns all values of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether a name is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Reads the value of a name; nothing if it is empty.
    ///
    /// # Errors
    /// When it is not what it has to be.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let read = |text: &str| text.parse().map_err(|why| Problem::parameter(Code::InvalidParameter, name, why));
        self.text(name).map(read).transpose()
    }

    /// Writes the fields that are kept as a query, with others behind them.
    pub(super) fn query<'a>(&self, kept: &[&str], others: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut writer = form_urlencoded::Serializer::new(String::new());
        let own = self.0.iter().filter(|(name, value)| kept.contains(&name.as_str()) && !value.is_empty());
        writer.extend_pairs(own);
        writer.extend_pairs(others);
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_written_as_browsers_do() {
        let fields = Fields::read(b"id=1&text=a+b%0D%0Ac&id=2&tenant=", &["id", "text", "tenant"]).unwrap();
        assert_eq!(fields.all("id").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((fields.raw("text"), fields.text("tenant")), ("a b\nc", None));
        assert!(fields.has("tenant") && !fields.has("group"));
        assert_eq!(fields.query(&["id"], [("after", "7.1/ü")]), "id=1&id=2&after=7.1%2F%C3%BC");
        assert_eq!(fields.parsed::<u32>("id").unwrap(), Some(1));
        assert!(fields.parsed::<u32>("text").is_err());
    }

    #[test]
    fn an_unknown_field_is_an_error_and_not_passed_over() {
        assert_eq!(Fields::read(b"tenat=acme", &["tenant"]).unwrap_err().code, Code::InvalidParameter);
        let many = "a=1&".repeat(MOST + 1);
        assert_eq!(Fields::read(many.as_bytes(), &["a"]).unwrap_err().code, Code::BodyTooLarge);
    }
}
