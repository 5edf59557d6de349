//! Writes events for people: the outcome on one line, and below it what to do about what did not arrive.

use testmo_courier::app::events::{ReceivedCase, ReceivedEvent, ReceivedFault};

use super::output::{Colour, Output, visible};
use super::table::counted;

/// How many refused cases and faults are shown; the rest are counted.
const MOST_DETAILS: usize = 20;

fn case_name(case: &ReceivedCase) -> String {
    case.external_id.clone().unwrap_or_else(|| format!("#{}", case.position))
}

fn case_line(case: &ReceivedCase) -> String {
    if let (Some(link), Some(duplicate)) = (&case.link, &case.duplicate_link) {
        return format!("{}  {link}  and  {duplicate}", case_name(case));
    }
    let said = case.said.iter().map(|said| format!("{}: {}", said.field, said.message));
    let mut why: Vec<String> = said.collect();
    if why.is_empty() {
        why.extend(case.reason.clone().or_else(|| case.left_detail.clone()));
    }
    why.extend(case.remedy.as_ref().map(|remedy| format!("→ {remedy}")));
    let name = case.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    format!("{}{name} {}  {}", case_name(case), case.outcome, why.join("  "))
}

/// Writes the outcome on one line and, for what did not arrive, the explanations below it.
pub(crate) fn lines(event: &ReceivedEvent, out: &Output) -> Vec<String> {
    let mut lines = vec![headline(event, out)];
    let explanation = explanation(event);
    lines.extend(explanation.iter().map(|line| format!("            {}", visible(line))));
    lines
}

fn headline(event: &ReceivedEvent, out: &Output) -> String {
    let colour = match event.outcome.as_str() {
        "delivered" | "restored" => Colour::Green,
        "partial" | "deferred" | "duplicated" | "overwritten" | "expiring" | "undone" | "cleaned" => Colour::Amber,
        _ => Colour::Red,
    };
    let arrived = event.cases.iter().filter(|case| case.arrived()).count();
    let cases = match event.cases.len() {
        0 => String::new(),
        all if all == arrived || event.reports_duplicates() => counted(all, "case", "cases"),
        all => format!("{arrived} of {}", counted(all, "case", "cases")),
    };
    let link = event.cases.iter().find_map(|case| case.link.clone());
    let word = out.paint(colour, &format!("{:<10}", visible(&event.outcome)));
    let back = event.batches.map(|batches| format!("{} sent", counted(batches, "batch is", "batches are")));
    let key = event.expires_on.as_ref().map(|date| match event.days_left {
        Some(0) => format!("the API key expires on {date}, the day of this event"),
        Some(days) => format!("the API key expires on {date}, in {}", counted(days, "day", "days")),
        None => format!("the API key expired on {date}"),
    });
    let rest = [Some(name(event)), Some(cases), back, key, event.reason.clone(), link].into_iter().flatten();
    let rest: Vec<String> = rest.filter(|part| !part.is_empty()).collect();
    format!("{word}  {}", visible(&rest.join("  ")))
}

/// Writes which batch it is, or which message if its batch could not be read.
fn name(event: &ReceivedEvent) -> String {
    match (&event.tenant_id, &event.batch_id, &event.message_hash) {
        (Some(tenant), Some(batch), _) => format!("{tenant}/{batch}"),
        (Some(tenant), None, None) => tenant.clone(),
        (_, _, Some(hash)) => format!("message {}", hash.chars().take(12).collect::<String>()),
        (None, _, None) => "an unknown batch".into(),
    }
}

fn explanation(event: &ReceivedEvent) -> Vec<String> {
    if event.is_delivered() {
        return Vec::new();
    }
    let remedy = event.remedy.as_ref().map(|remedy| format!("→ {remedy}"));
    let mut lines: Vec<String> = [event.cause.clone(), event.detail.clone(), remedy].into_iter().flatten().collect();
    let fault = |fault: &ReceivedFault| {
        let place = if fault.pointer.is_empty() { "the message" } else { &fault.pointer };
        let case = fault.case.map(|position| format!(" (case #{position})")).unwrap_or_default();
        format!("{place}{case}  {}  → {}", fault.what, fault.remedy)
    };
    let refused = event.cases.iter().filter(|case| !case.arrived()).map(case_line);
    let details: Vec<String> = event.faults.iter().map(fault).chain(refused).collect();
    lines.extend(details.iter().take(MOST_DETAILS).cloned());
    if details.len() > MOST_DETAILS {
        lines.push(format!("and {} more", details.len() - MOST_DETAILS));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testmo_courier::batch::event::{
        CONNECTION_FAILED, CONNECTION_RESTORED, DEFERRED, DUPLICATED, KEY_EXPIRED, KEY_EXPIRING,
    };

    use super::*;

    fn shown(data: serde_json::Value) -> String {
        let body = json!({"specversion": "1.0", "type": "x", "data": data}).to_string();
        lines(&ReceivedEvent::read(body.as_bytes()).unwrap(), &Output::stdout(true)).join("\n")
    }

    #[test]
    fn outcomes_read_like_this() {
        let link = "https://acme.testmo.net/repositories/3?group_id=428&case_id=3721";
        let delivered = shown(json!({
            "tenant_id": "acme", "batch_id": "b-1", "outcome": "delivered",
            "cases": [{"position": 1, "outcome": "created", "testmo_id": 3721, "link": link}],
        }));
        let partial = shown(json!({
            "tenant_id": "acme", "batch_id": "b-2", "outcome": "partial", "reason": "case_refused",
            "cause": "Testmo refused the case.", "remedy": "Mend the case.",
            "cases": [
                {"position": 1, "external_id": "TC-1", "outcome": "adopted", "link": link},
                {"position": 2, "name": "Pay", "outcome": "refused", "reason": "case_refused", "remedy": "Fix it.",
                 "said": [{"field": "tags", "message": "invalid\u{1b}[2J"}]},
            ],
        }));
        let failed = shown(json!({
            "tenant_id": null, "batch_id": null, "outcome": "invalid", "message_hash": "0123456789abcdef",
            "reason": "invalid_message", "cause": "The message breaks the contract.", "remedy": "Fix it.",
            "faults": [{"pointer": "/cases/0/name", "case": 1, "what": "is missing", "remedy": "every message needs it"}],
        }));
        insta::assert_snapshot!([delivered, partial, failed].join("\n"));
    }

    #[test]
    fn events_of_waits_connections_and_keys_read_like_this() {
        let shown = |kind: &str, data: serde_json::Value| {
            let body = json!({"specversion": "1.0", "type": kind, "data": data}).to_string();
            lines(&ReceivedEvent::read(body.as_bytes()).unwrap(), &Output::stdout(true)).join("\n")
        };
        let why =
            json!({"tenant_id": "acme", "batch_id": "b-1", "reason": "key_refused", "cause": "C.", "remedy": "R."});
        let twice = json!({"tenant_id": "acme", "batch_id": "b-1", "cause": "C.", "remedy": "R.", "cases": [
            {"position": 1, "external_id": "TC-1", "testmo_id": 1, "link": "http://one", "duplicate_id": 9,
             "duplicate_link": "http://other"}]});
        let of_tenant = json!({"tenant_id": "acme", "reason": "key_refused", "cause": "C.", "remedy": "R."});
        let expiring = json!({"tenant_id": "acme", "expires_on": "2026-12-31", "days_left": 7, "remedy": "R."});
        insta::assert_snapshot!(
            [
                shown(DEFERRED, why),
                shown(DUPLICATED, twice),
                shown(CONNECTION_FAILED, of_tenant),
                shown(CONNECTION_RESTORED, json!({"tenant_id": "acme", "batches": 2})),
                shown(KEY_EXPIRING, expiring),
                shown(KEY_EXPIRED, json!({"tenant_id": "acme", "expires_on": "2026-12-31", "remedy": "R."})),
            ]
            .join("\n")
        );
    }
}
