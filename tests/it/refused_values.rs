//! Checks that a value which the database refuses holds up its own batch alone.

use sqlx::Connection;
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::ShelfState;

use crate::support::batches::batch;
use crate::support::postgres::{Postgres, REFUSE_BAD};
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_the_database_refuses_is_set_apart_and_its_neighbours_are_delivered() {
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    let mut conn = sqlx::AnyConnection::connect(&stage.config.store.url).await.expect("the database");
    sqlx::raw_sql(REFUSE_BAD).execute(&mut conn).await.expect("a trigger");
    conn.close().await.expect("an end");
    let process = Process::start(&stage).await;
    let bad = batch("acme", "bad", 2);
    for batch in [&batch("acme", "b-1", 2), &bad, &batch("acme", "b-2", 2)] {
        stage.publish(batch).await;
    }
    for id in ["acme/b-1", "acme/b-2"] {
        assert_eq!(stage.event_of(id).await["data"]["outcome"], "delivered");
    }
    let shelf = stage.shelf_until(|rows| rows.iter().any(|row| row.state == ShelfState::Dead)).await;
    assert_eq!((shelf.len(), shelf[0].content.reason), (1, Reason::CrashLoop));
    assert_eq!(*shelf[0].content.body, bad.to_string().into_bytes());
    let detail = shelf[0].content.detail.clone().expect("a detail");
    assert!(detail.contains("unsupported character"), "{detail}");
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
