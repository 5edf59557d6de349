//! Writes spans in the form of OpenTelemetry, and builds the exporter that sends them by OTLP over HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace as otel;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _, SpanLinks};

use super::model::Destination;
use crate::trace::context::TraceContext;
use crate::trace::span::{Attribute, Span, SpanKind};

/// How long a request to the collector may take, repetitions included.
const LONGEST_EXPORT: Duration = Duration::from_secs(10);

/// Builds the exporter.
pub(super) fn exporter(to: &Destination) -> Result<SpanExporter, ExporterBuildError> {
    let builder = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    let mut exporter = builder.with_endpoint(&to.endpoint).with_timeout(LONGEST_EXPORT).build()?;
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [("service.version", version.to_owned()), ("service.instance.id", to.instance.clone())];
    let attributes = attributes.map(|(name, value)| KeyValue::new(name, value));
    exporter.set_resource(
        &Resource::builder_empty().with_service_name("testmo-courier").with_attributes(attributes).build(),
    );
    Ok(exporter)
}

/// Writes a span in the form that the exporter takes.
pub(super) fn data_of(span: &Span) -> SpanData {
    let parent = span.parent.map_or(otel::SpanId::INVALID, |parent| otel::SpanId::from_bytes(parent.bytes()));
    let mut links = SpanLinks::default();
    links.links = span.links.iter().map(|link| otel::Link::with_context(context_of(link))).collect();
    SpanData {
        span_context: context_of(&span.context),
        parent_span_id: parent,
        parent_span_is_remote: span.kind == SpanKind::Consumer && span.parent.is_some(),
        span_kind: match span.kind {
            SpanKind::Consumer => otel::SpanKind::Consumer,
            SpanKind::Client => otel::SpanKind::Client,
        },
        name: span.name.clone().into(),
        start_time: time_of(span.began_at),
        end_time: time_of(span.ended_at),
        attributes: span.attributes.iter().map(|(name, value)| attribute_of(name, value)).collect(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links,
        status: span.error.clone().map_or(otel::Status::Unset, otel::Status::error),
        instrumentation_scope: InstrumentationScope::builder("testmo-courier").build(),
    }
}

fn context_of(context: &TraceContext) -> otel::SpanContext {
    let state = context.tracestate().and_then(|state| state.parse().ok()).unwrap_or_default();
    let flags = if context.is_sampled() { otel::TraceFlags::SAMPLED } else { otel::TraceFlags::default() };
    let (trace, span) = (context.trace_id().bytes(), context.span_id().bytes());
    otel::SpanContext::new(otel::TraceId::from_bytes(trace), otel::SpanId::from_bytes(span), flags, false, state)
}

fn attribute_of(name: &'static str, value: &Attribute) -> KeyValue {
    match value {
        Attribute::Text(text) => KeyValue::new(name, text.clone()),
        Attribute::Number(number) => KeyValue::new(name, *number),
    }
}

fn time_of(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
