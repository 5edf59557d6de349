//! Matches the cases of a push with an unknown outcome to rows in Testmo, one to one, by batch tag, name and order.

use std::collections::{HashMap, HashSet, VecDeque};

/// How far before the first claim rows are considered, in milliseconds: an allowance for clock skew.
pub const CLOCK_MARGIN_MS: i64 = 10 * 60 * 1_000;

/// How much too early a creation time can be because it is given in another time zone, in milliseconds. That Testmo
/// means UTC is our inference.
pub const ZONE_MARGIN_MS: i64 = 14 * 60 * 60 * 1_000;

/// A row of Testmo: one case as Testmo holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The id of the row.
    pub id: u64,
    /// The name of the case in Testmo.
    pub name: String,
    /// The folder of the row.
    pub folder: u64,
    /// The names of the row's tags.
    pub tags: Vec<String>,
    /// When the row was created, in milliseconds on Testmo's clock.
    pub created_at: i64,
}

/// A case to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedCase<'a> {
    /// Its position in the batch.
    pub position: usize,
    /// Its name.
    pub name: &'a str,
    /// The folder it was sent to.
    pub folder: u64,
}

/// The cases to find, and which rows may be theirs.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The cases, in the order in which they were sent.
    pub cases: &'a [WantedCase<'a>],
    /// Positions and ids of the batch's cases that are known to be in Testmo, ordered by position. Cases are created in
    /// order, so a row cannot be a wanted case if its id is below that of an earlier case.
    pub arrived: &'a [(usize, u64)],
    /// The tag that all wanted cases carry, unless the tenant has switched the tag off.
    pub batch_tag: Option<&'a str>,
    /// Rows with this id or a lower one existed before the cases were sent.
    pub floor: Option<u64>,
    /// Used without a batch tag: rows created before this time are not wanted cases, in milliseconds on Testmo's clock.
    pub not_before: i64,
    /// Ids that the account's ledger holds for other cases; such rows are never adopted.
    pub held: &'a HashSet<u64>,
}

/// The result of matching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Position and id of each case that is in Testmo.
    pub cases: Vec<(usize, u64)>,
    /// Ids of further rows that carry the batch tag or have the name of a wanted case: to be shown to a person.
    pub left_over: Vec<u64>,
    /// Ids of rows that carry the batch tag and existed before: they prove nothing, as a person may have copied a case.
    pub older: Vec<u64>,
}

/// Matches wanted cases to rows. Each row is used once, and ids ascend with the positions of the cases, including the
/// cases that are known to be in Testmo.
pub fn find(wanted: &Wanted<'_>, rows: &[Row]) -> Found {
    let folders = folders_by_name(wanted);
    let mut fitting: Vec<&Row> = rows.iter().filter(|row| fits(wanted, row, &folders)).collect();
    fitting.sort_by_key(|row| row.id);
    fitting.dedup_by_key(|row| row.id);
    let mut by_name: HashMap<&str, VecDeque<&Row>> = HashMap::new();
    for row in &fitting {
        by_name.entry(row.name.trim()).or_default().push_back(row);
    }
    let (mut cases, mut arrived, mut last) = (Vec::new(), wanted.arrived.iter().peekable(), 0);
    for case in wanted.cases {
        while let Some((_, id)) = arrived.next_if(|(before, _)| *before < case.position) {
            last = last.max(*id);
        }
        let name = case.name.trim();
        let (Some(alike), Some(folders)) = (by_name.get_mut(name), folders.get(name)) else { continue };
        alike.retain(|row| row.id > last);
        if let Some(row) = place_in(alike, case.folder, folders).and_then(|at| alike.remove(at)) {
            cases.push((case.position, row.id));
            last = row.id;
        }
    }
    let taken: HashSet<u64> = cases.iter().map(|(_, id)| *id).collect();
    let ours = |row: &&&Row| wanted.batch_tag.is_some() || folders.contains_key(row.name.trim());
    let left_over = fitting.iter().filter(|row| !taken.contains(&row.id)).filter(ours).map(|row| row.id).collect();
    let is_older = |row: &&Row| has_batch_tag(wanted, row) && is_old(wanted, row) && !wanted.held.contains(&row.id);
    let mut older: Vec<u64> = rows.iter().filter(is_older).map(|row| row.id).collect();
    older.sort_unstable();
    older.dedup();
    Found { cases, left_over, older }
}

/// Returns the folders to which wanted cases of each name were sent.
fn folders_by_name<'a>(wanted: &Wanted<'a>) -> HashMap<&'a str, HashSet<u64>> {
    let mut folders: HashMap<&str, HashSet<u64>> = HashMap::new();
    for case in wanted.cases {
        folders.entry(case.name.trim()).or_default().insert(case.folder);
    }
    folders
}

/// Returns which of the rows that are named like a case is the case: the first one, as a person may have moved it. Where
/// cases of this name were sent to several `folders`, it is the first one in the folder of the case, or one that was moved
/// to a folder of none of them.
fn place_in(alike: &VecDeque<&Row>, folder: u64, folders: &HashSet<u64>) -> Option<usize> {
    if folders.len() == 1 {
        return (!alike.is_empty()).then_some(0);
    }
    let own = alike.iter().position(|row| row.folder == folder);
    own.or_else(|| alike.iter().position(|row| !folders.contains(&row.folder)))
}

fn fits(wanted: &Wanted<'_>, row: &Row, folders: &HashMap<&str, HashSet<u64>>) -> bool {
    if is_old(wanted, row) || wanted.held.contains(&row.id) {
        return false;
    }
    match wanted.batch_tag {
        // The batch tag is the batch's own, so the row is ours even if a person moved it to another folder, and
        // whatever its creation time.
        Some(_) => has_batch_tag(wanted, row),
        // The floor can be older than a person's case of the same name.
        None => {
            let is_there = |folders: &HashSet<u64>| folders.contains(&row.folder);
            row.created_at >= wanted.not_before && folders.get(row.name.trim()).is_some_and(is_there)
        }
    }
}

fn has_batch_tag(wanted: &Wanted<'_>, row: &Row) -> bool {
    wanted.batch_tag.is_some_and(|batch_tag| row.tags.iter().any(|tag| tag == batch_tag))
}

fn is_old(wanted: &Wanted<'_>, row: &Row) -> bool {
    wanted.floor.is_some_and(|floor| row.id <= floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, name: &str, tag: &str) -> Row {
        Row { id, name: name.into(), folder: 2, tags: vec![tag.into()], created_at: 1_000 }
    }

    #[test]
    fn the_margins_are_ten_minutes_and_fourteen_hours() {
        assert_eq!((CLOCK_MARGIN_MS, ZONE_MARGIN_MS), (600_000, 50_400_000));
    }

    #[test]
    fn the_row_of_a_case_that_has_arrived_is_no_other_case() {
        let rows = [row(10, "a", "t"), row(11, "a", "t")];
        assert_eq!(find_beside(&[(0, 10)], &[(1, "a")], Some("t"), &[], &rows).cases, [(1, 11)]);
    }

    fn find_in(cases: &[(usize, &str)], batch_tag: Option<&str>, held: &[u64], rows: &[Row]) -> Found {
        find_beside(&[], cases, batch_tag, held, rows)
    }

    fn find_beside(
        arrived: &[(usize, u64)],
        cases: &[(usize, &str)],
        batch_tag: Option<&str>,
        held: &[u64],
        rows: &[Row],
    ) -> Found {
        let held = held.iter().copied().collect();
        find(
            &Wanted { cases: &in_folder_2(cases), arrived, batch_tag, floor: None, not_before: 500, held: &held },
            rows,
        )
    }

    fn in_folder_2<'a>(cases: &[(usize, &'a str)]) -> Vec<WantedCase<'a>> {
        cases.iter().map(|(position, name)| WantedCase { position: *position, name, folder: 2 }).collect()
    }

    #[test]
    fn rows_are_paired_by_name_in_order_and_each_once() {
        let rows = [row(12, "b", "m"), row(11, "a", "m"), row(10, "a", "m"), row(13, "c", "other")];
        let found = find_in(&[(0, "a"), (1, "a"), (2, "b"), (3, "c")], Some("m"), &[], &rows);
        assert_eq!(found.cases, [(0, 10), (1, 11), (2, 12)]);
        assert_eq!(found.left_over, Vec::<u64>::new());
    }

    #[test]
    fn an_id_that_the_ledger_holds_is_never_adopted() {
        let found = find_in(&[(0, "a")], Some("m"), &[10], &[row(10, "a", "m")]);
        assert_eq!(found.cases, []);
    }

    #[test]
    fn without_a_mark_older_rows_and_other_folders_are_not_ours() {
        let old = Row { created_at: 499, ..row(10, "a", "m") };
        assert_eq!(find_in(&[(0, "a")], None, &[], std::slice::from_ref(&old)).cases, []);
        assert_eq!(find_in(&[(0, "a")], Some("m"), &[], &[old]).cases, [(0, 10)], "its tag tells, whatever the time");
        let elsewhere = Row { folder: 3, ..row(11, "a", "m") };
        assert_eq!(find_in(&[(0, "a")], None, &[], std::slice::from_ref(&elsewhere)).cases, []);
        assert_eq!(find_in(&[(0, "a")], Some("m"), &[], &[elsewhere]).cases, [(0, 11)]);
    }

    #[test]
    fn a_row_that_is_older_than_a_case_before_it_is_none_of_its() {
        let rows = [row(9, "c", "m"), row(13, "c", "m")];
        let found = find_beside(&[(0, 11), (1, 12)], &[(2, "c")], None, &[11, 12], &rows);
        assert_eq!(found, Found { cases: vec![(2, 13)], left_over: vec![9], older: vec![] });
        assert_eq!(find_beside(&[(3, 11)], &[(2, "c")], None, &[11], &rows).cases, [(2, 9)]);
        let found =
            find_in(&[(0, "a"), (1, "c")], None, &[], &[row(9, "c", "m"), row(12, "a", "m"), row(13, "c", "m")]);
        assert_eq!(found.cases, [(0, 12), (1, 13)]);
    }

    #[test]
    fn a_second_row_of_the_same_case_is_left_over() {
        let found = find_in(&[(0, "a")], Some("m"), &[], &[row(10, "a", "m"), row(11, "a", "m"), row(12, "x", "m")]);
        assert_eq!(found, Found { cases: vec![(0, 10)], left_over: vec![11, 12], older: vec![] });
    }

    #[test]
    fn a_row_at_or_below_the_floor_was_there_before_and_one_above_it_counts_whatever_its_time() {
        let held = HashSet::from([7]);
        let rows = [
            Row { created_at: 1, ..row(11, "a", "m") },
            row(10, "a", "m"),
            row(7, "a", "m"),
            Row { created_at: 9_000, ..row(9, "b", "m") },
        ];
        let cases = in_folder_2(&[(0, "a"), (1, "b")]);
        let wanted =
            |batch_tag, floor| Wanted { cases: &cases, arrived: &[], batch_tag, floor, not_before: 500, held: &held };
        let found = find(&wanted(Some("m"), Some(10)), &rows);
        assert_eq!(found, Found { cases: vec![(0, 11)], left_over: vec![], older: vec![9, 10] });
        let found = find(&wanted(None, Some(9)), &rows);
        assert_eq!(
            found,
            Found { cases: vec![(0, 10)], left_over: vec![], older: vec![] },
            "without a tag time counts"
        );
        assert_eq!(find(&wanted(None, Some(10)), &rows), Found::default(), "and so does the floor");
    }

    #[test]
    fn of_cases_with_one_name_in_several_folders_each_takes_the_row_in_its_own() {
        let at = |id, folder, tag: &str| Row { folder, ..row(id, "a", tag) };
        let cases = [2, 3, 4].into_iter().enumerate();
        let cases: Vec<_> = cases.map(|(position, folder)| WantedCase { position, name: "a", folder }).collect();
        let held = HashSet::new();
        let found = |batch_tag, rows: &[Row]| {
            let wanted = Wanted { cases: &cases, arrived: &[], batch_tag, floor: None, not_before: 500, held: &held };
            find(&wanted, rows)
        };
        for tag in [Some("m"), None] {
            let all = [at(10, 2, "m"), at(11, 3, "m"), at(12, 4, "m")];
            assert_eq!(found(tag, &all).cases, [(0, 10), (1, 11), (2, 12)], "{tag:?}");
            assert_eq!(found(tag, &all[1..]).cases, [(1, 11), (2, 12)], "a person removed the first one; {tag:?}");
            assert_eq!(found(tag, &all[2..]).cases, [(2, 12)], "{tag:?}");
        }
        let moved = [at(10, 9, "m"), at(11, 3, "m")];
        assert_eq!(found(Some("m"), &moved).cases, [(0, 10), (1, 11)]);
        assert_eq!(found(None, &moved).cases, [(1, 11)], "without a tag the folder counts");
    }

    proptest::proptest! {
        /// Whatever folders the cases of a request go to, all of its rows are found, each for its case.
        #[test]
        fn the_rows_of_a_request_are_its_cases(
            sent in proptest::collection::vec((0usize..3, 1u64..4), 1..12), tagged in proptest::bool::ANY,
        ) {
            let names = ["a", "b", "c"];
            let cases: Vec<_> = sent.iter().enumerate()
                .map(|(position, (name, folder))| WantedCase { position, name: names[*name], folder: *folder }).collect();
            let rows: Vec<Row> = cases.iter().zip(10..)
                .map(|(case, id)| Row { folder: case.folder, ..row(id, case.name, "m") }).collect();
            let held = HashSet::new();
            let batch_tag = tagged.then_some("m");
            let wanted = Wanted { cases: &cases, arrived: &[], batch_tag, floor: None, not_before: 500, held: &held };
            let expected: Vec<(usize, u64)> = rows.iter().map(|row| row.id).enumerate().collect();
            proptest::prop_assert_eq!(find(&wanted, &rows).cases, expected);
        }
    }
}
