//! Checks that a store can be moved from one database to the other and back, with a worker before and after.

use super::*;

/// Delivers before and after a move, without a batch being lost or created twice, or a key entered again.
async fn moved(mut stage: Stage, place: String) {
    let worker = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-before", 3)).await;
    stage.delivered("acme/b-before").await;
    stage.all_sent().await;
    done(&stage, &["lanes", "pause", "acme"]);
    stage.publish(&batch("acme", "b-waits", 2)).await;
    stage.shelf_until(|rows| rows.len() == 1).await;
    let former = stage.config.store.url.clone();
    stage.store.close().await;
    let (code, said) = run(&stage, &["store", "copy", "--to", &place, "--yes"]);
    assert_ne!(code, Some(0), "a worker uses the store: {said}");
    assert!(said.contains("stop"), "{said}");
    worker.stop().await;
    let said = done(&stage, &["store", "copy", "--to", &place, "--yes", "--because", "a larger machine"]);
    assert!(said.contains("both stores have the same") && said.contains("Set store.url"), "{said}");
    let said = refused(&stage, &["run"], 1);
    assert!(said.contains("was moved to") && said.contains("set store.url to that place"), "{said}");

    use_store(&mut stage, &place).await;
    let worker = Process::start(&stage).await;
    done(&stage, &["lanes", "resume", "acme"]);
    stage.publish(&batch("acme", "b-before", 3)).await;
    stage.publish(&batch("acme", "b-after", 1)).await;
    assert_eq!(stage.delivered("acme/b-waits").await["data"]["revision"], 1, "it was not restored");
    stage.delivered("acme/b-after").await;
    stage.delivered("acme/b-before").await;
    stage.all_sent().await;
    worker.stop().await;
    let all = [("b-before", 3), ("b-waits", 2), ("b-after", 1)].map(|(id, count)| (id.to_owned(), count));
    assert_eq!(in_testmo(&stage), expected(&all));
    let audit = done(&stage, &["audit", "--json"]);
    assert!(audit.contains("store.move") && audit.contains("a larger machine"), "{audit}");

    // Back to a place of the former kind; the former place itself is not empty.
    stage.store.close().await;
    assert!(refused(&stage, &["store", "copy", "--to", &former, "--yes"], 1).contains("not empty"));
    let back = if former.starts_with("sqlite:") {
        format!("sqlite:{}", path(&stage, "back.db"))
    } else {
        Postgres::shared().database()
    };
    done(&stage, &["store", "copy", "--to", &back, "--yes"]);
    use_store(&mut stage, &back).await;
    let worker = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-back", 1)).await;
    stage.delivered("acme/b-back").await;
    stage.all_sent().await;
    worker.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_moved_from_a_file_to_a_database_and_back() {
    let stage = Stage::with_tenants(&["acme"]).await;
    moved(stage, Postgres::shared().database()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_moved_from_a_database_to_a_file_and_back() {
    let stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    let file = format!("sqlite:{}", path(&stage, "moved.db"));
    moved(stage, file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_into_a_wrong_place_is_undone_by_the_command_that_the_refusal_names() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.store.close().await;
    let place = format!("sqlite:{}", path(&stage, "wrong.db"));
    done(&stage, &["store", "copy", "--to", &place, "--yes"]);
    let said = refused(&stage, &["run"], 1);
    let named = said.split('`').find(|part| part.starts_with("testmo-courier store")).expect("a command");
    let words: Vec<&str> = named.split(' ').skip(1).chain(["--yes"]).collect();
    done(&stage, &words);
    let url = stage.config.store.url.clone();
    use_store(&mut stage, &url).await;
    let worker = Process::start(&stage).await;
    worker.stop().await;
    stage.end().await;
}
