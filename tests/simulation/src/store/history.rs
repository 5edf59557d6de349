//! Keeps what happened to batches, as the real store does it.

use testmo_courier::batch::BatchKey;
use testmo_courier::store::PruneRound;
use testmo_courier::store::history::{COMPARED, HistoryEntry, MOST_ENTRIES, Recent};

use super::tables::Tables;

impl Tables {
    pub(crate) fn add_to_histories(&mut self, new: Vec<(BatchKey, HistoryEntry)>) {
        for (key, entry) in new {
            let entries = self.histories.entry(key).or_default();
            let mut recent = Recent::default();
            let latest: Vec<_> = entries.iter().rev().take(COMPARED).collect();
            latest.into_iter().rev().for_each(|(place, entry)| recent.stored(*place, Some(entry.clone())));
            let (place, entry) = recent.add(entry);
            entries.insert(place, entry);
            entries.retain(|before, _| *before + MOST_ENTRIES > place);
        }
    }

    /// Returns the history of a batch, and how many older entries were dropped.
    #[cfg(test)]
    pub(crate) fn history(&self, key: &BatchKey) -> (Vec<HistoryEntry>, u64) {
        let Some(entries) = self.histories.get(key) else { return (Vec::new(), 0) };
        let dropped = entries.keys().next().map_or(0, |first| first - 1);
        (entries.values().cloned().collect(), dropped)
    }

    /// Examines the next entries of a round, and removes what is old of batches that have neither details nor an entry on
    /// the shelf.
    pub(crate) fn prune_histories(&mut self, round: &mut PruneRound, most: usize) {
        if round.no_entries_left {
            return;
        }
        let place = |key: &BatchKey, entry: &HistoryEntry| {
            (entry.last_at, key.tenant.as_str().to_owned(), key.batch.as_str().to_owned())
        };
        let rows = self.histories.iter().flat_map(|(key, entries)| entries.values().map(move |entry| (key, entry)));
        let mut old: Vec<_> = rows
            .filter(|(_, entry)| entry.last_at < round.before)
            .map(|(key, entry)| (place(key, entry), key.clone()))
            .filter(|(place, _)| round.last_entry.as_ref().is_none_or(|last| place > last))
            .collect();
        old.sort();
        old.truncate(most);
        round.no_entries_left = old.len() < most;
        round.last_entry = old.last().map(|(place, _)| place.clone()).or(round.last_entry.take());
        for (_, key) in old {
            let has_details = self.batches.get(&key).is_some_and(|entry| !entry.pruned);
            if has_details || self.is_shelved(&key) {
                continue;
            }
            if let Some(entries) = self.histories.get_mut(&key) {
                entries.retain(|_, entry| entry.last_at >= round.before);
            }
        }
        self.histories.retain(|_, entries| !entries.is_empty());
    }
}
