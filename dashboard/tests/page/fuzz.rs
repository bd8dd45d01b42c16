//! Requests that no browser sends: whatever comes, the next one is answered.

use crate::runtime::Made;
use crate::wire::{connect, get, send};
use mobula_dashboard::Page;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::io::Write;
use std::net::TcpStream;

/// Pieces of requests, right and wrong.
fn request(page: &Page) -> impl Strategy<Value = Vec<u8>> {
    let token = page.token().to_owned();
    let path = prop_oneof![
        Just("/".to_owned()),
        Just("/api/task?id=1.0&attempt=99999999999999999999".to_owned()),
        Just("/api/log?after=-1".to_owned()),
        Just("/api/log?after=18446744073709551615".to_owned()),
        Just("/api/cells?after=%FF%00".to_owned()),
        Just("/api/tasks?limit=18446744073709551615".to_owned()),
        Just(format!("/api/status?token={token}")),
        Just(format!("/api/stack?token={token}")),
        Just(format!("//evil.example/%2e%2e/%2e%2e/etc/passwd?token={token}")),
        "/[ -~]{0,80}",
        "/[a-z]{2000,9000}",
    ];
    let method = prop_oneof![Just("GET"), Just("HEAD"), Just("POST"), Just("G\0T"), Just(""), Just("PRI")];
    let header = prop_oneof![
        Just(format!("Authorization: token {token}\r\n")),
        Just("Host: localhost\r\n".to_owned()),
        Just("Host: [::1\r\n".to_owned()),
        Just("Origin: http://localhost\r\nContent-Type: application/json\r\n".to_owned()),
        Just("Content-Length: 99999999999\r\n".to_owned()),
        Just("Content-Length: 5\r\nContent-Length: 6\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("Expect: 100-continue\r\n".to_owned()),
        Just("Upgrade: websocket\r\nConnection: Upgrade\r\n".to_owned()),
        Just("Range: bytes=0-1\r\n".to_owned()),
        Just("Cookie: ;;;=;mobula-=\r\n".to_owned()),
        "[A-Za-z-]{1,20}: [ -~]{0,60}\r\n",
        "X-Long: [a-z]{3000,20000}\r\n",
    ];
    let headers = prop::collection::vec(header, 0..90);
    let body = prop::collection::vec(any::<u8>(), 0..200);
    let cut = prop_oneof![3 => Just(None), 1 => (0..200_usize).prop_map(Some)];
    (method, path, headers, body, cut).prop_map(|(method, path, headers, body, cut)| {
        let mut bytes =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{}\r\n", headers.concat()).into_bytes();
        bytes.extend(body);
        bytes.truncate(cut.unwrap_or(usize::MAX));
        bytes
    })
}

#[test]
fn whatever_is_sent_the_next_request_is_answered() {
    let (_made, page) = Made::page();
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&request(&page), |bytes| {
        let mut stream = connect(&page);
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        drop(stream);
        prop_assert_eq!(get(&page, "/api/status").status, 200);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let (_made, page) = Made::page();
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(send(&page, long.as_bytes()).is_none_or(|refused| refused.status == 431));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(500));
    assert!(send(&page, many.as_bytes()).is_none_or(|refused| refused.status == 431));
    assert_eq!(get(&page, "/api/status").status, 200);
}

#[test]
fn clients_that_say_nothing_are_sent_away_and_others_are_answered() {
    let (_made, page) = Made::page();
    // More of them than there are places, each with the beginning of a request.
    let silent: Vec<TcpStream> = (0..100).map(|_| connect(&page)).collect();
    silent.iter().for_each(|mut stream| _ = stream.write_all(b"GET / HT"));
    assert_eq!(get(&page, "/api/status").status, 200);
}

#[test]
fn readers_that_take_nothing_hold_nobody_up() {
    let (made, page) = Made::page();
    let runs =
        |from: u64| (from..from + 2000).map(|n| crate::runtime::run(n * 50, mobula_abi::TaskState::Failed)).collect();
    let readers: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = connect(&page);
            let request = format!("GET /events?token={} HTTP/1.1\r\nHost: localhost\r\n\r\n", page.token());
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let mut watching = crate::wire::Events::of(&page);
    for round in 0..10 {
        made.tasks(runs(round * 2000), Vec::new());
        watching.step(|step| step["functions"][0][2] == serde_json::json!((round + 1) * 2000));
    }
    assert_eq!(get(&page, "/api/status").status, 200);
    drop(readers);
}
