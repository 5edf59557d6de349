//! Reads what the path of a request names, if the caller may know of it: a batch, or an entry of the shelf.

use std::collections::BTreeMap;

use axum::RequestExt;
use axum::extract::{RawPathParams, Request};

use super::problem::{Code, Problem};
use super::scope::{Reach, Scope};
use crate::app::restore_entry::{self, RestoreError};
use crate::app::shelf::{self, EntryName, SelectionError, ShelfId, Shelved};
use crate::app::{BatchKey, Store};

/// The entry that the path of a request names. A handler has no other way to it, so that none can forget to check it.
#[derive(Debug)]
pub(in crate::http) enum Named {
    /// It names none.
    Nothing,
    /// It names an entry of the shelf.
    Entry(Box<Shelved>),
    /// It names a discarded entry.
    Discarded(ShelfId),
}

impl Named {
    /// Reads the entry that a path names by its route.
    ///
    /// # Errors
    /// When there is none, the caller may not know of it, or the store does not answer.
    pub(in crate::http) async fn read(
        scope: Scope,
        reach: Reach<'_>,
        store: &Store,
        path: &BTreeMap<String, String>,
    ) -> Result<Self, Problem> {
        let id = path.get("id").map(String::as_str).unwrap_or_default();
        match scope {
            Scope::Entry => entry(reach, store, id).await.map(Box::new).map(Self::Entry),
            Scope::Discarded => discarded(reach, store, id).await.map(Self::Discarded),
            Scope::Path | Scope::Rows | Scope::All | Scope::Nothing => Ok(Self::Nothing),
        }
    }

    /// Returns the entry of the shelf.
    ///
    /// # Errors
    /// When the route names none, which is a defect.
    pub(in crate::http) fn entry(&self) -> Result<&Shelved, Problem> {
        match self {
            Self::Entry(entry) => Ok(entry),
            Self::Nothing | Self::Discarded(_) => Err(Problem::defect()),
        }
    }

    /// Returns the id of the discarded entry.
    ///
    /// # Errors
    /// When the route names none, which is a defect.
    pub(in crate::http) fn discarded(&self) -> Result<ShelfId, Problem> {
        match self {
            Self::Discarded(id) => Ok(*id),
            Self::Nothing | Self::Entry(_) => Err(Problem::defect()),
        }
    }
}

/// Reads the parameters of a path.
///
/// # Errors
/// When they are not UTF-8.
pub(in crate::http) async fn path_of(request: &mut Request) -> Result<BTreeMap<String, String>, Problem> {
    let wrong = |_| Problem::new(Code::InvalidParameter, "The path is not UTF-8.");
    let parameters = request.extract_parts::<RawPathParams>().await.map_err(wrong)?;
    Ok(parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Reads the batch that a path names.
///
/// # Errors
/// When it is not the name of one.
pub(in crate::http) fn batch(path: &BTreeMap<String, String>) -> Result<BatchKey, String> {
    let part = |name: &str| path.get(name).map(String::as_str).unwrap_or_default();
    format!("{}/{}", part("tenant"), part("batch")).parse::<BatchKey>().map_err(|why| why.to_string())
}

async fn entry(reach: Reach<'_>, store: &Store, id: &str) -> Result<Shelved, Problem> {
    let none = || {
        Problem::not_found(format!("No entry {id} is on the shelf."))
            .remedy("Its batch may have been delivered: search for it.")
    };
    let Ok(name @ EntryName::Id(_)) = id.parse::<EntryName>() else { return Err(none()) };
    let found = match shelf::show(store, &[name]).await {
        Ok(entries) => entries.into_iter().next(),
        Err(SelectionError::NotOnShelf(_)) => None,
        Err(error) => return Err(error.into()),
    };
    found.filter(|entry| reach.may_know(entry.tenant())).ok_or_else(none)
}

async fn discarded(reach: Reach<'_>, store: &Store, id: &str) -> Result<ShelfId, Problem> {
    let Ok(EntryName::Id(id)) = id.parse() else {
        return Err(Problem::not_found(format!("No discarded entry {id} is known.")));
    };
    let owner = match restore_entry::discarded(store, id).await {
        Ok(discarded) => discarded.entry.tenant().cloned(),
        // An entry that is not discarded is refused by the use case, but only one that the caller may know of.
        Err(RestoreError::OnShelf(_)) => {
            let on_shelf = shelf::show(store, &[EntryName::Id(id)]).await?.into_iter().next();
            on_shelf.and_then(|entry| entry.tenant().cloned())
        }
        Err(error) => return Err(error.into()),
    };
    if reach.may_know(owner.as_ref()) { Ok(id) } else { Err(RestoreError::NotKnown(id).into()) }
}
