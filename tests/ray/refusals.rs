//! Sessions that cannot start, and the sentences that say why.

use crate::cluster::{Cluster, options};
use mobula_runtime::ray::transport::{ConnectError, ConnectOptions, GiveUp, Session};
use std::net::TcpListener;

tests! {
    where_nothing_listens_there_is_no_session
    another_port_of_the_cluster_is_told_apart
    what_does_not_speak_at_all_is_told_apart
    what_takes_connections_and_says_nothing_is_told_apart
    a_start_that_is_given_up_ends
}

/// Why there is no session at this address.
pub fn refusal(address: &str) -> ConnectError {
    match Session::connect(address, options()) {
        Err(error) => error,
        Ok(_) => panic!("there is a session at {address}"),
    }
}

fn where_nothing_listens_there_is_no_session(_: &Cluster) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refusal(&format!("ray://{free}"));
    assert!(matches!(error, ConnectError::Unreachable { .. }) && error.to_string().contains("refused"), "{error}");
    let error = refusal("ray://no-such-host.invalid");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

fn another_port_of_the_cluster_is_told_apart(cluster: &Cluster) {
    let error = refusal(&cluster.gcs());
    assert!(matches!(error, ConnectError::NotRay { .. }) && error.to_string().contains("10001"), "{error}");
}

fn what_does_not_speak_at_all_is_told_apart(_: &Cluster) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ray://{}", listener.local_addr().unwrap());
    let web = std::thread::spawn(move || {
        for stream in listener.incoming().take(3).flatten() {
            let _ = std::io::Write::write_all(&mut &stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let error = refusal(&address);
    assert!(matches!(error, ConnectError::NotRay { .. } | ConnectError::Unreachable { .. }), "{error}");
    drop(web);
}

fn what_takes_connections_and_says_nothing_is_told_apart(_: &Cluster) {
    // So does a head whose threads all serve sessions.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = refusal(&format!("ray://{}", listener.local_addr().unwrap()));
    assert!(matches!(error, ConnectError::Silent { .. }) && error.to_string().contains("clients"), "{error}");
}

fn a_start_that_is_given_up_ends(_: &Cluster) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ray://{}", listener.local_addr().unwrap());
    let given_up = GiveUp::default();
    let to_give_up = given_up.clone();
    let asked = std::thread::spawn(move || Session::connect(&address, ConnectOptions { given_up, ..options() }).err());
    let (mut stream, _) = listener.accept().unwrap();
    to_give_up.now();
    let error = asked.join().unwrap();
    assert!(matches!(error, Some(ConnectError::GivenUp)), "{error:?}");
    // The connection has ended with it.
    std::io::Read::read_to_end(&mut stream, &mut Vec::new()).unwrap();
}
