//! Decides which connections are removed because their files are gone.

use std::time::Duration;

use crate::batch::TenantId;

/// What follows for tenants whose files are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The connections of these are removed.
    Removed(Vec<TenantId>),
    /// So many connections stay: more than half of the files are missing, so the directory is probably incomplete.
    Kept(usize),
}

/// Decides what follows when so many tenants have files, and those of others have been missing for a while.
pub(super) fn decide(present: usize, missing: &[(TenantId, Duration)], delay: Duration) -> Absent {
    let due: Vec<TenantId> =
        missing.iter().filter(|(_, since)| *since >= delay).map(|(tenant, _)| tenant.clone()).collect();
    if missing.len() > present && !due.is_empty() { Absent::Kept(due.len()) } else { Absent::Removed(due) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_removed_after_the_delay_unless_most_files_are_missing() {
        let missing = |ages: &[u64]| -> Vec<(TenantId, Duration)> {
            let one = |(n, age): (usize, &u64)| (format!("t{n}").parse().unwrap(), Duration::from_secs(*age));
            ages.iter().enumerate().map(one).collect()
        };
        let of = |present, ages: &[u64]| decide(present, &missing(ages), Duration::from_secs(60));
        let removed = |names: &[&str]| Absent::Removed(names.iter().map(|name| name.parse().unwrap()).collect());
        assert_eq!(of(5, &[]), removed(&[]));
        assert_eq!(of(5, &[59]), removed(&[]));
        assert_eq!(of(1, &[60]), removed(&["t0"]));
        assert_eq!(of(2, &[61, 3]), removed(&["t0"]));
        assert_eq!(of(1, &[61, 3]), Absent::Kept(1), "two of three files are missing");
        assert_eq!(of(0, &[61]), Absent::Kept(1), "an empty directory removes nothing");
        assert_eq!(of(0, &[3, 4]), removed(&[]), "nothing is due yet");
    }
}
