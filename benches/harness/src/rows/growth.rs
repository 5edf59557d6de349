//! Row 9: what does an idle worker cost with a large store, and how fast does it prune?

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use super::Bench;
use crate::output::{count, megabytes, progress};
use crate::report::{Check, RowResult};
use crate::stage::{Stage, Wishes};
use crate::target::order::Manner;

/// The tenant with a connection; most rows belong to tenants without one.
const TENANT: &str = "t00";
/// The database, one at a time.
const DATABASE: &str = "bench";
/// How long a worker has been ready when it is measured: what is due at the start is over.
const SETTLES: Duration = Duration::from_secs(10);
/// How long a worker may take until it is ready.
const STARTS: Duration = Duration::from_secs(60);
/// How often it is asked whether it is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How many batches a second have to be pruned: 1.5 times as many as a worker delivers.
const PRUNED_PER_SECOND: f64 = 7_000.0;

/// What an idle worker used.
#[derive(Clone, Debug, Serialize)]
struct Idle {
    ready_seconds: f64,
    cpu_percent: f64,
    peak_memory: u64,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let rows = bench.limits.size(1_000_000, 10_000);
    let batches = bench.limits.size(5_000_000, 50_000);
    let mut measured = Vec::new();
    for store in ["SQLite", "PostgreSQL"] {
        for filled in [false, true] {
            let size = filled.then_some((rows, batches));
            let idle = measure(bench, store == "PostgreSQL", size).await?;
            progress(&format!("{store}, {}: {idle:?}", if filled { "filled" } else { "empty" }));
            measured.push((store, filled, idle));
        }
    }
    let mut pruned = Vec::new();
    for store in ["SQLite", "PostgreSQL"] {
        let rate = prune(bench, store == "PostgreSQL", bench.limits.size(200_000, 2_000)).await?;
        progress(&format!("{store}: {} batches/s pruned", count(rate)));
        pruned.push((store, rate));
    }
    let scenario = format!(
        "an idle worker with {} rows on the shelf and {} finished batches, of which only the identity is left",
        count(rows as f64),
        count(batches as f64)
    );
    let mut row = RowResult::new(9, &scenario, 1);
    row.header =
        ["store", "content", "ready after, s", "% of a core", "MB resident, at most"].map(str::to_owned).into();
    row.lines = measured.iter().map(|(store, filled, idle)| line(store, *filled, idle)).collect();
    for pair in measured.chunks(2) {
        if let [(store, _, empty), (_, _, filled)] = pair {
            row.checks.extend(checks(store, empty, filled));
        }
    }
    for (store, rate) in &pruned {
        row.checks.push(Check::judged(
            &format!("{store}: batches pruned, at least {} a second", count(PRUNED_PER_SECOND)),
            Some((count(*rate), *rate >= PRUNED_PER_SECOND)),
        ));
    }
    row.notes.push(
        "A tenth of the shelf is dead, a tenth waits for a time, and the rest for connections of 99 tenants that have none; \
         bodies have 200 bytes. The store is filled by SQL. The memory is the most that the process had since its start."
            .to_owned(),
    );
    row.samples = measured
        .iter()
        .map(|(store, filled, idle)| (format!("{store} {}", if *filled { "filled" } else { "empty" }), json!(idle)))
        .collect();
    Ok(row)
}

fn line(store: &str, filled: bool, idle: &Idle) -> Vec<String> {
    vec![
        store.to_owned(),
        if filled { "filled" } else { "empty" }.to_owned(),
        format!("{:.2}", idle.ready_seconds),
        format!("{:.2}", idle.cpu_percent),
        megabytes(idle.peak_memory as f64),
    ]
}

fn checks(store: &str, empty: &Idle, filled: &Idle) -> [Check; 3] {
    let more = filled.peak_memory as f64 - empty.peak_memory as f64;
    [
        Check::judged(
            &format!("{store}: share of a core, below 2 %"),
            Some((format!("{:.2} %", filled.cpu_percent), filled.cpu_percent < 2.0)),
        ),
        Check::judged(
            &format!("{store}: ready within 2 s"),
            Some((format!("{:.2} s", filled.ready_seconds), filled.ready_seconds <= 2.0)),
        ),
        Check::judged(
            &format!("{store}: memory more than with an empty store, at most 10 MB"),
            Some((format!("{} MB", megabytes(more.max(0.0))), more <= 10.0 * 1_048_576.0)),
        ),
    ]
}

async fn measure(bench: &mut Bench<'_>, on_postgres: bool, size: Option<(usize, usize)>) -> anyhow::Result<Idle> {
    let mut stage = stage(bench, on_postgres, vec![TENANT.to_owned()]).await?;
    if let Some((rows, batches)) = size {
        let began = Instant::now();
        fill(&stage.setup.config.store.url, rows, batches).await?;
        progress(&format!("filled in {:.0} s", began.elapsed().as_secs_f64()));
    }
    let began = Instant::now();
    start(bench, &mut stage).await?;
    let ready_seconds = began.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLES).await;
    let running = stage.running.first().context("a worker that runs")?;
    let (before, since) = (running.usage(), Instant::now());
    tokio::time::sleep(Duration::from_secs(if bench.limits.quick { 5 } else { 120 })).await;
    let (after, seconds) = (running.usage(), since.elapsed().as_secs_f64());
    stage.check()?;
    strike(bench, stage, on_postgres).await?;
    let cpu_percent = (after.cpu - before.cpu) * 100.0 / seconds;
    Ok(Idle { ready_seconds, cpu_percent, peak_memory: after.peak_memory })
}

/// Returns how many batches a second a worker prunes that has nothing else to do.
async fn prune(bench: &mut Bench<'_>, on_postgres: bool, batches: usize) -> anyhow::Result<f64> {
    let mut stage = stage(bench, on_postgres, vec![TENANT.to_owned()]).await?;
    let url = stage.setup.config.store.url.clone();
    fill_with_old(&url, batches).await?;
    start(bench, &mut stage).await?;
    let mut conn = AnyConnection::connect(&url).await?;
    let mut left = async || -> anyhow::Result<i64> {
        let sql = "SELECT COUNT(*) FROM batches WHERE settled_at IS NOT NULL AND pruned_at IS NULL";
        Ok(sqlx::query_scalar(sql).fetch_one(&mut conn).await?)
    };
    let (began, first) = (Instant::now(), left().await?);
    let mut last = first;
    while last > 0 && began.elapsed() < STARTS {
        stage.check()?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = left().await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    conn.close().await?;
    strike(bench, stage, on_postgres).await?;
    Ok((first - last) as f64 / seconds)
}

/// Sets a stage with tenants and an empty store.
pub(super) async fn stage(bench: &mut Bench<'_>, on_postgres: bool, tenants: Vec<String>) -> anyhow::Result<Stage> {
    bench.neighbours.behave(Manner::default()).await?;
    let store_url = if on_postgres {
        // A measurement that failed may have left it.
        drop(bench.neighbours.drop_database(DATABASE).await);
        Some(bench.neighbours.add_database(DATABASE).await?)
    } else {
        None
    };
    let wishes = Wishes {
        store_url,
        prefetch: bench.limits.prefetch,
        in_flight: bench.limits.in_flight,
        max_cases: None,
        tenants,
    };
    Stage::set(bench.neighbours, &wishes).await
}

/// Starts the worker, and waits until it is ready.
pub(super) async fn start(bench: &Bench<'_>, stage: &mut Stage) -> anyhow::Result<()> {
    start_with(bench, stage, vec![]).await
}

/// Starts the worker with these variables as well, and waits until it is ready.
pub(super) async fn start_with(
    bench: &Bench<'_>,
    stage: &mut Stage,
    mut variables: Vec<(&'static str, String)>,
) -> anyhow::Result<()> {
    let listen = free_address()?;
    variables.push(("COURIER_OBSERVE__LISTEN", listen.to_string()));
    let arguments = stage.setup.arguments();
    stage.start(&bench.worker()?, &arguments, &variables)?;
    until_ready(stage, &format!("http://{listen}/readyz")).await
}

/// Returns an address that nothing listens on.
pub(super) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Removes a stage with its database.
pub(super) async fn strike(bench: &mut Bench<'_>, stage: Stage, on_postgres: bool) -> anyhow::Result<()> {
    stage.strike(bench.neighbours).await?;
    if on_postgres {
        bench.neighbours.drop_database(DATABASE).await?;
    }
    Ok(())
}

async fn until_ready(stage: &mut Stage, url: &str) -> anyhow::Result<()> {
    let (client, deadline) = (reqwest::Client::builder().no_proxy().build()?, Instant::now() + STARTS);
    loop {
        let answer = client.get(url).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "it does not become ready:\n{}", stage.tail()?);
        stage.check()?;
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Fills a store as a worker leaves it.
async fn fill(url: &str, rows: usize, batches: usize) -> anyhow::Result<()> {
    sqlx::any::install_default_drivers();
    let mut conn = AnyConnection::connect(url).await?;
    let day_ago = jiff::Timestamp::now().as_millisecond() - 86_400_000;
    let (body, zeros) = match conn.backend_name() {
        "PostgreSQL" => ("convert_to(repeat('x', 200), 'UTF8')", "lpad(CAST(i % 100 AS TEXT), 2, '0')"),
        _ => ("zeroblob(200)", "printf('%02d', i % 100)"),
    };
    let numbers =
        |most: usize| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most})");
    let shelf = format!(
        "{} INSERT INTO shelf (identity, generation, state, reason, tenant_id, batch_id, waits_for, due_at, parks, \
         arrived_at, shelved_at, headers, body) SELECT 't' || {zeros} || '/s' || i || '/1:f', 1, \
         CASE WHEN i % 10 = 0 THEN 'dead' ELSE 'parked' END, CASE WHEN i % 10 = 0 THEN 'case_refused' \
         WHEN i % 10 = 1 OR i % 100 = 0 THEN 'server_error' ELSE 'unknown_tenant' END, 't' || {zeros}, 's' || i, \
         CASE WHEN i % 10 = 0 THEN 'person' WHEN i % 10 = 1 THEN 'time' ELSE 'connection' END, \
         {day_ago} + 864000000, 1, {day_ago} + i, {day_ago} + i, '{{}}', {body} FROM n",
        numbers(rows)
    );
    let pruned = format!(
        "{} INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, claimed_at, \
         first_seen_at, settled_at, pruned_at) SELECT 't' || {zeros}, 'b' || i, '1:0123456789abcdef0123456789abcdef', \
         'delivered', 1, 3, '[]', '[]', {day_ago} - i, {day_ago} - i, {day_ago} - i, {day_ago} FROM n",
        numbers(batches)
    );
    for sql in ["BEGIN".to_owned(), shelf, pruned, "COMMIT".to_owned()] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await?;
    }
    if conn.backend_name() == "PostgreSQL" {
        // As the server does itself, some time later.
        for table in ["shelf", "batches"] {
            sqlx::query(AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).execute(&mut conn).await?;
        }
    }
    conn.close().await?;
    Ok(())
}

/// Fills a store with batches that are old enough to be pruned, each with a request and an event.
async fn fill_with_old(url: &str, batches: usize) -> anyhow::Result<()> {
    sqlx::any::install_default_drivers();
    let mut conn = AnyConnection::connect(url).await?;
    let old = jiff::Timestamp::now().as_millisecond() - 40 * 86_400_000;
    let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {batches})");
    let cases: Vec<_> =
        (1..=5).map(|case| json!({"k": format!("TC-{case}"), "s": {"created": 1_000 + case}})).collect();
    let (cases, targets) = (json!(cases), json!([{"account": "https://a", "project": 1, "folder": 2}]));
    let statements = [
        "BEGIN".to_owned(),
        format!(
            "{numbers} INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, \
             claimed_at, first_seen_at, settled_at) SELECT '{TENANT}', 'b' || i, '1:0123456789abcdef', 'delivered', 1, 3, \
             '{targets}', '{cases}', {old} + i, {old} + i, {old} + i FROM n"
        ),
        format!(
            "{numbers} INSERT INTO pushes (push_id, account, project_id, folder_id, tenant_id, connection, batches, cases, \
             holder, claimed_at, ended_at, answer, first_id, last_id) SELECT 'p' || i, 'https://a', 1, 2, '{TENANT}', 'v', \
             '[]', 5, 'w', {old} + i, {old} + i, '2xx', i * 5, i * 5 + 4 FROM n"
        ),
        format!(
            "{numbers} INSERT INTO push_parts (tenant_id, batch_id, push_id) SELECT '{TENANT}', 'b' || i, 'p' || i FROM n"
        ),
        format!(
            "{numbers} INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at, sent_at) \
             SELECT 'e' || i, 'k', 'k', '{TENANT}/b' || i, '{cases}', {old} + i, {old} + i, {old} + i FROM n"
        ),
        "COMMIT".to_owned(),
    ];
    for sql in statements {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await?;
    }
    conn.close().await?;
    Ok(())
}
