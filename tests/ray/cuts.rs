//! Connections that break, through a relay that the tests cut.

use crate::cluster::{Cluster, options};
use crate::python::{actor, call, get, method, put_source, told, try_get};
use mobula_runtime::ray::transport::{Bytes, ConnectOptions, Info, RayError, Session, Value};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

tests! {
    a_cut_loses_no_call_and_makes_none_twice
    what_is_on_its_way_when_the_connection_is_cut_arrives
    without_grace_a_cut_ends_the_session
    after_the_grace_the_session_has_ended
}

/// A relay to a cluster's client port.
struct Relay {
    at: SocketAddr,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    /// None while it takes no connections.
    to: Arc<Mutex<Option<SocketAddr>>>,
}

impl Relay {
    fn new(cluster: &Cluster) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let at = listener.local_addr().expect("it is bound");
        let connections = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::new(Mutex::new(Some(cluster.client_port())));
        let relay = Relay { at, connections: Arc::clone(&connections), to: Arc::clone(&to) };
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Some(far) = to.lock().unwrap().and_then(|to| TcpStream::connect(to).ok()) else { continue };
                connections.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                let (near_again, far_again) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || relay_one_way(near, far));
                thread::spawn(move || relay_one_way(far_again, near_again));
            }
        });
        relay
    }

    fn session(&self, grace: Duration) -> Session {
        let options = ConnectOptions { grace, ..options() };
        Session::connect(&format!("ray://{}", self.at), options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Cuts all connections. New ones are taken.
    fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Cuts all connections, and takes no new ones.
    fn close(&self) {
        *self.to.lock().unwrap() = None;
        self.cut();
    }
}

fn relay_one_way(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

const GRACE: Duration = Duration::from_secs(30);

const COUNTER: &str = "class Counter:
  def __init__(self):
    self.seen = []
  def see(self, n):
    self.seen.append(n)
  def all(self):
    return self.seen
";

fn a_cut_loses_no_call_and_makes_none_twice(cluster: &Cluster) {
    let relay = Relay::new(cluster);
    let session = relay.session(GRACE);
    let counter = actor(&session, &put_source(&session, COUNTER), [], Vec::new());
    let (tell, told) = mpsc::channel();
    for n in 0..400 {
        // What is put is named by a call and then released; some of it is in the way of a cut.
        let number = session.put(Value::Int(n));
        let tell = tell.clone();
        let seen = method(&session, &counter, "see", [Value::Ref(number)]);
        session.get(&seen, Box::new(move |value| tell.send(value).unwrap()));
        if n % 100 == 50 {
            // In the middle of the answers.
            for _ in 0..20 {
                assert_eq!(told.recv_timeout(Duration::from_secs(60)).unwrap(), Ok(Value::None));
            }
            relay.cut();
        }
    }
    for _ in 0..400 - 80 {
        assert_eq!(told.recv_timeout(Duration::from_secs(60)).unwrap(), Ok(Value::None));
    }
    let all = get(&session, &method(&session, &counter, "all", []));
    assert_eq!(all, Value::List((0..400).map(Value::Int).collect()));
    session.close();
}

fn what_is_on_its_way_when_the_connection_is_cut_arrives(cluster: &Cluster) {
    let relay = Relay::new(cluster);
    let session = relay.session(GRACE);
    let (tell, log) = mpsc::channel();
    session.on_log(Box::new(move |said| drop(tell.send(said.text))));
    let slow =
        put_source(&session, "def slow():\n  import time\n  time.sleep(2)\n  print('awake', flush=True)\n  return 7");
    let late = call(&session, &slow, []);
    let (tell, waited) = mpsc::channel();
    session.wait(std::slice::from_ref(&late), 1, None, Box::new(move |ready| tell.send(ready).unwrap()));
    let large: Bytes = (0..32 << 20).map(|n: u32| (n / 77) as u8).collect();
    let put = session.put(Value::Bytes(large.clone()));
    // It is there, so the put is being sent, or will be.
    assert_eq!(get(&session, &session.put(Value::Int(1))), Value::Int(1));
    let (tell, got) = mpsc::channel();
    session.get(&put, Box::new(move |value| tell.send(value).unwrap()));
    relay.cut();
    assert!(got.recv_timeout(Duration::from_secs(60)).unwrap() == Ok(Value::Bytes(large)));
    assert_eq!(waited.recv_timeout(Duration::from_secs(60)).unwrap(), Ok(vec![0]));
    assert_eq!(get(&session, &late), Value::Int(7));
    assert!(told(|done| session.info(Info::Nodes, done)).is_ok());
    // Output goes on; that of the moments without a connection is in the cluster's files.
    let say = put_source(&session, "def say():\n  print('again', flush=True)");
    while !log.try_iter().any(|text| text.contains("again")) {
        get(&session, &call(&session, &say, []));
    }
    session.close();
}

fn without_grace_a_cut_ends_the_session(cluster: &Cluster) {
    let relay = Relay::new(cluster);
    let session = relay.session(Duration::ZERO);
    let put = session.put(Value::Int(1));
    assert_eq!(get(&session, &put), Value::Int(1));
    let (tell, ended) = mpsc::channel();
    session.on_end(Box::new(move |reason| tell.send(reason).unwrap()));
    relay.cut();
    let reason = ended.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(!reason.is_empty());
    assert!(matches!(try_get(&session, &put), Err(RayError::SessionEnded(_))));
    session.close();
}

fn after_the_grace_the_session_has_ended(cluster: &Cluster) {
    let relay = Relay::new(cluster);
    let session = relay.session(Duration::from_secs(2));
    let (tell, ended) = mpsc::channel();
    session.on_end(Box::new(move |reason| tell.send(reason).unwrap()));
    let never = call(&session, &put_source(&session, "def never():\n  import time\n  time.sleep(600)"), []);
    let (tell, got) = mpsc::channel();
    session.get(&never, Box::new(move |value| tell.send(value).unwrap()));
    assert_eq!(get(&session, &session.put(Value::Int(1))), Value::Int(1));
    relay.close();
    let reason = ended.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(reason.contains("2 s"), "{reason}");
    assert!(matches!(got.recv_timeout(Duration::from_secs(30)).unwrap(), Err(RayError::SessionEnded(_))));
    session.close();
}
