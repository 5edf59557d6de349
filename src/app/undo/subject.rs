//! Reads what is known of a batch that is taken back: its record, its connection, and what is remembered of its cases.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::error::UndoError;
use super::tools::Tools;
use crate::app::batches::source_key::source_key;
use crate::app::connections::ConnectionError;
use crate::batch::ledger::{BatchRecord, BatchState, CaseRecord, DropChange, Target};
use crate::batch::undo::{
    CreatedRow, Decision, Former, How, Intent, ItemKind, ItemMemory, ItemState, Left, Memory, ReversedRow, Times, Undo,
    UndoItem, UndoKind, UpdatedRow, created, reverse, updated,
};
use crate::batch::written::{BatchMark, CaseIdentity, SourceId, WrittenCase, identities_of};
use crate::batch::{BatchId, BatchKey, batch_tag};
use crate::store::UndoStorage;
use crate::store::connections::ConnectionRow;
use crate::store::ledger::StoredBatch;
use crate::store::written::Remembered;
use crate::testmo::{Access, ShownCase};

/// How many remembered cases of a source are read at once.
const CHUNK: u32 = 500;

/// What is known of a batch.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) key: BatchKey,
    pub(super) stored: StoredBatch,
    pub(super) connection: ConnectionRow,
    pub(super) access: Access,
    /// When the record was read, in milliseconds on the store's clock.
    pub(super) read_at: i64,
    pub(super) former: Former,
    /// The sources of its cases.
    pub(super) sources: BTreeSet<SourceId>,
    /// By what the cases are recognized, with their positions, the own source of the batch first.
    identities: Vec<(CaseIdentity, usize)>,
    /// What is remembered, by the position of the case.
    remembered: HashMap<usize, Vec<WrittenCase>>,
    /// What is remembered of cases that the batch does not have and retired, by their ids.
    dropped: HashMap<u64, Vec<WrittenCase>>,
    /// The ids of cases that the latest generation of the sources has, too, if that is a later one.
    later: HashSet<u64>,
    /// The batches that wrote cases of it and are taken back: what is left of them is that of this batch again.
    undone: BTreeSet<BatchMark>,
    tag: String,
    mark: BatchMark,
}

impl Subject {
    /// Reads what is known of a batch.
    ///
    /// # Errors
    /// When the batch, its cases or the connection are not known.
    pub(super) async fn read(tools: &Tools<'_>, key: &BatchKey) -> Result<Self, UndoError> {
        let store = tools.store;
        let (stored, read_at) = store.batch_at(key).await?;
        let stored = stored.ok_or_else(|| UndoError::NoBatch(key.clone()))?;
        if stored.record.cases.is_empty() {
            return Err(UndoError::Pruned(key.clone()));
        }
        let Some(connection) = store.connection(&key.tenant).await? else {
            return Err(ConnectionError::NoConnection { tenant: key.tenant.clone(), meant: None }.into());
        };
        if !connection.is_verified() {
            let why = "it is not verified".to_owned();
            return Err(UndoError::NoAccess { tenant: key.tenant.clone(), why });
        }
        tools.tenants.learn_key_of(&connection).await?;
        let access = tools.tenants.access(&connection);
        let access = access.map_err(|(_, why)| UndoError::NoAccess { tenant: key.tenant.clone(), why })?;
        let former = store.former_values(key).await?;
        let source_key = source_key(store, key).await?;
        let of = |position| identities_of(&stored.record, source_key.as_deref(), position);
        let of = |position| of(position).into_iter().map(move |identity| (identity, position));
        let identities: Vec<(CaseIdentity, usize)> = (0..stored.record.cases.len()).flat_map(of).collect();
        let sources = identities.iter().map(|(identity, _)| identity.source()).collect();
        let (tag, mark) = (batch_tag(key), BatchMark::of(key, stored.record.first_seen_at));
        let (key, remembered, dropped) = (key.clone(), HashMap::new(), HashMap::new());
        let mut subject = Self {
            key,
            stored,
            connection,
            access,
            read_at,
            former,
            sources,
            identities,
            remembered,
            dropped,
            later: HashSet::new(),
            undone: BTreeSet::new(),
            tag,
            mark,
        };
        subject.remember_again(store).await?;
        Ok(subject)
    }

    /// Reads again what is remembered of the cases.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn remember_again(&mut self, store: &dyn UndoStorage) -> Result<(), UndoError> {
        let wanted: Vec<CaseIdentity> = self.identities.iter().map(|(identity, _)| *identity).collect();
        let remembered = store.written(&self.key.tenant, &wanted).await?;
        self.undone = self.read_undone(store, &remembered).await?;
        let mut remembered: HashMap<CaseIdentity, WrittenCase> =
            remembered.into_iter().map(|known| (known.case.identity, known.case)).collect();
        self.remembered.clear();
        for (identity, position) in &self.identities {
            self.remembered.entry(*position).or_default().extend(remembered.remove(identity));
        }
        self.dropped = self.read_dropped(store).await?;
        self.later = self.read_later(store).await?;
        Ok(())
    }

    /// Reads which of the other batches that wrote cases of it are taken back.
    async fn read_undone(
        &self,
        store: &dyn UndoStorage,
        remembered: &[Remembered],
    ) -> Result<BTreeSet<BatchMark>, UndoError> {
        let others = remembered.iter().filter(|known| known.case.batch != self.mark);
        let others: BTreeMap<BatchMark, &BatchId> =
            others.filter_map(|known| Some((known.case.batch, known.batch.as_ref()?))).collect();
        let mut undone = BTreeSet::new();
        for (mark, batch) in others {
            let key = BatchKey::new(self.key.tenant.clone(), batch.clone());
            let stored = store.batch_at(&key).await?.0;
            undone.extend(stored.filter(|stored| stored.record.state == BatchState::Undone).map(|_| mark));
        }
        Ok(undone)
    }

    /// Reads which cases the latest generation of the sources has, if it is a later one than the batch: it may have left them as
    /// they are.
    async fn read_later(&self, store: &dyn UndoStorage) -> Result<HashSet<u64>, UndoError> {
        let sources: Vec<SourceId> = self.sources.iter().copied().collect();
        let latest = store.latest_generation(&sources).await?;
        let Some((_, by)) = latest.filter(|(_, by)| *by != self.key) else { return Ok(HashSet::new()) };
        let record = store.batch_at(&by).await?.0.map(|stored| stored.record);
        let is_later = |record: &BatchRecord| {
            let has_written = matches!(record.state, BatchState::Delivered | BatchState::Partial);
            has_written && record.first_seen_at > self.record().first_seen_at
        };
        let record = record.filter(is_later);
        Ok(record.iter().flat_map(|record| record.cases.iter().filter_map(CaseRecord::repeated_id)).collect())
    }

    /// Reads what is remembered of the cases of its sources that the batch retired.
    async fn read_dropped(&self, store: &dyn UndoStorage) -> Result<HashMap<u64, Vec<WrittenCase>>, UndoError> {
        let mut found: HashMap<u64, Vec<WrittenCase>> = HashMap::new();
        let retired = self.record().dropped.cases.iter().filter(|case| case.change == DropChange::Retired);
        let ids: BTreeSet<u64> = retired.map(|case| case.id).collect();
        for source in self.sources.iter().filter(|_| !ids.is_empty()) {
            let mut after = None;
            loop {
                let read = store.written_of_source(&self.key.tenant, *source, after, CHUNK).await?;
                after = read.last().map(|last| last.case.identity);
                let is_last = read.len() < CHUNK as usize;
                for case in read.into_iter().map(|known| known.case).filter(|case| ids.contains(&case.testmo_id)) {
                    found.entry(case.testmo_id).or_default().push(case);
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(found)
    }

    pub(super) fn record(&self) -> &BatchRecord {
        &self.stored.record
    }

    /// Returns the batch tag of the batch.
    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    /// Returns the columns that every request has to fill, as far as Testmo says it and a row shows them.
    pub(super) fn required<'a>(&'a self, row: &'a ShownCase) -> impl Iterator<Item = &'a str> {
        let listed = self.connection.fields.fields().filter(|field| field.known.required).map(|field| field.column);
        listed.filter(|column| row.fields.contains_key(*column))
    }

    /// Returns how cases are to be taken back by the mapping of the tenant.
    pub(super) fn how(&self, deletes: bool) -> How {
        let mapping = self.connection.resolved.as_ref();
        How { retired: mapping.and_then(|mapping| mapping.retired.clone()), deletes }
    }

    /// Returns what is remembered of the case of an item now, in each source of the batch.
    pub(super) fn memories(&self, item: &UndoItem) -> &[WrittenCase] {
        let memories = match item.kind {
            ItemKind::Dropped => self.dropped.get(&item.id),
            ItemKind::Created | ItemKind::Updated | ItemKind::Duplicate => self.remembered.get(&item.position),
        };
        memories.map_or(&[], Vec::as_slice)
    }

    /// Returns what is remembered of the case of an item now.
    fn remembered(&self, item: &UndoItem) -> Option<&WrittenCase> {
        self.memories(item).first()
    }

    /// Returns where the case of an item went to.
    pub(super) fn target(&self, item: &UndoItem) -> Option<&Target> {
        let record = self.record();
        match item.kind {
            ItemKind::Dropped => record.target_of_dropped(record.dropped.cases.get(item.position)?),
            ItemKind::Created | ItemKind::Updated | ItemKind::Duplicate => {
                record.targets.get(record.cases.get(item.position)?.target)
            }
        }
    }

    /// Returns the folder in which the row of an item is probably found.
    pub(super) fn folder(&self, item: &UndoItem, base: Option<&UndoItem>) -> Option<u64> {
        if let Some(Intent::Set(setting)) = base.and_then(UndoItem::done)
            && let Some(folder) = setting.fields.get("folder_id").and_then(serde_json::Value::as_u64)
        {
            return Some(folder);
        }
        let written = self.remembered(item).filter(|case| case.testmo_id == item.id).map(|case| case.folder);
        written.or_else(|| self.target(item).map(|target| target.folder))
    }

    /// Returns why an item is left without its row being read, if it is.
    pub(super) fn left_unread(&self, item: &UndoItem) -> Option<Left> {
        let target = self.target(item)?;
        let is_here = target.account == self.connection.origin && target.project == self.connection.project;
        (!is_here).then_some(Left::Elsewhere)
    }

    /// Decides what is to be done with the row of an item. `base` is what an undo did with it, if that is taken back.
    pub(super) fn decide(
        &self,
        undo: (UndoKind, &How),
        item: &UndoItem,
        base: Option<&UndoItem>,
        row: &ShownCase,
        asked_for: &[&str],
    ) -> Decision {
        let shown = row.known_fields();
        let required = self.required(row).chain(asked_for.iter().copied());
        let times = Times { created_at: row.time("created_at"), updated_at: row.time("updated_at") };
        if undo.0 == UndoKind::Restore {
            return self.reversed(item, base, &shown, required);
        }
        match item.kind {
            ItemKind::Created | ItemKind::Duplicate => {
                let folder = self.target(item).map_or(0, |target| target.folder);
                let row = CreatedRow { memory: self.memory(item), tag: &self.tag, folder, shown: &shown, times };
                created(&row, undo.1, required)
            }
            ItemKind::Updated | ItemKind::Dropped => {
                let (memory, former) = (self.memory(item), self.former.case(item.id));
                let written = match item.kind {
                    ItemKind::Dropped => {
                        former.map(|former| former.fields.keys().cloned().collect()).unwrap_or_default()
                    }
                    ItemKind::Created | ItemKind::Updated | ItemKind::Duplicate => {
                        written_columns(self.record(), item.position).to_vec()
                    }
                };
                let written = written.as_slice();
                updated(&UpdatedRow { memory, tag: &self.tag, written, former, shown: &shown }, required)
            }
        }
    }

    fn reversed<'a>(
        &self,
        item: &UndoItem,
        base: Option<&UndoItem>,
        shown: &serde_json::Map<String, serde_json::Value>,
        required: impl Iterator<Item = &'a str>,
    ) -> Decision {
        let Some(Intent::Set(setting)) = base.and_then(UndoItem::done) else { return Decision::Leave(Left::Deleted) };
        let before = item.memory.first().and_then(ItemMemory::case);
        let now = self.remembered(item);
        let written = match item.kind {
            // A later batch has created it again: it would be there twice.
            ItemKind::Created if now.is_some() => return Decision::Leave(Left::Later),
            ItemKind::Created | ItemKind::Duplicate => before.as_ref().map(|case| &case.fields),
            ItemKind::Updated | ItemKind::Dropped => {
                let expected = self.former_batch(item);
                match now {
                    Some(now) if now.testmo_id == item.id && Some(now.batch) == expected => Some(&now.fields),
                    Some(_) => return Decision::Leave(Left::Later),
                    None => return Decision::Leave(Left::NotRemembered),
                }
            }
        };
        reverse(&ReversedRow { setting, written, tag: &self.tag, shown }, required)
    }

    /// Returns what is remembered of a row.
    fn memory(&self, item: &UndoItem) -> Memory<'_> {
        match self.remembered(item) {
            Some(_) if self.later.contains(&item.id) => Memory::Later,
            Some(case) if item.kind == ItemKind::Duplicate && case.batch == self.mark => Memory::Own(&case.fields),
            Some(case) if case.testmo_id != item.id => Memory::None,
            // A case that is retired is still one of the batch that wrote it.
            Some(case) if item.kind == ItemKind::Dropped && self.former_batch(item) == Some(case.batch) => {
                Memory::Own(&case.fields)
            }
            Some(case) if case.batch == self.mark || self.undone.contains(&case.batch) => Memory::Own(&case.fields),
            Some(_) => Memory::Later,
            None => Memory::None,
        }
    }

    fn former_batch(&self, item: &UndoItem) -> Option<BatchMark> {
        self.former.case(item.id).map(|former| former.batch)
    }

    /// Returns what is to be remembered of an item that is taken back, in place of `now`.
    pub(super) fn remembered_before(&self, item: &UndoItem, now: &WrittenCase) -> Option<WrittenCase> {
        let former = self.former.case(item.id)?;
        Some(WrittenCase {
            identity: now.identity,
            testmo_id: item.id,
            folder: former.folder,
            batch: former.batch,
            fields: former.remembered.clone(),
        })
    }
}

/// Returns the items of an undo that are to be taken back. What was deleted cannot be.
pub(super) fn reversed_items(undo: &Undo) -> Vec<UndoItem> {
    let reversed = |item: &UndoItem| {
        let state = match item.done()? {
            Intent::Set(_) => ItemState::Waiting,
            Intent::Delete { .. } => ItemState::Left(Left::Deleted),
        };
        let memory = item.memory.clone();
        Some(UndoItem { state, memory, ..UndoItem::waiting(item.position, item.id, item.kind) })
    };
    undo.items.iter().filter_map(reversed).collect()
}

fn written_columns(record: &BatchRecord, position: usize) -> &[String] {
    record.cases[position].state.repeat().map_or(&[], |repeat| &repeat.written)
}
