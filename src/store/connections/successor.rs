//! Turns a connection that does not work into the successor of a verified one, and back.

use super::model::{ConnectionRow, Successor, Verification, recheck_at};

impl Successor {
    /// Makes a connection the successor of one in force, after it was verified at `now` and found not to work.
    pub fn of(candidate: ConnectionRow, in_force: &ConnectionRow, finding: Verification, now: i64) -> Self {
        let again = in_force.successor.as_ref().filter(|before| before.version == candidate.version);
        let checks = again.map_or(0, |before| before.checks);
        let due = match &finding {
            Verification::Fails { reason, .. } => recheck_at(*reason, checks, now),
            Verification::Works { .. } => None,
        };
        let ConnectionRow { version, origin, key, expires_on, project, folder, mapping, resolved, .. } = candidate;
        Self {
            replaces: in_force.version.clone(),
            version,
            origin,
            key,
            expires_on,
            project,
            folder,
            mapping,
            resolved,
            checked_at: now,
            finding,
            checks: checks.saturating_add(1),
            recheck_at: due,
        }
    }

    /// Returns the successor of a version that has the same content, but other ids for the names in it.
    pub fn replacing(self, version: &str) -> Self {
        Self { replaces: version.to_owned(), ..self }
    }

    /// Returns the connection as it would be stored in place of the one in force.
    pub fn in_place_of(&self, in_force: &ConnectionRow) -> ConnectionRow {
        let next = self.clone();
        ConnectionRow {
            tenant: in_force.tenant.clone(),
            version: next.version,
            origin: next.origin,
            key: next.key,
            expires_on: next.expires_on,
            project: next.project,
            folder: next.folder,
            mapping: next.mapping,
            resolved: next.resolved,
            verified_version: None,
            verified_at: None,
            checked_at: Some(next.checked_at),
            finding: Some(next.finding),
            seen: Default::default(),
            fields: Default::default(),
            last_success_at: in_force.last_success_at,
            refusal: None,
            successor: None,
            probe: in_force.probe.clone(),
            source: in_force.source.clone(),
            epoch: in_force.epoch,
        }
    }
}
