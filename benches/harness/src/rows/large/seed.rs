//! Fills a store as workers and people leave it: delivered batches, dead and parked ones, and what people did.
//!
//! The statements take rows by the thousand: the older batches have their record alone, the latest also their request, their event
//! and their names in the search.

use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use testmo_courier::batch::cause::CauseId;
use testmo_courier::batch::event::DELIVERED;
use testmo_courier::batch::ledger::{BatchRecord, CaseState, Refusal, Target};
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::{Reason, fingerprint};
use testmo_courier::store::{SearchStore, Store};

use super::names::{
    CASES, TENANTS, batch_id, external_id, key, link, message, name, source_key, tenant, tenant_number, testmo_id,
};
use crate::rows::Limits;
use crate::stage::Stage;
use crate::worker::{FOLDER, PROJECT};

/// How much a store holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::rows) struct Size {
    pub(in crate::rows) delivered: u64,
    /// How many of the delivered batches have their request and their event: the latest.
    pub(in crate::rows) with_events: u64,
    /// Dead batches; their numbers follow those of the delivered ones.
    pub(in crate::rows) dead: u64,
    /// Batches that wait for a time, half of them of one tenant.
    pub(in crate::rows) parked: u64,
    /// Entries of the audit.
    pub(in crate::rows) audit: u64,
    pub(in crate::rows) discarded: u64,
    pub(in crate::rows) tokens: u64,
    pub(in crate::rows) replays: u64,
}

impl Size {
    /// Returns how much a store holds usually, and in a quick run: so many delivered batches, and of them so many with events.
    pub(in crate::rows) fn of(limits: Limits, delivered: (usize, usize), with_events: (usize, usize)) -> Self {
        let size = |(usually, quick)| limits.size(usually, quick) as u64;
        Self {
            delivered: size(delivered),
            with_events: size(with_events),
            dead: size((100_000, 2_000)),
            parked: size((20_000, 500)),
            audit: size((300_000, 5_000)),
            discarded: size((50_000, 1_000)),
            tokens: size((2_000, 100)),
            replays: size((2_000, 100)),
        }
    }
}

/// Why the dead batches failed.
pub(in crate::rows) const CAUSES: [(Reason, &str); 12] = [
    (Reason::CaseRefused, "case #1: tags.0: is too long (at most 255 characters)"),
    (Reason::CaseRefused, "case #2: name: is already used in this folder"),
    (Reason::CaseRefused, "case #1: custom_severity: the selected value is invalid"),
    (Reason::CaseRefused, "case #4: custom_component: the field is required"),
    (Reason::CaseRefused, "case #3: estimate: must be a number"),
    (Reason::CaseRefused, "case #1: custom_steps.2: the text is too long"),
    (Reason::CaseRefused, "case #5: template_id: does not exist"),
    (Reason::CaseRefused, "case #2: state_id: does not exist"),
    (Reason::CaseRefused, "case #1: custom_priority: the selected value is invalid"),
    (Reason::RetriesExhausted, "500 Internal Server Error: maintenance"),
    (Reason::RetriesExhausted, "503 Service Unavailable"),
    (Reason::RetriesExhausted, "no answer within 60 s"),
];

/// How many rows are stored at once.
const CHUNK: u64 = 2_000;
/// How many batches a step makes searchable.
const STEP: u32 = 200;
/// An hour in milliseconds.
pub(in crate::rows) const HOUR: i64 = 3_600_000;
/// A day in milliseconds.
pub(in crate::rows) const DAY: i64 = 24 * HOUR;
/// Over how many days the delivered batches arrived; the others arrived within the day that followed.
pub(in crate::rows) const DAYS: i64 = 9;

impl Size {
    /// Returns the number of the first batch that has its request and its event.
    pub(in crate::rows) fn first_with_event(&self) -> u64 {
        self.delivered.saturating_sub(self.with_events)
    }
}

/// What a store takes on the disk after it was filled, in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::rows) struct Disk {
    pub(in crate::rows) whole: u64,
    /// Of each batch that has its record alone, with its part of the indexes.
    pub(in crate::rows) per_record: f64,
}

impl Disk {
    /// Returns it in words.
    pub(in crate::rows) fn told(self) -> String {
        format!("{:.2} GB on the disk", self.whole as f64 / 1e9)
    }
}

/// Returns when a batch arrived, in milliseconds since 1970.
pub(in crate::rows) fn arrival(now: i64, size: &Size, batch: u64) -> i64 {
    let share =
        |part: u64, of: u64, span: i64| i64::try_from(part).unwrap_or(0) * span / i64::try_from(of.max(1)).unwrap_or(1);
    match batch.checked_sub(size.delivered) {
        None => now - (DAYS + 1) * DAY + share(batch, size.delivered, DAYS * DAY),
        Some(later) => now - DAY + share(later, size.dead + size.parked, DAY - HOUR),
    }
}

/// Fills the store of a stage.
pub(in crate::rows) async fn fill(stage: &Stage, store: &Store, size: &Size, now: i64) -> anyhow::Result<Disk> {
    sqlx::any::install_default_drivers();
    let mut conn = AnyConnection::connect(&stage.setup.config.store.url).await?;
    let is_server = conn.backend_name() == "PostgreSQL";
    if !is_server {
        for pragma in ["synchronous = OFF", "cache_size = -400000"] {
            sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).execute(&mut conn).await?;
        }
    }
    let seed = Seed { is_server, origin: stage.origins[0].trim_end_matches(&tenant_number(0)).to_owned(), size, now };
    let (dead, parked) = (size.delivered + size.dead, size.delivered + size.dead + size.parked);
    let (with_events, empty) = (size.first_with_event(), bytes(&mut conn).await?);
    seed.store_all(&mut conn, 0..with_events, &[seed.batches_statement()], |batch| Ok(seed.recorded(batch))).await?;
    let per_record = bytes(&mut conn).await?.saturating_sub(empty) as f64 / with_events.max(1) as f64;
    let all_of_it = seed.delivered_statements();
    seed.store_all(&mut conn, with_events..size.delivered, &all_of_it, |batch| Ok(seed.delivered(batch))).await?;
    seed.store_all(&mut conn, size.delivered..dead, &seed.dead_statements(), |batch| seed.dead(batch)).await?;
    seed.store_all(&mut conn, dead..parked, &[seed.shelf_statement()], |batch| seed.parked(batch)).await?;
    for sql in seed.of_people() {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await?;
    }
    while store.fill_search("bench", STEP).await?.is_more {}
    if is_server {
        // As the server does itself, some time later: what was filled in is not written while something is measured.
        for sql in ["VACUUM ANALYZE", "CHECKPOINT"] {
            sqlx::raw_sql(sql).execute(&mut conn).await?;
        }
    }
    let whole = bytes(&mut conn).await?;
    conn.close().await?;
    Ok(Disk { whole, per_record })
}

/// Returns how many bytes a store takes on the disk.
async fn bytes(conn: &mut AnyConnection) -> anyhow::Result<u64> {
    let sql = match conn.backend_name() {
        "PostgreSQL" => "SELECT pg_database_size(current_database())",
        _ => "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    };
    Ok(u64::try_from(sqlx::query_scalar::<_, i64>(sql).fetch_one(conn).await?)?)
}

struct Seed<'a> {
    is_server: bool,
    /// What stands before the name of a tenant in the origin of its account.
    origin: String,
    size: &'a Size,
    now: i64,
}

impl Seed<'_> {
    async fn store_all(
        &self,
        conn: &mut AnyConnection,
        numbers: std::ops::Range<u64>,
        statements: &[String],
        row: impl Fn(u64) -> anyhow::Result<Value>,
    ) -> anyhow::Result<()> {
        for from in numbers.clone().step_by(usize::try_from(CHUNK)?) {
            let rows: Vec<Value> = (from..(from + CHUNK).min(numbers.end)).map(&row).collect::<anyhow::Result<_>>()?;
            let rows = Value::from(rows).to_string();
            let mut transaction = conn.begin().await?;
            for sql in statements {
                sqlx::query(AssertSqlSafe(sql.as_str())).bind(rows.clone()).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Returns the rows of the JSON text `$1`, with these columns.
    fn rows(&self, columns: &[(&str, &str)]) -> String {
        let in_file = |(name, kind): &(&str, &str)| format!("CAST(value->>'{name}' AS {kind}) AS {name}");
        let on_server = |(name, kind): &(&str, &str)| format!("{name} {kind}");
        if self.is_server {
            let columns: Vec<String> = columns.iter().map(on_server).collect();
            return format!("json_to_recordset(CAST($1 AS JSON)) AS r({})", columns.join(", "));
        }
        let columns: Vec<String> = columns.iter().map(in_file).collect();
        format!("(SELECT {} FROM json_each($1)) AS r", columns.join(", "))
    }

    fn batches_statement(&self) -> String {
        let columns = [
            ("tenant", "TEXT"),
            ("batch", "TEXT"),
            ("at", "BIGINT"),
            ("state", "TEXT"),
            ("fingerprint", "TEXT"),
            ("targets", "TEXT"),
            ("cases", "TEXT"),
        ];
        format!(
            "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, claimed_at, \
             first_seen_at, settled_at) SELECT tenant, batch, fingerprint, state, 1, 3, targets, cases, at, at, at FROM {} \
             WHERE state IS NOT NULL",
            self.rows(&columns)
        )
    }

    fn delivered_statements(&self) -> [String; 4] {
        let rows = self.rows(&[
            ("tenant", "TEXT"),
            ("batch", "TEXT"),
            ("account", "TEXT"),
            ("at", "BIGINT"),
            ("first", "BIGINT"),
            ("event", "TEXT"),
            ("body", "TEXT"),
        ]);
        let outbox = format!(
            "INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at, sent_at) \
             SELECT event, '{DELIVERED}', 'k', tenant || '/' || batch, body, at, at, at FROM {rows}"
        );
        let pushes = format!(
            "INSERT INTO pushes (push_id, account, project_id, folder_id, tenant_id, connection, batches, cases, holder, \
             claimed_at, ended_at, answer, first_id, last_id) SELECT 'p' || event, account, {PROJECT}, {FOLDER}, tenant, 'v', \
             '[]', {CASES}, 'w', at, at + 200, '2xx', first, first + {CASES} - 1 FROM {rows}"
        );
        let parts = format!(
            "INSERT INTO push_parts (tenant_id, batch_id, push_id) SELECT tenant, batch, 'p' || event FROM {rows}"
        );
        [self.batches_statement(), outbox, pushes, parts]
    }

    fn shelf_statement(&self) -> String {
        let blob = if self.is_server { "convert_to(body, 'UTF8')" } else { "CAST(body AS BLOB)" };
        let columns = [
            ("tenant", "TEXT"),
            ("batch", "TEXT"),
            ("account", "TEXT"),
            ("at", "BIGINT"),
            ("fingerprint", "TEXT"),
            ("body", "TEXT"),
            ("shelf_state", "TEXT"),
            ("reason", "TEXT"),
            ("detail", "TEXT"),
            ("cause", "BIGINT"),
            ("waits_for", "TEXT"),
            ("due", "BIGINT"),
        ];
        format!(
            "INSERT INTO shelf (identity, generation, state, reason, detail, tenant_id, batch_id, account, waits_for, due_at, \
             parks, arrived_at, shelved_at, headers, body, cause, cases) SELECT tenant || '/' || batch || '/' || fingerprint, 1, \
             shelf_state, reason, detail, tenant, batch, account, waits_for, due, 1, at, at + 1000, \
             '{{\"message_id\":\"m-' || batch || '\"}}', {blob}, cause, {CASES} FROM {}",
            self.rows(&columns)
        )
    }

    fn dead_statements(&self) -> [String; 2] {
        [self.batches_statement(), self.shelf_statement()]
    }

    fn account(&self, tenant: &str) -> String {
        format!("{}{tenant}", self.origin)
    }

    fn targets(&self, tenant: &str) -> String {
        json!([Target { account: self.account(tenant), project: PROJECT, folder: FOLDER }]).to_string()
    }

    /// Returns a delivered batch with its record alone.
    fn recorded(&self, batch: u64) -> Value {
        let tenant = tenant(batch);
        let records: Vec<Value> = (0..CASES)
            .map(|case| json!({"k": external_id(batch, case), "s": {"created": testmo_id(batch, case)}}))
            .collect();
        let state = if batch.is_multiple_of(200) { "partial" } else { "delivered" };
        json!({"tenant": tenant, "batch": batch_id(batch), "at": arrival(self.now, self.size, batch), "state": state,
               "fingerprint": "1:f", "targets": self.targets(&tenant), "cases": Value::from(records).to_string()})
    }

    fn delivered(&self, batch: u64) -> Value {
        let (tenant, id) = (tenant(batch), batch_id(batch));
        let account = self.account(&tenant);
        let case = |case: u64| {
            let key = external_id(batch, case);
            json!({"position": case + 1, "label": key, "name": name(batch, case), "external_id": key, "outcome": "created",
                   "testmo_id": testmo_id(batch, case), "link": link(&account, batch, case)})
        };
        let source = json!({"key": source_key(batch), "title": "A story", "generator": "sqai"});
        let body = json!({"specversion": "1.0", "type": DELIVERED, "subject": format!("{tenant}/{id}"), "data": {
            "tenant_id": tenant, "batch_id": id, "revision": 1, "outcome": "delivered", "source": source,
            "cases": (0..CASES).map(case).collect::<Vec<_>>()}});
        let mut row = self.recorded(batch);
        row["account"] = account.into();
        row["first"] = testmo_id(batch, 0).into();
        row["event"] = format!("e{batch}").into();
        row["body"] = body.to_string().into();
        row
    }

    fn dead(&self, batch: u64) -> anyhow::Result<Value> {
        let (reason, detail) = CAUSES[usize::try_from(batch % 12)?];
        let tenant = tenant(batch);
        let mut row = self.shelved(&tenant, batch, (reason, detail))?;
        row["shelf_state"] = "dead".into();
        row["waits_for"] = "person".into();
        if reason == Reason::CaseRefused {
            let keys = (0..CASES).map(|case| external_id(batch, case));
            let mut record = BatchRecord::fresh(key(batch)?, String::new(), keys);
            for case in &mut record.cases {
                case.state = CaseState::Refused(Box::new(Refusal { reason, said: Vec::new() }));
            }
            row["state"] = "failed".into();
            row["cases"] = serde_json::to_string(&record.cases)?.into();
            row["targets"] = self.targets(&tenant).into();
        }
        Ok(row)
    }

    /// Returns a batch that waits for a time; every second one is of the first tenant.
    fn parked(&self, batch: u64) -> anyhow::Result<Value> {
        let tenant = if batch.is_multiple_of(2) { tenant_number(0) } else { tenant(batch) };
        let mut row = self.shelved(&tenant, batch, (Reason::ServerError, "503 Service Unavailable"))?;
        row["shelf_state"] = "parked".into();
        row["waits_for"] = "time".into();
        row["due"] = (self.now + 2 * DAY).into();
        Ok(row)
    }

    fn shelved(&self, tenant: &str, batch: u64, (reason, detail): (Reason, &str)) -> anyhow::Result<Value> {
        let body = message(tenant, batch).to_string();
        let decoded = decode(body.as_bytes()).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let at = arrival(self.now, self.size, batch);
        Ok(
            json!({"tenant": tenant, "batch": batch_id(batch), "at": at, "fingerprint": fingerprint(&decoded), "body": body,
                  "reason": reason.code(), "detail": detail, "cause": CauseId::of(reason.code(), Some(detail)).number(),
                  "account": self.account(tenant), "due": at}),
        )
    }

    /// Returns the statements that store what people did.
    fn of_people(&self) -> [String; 4] {
        let (now, Size { audit, discarded, tokens, replays, .. }) = (self.now, self.size);
        let numbers =
            |most: &u64| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most})");
        let tenant = if self.is_server {
            format!("'tenant-' || lpad(CAST(i % {TENANTS} AS TEXT), 3, '0')")
        } else {
            format!("printf('tenant-%03d', i % {TENANTS})")
        };
        let blob = if self.is_server { "convert_to('{}', 'UTF8')" } else { "CAST('{}' AS BLOB)" };
        [
            format!(
                "{} INSERT INTO audit (at, actor, role, face, action, tenant_id, batch_id, subject, reason) SELECT \
                 {now} - 300 * CAST({DAY} AS BIGINT) + CAST(i AS BIGINT) * 60000, 'person-' || (i % 20), 'operator', 'command_line', \
                 CASE i % 3 WHEN 0 THEN 'shelf.replay' WHEN 1 THEN 'shelf.discard' ELSE 'shelf.edit' END, {tenant}, \
                 'b-' || i, 'entry ' || i, 'because' FROM n",
                numbers(audit)
            ),
            format!(
                "{} INSERT INTO discarded (id, identity, generation, state, reason, detail, tenant_id, batch_id, waits_for, \
                 due_at, parks, arrived_at, shelved_at, headers, body, person_epoch, discarded_at, discarded_by) SELECT \
                 100000000 + i, {tenant} || '/d-' || i || '/1:f', 1, 'dead', 'case_refused', 'tags: too long', {tenant}, \
                 'd-' || i, 'person', {now}, 1, {now}, {now}, '{{}}', {blob}, 1, {now} - i, 'anna' FROM n",
                numbers(discarded)
            ),
            format!(
                "{} INSERT INTO tokens (name, hash, role, created_at, created_by) SELECT 'token-' || i, 'hash-' || i, \
                 'viewer', {now}, 'anna' FROM n",
                numbers(tokens)
            ),
            format!(
                "{} INSERT INTO replays (epoch, state, selection, owner, unchanged_too, created_at, ended_at) SELECT 3, 'done', \
                 '--all', 'anna', 0, {now} - i, {now} - i FROM n",
                numbers(replays)
            ),
        ]
    }
}
