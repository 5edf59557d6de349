//! Writes what a batch would do with cases that earlier batches wrote.

use testmo_courier::app::messages::plan::{GenerationPlan, Planned, PlannedCase, PlannedRequests};

use super::super::output::visible;
use super::super::table::{List, counted, facts};

/// Returns the plan as text: counts, and each case with which something is done or that stays although it differs.
pub(super) fn plan_text(plan: &GenerationPlan) -> String {
    let kinds = Planned::ALL.iter().filter(|kind| plan.count(**kind) > 0);
    let mut counts: Vec<String> = kinds.map(|kind| format!("{} {}", plan.count(*kind), words(*kind))).collect();
    if !plan.dropped.is_empty() {
        counts.push(format!("{} no longer generated", plan.dropped.len()));
    }
    let mut head = vec![
        ("on_repeat", plan.mode.name().to_owned()),
        ("cases", counts.join(", ")),
        ("requests", requests(&plan.requests)),
        ("time", format!("about {} s, once it is the batch's turn", plan.seconds)),
    ];
    head.extend(plan.notes.iter().map(|note| ("note", visible(note).to_string())));
    let mut list = List::new(&["case", "plan", "id", "fields", "link"]);
    for case in plan.cases.iter().filter(|case| case.what != Planned::Same) {
        list.add(vec![
            visible(&case.key).to_string(),
            words(case.what).into(),
            case.testmo_id.map(|id| id.to_string()).unwrap_or_default(),
            fields(case),
            case.link.clone().unwrap_or_default(),
        ]);
    }
    for drop in &plan.dropped {
        let what = format!("no longer generated: {}", drop.what.word());
        list.add(vec![String::new(), what, drop.testmo_id.to_string(), String::new(), drop.link.clone()]);
    }
    let mut text = facts(&head);
    text.extend(list.columns().iter().filter(|_| !list.is_empty()).map(|line| format!("  {line}\n")));
    text
}

fn words(what: Planned) -> &'static str {
    match what {
        Planned::NotFound => "not found",
        Planned::Waits => "waits for a person",
        Planned::New | Planned::Same | Planned::Changed | Planned::Kept | Planned::Skipped | Planned::Superseded => {
            what.word()
        }
    }
}

fn requests(requests: &PlannedRequests) -> String {
    let parts = [
        (requests.reads, "to read"),
        (requests.creates, "to create"),
        (requests.updates, "to update"),
        (requests.removals, "to retire or delete"),
    ];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let total = counted(requests.total(), "request", "requests");
    if parts.is_empty() { total } else { format!("{total}: {}", parts.join(", ")) }
}

fn fields(case: &PlannedCase) -> String {
    let list = |verb: &str, columns: &[String]| (!columns.is_empty()).then(|| format!("{verb} {}", columns.join(", ")));
    let parts = [list("writes", &case.fields_written), list("keeps", &case.fields_kept)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::messages::plan::PlannedDrop;
    use testmo_courier::batch::ledger::DropChange;
    use testmo_courier::batch::message::OnRepeat;

    use super::*;

    #[test]
    fn a_plan_reads_like_this() {
        let case = |position: usize, what, testmo_id: Option<u64>, written: &[&str], kept: &[&str]| PlannedCase {
            position,
            key: format!("TC-{position}"),
            what,
            testmo_id,
            link: testmo_id.map(|id| format!("https://acme.testmo.net/repositories/1?group_id=5&case_id={id}")),
            fields_written: written.iter().map(|column| (*column).to_owned()).collect(),
            fields_kept: kept.iter().map(|column| (*column).to_owned()).collect(),
        };
        let link = "https://acme.testmo.net/repositories/1?group_id=5&case_id=9".to_owned();
        let plan = GenerationPlan {
            mode: OnRepeat::Update,
            cases: vec![
                case(1, Planned::New, None, &[], &[]),
                case(2, Planned::Same, Some(6), &[], &[]),
                case(3, Planned::Changed, Some(7), &["name", "tags"], &["custom_steps"]),
                case(4, Planned::NotFound, Some(8), &[], &[]),
            ],
            dropped: vec![PlannedDrop { testmo_id: 9, link, batch_id: None, what: DropChange::Retired }],
            requests: PlannedRequests { reads: 2, creates: 1, updates: 1, removals: 1 },
            seconds: 1,
            notes: vec!["batch b-1 is not finished, and this batch waits for it".into()],
        };
        insta::assert_snapshot!(plan_text(&plan));
    }
}
