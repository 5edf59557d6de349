//! Groups what is to be done with cases into as few requests as possible.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::batch::generation::WindowCase;
use crate::batch::undo::Intent;
use crate::testmo::MOST_UPDATED;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// The places of the rows in the undo, with their ids.
    pub(super) members: Vec<(usize, u64)>,
    /// The fields that are set; `None` if the rows are deleted.
    pub(super) body: Option<Map<String, Value>>,
}

/// A row, with what is to be done with it.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) place: usize,
    pub(super) id: u64,
    /// The template of its case, as every field of a request has to be in all of them.
    pub(super) template: Option<u64>,
    pub(super) intent: Intent,
    /// What is known of the row from before, if Testmo shows its history.
    pub(super) window: Option<WindowCase>,
}

/// Returns the requests: rows that get the same values go together, unless `is_apart`.
pub(super) fn requests(planned: &[Planned], is_apart: bool) -> Vec<Request> {
    let mut groups: BTreeMap<(usize, Option<u64>, String), Request> = BTreeMap::new();
    for (at, row) in planned.iter().enumerate() {
        let (body, template) = match &row.intent {
            Intent::Set(setting) => (Some(setting.body()), row.template),
            Intent::Delete { .. } => (None, None),
        };
        let text = body.as_ref().map(|body| Value::Object(body.clone()).to_string()).unwrap_or_default();
        let key = (if is_apart { at } else { 0 }, template, text);
        let group = groups.entry(key).or_insert_with(|| Request { members: Vec::new(), body });
        group.members.push((row.place, row.id));
    }
    let split = |Request { members, body }: Request| {
        let parts: Vec<Vec<(usize, u64)>> = members.chunks(MOST_UPDATED).map(<[_]>::to_vec).collect();
        parts.into_iter().map(move |members| Request { members, body: body.clone() })
    };
    groups.into_values().flat_map(split).collect()
}

impl Request {
    /// Returns the ids of its rows.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.members.iter().map(|(_, id)| *id).collect()
    }

    /// Returns the places of its rows.
    pub(super) fn places(&self) -> Vec<usize> {
        self.members.iter().map(|(place, _)| *place).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::undo::Setting;

    fn set(place: usize, template: u64, fields: Value) -> Planned {
        let fields = fields.as_object().cloned().unwrap_or_default();
        let intent = Intent::Set(Setting { fields, ..Setting::default() });
        Planned { place, id: place as u64 + 10, template: Some(template), intent, window: None }
    }

    fn deleted(place: usize) -> Planned {
        Planned {
            place,
            id: place as u64 + 10,
            template: Some(1),
            intent: Intent::Delete { former: Map::new() },
            window: None,
        }
    }

    #[test]
    fn rows_that_get_the_same_go_together_and_a_hundred_at_most() {
        let retired = json!({"state_id": 5});
        let planned = [
            set(0, 1, retired.clone()),
            set(1, 1, retired.clone()),
            set(2, 2, retired.clone()),
            set(3, 1, json!({"name": "a"})),
            deleted(4),
            deleted(5),
        ];
        let places = |requests: Vec<Request>| -> Vec<Vec<usize>> {
            let mut places: Vec<Vec<usize>> = requests.iter().map(Request::places).collect();
            places.sort();
            places
        };
        assert_eq!(places(requests(&planned, false)), [vec![0, 1], vec![2], vec![3], vec![4, 5]]);
        assert_eq!(requests(&planned, true).len(), 6);
        let many: Vec<Planned> = (0..201).map(|place| set(place, 1, retired.clone())).collect();
        let sizes: Vec<usize> = requests(&many, false).iter().map(|request| request.members.len()).collect();
        assert_eq!(sizes, [100, 100, 1]);
    }
}
