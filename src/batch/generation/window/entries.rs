//! Finds the entries of a history that were not there before, and orders them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::reading::moment;

/// The entries that were not there before.
#[derive(Debug, PartialEq)]
pub(super) struct NewEntries<'a> {
    /// The entries, the oldest first if that is known.
    pub(super) entries: Vec<&'a Value>,
    /// Whether it is known which ones are older.
    pub(super) is_ordered: bool,
}

/// Returns the fingerprints of the entries that a row shows; `None` if it shows no history.
pub(super) fn known_entries(row: &Map<String, Value>) -> Option<Vec<u64>> {
    Some(row.get("history")?.as_array()?.iter().map(fingerprint).collect())
}

/// Returns the entries that are not among those known before; where `until` is given, only those that it has.
///
/// Returns `None` if entries without ids have changed or vanished, as nothing says then which ones are new.
pub(super) fn new_entries<'a>(known: &[u64], until: Option<&[u64]>, shown: &'a [Value]) -> Option<NewEntries<'a>> {
    let mut before: HashMap<u64, usize> = HashMap::new();
    for entry in known {
        *before.entry(*entry).or_default() += 1;
    }
    let mut is_known = |entry: &Value| match before.get_mut(&fingerprint(entry)) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        Some(_) | None => false,
    };
    let (old, mut new): (Vec<_>, Vec<_>) = shown.iter().enumerate().partition(|(_, entry)| is_known(entry));
    let have_ids = shown.iter().all(|entry| id_of(entry).is_some());
    if !have_ids && old.len() != known.len() {
        return None;
    }
    let places: Vec<usize> = old.iter().map(|(place, _)| *place).collect();
    if let Some(until) = until {
        let until: HashSet<u64> = until.iter().copied().collect();
        new.retain(|(_, entry)| until.contains(&fingerprint(entry)));
    }
    let is_after = new.iter().all(|(place, _)| places.iter().all(|old| old < place));
    let is_before = new.iter().all(|(place, _)| places.iter().all(|old| old > place));
    let mut entries: Vec<&Value> = new.into_iter().map(|(_, entry)| entry).collect();
    let is_placed = !places.is_empty() && is_after != is_before;
    if is_placed && is_before {
        entries.reverse();
    }
    let moments: Option<Vec<String>> = entries.iter().map(|entry| moment(entry)).collect();
    let ids: Option<Vec<u64>> = entries.iter().map(|entry| number_of(entry)).collect();
    let is_ordered = moments.is_some() || ids.is_some() || is_placed;
    if ids.is_some() {
        entries.sort_by_key(|entry| number_of(entry));
    }
    if moments.is_some() {
        entries.sort_by_key(|entry| moment(entry));
    }
    Some(NewEntries { entries, is_ordered })
}

/// Returns the id of an entry as text: of one that is shown by its id alone, too.
fn id_of(entry: &Value) -> Option<String> {
    match entry {
        Value::Number(_) | Value::String(_) => Some(entry.to_string()),
        Value::Object(members) => members.get("id").filter(|id| id.is_number() || id.is_string()).map(Value::to_string),
        Value::Null | Value::Bool(_) | Value::Array(_) => None,
    }
}

fn number_of(entry: &Value) -> Option<u64> {
    entry.get("id").unwrap_or(entry).as_u64()
}

/// Returns by what an entry is recognized: its id or, without one, its content.
fn fingerprint(entry: &Value) -> u64 {
    let text = id_of(entry).map_or_else(|| format!("entry {entry}"), |id| format!("id {id}"));
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(before: Value, shown: &Value) -> Option<(Vec<Value>, bool)> {
        let row = Map::from_iter([("history".to_owned(), before)]);
        let new = new_entries(&known_entries(&row)?, None, shown.as_array()?)?;
        Some((new.entries.into_iter().cloned().collect(), new.is_ordered))
    }

    #[test]
    fn new_entries_are_found_and_ordered_by_time_by_id_or_by_their_place() {
        let at = |id: u64, second: u64| json!({"id": id, "created_at": format!("2026-07-29 12:48:0{second}")});
        let told = |what: &str| json!({"what": what});
        let table = [
            (json!([1]), json!([1, 3, 2]), Some((vec![json!(2), json!(3)], true))),
            (
                json!([{"id": 1}]),
                json!([{"id": 3}, {"id": 2}, {"id": 1}]),
                Some((vec![json!({"id": 2}), json!({"id": 3})], true)),
            ),
            (json!([at(1, 1)]), json!([at(3, 2), at(2, 3), at(1, 1)]), Some((vec![at(3, 2), at(2, 3)], true))),
            (json!([told("a")]), json!([told("a"), told("b"), told("c")]), Some((vec![told("b"), told("c")], true))),
            (json!([told("a")]), json!([told("c"), told("b"), told("a")]), Some((vec![told("b"), told("c")], true))),
            (json!([told("a")]), json!([told("c"), told("a"), told("b")]), Some((vec![told("c"), told("b")], false))),
            (json!([told("a")]), json!([told("a"), told("a"), told("a")]), Some((vec![told("a"), told("a")], true))),
            (json!([told("1 s ago")]), json!([told("9 s ago"), told("1 s ago, too")]), None),
            (json!([{"id": 1}, {"id": 2}]), json!([{"id": 3}, {"id": 2}]), Some((vec![json!({"id": 3})], true))),
            (json!([1, 2]), json!([2, 1]), Some((vec![], true))),
            (json!(null), json!([1]), None),
        ];
        for (before, shown, expected) in table {
            assert_eq!(found(before.clone(), &shown), expected, "{before} {shown}");
        }
    }

    #[test]
    fn what_came_after_a_later_read_is_not_new() {
        let known = |history: Value| known_entries(&Map::from_iter([("history".to_owned(), history)])).unwrap();
        let shown = [json!(1), json!(2), json!(3)];
        let new = new_entries(&known(json!([1])), Some(&known(json!([1, 2]))), &shown).unwrap();
        assert_eq!(new.entries, [&json!(2)]);
    }
}
