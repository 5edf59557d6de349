//! What will a person's wish come to? Entry by entry: what is done, what is left alone and why; then it is carried out.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use testmo_courier::batch::{Reason, TenantId};
use testmo_courier::store::by_hand::NotReplayable;
use testmo_courier::store::ledger::{Commit, CommitOutcome};
use testmo_courier::store::shelf::{ShelfId, Shelved};
use testmo_courier::store::{LedgerStore, Store, StoreError};

use super::super::failure::Failure;
use super::super::out::Out;
use super::super::table::{List, counted};
use super::name;

/// So many changes are handed to the store at once, which stores them together.
const AT_ONCE: usize = 100;

/// What is done with an entry: the change, and whether its batch then waits for its connection.
pub(crate) type Decision = Result<(Commit, bool), NotReplayable>;

/// What is done with entries, and what is left alone.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) left: Vec<(Entry, String)>,
}

/// What is done with one entry.
pub(crate) struct Step {
    entry: Entry,
    change: Commit,
    waits: bool,
}

/// An entry without its message.
pub(crate) struct Entry {
    id: ShelfId,
    name: String,
    tenant: Option<TenantId>,
    reason: Reason,
}

impl Entry {
    fn of(row: &Shelved) -> Self {
        let tenant = row.tenant().cloned();
        Self { id: row.id, name: name(row), tenant, reason: row.content.reason }
    }

    fn object(&self) -> Value {
        json!({"id": self.id.to_string(), "batch": self.name, "reason": self.reason})
    }
}

impl Plan {
    /// Decides on each entry that is still there.
    pub(crate) async fn of(
        store: &Store,
        ids: &[ShelfId],
        decide: impl AsyncFn(&Shelved) -> Result<Decision, StoreError>,
    ) -> Result<Self, Failure> {
        let mut plan = Self::default();
        for id in ids {
            let Some(row) = store.shelved(*id).await? else { continue };
            match decide(&row).await? {
                Ok((change, waits)) => plan.steps.push(Step { entry: Entry::of(&row), change, waits }),
                Err(hindrance) => plan.left.push((Entry::of(&row), hindrance.to_string())),
            }
        }
        Ok(plan)
    }

    /// How many entries there are, by tenant and reason.
    pub(crate) fn summary(&self) -> List {
        let mut groups: BTreeMap<(String, Reason), (usize, usize)> = BTreeMap::new();
        for Step { entry, waits, .. } in &self.steps {
            let tenant = entry.tenant.as_ref().map_or("unknown", TenantId::as_str);
            let (count, waiting) = groups.entry((tenant.to_owned(), entry.reason)).or_default();
            *count += 1;
            *waiting += usize::from(*waits);
        }
        let mut list = List::new(&["tenant", "reason", "count", "note"]);
        for ((tenant, reason), (count, waiting)) in groups {
            let note = if waiting > 0 { "will wait until the connection is verified" } else { "" };
            list.add(vec![tenant, reason.to_string(), count.to_string(), note.into()]);
        }
        list
    }

    /// Each entry that something is done with.
    pub(crate) fn entries(&self) -> List {
        let mut list = List::new(&["id", "reason", "batch"]);
        for Step { entry, .. } in &self.steps {
            list.add(vec![entry.id.to_string(), entry.reason.to_string(), entry.name.clone()]);
        }
        list
    }

    /// Says what is left alone, and why.
    pub(crate) fn tell_left(&self, out: &mut Out) -> Result<(), Failure> {
        if self.left.is_empty() {
            return Ok(());
        }
        out.line(format_args!("Left alone: {}", counted(self.left.len(), "entry", "entries")))?;
        let mut list = List::new(&["id", "reason", "batch", "why"]);
        for (entry, why) in &self.left {
            list.add(vec![entry.id.to_string(), entry.reason.to_string(), entry.name.clone(), why.clone()]);
        }
        list.columns().iter().try_for_each(|line| out.line(format_args!("  {line}")))
    }

    /// Stores every step; gives what was done, and what somebody else had changed meanwhile.
    pub(crate) async fn carry_out(self, store: &Store) -> Result<Done, Failure> {
        let mut done = Done { left: self.left, ..Done::default() };
        let mut steps = self.steps.into_iter().peekable();
        while steps.peek().is_some() {
            let (entries, changes): (Vec<_>, Vec<_>) =
                steps.by_ref().take(AT_ONCE).map(|step| ((step.entry, step.waits), step.change)).unzip();
            let answers = join_all(changes.into_iter().map(|change| store.commit(change.into()))).await;
            for ((entry, waits), answer) in entries.into_iter().zip(answers) {
                match answer? {
                    CommitOutcome::Done(_) => done.done.push((entry, waits)),
                    CommitOutcome::Fenced => done.changed.push(entry),
                }
            }
        }
        Ok(done)
    }
}

/// What became of a plan.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) done: Vec<(Entry, bool)>,
    pub(crate) changed: Vec<Entry>,
    pub(crate) left: Vec<(Entry, String)>,
}

impl Done {
    /// For programs; `word` says what was done.
    pub(crate) fn object(&self, word: &str) -> Value {
        let done = self.done.iter().map(|(entry, waits)| {
            let mut value = entry.object();
            value["waits_for_connection"] = json!(waits);
            value
        });
        let left = self.left.iter().map(|(entry, why)| {
            let mut value = entry.object();
            value["why"] = json!(why);
            value
        });
        json!({
            word: done.collect::<Value>(),
            "left_alone": left.collect::<Value>(),
            "changed_meanwhile": self.changed.iter().map(Entry::object).collect::<Value>(),
        })
    }

    /// How a command ends that should have done something with every entry that was named.
    pub(crate) fn end(&self, by_name: bool) -> Result<(), Failure> {
        if !self.changed.is_empty() {
            let what = counted(self.changed.len(), "entry was", "entries were");
            return Err(Failure::finding(
                format!("{what} changed meanwhile, and left alone"),
                "look again with `testmo-courier shelf list`",
            ));
        }
        if self.done.is_empty() || (by_name && !self.left.is_empty()) { Err(Failure::Told) } else { Ok(()) }
    }
}
