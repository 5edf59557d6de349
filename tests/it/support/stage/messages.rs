//! Publishes batches and receives the events about them.

use std::collections::BTreeMap;

use serde_json::Value;
use testmo_courier::amqp::{HeaderValue, Outgoing, PublishError, Tail};
use testmo_hostile::RawPublisher;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, PathKind, Rule};

use super::Stage;
use crate::support::batches::{batch, on_create};
use crate::support::waiting::{patient, until};

impl Stage {
    /// Publishes bytes to the exchange for batches.
    pub(crate) async fn publish_bytes(&self, body: impl Into<Vec<u8>>) {
        self.publish_to("batch", body.into()).await.expect("a broker that takes it");
    }

    pub(crate) async fn publish_to(&self, routing_key: &str, body: Vec<u8>) -> Result<(), PublishError> {
        self.publisher.publish(self.outgoing(routing_key, body)).await
    }

    /// Publishes a batch with the time of its publishing, in seconds since 1970.
    pub(crate) async fn publish_at(&self, batch: &Value, seconds: u64) {
        let outgoing = self.outgoing("batch", batch.to_string().into_bytes());
        let outgoing = Outgoing { timestamp_secs: Some(seconds), ..outgoing };
        self.publisher.publish(outgoing).await.expect("a broker that takes it");
    }

    /// Publishes a batch with these headers.
    pub(crate) async fn publish_with_headers(&self, batch: &Value, headers: &[(&str, &str)]) {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), HeaderValue::Text((*value).to_owned()));
        let outgoing = self.outgoing("batch", batch.to_string().into_bytes());
        let outgoing = Outgoing { headers: headers.iter().map(text).collect(), ..outgoing };
        self.publisher.publish(outgoing).await.expect("a broker that takes it");
    }

    fn outgoing(&self, routing_key: &str, body: Vec<u8>) -> Outgoing {
        Outgoing {
            exchange: self.config.amqp.cases_exchange.clone(),
            routing_key: routing_key.to_owned(),
            body,
            content_type: Some("application/json".into()),
            ..Outgoing::default()
        }
    }

    pub(crate) async fn publish(&self, batch: &Value) {
        self.publish_bytes(batch.to_string()).await;
    }

    /// Publishes until the broker accepts the message, as a generator does.
    pub(crate) async fn publish_at_last(&self, batch: &Value) {
        until(async || self.publish_to("batch", batch.to_string().into_bytes()).await.is_ok()).await;
    }

    /// Publishes a batch of three cases that Testmo creates and answers with 503, and renames the second case before the
    /// worker can read the cases; returns the id of that case.
    pub(crate) async fn publish_and_rename(&self, tenant: &str, id: &str, name: &str) -> u64 {
        self.publish_whole_and_rename(&batch(tenant, id, 3), name).await
    }

    /// Does the same with a batch that has more than one case.
    pub(crate) async fn publish_whole_and_rename(&self, batch: &Value, name: &str) -> u64 {
        let account = self.account(batch["tenant_id"].as_str().expect("a tenant"));
        let cases = batch["cases"].as_array().map_or(0, Vec::len);
        let before = account.cases().len();
        let unanswered = on_create(Fault::status_after_commit(503)).times(1);
        let held = Rule::always(Fault::Held { commit: CommitTime::AfterDelay }).on(Method::Get, PathKind::Cases);
        account.set_faults([unanswered, held]);
        self.publish(batch).await;
        account.until(|station| station.account.cases.iter().len() == before + cases).await;
        let renamed = account.cases()[before + 1].id;
        assert!(account.change_case(renamed, |case| case.name = name.into()));
        account.clear_faults();
        renamed
    }

    /// Returns a publisher of bytes that no client library would send.
    pub(crate) fn raw_publisher(&self) -> RawPublisher {
        RawPublisher::connect(self.broker.port(), &self.vhost).expect("a broker")
    }

    /// Listens to events again after the broker was unavailable.
    pub(crate) async fn listen_again(&mut self) {
        self.events = Tail::open(&self.config.amqp, "#").await.expect("the events");
    }

    /// Binds a queue for these events only, and waits until none is bound for others.
    pub(crate) async fn listen_only_to(&mut self, pattern: &str) {
        let events = Tail::open(&self.config.amqp, pattern).await.expect("the events");
        std::mem::replace(&mut self.events, events).close().await;
        let list = ["-q", "list_queues", "-p", self.vhost.as_str(), "name", "--no-table-headers"];
        until(async || self.broker.ctl(&list).lines().filter(|name| name.starts_with("amq.gen")).count() == 1).await;
    }

    /// Returns the next event about any subject, with its headers.
    pub(crate) async fn next_event_with_headers(&mut self) -> (BTreeMap<String, String>, Value) {
        let message = patient(self.events.next()).await.expect("an event");
        (message.headers, serde_json::from_slice(&message.body).expect("an event in JSON"))
    }

    /// Returns the next event about any subject.
    pub(crate) async fn next_event(&mut self) -> Value {
        let message = patient(self.events.next()).await.expect("an event");
        serde_json::from_slice(&message.body).expect("an event in JSON")
    }

    /// Returns the next event about a subject; `""` for messages whose batch is not known.
    pub(crate) async fn event_of(&mut self, subject: &str) -> Value {
        patient(async {
            loop {
                let heard = self.heard.entry(subject.to_owned()).or_default();
                if !heard.is_empty() {
                    return heard.remove(0);
                }
                let message = self.events.next().await.expect("an event");
                let event: Value = serde_json::from_slice(&message.body).expect("an event in JSON");
                let about = event["subject"].as_str().unwrap_or_default().to_owned();
                self.heard.entry(about).or_default().push(event);
            }
        })
        .await
    }

    /// Waits for the event that a batch is delivered, skipping events that it is deferred.
    pub(crate) async fn delivered(&mut self, subject: &str) -> Value {
        loop {
            let event = self.event_of(subject).await;
            if event["data"]["outcome"] == "delivered" {
                return event;
            }
            assert_eq!(event["type"], "com.sqai-suite.testmo.batch.deferred.v1", "{event}");
        }
    }

    /// Returns how many events about a subject were received and not yet returned.
    pub(crate) fn heard(&self, subject: &str) -> usize {
        self.heard.get(subject).map_or(0, Vec::len)
    }
}
