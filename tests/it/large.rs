//! Checks what messages above the limit cost, and what is kept of them.

use testmo_courier::batch::Reason;
use testmo_courier::store::ShelfStore;
use testmo_courier::store::shelf::ShelfState;

use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// Large enough for the allocator to return its memory at once.
const SIZE: usize = 40_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_are_kept_whole_and_once_and_take_the_memory_of_a_few() {
    let memory = [("COURIER_WORKER__MAX_QUEUED_BYTES", "4000000")];
    let stage = Stage::on(Broker::shared(), &["acme"], &memory).await;
    let body = |n: u8| {
        let mut body = vec![b'x'; SIZE];
        body[0] = n;
        body
    };
    let process = Process::start(&stage).await;
    let idle = process.peak_memory();
    for n in [0, 1, 2, 3, 3] {
        stage.publish_bytes(body(n)).await;
    }
    let dead = async || {
        let counts = stage.store.shelf_counts().await.unwrap();
        let dead =
            counts.iter().filter(|count| (count.state, count.reason) == (ShelfState::Dead, Some(Reason::TooLarge)));
        dead.map(|count| count.count).sum::<i64>()
    };
    until(async || dead().await == 4 && Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
    let taken = process.peak_memory() - idle;
    assert!(taken < 6 * SIZE as u64, "{taken} bytes for messages of {SIZE}");
    process.stop().await;
    let mut kept: Vec<u8> = Vec::new();
    for row in stage.shelf().await {
        assert_eq!(*row.content.body, body(row.content.body[0]));
        kept.push(row.content.body[0]);
    }
    kept.sort_unstable();
    assert_eq!(kept, [0, 1, 2, 3]);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
