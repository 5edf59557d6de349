//! Pages: a tenant's own page, opened by a short-lived link. The secret is in the path, so nothing here needs a cookie.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::connection::{offered, said, save};
use super::connection_form::{ConnectionForm, NAMES};
use super::filters;
use super::frame::Frame;
use super::moment::Moment;
use super::notice::Notice;
use super::route::{Access, Route};
use super::tenant::{connected, found, stored};
use super::visit::Visit;
use crate::app::connections::verify::verify;
use crate::app::connections::{ConnectionRow, days_until_expiry, status, waiting};
use crate::app::shelf::{self, GroupFilter};
use crate::app::time::day_of;
use crate::app::view::StatusView;

/// From how many days before its end on people are reminded of a key.
const SOON_DAYS: i32 = 14;
/// How many causes are shown.
const MOST_CAUSES: usize = 20;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "linkPage",
        path: "/t/{link}",
        access: Access::Link,
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "setLinkConnection",
        path: "/t/{link}/connection",
        access: Access::Link,
        form: &NAMES,
        handler: |visit| Box::pin(set(visit)),
        ..Route::ACT
    },
    Route {
        id: "verifyLinkConnection",
        path: "/t/{link}/verify",
        access: Access::Link,
        handler: |visit| Box::pin(verify_one(visit)),
        ..Route::ACT
    },
];

/// A tenant's own page.
#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    frame: Frame,
    base: String,
    light: &'static str,
    sentence: String,
    remedy: Option<String>,
    connected: Option<String>,
    is_connected: bool,
    /// That the API key expires soon, or has expired.
    reminder: Option<String>,
    waiting: String,
    waiting_since: Option<Moment>,
    failed: Vec<Failed>,
    form: ConnectionForm,
}

/// What failed for one cause.
struct Failed {
    title: &'static str,
    sentence: &'static str,
    remedy: &'static str,
    shape: String,
    batches: u64,
    is_retried: bool,
}

async fn page(
    visit: &Visit,
    form: Option<ConnectionForm>,
    notice: Option<Notice>,
    code: u16,
) -> Result<Answer, Problem> {
    let (store, (tenant, row)) = (visit.store(), stored(visit).await?);
    let waits = waiting(store, &tenant).await?;
    let view = match &row {
        Some(row) => StatusView::of(row, &status(store, row).await?, waits, visit.now),
        None => StatusView::of_none(&tenant, waits),
    };
    let filter = GroupFilter { tenant: Some(tenant.clone()), ..GroupFilter::default() };
    let groups = shelf::groups(store, &filter).await?;
    let failed = |group: &shelf::Group| {
        let reason = group.reason?;
        Some(Failed {
            title: reason.title(),
            sentence: reason.cause(),
            remedy: reason.remedy(),
            shape: group.shape.clone(),
            batches: group.entries(),
            is_retried: group.dead == 0,
        })
    };
    let secret = visit.path.get("link").cloned().unwrap_or_default();
    let frame = visit.frame("", format!("Testmo for {tenant}"), "");
    let finding = row.as_ref().filter(|row| row.is_verified()).and_then(|row| row.finding.as_ref());
    let page = LinkPage {
        frame: Frame { viewer: None, notice, ..frame },
        base: format!("/t/{secret}"),
        light: view.light(),
        sentence: view.sentence().to_owned(),
        remedy: view.remedy().map(str::to_owned),
        connected: finding.and_then(connected),
        is_connected: row.is_some(),
        reminder: row.as_ref().and_then(|row| reminder(row, visit.now)),
        waiting: if waits.is_more { format!("{}+", waits.batches) } else { waits.batches.to_string() },
        waiting_since: waits.since.map(|at| visit.at(at)),
        failed: groups.iter().take(MOST_CAUSES).filter_map(failed).collect(),
        form: form.unwrap_or_else(|| ConnectionForm::of(row.as_ref())),
    };
    Ok(Answer::page(code, &page)?.framed_by(&visit.context().config.admin.frame_ancestors))
}

/// Says that the key of a connection expires soon, or has expired.
fn reminder(row: &ConnectionRow, now: i64) -> Option<String> {
    let (day, days) = (row.expires_on.as_deref()?, days_until_expiry(row, day_of(now))?);
    let when = match days {
        ..=-1 => "has expired".to_owned(),
        0 => "expires today".to_owned(),
        1 => "expires tomorrow".to_owned(),
        2..=SOON_DAYS => format!("expires in {days} days"),
        _ => return None,
    };
    Some(format!("The API key {when} ({day}). Enter a new one below."))
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    page(&visit, None, None, 200).await
}

async fn set(visit: Visit) -> Result<Answer, Problem> {
    let (_, row) = stored(&visit).await?;
    let form = ConnectionForm::of(row.as_ref()).entered(&visit.form);
    if visit.form.raw("then") == "choose" {
        return match offered(&visit).await? {
            Ok(choices) => page(&visit, Some(ConnectionForm { choices, ..form }), None, 200).await,
            Err(wrong) => page(&visit, Some(form.because(wrong)), None, 422).await,
        };
    }
    match save(&visit).await? {
        Ok(saved) => match said(&saved) {
            Ok(notice) => page(&visit, None, Some(notice), 200).await,
            Err(wrong) => {
                let form = ConnectionForm::of(Some(&saved.row)).entered(&visit.form).because(wrong);
                page(&visit, Some(form), None, 200).await
            }
        },
        Err(wrong) => page(&visit, Some(form.because(wrong)), None, 422).await,
    }
}

async fn verify_one(visit: Visit) -> Result<Answer, Problem> {
    let (tenant, context) = (visit.tenant()?, visit.context());
    let verified = verify(context, visit.actor()?, &context.client()?, &tenant).await?;
    let notice = verified.as_ref().map_or_else(|| Notice::mixed("No connection has been entered yet."), found);
    page(&visit, None, Some(notice), 200).await
}
