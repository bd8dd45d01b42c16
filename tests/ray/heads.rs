//! Heads and nodes that a test starts for itself: who is let in, what breaks, and what goes on. Only in the long form, because each takes some seconds to start.

use crate::LONG;
use crate::cluster::{Cluster, options, programs};
use crate::python::{call, call_with, get, put_source, try_get};
use mobula_runtime::ray::transport::{ConnectError, ConnectOptions, RayError, Session, Tls, Token, Value};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

tests! {
    a_token_lets_in
    an_encrypted_head_is_reached_with_certificates
    a_head_that_was_killed_ends_its_sessions_and_is_joined_again
    a_node_has_its_own_resource_and_may_die
}

/// Whether the long form was asked for.
fn is_wanted() -> bool {
    std::env::var_os(LONG).is_some()
}

fn with_token(cluster: &Cluster, token: Token) -> Result<Session, ConnectError> {
    Session::connect(&cluster.address(), ConnectOptions { token, ..options() })
}

fn a_token_lets_in(_: &Cluster) {
    if !is_wanted() {
        return;
    }
    let right = "0123456789abcdef0123456789abcdef";
    let cluster = Cluster::start_own(&[("RAY_AUTH_MODE", "token"), ("RAY_AUTH_TOKEN", right)]);
    match with_token(&cluster, Token::None) {
        Ok(session) if session.server().ray.starts_with("2.9.") => return println!("this Ray has no tokens yet"),
        Ok(_) => panic!("it lets in without a token"),
        Err(missing) => assert!(matches!(missing, ConnectError::TokenMissing { .. }), "{missing:?}"),
    }
    let wrong = with_token(&cluster, Token::Given(right.replace('0', "1"))).err();
    assert!(matches!(wrong, Some(ConnectError::TokenRefused { .. })), "{wrong:?}");
    let session = with_token(&cluster, Token::Given(right.into())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(get(&session, &session.put(Value::Int(1))), Value::Int(1));
    session.close();
}

/// Writes a certificate of 127.0.0.1 that is its own authority, and its key.
const CERTIFICATE: &str = r#"
import datetime, ipaddress, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ray")])
now = datetime.datetime.now(datetime.timezone.utc)
names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
def signed(subject, public, is_authority):
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    made = made.not_valid_after(now + datetime.timedelta(days=1)).add_extension(names, False)
    return made.add_extension(x509.BasicConstraints(is_authority, None), True).sign(key, hashes.SHA256())
own = ec.generate_private_key(ec.SECP256R1())
leaf = signed(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "head")]), own.public_key(), False)
pem = serialization.Encoding.PEM
plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
for file, content in [("ca", signed(name, key.public_key(), True).public_bytes(pem)), ("cert", leaf.public_bytes(pem)), ("key", own.private_bytes(pem, *plain))]:
    open(sys.argv[1] + "/" + file, "wb").write(content)
"#;

fn an_encrypted_head_is_reached_with_certificates(_: &Cluster) {
    if !is_wanted() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut command = Command::new(programs().join("python"));
    let status = command.args(["-c", CERTIFICATE]).arg(folder.path()).status().expect("Python runs");
    assert!(status.success());
    let path = |name: &str| folder.path().join(name).to_str().expect("made by us").to_owned();
    let (authority, certificate, key) = (path("ca"), path("cert"), path("key"));
    let cluster = Cluster::start_own(&[
        ("RAY_USE_TLS", "1"),
        ("RAY_TLS_CA_CERT", &authority),
        ("RAY_TLS_SERVER_CERT", &certificate),
        ("RAY_TLS_SERVER_KEY", &key),
    ]);
    let read = |path: &str| fs::read(Path::new(path)).expect("it was written");
    let tls = Tls { authority: read(&authority), identity: Some((read(&certificate), read(&key))), domain: None };
    let encrypted = ConnectOptions { tls: Some(tls.clone()), ..options() };
    let session = Session::connect(&cluster.address(), encrypted).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(get(&session, &session.put(Value::Int(1))), Value::Int(1));
    session.close();
    // Another authority, and none.
    let other = Tls { authority: read(&certificate), ..tls };
    let refused = Session::connect(&cluster.address(), ConnectOptions { tls: Some(other), ..options() }).err();
    assert!(matches!(refused, Some(ConnectError::Tls { .. })), "{refused:?}");
    let plain = Session::connect(&cluster.address(), options()).err();
    assert!(plain.is_some());
}

fn a_head_that_was_killed_ends_its_sessions_and_is_joined_again(_: &Cluster) {
    if !is_wanted() {
        return;
    }
    let cluster = Cluster::start_own(&[]);
    let short = ConnectOptions { grace: Duration::from_secs(2), ..options() };
    let session = Session::connect(&cluster.address(), short).unwrap_or_else(|error| panic!("{error}"));
    let (tell, ended) = mpsc::channel();
    session.on_end(Box::new(move |reason| tell.send(reason).unwrap()));
    let kept = session.put(Value::Int(1));
    assert_eq!(get(&session, &kept), Value::Int(1));
    cluster.kill();
    let reason = ended.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(reason.contains("no connection for 2 s"), "{reason}");
    assert!(matches!(try_get(&session, &kept), Err(RayError::SessionEnded(_))));
    let gone = Session::connect(&cluster.address(), options()).err();
    assert!(matches!(gone, Some(ConnectError::Unreachable { .. })), "{gone:?}");
    cluster.start_head();
    let session = cluster.session();
    assert_eq!(get(&session, &session.put(Value::Int(2))), Value::Int(2));
    session.close();
}

fn a_node_has_its_own_resource_and_may_die(cluster: &Cluster) {
    if !is_wanted() {
        return;
    }
    let node = cluster.start_node("left");
    let session = cluster.session();
    let left = Value::Dict(vec![(Value::text("left"), Value::Int(1))]);
    let options = vec![("resources".to_owned(), left), ("max_retries".to_owned(), Value::Int(0))];
    let place = put_source(&session, "def place():\n  import ray\n  return ray.get_runtime_context().get_node_id()");
    let there = get(&session, &call_with(&session, &place, [], options.clone(), 1).remove(0));
    let here = get(&session, &call(&session, &place, []));
    assert!(there.as_str().is_some() && there != here, "{there:?} {here:?}");
    let (tell, log) = mpsc::channel();
    session.on_log(Box::new(move |said| drop(tell.send(said.text))));
    let long = "def long():\n  import time\n  print('it runs', flush=True)\n  time.sleep(600)";
    let long = call_with(&session, &put_source(&session, long), [], options, 1).remove(0);
    while !log.recv_timeout(Duration::from_secs(60)).unwrap().contains("it runs") {}
    node.kill();
    let failure = try_get(&session, &long);
    assert!(matches!(failure, Err(RayError::WorkerCrashed(_))), "{failure:?}");
    // The session and the head are as they were.
    assert_eq!(get(&session, &call(&session, &place, [])), here);
    session.close();
}
