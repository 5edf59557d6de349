//! Keeps pages open that refresh themselves, as the console's script does while they are seen.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::try_join_all;

use super::visitor::Visitor;

/// How many pages are open.
pub(super) const OPEN: u32 = 50;
/// The time between two of them being opened.
const APART: Duration = Duration::from_millis(20);
/// The pages, in turn.
const PATHS: [&str; 10] = [
    "/",
    "/failures",
    "/failures/entries",
    "/tenants",
    "/batches",
    "/batches?state=partial",
    "/discarded",
    "/lanes",
    "/audit",
    "/replays",
];

/// How often pages were read, and how long each took in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Refreshes(Mutex<Vec<f64>>);

impl Refreshes {
    /// Returns the times so far.
    pub(super) fn taken(&self) -> Vec<f64> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn add(&self, took: Duration) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(took.as_secs_f64() * 1e3);
    }
}

/// Opens the pages, and refreshes each as often as it says; ends only when one cannot be read.
///
/// # Errors
/// When a page cannot be read.
pub(super) async fn keep_open(visitor: &Visitor, refreshes: &Refreshes) -> anyhow::Result<()> {
    // People open their pages one after the other.
    let page = |(number, path): (u32, &&'static str)| keep_one_open(visitor, path, APART * number, refreshes);
    try_join_all((0..OPEN).zip(PATHS.iter().cycle()).map(page)).await?;
    Ok(())
}

async fn keep_one_open(
    visitor: &Visitor,
    path: &str,
    mut wait: Duration,
    refreshes: &Refreshes,
) -> anyhow::Result<Infallible> {
    let visitor = visitor.in_another_window()?;
    loop {
        tokio::time::sleep(wait).await;
        let page = visitor.get(path).await?;
        refreshes.add(page.took);
        wait = Duration::from_secs(live(&page.text).with_context(|| format!("{path} does not refresh itself"))?);
    }
}

/// Returns after how many seconds a page is read again.
fn live(text: &str) -> Option<u64> {
    text.split_once("data-live=\"")?.1.split_once('"')?.0.parse().ok().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_how_often_it_is_read_again() {
        assert_eq!(live("<body data-live=\"5\">"), Some(5));
        assert_eq!([live("<body data-live=\"0\">"), live("<body>")], [None, None]);
    }
}
