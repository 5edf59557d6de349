//! Finds the rows of a server that may match: reads the newest ones in order, and asks the indexes for what is rare.

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::choice::{Choice, choose};
use super::form::{Wanted, wanted_on_server, word_query};
use super::model::{Candidate, CandidatePage, SearchQuery};
use super::progress::Progress;
use super::way::{Way, most_in_order, way};
use crate::batch::TenantId;
use crate::batch::search::Reach;

/// How many of the newest rows are read first: a frequent text is among them.
const WINDOW: i64 = 2_000;
/// The most rows that the indexes are asked for: a text that more rows have is found by reading them in order.
const MOST_BY_INDEX: i64 = 5_000;
/// From how many rows it is learnt what is rare.
const SAMPLES: i64 = 200;

/// Returns the statement that reads the next row from each of some numbers on; of a long text only the beginning.
pub(in crate::store) fn sample_statement() -> String {
    format!(
        "SELECT left(w.text, 8000) AS text FROM {} CROSS JOIN LATERAL (SELECT text FROM search WHERE seq >= r.place \
         ORDER BY seq LIMIT 1) AS w",
        Dialect::Postgres.rows(&[("place", Kind::Int)])
    )
}

/// Reads the newest rows in order. As soon as those show that further matches are rare, it asks the indexes; if they have too
/// many, it goes on in order.
pub(super) async fn on_server(
    conn: &mut AnyConnection,
    query: &SearchQuery,
    before: i64,
    most: u32,
) -> Result<CandidatePage, StoreError> {
    let most_rows = usize::try_from(most).unwrap_or(usize::MAX);
    let longest = most_in_order(query.tenant.is_some());
    let wanted = wanted_on_server(&query.needle, query.tenant.as_ref().map(TenantId::as_str));
    let (mut matching, mut reached) = (Vec::new(), Some(before));
    let (mut size, mut read, mut is_asked) = (WINDOW, 0, false);
    while let Some(from) = reached.filter(|_| matching.len() < most_rows && read < longest) {
        if !is_asked && way(read, matching.len(), most_rows, longest) == Way::ByIndex {
            is_asked = true;
            if let Some(others) = by_index(conn, query, &wanted, from).await? {
                matching.extend(others);
                reached = None;
                break;
            }
        }
        let window = window(conn, query, &wanted, from, size).await?;
        reached = Some(window.first).filter(|_| window.is_full);
        matching.extend(window.matching);
        read += size;
        size = (size * 2).min(longest - read);
    }
    if matching.len() > most_rows {
        matching.truncate(most_rows);
        reached = matching.last().copied();
    }
    Ok(CandidatePage { rows: rows_of(conn, &matching).await?, before: reached })
}

/// Returns the numbers of all matching rows before a number, newest first; `None` if they are too many.
async fn by_index(
    conn: &mut AnyConnection,
    query: &SearchQuery,
    wanted: &Wanted,
    before: i64,
) -> Result<Option<Vec<i64>>, StoreError> {
    let samples = match query.reach {
        Reach::AnyPart => samples(conn).await?,
        Reach::WordBeginnings => Vec::new(),
    };
    let (sql, bounds) = index_statement(query, wanted, &samples, before);
    let rows = sql::fetch(conn, sql, bounds).await?;
    if i64::try_from(rows.len()).is_ok_and(|found| found > MOST_BY_INDEX) {
        return Ok(None);
    }
    let mut numbers: Vec<i64> = rows.iter().map(|row| row.int("seq")).collect::<Result<_, _>>()?;
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    Ok(Some(numbers))
}

async fn samples(conn: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    let Progress { first_seq, next_seq, .. } = Progress::read(conn).await?;
    let places: Vec<Value> = places(first_seq, next_seq).into_iter().map(|place| json!({"place": place})).collect();
    let rows = sql::fetch(conn, sample_statement(), vec![Bound::from(places.as_slice())]).await?;
    rows.iter().map(|row| row.text("text")).collect()
}

/// Returns numbers that are spread over all numbers of rows, at uneven distances: what rows have in common whose numbers are at
/// even ones, such as the last digit of an id, is not typical.
fn places(first: i64, next: i64) -> Vec<i64> {
    /// An odd number whose multiples are spread over all numbers.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let distance = (next.saturating_sub(first) / SAMPLES).max(1);
    let within = |at: i64| (at.unsigned_abs().wrapping_mul(SPREAD) >> 32) % distance.unsigned_abs();
    let place = |at: i64| first + at * distance + i64::try_from(within(at)).unwrap_or(0);
    (0..SAMPLES).map(place).filter(|place| *place < next).collect()
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

/// Returns the statement that asks a server's indexes for rows before a number, in no order, given some typical rows.
pub(in crate::store) fn index_statement(
    query: &SearchQuery,
    wanted: &Wanted,
    samples: &[String],
    before: i64,
) -> (String, Vec<Bound>) {
    let mut bounds = vec![Bound::Int(before), Bound::Int(MOST_BY_INDEX + 1)];
    let condition = match query.reach {
        Reach::AnyPart => {
            let one_of: Vec<String> =
                wanted.one_of.iter().map(|text| all_of(text, &wanted.all_of, samples, &mut bounds)).collect();
            format!("({})", one_of.join(" OR "))
        }
        Reach::WordBeginnings => {
            bounds.push(Bound::Text(word_query(wanted)));
            "to_tsvector('pg_catalog.simple', text) @@ CAST($3 AS tsquery)".to_owned()
        }
    };
    (format!("SELECT seq FROM search WHERE {condition} AND seq + 0 < $1 LIMIT $2"), bounds)
}

/// Returns the condition for rows that have all of some texts: what the indexes are asked for, and the texts themselves in an
/// expression that no index knows.
fn all_of(text: &str, others: &[String], samples: &[String], bounds: &mut Vec<Bound>) -> String {
    let texts: Vec<&str> = std::iter::once(text).chain(others.iter().map(String::as_str)).collect();
    let Choice { patterns, junctions } = choose(&texts, samples);
    let mut bind = |text: String| {
        bounds.push(Bound::Text(text));
        bounds.len()
    };
    let mut conditions: Vec<String> =
        patterns.into_iter().flatten().map(|pattern| format!("text LIKE ${}", bind(pattern))).collect();
    if !junctions.is_empty() {
        conditions.push(format!("search_junctions(text) @> string_to_array(${}, ',')", bind(junctions.join(","))));
    }
    conditions.extend(texts.iter().map(|text| format!("text || '' LIKE ${}", bind(format!("%{text}%")))));
    format!("({})", conditions.join(" AND "))
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
    sql::fetch(conn, sql, vec![Bound::from(wanted.as_slice())]).await?.iter().map(Candidate::of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_all_rows() {
        for (first, next, most) in [(7, 7, 0), (7, 8, 1), (1 << 40, (1 << 40) + 1_100_000, 200), (-50, 50, 100)] {
            let places = places(first, next);
            assert!(places.len() <= most && places.len() * 2 >= most, "{places:?}");
            assert!(places.is_sorted() && places.iter().all(|place| (first..next).contains(place)), "{places:?}");
        }
        let places = places(0, 1_100_000);
        let last_digits: std::collections::BTreeSet<i64> = places.iter().map(|place| place % 10).collect();
        assert_eq!(last_digits.len(), 10);
    }
}
