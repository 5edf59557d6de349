//! Finds the rows that may match a text, newest first and a bounded number at a time.

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{Store, StoreError};
use super::form::{Wanted, match_expression, wanted_in_file, wanted_on_server, word_query};
use super::progress::Progress;
use super::{Candidate, SearchName, form};
use crate::batch::TenantId;
use crate::batch::search::{Needle, Reach, SearchDocument};

/// What is searched.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// The text.
    pub needle: Needle,
    /// Whose batches; those of all tenants without one.
    pub tenant: Option<TenantId>,
    /// Which parts of values this database finds.
    pub reach: Reach,
}

/// Rows that may match.
#[derive(Clone, Debug, Default)]
pub struct CandidatePage {
    /// The rows, newest first.
    pub rows: Vec<Candidate>,
    /// Before which number the search goes on; `None` if nothing is left.
    pub before: Option<i64>,
}

/// From how many of the newest rows of a file it is learnt which trigrams are rare.
const SAMPLES: i64 = 60;
/// How many characters of each of them.
const SAMPLED: usize = 2_000;
/// How many numbers of a file's rows one statement covers, so that none reads for long.
const SPAN: i64 = 200_000;
/// How many of the newest rows of a server are read without its index: a frequent text is among them.
const WINDOW: i64 = 2_000;
/// The most rows that the index of a server is asked for: a text that more rows have is found by reading them in order.
const MOST_BY_INDEX: i64 = 5_000;
/// How many rows of a server one search reads in order, at most.
const MOST_IN_ORDER: i64 = 64_000;

pub(in crate::store) const SAMPLE: &str =
    "SELECT tenant_id, batch_id, shelf_id, lines, letters FROM search WHERE seq < $1 ORDER BY seq DESC LIMIT $2";

/// Finds rows of a file by their trigrams. The rows are asked for one by one, in the order of the index.
///
/// Frequent words have their trigrams in most rows, each somewhere: of rows in ASCII only those are returned that have the
/// text `$5` itself, as far as there is one. SQLite knows the case of no other letters.
pub(in crate::store) const MATCHING: &str = "SELECT w.* FROM search_index i CROSS JOIN search w ON w.seq = i.rowid \
    WHERE i.search_index MATCH $1 AND i.rowid < $2 AND i.rowid >= $3 \
    AND (instr(lower(w.lines), $5) > 0 OR w.lines GLOB '*[^' || char(10) || ' -~]*') ORDER BY i.rowid DESC LIMIT $4";

impl Store {
    /// Returns which parts of values this database finds.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn search_reach(&self) -> Result<Reach, StoreError> {
        let mut conn = self.reading().await?;
        if !Dialect::of(&conn).is_shared() {
            return Ok(Reach::AnyPart);
        }
        let sql = "SELECT COUNT(to_regclass('search_by_trigram')) AS n";
        let rows = sql::fetch(&mut conn, sql, vec![]).await?;
        let is_there = rows.first().map_or(Ok(0), |row| row.int("n"))? > 0;
        Ok(if is_there { Reach::AnyPart } else { Reach::WordBeginnings })
    }

    /// Returns up to `most` rows with numbers before `before` that may match, and where the search goes on.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn search(&self, query: &SearchQuery, before: i64, most: u32) -> Result<CandidatePage, StoreError> {
        let mut conn = self.reading().await?;
        match Dialect::of(&conn) {
            Dialect::Sqlite => in_file(&mut conn, query, before, most).await,
            Dialect::Postgres => on_server(&mut conn, query, before, most).await,
        }
    }
}

async fn in_file(
    conn: &mut AnyConnection,
    query: &SearchQuery,
    before: i64,
    most: u32,
) -> Result<CandidatePage, StoreError> {
    let progress = Progress::read(conn).await?;
    let samples = sql::fetch(conn, SAMPLE, vec![Bound::Int(progress.next_seq), Bound::Int(SAMPLES)]).await?;
    let samples: Vec<String> = samples.iter().map(sample).collect::<Result<_, _>>()?;
    let wanted = wanted_in_file(&query.needle, query.tenant.as_ref().map(TenantId::as_str));
    let condition = match_expression(&wanted, &samples);
    let text = query.needle.common_text();
    let mut before = before.min(progress.next_seq);
    while before > progress.first_seq {
        let from = before.saturating_sub(SPAN);
        let bounds = vec![
            Bound::Text(condition.clone()),
            Bound::Int(before),
            Bound::Int(from),
            Bound::Int(most.into()),
            Bound::Text(text.clone()),
        ];
        let rows = sql::fetch(conn, MATCHING, bounds).await?;
        if !rows.is_empty() {
            let rows: Vec<Candidate> = rows.iter().map(candidate).collect::<Result<_, _>>()?;
            let is_full = rows.len() >= usize::try_from(most).unwrap_or(usize::MAX);
            let reached = if is_full { rows.last().map_or(from, |row| row.seq) } else { from };
            return Ok(CandidatePage { rows, before: Some(reached).filter(|seq| *seq > progress.first_seq) });
        }
        before = from;
    }
    Ok(CandidatePage::default())
}

fn sample(row: &AnyRow) -> Result<String, StoreError> {
    let document = SearchDocument::of_lines(&row.text("lines")?, &row.text("letters")?);
    let text = form::in_file(&SearchName::of_row(row)?, &document);
    Ok(text.chars().take(SAMPLED).collect())
}

fn candidate(row: &AnyRow) -> Result<Candidate, StoreError> {
    let document = SearchDocument::of_lines(&row.text("lines")?, &row.text("letters")?);
    Ok(Candidate { seq: row.int("seq")?, name: SearchName::of_row(row)?, document })
}

/// Reads the newest rows in order; if those have few matches, asks the index; and if that has too many, goes on in order.
async fn on_server(
    conn: &mut AnyConnection,
    query: &SearchQuery,
    before: i64,
    most: u32,
) -> Result<CandidatePage, StoreError> {
    let most_rows = usize::try_from(most).unwrap_or(usize::MAX);
    let wanted = wanted_on_server(&query.needle, query.tenant.as_ref().map(TenantId::as_str));
    let (mut matching, mut reached) = (Vec::new(), Some(before));
    let (mut size, mut read) = (WINDOW, 0);
    while let Some(from) = reached.filter(|_| matching.len() < most_rows && read < MOST_IN_ORDER) {
        let window = window(conn, query, &wanted, from, size).await?;
        reached = Some(window.first).filter(|_| window.is_full);
        matching.extend(window.matching);
        if let Some(from) = reached.filter(|_| read == 0 && matching.len() < most_rows) {
            let (sql, bounds) = index_statement(query, &wanted, from);
            let rows = sql::fetch(conn, sql, bounds).await?;
            if i64::try_from(rows.len()).is_ok_and(|found| found <= MOST_BY_INDEX) {
                let mut others: Vec<i64> = rows.iter().map(|row| row.int("seq")).collect::<Result<_, _>>()?;
                others.sort_unstable_by(|one, other| other.cmp(one));
                matching.extend(others);
                reached = None;
            }
        }
        (read, size) = (read + size, size * 2);
    }
    if matching.len() > most_rows {
        matching.truncate(most_rows);
        reached = matching.last().copied();
    }
    Ok(CandidatePage { rows: rows_of(conn, &matching).await?, before: reached })
}

/// Rows that were read in order.
struct Window {
    /// The numbers of those that may match, newest first.
    matching: Vec<i64>,
    /// The lowest number that was read.
    first: i64,
    /// Whether there may be rows beyond.
    is_full: bool,
}

async fn window(
    conn: &mut AnyConnection,
    query: &SearchQuery,
    wanted: &Wanted,
    before: i64,
    size: i64,
) -> Result<Window, StoreError> {
    let (sql, bounds) = extent_statement(query.tenant.as_ref(), before, size);
    let rows = sql::fetch(conn, sql, bounds).await?;
    let Some(row) = rows.first() else { return Err(StoreError::malformed("first")) };
    let Some(first) = row.maybe_int("first")? else {
        return Ok(Window { matching: Vec::new(), first: before, is_full: false });
    };
    let is_full = row.int("n")? >= size;
    let (sql, bounds) = window_statement(query, wanted, before, first);
    let rows = sql::fetch(conn, sql, bounds).await?;
    Ok(Window { matching: rows.iter().map(|row| row.int("seq")).collect::<Result<_, _>>()?, first, is_full })
}

/// Returns the statement that finds how far the newest rows before a number reach.
pub(in crate::store) fn extent_statement(tenant: Option<&TenantId>, before: i64, size: i64) -> (String, Vec<Bound>) {
    let of_tenant = if tenant.is_some() { "tenant_id = $3 AND " } else { "" };
    let sql = format!(
        "SELECT MIN(seq) AS first, COUNT(*) AS n FROM (SELECT seq FROM search WHERE {of_tenant}seq < $1 \
         ORDER BY seq DESC LIMIT $2) AS newest"
    );
    let tenant = tenant.map(|tenant| Bound::Text(tenant.as_str().to_owned()));
    (sql, [Bound::Int(before), Bound::Int(size)].into_iter().chain(tenant).collect())
}

/// Returns the statement that finds the matching ones of some rows by reading them. Without trigrams, a row may match that has
/// the longest word of a text.
pub(in crate::store) fn window_statement(
    query: &SearchQuery,
    wanted: &Wanted,
    before: i64,
    first: i64,
) -> (String, Vec<Bound>) {
    let mut bounds = vec![Bound::Int(before), Bound::Int(first)];
    let mut like = |text: &String| {
        let part = match query.reach {
            Reach::AnyPart => text.as_str(),
            Reach::WordBeginnings => text.split(' ').max_by_key(|word| word.len()).unwrap_or_default(),
        };
        bounds.push(Bound::Text(format!("%{part}%")));
        format!("text LIKE ${}", bounds.len())
    };
    let one_of = wanted.one_of.iter().map(&mut like).collect::<Vec<_>>().join(" OR ");
    let of_tenant = match &query.tenant {
        Some(tenant) => {
            bounds.push(Bound::Text(tenant.as_str().to_owned()));
            format!("tenant_id = ${} AND ", bounds.len())
        }
        None => String::new(),
    };
    // Read in order, although there is an index: the window is small, and the index knows no order.
    let sql = format!(
        "SELECT seq FROM (SELECT seq, text FROM search WHERE {of_tenant}seq < $1 AND seq >= $2 OFFSET 0) AS search \
         WHERE {one_of} ORDER BY seq DESC"
    );
    (sql, bounds)
}

/// Returns the statement that asks a server's index for rows before a number, in no order.
pub(in crate::store) fn index_statement(query: &SearchQuery, wanted: &Wanted, before: i64) -> (String, Vec<Bound>) {
    let mut bounds = vec![Bound::Int(before), Bound::Int(MOST_BY_INDEX + 1)];
    let condition = match query.reach {
        Reach::AnyPart => {
            let mut like = |text: &String| {
                bounds.push(Bound::Text(format!("%{text}%")));
                format!("text LIKE ${}", bounds.len())
            };
            let one_of = wanted.one_of.iter().map(&mut like).collect::<Vec<_>>().join(" OR ");
            let all_of: String = wanted.all_of.iter().map(|text| format!(" AND {}", like(text))).collect();
            format!("({one_of}){all_of}")
        }
        Reach::WordBeginnings => {
            bounds.push(Bound::Text(word_query(wanted)));
            "to_tsvector('pg_catalog.simple', text) @@ CAST($3 AS tsquery)".to_owned()
        }
    };
    (format!("SELECT seq FROM search WHERE {condition} AND seq + 0 < $1 LIMIT $2"), bounds)
}

async fn rows_of(conn: &mut AnyConnection, numbers: &[i64]) -> Result<Vec<Candidate>, StoreError> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<Value> = numbers.iter().map(|seq| json!({"seq": seq})).collect();
    let sql = format!(
        "SELECT w.seq, w.tenant_id, w.batch_id, w.shelf_id, w.lines, w.letters FROM {} CROSS JOIN search w \
         WHERE w.seq = r.seq ORDER BY w.seq DESC",
        Dialect::of(conn).rows(&[("seq", Kind::Int)])
    );
    sql::fetch(conn, sql, vec![Bound::from(wanted.as_slice())]).await?.iter().map(candidate).collect()
}
