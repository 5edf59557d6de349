//! Measures how long `find` and filtered lists take in a large store, and how fast it is made searchable.
//!
//! `cargo bench --bench find` fills an SQLite file; with `DATABASE_URL` set, the store at this URL, which must be empty.
//! `FIND_BATCHES` and `FIND_DEAD` are the numbers of delivered batches and of dead ones: a million and a hundred thousand
//! without them.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use testmo_courier::app::batches::{self, BatchFilter, BatchState};
use testmo_courier::app::find::{FindRequest, find};
use testmo_courier::batch::TenantId;
use testmo_courier::batch::event::DELIVERED;
use testmo_courier::clock::Clock;
use testmo_courier::config::{Sources, load};
use testmo_courier::store::{SearchStore, Store, StoreHealth};

/// How many tenants the batches belong to.
const TENANTS: u64 = 300;
/// Cases of each batch.
const CASES: u64 = 5;
/// How many rows are stored at once.
const CHUNK: u64 = 2_000;
/// How often each question is asked.
const ROUNDS: usize = 40;
/// How many batches a step makes searchable.
const STEP: u32 = 200;

/// Words of names, the first ones most often.
const WORDS: &str = include_str!("words.txt");

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut sources = Sources::of_process(vec![]);
    let file = format!("sqlite:{}", folder.path().join("bench.db").display());
    sources.environment.entry("DATABASE_URL".into()).or_insert(file);
    let number = |name: &str, default: u64| {
        sources.environment.get(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let (batches, dead) = (number("FIND_BATCHES", 1_000_000), number("FIND_DEAD", 100_000));
    let config = load(&sources).expect("a configuration");
    let store = Store::open(&config.store, true, Clock::system()).await.expect("a store");
    let mut conn = AnyConnection::connect(&config.store.url).await.expect("a connection");
    let began = Instant::now();
    fill(&mut conn, &store, batches, dead).await;
    say(&format!("{batches} delivered and {dead} dead batches stored in {:.0?}", began.elapsed()));
    make_searchable(&store).await;
    if conn.backend_name() == "PostgreSQL" {
        // As the server does itself, some time later: what was filled in is not written while something is measured.
        for sql in ["VACUUM ANALYZE", "CHECKPOINT"] {
            sqlx::raw_sql(sql).execute(&mut conn).await.expect("a vacuum and a checkpoint");
        }
    }
    size(&mut conn).await;
    ask_all(&store, batches).await;
    list_all(&store).await;
    conn.close().await.expect("a closed connection");
    store.close().await;
}

fn say(text: &str) {
    std::io::stdout().write_all(format!("{text}\n").as_bytes()).expect("an output");
}

/// Returns numbers that look random and are the same every time.
fn draw(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn name(batch: u64, case: u64) -> String {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let most = words.len() as u64;
    let word = |at: u64| {
        let seed = draw(batch * 1_000 + case * 10 + at + 1);
        // Of two draws the lower one, so that some words are frequent.
        words[usize::try_from((seed % most).min((seed >> 32) % most)).expect("an index")]
    };
    format!("Verify {}", (0..7).map(word).collect::<Vec<_>>().join(" "))
}

fn tenant(batch: u64) -> String {
    format!("tenant-{:03}", draw(batch) % TENANTS)
}

fn batch_id(batch: u64) -> String {
    format!("{:08x}-{:04x}-4000-8000-{batch:012x}", draw(batch) >> 32, draw(batch + 7) & 0xffff)
}

fn testmo_id(batch: u64, case: u64) -> u64 {
    1_000_000 + batch * CASES + case
}

fn cases(batch: u64, are_created: bool) -> Vec<Value> {
    let case = |case: u64| {
        let key = format!("TC-{batch}-{case}");
        let mut value = json!({"position": case + 1, "label": key, "name": name(batch, case), "external_id": key});
        if are_created {
            let id = testmo_id(batch, case);
            value["outcome"] = json!("created");
            value["testmo_id"] = json!(id);
            value["link"] =
                json!(format!("https://{}.testmo.net/repositories/3?group_id=42&case_id={id}", tenant(batch)));
        }
        value
    };
    (0..CASES).map(case).collect()
}

fn delivered(batch: u64, at: i64) -> Value {
    let (tenant, id, at) = (tenant(batch), batch_id(batch), at + i64::try_from(batch * 2).expect("a time"));
    let records: Vec<Value> = (0..CASES)
        .map(|case| json!({"k": format!("TC-{batch}-{case}"), "s": {"created": testmo_id(batch, case)}}))
        .collect();
    let account = format!("https://{tenant}.testmo.net");
    let targets = json!([{"account": account, "project": 3, "folder": 42}]);
    let source = json!({"key": format!("SHOP-{}", batch / 3), "title": "A story", "generator": "sqai"});
    let body = json!({"specversion": "1.0", "type": DELIVERED, "subject": format!("{tenant}/{id}"), "data": {
        "tenant_id": tenant, "batch_id": id, "revision": 1, "outcome": "delivered", "source": source,
        "cases": cases(batch, true)}});
    let state = if batch.is_multiple_of(200) { "partial" } else { "delivered" };
    json!({"tenant": tenant, "batch": id, "at": at, "subject": format!("{tenant}/{id}"), "event": format!("e{batch}"),
           "state": state, "targets": targets.to_string(), "cases": json!(records).to_string(), "body": body.to_string()})
}

fn dead(batch: u64, at: i64) -> Value {
    let (tenant, id) = (tenant(batch), batch_id(batch));
    let source = json!({"key": format!("DEAD-{}", batch / 3)});
    let body = json!({"schema_version": 1, "tenant_id": tenant, "batch_id": id, "source": source,
                      "cases": cases(batch, false)});
    json!({"tenant": tenant, "batch": id, "at": at, "identity": format!("{tenant}/{id}/1:f"), "body": body.to_string()})
}

/// Fills a store as a worker leaves it.
async fn fill(conn: &mut AnyConnection, store: &Store, batches: u64, dead_batches: u64) {
    let is_server = conn.backend_name() == "PostgreSQL";
    let at = store.now() - 10 * 86_400_000;
    let rows = |columns: &[(&str, &str)]| {
        let in_file = |(name, kind): &(&str, &str)| format!("CAST(value->>'{name}' AS {kind}) AS {name}");
        let on_server = |(name, kind): &(&str, &str)| format!("{name} {kind}");
        if is_server {
            let columns: Vec<String> = columns.iter().map(on_server).collect();
            format!("json_to_recordset(CAST($1 AS JSON)) AS r({})", columns.join(", "))
        } else {
            let columns: Vec<String> = columns.iter().map(in_file).collect();
            format!("(SELECT {} FROM json_each($1)) AS r", columns.join(", "))
        }
    };
    let blob = if is_server { "convert_to(body, 'UTF8')" } else { "CAST(body AS BLOB)" };
    let of_batch = rows(&[
        ("tenant", "TEXT"),
        ("batch", "TEXT"),
        ("at", "BIGINT"),
        ("state", "TEXT"),
        ("targets", "TEXT"),
        ("cases", "TEXT"),
    ]);
    let of_event = rows(&[("event", "TEXT"), ("subject", "TEXT"), ("at", "BIGINT"), ("body", "TEXT")]);
    let of_entry =
        rows(&[("identity", "TEXT"), ("tenant", "TEXT"), ("batch", "TEXT"), ("at", "BIGINT"), ("body", "TEXT")]);
    let into_batches = format!(
        "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, claimed_at, \
         first_seen_at, settled_at) SELECT tenant, batch, '1:f', state, 1, 3, targets, cases, at, at, at FROM {of_batch}"
    );
    let into_outbox = format!(
        "INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at, sent_at) \
         SELECT event, '{DELIVERED}', 'k', subject, body, at, at, at FROM {of_event}"
    );
    let into_shelf = format!(
        "INSERT INTO shelf (identity, generation, state, reason, detail, tenant_id, batch_id, waits_for, due_at, parks, \
         arrived_at, shelved_at, headers, body) SELECT identity, 1, 'dead', 'case_refused', 'tags: too long', tenant, batch, \
         'person', at, 1, at, at, '{{}}', {blob} FROM {of_entry}"
    );
    for from in (0..batches).step_by(usize::try_from(CHUNK).expect("a size")) {
        let rows: Vec<Value> = (from..(from + CHUNK).min(batches)).map(|batch| delivered(batch, at)).collect();
        store_rows(conn, &[&into_batches, &into_outbox], json!(rows).to_string()).await;
    }
    for from in (batches..batches + dead_batches).step_by(usize::try_from(CHUNK).expect("a size")) {
        let rows: Vec<Value> =
            (from..(from + CHUNK).min(batches + dead_batches)).map(|batch| dead(batch, at)).collect();
        store_rows(conn, &[&into_shelf], json!(rows).to_string()).await;
    }
}

async fn store_rows(conn: &mut AnyConnection, statements: &[&String], rows: String) {
    let mut transaction = conn.begin().await.expect("a transaction");
    for sql in statements {
        let query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(rows.clone());
        query.execute(&mut *transaction).await.expect("stored rows");
    }
    transaction.commit().await.expect("a commit");
}

/// Makes everything searchable without the pauses that a worker makes.
async fn make_searchable(store: &Store) {
    let (began, mut read, mut longest) = (Instant::now(), 0, Duration::ZERO);
    loop {
        let step_began = Instant::now();
        let step = store.fill_search("bench", STEP).await.expect("a step");
        longest = longest.max(step_began.elapsed());
        read += step.read;
        if !step.is_more {
            break;
        }
    }
    let each = began.elapsed().as_micros() / u128::from(read.max(1));
    say(&format!(
        "made searchable in {:.0?}: {each} us each, the longest step of {STEP} {longest:.0?}",
        began.elapsed()
    ));
}

async fn size(conn: &mut AnyConnection) {
    let sql = if conn.backend_name() == "PostgreSQL" {
        "SELECT pg_total_relation_size('search')"
    } else {
        "SELECT CAST(SUM(pgsize) AS BIGINT) FROM dbstat WHERE name LIKE 'search%'"
    };
    match sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *conn).await {
        Ok(bytes) => say(&format!("the search takes {} MB", bytes / 1_000_000)),
        Err(error) => say(&format!("the size of the search is not known: {error}")),
    }
}

async fn ask_all(store: &Store, batches: u64) {
    let some = |round: usize| draw(round as u64 + 99) % batches;
    let link = |batch: u64| {
        let (tenant, id) = (tenant(batch), testmo_id(batch, 2));
        format!("https://{tenant}.testmo.net/repositories/3?group_id=42&case_id={id}")
    };
    type Text<'a> = Box<dyn Fn(usize) -> String + 'a>;
    let questions: Vec<(&str, Text<'_>)> = vec![
        ("batch id", Box::new(|round| batch_id(some(round)))),
        ("tenant and batch id", Box::new(|round| format!("{}/{}", tenant(some(round)), batch_id(some(round))))),
        ("external id", Box::new(|round| format!("TC-{}-3", some(round)))),
        ("whole name", Box::new(|round| name(some(round), 1))),
        (
            "three words of a name",
            Box::new(|round| name(some(round), 2).split(' ').skip(1).take(3).collect::<Vec<_>>().join(" ")),
        ),
        ("a word of most names", Box::new(|_| "verify".into())),
        ("a word of some names", Box::new(|_| "boundary".into())),
        ("a part of a word", Box::new(|_| "ouponshi".into())),
        ("frequent words, in no name", Box::new(|_| "verify the user can sign user".into())),
        ("number in Testmo", Box::new(|round| testmo_id(some(round), 4).to_string())),
        ("link into Testmo", Box::new(move |round| link(some(round)))),
        (
            "batch tag",
            Box::new(|round| {
                let key = format!("{}/{}", tenant(some(round)), batch_id(some(round)));
                testmo_courier::batch::batch_tag(&key.parse().expect("a key"))
            }),
        ),
        ("source key", Box::new(|round| format!("SHOP-{}", some(round) / 3))),
        ("two characters", Box::new(|_| "ui".into())),
        ("nothing that is there", Box::new(|_| "zeppelin".into())),
    ];
    for of_tenant in [false, true] {
        say(if of_tenant { "\nof one tenant" } else { "\nof all tenants" });
        for (what, text) in &questions {
            let mut times = Vec::new();
            let mut hits = 0;
            for round in 0..ROUNDS {
                let tenant = of_tenant.then(|| tenant(some(round)).parse().expect("a tenant"));
                let request = FindRequest { text: text(round), tenant, after: None, limit: 50 };
                let began = Instant::now();
                hits += find(store, &request).await.expect("an answer").hits.len();
                times.push(began.elapsed());
            }
            report(what, times, hits);
        }
    }
}

async fn list_all(store: &Store) {
    say("\nlists");
    let tenant: TenantId = tenant(1).parse().expect("a tenant");
    let since = Some(store.now() - 86_400_000 * 9);
    for (what, filter) in [
        ("all", BatchFilter::default()),
        ("partial", BatchFilter { state: Some(BatchState::Partial), ..BatchFilter::default() }),
        ("failed", BatchFilter { state: Some(BatchState::Failed), ..BatchFilter::default() }),
        ("open", BatchFilter { state: Some(BatchState::Open), ..BatchFilter::default() }),
        (
            "delivered, of a tenant",
            BatchFilter { tenant: Some(tenant.clone()), state: Some(BatchState::Delivered), ..BatchFilter::default() },
        ),
        (
            "partial, of a tenant, since",
            BatchFilter { tenant: Some(tenant), state: Some(BatchState::Partial), since, until: None },
        ),
    ] {
        let (mut times, mut listed) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let began = Instant::now();
            listed += batches::list(store, &filter, None, 50).await.expect("a list").len();
            times.push(began.elapsed());
        }
        report(what, times, listed);
    }
}

fn report(what: &str, mut times: Vec<Duration>, hits: usize) {
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    say(&format!("{what:<30} median {:>7.1} ms, longest {:>7.1} ms, {} found", ms(median), ms(most), hits / ROUNDS));
}
