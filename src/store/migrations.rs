//! Lists the migrations of both databases, in order.
//!
//! A store records the version and the checksum of each migration that it has had: a script that any store may have had is
//! never changed, not even in its comments, and keeps its version. Early steps have different versions on the two
//! databases, as one of them was for SQLite only; from version 12 on, a step has one version for both.
//!
//! Steps up to [`LAST_REQUIRED`] are recorded where a program refuses a step that it does not know. Later ones are expansions:
//! they only add, so a program that does not know them goes on, and they are recorded apart.

#[cfg(test)]
mod expansion;

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
    /// Whether the store refuses this version, because of a migration that it does not know.
    pub is_refused: bool,
}

/// The migrations that a store has had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Had {
    /// Those without which no version works on it.
    pub(super) required: Vec<i64>,
    /// Those without which an earlier version works on it.
    pub(super) expansions: Vec<i64>,
    /// The newest one that a version has to know; 0 if it need not know any expansion.
    pub(super) oldest_step: i64,
}

/// The last step that a program has to know to work on a store that has had it.
pub(super) const LAST_REQUIRED: i64 = 40;
/// Where the steps up to it are recorded.
pub(super) const REQUIRED: &str = "_sqlx_migrations";
/// Where later steps are recorded.
pub(super) const EXPANSIONS: &str = "_sqlx_expansions";
/// The first version from which on a step has the same version on both databases.
pub(super) const FIRST_COMMON: i64 = 12;

/// One migration: its version, what it does, and its script.
type Step = (i64, &'static str, &'static str);

const SQLITE: [Step; 43] = [
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
    (46, "trend_sources", include_str!("migrations/sqlite/46_trend_sources.sql")),
    (47, "tenant_files", include_str!("migrations/sqlite/47_tenant_files.sql")),
    (48, "traces", include_str!("migrations/sqlite/48_traces.sql")),
];

const POSTGRES: [Step; 42] = [
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
    (46, "trend_sources", include_str!("migrations/postgres/46_trend_sources.sql")),
    (47, "tenant_files", include_str!("migrations/postgres/47_tenant_files.sql")),
    (48, "traces", include_str!("migrations/postgres/48_traces.sql")),
];

fn steps(dialect: Dialect) -> &'static [Step] {
    match dialect {
        Dialect::Sqlite => &SQLITE,
        Dialect::Postgres => &POSTGRES,
    }
}

/// Returns the newest step of this version.
pub(super) fn newest_step(dialect: Dialect) -> i64 {
    steps(dialect).last().map_or(0, |(version, ..)| *version)
}

/// Returns the migrations of a database: the required ones and the expansions.
pub(super) fn migrators(dialect: Dialect) -> [Migrator; 2] {
    let migration = |(version, name, script): &Step| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, script.into_sql_str(), false)
    };
    [(false, REQUIRED), (true, EXPANSIONS)].map(|(are_expansions, table)| {
        let steps = steps(dialect).iter().filter(|(version, ..)| (*version > LAST_REQUIRED) == are_expansions);
        Migrator {
            migrations: steps.map(migration).collect(),
            ignore_missing: are_expansions,
            table_name: table.into(),
            ..Migrator::DEFAULT
        }
    })
}

/// Returns the required migrations of a database up to a version, and its expansions up to it.
pub(super) fn migrators_up_to(dialect: Dialect, version: i64) -> [Migrator; 2] {
    migrators(dialect).map(|migrator| {
        let migrations = migrator.iter().filter(|step| step.version <= version).cloned().collect();
        Migrator { migrations, ..migrator }
    })
}

/// Returns how many migrations of this version follow one.
pub(super) fn steps_after(dialect: Dialect, version: i64) -> usize {
    steps(dialect).iter().filter(|(step, ..)| *step > version).count()
}

/// Compares the migrations that a store has had with those of this version.
pub(super) fn compared(dialect: Dialect, had: &Had) -> TablesState {
    let known = steps(dialect);
    let has_had = |version: &i64| had.required.contains(version) || had.expansions.contains(version);
    let waiting = known.iter().filter(|(version, ..)| !has_had(version)).map(|(version, name, _)| (*version, *name));
    let is_unknown = |version: &i64| !known.iter().any(|(of, ..)| of == version);
    TablesState {
        waiting: waiting.collect(),
        unknown: had.required.iter().chain(&had.expansions).copied().filter(is_unknown).collect(),
        is_refused: had.required.iter().any(is_unknown) || had.oldest_step > newest_step(dialect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn had(required: &[i64], expansions: &[i64], oldest_step: i64) -> Had {
        Had { required: required.to_vec(), expansions: expansions.to_vec(), oldest_step }
    }

    #[test]
    fn what_a_store_has_had_and_this_version_knows_is_neither_waiting_nor_unknown() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let all: Vec<i64> = steps(dialect).iter().map(|(version, ..)| *version).collect();
            let (required, expansions): (Vec<i64>, Vec<i64>) =
                all.iter().partition(|version| **version <= LAST_REQUIRED);
            let Some((newest, earlier)) = expansions.split_last() else { panic!("{dialect:?}") };
            let name = steps(dialect).iter().find(|(version, ..)| version == newest).map(|(_, name, _)| *name);
            assert_eq!(compared(dialect, &had(&required, &expansions, 0)), TablesState::default());
            assert_eq!(compared(dialect, &had(&all, &[], 0)), TablesState::default(), "recorded by an earlier build");
            assert_eq!(compared(dialect, &had(&required, earlier, 0)).waiting, [(*newest, name.unwrap())]);
        }
    }

    #[test]
    fn a_step_that_only_adds_is_no_reason_to_refuse_a_version_that_does_not_know_it() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let newest = newest_step(dialect);
            let all: Vec<i64> = steps(dialect).iter().map(|(version, ..)| *version).collect();
            let table = [
                (had(&all, &[9_999], 0), false),
                (had(&all, &[9_999], newest), false),
                (had(&all, &[9_999], newest + 1), true),
                (had(&[all.as_slice(), &[9_999]].concat(), &[], 0), true),
            ];
            for (had, is_refused) in table {
                let state = compared(dialect, &had);
                assert_eq!((state.unknown.as_slice(), state.is_refused), ([9_999].as_slice(), is_refused), "{had:?}");
            }
        }
    }

    #[test]
    fn each_step_is_recorded_in_one_place() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let [required, expansions] = migrators(dialect);
            assert_eq!(required.iter().len() + expansions.iter().len(), steps(dialect).len());
            assert!(required.iter().all(|step| step.version <= LAST_REQUIRED) && !required.ignore_missing);
            assert!(expansions.iter().all(|step| step.version > LAST_REQUIRED) && expansions.ignore_missing);
        }
    }

    /// Steps that take away what an earlier version needs, each with the newest step that a version has to know to do
    /// without it. The script of such a step keeps the number of that step as `oldest_step` in `facts`.
    const CONTRACTIONS: [(i64, i64); 0] = [];

    #[test]
    fn a_step_only_adds_unless_it_says_which_versions_can_do_without_what_it_takes_away() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            for (version, name, script) in steps(dialect).iter().filter(|(version, ..)| *version > LAST_REQUIRED) {
                let contraction = CONTRACTIONS.iter().find(|(step, _)| step == version);
                match contraction {
                    None => assert_eq!(
                        expansion::others(script),
                        [""; 0],
                        "{dialect:?} {version} {name}: add first, take away a minor version later (docs/upgrading.md)"
                    ),
                    Some((_, since)) => {
                        assert!(since < version, "{dialect:?} {version} {name}");
                        let kept = format!("('oldest_step', '{since}')");
                        assert!(script.contains(&kept), "{dialect:?} {version} {name}: keep {kept} in facts");
                    }
                }
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
