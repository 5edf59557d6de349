//! Describes a case in an event beyond what is in the record of its batch.

use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::ledger::BatchRecord;
use crate::batch::message::{Batch, Case, Places};
use crate::batch::render::left_out::LeftOut;

/// The parts of a case in an event that are not in the batch's record.
#[derive(Clone, Copy, Debug)]
pub struct CaseInput<'a> {
    /// The name of the case.
    pub name: &'a str,
    /// The path that it requests, if this is another folder than its batch requests.
    pub path: Option<&'a [String]>,
    /// What is not sent of it.
    pub left_out: &'a [LeftOut],
}

impl<'a> CaseInput<'a> {
    /// Returns the names and folders of a batch's cases; what was not sent of them is not known.
    pub fn of(batch: &'a Batch, places: &'a Places) -> Vec<Self> {
        let of_case =
            |(at, case): (usize, &'a Case)| Self { name: &case.name, path: places.own_path(at), left_out: &[] };
        batch.cases.iter().enumerate().map(of_case).collect()
    }
}

/// The folder of a case.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CaseFolder {
    /// The id of the folder in Testmo.
    pub id: u64,
    /// The requested path of the folder below the tenant's folder; without names it is the tenant's folder.
    pub path: Vec<String>,
}

/// Returns the folder of a case that requests this path.
pub(super) fn folder(record: &BatchRecord, index: usize, path: &[String]) -> Option<CaseFolder> {
    let target = record.targets.get(record.cases[index].target)?;
    Some(CaseFolder { id: target.folder, path: path.to_vec() })
}
