//! Decides what is remembered of a connection that the result of its last verification does not show.

use super::model::{ConnectionRow, Verification, passes};
use super::seen::{Interruption, Seen, SeenNames};

impl ConnectionRow {
    /// Returns what is remembered of this connection once a verification at `now` has ended with `finding`.
    pub fn seen_after(&self, finding: &Verification, now: i64) -> Seen {
        match finding {
            Verification::Works { .. } => Seen::default(),
            Verification::Fails { reason, detail } if self.is_verified() && passes(Some(finding)) => {
                let interruption = Interruption { reason: *reason, detail: detail.clone(), at: now };
                Seen { interruption: Some(interruption), ..self.seen.clone() }
            }
            Verification::Fails { .. } => Seen { names: self.last_names(now), interruption: None },
        }
    }

    /// Returns the connection with the names that were last seen in the one that it replaces, while it has none of its own.
    pub fn remembering(self, before: Option<&Self>, now: i64) -> Self {
        let fails = matches!(self.finding, Some(Verification::Fails { .. }));
        match before.filter(|before| fails && self.seen.names.is_none() && before.origin == self.origin) {
            Some(before) => {
                let seen = Seen { names: before.last_names(now), ..self.seen.clone() };
                Self { seen, ..self }
            }
            None => self,
        }
    }

    fn last_names(&self, now: i64) -> Option<SeenNames> {
        let Some(Verification::Works { project, folder, .. }) = &self.finding else { return self.seen.names.clone() };
        Some(SeenNames {
            project_id: self.project,
            folder_id: self.folder,
            project: project.clone(),
            folder: folder.clone(),
            at: self.verified_at.unwrap_or(now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Reason;
    use crate::store::connections::SealedKey;

    fn works() -> Verification {
        Verification::Works { user: "u".into(), project: "Shop".into(), folder: "Root".into(), not_there: vec![] }
    }

    fn fails(reason: Reason) -> Verification {
        Verification::Fails { reason, detail: "d".into() }
    }

    fn row(finding: Verification) -> ConnectionRow {
        let row = ConnectionRow {
            tenant: "acme".parse().unwrap(),
            version: "v1".into(),
            origin: "https://acme.testmo.net".into(),
            key: SealedKey { nonce: vec![1], ciphertext: vec![2], bound_to: "x".into(), key_id: String::new() },
            expires_on: None,
            project: 3,
            folder: 428,
            mapping: Default::default(),
            resolved: None,
            verified_version: None,
            verified_at: None,
            checked_at: None,
            finding: None,
            seen: Seen::default(),
            fields: Default::default(),
            last_success_at: None,
            refusal: None,
            successor: None,
            probe: None,
            source: None,
            epoch: 1,
        };
        row.judged(finding, 5)
    }

    fn named(at: i64) -> SeenNames {
        SeenNames { project_id: 3, folder_id: 428, project: "Shop".into(), folder: "Root".into(), at }
    }

    #[test]
    fn names_stay_known_while_verifications_fail() {
        let before = row(works());
        let first = before.seen_after(&fails(Reason::KeyRefused), 7);
        assert_eq!(first, Seen { names: Some(named(5)), interruption: None });
        let failing = ConnectionRow { finding: Some(fails(Reason::KeyRefused)), seen: first.clone(), ..before };
        let failing = ConnectionRow { verified_version: None, ..failing };
        assert_eq!(failing.seen_after(&fails(Reason::ServerError), 9), first);
        assert_eq!(failing.seen_after(&works(), 9), Seen::default());
        let entered = row(fails(Reason::KeyRefused)).remembering(Some(&failing), 9);
        assert_eq!(entered.seen.names, Some(named(5)));
        let elsewhere = ConnectionRow { origin: "https://oak.testmo.net".into(), ..row(fails(Reason::KeyRefused)) };
        assert_eq!(elsewhere.remembering(Some(&failing), 9).seen, Seen::default());
    }

    #[test]
    fn what_a_verification_of_a_working_connection_met_is_kept_until_one_is_completed() {
        let before = row(works());
        for reason in [Reason::ServerError, Reason::Throttled, Reason::Unreachable, Reason::NoAnswer] {
            let seen = before.seen_after(&fails(reason), 7);
            let met = Interruption { reason, detail: "d".into(), at: 7 };
            assert_eq!(seen, Seen { names: None, interruption: Some(met) });
            let met = ConnectionRow { seen, ..before.clone() };
            assert_eq!(met.seen_after(&works(), 9), Seen::default());
            assert_eq!(met.seen_after(&fails(Reason::KeyRefused), 9).interruption, None, "the result says it");
            assert_eq!(met.judged(works(), 9).seen, Seen::default());
        }
    }
}
