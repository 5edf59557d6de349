//! Was anything lost, twice, out of order or told differently? The stand-in's own record decides.

use std::collections::BTreeMap;

use testmo_courier::batch::ledger::BatchState;

use crate::plan::TENANTS;
use crate::run::Record;
use crate::stage::Stage;

/// Every invariant that does not hold.
pub(crate) async fn check(stage: &Stage, record: &Record) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    for tenant in TENANTS {
        let mut there: BTreeMap<String, Vec<(u64, String, u64)>> = BTreeMap::new();
        for case in stage.testmo.account(tenant).cases() {
            let batch = case.name.split(' ').next().unwrap_or_default().to_owned();
            there.entry(batch).or_default().push((case.id, case.name, case.folder_id));
        }
        for ((_, id), names) in record.published.iter().filter(|((of, _), _)| of == tenant) {
            let mut rows = there.remove(id).unwrap_or_default();
            rows.sort();
            let found: Vec<&String> = rows.iter().map(|(_, name, _)| name).collect();
            if found != names.iter().collect::<Vec<_>>() {
                let (lost, twice) = difference(names, &found);
                broken.push(format!(
                    "{tenant}/{id}: lost {lost:?}, twice {twice:?}, {} of {}",
                    found.len(),
                    names.len()
                ));
            }
            if rows.iter().any(|(_, _, folder)| *folder != 1) {
                broken.push(format!("{tenant}/{id}: in another folder"));
            }
        }
        broken.extend(there.keys().map(|batch| format!("{tenant}: cases of {batch}, which was never published")));
    }
    for (tenant, id) in record.published.keys() {
        let key = format!("{tenant}/{id}");
        if let Some(stored) = stage.store.batch(&key.parse()?).await? {
            let state = stored.record.state;
            if state != BatchState::Delivered || stored.record.open_push.is_some() {
                broken.push(format!("{key}: {} with push {:?}", state.name(), stored.record.open_push));
            }
        }
        let heard = record.heard.get(&key).map_or(&[][..], Vec::as_slice);
        if heard.iter().any(|event| event != &heard[0]) {
            broken.push(format!("{key}: events differ"));
        }
    }
    Ok(broken)
}

fn difference(wanted: &[String], found: &[&String]) -> (Vec<String>, Vec<String>) {
    let mut counts: BTreeMap<&String, i64> = BTreeMap::new();
    for name in wanted {
        *counts.entry(name).or_default() += 1;
    }
    for name in found {
        *counts.entry(name).or_default() -= 1;
    }
    let named = |wanted: fn(i64) -> bool| {
        counts.iter().filter(|(_, count)| wanted(**count)).map(|(name, _)| (*name).clone()).take(5).collect()
    };
    (named(|count| count > 0), named(|count| count < 0))
}
