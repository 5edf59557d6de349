//! Keeps spans until they are sent, without ever holding up who ends them.

use std::fmt;
use std::time::Duration;

use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::model::{CountSpans, SpanEnd};
use super::otlp::data_of;
use crate::trace::span::{Record, Span};

/// The most spans that wait; further ones are dropped.
const MOST_WAITING: usize = 4_096;
/// The most spans in a request.
const MOST_AT_ONCE: usize = 512;
/// How long a span waits for others to go with it.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Takes spans for the queue.
#[derive(Clone)]
pub(super) struct Recorder {
    spans: Sender<Span>,
    count: CountSpans,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("spans", &self.spans).finish_non_exhaustive()
    }
}

impl Record for Recorder {
    fn record(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            (self.count)(SpanEnd::Dropped, 1);
        }
    }
}

/// The task that sends what is in the queue.
#[derive(Debug)]
pub(super) struct Queue {
    task: JoinHandle<()>,
    flushing: CancellationToken,
}

impl Queue {
    /// Sends what is left, until a time.
    pub(super) async fn flush(mut self, until: Instant) {
        self.flushing.cancel();
        if timeout_at(until, &mut self.task).await.is_err() {
            // What it still holds is counted as its receiver is dropped.
            self.task.abort();
            drop(self.task.await);
        }
    }
}

/// Starts the task.
pub(super) fn start<E: SpanExporter + 'static>(exporter: E, count: CountSpans) -> (Recorder, Queue) {
    let (spans, waiting) = mpsc::channel(MOST_WAITING);
    let flushing = CancellationToken::new();
    let sending = Sending {
        waiting: Waiting { spans: waiting, under_way: 0, count: count.clone() },
        exporter,
        is_failing: false,
    };
    // It has no part in the work and is ended by `flush`, so no task of the worker waits for it.
    let task = tokio_util::task::TaskTracker::new().spawn(sending.run(flushing.clone()));
    (Recorder { spans, count }, Queue { task, flushing })
}

/// The spans that wait. Those that are never sent are counted.
struct Waiting {
    spans: Receiver<Span>,
    /// How many were taken and have no end yet.
    under_way: u64,
    count: CountSpans,
}

impl Waiting {
    /// Takes spans until a request is full, some time is over, or `flushing`; none if nothing is left to be flushed.
    async fn take(&mut self, flushing: &CancellationToken) -> Vec<Span> {
        let mut taken = Vec::new();
        tokio::select! {
            biased;
            _ = self.spans.recv_many(&mut taken, MOST_AT_ONCE) => {}
            () = flushing.cancelled() => {}
        }
        let until = Instant::now() + LONGEST_WAIT;
        while (1..MOST_AT_ONCE).contains(&taken.len()) && !flushing.is_cancelled() {
            let room = MOST_AT_ONCE - taken.len();
            tokio::select! {
                biased;
                () = flushing.cancelled() => {}
                more = timeout_at(until, self.spans.recv_many(&mut taken, room)) => {
                    if matches!(more, Err(_) | Ok(0)) {
                        break;
                    }
                }
            }
        }
        self.under_way = taken.len() as u64;
        taken
    }

    fn ended(&mut self, end: SpanEnd) {
        (self.count)(end, std::mem::take(&mut self.under_way));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.spans.close();
        while self.spans.try_recv().is_ok() {
            self.under_way += 1;
        }
        if self.under_way > 0 {
            self.ended(SpanEnd::Dropped);
        }
    }
}

struct Sending<E> {
    waiting: Waiting,
    exporter: E,
    is_failing: bool,
}

impl<E: SpanExporter> Sending<E> {
    async fn run(mut self, flushing: CancellationToken) {
        loop {
            let spans = self.waiting.take(&flushing).await;
            if spans.is_empty() {
                return;
            }
            let data: Vec<SpanData> = spans.iter().map(data_of).collect();
            match self.exporter.export(data).await {
                Ok(()) => {
                    self.waiting.ended(SpanEnd::Exported);
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("the collector takes spans again");
                    }
                }
                Err(error) => {
                    self.waiting.ended(SpanEnd::Failed);
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(%error, "the collector does not take spans; they are lost until it does");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::trace::context::TraceContext;
    use crate::trace::span::SpanKind;

    /// A collector that answers as often as it is allowed to.
    #[derive(Clone, Debug)]
    struct Answering {
        asked: Arc<Semaphore>,
        answers: Arc<Semaphore>,
        sizes: Arc<Mutex<Vec<usize>>>,
        refuses: bool,
    }

    impl SpanExporter for Answering {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.sizes.lock().unwrap().push(batch.len());
            self.asked.add_permits(1);
            self.answers.acquire().await.unwrap().forget();
            if self.refuses { Err(OTelSdkError::InternalFailure("503".into())) } else { Ok(()) }
        }
    }

    #[derive(Clone, Debug, Default)]
    struct Counts(Arc<Mutex<Vec<(SpanEnd, u64)>>>);

    impl Counts {
        fn of(&self, end: SpanEnd) -> u64 {
            self.0.lock().unwrap().iter().filter(|(of, _)| *of == end).map(|(_, count)| count).sum()
        }

        fn all(&self) -> [u64; 3] {
            SpanEnd::ALL.map(|end| self.of(end))
        }
    }

    fn started(answers: usize, refuses: bool) -> (Recorder, Queue, Answering, Counts) {
        let (asked, answers) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(answers)));
        let answering = Answering { asked, answers, sizes: Arc::default(), refuses };
        let counts = Counts::default();
        let kept = counts.clone();
        let count: CountSpans = Arc::new(move |end, spans| kept.0.lock().unwrap().push((end, spans)));
        let (recorder, queue) = start(answering.clone(), count);
        (recorder, queue, answering, counts)
    }

    fn record(recorder: &Recorder, count: usize) {
        let context = TraceContext::of_stored("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        for _ in 0..count {
            recorder.record(Span {
                context: context.clone(),
                parent: None,
                kind: SpanKind::Client,
                name: "n".into(),
                began_at: 1,
                ended_at: 2,
                attributes: Vec::new(),
                links: Vec::new(),
                error: None,
            });
        }
    }

    /// Returns a time that is not reached.
    fn late() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[tokio::test]
    async fn spans_go_together_and_what_is_left_is_sent_at_the_end() {
        let (recorder, queue, answering, counts) = started(10, false);
        record(&recorder, MOST_AT_ONCE + 5);
        queue.flush(late()).await;
        assert_eq!(*answering.sizes.lock().unwrap(), [MOST_AT_ONCE, 5]);
        assert_eq!(counts.all(), [MOST_AT_ONCE as u64 + 5, 0, 0]);
        record(&recorder, 1);
        assert_eq!(counts.of(SpanEnd::Dropped), 1, "it is over");
    }

    #[tokio::test]
    async fn a_collector_that_does_not_answer_costs_spans_and_no_time() {
        let (recorder, queue, answering, counts) = started(0, false);
        record(&recorder, MOST_AT_ONCE);
        answering.asked.acquire().await.unwrap().forget();
        record(&recorder, MOST_WAITING + 7);
        assert_eq!(counts.all(), [0, 7, 0], "there is no room");
        queue.flush(Instant::now()).await;
        assert_eq!(counts.all(), [0, (MOST_AT_ONCE + MOST_WAITING + 7) as u64, 0], "there is no time");
    }

    #[tokio::test]
    async fn spans_that_the_collector_refuses_are_counted_and_later_ones_are_sent() {
        let (recorder, queue, answering, counts) = started(10, true);
        record(&recorder, MOST_AT_ONCE + 2);
        queue.flush(late()).await;
        assert_eq!(*answering.sizes.lock().unwrap(), [MOST_AT_ONCE, 2]);
        assert_eq!(counts.all(), [0, 0, MOST_AT_ONCE as u64 + 2]);
    }

    #[tokio::test]
    async fn nothing_is_waited_for_if_nothing_is_left() {
        let (_recorder, queue, _, counts) = started(0, false);
        queue.flush(late()).await;
        assert_eq!(counts.all(), [0, 0, 0]);
    }
}
