//! Selects entries of the shelf, by name or by what they have in common.

use std::collections::HashSet;
use std::str::FromStr;

use crate::app::time::rfc3339;
use crate::app::visible::in_shell;
use crate::batch::BatchKey;
use crate::store::shelf::{ShelfFilter, ShelfId};
use crate::store::{Store, StoreError};

/// The entries that a person means.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Entries by their names.
    Named(Vec<EntryName>),
    /// Entries that match a filter.
    Matching(ShelfFilter),
}

/// One or more entries by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryName {
    /// The entry with this id.
    Id(ShelfId),
    /// Every entry of a batch: there can be more than one, such as a copy in conflict.
    Batch(BatchKey),
    /// The entry of a message whose hash begins with these digits. Lists, events and `publish` name a message so whose batch
    /// could not be read.
    Message(String),
}

/// How many digits of a message's hash are shown, and have to be given; no id has as many.
const HASH_DIGITS: usize = 12;

/// How many names of a selection are written: what is kept of it has a bound, whatever was selected.
const MOST_WRITTEN: usize = 20;

/// Why entries cannot be selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// Neither a name nor a filter is given.
    #[error("nothing was selected")]
    Empty,
    /// Both names and filters are given.
    #[error("ids and filters cannot be combined")]
    NamesAndFilters,
    /// No entry has this name.
    #[error("no entry {0} is on the shelf")]
    NotOnShelf(EntryName),
    /// No entry's message has this `message_id`.
    #[error("no message with the message_id {0:?} is on the shelf")]
    NotPublishedAs(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Selection {
    /// Returns the command that replays the selection; `None` if it has more names than are written.
    pub fn replay_command(&self) -> Option<String> {
        let is_whole = !matches!(self, Self::Named(names) if names.len() > MOST_WRITTEN);
        is_whole.then(|| format!("testmo-courier replay {self}"))
    }

    /// Selects by names or by a filter; exactly one of them has to be given.
    ///
    /// # Errors
    /// When both or neither are given.
    pub fn of(names: Vec<EntryName>, filter: Option<ShelfFilter>) -> Result<Self, SelectionError> {
        match (names.is_empty(), filter) {
            (false, None) => Ok(Self::Named(names)),
            (true, Some(filter)) => Ok(Self::Matching(filter)),
            (true, None) => Err(SelectionError::Empty),
            (false, Some(_)) => Err(SelectionError::NamesAndFilters),
        }
    }

    /// Returns whether the entries are named one by one.
    pub fn is_by_name(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// Reads the ids of the entries.
    ///
    /// # Errors
    /// When a name has no entry, or the store does not answer.
    pub async fn ids(&self, store: &Store) -> Result<Vec<ShelfId>, SelectionError> {
        match self {
            Self::Named(names) => named(store, names).await,
            Self::Matching(filter) => Ok(store.shelf_ids(filter).await?),
        }
    }
}

/// Reads the ids of entries by their names, each id once.
///
/// # Errors
/// When a name has no entry, or the store does not answer.
pub async fn named(store: &Store, names: &[EntryName]) -> Result<Vec<ShelfId>, SelectionError> {
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    for name in names {
        let found = match name {
            EntryName::Id(id) => store.is_on_shelf(*id).await?.then_some(*id).into_iter().collect(),
            EntryName::Batch(BatchKey { tenant, batch }) => {
                let filter =
                    ShelfFilter { tenant: Some(tenant.clone()), batch: Some(batch.clone()), ..ShelfFilter::default() };
                store.shelf_ids(&filter).await?
            }
            EntryName::Message(hash) => store.shelf_ids_of_message(hash).await?,
        };
        if found.is_empty() {
            return Err(SelectionError::NotOnShelf(name.clone()));
        }
        ids.extend(found.into_iter().filter(|id| seen.insert(*id)));
    }
    Ok(ids)
}

impl std::fmt::Display for Selection {
    /// Writes the selection as it is given on the command line; of many names, the first ones.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(names) => {
                let written: Vec<String> = names.iter().take(MOST_WRITTEN).map(EntryName::argument).collect();
                f.write_str(&written.join(" "))?;
                match names.len().saturating_sub(MOST_WRITTEN) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::Matching(filter) => f.write_str(&filter_words(filter)),
        }
    }
}

/// Writes a filter as options; one that names nothing means everything.
fn filter_words(filter: &ShelfFilter) -> String {
    let time = |ms: i64| rfc3339(ms).unwrap_or_else(|| ms.to_string());
    let ShelfFilter { tenant, reason, state, batch, message_id, cause, since, until } = filter;
    let options = [
        ("tenant", tenant.as_ref().map(ToString::to_string)),
        ("batch", batch.as_ref().map(ToString::to_string)),
        ("reason", reason.map(|reason| reason.to_string())),
        ("group", cause.map(|cause| cause.to_string())),
        ("state", state.map(|state| state.name().to_owned())),
        ("since", since.map(time)),
        ("until", until.map(time)),
        ("message-id", message_id.clone()),
    ];
    let word = |(name, value): (&str, Option<String>)| Some(format!("--{name} {}", in_shell(&value?)));
    let words: Vec<String> = options.into_iter().filter_map(word).collect();
    if words.is_empty() { "--all".into() } else { words.join(" ") }
}

impl EntryName {
    /// Writes the name as it is given on the command line.
    fn argument(&self) -> String {
        match self {
            Self::Message(hash) => hash.clone(),
            Self::Id(_) | Self::Batch(_) => self.to_string(),
        }
    }
}

impl FromStr for EntryName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return text.parse().map(Self::Batch).map_err(|why| format!("`{text}` is not TENANT/BATCH: {why}"));
        }
        if (HASH_DIGITS..=64).contains(&text.len()) && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
            return Ok(Self::Message(text.to_owned()));
        }
        text.parse().map(Self::Id).map_err(|why| format!("{why}, and not a batch as TENANT/BATCH"))
    }
}

impl std::fmt::Display for EntryName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Batch(key) => key.fmt(f),
            Self::Message(hash) => write!(f, "of message {hash}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_named_by_id_batch_or_hash() {
        assert_eq!("0000001a".parse(), Ok(EntryName::Id(ShelfId(26))));
        assert_eq!("globex/2026/b".parse(), Ok(EntryName::Batch("globex/2026/b".parse().unwrap())));
        assert_eq!("0123456789ab".parse(), Ok(EntryName::Message("0123456789ab".into())));
        assert!("b-1".parse::<EntryName>().unwrap_err().contains("TENANT/BATCH"));
    }

    #[test]
    fn a_selection_is_written_as_it_is_given() {
        let name = |text: &str| text.parse::<EntryName>().unwrap();
        let named = Selection::Named(vec![name("0000001a"), name("acme/b-1"), name("0123456789ab")]);
        assert_eq!(named.to_string(), "0000001a acme/b-1 0123456789ab");
        let many = Selection::Named((0..100_000).map(|id| EntryName::Id(ShelfId(id))).collect()).to_string();
        assert!(many.starts_with("00000000 ") && many.ends_with(" 00000013 and 99980 more"), "{many}");
        let command =
            |count| Selection::Named((0..count).map(|id| EntryName::Id(ShelfId(id))).collect()).replay_command();
        assert!(command(20).is_some_and(|command| command.ends_with(" 00000013")));
        assert_eq!(command(21), None, "what is cut is no command");
        let message = ShelfFilter { message_id: Some("a b".into()), ..ShelfFilter::default() };
        assert_eq!(
            Selection::Matching(message).replay_command().as_deref(),
            Some("testmo-courier replay --message-id 'a b'")
        );
        assert_eq!(Selection::Matching(ShelfFilter::default()).to_string(), "--all");
        let filter = ShelfFilter {
            tenant: "acme".parse().ok(),
            reason: Some(crate::batch::Reason::CaseRefused),
            since: Some(0),
            ..ShelfFilter::default()
        };
        let said = Selection::Matching(filter).to_string();
        assert_eq!(said, "--tenant acme --reason case_refused --since 1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_selection_has_names_or_a_filter_but_not_both() {
        let name = || vec![EntryName::Id(ShelfId(1))];
        assert!(Selection::of(name(), None).is_ok_and(|selection| selection.is_by_name()));
        assert!(Selection::of(vec![], Some(ShelfFilter::default())).is_ok_and(|selection| !selection.is_by_name()));
        assert!(matches!(Selection::of(vec![], None), Err(SelectionError::Empty)));
        assert!(matches!(Selection::of(name(), Some(ShelfFilter::default())), Err(SelectionError::NamesAndFilters)));
    }
}
