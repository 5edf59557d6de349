//! Describes a batch from its delivery to its outcome, for tracing systems.

use crate::batch::ledger::BatchState;
use crate::batch::{BatchKey, Reason};
use crate::trace::{Attribute, Span, SpanKind, TraceContext};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, InboundMessage};

/// A batch with an outcome.
pub(in crate::worker) struct Ended<'a> {
    pub(in crate::worker) key: &'a BatchKey,
    pub(in crate::worker) message: &'a InboundMessage,
    /// The number of the outcome.
    pub(in crate::worker) revision: u32,
    pub(in crate::worker) cases: usize,
    /// The span of the batch.
    pub(in crate::worker) own: Option<&'a TraceContext>,
    /// The span of an earlier outcome.
    pub(in crate::worker) former: Option<&'a TraceContext>,
}

impl<'a> Ended<'a> {
    /// Returns a batch in hand.
    pub(in crate::worker) fn of(batch: &'a ActiveBatch) -> Self {
        Self {
            key: &batch.key.batch,
            message: &batch.message,
            revision: batch.record.revision,
            cases: batch.record.cases.len(),
            own: batch.trace(),
            former: batch.former_trace.as_ref(),
        }
    }

    /// Records the span of the batch, if its trace is recorded.
    pub(in crate::worker) fn record(&self, context: &WorkerContext, state: BatchState, reason: Option<Reason>) {
        if let Some(own) = self.own.filter(|own| context.spans.are_recorded(own)) {
            context.spans.record(self.span(own, state, reason, context.store.now()));
        }
    }

    /// Returns the span of the batch, which ended at `now`, in milliseconds on the store's clock.
    fn span(&self, own: &TraceContext, state: BatchState, reason: Option<Reason>, now: i64) -> Span {
        let named = self.message.trace();
        let (same, other): (Vec<_>, Vec<_>) = named.into_iter().partition(|of| of.trace_id() == own.trace_id());
        let text = |text: &str| Attribute::Text(text.to_owned());
        let mut attributes = vec![
            ("messaging.system", text("rabbitmq")),
            ("testmo_courier.tenant_id", text(self.key.tenant.as_str())),
            ("testmo_courier.batch_id", text(self.key.batch.as_str())),
            ("testmo_courier.revision", Attribute::Number(self.revision.into())),
            ("testmo_courier.cases", Attribute::Number(i64::try_from(self.cases).unwrap_or(i64::MAX))),
            ("testmo_courier.outcome", text(state.name())),
        ];
        attributes.extend(reason.map(|reason| ("testmo_courier.reason", text(reason.code()))));
        Span {
            context: own.clone(),
            parent: same.first().filter(|named| !named.begins_here()).map(TraceContext::span_id),
            kind: SpanKind::Consumer,
            name: "batch".into(),
            began_at: self.message.arrived_at,
            ended_at: now.max(self.message.arrived_at),
            attributes,
            links: self.former.cloned().into_iter().chain(other).collect(),
            error: reason.map(|reason| reason.title().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Record, Spans};
    use crate::worker::model::batch_of;

    #[derive(Debug)]
    struct Nowhere;

    impl Record for Nowhere {
        fn record(&self, _: Span) {}
    }

    const NAMED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn batch_named(traceparent: &str) -> ActiveBatch {
        batch_of(2, |message| drop(message.headers.insert("traceparent".into(), traceparent.into())))
    }

    fn span_of(batch: &ActiveBatch) -> Span {
        Ended::of(batch).span(batch.trace().unwrap(), BatchState::Delivered, None, 9)
    }

    #[test]
    fn a_batch_is_part_of_the_span_that_its_message_names() {
        let spans = Spans::recorded_by(Box::new(Nowhere), 1.0);
        let mut batch = batch_named(NAMED);
        batch.join_trace(&spans);
        let span = span_of(&batch);
        let named = batch.message.trace().unwrap();
        assert_eq!(span.parent, Some(named.span_id()));
        assert_eq!(span.context, spans.of_batch(&named, "acme/b-1", 1));
        assert_eq!((span.began_at, span.ended_at, span.links.len()), (5, 9, 0));
        let failed = Ended::of(&batch).span(&named, BatchState::Failed, Some(Reason::AllRefused), 9);
        assert_eq!(failed.error.as_deref(), Some(Reason::AllRefused.title()));
        assert!(failed.attributes.contains(&("testmo_courier.reason", Attribute::Text("all_refused".into()))));
    }

    #[test]
    fn a_replay_has_another_span_in_the_trace_and_is_linked_to_the_former_one() {
        let spans = Spans::recorded_by(Box::new(Nowhere), 1.0);
        let mut batch = batch_named(NAMED);
        batch.join_trace(&spans);
        let first = batch.trace().cloned().unwrap();
        // As it is read from the ledger.
        (batch.record.revision, batch.record.trace, batch.stored_epoch) = (2, Some(first.clone()), 1);
        batch.join_trace(&spans);
        let again = span_of(&batch);
        assert_eq!(again.context.trace_id(), first.trace_id());
        assert_ne!(again.context.span_id(), first.span_id());
        assert_eq!(again.links, [first]);
    }

    #[test]
    fn a_copy_with_another_trace_is_linked_and_a_trace_that_begins_here_has_no_parent() {
        let spans = Spans::recorded_by(Box::new(Nowhere), 1.0);
        let mut batch = batch_named("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        batch.record.trace = TraceContext::of_stored(NAMED);
        batch.join_trace(&spans);
        let span = span_of(&batch);
        assert_eq!((span.parent, span.links.as_slice()), (None, [batch.message.trace().unwrap()].as_slice()));
        assert_eq!(span.context.trace_id(), TraceContext::of_stored(NAMED).unwrap().trace_id());
        let root = spans.root().unwrap();
        let mut batch = batch_named(&root.traceparent());
        batch.join_trace(&spans);
        assert_eq!((span_of(&batch).parent, span_of(&batch).context.trace_id()), (None, root.trace_id()));
    }

    #[test]
    fn without_a_collector_a_batch_keeps_what_its_message_names() {
        let mut batch = batch_named(NAMED);
        batch.join_trace(&Spans::default());
        assert_eq!(batch.trace().map(TraceContext::traceparent).as_deref(), Some(NAMED));
    }
}
