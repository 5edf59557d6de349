//! Measures how many requests the target takes without a contestant; every measurement must stay far below this rate.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections, each with one request in flight.
const CONNECTIONS: usize = 16;

/// Returns how many requests of five cases were answered per second.
pub(crate) async fn measure(origin: &str, span: Duration) -> anyhow::Result<f64> {
    let address = origin.trim_start_matches("http://").split('/').next().context("an address")?.to_owned();
    let mut connections = JoinSet::new();
    let began = Instant::now();
    for _ in 0..CONNECTIONS {
        connections.spawn(drive(address.clone(), began + span));
    }
    let mut answered = 0;
    while let Some(ended) = connections.join_next().await {
        answered += ended??;
    }
    Ok(answered as f64 / began.elapsed().as_secs_f64())
}

async fn drive(address: String, until: Instant) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let request = request(&address);
    let (mut answered, mut buffer) = (0, Vec::with_capacity(16 * 1024));
    while Instant::now() < until {
        stream.write_all(&request).await?;
        buffer.clear();
        // The answer ends like this, and no other answer is on its way.
        while !buffer.ends_with(b"]}") {
            anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the target closed the connection");
        }
        answered += 1;
    }
    Ok(answered)
}

fn request(address: &str) -> Vec<u8> {
    let step = json!({"text1": "<p>Choose the card that ends in 4242</p>", "text3": "<p>The bank asks for a code</p>"});
    let case = |n: usize| json!({"name": format!("Case {n}"), "folder_id": 1, "custom_steps": [step, step, step], "tags": ["a"]});
    let body = json!({"cases": (0..5).map(case).collect::<Vec<_>>()}).to_string();
    format!(
        "POST /alone/api/v1/projects/1/cases HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
