//! Routes: compares what was delivered with what Testmo shows now.

use super::super::admin::problem::Problem;
use super::call::Call;
use super::reply::Reply;
use super::route::{Answer, Kind, Parameter, Route, Scope};
use crate::app::batches::compare::{Selected, compare};
use crate::app::view::{ComparisonView, comparison_csv};

const FORMAT: Parameter = Parameter {
    name: "format",
    about: "The form of the answer; `json` if it is left out.",
    kind: Kind::Word(|| vec!["json", "csv"]),
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "compareTenant",
        path: "/api/v1/tenants/{tenant}/compare",
        about: "Reads the cases of a tenant's project from Testmo and says of each delivered case whether it is there once, \
                twice, changed, moved or missing.",
        handler: |call| Box::pin(async move { compared(&call, Selected::Tenant(call.tenant()?)).await }),
        ..COMPARE
    },
    Route {
        id: "compareBatch",
        path: "/api/v1/batches/{tenant}/{batch}/compare",
        about: "Reads the cases of a batch from Testmo and says of each whether it is there once, twice, changed, moved or \
                missing.",
        handler: |call| Box::pin(async move { compared(&call, Selected::Batch(call.batch()?)).await }),
        ..COMPARE
    },
];

/// Reads from Testmo with the permits that every request needs, and changes nothing.
const COMPARE: Route = Route {
    scope: Scope::Path,
    query: &[FORMAT],
    answers: &[(200, Answer::JsonOrCsv(|g| g.subschema_for::<ComparisonView>()))],
    refusals: &[409],
    reads_testmo: true,
    ..Route::READ
};

async fn compared(call: &Call, selected: Selected) -> Result<Reply, Problem> {
    let comparison = compare(call.context(), &selected).await?;
    match call.query.get("format").is_some_and(|format| format == "csv") {
        true => Ok(Reply::csv(comparison_csv(&comparison))),
        false => Reply::json(200, &ComparisonView::of(&comparison)),
    }
}
