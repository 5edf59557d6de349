//! Describes a request to Testmo for tracing systems.

use super::Answer;
use super::transport::{Access, Method};
use crate::batch::verdict::answer::ApiError;
use crate::trace::{Attribute, Scope, Span, SpanKind, TraceContext};

/// Returns the span of a request, which has neither a key nor what was asked for. `own` is its place in the trace of the first
/// batch of `scope`; the other batches whose cases it has are linked. The times are in milliseconds since 1970.
pub(super) fn span_of(
    scope: &Scope,
    own: TraceContext,
    (access, method, path): (&Access, Method, &str),
    (began_at, ended_at): (i64, i64),
    end: &Result<Answer, ApiError>,
) -> Span {
    let route = route_of(path);
    let (scheme, rest) = access.origin.as_str().split_once("://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let texts = [("http.request.method", method.name()), ("url.scheme", scheme), ("server.address", host)];
    let mut attributes: Vec<_> = texts.map(|(name, text)| (name, Attribute::Text(text.to_owned()))).into();
    attributes.push(("url.template", Attribute::Text(route.clone())));
    let error = match end {
        Ok(answer) => {
            attributes.push(("http.response.status_code", Attribute::Number(answer.status.into())));
            (answer.status >= 400).then(|| format!("Testmo answered {}", answer.status))
        }
        Err(error) => Some(error.to_string()),
    };
    Span {
        parent: scope.parent().map(TraceContext::span_id),
        context: own,
        kind: SpanKind::Client,
        name: format!("{} {route}", method.name()),
        began_at,
        ended_at,
        attributes,
        links: scope.others().cloned().collect(),
        error,
    }
}

/// Returns what many paths have in common: `/projects/{id}/cases` for `/projects/3/cases?page=2`.
fn route_of(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let is_id = |part: &str| !part.is_empty() && part.bytes().all(|letter| letter.is_ascii_digit());
    path.split('/').map(|part| if is_id(part) { "{id}" } else { part }).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;
    use crate::testmo::AddressPolicy;

    fn context(trace: char, flags: &str) -> TraceContext {
        let trace = trace.to_string().repeat(32);
        TraceContext::of_stored(&format!("00-{trace}-00f067aa0ba902b7-{flags}")).unwrap()
    }

    #[test]
    fn a_request_is_part_of_the_first_recorded_batch_and_linked_to_the_others() {
        let origin = AddressPolicy::of_hosts(&["*.testmo.net"]).check("https://acme.testmo.net").unwrap();
        let access = Access { origin, key: "secret".into() };
        let (a, b, c) = (context('a', "00"), context('b', "01"), context('c', "01"));
        let scope = Scope::of([Some(&a), Some(&b), Some(&c)]);
        let own = b.in_span(crate::trace::SpanId::new([7; 8]).unwrap());
        let of = |end| {
            let call = (&access, Method::Post, "/projects/3/cases?tags=sqai-1");
            span_of(&scope, own.clone(), call, (1, 5), &end)
        };
        let span = of(Ok(Answer { status: 422, headers: HeaderMap::new(), body: b"secret".to_vec(), at: 0 }));
        assert_eq!((span.parent, &span.context), (Some(b.span_id()), &own));
        assert_eq!((span.links.as_slice(), span.began_at, span.ended_at), ([a, c].as_slice(), 1, 5));
        assert_eq!(span.name, "POST /projects/{id}/cases");
        assert_eq!(span.error.as_deref(), Some("Testmo answered 422"));
        let shown = format!("{span:?}");
        assert!(shown.contains("acme.testmo.net") && !shown.contains("secret") && !shown.contains("sqai-1"), "{shown}");
        assert!(of(Err(ApiError::TimedOut)).error.is_some());
    }

    #[test]
    fn paths_that_differ_by_ids_are_one_route() {
        for (path, route) in [
            ("/user", "/user"),
            ("/projects/3/folders?per_page=100", "/projects/{id}/folders"),
            ("/projects/31/cases/v2", "/projects/{id}/cases/v2"),
        ] {
            assert_eq!(route_of(path), route);
        }
    }
}
