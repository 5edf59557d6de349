//! Page: who has changed what.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::frame::Frame;
use super::moment::Moment;
use super::place::{PAGE, next_page, shelf_place};
use super::route::Route;
use super::steps::batch_address;
use super::visit::Visit;
use crate::app::BatchKey;
use crate::app::audit::{self, AuditAction, AuditError, AuditFilter, AuditId, AuditItem, Since};
use crate::app::shelf::TimeBound;
use crate::app::view::difference;
use crate::app::visible::in_shell;

/// The names of the filters.
const FILTERS: [&str; 7] = ["tenant", "batch", "actor", "action", "subject", "since", "until"];

pub(super) const ROUTES: &[Route] = &[Route {
    id: "audit",
    path: "/audit",
    query: &["tenant", "batch", "actor", "action", "subject", "since", "until", "after"],
    handler: |visit| Box::pin(list(visit)),
    ..Route::SHOW
}];

/// The changes.
#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    rows: Vec<Changed>,
    next: Option<String>,
    texts: [(&'static str, &'static str, String); 6],
    action: Option<AuditAction>,
}

/// A change that a person made.
struct Changed {
    at: Moment,
    actor: String,
    role: String,
    face: String,
    action: String,
    subject: String,
    batch: Option<(String, String)>,
    because: Option<String>,
    lines: Vec<String>,
    since: Option<String>,
}

impl Changed {
    fn of(item: &AuditItem, visit: &Visit) -> Self {
        let row = &item.row;
        let batch = row.tenant.as_ref().zip(row.batch.as_ref()).map(|(tenant, batch)| format!("{tenant}/{batch}"));
        Self {
            at: visit.at(row.at),
            actor: row.actor.clone(),
            role: row.role.clone(),
            face: row.face.replace('_', " "),
            action: row.action.clone(),
            subject: row.subject.clone(),
            batch: batch.map(|key| (batch_address(&key), key)),
            because: row.reason.clone(),
            lines: difference(row.before.as_deref(), row.after.as_deref()),
            since: item.since.as_ref().map(|since| match since {
                Since::Finished(state, at) => {
                    format!("{} {}", state.name(), crate::app::time::relative(*at, visit.now))
                }
                Since::Open => "open since".to_owned(),
                Since::Nothing => "no outcome since".to_owned(),
            }),
        }
    }
}

async fn list(visit: Visit) -> Result<Answer, Problem> {
    let query = &visit.query;
    let at = |bound: TimeBound| bound.at(visit.now);
    let tenant = visit.reach()?.only(query.parsed("tenant")?)?;
    let batch = match (&tenant, query.text("batch")) {
        (Some(tenant), Some(batch)) => {
            let wrong = |why| Problem::parameter(Code::InvalidParameter, "batch", why);
            Some(format!("{tenant}/{batch}").parse::<BatchKey>().map_err(wrong)?.batch)
        }
        (None, Some(_)) => {
            let why = "A batch is named with its tenant.";
            return Err(Problem::parameter(Code::InvalidParameter, "tenant", why).remedy("Enter the tenant, too."));
        }
        (_, None) => None,
    };
    let action: Option<AuditAction> = query.parsed("action")?;
    let filter = AuditFilter {
        tenant,
        batch,
        actor: query.parsed("actor")?,
        action,
        subject: query.parsed("subject")?,
        since: query.parsed("since")?.map(at),
        until: query.parsed("until")?.map(at),
        behind: shelf_place(&visit)?.map(|(at, id)| (at, AuditId(id))),
    };
    let page = audit::list(visit.store(), &filter, None, PAGE).await.map_err(|error| match error {
        AuditError::Store(error) => Problem::from(error),
        AuditError::NoTenant | AuditError::NoEntry(_) => Problem::parameter(Code::InvalidParameter, "tenant", error),
    })?;
    let last = page.entries.last().filter(|_| page.next.is_some());
    let mut command = "testmo-courier audit".to_owned();
    for name in FILTERS {
        command.extend(query.text(name).map(|value| format!(" --{name} {}", in_shell(value))));
    }
    let text = |name: &'static str, label: &'static str| (name, label, query.raw(name).to_owned());
    let page = Audit {
        frame: Frame { live: 10, ..visit.frame("/audit", "Audit", command) },
        rows: page.entries.iter().map(|item| Changed::of(item, &visit)).collect(),
        next: last.map(|last| next_page(&visit, &FILTERS, &format!("{}.{}", last.row.at, last.row.id))),
        texts: [
            text("tenant", "Tenant"),
            text("batch", "Batch"),
            text("actor", "Who"),
            text("subject", "What"),
            text("since", "Since"),
            text("until", "Before"),
        ],
        action,
    };
    Answer::page(200, &page)
}
