//! Recognizes the state of a connection that a change starts from.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

use super::super::admin::problem::{Code, Problem};
use crate::app::connections::{ConnectionRow, state_tag};

/// The state that a request expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// There is a connection.
    Any,
    /// There is none.
    Nothing,
    /// There is one with one of these tags.
    Tags(Vec<String>),
}

impl Expected {
    /// Reads the state from the headers of a request.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match (header(headers, &IF_MATCH)?, header(headers, &IF_NONE_MATCH)?) {
            (Some(text), None) if text.trim() == "*" => Ok(Self::Any),
            (Some(text), None) => Ok(Self::Tags(text.split(',').map(|tag| tag.trim().to_owned()).collect())),
            (None, Some(text)) if text.trim() == "*" => Ok(Self::Nothing),
            (None, Some(_)) => {
                Err(Problem::parameter(Code::InvalidHeader, "If-None-Match", "If-None-Match can only be `*`."))
            }
            (Some(_), Some(_)) => {
                Err(Problem::parameter(Code::InvalidHeader, "If-Match", "Give If-Match or If-None-Match, not both."))
            }
            (None, None) => Err(Problem::parameter(
                Code::PreconditionNeeded,
                "If-Match",
                "The request does not say which state of the connection it changes.",
            )
            .remedy(
                "Send the ETag that GET returned as If-Match, or `If-None-Match: *` if there is no connection yet.",
            )),
        }
    }

    /// Checks the state that is found.
    pub(super) fn check(&self, found: Option<&ConnectionRow>) -> Result<(), Problem> {
        let fits = match (self, found) {
            (Self::Any, found) => found.is_some(),
            (Self::Nothing, found) => found.is_none(),
            (Self::Tags(tags), Some(row)) => tags.contains(&tag(row)),
            (Self::Tags(_), None) => false,
        };
        if fits {
            return Ok(());
        }
        let detail = match found {
            Some(_) => "The connection was changed, or entered, since it was read.",
            None => "There is no connection.",
        };
        Err(Problem::new(Code::PreconditionFailed, detail).remedy("Read it again, then repeat the change."))
    }
}

/// Returns the tag of what people have entered for a connection; what a worker finds out about it does not change the tag.
pub(super) fn tag(row: &ConnectionRow) -> String {
    format!("\"{}\"", state_tag(row))
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Problem> {
    let mut texts = Vec::new();
    for value in headers.get_all(name) {
        let wrong = |_| Problem::parameter(Code::InvalidHeader, name.as_str(), "The header is not text.");
        texts.push(value.to_str().map_err(wrong)?.to_owned());
    }
    Ok((!texts.is_empty()).then(|| texts.join(",")))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn expected(headers: &[(HeaderName, &'static str)]) -> Result<Expected, Code> {
        let mut map = HeaderMap::new();
        for (name, text) in headers {
            map.append(name, HeaderValue::from_static(text));
        }
        Expected::of(&map).map_err(|problem| problem.code)
    }

    #[test]
    fn a_change_names_the_state_it_starts_from() {
        assert_eq!(expected(&[]), Err(Code::PreconditionNeeded));
        assert_eq!(expected(&[(IF_MATCH, "*")]), Ok(Expected::Any));
        assert_eq!(expected(&[(IF_NONE_MATCH, "*")]), Ok(Expected::Nothing));
        assert_eq!(expected(&[(IF_NONE_MATCH, "\"a\"")]), Err(Code::InvalidHeader));
        assert_eq!(expected(&[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")]), Err(Code::InvalidHeader));
        let tags = vec!["\"a\"".to_owned(), "\"b\"".to_owned()];
        assert_eq!(expected(&[(IF_MATCH, "\"a\", \"b\"")]), Ok(Expected::Tags(tags)));
    }

    #[test]
    fn nothing_is_there_only_if_nothing_was_expected() {
        let check = |expected: Expected| expected.check(None).map_err(|problem| problem.code);
        assert_eq!(check(Expected::Nothing), Ok(()));
        for expected in [Expected::Any, Expected::Tags(vec!["\"a\"".into()])] {
            assert_eq!(check(expected), Err(Code::PreconditionFailed));
        }
    }
}
