//! Finds the source of a batch, which its record does not have, in the events of the batch.

use serde::Deserialize;

use crate::batch::BatchKey;
use crate::batch::message::Source;
use crate::store::StoreError;
use crate::store::undos::UndoStore;

/// Returns the key of a batch's source; `None` if no event is kept that has it.
pub(in crate::app) async fn source_key<S: UndoStore + ?Sized>(
    store: &S,
    key: &BatchKey,
) -> Result<Option<String>, StoreError> {
    Ok(source_of(store, key).await?.key)
}

/// Returns the source of a batch; an empty one if no event is kept that has it.
pub(in crate::app) async fn source_of<S: UndoStore + ?Sized>(store: &S, key: &BatchKey) -> Result<Source, StoreError> {
    #[derive(Deserialize)]
    struct Event {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        source: Option<Stored>,
    }
    #[derive(Deserialize)]
    struct Stored {
        key: Option<String>,
        title: Option<String>,
        link: Option<String>,
        generator: Option<String>,
    }
    let of = |body: &str| {
        let Stored { key, title, link, generator } = serde_json::from_str::<Event>(body).ok()?.data.source?;
        Some(Source { key, title, link, generator })
    };
    Ok(store.event_bodies(key).await?.iter().find_map(|body| of(body)).unwrap_or_default())
}
