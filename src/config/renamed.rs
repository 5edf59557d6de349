//! Maps configuration keys that were renamed before the first release to their present names.

/// Former keys, each with its present name.
const RENAMED: [(&str, &str); 33] = [
    ("amqp.declare", "amqp.declare_topology"),
    ("amqp.reconnect_min", "amqp.reconnect_backoff_min"),
    ("amqp.reconnect_max", "amqp.reconnect_backoff_max"),
    ("amqp.cases_binding", "amqp.cases_binding_key"),
    ("amqp.dead_exchange", "amqp.dead_letter_exchange"),
    ("amqp.dead_queue", "amqp.dead_letter_queue"),
    ("store.connections", "store.max_connections"),
    ("testmo.allow_insecure_origins", "testmo.allowed_insecure_origins"),
    ("testmo.settle_answered", "testmo.reconcile_delay_answered"),
    ("testmo.settle_unanswered", "testmo.reconcile_delay_unanswered"),
    ("testmo.last_look", "testmo.late_duplicate_check_delay"),
    ("testmo.folder_window", "testmo.folder_create_window"),
    ("testmo.margin", "testmo.claim_margin"),
    ("testmo.max_answer_bytes", "testmo.max_response_bytes"),
    ("push.max_cases", "requests.max_cases"),
    ("push.max_bytes", "requests.max_bytes"),
    ("push.pack", "requests.pack_batches"),
    ("push.concurrency", "requests.account_concurrency_per_worker"),
    ("push.account_limit", "requests.account_concurrency"),
    ("push.in_flight", "requests.worker_concurrency"),
    ("retry.tries", "retry.max_attempts"),
    ("retry.first_pause", "retry.backoff_min"),
    ("retry.longest_pause", "retry.backoff_max"),
    ("retry.first_park", "retry.shelf_backoff_min"),
    ("retry.longest_park", "retry.shelf_backoff_max"),
    ("retry.horizon", "retry.give_up_after"),
    ("retry.least_parks", "retry.give_up_min_retries"),
    ("shelf.poll", "shelf.poll_interval"),
    ("shelf.lease", "shelf.lease_duration"),
    ("worker.drain", "worker.drain_timeout"),
    ("worker.memory", "worker.max_queued_bytes"),
    ("worker.longest_wait", "worker.max_queue_time"),
    ("events.unheard_for", "events.unroutable_alert_after"),
];

/// Returns the present name of a key that was renamed.
pub(super) fn present_name(key: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(former, _)| *former == key).map(|(_, present)| *present)
}

/// Returns the environment variable that sets a key.
pub(super) fn variable(key: &str) -> String {
    format!("COURIER_{}", key.replace('.', "__").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, keys, load};

    #[test]
    fn every_former_key_fails_with_its_present_name() {
        let keys = keys();
        for (former, present) in RENAMED {
            assert!(keys.contains(&present.to_owned()) && !keys.contains(&former.to_owned()), "{former}");
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("a.toml");
            let (section, field) = former.split_once('.').unwrap();
            std::fs::write(&file, format!("[{section}]\n{field} = 1\n")).unwrap();
            let errors = load(&Sources { files: vec![file], ..Sources::default() }).unwrap_err().0.join("\n");
            assert!(errors.contains(&format!("`{former}` was renamed to `{present}`")), "{errors}");
        }
    }

    #[test]
    fn every_former_variable_fails_with_its_present_name() {
        for (former, present) in RENAMED {
            let environment = [(variable(former), "1".to_owned())].into();
            let errors = load(&Sources { environment, ..Sources::default() }).unwrap_err().0;
            assert_eq!(errors, [format!("`{}` was renamed to `{}`", variable(former), variable(present))]);
        }
    }
}
