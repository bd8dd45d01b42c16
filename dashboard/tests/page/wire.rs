//! A browser that knows HTTP only.

use mobula_dashboard::Page;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a test waits for an answer; a loaded machine does not reach it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A connection to a page.
pub fn connect(page: &Page) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", page.port())).expect("the page listens");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends a request as it is, and reads the answer to its end.
pub fn send(page: &Page, request: &[u8]) -> Option<Answered> {
    let mut stream = connect(page);
    // The page may have answered and closed before all is sent.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answered { status, head: head.to_owned(), body: body.to_owned() })
}

/// Asks with these headers.
pub fn ask(page: &Page, path: &str, headers: &str) -> Answered {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{headers}\r\n", page.port());
    send(page, request.as_bytes()).expect("an answer")
}

/// Asks with the token.
pub fn get(page: &Page, path: &str) -> Answered {
    ask(page, path, &format!("Authorization: token {}\r\n", page.token()))
}

/// Asks for the stack of a process, as the page does.
pub fn ask_stack(page: &Page, body: &str) -> Answered {
    post_stack(page, &format!("Origin: http://127.0.0.1:{}\r\nContent-Type: application/json\r\n", page.port()), body)
}

/// The same with other headers.
pub fn post_stack(page: &Page, headers: &str, body: &str) -> Answered {
    let request = format!(
        "POST /api/stack HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nAuthorization: token {}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        page.port(),
        page.token(),
        body.len()
    );
    send(page, request.as_bytes()).expect("an answer")
}

/// The server-sent events of a page.
pub struct Events(BufReader<TcpStream>);

impl Events {
    pub fn of(page: &Page) -> Events {
        let mut stream = connect(page);
        let request = format!("GET /events?token={} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", page.token(), page.port());
        stream.write_all(request.as_bytes()).unwrap();
        Events(BufReader::new(stream))
    }

    /// The next event: its kind and its data.
    pub fn next(&mut self) -> (String, Value) {
        let (mut kind, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).expect("an event in time") > 0, "the events have ended");
            if let Some(name) = line.strip_prefix("event: ") {
                kind = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (kind, serde_json::from_str(data).unwrap());
            }
        }
    }

    /// The first step that `accepts`.
    pub fn step(&mut self, accepts: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (kind, step) = self.next();
            if kind == "step" && accepts(&step) {
                return step;
            }
        }
    }
}
