//! Checks that each error of a database with a remedy of its own has its own sentence.

use super::*;

#[test]
fn each_result_code_of_sqlite_with_a_remedy_of_its_own_has_its_own_sentence() {
    let remedies = [
        ("5", "fuser"),
        ("261", "fuser"),
        ("517", "fuser"),
        ("6", "fuser"),
        ("8", "let the worker's user write"),
        ("1032", "let the worker's user write"),
        ("10", "the system's log"),
        ("778", "the system's log"),
        ("11", "restore"),
        ("26", "restore"),
        ("13", "free space"),
        ("14", "who owns it"),
    ];
    for (code, remedy) in remedies {
        let error = of_file(code, "said".into()).unwrap().to_string();
        assert!(error.contains(remedy) && error.contains("(said)"), "{code}: {error}");
    }
    assert!(of_file("1", String::new()).is_none() && of_file("x", String::new()).is_none());
}

#[test]
fn each_state_of_postgresql_and_of_a_pooler_with_a_remedy_of_its_own_has_its_own_sentence() {
    let remedies = [
        ("28P01", "", "user and password"),
        ("3D000", "", "createdb"),
        ("53300", "", "max_connections"),
        ("53100", "", "free space"),
        ("53200", "", "give it more"),
        ("25006", "", "primary server"),
        ("42501", "", "owner of the database"),
        ("58030", "", "check the disk"),
        ("XX001", "", "damaged"),
        ("57014", "canceling statement due to statement timeout", "pg_stat_activity"),
        ("55P03", "canceling statement due to lock timeout", "pg_stat_activity"),
        ("57P03", "the database system is starting up", "check that the database runs"),
        ("08006", "", "check that the database runs"),
        ("26000", "prepared statement \"sqlx_s_1\" does not exist", "pool_mode = session"),
        ("42P05", "prepared statement \"sqlx_s_1\" already exists", "pool_mode = session"),
        ("08P01", "unsupported startup parameter: extra_float_digits", "ignore_startup_parameters"),
        ("08P01", "no such database: courier", "createdb"),
        ("08P01", "no more connections allowed (max_client_conn)", "max_connections"),
        ("08P01", "query_wait_timeout", "max_connections"),
        ("08P01", "password authentication failed", "user and password"),
        ("08P01", "server conn crashed?", "check that the database runs"),
    ];
    for (code, said, remedy) in remedies {
        let error = of_server(code, said.into()).unwrap().to_string();
        assert!(error.contains(remedy) && error.contains(&format!("({said})")), "{code} {said}: {error}");
    }
    assert!(of_server("42P01", String::new()).is_none());
}
