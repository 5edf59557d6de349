//! Has people take batches back on the command line, again until that has come to its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use testmo_courier::batch::undo::UndoKind;
use testmo_courier::store::Store;
use tokio::time::{Instant, sleep};

use super::{Generation, Generations, SOURCES};
use crate::person::Person;

/// How long a person gives the same command again.
const PATIENCE: Duration = Duration::from_secs(240);
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// What a command says that no later one changes.
const FINAL: [&str; 4] = ["there is nothing", "Nothing", "nothing to take back", "is not known"];

/// Takes one of the batches back that are known, or takes that back.
pub(crate) async fn take_back(
    person: Arc<Person>,
    store: Store,
    generations: Vec<Generation>,
    (pick, kind, deletes): (usize, UndoKind, bool),
) -> anyhow::Result<()> {
    let mut known = Vec::new();
    for generation in &generations {
        if matches!(store.batch(&generation.key()?).await, Ok(Some(_))) {
            known.push(generation.id());
        }
    }
    let Some(id) = pick.checked_rem(known.len()).map(|at| known.swap_remove(at)) else { return Ok(()) };
    until_done(&person, &id, kind, deletes).await
}

/// Takes every batch back, of each source the latest first.
pub(crate) async fn take_all_back(person: &Person, generations: &Generations, deletes: bool) -> anyhow::Result<()> {
    let mut all: Vec<&Generation> = generations.all.iter().collect();
    all.sort_by_key(|generation| std::cmp::Reverse((generation.source, generation.number)));
    for generation in all {
        until_done(person, &generation.id(), UndoKind::Undo, deletes).await?;
    }
    Ok(())
}

async fn until_done(person: &Person, id: &str, kind: UndoKind, deletes: bool) -> anyhow::Result<()> {
    let command = match kind {
        UndoKind::Undo => "undo",
        UndoKind::Restore => "restore",
        UndoKind::Duplicates => "remove-duplicates",
    };
    let batch = format!("{SOURCES}/{id}");
    let mut words = ["batches", command, &batch, "--because", "chaos", "--yes", "--json"].map(str::to_owned).to_vec();
    words.extend((deletes && kind != UndoKind::Restore).then(|| "--delete".to_owned()));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (is_done, said) = person.try_once(&words).await?;
        if is_done || FINAL.iter().any(|words| said.contains(words)) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{words:?} does not come to its end: {said}");
        sleep(PAUSE).await;
    }
}
