//! Opens one connection to a store and leaves its tables as they are, also those of another version.

use std::path::{Path, PathBuf};

use sqlx::{AnyConnection, Connection};

use super::super::location::StoreLocation;
use super::super::preparing::newest_had;
use super::super::sql::{self, Columns};
use super::super::{StoreError, file};
use super::{
    PAGES_KEPT, PREPARING, Use, connect_to_server, create_private, file_options, largest_file, prepare_file,
    prepare_server,
};
use crate::config;

/// A connection to a store whose tables are left as they are.
pub(in crate::store) struct AsItIs {
    pub(in crate::store) conn: AnyConnection,
    /// The number of the newest migration that the store has had; nothing if it has no tables.
    pub(in crate::store) newest: Option<i64>,
    /// The file of the store.
    pub(in crate::store) file: Option<PathBuf>,
}

/// Opens one connection to a store, and migrates nothing. A file is created if that is asked for.
pub(in crate::store) async fn connect(config: &config::Store, create: bool) -> Result<AsItIs, StoreError> {
    sqlx::any::install_default_drivers();
    match StoreLocation::of(config) {
        StoreLocation::File(file) => {
            let opened = connect_to_file(config, &file, create).await;
            opened.map_err(|error| file::explained(error, &file))
        }
        StoreLocation::Server(_) => {
            let (_, mut conn) = connect_to_server(config).await?;
            prepare_server(&mut conn).await?;
            let newest = newest_had(&mut conn).await?;
            Ok(AsItIs { conn, newest, file: None })
        }
    }
}

async fn connect_to_file(config: &config::Store, file: &Path, create: bool) -> Result<AsItIs, StoreError> {
    if create {
        create_private(file)?;
    } else if !file.exists() {
        return Err(StoreError::Missing(file.display().to_string()));
    }
    let options = file_options(file, "rw")?;
    let mut conn = AnyConnection::connect_with(&options).await?;
    prepare_file(&mut conn, largest_file(config.max_file_bytes, Use::Command), PAGES_KEPT).await?;
    let newest = newest_had(&mut conn).await?;
    Ok(AsItIs { conn, newest, file: Some(file.to_owned()) })
}

/// Tries to keep others from opening a store on a server until the connection ends; returns whether it could.
pub(in crate::store) async fn keep_others_out(conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let sql = format!("SELECT CAST(pg_try_advisory_lock({PREPARING}) AS INT) AS taken");
    let rows = sql::fetch(conn, sql, vec![]).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.int("taken"))? == 1)
}
