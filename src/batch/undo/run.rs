//! Keeps how far taking back a batch has come, and changes that at each end of a request.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::again::Creating;
use super::intent::{Intent, Progress, progress};
use super::item::{ItemKind, ItemState, UndoItem};
use super::model::{Decision, How, Left, UndoKind};
use crate::batch::ledger::{BatchRecord, BatchState, CaseState, Change, DropChange};

/// Something that a person has asked for, and how far it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo {
    /// Its number in its batch: the epoch of the record that began it.
    pub number: u64,
    /// What was asked for.
    pub kind: UndoKind,
    /// What is done with cases that nobody touched.
    pub how: How,
    /// The state that the batch was in before.
    pub before: BatchState,
    /// The rows.
    pub items: Vec<UndoItem>,
    /// Whether it is finished.
    pub is_done: bool,
}

/// Returns the rows of a batch that can be taken back. Cases of which it is not known whether they are in Testmo are left.
pub fn rows_of(record: &BatchRecord) -> Vec<UndoItem> {
    let mut items = Vec::new();
    for (position, case) in record.cases.iter().enumerate() {
        match &case.state {
            CaseState::Created(id) | CaseState::Adopted(id) => {
                items.push(UndoItem::waiting(position, *id, ItemKind::Created));
            }
            CaseState::Repeated(repeat) if repeat.change == Change::Updated => {
                items.extend(case.repeated_id().map(|id| UndoItem::waiting(position, id, ItemKind::Updated)));
            }
            CaseState::Repeated(repeat) if repeat.change == Change::Writing => {
                items.push(unclear(position, case.repeated_id().unwrap_or_default(), ItemKind::Updated));
            }
            CaseState::Lost | CaseState::Claimed => items.push(unclear(position, 0, ItemKind::Created)),
            CaseState::Waiting if case.unclear => items.push(unclear(position, 0, ItemKind::Created)),
            CaseState::Waiting | CaseState::Repeated(_) | CaseState::Refused(_) => {}
        }
        items.extend(duplicates(position, &case.duplicates));
    }
    for (index, case) in record.dropped.cases.iter().enumerate() {
        let waiting = UndoItem::waiting(index, case.id, ItemKind::Dropped);
        match case.change {
            DropChange::Retired => items.push(waiting),
            DropChange::Deleted => items.push(UndoItem { state: ItemState::Left(Left::Deleted), ..waiting }),
            DropChange::Writing => items.push(unclear(index, case.id, ItemKind::Dropped)),
            DropChange::Left
            | DropChange::Edited
            | DropChange::Used
            | DropChange::Unreadable
            | DropChange::Refused
            | DropChange::NotFound => {}
        }
    }
    items
}

/// Returns the rows of a batch that an undo has left and that can be taken back now: those that are neither done nor left to
/// people.
pub fn rows_left(record: &BatchRecord, undone: &Undo) -> Vec<UndoItem> {
    let place = |item: &UndoItem| (item.position, item.id, item.kind);
    let is_over = |item: &&UndoItem| !item.is_open() && item.left().is_none_or(Left::is_final);
    let over: HashSet<_> = undone.items.iter().filter(is_over).map(place).collect();
    rows_of(record).into_iter().filter(|item| !over.contains(&place(item))).collect()
}

/// Returns the rows of a batch that requests created late.
pub fn duplicates_of(record: &BatchRecord) -> Vec<UndoItem> {
    let rows = record.cases.iter().enumerate();
    rows.flat_map(|(position, case)| duplicates(position, &case.duplicates)).collect()
}

fn duplicates(position: usize, ids: &[u64]) -> impl Iterator<Item = UndoItem> {
    ids.iter().map(move |id| UndoItem::waiting(position, *id, ItemKind::Duplicate))
}

/// Returns a case of which it is not known what the batch did; its id is 0 if none is known.
fn unclear(position: usize, id: u64, kind: ItemKind) -> UndoItem {
    UndoItem { state: ItemState::Left(Left::Unclear), ..UndoItem::waiting(position, id, kind) }
}

impl Undo {
    /// Joins what this undo did with what an earlier one of the same batch did, of which it took back what was left.
    #[must_use]
    pub fn after(mut self, earlier: Self) -> Self {
        let place = |item: &UndoItem| (item.position, item.id, item.kind);
        let again: HashSet<_> = self.items.iter().map(place).collect();
        self.items.extend(earlier.items.into_iter().filter(|item| !again.contains(&place(item))));
        self.before = earlier.before;
        self
    }

    /// Returns the places of the rows with which something is still to be done.
    pub fn open(&self) -> impl Iterator<Item = usize> {
        self.items.iter().enumerate().filter(|(_, item)| item.is_open()).map(|(place, _)| place)
    }

    /// Returns whether a request has an unknown outcome.
    pub fn is_writing(&self) -> bool {
        self.items.iter().any(|item| matches!(item.state, ItemState::Writing(_)) || item.creating().is_some())
    }

    /// Takes in the row of an item, and returns the request that is to be sent for it. `decide` says what is to be done with a
    /// row that no request of ours has changed. No request for it may be under way.
    pub fn seen(
        &mut self,
        place: usize,
        row: &Map<String, Value>,
        decide: impl FnOnce(&UndoItem) -> Decision,
    ) -> Option<Intent> {
        let item = &self.items[place];
        if let ItemState::Writing(intent) = &item.state {
            match progress(intent, Some(row)) {
                Progress::Done => {
                    self.items[place].state = ItemState::Done(Some(intent.clone()));
                    return None;
                }
                Progress::Other => {
                    self.items[place].state = ItemState::Left(Left::Edited(changed(intent)));
                    return None;
                }
                Progress::NotDone => {}
            }
        }
        match decide(item) {
            Decision::Done => self.items[place].state = ItemState::Done(None),
            Decision::Leave(left) => self.items[place].state = ItemState::Left(left),
            Decision::Write(intent) => return Some(*intent),
        }
        None
    }

    /// Notes that requests are about to be sent.
    pub fn claim(&mut self, writes: &[(usize, Intent)]) {
        for (place, intent) in writes {
            self.items[*place].state = ItemState::Writing(Box::new(intent.clone()));
        }
    }

    /// Notes that requests were carried out.
    pub fn done(&mut self, places: &[usize]) {
        for place in places {
            let item = &mut self.items[*place];
            if let ItemState::Writing(intent) = std::mem::replace(&mut item.state, ItemState::Waiting) {
                item.state = ItemState::Done(Some(intent));
            }
        }
    }

    /// Notes that cases are about to be created in the places of rows that were deleted.
    pub fn claim_creates(&mut self, creates: &[(usize, Creating)]) {
        for (place, creating) in creates {
            self.items[*place].again = Some(Box::new(creating.clone()));
        }
    }

    /// Notes that cases were created in the places of rows.
    pub fn created(&mut self, created: &[(usize, u64)]) {
        for (place, id) in created {
            let item = &mut self.items[*place];
            (item.state, item.new_id) = (ItemState::Done(None), Some(*id));
        }
    }

    /// Notes that cases were certainly not created in the places of rows.
    pub fn not_created(&mut self, places: &[usize]) {
        for place in places {
            self.items[*place].again = None;
        }
    }

    /// Notes that requests were certainly not carried out: they are decided again.
    pub fn not_done(&mut self, places: &[usize]) {
        for place in places {
            self.items[*place].state = ItemState::Waiting;
        }
    }

    /// Notes that Testmo refused requests.
    pub fn refused(&mut self, places: &[usize], said: &str) {
        for place in places {
            self.items[*place].state = ItemState::Left(Left::Refused(said.to_owned()));
        }
    }

    /// Notes that rows were not found, although everything was read where they can be. A row that was being deleted is gone if
    /// `is_certain`: the lists were complete.
    pub fn not_found(&mut self, places: &[usize], is_certain: bool) {
        for place in places {
            let item = &mut self.items[*place];
            item.state = match &item.state {
                ItemState::Writing(intent) if is_certain && progress(intent, None) == Progress::Done => {
                    ItemState::Done(Some(intent.clone()))
                }
                ItemState::Waiting | ItemState::Writing(_) | ItemState::Done(_) | ItemState::Left(_) => {
                    ItemState::Left(Left::NotFound)
                }
            };
        }
    }

    /// Returns the word for what became of a row of the undo in events and on the command line.
    pub fn word(&self, item: &UndoItem) -> &'static str {
        match (&item.state, item.kind) {
            (ItemState::Waiting, _) => "waiting",
            (ItemState::Writing(_), _) => "unclear",
            (ItemState::Left(_), _) => "left",
            (ItemState::Done(Some(intent)), _) if matches!(**intent, Intent::Delete { .. }) => "deleted",
            (ItemState::Done(_), _) if self.kind == UndoKind::Restore => "restored",
            (ItemState::Done(_), ItemKind::Updated | ItemKind::Dropped) => "restored",
            (ItemState::Done(_), ItemKind::Created | ItemKind::Duplicate) => "retired",
        }
    }

    /// Counts the rows by what became of them.
    pub fn count(&self, word: &str) -> usize {
        self.items.iter().filter(|item| self.word(item) == word).count()
    }
}

/// Returns the columns that an intent sets.
fn changed(intent: &Intent) -> Vec<String> {
    match intent {
        Intent::Set(setting) => setting.fields.keys().cloned().collect(),
        Intent::Delete { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::ledger::{PreviousCase, Repeat};
    use crate::batch::undo::Setting;
    use crate::batch::written::fixture::object;

    fn record() -> BatchRecord {
        let keys = (1..=8).map(|n| format!("TC-{n}"));
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), keys);
        let repeated = |change| CaseState::Repeated(Box::new(Repeat::only(change)));
        let states = [
            CaseState::Created(10),
            CaseState::Adopted(11),
            repeated(Change::Updated),
            repeated(Change::Unchanged),
            CaseState::Lost,
            CaseState::Waiting,
            CaseState::Waiting,
            repeated(Change::Writing),
        ];
        for (case, state) in record.cases.iter_mut().zip(states) {
            case.state = state;
            case.previous = Some(Box::new(PreviousCase { batch: None, id: 5, folder: 7 }));
        }
        record.cases[6].unclear = true;
        record.cases[0].duplicates = vec![20, 21];
        record
    }

    fn undo(items: Vec<UndoItem>) -> Undo {
        Undo {
            number: 3,
            kind: UndoKind::Undo,
            how: How::default(),
            before: BatchState::Delivered,
            items,
            is_done: false,
        }
    }

    fn set() -> Intent {
        Intent::Set(Setting {
            fields: object(json!({"state_id": 5})),
            former: object(json!({"state_id": 1})),
            ..Setting::default()
        })
    }

    #[test]
    fn what_a_batch_created_updated_and_may_have_created_is_taken_back() {
        use ItemKind::{Created, Duplicate, Updated};
        let items = rows_of(&record());
        let found: Vec<(usize, u64, ItemKind)> = items.iter().map(|item| (item.position, item.id, item.kind)).collect();
        let expected = [
            (0, 10, Created),
            (0, 20, Duplicate),
            (0, 21, Duplicate),
            (1, 11, Created),
            (2, 5, Updated),
            (4, 0, Created),
            (6, 0, Created),
            (7, 5, Updated),
        ];
        assert_eq!(found, expected);
        assert!(items[5..].iter().all(|item| item.state == ItemState::Left(Left::Unclear)));
        assert_eq!(undo(items).open().count(), 5);
        assert_eq!(duplicates_of(&record()).len(), 2);
    }

    #[test]
    fn a_request_is_decided_claimed_and_ends() {
        let mut undo = undo(rows_of(&record()));
        let row = object(json!({"state_id": 1}));
        assert_eq!(undo.seen(0, &row, |_| Decision::Leave(Left::Moved)), None);
        assert_eq!(undo.seen(1, &row, |_| Decision::Done), None);
        let intent = undo.seen(2, &row, |_| Decision::Write(Box::new(set()))).unwrap();
        assert_eq!(undo.items[2].state, ItemState::Waiting, "it is not claimed yet");
        undo.claim(&[(2, intent.clone()), (3, intent.clone()), (4, intent)]);
        assert!(undo.is_writing());
        undo.done(&[2]);
        undo.not_done(&[3]);
        undo.refused(&[4], "no");
        let words: Vec<&str> = undo.items.iter().map(|item| undo.word(item)).collect();
        assert_eq!(words, ["left", "retired", "retired", "waiting", "left", "left", "left", "left"]);
        assert_eq!((undo.count("left"), undo.is_writing(), undo.open().count()), (5, false, 1));
        let back = Undo { kind: UndoKind::Restore, ..undo };
        assert_eq!((back.count("restored"), back.count("retired")), (2, 0));
    }

    #[test]
    fn after_a_crash_the_row_says_whether_a_request_was_carried_out() {
        for (row, calls, word) in [
            (json!({"state_id": 5}), false, "retired"),
            (json!({"state_id": 1}), true, "unclear"),
            (json!({"state_id": 3}), false, "left"),
        ] {
            let mut undo = undo(vec![UndoItem::waiting(0, 10, ItemKind::Created)]);
            undo.claim(&[(0, set())]);
            let mut is_asked = false;
            let again = undo.seen(0, &object(row.clone()), |_| {
                is_asked = true;
                Decision::Write(Box::new(set()))
            });
            assert_eq!((is_asked, again.is_some(), undo.word(&undo.items[0])), (calls, calls, word), "{row}");
        }
    }

    #[test]
    fn a_row_that_is_gone_was_deleted_only_if_the_lists_were_complete() {
        let delete = Intent::Delete { former: Map::new() };
        for (intent, is_certain, word) in
            [(Some(&delete), true, "deleted"), (Some(&delete), false, "left"), (None, true, "left")]
        {
            let mut undo = undo(vec![UndoItem::waiting(0, 10, ItemKind::Created)]);
            undo.claim(&intent.map(|intent| (0, intent.clone())).into_iter().collect::<Vec<_>>());
            undo.not_found(&[0], is_certain);
            assert_eq!(undo.word(&undo.items[0]), word);
        }
    }
}
