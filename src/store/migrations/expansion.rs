//! Decides whether a migration only adds, so that an earlier version goes on working on the store.
//!
//! Only what is known to be an addition passes; whatever else a script does is named.

/// Words behind a new column that make more of it than a place for values, or with which another change begins.
const DEMANDS: [&str; 10] =
    ["ADD", "ALTER", "CHECK", "CONSTRAINT", "DROP", "GENERATED", "PRIMARY", "REFERENCES", "RENAME", "UNIQUE"];

/// What a script has added before a statement.
#[derive(Default)]
struct Added {
    tables: Vec<String>,
    columns: Vec<String>,
}

/// Returns the statements of a script that are no additions, in capitals.
pub(super) fn others(script: &str) -> Vec<String> {
    let mut added = Added::default();
    statements(script).into_iter().filter(|statement| !is_addition(statement, &mut added)).collect()
}

/// Returns the statements in capitals, without comments and with single blanks. The body of a function belongs to its statement.
fn statements(script: &str) -> Vec<String> {
    let code: Vec<&str> = script.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let mut statements = vec![String::new()];
    for (number, part) in code.join("\n").split("$$").enumerate() {
        let is_body = number % 2 == 1;
        let mut ends = if is_body { vec![part] } else { part.split(';').collect() }.into_iter();
        if let (Some(statement), Some(end)) = (statements.last_mut(), ends.next()) {
            statement.push_str(end);
        }
        statements.extend(ends.map(str::to_owned));
    }
    let words = |statement: &String| statement.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
    statements.iter().map(words).filter(|statement| !statement.is_empty()).collect()
}

fn is_addition(statement: &str, added: &mut Added) -> bool {
    let words: Vec<&str> = statement.split(' ').collect();
    let name = |at: usize| words.get(at).and_then(|word| word.split('(').next()).unwrap_or_default().to_owned();
    match words.as_slice() {
        ["CREATE", "TABLE", ..] => {
            added.tables.push(name(2));
            true
        }
        ["CREATE", "INDEX", ..] | ["CREATE", "FUNCTION", ..] | ["SELECT", "1"] => true,
        ["CREATE", "UNIQUE", "INDEX", _, "ON", ..] => added.tables.contains(&name(5)),
        ["ALTER", "TABLE", _, "ADD", "COLUMN", _, rest @ ..] => {
            added.columns.push(name(5));
            let has = |word: &str| rest.iter().any(|of| of.split('(').next() == Some(word));
            (!has("NULL") || has("DEFAULT")) && !DEMANDS.into_iter().any(has)
        }
        ["INSERT", "INTO", ..] => added.tables.contains(&name(2)),
        ["UPDATE", _, "SET", ..] => {
            added.tables.contains(&name(1)) || assigned(statement).iter().all(|column| added.columns.contains(column))
        }
        _ => false,
    }
}

/// Returns the columns that an `UPDATE` sets.
fn assigned(statement: &str) -> Vec<String> {
    let values = statement.split_once(" SET ").map_or("", |(_, values)| values);
    let (mut depth, mut parts) = (0_i32, vec![String::new()]);
    for letter in values.chars() {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        match parts.last_mut() {
            Some(part) if letter != ',' || depth > 0 => part.push(letter),
            Some(_) | None => parts.push(String::new()),
        }
    }
    parts.iter().filter_map(|part| part.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn additions_pass() {
    for script in [
        "-- A table; it is new.\nCREATE TABLE a (\n b TEXT NOT NULL\n);\nCREATE UNIQUE INDEX a_by_b ON a (b);",
        "CREATE INDEX x ON old (y) WHERE z IS NULL; -- DROP TABLE old",
        "ALTER TABLE old ADD COLUMN recheck_by_default TEXT;",
        "ALTER TABLE old ADD COLUMN b BIGINT NOT NULL DEFAULT 0; UPDATE old SET b = COALESCE(c, d) WHERE e IN (1, 2);",
        "CREATE FUNCTION f(a TEXT) RETURNS TEXT AS $$ BEGIN DELETE FROM a; RETURN a; END $$; CREATE INDEX b ON old (f(c));",
        "CREATE TABLE a(b TEXT); INSERT INTO a (b) SELECT c FROM old;",
    ] {
        assert_eq!(others(script), [""; 0], "{script}");
    }
}

#[test]
fn whatever_an_earlier_version_could_miss_is_named() {
    for statement in [
        "DROP TABLE OLD",
        "DROP INDEX OLD_BY_A",
        "DELETE FROM OLD",
        "ALTER TABLE OLD DROP COLUMN A",
        "ALTER TABLE OLD RENAME TO A",
        "ALTER TABLE OLD RENAME COLUMN A TO B",
        "ALTER TABLE OLD ALTER COLUMN A TYPE BIGINT",
        "ALTER TABLE OLD ALTER COLUMN A SET NOT NULL",
        "ALTER TABLE OLD ADD CONSTRAINT A CHECK (B > 0)",
        "ALTER TABLE OLD ADD COLUMN A TEXT NOT NULL",
        "ALTER TABLE OLD ADD COLUMN A TEXT UNIQUE",
        "ALTER TABLE OLD ADD COLUMN A TEXT, DROP COLUMN B",
        "ALTER TABLE OLD ADD COLUMN A TEXT, ADD COLUMN B TEXT NOT NULL DEFAULT ''",
        "CREATE UNIQUE INDEX A ON OLD (B)",
        "CREATE TRIGGER A AFTER INSERT ON OLD BEGIN SELECT 1",
        "UPDATE OLD SET B = 1, A = 2",
        "INSERT INTO OLD (A) VALUES (1)",
    ] {
        let script = format!("ALTER TABLE old ADD COLUMN b TEXT;\n{};", statement.to_lowercase());
        assert_eq!(others(&script), [statement]);
    }
}
