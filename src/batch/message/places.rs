//! Groups the cases of a batch by the folder that each of them requests.

use std::collections::HashMap;

use crate::batch::message::{Batch, RequestedFolder};

/// The different folders that the cases of a batch request, in the order of the first case for each.
///
/// They follow from what the fingerprint is computed from, so that every delivery of a batch has the same ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    requested: Vec<RequestedFolder>,
    /// The place of each case that can be sent.
    of_cases: Vec<Option<usize>>,
    /// For each case whether it requests another folder than its batch.
    own: Vec<bool>,
}

impl Places {
    /// Returns the places of a batch, at least one. Cases that are refused for their faults need none.
    pub fn of(batch: &Batch) -> Self {
        let mut known: HashMap<&RequestedFolder, usize> = HashMap::new();
        let mut requested = Vec::new();
        let mut place_of = |folder| {
            *known.entry(folder).or_insert_with(|| {
                requested.push(folder.clone());
                requested.len() - 1
            })
        };
        let (mut of_cases, mut own) = (Vec::new(), Vec::new());
        for case in &batch.cases {
            let folder = case.folder.as_ref().unwrap_or(&batch.folder);
            own.push(*folder != batch.folder);
            of_cases.push(case.faulty.is_none().then(|| place_of(folder)));
        }
        if requested.is_empty() {
            requested.push(batch.folder.clone());
        }
        Self { requested, of_cases, own }
    }

    /// Returns the requested folder of each place.
    pub fn requested(&self) -> &[RequestedFolder] {
        &self.requested
    }

    /// Returns the place of the case at a position.
    pub fn of_case(&self, position: usize) -> usize {
        self.of_cases.get(position).copied().flatten().unwrap_or(0)
    }

    /// Returns the positions of the cases that go to a place.
    pub fn cases_in(&self, place: usize) -> impl Iterator<Item = usize> {
        self.of_cases
            .iter()
            .enumerate()
            .filter(move |(_, of_case)| **of_case == Some(place))
            .map(|(position, _)| position)
    }

    /// Returns the path that the case at a position requests, if this is another folder than its batch requests; an empty
    /// path is the tenant's folder.
    pub fn own_path(&self, position: usize) -> Option<&[String]> {
        self.own.get(position).filter(|own| **own)?;
        match self.requested.get(self.of_case(position))? {
            RequestedFolder::Path(names) => Some(names),
            RequestedFolder::Tenant => Some(&[]),
            RequestedFolder::Id(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::message::decode::decode;

    fn places(edit: impl FnOnce(&mut Value)) -> Places {
        let mut message = json!({"schema_version": 1, "batch_id": "b", "tenant_id": "t",
            "generated_at": "2026-11-23T09:30:00Z", "folder_path": ["A"],
            "cases": [{"name": "1"}, {"name": "2"}, {"name": "3"}, {"name": "4"}]});
        edit(&mut message);
        Places::of(&decode(message.to_string().as_bytes()).unwrap())
    }

    fn path(name: &str) -> RequestedFolder {
        RequestedFolder::Path(vec![name.into()])
    }

    #[test]
    fn cases_without_a_path_go_to_the_folder_of_their_batch() {
        let places = places(|_| ());
        assert_eq!((places.requested(), &places.of_cases[..]), (&[path("A")][..], &[Some(0); 4][..]));
        assert!((0..4).all(|position| places.own_path(position).is_none()));
    }

    #[test]
    fn each_folder_is_one_place_in_the_order_of_its_first_case() {
        let places = places(|message| {
            message["cases"][0]["folder_path"] = json!(["B"]);
            message["cases"][1]["folder_path"] = json!([]);
            message["cases"][2]["folder_path"] = json!(["A"]);
        });
        assert_eq!(places.requested(), [path("B"), RequestedFolder::Tenant, path("A")]);
        assert_eq!(places.of_cases, [0, 1, 2, 2].map(Some));
        let own: Vec<Option<&[String]>> = (0..4).map(|position| places.own_path(position)).collect();
        assert_eq!(own, [Some(&["B".to_owned()][..]), Some(&[]), None, None]);
        assert_eq!(places.cases_in(2).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_folder_that_only_faulty_cases_request_is_no_place() {
        let places = places(|message| {
            message["cases"][0] = json!({"folder_path": ["B"]});
            message["cases"][1]["folder_path"] = json!(["C"]);
        });
        assert_eq!(places.requested(), [path("C"), path("A")]);
        assert_eq!(places.cases_in(0).collect::<Vec<_>>(), [1], "and a faulty case is in none");
    }
}
