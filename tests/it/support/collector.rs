//! Takes spans as a collector of traces does: by OTLP over HTTP, in protobuf.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::waiting::patient;

/// A collector. It ends with the test that holds it.
pub(crate) struct Collector {
    endpoint: String,
    spans: watch::Receiver<Vec<Span>>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Kept {
    spans: watch::Sender<Vec<Span>>,
    answers: bool,
}

impl Collector {
    /// Returns a collector that takes everything.
    pub(crate) async fn start() -> Self {
        Self::with(true).await
    }

    /// Returns a collector that never answers.
    pub(crate) async fn stalled() -> Self {
        Self::with(false).await
    }

    async fn with(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().expect("its address"));
        let (sender, spans) = watch::channel(Vec::new());
        let router = Router::new().route("/v1/traces", post(take)).with_state(Kept { spans: sender, answers });
        let serving = async move { axum::serve(listener, router).await.expect("a server") };
        let serving = TaskTracker::new().spawn(serving);
        Self { endpoint, spans, serving }
    }

    /// Returns its address.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the spans once they are as they should be.
    pub(crate) async fn until(&self, wanted: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = self.spans.clone();
        let arrived = patient(spans.wait_for(|spans| wanted(spans))).await;
        arrived.expect("a collector").clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> (StatusCode, Vec<u8>) {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok());
    assert_eq!(kind, Some("application/x-protobuf"));
    let request = ExportTraceServiceRequest::decode(body).expect("a request by OTLP");
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.expect("a resource").attributes;
        assert!(resource.iter().any(|attribute| attribute.key == "service.name"), "{resource:?}");
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        kept.spans.send_modify(|all| all.extend(spans));
    }
    if !kept.answers {
        std::future::pending::<()>().await;
    }
    (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec())
}

/// Returns a text attribute of a span.
pub(crate) fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    let Some(Value::StringValue(text)) = &attribute.value.as_ref()?.value else { return None };
    Some(text)
}
