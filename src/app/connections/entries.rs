//! Describes what people do with connections, as the audit keeps it: without a key.

use serde_json::{Value, json};

use super::super::actor::Actor;
use crate::batch::TenantId;
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::connections::{ConnectionRow, Finding, Verification};

/// What is said of the API key of a connection that is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyChange {
    /// It stays the same.
    Same,
    /// It is another one, or the first.
    Changed,
}

/// Describes that a connection was entered in place of the one before.
pub(super) fn set(actor: &Actor, before: Option<&ConnectionRow>, after: &ConnectionRow, key: KeyChange) -> AuditEntry {
    let mut new = entered(after);
    if key == KeyChange::Changed {
        new["api_key"] = "changed".into();
    }
    let subject = AuditSubject::tenant(&after.tenant);
    AuditEntry::new(actor, AuditAction::SetConnection, subject).change(before.map(entered), Some(new))
}

/// Describes that the change of a connection was dropped that was not in force.
pub(super) fn discard_change(actor: &Actor, before: &ConnectionRow, after: &ConnectionRow) -> AuditEntry {
    let subject = AuditSubject::tenant(&after.tenant);
    let entry = AuditEntry::new(actor, AuditAction::DiscardConnectionChange, subject);
    entry.change(Some(entered(before)), Some(entered(after)))
}

/// Describes that a connection was verified: the one in force, or a change of it.
pub(super) fn verify(
    actor: &Actor,
    tenant: &TenantId,
    (which, before): (&str, Option<&Verification>),
    finding: &Verification,
) -> AuditEntry {
    let state = |finding: &Verification| {
        let mut state = found(finding);
        state["verified"] = which.into();
        state
    };
    let entry = AuditEntry::new(actor, AuditAction::VerifyConnection, AuditSubject::tenant(tenant));
    entry.change(before.map(state), Some(state(finding)))
}

/// Describes that a probe begins which creates a case in a folder.
pub(super) fn begin_probe(actor: &Actor, tenant: &TenantId, folder: u64) -> AuditEntry {
    let entry = AuditEntry::new(actor, AuditAction::ProbeConnection, AuditSubject::tenant(tenant));
    entry.change(None, Some(json!({"creates_a_case_in_folder": folder})))
}

/// Describes what a probe found.
pub(super) fn end_probe(actor: &Actor, tenant: &TenantId, findings: &[Finding], cases_left: usize) -> AuditEntry {
    let results: serde_json::Map<String, Value> =
        findings.iter().map(|found| (word(found.assumption), word(found.result).into())).collect();
    let entry = AuditEntry::new(actor, AuditAction::ProbeConnection, AuditSubject::tenant(tenant));
    entry.change(None, Some(json!({"findings": results, "cases_left": cases_left})))
}

/// Describes that a tenant was removed, with so many entries of the shelf.
pub(super) fn remove(actor: &Actor, before: &ConnectionRow, discarded: usize) -> AuditEntry {
    let entry = AuditEntry::new(actor, AuditAction::RemoveTenant, AuditSubject::tenant(&before.tenant));
    entry.change(Some(entered(before)), Some(json!({"discarded_entries": discarded})))
}

/// Returns what was entered last, without the key.
fn entered(row: &ConnectionRow) -> Value {
    let (base_url, project, folder, expires_on, mapping) = match &row.successor {
        Some(next) => (&next.origin, next.project, next.folder, &next.expires_on, &next.mapping),
        None => (&row.origin, row.project, row.folder, &row.expires_on, &row.mapping),
    };
    json!({
        "base_url": base_url, "project": project, "folder": folder, "expires_on": expires_on, "mapping": mapping,
        "in_force": row.successor.is_none() && row.is_verified(),
    })
}

fn found(finding: &Verification) -> Value {
    match finding {
        Verification::Works { .. } => json!({"works": true}),
        Verification::Fails { reason, .. } => json!({"works": false, "reason": reason.code()}),
    }
}

/// Returns the word under which a value without content is stored.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture;
    use super::*;
    use crate::batch::Reason;
    use crate::store::actor::{Face, Role};

    fn anna() -> Actor {
        Actor::new("anna", Role::Admin, Face::CommandLine)
    }

    #[test]
    fn a_connection_is_kept_without_its_key() {
        let before = fixture::connection();
        let after = ConnectionRow { project: 9, verified_version: None, ..before.clone() };
        let first = set(&anna(), None, &before, KeyChange::Changed);
        assert_eq!(first.before, None);
        let second = set(&anna(), Some(&before), &after, KeyChange::Same);
        let shown = |value: &Option<Value>| value.as_ref().unwrap().to_string();
        let expected = r#"{"base_url":"https://acme.testmo.net","project":1,"folder":2,"expires_on":null,"mapping":"#;
        assert!(shown(&first.after).starts_with(expected), "{first:?}");
        assert!(shown(&first.after).ends_with(r#""in_force":true,"api_key":"changed"}"#), "{first:?}");
        assert!(shown(&second.before).starts_with(expected) && !shown(&second.after).contains("api_key"));
        assert!(
            shown(&second.after).contains(r#""project":9"#) && shown(&second.after).contains(r#""in_force":false"#)
        );
        for entry in [&first, &second] {
            let text = format!("{:?}", (&entry.before, &entry.after));
            assert!(!text.contains("nonce") && !text.contains("ciphertext"), "{text}");
        }
    }

    #[test]
    fn a_verification_is_kept_as_what_it_found() {
        let fails = Verification::Fails { reason: Reason::KeyRefused, detail: "401".into() };
        let entry = verify(&anna(), &fixture::acme(), ("connection", None), &fails);
        assert_eq!(entry.after, Some(json!({"works": false, "reason": "key_refused", "verified": "connection"})));
    }
}
