//! Asks for lists in the order that suits reading, and in Testmo's own order where Testmo refuses that one: not every
//! instance is known to have each `sort` and filter.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::client::Client;
use super::pages::{Entry, ReadError, ReadPermits};
use super::transport::Access;
use crate::batch::verdict::answer::ApiError;

impl Client {
    /// Returns the entries of every page of a list in this order, or in Testmo's own order.
    pub(super) async fn list_ordered<T: DeserializeOwned + Entry + Send + 'static, P: ReadPermits>(
        &self,
        access: &Access,
        path: &str,
        order: &str,
        permits: &mut P,
    ) -> Result<Vec<T>, ReadError<P::Refused>> {
        match self.list(access, &format!("{path}{order}"), permits).await {
            Err(error) if is_refused(&error) => self.list(access, path, permits).await,
            listed => listed,
        }
    }
}

/// Has cases listed newest first.
pub const NEWEST_FIRST: &str = "&sort=repository_cases:id&order=desc";

/// Has cases listed that were changed last first.
pub const CHANGED_LAST_FIRST: &str = "&sort=repository_cases:updated_at&order=desc";

/// The most tags in one request.
const MOST_TAGS: usize = 20;

/// The cases of a project that are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CasesOf {
    /// Those of a folder.
    Folder(u64),
    /// Those with one of these tags, as far as Testmo has this filter.
    Tags(Vec<String>),
}

impl CasesOf {
    /// Returns the lists in which cases are sought that were written into folders, by batches with tags: the tags find those that
    /// people moved.
    pub fn sought(folders: BTreeSet<u64>, tags: impl Iterator<Item = String>) -> impl Iterator<Item = Self> {
        let tags: Vec<String> = tags.take(MOST_TAGS).collect();
        let tagged = (!tags.is_empty()).then_some(Self::Tags(tags));
        folders.into_iter().map(Self::Folder).chain(tagged)
    }

    /// Returns what is added to a request that lists them, newest first or in Testmo's own order.
    pub fn query(&self, is_unsorted: bool) -> String {
        let order = if is_unsorted { "" } else { NEWEST_FIRST };
        match self {
            Self::Folder(folder) => format!("&folder_id={folder}{order}"),
            Self::Tags(tags) => format!("&tags={}{order}", tags.join(",")),
        }
    }
}

/// Returns the queries to list cases with, the best one first; each further one asks for less, and so lists as many cases
/// or more. A list that does not come newest first is read to its end.
pub(super) fn case_queries(tags: &[String]) -> Vec<String> {
    let filtered = (!tags.is_empty()).then(|| format!("&tags={}{NEWEST_FIRST}", tags.join(",")));
    filtered.into_iter().chain([NEWEST_FIRST.to_owned(), String::new()]).collect()
}

/// Returns whether Testmo refused the request as it is written.
pub(super) fn is_refused<R>(error: &ReadError<R>) -> bool {
    matches!(error, ReadError::Failed(ApiError::Invalid(_) | ApiError::Rejected { .. }))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::super::{AddressPolicy, Answer, AnyNumber, Call, Past, Transport};
    use super::*;
    use crate::batch::ledger::Target;

    /// A Testmo that refuses requests with a part of their query.
    #[derive(Debug)]
    struct Picky {
        refuses: &'static str,
        calls: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Transport for Picky {
        async fn exchange(&self, _: &Access, call: Call<'_>) -> Result<Answer, ApiError> {
            self.calls.lock().unwrap().push(call.path.to_owned());
            let answer = |status, body: Value| {
                let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
                Ok(Answer { status, headers, body: body.to_string().into_bytes(), at: 0 })
            };
            if call.path.contains(self.refuses) {
                return answer(422, json!({"message": "m", "errors": {"sort": ["The selected sort is invalid."]}}));
            }
            answer(200, json!({"page": 1, "next_page": null, "last_page": 1, "total": 0, "result": []}))
        }
    }

    fn client(refuses: &'static str) -> (Client, Arc<Picky>, Access) {
        let picky = Arc::new(Picky { refuses, calls: Mutex::default() });
        let origin = AddressPolicy::of_hosts(&["*.testmo.net"]).check("https://acme.testmo.net").unwrap();
        (Client::over(picky.clone()), picky, Access { origin, key: SecretString::from("k") })
    }

    #[tokio::test]
    async fn folders_are_listed_in_testmos_own_order_where_it_refuses_another_one() {
        for (refuses, calls) in [("never", 1), ("sort=", 2)] {
            let (client, picky, access) = client(refuses);
            assert!(client.folders(&access, 3, &mut AnyNumber).await.unwrap().is_empty(), "{refuses}");
            assert_eq!(picky.calls.lock().unwrap().len(), calls, "{refuses}");
        }
    }

    #[tokio::test]
    async fn cases_are_listed_without_what_testmo_refuses() {
        let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 4 };
        let past = Past { up_to: None, before: 0, offset: None };
        for (refuses, calls, has_tags, has_sort) in
            [("never", 1, true, true), ("tags=sqai", 2, false, true), ("sort=", 3, false, false)]
        {
            let (client, picky, access) = client(refuses);
            let tags = ["sqai-0123456789ab".to_owned()];
            client.list_cases(&access, &target, past, &tags, &mut AnyNumber).await.unwrap();
            let sent = picky.calls.lock().unwrap();
            let last = sent.last().unwrap();
            let asked = (sent.len(), last.contains("&tags="), last.contains("&sort="));
            assert_eq!(asked, (calls, has_tags, has_sort), "{refuses}: {sent:?}");
        }
        let (client, picky, access) = client("per_page");
        let refused = client.list_cases(&access, &target, past, &[], &mut AnyNumber).await.unwrap_err();
        assert!(is_refused(&refused) && picky.calls.lock().unwrap().len() == 2, "it is asked in no other way");
    }
}
