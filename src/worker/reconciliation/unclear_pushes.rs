//! Remembers what is known of create requests whose outcome is unknown.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::guard::lock;
use crate::worker::model::UnclearPush;

/// The most create requests that are remembered. Beyond it all are forgotten, which costs longer reads only.
const MOST_PUSHES: usize = 1_000;

/// Create requests of unknown outcome, by the id of their push.
#[derive(Debug, Default)]
pub(in crate::worker) struct UnclearPushes(Mutex<HashMap<String, UnclearPush>>);

impl UnclearPushes {
    /// Remembers what is known of a push, on behalf of one of its batches; the first note counts.
    pub(in crate::worker) fn note(&self, push: &str, known: UnclearPush) {
        let mut pushes = lock(&self.0);
        if pushes.len() >= MOST_PUSHES {
            pushes.clear();
        }
        pushes.entry(push.to_owned()).or_insert(known);
    }

    /// Returns what is known of a push.
    pub(in crate::worker) fn get(&self, push: &str) -> UnclearPush {
        lock(&self.0).get(push).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_noted_first_of_each_push_is_remembered() {
        let pushes = UnclearPushes::default();
        let now = tokio::time::Instant::now();
        let noted = [7, 9]
            .map(|seconds| UnclearPush { claimed_at: Some(now), ended_at: Some(now + Duration::from_secs(seconds)) });
        pushes.note("p1", noted[0]);
        pushes.note("p2", noted[1]);
        pushes.note("p1", noted[1]);
        assert_eq!(
            [pushes.get("p1"), pushes.get("p2"), pushes.get("p3")],
            [noted[0], noted[1], UnclearPush::default()]
        );
    }

    #[test]
    fn memory_is_bounded() {
        let pushes = UnclearPushes::default();
        (0..=MOST_PUSHES).for_each(|push| pushes.note(&push.to_string(), UnclearPush::default()));
        assert_eq!(pushes.0.lock().unwrap().len(), 1);
    }
}
