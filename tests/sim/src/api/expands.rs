//! Collects the related records that a list carries along.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::request::Request;

/// Expanded records by table. Written as `[]`, a list, if nothing was expanded, because PHP does so.
#[derive(Debug, Default)]
pub(crate) struct Expands {
    tables: BTreeMap<&'static str, Vec<Value>>,
}

impl Expands {
    pub(crate) fn add(&mut self, table: &'static str, records: Vec<Value>) {
        self.tables.insert(table, records);
    }
}

impl Serialize for Expands {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.tables.is_empty() {
            return serializer.collect_seq(std::iter::empty::<Value>());
        }
        serializer.collect_map(&self.tables)
    }
}

/// Returns whether the request asks to expand this table; unknown tables are ignored.
pub(crate) fn is_wished(request: &Request, table: &str) -> bool {
    request.list("expands").contains(&table)
}
