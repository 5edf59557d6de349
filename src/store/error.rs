//! States why the store failed and what to do about it.

use std::sync::Arc;

use sqlx::migrate::MigrateError;

use super::tls::remedy;
use super::unreadable::UnreadableRow;
use crate::guard::Panic;
use crate::tls_fault::TlsFault;

/// Why the store did not do what was asked. No password is in any of its texts.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no store at the configured place.
    #[error("there is no store at {0}: run `testmo-courier init`, or check store.url")]
    Missing(String),
    /// Another worker uses the file.
    #[error("{0} is in use by another worker: stop that worker, or give each worker its own store")]
    InUse(String),
    /// The store is an older copy of the one that was used before.
    #[error(
        "{place} is {}: stop every worker that uses it, and run `testmo-courier store restored-at {at}`; nothing that was \
         delivered since the copy was made is then created again{}",
        if *.is_other { "another store than the one that was used here, such as a copy from before an update" } else { "an older copy of the store that was used here" },
        if *.is_other { ". If it is another store on purpose, remove the file beside it whose name ends in `.writes`" } else { "" }
    )]
    SetBack {
        /// Which store it is.
        place: String,
        /// A time of the copy that can be right: the latest one that it knows of.
        at: String,
        /// Whether it is not known to be the same store.
        is_other: bool,
    },
    /// The store was restored while a worker was using it.
    #[error("the store was restored from an older copy while this worker was using it: start the worker again")]
    Restored,
    /// A restore or a copy into the store was interrupted.
    #[error(
        "{0} is incomplete, as a restore or a copy into it was interrupted: run the same `testmo-courier store restore` or \
         `testmo-courier store copy` again, which begins from the start"
    )]
    Incomplete(String),
    /// The store was moved elsewhere.
    #[error(
        "{place} was moved to {to}: set store.url to that place. If nothing has been delivered from there, and this store is \
         to be used again, run `testmo-courier store restored-at 0s`"
    )]
    Moved {
        /// Which store it is.
        place: String,
        /// Where its content is now.
        to: String,
    },
    /// Other processes use a database that has to be used by one alone.
    #[error(
        "{sessions} of this program use {place}: stop every worker and command that uses it, and run the command again"
    )]
    Occupied {
        /// Which store it is.
        place: String,
        /// How many sessions they have, in words.
        sessions: String,
    },
    /// The database does not answer.
    #[error("the store does not respond ({0}): check that the database runs, and host and port in store.url")]
    Away(String),
    /// The database cannot be reached by TLS.
    #[error("no TLS connection to the store ({cause}): {}", remedy(*.fault))]
    Tls {
        /// What is wrong.
        cause: String,
        /// Which fault it is.
        fault: TlsFault,
    },
    /// The database does not know the user or its password.
    #[error("the store refused the user ({0}): check user and password in store.url")]
    Refused(String),
    /// The server does not have the database.
    #[error(
        "the server has no such database ({0}): create it with `createdb --encoding UTF8 --template template0 --locale C \
         NAME`, or check store.url"
    )]
    NoDatabase(String),
    /// The server is out of connections.
    #[error(
        "the database server, or the pooler in front of it, has no free connection ({0}): lower store.max_connections of \
         the workers, or raise the server's max_connections or the pooler's pool size"
    )]
    Full(String),
    /// A pooler in front of the database gives each transaction another session.
    #[error(
        "the pooler in front of the database does not let the store work ({0}): name the database server itself in \
         store.url, or set pool_mode = session and ignore_startup_parameters = extra_float_digits in the pooler"
    )]
    Pooler(String),
    /// A statement took too long, or waited too long for a lock.
    #[error(
        "the database took too long ({0}): find what it waits for in pg_stat_activity, such as a lock of another \
         program, a slow disk or too little memory"
    )]
    Slow(String),
    /// The database server itself failed: it is out of memory or of other resources.
    #[error("the database server is out of resources ({0}): give it more, or end what uses them")]
    Exhausted(String),
    /// The disk is full, or the database has reached its limit.
    #[error("the store is full ({0}): free space on its disk, or raise store.max_file_bytes")]
    NoRoom(String),
    /// Another program holds the write lock of an SQLite file.
    #[error(
        "another program holds the write lock of the store's file ({0}): find it with `fuser` or `lsof`, and end it or \
         the transaction that it has open"
    )]
    Locked(String),
    /// The file or the database takes no changes.
    #[error(
        "the store takes no changes ({0}): let the worker's user write the file and its folder, or point store.url at \
         the primary server"
    )]
    ReadOnly(String),
    /// The file is there, but cannot be opened.
    #[error("the store's file cannot be opened ({0}): check who owns it and its folder")]
    NotOpened(String),
    /// Reading or writing the file failed.
    #[error("the disk of the store failed ({0}): check the disk and the system's log")]
    Disk(String),
    /// The file is not what SQLite wrote.
    #[error(
        "the store's file is damaged, or not a store ({0}): check store.url, or restore the latest copy of the file"
    )]
    Damaged(String),
    /// The operating system keeps the file, or the folder of the file, from being written; a fact and a remedy.
    #[error("{0}")]
    NotWritable(String),
    /// The database cannot hold every character.
    #[error(
        "the database {database} has the encoding {encoding}, which cannot hold every character: create one with \
         `createdb --encoding UTF8 --template template0 --locale C NAME` and name it in store.url; what is in the old \
         one, if it is a store, moves with `pg_dump {database} | psql NAME`"
    )]
    Encoding {
        /// The database.
        database: String,
        /// Its encoding.
        encoding: String,
    },
    /// The database refuses a value; the same value is refused again.
    #[error("the store refuses a value ({0})")]
    Data(String),
    /// The user may not do what is needed.
    #[error("the database user lacks a permission ({0}): make the user the owner of the database")]
    Forbidden(String),
    /// The store's tables are those of a later version.
    #[error("the store was created by a newer version: run that version or a newer one")]
    Newer,
    /// The database failed otherwise.
    #[error("the store failed: {0}")]
    Database(Arc<sqlx::Error>),
    /// The tables could not be brought to this version.
    #[error("the store's tables could not be prepared: {0}")]
    Migration(Arc<MigrateError>),
    /// A stored value is not what this version writes.
    #[error("the store contains a value of `{0}` that this version cannot read")]
    Malformed(String),
    /// A row holds a value that this version does not know.
    #[error(
        "row {} of the store's table `{}` has a value in column `{}` that this version does not know: run the newest \
         version on every worker, or restore the row from a backup",
        .0.key, .0.table, .0.column
    )]
    Unreadable(UnreadableRow),
    /// What was asked panicked, in the store or in the worker; nobody knows how much of it was stored.
    #[error("a defect stopped the work: {0}")]
    Panicked(String),
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    pub(crate) fn malformed(what: &str) -> Self {
        Self::Malformed(what.into())
    }

    /// The error as one of a row, where it is one of a value.
    pub(super) fn in_row(self, table: &'static str, key: impl FnOnce() -> String) -> Self {
        match self {
            Self::Malformed(column) => Self::Unreadable(UnreadableRow { table, key: key(), column }),
            other @ (Self::Missing(_)
            | Self::InUse(_)
            | Self::SetBack { .. }
            | Self::Restored
            | Self::Incomplete(_)
            | Self::Moved { .. }
            | Self::Occupied { .. }
            | Self::Away(_)
            | Self::Tls { .. }
            | Self::Refused(_)
            | Self::NoDatabase(_)
            | Self::Full(_)
            | Self::Pooler(_)
            | Self::Slow(_)
            | Self::Exhausted(_)
            | Self::NoRoom(_)
            | Self::Locked(_)
            | Self::ReadOnly(_)
            | Self::NotOpened(_)
            | Self::Disk(_)
            | Self::Damaged(_)
            | Self::Forbidden(_)
            | Self::NotWritable(_)
            | Self::Encoding { .. }
            | Self::Data(_)
            | Self::Newer
            | Self::Database(_)
            | Self::Migration(_)
            | Self::Unreadable(_)
            | Self::Panicked(_)
            | Self::Closed) => other,
        }
    }

    /// Whether another transaction blocked this one, so that the same one may succeed when retried.
    pub(super) fn is_contention(&self) -> bool {
        // PostgreSQL's serialization_failure and deadlock_detected.
        matches!(self, Self::Database(error) if matches!(code(error).as_deref(), Some("40001" | "40P01")))
    }

    /// Whether the request is the cause, and not the connection to the database.
    pub(super) fn is_of_request(&self) -> bool {
        match self {
            // A smaller request may fit.
            Self::Database(_)
            | Self::Data(_)
            | Self::Malformed(_)
            | Self::Unreadable(_)
            | Self::NoRoom(_)
            | Self::Panicked(_) => true,
            Self::Missing(_)
            | Self::InUse(_)
            | Self::SetBack { .. }
            | Self::Restored
            | Self::Incomplete(_)
            | Self::Moved { .. }
            | Self::Occupied { .. }
            | Self::Away(_)
            | Self::Tls { .. }
            | Self::Refused(_)
            | Self::NoDatabase(_)
            | Self::Full(_)
            | Self::Pooler(_)
            | Self::Slow(_)
            | Self::Exhausted(_)
            | Self::Locked(_)
            | Self::ReadOnly(_)
            | Self::NotOpened(_)
            | Self::Disk(_)
            | Self::Damaged(_)
            | Self::Forbidden(_)
            | Self::NotWritable(_)
            | Self::Encoding { .. }
            | Self::Newer
            | Self::Migration(_)
            | Self::Closed => false,
        }
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned)
}

/// Returns the error for a result code of SQLite that has a remedy of its own. The last byte of a code is its kind.
fn of_file(code: &str, said: String) -> Option<StoreError> {
    match code.parse::<u32>().ok()? & 0xff {
        5 | 6 => Some(StoreError::Locked(said)),
        8 => Some(StoreError::ReadOnly(said)),
        10 => Some(StoreError::Disk(said)),
        11 | 26 => Some(StoreError::Damaged(said)),
        // A full disk, or a file at its limit.
        13 => Some(StoreError::NoRoom(said)),
        14 => Some(StoreError::NotOpened(said)),
        _ => None,
    }
}

/// Returns the error for an SQLSTATE of PostgreSQL, or of a pooler in front of it, that has a remedy of its own.
/// Source: PostgreSQL's appendix on error codes; PgBouncer answers with 08P01 whatever is wrong.
fn of_server(code: &str, said: String) -> Option<StoreError> {
    Some(match (code.get(..2)?, code) {
        (_, "28000" | "28P01") if said.contains("client certificate") => {
            StoreError::Tls { cause: said, fault: TlsFault::CertificateRequired }
        }
        (_, "28000" | "28P01") => StoreError::Refused(said),
        (_, "3D000") => StoreError::NoDatabase(said),
        (_, "53300") => StoreError::Full(said),
        (_, "53100") => StoreError::NoRoom(said),
        (_, "25006") => StoreError::ReadOnly(said),
        (_, "42501" | "3F000") => StoreError::Forbidden(said),
        (_, "58030") => StoreError::Disk(said),
        (_, "XX001" | "XX002") => StoreError::Damaged(said),
        (_, "57014" | "55P03" | "25P03" | "25P04") => StoreError::Slow(said),
        // A prepared statement that does not exist, or exists already: another session answers than the one before.
        (_, "26000" | "42P05") => StoreError::Pooler(said),
        (_, "08P01") if said.contains("no such database") => StoreError::NoDatabase(said),
        (_, "08P01") if said.contains("no more connections allowed") || said.contains("query_wait_timeout") => {
            StoreError::Full(said)
        }
        (_, "08P01") if said.contains("startup parameter") => StoreError::Pooler(said),
        (_, "08P01") if said.contains("authentication failed") => StoreError::Refused(said),
        ("53", _) => StoreError::Exhausted(said),
        ("08" | "57", _) => StoreError::Away(said),
        ("22", _) => StoreError::Data(said),
        _ => return None,
    })
}

impl From<sqlx::Error> for StoreError {
    /// By the SQLSTATE of PostgreSQL, whose first two characters are the class; SQLite's codes are shorter.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum is not exhaustive; an error without its own remedy is reported unchanged"
    )]
    fn from(error: sqlx::Error) -> Self {
        let said = error.as_database_error().map(|error| error.message().to_owned()).unwrap_or_default();
        if let Some(code) = code(&error).filter(|code| code.len() == 5) {
            return of_server(&code, said).unwrap_or_else(|| Self::Database(Arc::new(error)));
        }
        if let Some(known) = code(&error).and_then(|code| of_file(&code, said)) {
            return known;
        }
        if let Some(fault) = TlsFault::in_error(&error) {
            return of_tls(fault, &error);
        }
        match &error {
            sqlx::Error::Io(cause) => Self::Away(cause.to_string()),
            sqlx::Error::Protocol(cause) => Self::Away(cause.clone()),
            sqlx::Error::Tls(_) => of_tls(TlsFault::Other, &error),
            sqlx::Error::PoolTimedOut => Self::Away("no connection became free or could be opened in time".into()),
            sqlx::Error::WorkerCrashed => Self::Away("the connection broke".into()),
            sqlx::Error::PoolClosed => Self::Closed,
            _ => Self::Database(Arc::new(error)),
        }
    }
}

fn of_tls(fault: TlsFault, error: &sqlx::Error) -> StoreError {
    StoreError::Tls { cause: fault.words().map_or_else(|| error.to_string(), str::to_owned), fault }
}

impl From<Panic> for StoreError {
    fn from(Panic(message): Panic) -> Self {
        Self::Panicked(message)
    }
}

impl From<MigrateError> for StoreError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum is not exhaustive; an error without its own remedy is reported unchanged"
    )]
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(_) => Self::Newer,
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Migration(Arc::new(other)),
        }
    }
}

#[cfg(test)]
mod tests;
