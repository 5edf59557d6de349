//! Says what is left to do for generations.

use testmo_courier::store::{Store, StoreError};

use super::Generations;

/// Returns the generations that are not finished.
pub(crate) async fn left(generations: &Generations, store: &Store) -> Result<Vec<String>, StoreError> {
    let mut left = Vec::new();
    for key in generations.all.iter().filter_map(|generation| generation.key().ok()) {
        match store.batch(&key).await? {
            None => left.push(format!("{key} is not known")),
            Some(stored) if stored.record.state.name() == "open" => left.push(format!("{key} is open")),
            Some(_) => {}
        }
    }
    Ok(left)
}
