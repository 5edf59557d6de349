//! Finds the rows that may match a text, newest first and a bounded number at a time.

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect};
use super::super::{Store, StoreError};
use super::form::{match_expression, wanted_in_file};
use super::progress::Progress;
use super::server::on_server;
use super::{Candidate, CandidatePage, SearchName, SearchQuery, form};
use crate::batch::TenantId;
use crate::batch::search::{Reach, SearchDocument};

/// From how many of the newest rows of a file it is learnt which trigrams are rare.
const SAMPLES: i64 = 60;
/// How many characters of each of them.
const SAMPLED: usize = 2_000;
/// How many numbers of a file's rows one statement covers, so that none reads for long.
const SPAN: i64 = 200_000;

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
            let rows: Vec<Candidate> = rows.iter().map(Candidate::of_row).collect::<Result<_, _>>()?;
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
