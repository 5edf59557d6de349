//! Checks what happens to values that a database refuses.

use super::postgres::{Postgres, REFUSE_BAD};
use super::stores::{config_of, connect, run};
use super::*;

#[tokio::test]
async fn a_database_that_cannot_hold_every_character_is_refused_with_the_command_that_makes_one() {
    let url = Postgres::shared().database();
    let name = format!("{}_latin1", url.rsplit('/').next().unwrap());
    let create = format!("CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    run(&mut connect(&url).await, &create).await;
    for create in [true, false] {
        let opened = Store::open(&config_of(&format!("{url}_latin1")), create, Clock::system()).await;
        let error = opened.unwrap_err();
        assert!(matches!(&error, StoreError::Encoding { encoding, .. } if encoding == "LATIN1"), "{error}");
        assert!(error.to_string().contains("createdb --encoding UTF8 --template template0 --locale C"), "{error}");
    }
}

#[tokio::test]
async fn a_value_that_is_refused_fails_its_own_change_alone() {
    let f = stores::postgres().await;
    run(&mut connect(&f.config.url).await, REFUSE_BAD).await;
    let change = |batch: &str| {
        let record = BatchRecord { epoch: 1, ..fresh(batch) };
        let change = Commit { batch: Some(RecordUpdate { record, from_epoch: 0 }), ..Commit::default() };
        f.store.commit(change.into())
    };
    let (before, refused, after) = tokio::join!(change("b1"), change("bad"), change("b2"));
    assert!(before.unwrap().is_done() && after.unwrap().is_done());
    assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
}
