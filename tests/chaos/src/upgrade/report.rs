//! Writes the table of a rehearsal, and judges it.

use super::times::percentile;

/// How many times longer the quiet tenants' p99 may be than with plain restarts, in percent.
const MOST_DELAY: i64 = 150;

/// What a pass was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All batches at once, which measures the rate.
    Flood,
    /// Each replica is switched to the present version and back.
    Upgrade,
    /// Each replica is restarted twice in the present version.
    Restarts,
}

/// What a pass has shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) batches: usize,
    /// The times of the quiet tenants' batches, in milliseconds.
    pub(super) quiet: Vec<i64>,
    pub(super) quarantined: usize,
    pub(super) broken: Vec<String>,
}

/// The results so far.
#[derive(Debug)]
pub(super) struct Report {
    judges_delay: bool,
    rows: Vec<(Kind, Row)>,
}

impl Report {
    /// Begins a report, which judges the delay or not.
    pub(super) fn new(judges_delay: bool) -> Self {
        Self { judges_delay, rows: Vec::new() }
    }

    /// Returns the head of the table.
    pub(super) fn begin(&self, rate: f64, load: f64, length_ms: u64) -> String {
        let seconds = length_ms / 1_000;
        format!(
            "three replicas deliver {rate:.0} batches/s; the load is {load:.1} batches/s for {seconds} s\n\
             | pass | seed | batches | quiet tenants' p50 (ms) | p99 (ms) | quarantined | lost, twice or wrong |\n\
             | --- | --- | --- | --- | --- | --- | --- |\n"
        )
    }

    /// Adds a pass, and returns its line of the table.
    pub(super) fn add(&mut self, kind: Kind, seed: u64, row: Row) -> String {
        let [p50, p99] = [50, 99].map(|percent| percentile(&row.quiet, percent));
        let (batches, quarantined) = (row.batches, row.quarantined);
        let broken = if row.broken.is_empty() { "0".to_owned() } else { row.broken.join("; ") };
        self.rows.push((kind, row));
        format!("| {} | {seed} | {batches} | {p50} | {p99} | {quarantined} | {broken} |\n", kind.name())
    }

    /// Returns the last lines, and whether everything is as it has to be.
    pub(super) fn end(&self) -> (String, bool) {
        let quiet = |of: Kind| {
            let rows = self.rows.iter().filter(|(kind, _)| *kind == of);
            rows.flat_map(|(_, row)| row.quiet.iter().copied()).collect::<Vec<i64>>()
        };
        let [upgrades, restarts] = [Kind::Upgrade, Kind::Restarts].map(|kind| percentile(&quiet(kind), 99));
        let percent = upgrades * 100 / restarts.max(1);
        let count = self.rows.iter().filter(|(kind, _)| *kind == Kind::Upgrade).count();
        let broken = self.rows.iter().filter(|(_, row)| !row.broken.is_empty()).count();
        let quarantined: usize = self.rows.iter().map(|(_, row)| row.quarantined).sum();
        let judged = if self.judges_delay { "at most 1.50" } else { "too few to judge" };
        let lines = format!(
            "{count} rolling upgrades and back: {broken} passes with something lost, twice or wrong, {quarantined} messages \
             quarantined\nquiet tenants' p99: {upgrades} ms with upgrades, {restarts} ms with plain restarts: {}.{:02} x \
             ({judged})\n",
            percent / 100,
            percent % 100
        );
        let is_fast = !self.judges_delay || (restarts > 0 && percent <= MOST_DELAY);
        (lines, count > 0 && broken == 0 && quarantined == 0 && is_fast)
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Upgrade => "upgrade and back",
            Self::Restarts => "plain restarts",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(upgrade: Row, restarts: Row, judges_delay: bool) -> bool {
        let mut report = Report::new(judges_delay);
        report.add(Kind::Upgrade, 1, upgrade);
        report.add(Kind::Restarts, 1, restarts);
        report.end().1
    }

    #[test]
    fn a_rehearsal_fails_for_what_is_lost_quarantined_or_late() {
        let row = |ms| Row { batches: 1, quiet: vec![ms], ..Row::default() };
        assert!(judged(row(150), row(100), true));
        assert!(!judged(row(151), row(100), true));
        assert!(judged(row(151), row(100), false));
        assert!(!judged(row(1), Row::default(), true), "nothing was measured");
        assert!(!judged(Row { quarantined: 1, ..row(100) }, row(100), true));
        assert!(!judged(row(100), Row { broken: vec!["a case is lost".into()], ..row(100) }, true));
        assert!(!Report::new(false).end().1);
    }
}
