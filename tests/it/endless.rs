//! Checks that an answer is bounded from its first byte on, and that an idle connection that was closed costs nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::ends::{JSON, LONG, push_within, trouble_at, unclear};
use crate::support::wire::{Wire, answer, hold, read_request, send};

const CREATED: &str = r#"{"result":[{"id":1},{"id":2},{"id":3}]}"#;

/// Sends a part of an answer again and again until the client has closed the connection.
fn without_end(stream: &mut TcpStream, part: &str) {
    let many = part.repeat(1_000);
    while stream.write_all(many.as_bytes()).is_ok() {}
}

#[tokio::test]
async fn informational_answers_without_end_are_not_read_for_ever() {
    let wire = Wire::after_request(|stream| without_end(stream, "HTTP/1.1 102 Processing\r\n\r\n"));
    unclear(&trouble_at(wire).await, "broken");
}

#[tokio::test]
async fn headers_without_end_are_not_read_for_ever() {
    let wire = Wire::after_request(|stream| {
        send(stream, "HTTP/1.1 201 Created\r\nX-Long: ");
        without_end(stream, "x");
    });
    unclear(&trouble_at(wire).await, "broken");
}

#[tokio::test]
async fn a_body_without_end_is_not_read_for_ever_however_small_its_chunks() {
    for chunk in ["1\r\nx\r\n", "1000\r\n"] {
        let wire = Wire::after_request(move |stream| {
            send(
                stream,
                "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            let filled =
                if chunk.starts_with("1000") { format!("{chunk}{}\r\n", "x".repeat(0x1000)) } else { chunk.into() };
            without_end(stream, &filled);
        });
        unclear(&trouble_at(wire).await, "unreadable");
    }
}

#[tokio::test]
async fn some_informational_answers_before_the_answer_do_no_harm() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100);
    let wire = Wire::answering(early + &answer("201 Created", JSON, CREATED));
    let end = push_within(&format!("http://{}", wire.address), crate::ends::BODY.into(), LONG, LONG).await;
    wire.end().await;
    assert_eq!(end.unwrap(), [Some(1), Some(2), Some(3)]);
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_was_closed_meanwhile_is_replaced() {
    let mut number = 0;
    let wire = Wire::start(2, move |mut stream| {
        number += 1;
        for _ in 0..if number == 1 { 2 } else { 1 } {
            read_request(&mut stream);
            send(&mut stream, &answer("201 Created", JSON, CREATED));
        }
        if number == 2 {
            hold(&mut stream);
        }
    });
    let client = crate::ends::Pusher::to(&format!("http://{}", wire.address), LONG, LONG);
    for _ in 0..3 {
        assert!(client.push(crate::ends::BODY.into()).await.is_ok());
    }
    drop(client);
    wire.end().await;
}

#[tokio::test]
async fn a_request_over_a_connection_that_is_closed_once_it_was_sent_is_not_repeated() {
    let wire = Wire::start(1, move |mut stream| {
        read_request(&mut stream);
        send(&mut stream, &answer("201 Created", JSON, CREATED));
        // The first byte of the next request: something of it has arrived.
        stream.read_exact(&mut [0]).unwrap();
    });
    let client = crate::ends::Pusher::to(&format!("http://{}", wire.address), LONG, LONG);
    assert!(client.push(crate::ends::BODY.into()).await.is_ok());
    unclear(&client.push(crate::ends::BODY.into()).await.unwrap_err(), "broken");
    wire.end().await;
}
