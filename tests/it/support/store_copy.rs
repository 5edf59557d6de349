//! Copies the store of a stage, and restores such a copy as an operator does.

use std::fs;
use std::path::PathBuf;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testmo_courier::clock::Clock;
use testmo_courier::store::{Store, StoreHealth};

use super::postgres::Postgres;
use super::stage::Stage;

/// A copy of a store: a file, or a database on the shared server.
pub(crate) enum StoreCopy {
    File(PathBuf),
    Database(String),
}

impl StoreCopy {
    /// Copies the store of a stage while nothing uses it.
    pub(crate) async fn of(stage: &mut Stage) -> Self {
        stage.store.close().await;
        let copy = match stage.config.store.file() {
            Some(file) => {
                let copy = stage.path("copy.db");
                fs::copy(file, &copy).expect("a copy");
                Self::File(copy)
            }
            None => {
                let (name, copy) = (database(stage), format!("{}_copy", database(stage)));
                on_server(&[&format!("CREATE DATABASE {copy} TEMPLATE {name}")]).await;
                Self::Database(copy)
            }
        };
        open_again(stage).await;
        copy
    }

    /// Puts the copy in the place of the store; workers of a database may be running.
    pub(crate) async fn restore(&self, stage: &mut Stage) {
        stage.store.close().await;
        match self {
            Self::File(copy) => {
                fs::copy(copy, stage.config.store.file().expect("a file")).expect("a copy");
            }
            Self::Database(copy) => {
                let name = database(stage);
                let drop = format!("DROP DATABASE {name} WITH (FORCE)");
                on_server(&[&drop, &format!("CREATE DATABASE {name} TEMPLATE {copy}")]).await;
            }
        }
        open_again(stage).await;
    }
}

async fn open_again(stage: &mut Stage) {
    stage.store = Store::open(&stage.config.store, false, Clock::system()).await.expect("a store");
}

/// Returns the name of a stage's database.
fn database(stage: &Stage) -> String {
    stage.config.store.url.rsplit('/').next().unwrap_or_default().to_owned()
}

async fn on_server(statements: &[&str]) {
    let mut conn = PgConnection::connect(&Postgres::shared().url("postgres")).await.expect("the server");
    for statement in statements {
        sqlx::query(AssertSqlSafe((*statement).to_owned())).execute(&mut conn).await.expect("a change of the server");
    }
}
