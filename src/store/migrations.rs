//! Lists the migrations of both databases, in order.
//!
//! A store records the version and the checksum of each migration that it has had: a script that any store may have had is
//! never changed, not even in its comments, and keeps its version. Early steps have different versions on the two
//! databases, as one of them was for SQLite only; from version 12 on, a step has one version for both.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::sql::Dialect;

/// How the tables of a store stand to this version of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TablesState {
    /// The migrations of this version that the store has not had, with their names.
    pub waiting: Vec<(i64, &'static str)>,
    /// The migrations that the store has had and this version does not know.
    pub unknown: Vec<i64>,
}

/// One migration: its version, what it does, and its script.
type Step = (i64, &'static str, &'static str);

const SQLITE: [Step; 40] = [
    (1, "tables", include_str!("migrations/sqlite/01_tables.sql")),
    (2, "pruning", include_str!("migrations/sqlite/02_pruning.sql")),
    (3, "account_throttle", include_str!("migrations/sqlite/03_account_throttle.sql")),
    (4, "late_checks", include_str!("migrations/sqlite/04_late_checks.sql")),
    (5, "rows_in_order_of_arrival", include_str!("migrations/sqlite/05_rows_in_order_of_arrival.sql")),
    (6, "outbox_by_subject", include_str!("migrations/sqlite/06_outbox_by_subject.sql")),
    (7, "shelf_indexes", include_str!("migrations/sqlite/07_shelf_indexes.sql")),
    (8, "id_floor", include_str!("migrations/sqlite/08_id_floor.sql")),
    (9, "folders", include_str!("migrations/sqlite/09_folders.sql")),
    (10, "connection_epoch", include_str!("migrations/sqlite/10_connection_epoch.sql")),
    (11, "unbound_keys", include_str!("migrations/sqlite/11_unbound_keys.sql")),
    (12, "instances", include_str!("migrations/sqlite/12_instances.sql")),
    (13, "growth_indexes", include_str!("migrations/sqlite/13_growth_indexes.sql")),
    (14, "suspects_in_turn", include_str!("migrations/sqlite/14_suspects_in_turn.sql")),
    (15, "tried_connections", include_str!("migrations/sqlite/15_tried_connections.sql")),
    (16, "waits_in_view", include_str!("migrations/sqlite/16_waits_in_view.sql")),
    (17, "unknown_tenants", include_str!("migrations/sqlite/17_unknown_tenants.sql")),
    (18, "project_fields", include_str!("migrations/sqlite/18_project_fields.sql")),
    (19, "probes", include_str!("migrations/sqlite/19_probes.sql")),
    (21, "written_cases", include_str!("migrations/sqlite/21_written_cases.sql")),
    (23, "causes", include_str!("migrations/sqlite/23_causes.sql")),
    (24, "audit", include_str!("migrations/sqlite/24_audit.sql")),
    (25, "search", include_str!("migrations/sqlite/25_search.sql")),
    (26, "batch_history", include_str!("migrations/sqlite/26_batch_history.sql")),
    (27, "restores", include_str!("migrations/sqlite/27_restores.sql")),
    (28, "access", include_str!("migrations/sqlite/28_access.sql")),
    (29, "discarded", include_str!("migrations/sqlite/29_discarded.sql")),
    (30, "replays", include_str!("migrations/sqlite/30_replays.sql")),
    (31, "groups", include_str!("migrations/sqlite/31_groups.sql")),
    (34, "lists", include_str!("migrations/sqlite/34_lists.sql")),
    (36, "generations", include_str!("migrations/sqlite/36_generations.sql")),
    (37, "undos", include_str!("migrations/sqlite/37_undos.sql")),
    (38, "replacements", include_str!("migrations/sqlite/38_replacements.sql")),
    (39, "wide_pushes", include_str!("migrations/sqlite/39_wide_pushes.sql")),
    (40, "sessions", include_str!("migrations/sqlite/40_sessions.sql")),
    (41, "trend", include_str!("migrations/sqlite/41_trend.sql")),
    (42, "master_key_rotation", include_str!("migrations/sqlite/42_master_key_rotation.sql")),
    (43, "search_by_junction", include_str!("migrations/sqlite/43_search_by_junction.sql")),
    (44, "write_windows", include_str!("migrations/sqlite/44_write_windows.sql")),
    (45, "shares", include_str!("migrations/sqlite/45_shares.sql")),
];

const POSTGRES: [Step; 39] = [
    (1, "tables", include_str!("migrations/postgres/01_tables.sql")),
    (2, "pruning", include_str!("migrations/postgres/02_pruning.sql")),
    (3, "account_throttle", include_str!("migrations/postgres/03_account_throttle.sql")),
    (4, "late_checks", include_str!("migrations/postgres/04_late_checks.sql")),
    (5, "outbox_by_subject", include_str!("migrations/postgres/05_outbox_by_subject.sql")),
    (6, "shelf_indexes", include_str!("migrations/postgres/06_shelf_indexes.sql")),
    (7, "id_floor", include_str!("migrations/postgres/07_id_floor.sql")),
    (8, "folders", include_str!("migrations/postgres/08_folders.sql")),
    (9, "connection_epoch", include_str!("migrations/postgres/09_connection_epoch.sql")),
    (10, "unbound_keys", include_str!("migrations/postgres/10_unbound_keys.sql")),
    (12, "instances", include_str!("migrations/postgres/12_instances.sql")),
    (13, "growth_indexes", include_str!("migrations/postgres/13_growth_indexes.sql")),
    (14, "suspects_in_turn", include_str!("migrations/postgres/14_suspects_in_turn.sql")),
    (15, "tried_connections", include_str!("migrations/postgres/15_tried_connections.sql")),
    (16, "waits_in_view", include_str!("migrations/postgres/16_waits_in_view.sql")),
    (17, "unknown_tenants", include_str!("migrations/postgres/17_unknown_tenants.sql")),
    (18, "project_fields", include_str!("migrations/postgres/18_project_fields.sql")),
    (19, "probes", include_str!("migrations/postgres/19_probes.sql")),
    (21, "written_cases", include_str!("migrations/postgres/21_written_cases.sql")),
    (23, "causes", include_str!("migrations/postgres/23_causes.sql")),
    (24, "audit", include_str!("migrations/postgres/24_audit.sql")),
    (25, "search", include_str!("migrations/postgres/25_search.sql")),
    (26, "batch_history", include_str!("migrations/postgres/26_batch_history.sql")),
    (27, "restores", include_str!("migrations/postgres/27_restores.sql")),
    (28, "access", include_str!("migrations/postgres/28_access.sql")),
    (29, "discarded", include_str!("migrations/postgres/29_discarded.sql")),
    (30, "replays", include_str!("migrations/postgres/30_replays.sql")),
    (31, "groups", include_str!("migrations/postgres/31_groups.sql")),
    (34, "lists", include_str!("migrations/postgres/34_lists.sql")),
    (36, "generations", include_str!("migrations/postgres/36_generations.sql")),
    (37, "undos", include_str!("migrations/postgres/37_undos.sql")),
    (38, "replacements", include_str!("migrations/postgres/38_replacements.sql")),
    (39, "wide_pushes", include_str!("migrations/postgres/39_wide_pushes.sql")),
    (40, "sessions", include_str!("migrations/postgres/40_sessions.sql")),
    (41, "trend", include_str!("migrations/postgres/41_trend.sql")),
    (42, "master_key_rotation", include_str!("migrations/postgres/42_master_key_rotation.sql")),
    (43, "search_by_junction", include_str!("migrations/postgres/43_search_by_junction.sql")),
    (44, "write_windows", include_str!("migrations/postgres/44_write_windows.sql")),
    (45, "shares", include_str!("migrations/postgres/45_shares.sql")),
];

fn steps(dialect: Dialect) -> &'static [Step] {
    match dialect {
        Dialect::Sqlite => &SQLITE,
        Dialect::Postgres => &POSTGRES,
    }
}

/// Returns the migrations of a database.
pub(super) fn migrator(dialect: Dialect) -> Migrator {
    let migration = |(version, name, script): &Step| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, script.into_sql_str(), false)
    };
    Migrator { migrations: steps(dialect).iter().map(migration).collect(), ..Migrator::DEFAULT }
}

/// Compares the migrations that a store has had with those of this version.
pub(super) fn compared(dialect: Dialect, had: &[i64]) -> TablesState {
    let known = steps(dialect);
    let waiting =
        known.iter().filter(|(version, ..)| !had.contains(version)).map(|(version, name, _)| (*version, *name));
    let is_known = |version: &i64| known.iter().any(|(of, ..)| of == version);
    TablesState {
        waiting: waiting.collect(),
        unknown: had.iter().copied().filter(|version| !is_known(version)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_has_had_and_this_version_knows_is_neither_waiting_nor_unknown() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let all: Vec<i64> = steps(dialect).iter().map(|(version, ..)| *version).collect();
            let Some((newest, earlier)) = all.split_last() else { panic!("{dialect:?}") };
            let name = steps(dialect).iter().find(|(version, ..)| version == newest).map(|(_, name, _)| *name);
            assert_eq!(compared(dialect, &all), TablesState::default());
            assert_eq!(compared(dialect, earlier).waiting, [(*newest, name.unwrap())]);
            assert_eq!(compared(dialect, &[all.as_slice(), &[9_999]].concat()).unknown, [9_999]);
        }
    }

    /// The first version from which on a step has the same version on both databases.
    const FIRST_COMMON: i64 = 12;

    /// What would take away something that the build before still reads or writes: builds of both versions work on one
    /// store while replicas are upgraded.
    const DESTRUCTIVE: [&str; 6] =
        ["DROP TABLE", "DROP COLUMN", "RENAME TO", "RENAME COLUMN", "DELETE FROM", "SET NOT NULL"];

    /// Returns the destructive statements of a script.
    fn destructive(script: &str) -> Vec<&'static str> {
        let statements: String = script.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        let statements = statements.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
        DESTRUCTIVE.into_iter().filter(|words| statements.contains(words)).collect()
    }

    #[test]
    fn a_step_after_the_first_release_takes_nothing_away() {
        assert_eq!(destructive("-- DROP TABLE x\nALTER TABLE x\n  DROP   column y;"), ["DROP COLUMN"]);
        assert_eq!(destructive("ALTER TABLE x ADD COLUMN y TEXT;"), [""; 0]);
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            for (version, name, script) in steps(dialect).iter().filter(|(version, ..)| *version >= FIRST_COMMON) {
                assert_eq!(
                    destructive(script),
                    [""; 0],
                    "{dialect:?} {version} {name}: add first, remove a release later"
                );
            }
        }
    }

    fn versions_and_names(dialect: Dialect) -> Vec<(i64, &'static str)> {
        steps(dialect).iter().map(|(version, name, _)| (*version, *name)).collect()
    }

    #[test]
    fn versions_ascend() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            assert!(steps(dialect).windows(2).all(|pair| pair[0].0 < pair[1].0), "{dialect:?}");
        }
    }

    #[test]
    fn a_new_step_has_one_version_and_name_for_both_databases() {
        let [sqlite, postgres] = [Dialect::Sqlite, Dialect::Postgres].map(versions_and_names);
        let common = |steps: Vec<(i64, &'static str)>| {
            steps.into_iter().filter(|(version, _)| *version >= FIRST_COMMON).collect::<Vec<_>>()
        };
        assert_eq!(common(sqlite), common(postgres));
    }
}
