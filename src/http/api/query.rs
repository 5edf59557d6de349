//! Reads the query of a request: only parameters that the route has, each at most once.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::super::admin::problem::{Code, Problem};
use super::route::{Kind, Parameter, Route};

/// The most characters of a value.
const LONGEST_VALUE: usize = 1_000;

/// Reads the query of a request for a route.
///
/// # Errors
/// When a parameter is unknown, repeated, or not of its kind.
pub(super) fn read(route: &Route, query: &str) -> Result<BTreeMap<String, String>, Problem> {
    let mut read = BTreeMap::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        let Some(parameter) = route.query.iter().find(|parameter| parameter.name == name) else {
            let known: Vec<&str> = route.query.iter().map(|parameter| parameter.name).collect();
            let shown: String = name.chars().take(64).collect();
            let problem = Problem::parameter(Code::InvalidParameter, &shown, "There is no such parameter.");
            return Err(match known.as_slice() {
                [] => problem.remedy("This request has no parameters."),
                known => problem.remedy(format!("The parameters are {}.", known.join(", "))),
            });
        };
        check(parameter, &value)?;
        if read.insert(name, value).is_some() {
            return Err(Problem::parameter(Code::InvalidParameter, parameter.name, "The parameter is given twice."));
        }
    }
    let is_missing =
        |parameter: &&Parameter| matches!(parameter.kind, Kind::Needed(_)) && !read.contains_key(parameter.name);
    if let Some(Parameter { name, about, .. }) = route.query.iter().find(is_missing) {
        return Err(Problem::parameter(Code::InvalidParameter, name, "The parameter is missing.").remedy(about));
    }
    Ok(read)
}

fn decoded(text: &str) -> Result<String, Problem> {
    let text = text.replace('+', " ");
    let wrong = |_| Problem::new(Code::InvalidParameter, "The query is not UTF-8.");
    percent_decode_str(&text).decode_utf8().map(|text| text.into_owned()).map_err(wrong)
}

fn check(parameter: &Parameter, value: &str) -> Result<(), Problem> {
    let kind = match parameter.kind {
        Kind::Needed(kind) => *kind,
        kind @ (Kind::Text(_) | Kind::Number(..) | Kind::Flag | Kind::Word(_)) => kind,
    };
    let expected = match kind {
        Kind::Text(_) if !value.is_empty() && value.chars().count() <= LONGEST_VALUE => return Ok(()),
        Kind::Text(example) => format!("Write a value such as {example}."),
        Kind::Number(least, most) => {
            let is_plain = value.chars().all(|c| c.is_ascii_digit());
            if is_plain && value.parse().is_ok_and(|number: u64| (least..=most).contains(&number)) {
                return Ok(());
            }
            format!("Write a whole number from {least} to {most}.")
        }
        Kind::Flag if matches!(value, "true" | "false") => return Ok(()),
        Kind::Flag => "Write true or false.".to_owned(),
        Kind::Word(words) if words().contains(&value) => return Ok(()),
        Kind::Word(words) => format!("Write one of {}.", words().join(", ")),
        Kind::Needed(_) => String::new(),
    };
    Err(Problem::parameter(Code::InvalidParameter, parameter.name, "The value is not one that this parameter has.")
        .remedy(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: Route = Route {
        query: &[
            Parameter { name: "limit", about: "", kind: Kind::Number(1, 200) },
            Parameter { name: "state", about: "", kind: Kind::Word(|| vec!["dead", "parked"]) },
            Parameter { name: "text", about: "", kind: Kind::Text("x") },
            Parameter { name: "all", about: "", kind: Kind::Flag },
        ],
        ..Route::READ
    };

    #[test]
    fn known_parameters_are_read() {
        let query = read(&ROUTE, "limit=7&state=dead&text=a%2Fb+c&all=true&").unwrap();
        let query: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(query, [("all", "true"), ("limit", "7"), ("state", "dead"), ("text", "a/b c")]);
        assert!(read(&ROUTE, "").unwrap().is_empty());
    }

    #[test]
    fn what_is_needed_has_to_be_given() {
        const NEEDED: Parameter = Parameter { name: "version", about: "", kind: Kind::Needed(&Kind::Number(0, 9)) };
        let route = Route { query: &[NEEDED], ..Route::READ };
        for query in ["", "version=", "version=10"] {
            assert_eq!(read(&route, query).unwrap_err().code, Code::InvalidParameter, "{query}");
        }
        assert_eq!(read(&route, "version=9").unwrap()["version"], "9");
    }

    #[test]
    fn what_a_route_does_not_have_is_an_error_and_not_passed_over() {
        for query in [
            "tenant=acme",
            "limit=0",
            "limit=201",
            "limit=+7",
            "limit",
            "state=old",
            "all=1",
            "text=",
            "limit=1&limit=1",
            "text=%ff",
            "LIMIT=1",
        ] {
            assert_eq!(read(&ROUTE, query).unwrap_err().code, Code::InvalidParameter, "{query}");
        }
    }
}
