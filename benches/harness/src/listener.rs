//! When did an event arrive? Reads the events of a virtual host and notes the time of each.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::Consumer;
use serde::Deserialize;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

/// What of an event is looked at.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    /// The tenant and the batch, with a slash between.
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

/// Whoever listens; it stops when it is dropped.
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

    /// When each of these batches was announced as delivered, waiting no longer than until `deadline` for it.
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
            // Either way it is looked again.
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
