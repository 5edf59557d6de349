//! Serves one connection, request by request, kept alive, with the requested latency.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::{self, NewCases, NewFolders};
use super::world::{Admission, Wanted, World};

/// The world, shared within the one thread that serves it.
pub(super) type Shared = Rc<RefCell<World>>;

/// How many bytes are reserved for each buffer at first.
const CHUNK: usize = 64 * 1024;
/// The largest request, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// A request that is complete in the buffer, by the positions of its parts.
struct Framed {
    method: Method,
    target: std::ops::Range<usize>,
    body: std::ops::Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Get,
    Post,
    Other,
}

/// Serves a connection until it is closed, or sends bytes that are not HTTP.
pub(super) async fn serve(mut stream: TcpStream, world: Shared) {
    // A connection that has been closed needs no answer.
    drop(stream.set_nodelay(true));
    let (mut buffer, mut out) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
    loop {
        match frame(&buffer) {
            Ok(Some(framed)) => {
                out.clear();
                let age = world.borrow().age();
                let status = respond(&buffer, &framed, &world, age, &mut out).await;
                let sent = stream.write_all(&out).await;
                world.borrow_mut().answered(status, age);
                if sent.is_err() {
                    return;
                }
                buffer.drain(..framed.body.end);
            }
            Ok(None) if buffer.len() < LARGEST => match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            Ok(None) | Err(_) => return,
        }
    }
}

/// Finds the first request in a buffer, if the request is complete.
fn frame(buffer: &[u8]) -> Result<Option<Framed>, httparse::Error> {
    if buffer.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(buffer)? else { return Ok(None) };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
    let body = head..head + length.unwrap_or(0);
    if buffer.len() < body.end {
        return Ok(None);
    }
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        Some(_) | None => Method::Other,
    };
    let path = request.path.unwrap_or_default();
    let start = path.as_ptr() as usize - buffer.as_ptr() as usize;
    Ok(Some(Framed { method, target: start..start + path.len(), body }))
}

/// Carries a request out, and writes its answer.
async fn respond(buffer: &[u8], framed: &Framed, world: &Shared, age: u64, out: &mut Vec<u8>) -> u16 {
    let target = std::str::from_utf8(&buffer[framed.target.clone()]).unwrap_or_default();
    let body = &buffer[framed.body.clone()];
    let Some((account, path)) = wire::split_path(target) else { return missing(world, out) };
    let route = path.split('?').next().unwrap_or_default();
    let creates = framed.method == Method::Post && route.ends_with("/cases");
    let new: Option<NewCases> = if creates { serde_json::from_slice(body).ok() } else { None };
    if creates && new.is_none() {
        world.borrow_mut().admit(account, None, now());
        return write(out, 422, None, r#"{"message":"The cases could not be read."}"#);
    }
    let cases = new.as_ref().map(|new| new.cases.as_slice());
    let admission = world.borrow_mut().admit(account, cases, now());
    if let Admission::Refused(seconds) = admission {
        return write(out, 429, Some(seconds), r#"{"message":"Too Many Attempts."}"#);
    }
    if admission == Admission::KeyRefused {
        return write(out, 401, None, r#"{"message":"Unauthenticated."}"#);
    }
    let latency = world.borrow().latency_ms();
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    // The sender of a request from before a reset has ended, so nobody needs the result.
    let is_outdated = world.borrow().age() != age;
    if admission == Admission::Failed || is_outdated {
        return write(out, 503, None, r#"{"message":"Service Unavailable"}"#);
    }
    let mut world = world.borrow_mut();
    let (status, body) = match (cases, framed.method) {
        (Some(cases), _) => (201, world.create(account, cases, now())),
        (None, Method::Post) if route.ends_with("/folders") => match serde_json::from_slice::<NewFolders>(body) {
            Ok(new) => (201, world.create_folders(account, &new.folders, now())),
            Err(_) => (422, r#"{"message":"The folders could not be read."}"#.to_owned()),
        },
        (None, Method::Get) => look_up(&mut world, account, path, route),
        (None, Method::Post | Method::Other) => (404, NO_ROUTE.to_owned()),
    };
    write(out, status, None, &body)
}

const NO_ROUTE: &str = r#"{"message":"The route could not be found."}"#;

fn look_up(world: &mut World, account: &str, path: &str, route: &str) -> (u16, String) {
    let body = if route.ends_with("/cases") {
        let page = wire::number(path, "page").and_then(|page| usize::try_from(page).ok()).unwrap_or(1);
        let tags = wire::value(path, "tags").map(|tags| tags.split(',').collect());
        world.list(account, &Wanted { folder: wire::number(path, "folder_id"), tags, page }, now())
    } else if route.ends_with("/folders") {
        world.folders(account, now())
    } else if route == "/user" {
        r#"{"id":7,"name":"Push Bot","timezone":null,"date_format":null,"time_format":null}"#.to_owned()
    } else if route.starts_with("/projects/") && route.matches('/').count() == 2 {
        r#"{"result":{"id":1,"name":"Benchmark","is_completed":false},"expands":[]}"#.to_owned()
    } else {
        return (404, NO_ROUTE.to_owned());
    };
    (200, body)
}

fn missing(world: &Shared, out: &mut Vec<u8>) -> u16 {
    world.borrow_mut().admit("", None, now());
    write(out, 404, None, NO_ROUTE)
}

fn write(out: &mut Vec<u8>, status: u16, retry_after: Option<u64>, body: &str) -> u16 {
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    wire::answer(out, status, retry_after, &date, body);
    status
}

/// Returns the time in microseconds since 1970, which the harness and the target share.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::yield_now;

    use super::*;
    use crate::target::order::Manner;

    #[tokio::test]
    async fn a_request_from_before_a_reset_is_not_carried_out_after_it() {
        let world: Shared = Rc::new(RefCell::new(World::default()));
        world.borrow_mut().reset(Manner { latency_ms: 50, ..Manner::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let body = r#"{"cases": [{"name": "a", "folder_id": 1}]}"#;
        let head = format!("POST /a/api/v1/projects/1/cases HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
        client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let asked = async {
            while world.borrow().report().creates == 0 {
                yield_now().await;
            }
            world.borrow_mut().reset(Manner::default());
            let mut answer = vec![0; 12];
            client.read_exact(&mut answer).await.unwrap();
            drop(client);
            answer
        };
        let served = serve(stream, world.clone());
        let (answer, ()) = tokio::join!(asked, served);
        assert_eq!(answer, b"HTTP/1.1 503");
        let report = world.borrow().report();
        assert_eq!((report.cases, report.answers.len()), (0, 0));
    }
}
