//! Checks that hostile messages are shelved, each with its place and reason, and that no batch waits for them.

use std::collections::HashMap;

use serde_json::{Value, json};
use testmo_courier::batch::message::decode::{Undecodable, decode};
use testmo_courier::batch::{Reason, excerpt};
use testmo_courier::store::ShelfStore;
use testmo_courier::store::shelf::ShelfState;

use crate::support::batches::{batch, names};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;
use testmo_hostile::messages;

/// Returns why a message goes to the shelf, and the beginning of its detail; `None` if the message is a batch.
fn fate(message: &[u8], largest: usize) -> Option<(Reason, String)> {
    if message.len() > largest {
        return Some((Reason::TooLarge, format!("the message has {} bytes", message.len())));
    }
    let broken = decode(message).err()?;
    let reason = match &broken {
        Undecodable::NotJson(_) => Reason::NotJson,
        Undecodable::Schema { .. } => Reason::InvalidMessage,
    };
    Some((reason, excerpt(&broken.detail(), 1_000)))
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_messages_end_on_the_shelf_with_place_and_reason_and_block_no_neighbour() {
    let mut stage = Stage::with_tenants(&["acme", "other"]).await;
    stage.start_worker();
    let (mut bad, mut odd) = (HashMap::new(), Vec::new());
    let hostile = messages();
    let count = hostile.len();
    for (n, (name, message)) in hostile.into_iter().enumerate() {
        match fate(&message, stage.config.amqp.max_message_bytes) {
            Some(fate) => {
                stage.publish_bytes(message.clone()).await;
                bad.insert(message, (name, fate));
            }
            None => {
                let mut batch: Value =
                    serde_json::from_slice(message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&message)).unwrap();
                batch["batch_id"] = json!(format!("odd-{n}"));
                stage.publish(&batch).await;
                odd.push((name, format!("acme/odd-{n}")));
            }
        }
        stage.publish(&batch("other", &format!("b-{n}"), 1)).await;
    }
    assert!(bad.len() > 25 && !odd.is_empty(), "{} of {count}", bad.len());

    for n in 0..count {
        assert_eq!(stage.event_of(&format!("other/b-{n}")).await["data"]["outcome"], "delivered");
    }
    let wanted: Vec<String> = (0..count).flat_map(|n| names(&format!("b-{n}"), 1)).collect();
    let mut there = stage.account("other").case_names();
    there.sort_by_key(|name| wanted.iter().position(|wanted| wanted == name));
    assert_eq!(there, wanted);
    for (name, subject) in odd {
        let outcome = stage.event_of(&subject).await["data"]["outcome"].clone();
        assert!(["delivered", "partial", "failed"].iter().any(|known| outcome == *known), "{name}: {outcome}");
    }
    let dead = async || {
        let counts = stage.store.shelf_counts().await.unwrap();
        let broken = counts
            .iter()
            .filter(|count| matches!(count.reason, Some(Reason::NotJson | Reason::InvalidMessage | Reason::TooLarge)));
        broken.map(|count| count.count).sum::<i64>()
    };
    until(async || dead().await == i64::try_from(bad.len()).unwrap()).await;
    for row in stage.shelf().await {
        let Some((name, (reason, said))) = bad.remove(&*row.content.body) else { continue };
        assert_eq!((row.state, row.content.reason), (ShelfState::Dead, reason), "{name}");
        let detail = row.content.detail.unwrap();
        assert!(detail.starts_with(said.trim_end_matches('…')), "{name}: {detail}");
        if reason == Reason::InvalidMessage {
            assert!(detail.starts_with('/') || detail.starts_with("the message"), "{name} has no pointer: {detail}");
        }
    }
    assert!(bad.is_empty(), "{:?} are not on the shelf", bad.values());
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
