//! Checks the SQL stores: by the cases of every store, and by those of commands, which a store in memory lacks.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

/// Makes a test of each function on an SQLite file and on a PostgreSQL database.
macro_rules! on_both {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::stores::sqlite().await).await })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(crate::stores::postgres().await).await })*
        }
    };
}

mod access;
mod batches;
mod opening;
mod plans;
#[allow(dead_code, reason = "these tests harm no server")]
#[path = "../../../it/support/postgres.rs"]
mod postgres;
mod probes;
mod removal;
mod replays;
mod restart;
mod rotation;
#[path = "../../../it/support/script.rs"]
mod script;
mod search;
mod shelf;
mod stores;
mod subject;
mod undos;
#[path = "../../../it/support/waiting.rs"]
mod waiting;

use testmo_conformance::{conformance, shared_conformance, values};

mod on_sqlite {
    super::conformance!(
        #[tokio::test]
        crate::stores::sqlite
    );
}

mod on_postgres {
    super::conformance!(
        #[tokio::test]
        crate::stores::postgres
    );
    super::shared_conformance!(
        #[tokio::test]
        crate::stores::postgres
    );
}
