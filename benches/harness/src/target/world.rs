//! Holds the content and the limits of each account, as a value that is given the time.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use super::order::{Bucket, Manner, Refusal, Refusals, Report};
use super::wire::{self, NewCase};

/// The folder that every account has from the start.
pub(super) const FIRST_FOLDER: u64 = 1;
/// How many rows a page of a list has.
const PAGE: usize = 100;

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct World {
    manner: Manner,
    accounts: HashMap<String, Account>,
    tag_ids: HashMap<String, usize>,
    ids: u64,
    at_once: usize,
    /// The number of resets: a request from before a reset must not be carried out after it.
    age: u64,
    report: Report,
}

#[derive(Debug)]
struct Account {
    cases: Vec<Row>,
    /// The positions of the indexed cases with a tag.
    by_tag: HashMap<String, Vec<usize>>,
    indexed: usize,
    names: HashSet<u64>,
    folders: Vec<(u64, String, Option<u64>)>,
    tokens: f64,
    refilled_at: i64,
    refusals: Vec<Refusal>,
    faulted: HashSet<u64>,
}

#[derive(Debug)]
struct Row {
    id: u64,
    name: Box<str>,
    folder: u64,
    tags: Box<str>,
    created_at: i64,
}

/// The query of a list.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// The folder; `None` means all folders.
    pub(super) folder: Option<u64>,
    /// Tags of which a case must have one.
    pub(super) tags: Option<Vec<&'a str>>,
    /// The page, from 1.
    pub(super) page: usize,
}

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The request is answered 429 at once, with this pause in seconds.
    Refused(u64),
    /// The request is answered 401 at once.
    KeyRefused,
    /// The request is answered 503, after the latency.
    Failed,
    /// The request is carried out, after the latency.
    Served,
}

impl World {
    pub(super) fn reset(&mut self, manner: Manner) {
        *self = Self { manner, at_once: self.at_once, age: self.age + 1, ..Self::default() };
    }

    pub(super) fn age(&self) -> u64 {
        self.age
    }

    pub(super) fn latency_ms(&self) -> u64 {
        self.manner.latency_ms
    }

    pub(super) fn report(&self) -> Report {
        self.report.clone()
    }

    pub(super) fn refusals(&self) -> Refusals {
        let refused = self.accounts.iter().filter(|(_, account)| !account.refusals.is_empty());
        refused.map(|(name, account)| (name.clone(), account.refusals.clone())).collect()
    }

    /// Counts an arriving request, and decides about it; `new` are the cases that it asks to create.
    pub(super) fn admit(&mut self, account: &str, new: Option<&[NewCase]>, now: i64) -> Admission {
        self.at_once += 1;
        self.report.most_at_once = self.report.most_at_once.max(self.at_once);
        self.report.requests += 1;
        if new.is_some() {
            self.report.creates += 1;
            self.report.first_create.get_or_insert(now);
        }
        if self.manner.revoked.contains(account) {
            return Admission::KeyRefused;
        }
        let closed_for = self.manner.closed.get(account).copied();
        let (bucket, faults) = (self.manner.bucket, self.manner.faults_percent);
        let account = self.account(account, now);
        let admitted = match (closed_for, bucket) {
            (Some(seconds), _) => Err(seconds),
            (None, Some(bucket)) => account.take_token(bucket, now),
            (None, None) => Ok(()),
        };
        if let Err(retry_after) = admitted {
            account.refusals.push(Refusal { at: now, retry_after });
            return Admission::Refused(retry_after);
        }
        match new.and_then(<[NewCase]>::first) {
            Some(first) if account.fails_first(hash(first.name.get()), faults) => Admission::Failed,
            Some(_) | None => Admission::Served,
        }
    }

    /// Counts an answer to a request that arrived at this age.
    pub(super) fn answered(&mut self, status: u16, age: u64) {
        self.at_once = self.at_once.saturating_sub(1);
        if age == self.age {
            *self.report.answers.entry(status).or_default() += 1;
        }
    }

    /// Creates cases, and returns the body of the answer.
    pub(super) fn create(&mut self, account: &str, new: &[NewCase], now: i64) -> String {
        let written = written_time(now);
        let mut body = String::with_capacity(64 + new.len() * 320);
        body.push_str(r#"{"result":["#);
        let first_id = self.ids + 1;
        self.ids += new.len() as u64;
        let account = self.account(account, now);
        let mut duplicates = 0;
        for (id, case) in (first_id..).zip(new) {
            let (name, folder) = (case.name.get(), case.folder_id);
            duplicates += u64::from(!account.names.insert(hash(name)));
            let tags = case.tags.map_or("[]", |tags| tags.get());
            account.cases.push(Row { id, name: name.into(), folder, tags: tags.into(), created_at: now });
            wire::echo(&mut body, id, name, folder, &written);
        }
        body.push_str("]}");
        self.report.cases += new.len() as u64;
        self.report.duplicates += duplicates;
        self.report.last_case = Some(now);
        body
    }

    /// Returns a page of cases, newest first: those of a folder, if one is given, that have one of the given tags.
    pub(super) fn list(&mut self, account: &str, wanted: &Wanted<'_>, now: i64) -> String {
        self.report.lists += 1;
        self.account(account, now).index();
        let Some(account) = self.accounts.get(account) else { return String::new() };
        let page = wanted.page.max(1);
        let in_folder = |at: &usize| wanted.folder.is_none_or(|folder| account.cases[*at].folder == folder);
        let mut found: Vec<usize> = match &wanted.tags {
            None => (0..account.cases.len()).filter(in_folder).collect(),
            Some(tags) => {
                let tagged = tags.iter().filter_map(|tag| account.by_tag.get(*tag)).flatten();
                tagged.copied().filter(in_folder).collect::<BTreeSet<_>>().into_iter().collect()
            }
        };
        let total = found.len();
        found.reverse();
        let rows = found.into_iter().skip((page - 1) * PAGE).take(PAGE).map(|at| &account.cases[at]);
        let (mut result, mut expanded) = (String::from("["), BTreeMap::new());
        for row in rows {
            let names: Vec<String> = serde_json::from_str(&row.tags).unwrap_or_default();
            let tags: Vec<usize> =
                names.into_iter().map(|name| id_of(&mut self.tag_ids, &mut expanded, name)).collect();
            wire::listed(&mut result, row.id, &row.name, row.folder, &written_time(row.created_at), &tags);
        }
        result.push(']');
        let tags: Vec<_> = expanded.iter().map(|(id, name)| serde_json::json!({"id": id, "name": name})).collect();
        let last = total.div_ceil(PAGE).max(1);
        let (prev, next) = ((page > 1).then(|| page - 1), (page < last).then_some(page + 1));
        format!(
            r#"{{"page":{page},"prev_page":{},"next_page":{},"last_page":{last},"per_page":{PAGE},"total":{total},"result":{result},"expands":{{"tags":{}}}}}"#,
            or_null(prev),
            or_null(next),
            serde_json::Value::Array(tags)
        )
    }

    /// Returns all folders of an account, on one page.
    pub(super) fn folders(&mut self, account: &str, now: i64) -> String {
        let all: Vec<_> = self.account(account, now).folders.iter().map(folder_json).collect();
        serde_json::json!({"page": 1, "prev_page": null, "next_page": null, "last_page": 1, "per_page": PAGE,
            "total": all.len(), "result": all, "expands": []})
        .to_string()
    }

    /// Creates folders, and returns the body of the answer.
    pub(super) fn create_folders(&mut self, account: &str, new: &[wire::NewFolder], now: i64) -> String {
        let account = self.account(account, now);
        let first = account.folders.len();
        for folder in new {
            let id = account.folders.len() as u64 + 1;
            account.folders.push((id, folder.name.to_string(), folder.parent_id));
        }
        serde_json::json!({"result": account.folders[first..].iter().map(folder_json).collect::<Vec<_>>()}).to_string()
    }

    fn account(&mut self, name: &str, now: i64) -> &mut Account {
        if !self.accounts.contains_key(name) {
            let tokens = self.manner.bucket.map_or(0.0, |bucket| bucket.capacity);
            self.accounts.insert(name.to_owned(), Account::with(tokens, now));
        }
        self.accounts.entry(name.to_owned()).or_insert_with(|| Account::with(0.0, now))
    }
}

impl Account {
    fn with(tokens: f64, now: i64) -> Self {
        Self {
            cases: Vec::new(),
            by_tag: HashMap::new(),
            indexed: 0,
            names: HashSet::new(),
            folders: vec![(FIRST_FOLDER, "Generated".to_owned(), None)],
            tokens,
            refilled_at: now,
            refusals: Vec::new(),
            faulted: HashSet::new(),
        }
    }

    /// Indexes the cases since the last call; this is done late because most runs never ask by tags.
    fn index(&mut self) {
        for (at, row) in self.cases.iter().enumerate().skip(self.indexed) {
            for tag in serde_json::from_str::<Vec<String>>(&row.tags).unwrap_or_default() {
                self.by_tag.entry(tag).or_default().push(at);
            }
        }
        self.indexed = self.cases.len();
    }

    /// Takes a token; if there is none, the error says in how many whole seconds, at least one, there is one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a pause is a small positive number")]
    fn take_token(&mut self, bucket: Bucket, now: i64) -> Result<(), u64> {
        let passed = (now - self.refilled_at) as f64 / 1e6;
        self.refilled_at = now;
        self.tokens = (self.tokens + passed * bucket.per_second).min(bucket.capacity);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(((1.0 - self.tokens) / bucket.per_second).ceil().max(1.0) as u64)
    }

    /// Returns whether a request fails, which depends only on its first case, so that every contestant has the same
    /// failures.
    fn fails_first(&mut self, first: u64, percent: u64) -> bool {
        first % 100 < percent && self.faulted.insert(first)
    }
}

fn folder_json((id, name, parent): &(u64, String, Option<u64>)) -> serde_json::Value {
    let depth = usize::from(parent.is_some());
    serde_json::json!({"id": id, "project_id": 1, "repo_id": 1, "name": name, "parent_id": parent, "depth": depth,
        "docs": null, "display_order": id})
}

fn id_of(ids: &mut HashMap<String, usize>, expanded: &mut BTreeMap<usize, String>, name: String) -> usize {
    let next = ids.len() + 1;
    let id = *ids.entry(name.clone()).or_insert(next);
    expanded.entry(id).or_insert(name);
    id
}

fn or_null(number: Option<usize>) -> String {
    number.map_or_else(|| "null".to_owned(), |number| number.to_string())
}

fn hash(text: &str) -> u64 {
    // This hasher has fixed keys, so that the same requests fail in every run.
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Returns a time as Testmo writes the times of cases: UTC, without a zone.
fn written_time(at: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(at).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
