//! Lists the migrations of both databases, in order.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::sql::Dialect;

/// Returns the migrations of a database.
pub(super) fn migrator(dialect: Dialect) -> Migrator {
    let scripts = match dialect {
        Dialect::Sqlite => vec![
            include_str!("migrations/sqlite_1.sql"),
            include_str!("migrations/sqlite_2.sql"),
            include_str!("migrations/sqlite_3.sql"),
            include_str!("migrations/sqlite_4.sql"),
            include_str!("migrations/sqlite_5.sql"),
            include_str!("migrations/sqlite_6.sql"),
            include_str!("migrations/sqlite_7.sql"),
            include_str!("migrations/sqlite_8.sql"),
            include_str!("migrations/sqlite_9.sql"),
            include_str!("migrations/sqlite_10.sql"),
            include_str!("migrations/sqlite_11.sql"),
        ],
        Dialect::Postgres => vec![
            include_str!("migrations/postgres_1.sql"),
            include_str!("migrations/postgres_2.sql"),
            include_str!("migrations/postgres_3.sql"),
            include_str!("migrations/postgres_4.sql"),
            include_str!("migrations/postgres_5.sql"),
            include_str!("migrations/postgres_6.sql"),
            include_str!("migrations/postgres_7.sql"),
            include_str!("migrations/postgres_8.sql"),
            include_str!("migrations/postgres_9.sql"),
            include_str!("migrations/postgres_10.sql"),
        ],
    };
    let migration = |(version, script): (i64, &'static str)| {
        Migration::new(version, "tables".into(), MigrationType::Simple, script.into_sql_str(), false)
    };
    Migrator { migrations: (1..).zip(scripts).map(migration).collect(), ..Migrator::DEFAULT }
}
