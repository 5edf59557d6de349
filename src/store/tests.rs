//! Tests the inside of the SQL stores; what every store has to do is tested in `tests/conformance`.

use std::time::Duration;

use super::accounts::AccountStates;
use super::ledger::{ClaimOutcome, Commit, CommitOutcome, RecordUpdate};
use super::outbox::OutboxEvent;
use super::removal::RemovalOutcome;
use super::shelf::{ShelfFilter, ShelvedUntil, Shelving};
use super::sql::{Bound, Columns, Dialect};
use super::*;
use crate::batch::Reason;
use crate::batch::ledger::BatchRecord;
use stores::{postgres, sqlite};
use values::{TAKEN, claim_of, connection, event, fails, fresh, granted, shelving, tenant};

#[path = "../../tests/it/support/waiting.rs"]
mod patience;
#[path = "../../tests/conformance/tests/sql/plans.rs"]
mod plans;
#[allow(dead_code, reason = "these tests harm no server")]
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
#[path = "../../tests/it/support/script.rs"]
mod script;
#[allow(dead_code, reason = "these tests set no clock")]
#[path = "../../tests/conformance/tests/sql/stores.rs"]
mod stores;
#[allow(dead_code, unreachable_pub, reason = "a module of another crate, which makes more use of it")]
#[path = "../../tests/conformance/src/values.rs"]
mod values;

/// Tests that run on an SQLite file and on a PostgreSQL database.
macro_rules! on_both {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(super::sqlite().await).await })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(super::postgres().await).await })*
        }
    };
}

mod audit;
mod concurrent;
mod data;
mod files;
mod groups;
mod growth;
mod held_files;
mod lists;
mod portable;
mod search;
mod statements;
mod unwritable;
