//! Holds the folders that the cases of a batch go to, as far as they are found.

use crate::batch::Batch;
use crate::batch::ledger::{BatchRecord, Target};
use crate::batch::message::{Places, RequestedFolder};
use crate::tenants::Connection;

/// The folders of a batch's cases: what is requested, and what was found.
#[derive(Clone, Debug)]
pub(in crate::worker) struct CaseFolders {
    places: Places,
    /// The folder of each place, once it is known.
    found: Vec<Option<u64>>,
}

impl CaseFolders {
    /// Returns the folders of a batch. The tenant's own folder needs no request; if the ledger holds another one, the claim
    /// finds that out.
    pub(in crate::worker) fn of(batch: &Batch, connection: &Connection) -> Self {
        let places = Places::of(batch);
        let is_own = |folder: &RequestedFolder| *folder == RequestedFolder::Tenant;
        let found = places.requested().iter().map(|folder| is_own(folder).then_some(connection.folder)).collect();
        Self { places, found }
    }

    /// Returns what the cases request.
    pub(in crate::worker) fn places(&self) -> &Places {
        &self.places
    }

    /// Returns the folder of the case at a position, if it is found.
    pub(in crate::worker) fn of_case(&self, position: usize) -> Option<u64> {
        self.found[self.places.of_case(position)]
    }

    /// Returns whether every folder is found.
    pub(in crate::worker) fn are_found(&self) -> bool {
        self.found.iter().all(Option::is_some)
    }

    /// Returns the first place whose folder is not found, and what is requested for it.
    pub(in crate::worker) fn next_missing(&self) -> Option<(usize, &RequestedFolder)> {
        let place = self.found.iter().position(Option::is_none)?;
        Some((place, &self.places.requested()[place]))
    }

    /// Notes the folder of a place.
    pub(in crate::worker) fn note(&mut self, place: usize, folder: u64) {
        self.found[place] = Some(folder);
    }

    /// Forgets all folders, as one of them has vanished: each is searched for again.
    pub(in crate::worker) fn forget(&mut self) {
        self.found.fill(None);
    }

    /// Takes over the folders to which the ledger has a batch go, and returns whether it has such folders in the project of
    /// this connection.
    pub(in crate::worker) fn take_over(&mut self, record: &BatchRecord, connection: &Connection) -> bool {
        let account = connection.access.origin.as_str();
        let is_there = |target: &Target| target.account == account && target.project == connection.project;
        let Some(targets) = record.present_targets(self.found.len()).filter(|targets| targets.iter().all(is_there))
        else {
            return false;
        };
        self.found = targets.iter().map(|target| Some(target.folder)).collect();
        true
    }

    /// Returns the target of each place over a connection, once every folder is found.
    pub(in crate::worker) fn targets(&self, connection: &Connection) -> Option<Vec<Target>> {
        let (account, project) = (connection.access.origin.as_str().to_owned(), connection.project);
        let target = |folder: &Option<u64>| Some(Target { account: account.clone(), project, folder: (*folder)? });
        self.found.iter().map(target).collect()
    }

    /// Returns whether some case goes to another folder than the tenant's present one: it requests one, or was first sent to
    /// the folder that the tenant had before.
    pub(in crate::worker) fn are_own(&self, tenants: u64) -> bool {
        let is_requested = self.places.requested().iter().any(|folder| *folder != RequestedFolder::Tenant);
        is_requested || self.found.iter().flatten().any(|folder| *folder != tenants)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::ledger::OpenPush;
    use crate::batch::message::decode::decode;
    use crate::worker::model::batch_of;

    /// Returns a connection with the folder 7 in project 1, and a batch with cases in these folders.
    fn folders(of_batch: Value, of_cases: &[Value]) -> (CaseFolders, std::sync::Arc<Connection>) {
        let cases: Vec<Value> = of_cases.iter().map(|path| json!({"name": "a", "folder_path": path})).collect();
        let mut message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
        message.as_object_mut().unwrap().extend(of_batch.as_object().unwrap().clone());
        let connection = batch_of(1, |_| {}).connection.clone();
        (CaseFolders::of(&decode(message.to_string().as_bytes()).unwrap(), &connection), connection)
    }

    #[test]
    fn folders_are_found_one_after_the_other_but_for_the_tenants_own() {
        let (mut folders, connection) = folders(json!({"folder_path": ["A"]}), &[json!(["B"]), json!([]), json!(null)]);
        assert_eq!((folders.of_case(0), folders.of_case(1), folders.of_case(2)), (None, Some(7), None));
        for (place, id) in [(0, 20), (2, 21)] {
            assert!(folders.targets(&connection).is_none());
            assert_eq!(folders.next_missing().map(|(place, _)| place), Some(place));
            folders.note(place, id);
        }
        let found: Vec<u64> = folders.targets(&connection).unwrap().iter().map(|target| target.folder).collect();
        assert_eq!((found, folders.are_found()), (vec![20, 7, 21], true));
        folders.forget();
        assert_eq!(folders.next_missing().map(|(place, _)| place), Some(0));
    }

    #[test]
    fn the_folders_of_the_ledger_are_taken_over_in_the_same_project_only() {
        let (mut folders, connection) = folders(json!({}), &[json!(["B"]), json!(["C"])]);
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), ["a".into(), "b".into()]);
        assert!(!folders.take_over(&record, &connection), "nothing was claimed");
        let account = connection.access.origin.as_str().to_owned();
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        let targets = [(1, 30), (1, 31)].map(|(project, folder)| Target { account: account.clone(), project, folder });
        record.claim_in(&[(0, 0)], push.clone(), &targets);
        assert!(folders.take_over(&record, &connection));
        assert_eq!((folders.of_case(0), folders.of_case(1)), (Some(30), Some(31)), "also of a case that was not sent");
        let elsewhere = targets.map(|target| Target { project: 2, ..target });
        record.claim_in(&[(1, 1)], push, &elsewhere);
        assert!(!folders.take_over(&record, &connection));
    }

    #[test]
    fn folders_are_a_batchs_own_if_one_was_asked_for_or_is_another_than_the_tenants() {
        for (of_batch, of_case, found, expected) in [
            (json!({}), json!(null), 7, false),
            (json!({}), json!(null), 8, true),
            (json!({"folder_id": 7}), json!(null), 7, true),
            (json!({"folder_path": ["A"]}), json!([]), 7, false),
            (json!({}), json!(["A"]), 7, true),
        ] {
            let (mut folders, _) = folders(of_batch.clone(), std::slice::from_ref(&of_case));
            folders.note(0, found);
            assert_eq!(folders.are_own(7), expected, "{of_batch} {of_case} {found}");
        }
    }
}
