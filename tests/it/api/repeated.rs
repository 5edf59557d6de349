//! Repeats requests with the same Idempotency-Key.

use serde_json::json;
use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;

use super::support::both;
use crate::support::batches::batch;
use crate::support::stage::LeftOver;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_is_answered_and_not_carried_out_again() {
    for api in both(&["acme"]).await {
        let admin = api.token("admin", Role::Admin, None).await;
        let with = |key: &str| format!("Idempotency-Key: {key}\r\n");
        let make = |key: &str, name: &str, token: &str| {
            let body = json!({"name": name, "role": "admin"});
            api.ask("POST", "/api/v1/tokens", token, &with(key), Some(&body))
        };
        let first = make("k-1", "ci", &admin);
        assert_eq!(first.header("idempotency-replayed"), None);
        let first = first.is(201);
        let again = make("k-1", "ci", &admin);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let again = again.is(201);
        assert_eq!((&again["name"], &again["created_at"]), (&first["name"], &first["created_at"]));
        assert!(first["secret"].is_string() && again["secret"].is_null(), "a secret is shown once");
        make("k-1", "other", &admin).refused(422, "key_reused");
        make("k-2", "ci", &admin).refused(409, "conflict");
        // A refused request has changed nothing, so it is tried again.
        make("k-2", "ci-2", &admin).is(201);
        let ci = first["secret"].as_str().expect("a secret");
        make("k-1", "of-ci", ci).is(201);
        for key in ["a b", "ä", &"x".repeat(256)] {
            make(key, "x", &admin).refused(400, "invalid_header");
        }
        api.end().await.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_same_requests_at_once_one_is_carried_out() {
    for api in both(&["acme"]).await {
        for n in 0..5 {
            api.stage.shelve(&batch("acme", &format!("b-{n}"), 1), Reason::RetriesExhausted).await;
        }
        let operator = api.token("operator", Role::Operator, None).await;
        let body = json!({"selection": {"all": true}, "reason": "a test"});
        let send = || api.ask("POST", "/api/v1/shelf/discard", &operator, "Idempotency-Key: once\r\n", Some(&body));
        let answers = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let runtime = tokio::runtime::Handle::current();
                let threads: Vec<_> = (0..4)
                    .map(|_| {
                        let runtime = runtime.clone();
                        scope.spawn(move || {
                            let _entered = runtime.enter();
                            send()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().expect("an answer")).collect::<Vec<_>>()
            })
        });
        let mut carried_out = 0;
        for answer in answers {
            match answer.status {
                200 => {
                    carried_out += usize::from(answer.header("idempotency-replayed").is_none());
                    let body = answer.is(200);
                    assert_eq!(body["outcome"]["discarded"].as_array().map(Vec::len), Some(5), "{body}");
                }
                _ => drop(answer.refused(409, "request_under_way")),
            }
        }
        assert_eq!(carried_out, 1);
        assert_eq!(send().is(200)["outcome"]["discarded"].as_array().map(Vec::len), Some(5));
        api.end().await.end_leaving(&[LeftOver::Events]).await;
    }
}
