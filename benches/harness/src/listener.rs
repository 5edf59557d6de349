//! Reads the events of a virtual host, and records when each arrived.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::Consumer;
use serde::Deserialize;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

/// The part of an event that is read.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    /// The tenant and the batch, separated by a slash.
    #[serde(borrow)]
    subject: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

#[derive(Debug, Default)]
struct Heard {
    delivered: Mutex<HashMap<String, Instant>>,
    more: Notify,
}

/// A consumer of events, which stops when it is dropped.
pub(crate) struct Listener {
    heard: Arc<Heard>,
    _task: JoinSet<()>,
}

impl Listener {
    pub(crate) fn start(events: Consumer) -> Self {
        let heard = Arc::new(Heard::default());
        let mut task = JoinSet::new();
        task.spawn(listen(events, Arc::clone(&heard)));
        Self { heard, _task: task }
    }

    /// Returns when each of these batches was reported as delivered, after waiting until `deadline` at the latest.
    pub(crate) async fn delivered(&self, subjects: &[String], deadline: Instant) -> Vec<Option<Instant>> {
        loop {
            let more = self.heard.more.notified();
            let times: Vec<Option<Instant>> = {
                let heard = self.heard.delivered.lock().await;
                subjects.iter().map(|subject| heard.get(subject).copied()).collect()
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO || times.iter().all(Option::is_some) {
                return times;
            }
            // After an event and after a timeout alike, the loop checks again.
            drop(tokio::time::timeout(left, more).await);
        }
    }
}

async fn listen(mut events: Consumer, heard: Arc<Heard>) {
    while let Some(Ok(delivery)) = events.next().await {
        let at = Instant::now();
        let Ok(event) = serde_json::from_slice::<Event>(&delivery.data) else { continue };
        if event.kind.ends_with("batch.delivered.v1") {
            heard.delivered.lock().await.insert(event.subject.into_owned(), at);
            heard.more.notify_one();
        }
    }
}
