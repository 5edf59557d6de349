//! Publishes messages whose bytes no client library would send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The largest frame, in bytes, that RabbitMQ agrees to by default.
pub const FRAME_MAX: u32 = 131_072;
/// The longest wait for an answer of the broker.
const PATIENCE: Duration = Duration::from_secs(60);
const FRAME_END: u8 = 0xCE;

/// A connection with one channel, on which the broker confirms each message that it has stored.
pub struct RawPublisher(TcpStream);

impl RawPublisher {
    /// Connects to the broker on a port of loopback.
    ///
    /// # Errors
    /// When no broker is there, or it ends the connection.
    pub fn connect(port: u16, vhost: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        let mut this = Self(stream);
        this.0.write_all(b"AMQP\0\0\x09\x01").map_err(|error| error.to_string())?;
        this.answer((10, 10))?;
        let login = [&long(b"")[..], &short(b"PLAIN"), &long(b"\0guest\0guest"), &short(b"en_US")].concat();
        this.method(0, (10, 11), &login);
        this.answer((10, 30))?;
        this.method(0, (10, 31), &[&[0, 1][..], &FRAME_MAX.to_be_bytes(), &[0, 0]].concat());
        this.call(0, (10, 40), &[&short(vhost.as_bytes())[..], &short(b""), &[0]].concat())?;
        this.call(1, (20, 10), &short(b""))?;
        this.call(1, (85, 10), &[0])?;
        Ok(this)
    }

    /// Declares a durable queue without arguments, which the broker makes a classic one.
    ///
    /// # Errors
    /// The broker's own words if it refuses the queue; the connection is over then.
    pub fn declare_classic_queue(&mut self, name: &str) -> Result<(), String> {
        const DURABLE: u8 = 2;
        self.call(1, (50, 10), &[&[0, 0][..], &short(name.as_bytes()), &[DURABLE], &long(b"")].concat())
    }

    /// Publishes a persistent message with a table of headers, and waits until it is stored.
    ///
    /// # Errors
    /// The broker's own words if it refuses the message; the connection is over then.
    pub fn with_headers(&mut self, exchange: &str, table: &[u8], body: &[u8]) -> Result<(), String> {
        self.publish(exchange, b"batch", (1 << 13) | (1 << 12), &[&long(table)[..], &[2]].concat(), body)
    }

    /// Publishes a message with the given property flags and properties, and waits until it is stored.
    ///
    /// # Errors
    /// The broker's own words if it refuses the message; the connection is over then.
    pub fn publish(
        &mut self,
        exchange: &str,
        routing_key: &[u8],
        flags: u16,
        properties: &[u8],
        body: &[u8],
    ) -> Result<(), String> {
        let arguments = [&[0, 0][..], &short(exchange.as_bytes()), &short(routing_key), &[0]].concat();
        self.method(1, (60, 40), &arguments);
        let size = u64::try_from(body.len()).expect("a length");
        let header = [&[0, 60, 0, 0][..], &size.to_be_bytes(), &flags.to_be_bytes(), properties].concat();
        self.frame(2, 1, &header);
        self.frame(3, 1, body);
        self.answer((60, 80))
    }

    fn call(&mut self, channel: u16, (class, method): (u16, u16), arguments: &[u8]) -> Result<(), String> {
        self.method(channel, (class, method), arguments);
        self.answer((class, method + 1))
    }

    fn method(&mut self, channel: u16, (class, method): (u16, u16), arguments: &[u8]) {
        self.frame(1, channel, &[&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat());
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let frame = [&[kind][..], &channel.to_be_bytes(), &long(payload), &[FRAME_END]].concat();
        assert!(frame.len() <= usize::try_from(FRAME_MAX).expect("a length"), "{} bytes", frame.len());
        // If the broker has closed the connection, its answer says why.
        drop(self.0.write_all(&frame));
    }

    /// Waits for a method; any other method is returned as the broker's error.
    fn answer(&mut self, wanted: (u16, u16)) -> Result<(), String> {
        let mut prefix = [0; 7];
        self.0.read_exact(&mut prefix).map_err(|error| error.to_string())?;
        let size = u32::from_be_bytes([prefix[3], prefix[4], prefix[5], prefix[6]]);
        let mut payload = vec![0; usize::try_from(size).expect("a length") + 1];
        self.0.read_exact(&mut payload).map_err(|error| error.to_string())?;
        let number = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        match (number(0), number(2)) == wanted {
            true => Ok(()),
            false => Err(payload.escape_ascii().to_string()),
        }
    }
}

/// Returns an entry of a table.
pub fn entry(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&short(name)[..], value].concat()
}

/// Returns a text as the value of a header.
pub fn text(bytes: &[u8]) -> Vec<u8> {
    [&b"S"[..], &long(bytes)].concat()
}

/// Returns a value with `levels` nested levels: tables in tables (`F`) or arrays in arrays (`A`).
pub fn nested(levels: usize, kind: u8) -> Vec<u8> {
    let name = usize::from(kind == b'F');
    let mut value = Vec::new();
    for level in 0..levels {
        let inside = (levels - level - 1) * (5 + name) + name + 1;
        value.push(kind);
        value.extend(u32::try_from(inside).expect("a length").to_be_bytes());
        value.extend((name > 0).then_some(0));
    }
    value.push(b'V');
    value
}

/// Returns a short text: at most 255 bytes, with their number in front.
pub fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).expect("a short text")][..], bytes].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("a length").to_be_bytes()[..], bytes].concat()
}
