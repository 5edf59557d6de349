//! Describes a request that was not carried out, as a problem document (RFC 9457).

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// The media type of problem documents.
pub(in crate::http) const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $status:literal $title:literal;)+) => {
        /// Why a request was not carried out: every code of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub(in crate::http) enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+
        }

        impl Code {
            /// Every code.
            #[cfg(test)]
            pub(in crate::http) const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the word in documents.
            pub(in crate::http) fn word(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// Returns the HTTP status that goes with it.
            pub(in crate::http) fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// Returns what it means, in a few words.
            pub(in crate::http) fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }
        }
    };
}

codes! {
    /// A parameter of the query or the path is unknown or wrong.
    InvalidParameter "invalid_parameter" 400 "A parameter is unknown or wrong";
    /// A header is missing or wrong.
    InvalidHeader "invalid_header" 400 "A header is wrong";
    /// The body is not JSON.
    NotJson "not_json" 400 "The body is not JSON";
    /// There is no token, or it is not valid.
    Unauthenticated "unauthenticated" 401 "A valid token is needed";
    /// The token's role may not do this.
    RoleTooLow "role_too_low" 403 "The role of the token is not sufficient";
    /// The token is limited to one tenant, and this concerns all.
    NotForTenantTokens "not_for_tenant_tokens" 403 "A token for one tenant may not do this";
    /// A page of another site, or nobody who can be told, sent the request.
    ForeignOrigin "foreign_origin" 403 "The request was not sent by a page of the console";
    /// There is no such thing, or the token may not know of it.
    NotFound "not_found" 404 "Not found";
    /// The path has no such method.
    MethodNotAllowed "method_not_allowed" 405 "The path does not have this method";
    /// The state of things does not allow this.
    Conflict "conflict" 409 "The present state does not allow this";
    /// The thing was changed meanwhile.
    ChangedMeanwhile "changed_meanwhile" 409 "Changed meanwhile";
    /// The same request is being carried out.
    RequestUnderWay "request_under_way" 409 "The same request is being carried out";
    /// The thing is not as the precondition says.
    PreconditionFailed "precondition_failed" 412 "The tenant's connection is not as If-Match or If-None-Match says";
    /// The body is too large.
    BodyTooLarge "body_too_large" 413 "The body is too large";
    /// The body has another media type.
    MediaType "media_type" 415 "The body has to be application/json";
    /// The host is not one under which the API is reached.
    Misdirected "misdirected" 421 "The host is not one of this API";
    /// A field of the body is missing, unknown or wrong.
    InvalidBody "invalid_body" 422 "A field of the body is missing, unknown or wrong";
    /// What was entered cannot be used.
    Refused "refused" 422 "What was entered cannot be used";
    /// The selection has more entries than one request changes.
    SelectionTooLarge "selection_too_large" 422 "The selection is too large for one request";
    /// The key was used for another request.
    KeyReused "key_reused" 422 "The Idempotency-Key was used for another request";
    /// A precondition is needed.
    PreconditionNeeded "precondition_needed" 428 "If-Match or If-None-Match is needed";
    /// A defect.
    Defect "defect" 500 "A defect in this program";
    /// The store does not answer.
    StoreUnavailable "store_unavailable" 503 "The store does not answer";
    /// Too many requests are being carried out.
    Busy "busy" 503 "Too many requests are being carried out";
    /// The request takes too long.
    TookTooLong "took_too_long" 503 "The request takes too long";
    /// Testmo cannot be asked now.
    TestmoUnavailable "testmo_unavailable" 503 "Testmo cannot be asked now";
}

/// Why a request was not carried out.
#[derive(Debug)]
pub(in crate::http) struct Problem {
    pub(in crate::http) code: Code,
    detail: String,
    remedy: Option<String>,
    pointer: Option<String>,
    parameter: Option<String>,
    faults: Box<[String]>,
}

/// A problem document.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct ProblemDocument {
    /// A URN that ends with the code.
    r#type: String,
    title: &'static str,
    status: u16,
    /// What is wrong.
    detail: String,
    code: Code,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// The place in the body, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// The parameter of the path or the query, or the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// Every fault of a message that is refused, each with its place and what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

impl Problem {
    /// Describes a problem by its code and what is wrong.
    pub(in crate::http) fn new(code: Code, detail: impl std::fmt::Display) -> Self {
        Self {
            code,
            detail: sentence(&detail.to_string()),
            remedy: None,
            pointer: None,
            parameter: None,
            faults: Box::default(),
        }
    }

    /// Describes a wrong parameter or header.
    pub(in crate::http) fn parameter(code: Code, name: &str, detail: impl std::fmt::Display) -> Self {
        Self { parameter: Some(name.to_owned()), ..Self::new(code, detail) }
    }

    /// Says that there is nothing of this name.
    pub(in crate::http) fn not_found(detail: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// Adds what to do.
    pub(in crate::http) fn remedy(self, remedy: impl std::fmt::Display) -> Self {
        Self { remedy: Some(sentence(&remedy.to_string())), ..self }
    }

    /// Adds the place in the body.
    pub(in crate::http) fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    /// Adds the faults of a message.
    pub(in crate::http) fn with_faults(self, faults: Vec<String>) -> Self {
        Self { faults: faults.into(), ..self }
    }

    /// Returns what is wrong, as one or more sentences.
    pub(in crate::http) fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns what to do, as one or more sentences.
    pub(in crate::http) fn what_to_do(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Returns the place that is wrong: that in the body, or the parameter or header.
    pub(in crate::http) fn place(&self) -> Option<&str> {
        self.pointer.as_deref().or(self.parameter.as_deref())
    }

    /// Returns the faults of a message.
    pub(in crate::http) fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Returns the document.
    pub(in crate::http) fn document(&self) -> ProblemDocument {
        ProblemDocument {
            r#type: format!("urn:testmo-courier:problem:{}", self.code.word()),
            title: self.code.title(),
            status: self.code.status(),
            detail: self.detail.clone(),
            code: self.code,
            remedy: self.remedy.clone(),
            pointer: self.pointer.clone(),
            parameter: self.parameter.clone(),
            faults: self.faults.to_vec(),
        }
    }
}

/// Writes a text as one or more sentences.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    let ends = text.ends_with(['.', '?', '!', '`', '"']);
    format!("{first}{}{}", characters.as_str(), if ends || text.is_empty() { "" } else { "." })
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.document())).into_response();
        if self.code == Code::Unauthenticated {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let may_pass = [Code::StoreUnavailable, Code::Busy, Code::TestmoUnavailable, Code::RequestUnderWay];
        if may_pass.contains(&self.code) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_word_of_its_own_with_a_status_that_says_it_failed() {
        let mut words: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..600).contains(&code.status()), "{code:?}");
            let document = serde_json::to_value(Problem::new(*code, "what is wrong").document()).unwrap();
            assert_eq!(document["code"], code.word());
            assert_eq!(document["detail"], "What is wrong.");
        }
    }

    #[test]
    fn a_problem_names_place_and_remedy() {
        let problem = Problem::new(Code::InvalidBody, "`x` is not a date.").at("/x").remedy("write the day");
        let document = serde_json::to_value(problem.document()).unwrap();
        assert_eq!((&document["pointer"], &document["remedy"]), (&"/x".into(), &"Write the day.".into()));
        assert_eq!(document["type"], "urn:testmo-courier:problem:invalid_body");
    }
}
