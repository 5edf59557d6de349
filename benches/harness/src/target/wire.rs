//! Reads requests and writes answers, with as little JSON as Testmo's calls need.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The kept part of `POST /projects/{id}/cases`; names stay as they were written.
#[derive(Debug, Deserialize)]
pub(super) struct NewCases<'a> {
    #[serde(borrow)]
    pub(super) cases: Vec<NewCase<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NewCase<'a> {
    #[serde(borrow)]
    pub(super) name: &'a RawValue,
    pub(super) folder_id: u64,
    #[serde(borrow)]
    pub(super) tags: Option<&'a RawValue>,
}

/// `POST /projects/{id}/folders`.
#[derive(Debug, Deserialize)]
pub(super) struct NewFolders<'a> {
    #[serde(borrow)]
    pub(super) folders: Vec<NewFolder<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NewFolder<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    pub(super) parent_id: Option<u64>,
}

/// Splits a target into the account and the path after `/api/v1`.
pub(super) fn split_path(target: &str) -> Option<(&str, &str)> {
    let (account, rest) = target.split_once("/api/v1")?;
    Some((account.trim_start_matches('/'), rest))
}

/// Returns a number in the query of a path.
pub(super) fn number(path: &str, name: &str) -> Option<u64> {
    value(path, name)?.parse().ok()
}

/// Returns a value in the query of a path, without decoding.
pub(super) fn value<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Writes an answer with its head.
pub(super) fn answer(out: &mut Vec<u8>, status: u16, retry_after: Option<u64>, date: &str, body: &str) {
    let reason = match status {
        200 => "OK",
        201 => "Created",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Refused",
    };
    let mut head = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\ndate: {date}\r\n",
        body.len()
    );
    if let Some(seconds) = retry_after {
        head.push_str(&format!("retry-after: {seconds}\r\n"));
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// Writes one case as the answer to its creation shows it; `name` and `tags` are JSON already.
pub(super) fn echo(out: &mut String, id: u64, name: &str, folder: u64, created_at: &str) {
    separate(out);
    out.push_str(&format!(
        r#"{{"id":{id},"key":{id},"name":{name},"project_id":1,"repo_id":1,"folder_id":{folder},"template_id":2,"state_id":1,"status_id":null,"estimate":null,"has_automation":false,"created_at":"{created_at}","created_by":7,"updated_at":"{created_at}","updated_by":7}}"#
    ));
}

/// Writes one case as a list with `expands=tags` shows it.
pub(super) fn listed(out: &mut String, id: u64, name: &str, folder: u64, created_at: &str, tags: &[usize]) {
    separate(out);
    out.push_str(&format!(
        r#"{{"id":{id},"key":{id},"name":{name},"project_id":1,"repo_id":1,"folder_id":{folder},"template_id":2,"state_id":1,"created_at":"{created_at}","created_by":7,"tags":{tags:?}}}"#
    ));
}

fn separate(out: &mut String) {
    if !out.ends_with('[') {
        out.push(',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_what_stands_before_the_api() {
        assert_eq!(split_path("/acme/api/v1/user"), Some(("acme", "/user")));
        assert_eq!(split_path("/api/v1/projects/1/cases?page=2"), Some(("", "/projects/1/cases?page=2")));
        assert_eq!(split_path("/health"), None);
    }

    #[test]
    fn a_query_is_read_by_name() {
        let path = "/projects/1/cases?folder_id=12&per_page=100&page=3";
        assert_eq!((number(path, "page"), number(path, "folder_id"), number(path, "total")), (Some(3), Some(12), None));
        assert_eq!(value("/cases?tags=a,b&page=3", "tags"), Some("a,b"));
    }

    #[test]
    fn names_are_kept_as_they_were_written() {
        let body =
            r#"{"cases": [{"name": "a \"b\" ü", "folder_id": 1, "custom_steps": [{"text1": "x"}], "tags": ["t"]}]}"#;
        let read: NewCases = serde_json::from_str(body).unwrap();
        assert_eq!(read.cases[0].name.get(), r#""a \"b\" ü""#);
    }
}
