//! `find`: finds batches and cases by what a customer names.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::TenantId;
use testmo_courier::app::find::{
    self, CaseHit, FindPlace, FindRequest, Found, Hit, Reach, ShelfHit, TextPart, Unsearched,
};
use testmo_courier::app::time::rfc3339;
use testmo_courier::app::view::FoundView;

use super::failure::Failure;
use super::open::{configuration, store};
use super::output::{Output, in_shell, visible};
use super::table::{Form, List, note, shortened};

/// How many characters of a case's name a list shows.
const NAME_CHARACTERS: usize = 60;

const EXAMPLES: &str = "\
TEXT is a part of a batch_id, of a case's name or external_id, of a source key or of a batch tag, in upper or lower case;
the number of a case in Testmo; a link into Testmo; or TENANT/BATCH. A text of one or two characters has to be a whole value.
Batches are found on the shelf, and when they are finished, for as long as store.retention keeps them. A batch that is in a
worker's hand is found by TENANT/BATCH. The list begins with the batches that became known last.

Examples:
  testmo-courier find 'sign in with an expired code'
  testmo-courier find SHOP-142 --tenant acme
  testmo-courier find 'https://acme.testmo.net/repositories/3?group_id=428&case_id=3721' --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to find
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    text: String,
    /// Only batches of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// The maximum number of batches; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Go on where an earlier list ended, which named this place
    #[arg(long, value_name = "PLACE")]
    after: Option<FindPlace>,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn execute(arguments: &Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let Arguments { text, tenant, limit, after, form } = arguments;
    let request = FindRequest { text: text.clone(), tenant: tenant.clone(), after: *after, limit: *limit };
    let found = find::find(&store, &request).await?;
    if form.json {
        out.json(&FoundView::of(&found, text, tenant.as_ref().map(TenantId::as_str)))?;
    } else {
        table(&found.hits).write(out, form.plain, &nothing(&request, &found))?;
        if let (false, Some(key)) = (form.plain, found.hits.iter().find_map(|hit| hit.key.as_ref())) {
            let batch = if found.hits.len() == 1 { key.to_string() } else { "TENANT/BATCH".into() };
            let show = in_shell(&visible(&batch)).into_owned();
            note(&format!("`testmo-courier batches show {show}` shows everything that happened to the batch."))?;
        }
    }
    remarks(&found).iter().try_for_each(|remark| note(remark))
}

/// Says that nothing was found, and what was searched.
fn nothing(request: &FindRequest, found: &Found) -> String {
    let whose = request.tenant.as_ref().map_or("all tenants".to_owned(), |tenant| format!("tenant {tenant}"));
    let text = shortened(&visible(request.text.trim()), NAME_CHARACTERS);
    if request.after.is_some() {
        return format!("Nothing else was found for `{text}`.");
    }
    let searched = match (&found.needle.text, &found.needle.account, found.needle.testmo_id) {
        (None, Some(account), Some(id)) => format!("cases with the number {id} in {account}"),
        (_, _, Some(_)) => {
            "batch ids, case names, external ids, source keys, batch tags and numbers of cases in Testmo".into()
        }
        (..) => "batch ids, case names, external ids, source keys and batch tags".into(),
    };
    format!(
        "Nothing was found for `{text}`. Searched: {searched}, of {whose}, on the shelf and in the batches that were finished \
         within store.retention. A batch that waits in the broker or in a worker is not found."
    )
}

/// Says what a person has to know of the list.
fn remarks(found: &Found) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks
        .extend(found.next.map(|place| format!("There are more: add --after {place} to go on, or --limit 0 for all.")));
    match (&found.needle.text, found.reach) {
        (Some(TextPart::Whole(_)), _) => remarks.push(format!(
            "A text of fewer than {} characters is compared with whole values.",
            find::SHORTEST_PART
        )),
        (Some(TextPart::Any(_)), Reach::WordBeginnings) => remarks.push(
            "This database has no index of trigrams (pg_trgm), so that each word of the text was compared with the beginnings \
             of words."
                .into(),
        ),
        (Some(TextPart::Any(_)), Reach::AnyPart) | (None, _) => {}
    }
    let Unsearched { since, before, shelf } = found.unsearched;
    let mut left = Vec::new();
    left.extend(since.and_then(rfc3339).map(|since| format!("batches that were finished since {since}")));
    left.extend(before.and_then(rfc3339).map(|before| format!("some batches that were finished before {before}")));
    left.extend(shelf.then(|| "some entries of the shelf".to_owned()));
    if !left.is_empty() {
        let left = left.join("; ");
        remarks.push(format!("A running worker is still making searchable: {left}. TENANT/BATCH finds them now."));
    }
    remarks
}

fn table(hits: &[Hit]) -> List {
    let mut list = List::new(&["batch", "state", "on the shelf", "found by", "case", "in Testmo"]);
    for hit in hits {
        let first = hit.cases.first();
        let mut found_by: Vec<&str> = hit.found_by.iter().map(|kind| kind.name()).collect();
        found_by.extend(first.iter().flat_map(|case| &case.found_by).map(|kind| kind.name()));
        list.add(vec![
            batch(hit),
            hit.record.as_ref().map_or("not sent", |record| record.state.name()).into(),
            hit.shelf.iter().map(entry).collect::<Vec<_>>().join(", "),
            found_by.join(", "),
            first.map(|case| described(case, hit.cases.len() - 1)).unwrap_or_default(),
            first.map(in_testmo).unwrap_or_default(),
        ]);
    }
    list
}

fn batch(hit: &Hit) -> String {
    match (&hit.key, &hit.tenant) {
        (Some(key), _) => key.to_string(),
        (None, Some(tenant)) => format!("{tenant}/?"),
        (None, None) => "?".into(),
    }
}

fn entry(entry: &ShelfHit) -> String {
    let state = entry.state.map_or("in another state", |state| state.name());
    let reason = entry.reason.map_or("another reason", |reason| reason.code());
    format!("{} {state} {reason}", entry.id)
}

fn described(case: &CaseHit, more: usize) -> String {
    let label = case.external_id.clone().unwrap_or_else(|| format!("#{}", case.position));
    let name = case.name.as_ref().map(|name| format!(" {}", shortened(name, NAME_CHARACTERS)));
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    format!("{label}{}{more}", name.unwrap_or_default())
}

fn in_testmo(case: &CaseHit) -> String {
    case.link.clone().or_else(|| case.testmo_id.map(|id| id.to_string())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::Reason;
    use testmo_courier::app::find::ValueKind;
    use testmo_courier::batch::ledger::BatchRecord;
    use testmo_courier::store::shelf::{ShelfId, ShelfState};

    use super::*;

    fn found(text: &str, hits: Vec<Hit>, next: Option<&str>) -> Found {
        Found {
            hits,
            next: next.map(|place| place.parse().unwrap()),
            needle: text.parse().unwrap(),
            reach: Reach::AnyPart,
            unsearched: Unsearched::default(),
        }
    }

    fn hits() -> Vec<Hit> {
        let case = |position: usize, external_id: Option<&str>, id: Option<u64>| CaseHit {
            position,
            name: Some(format!("Sign in with {}", "an expired code ".repeat(position * 3))),
            external_id: external_id.map(Into::into),
            testmo_id: id,
            link: id.map(|id| format!("https://acme.testmo.net/repositories/3?group_id=428&case_id={id}")),
            found_by: vec![ValueKind::Name],
        };
        let key = || "acme/shop-142-1".parse().ok();
        let entry = |id: i64, reason| ShelfHit {
            id: ShelfId(id),
            key: key(),
            state: Some(ShelfState::Dead),
            reason,
            shelved_at: 1_800_000_000_000,
        };
        let keys = ["TC-1".to_owned(), "#2".to_owned()];
        let first = Hit {
            tenant: "acme".parse().ok(),
            key: key(),
            record: Some(BatchRecord::fresh("acme/shop-142-1".parse().unwrap(), "1:x".into(), keys)),
            shelf: vec![entry(26, Some(Reason::CaseRefused))],
            source_key: Some("SIGN".into()),
            found_by: vec![ValueKind::SourceKey],
            cases: vec![case(1, Some("TC-1"), Some(3721)), case(2, None, None)],
        };
        let unreadable = Hit {
            tenant: None,
            key: None,
            record: None,
            shelf: vec![entry(27, None)],
            source_key: None,
            found_by: vec![],
            cases: vec![CaseHit { name: Some("sign\u{1b}[2J".into()), ..case(1, None, None) }],
        };
        vec![first, unreadable]
    }

    #[test]
    fn what_was_found_reads_like_this() {
        let found = found("sign", hits(), Some("1000000a3"));
        insta::assert_snapshot!(table(&found.hits).columns().join("\n"));
        let view = FoundView::of(&found, "sign", Some("acme"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
    }

    #[test]
    fn what_was_searched_reads_like_this() {
        let request = |text: &str, tenant: Option<&str>, after: Option<&str>| FindRequest {
            text: text.into(),
            tenant: tenant.map(|tenant| tenant.parse().unwrap()),
            after: after.map(|after| after.parse().unwrap()),
            limit: 50,
        };
        let link = "https://acme.testmo.net/repositories/3?case_id=3721";
        let mut said: Vec<String> =
            [("zzz", None, None), ("3721", Some("acme"), None), (link, None, None), ("zzz", None, Some("7"))]
                .into_iter()
                .map(|(text, tenant, after)| nothing(&request(text, tenant, after), &found(text, vec![], None)))
                .collect();
        let unsearched = Unsearched { since: Some(1_800_000_000_000), before: Some(1_790_000_000_000), shelf: true };
        for found in [
            found("ab", vec![], Some("a3")),
            Found { reach: Reach::WordBeginnings, unsearched, ..found("sign", vec![], None) },
            found(link, vec![], None),
        ] {
            said.push(format!("{:?}: {}", found.needle.text, remarks(&found).join(" | ")));
        }
        insta::assert_snapshot!(said.join("\n"));
    }
}
