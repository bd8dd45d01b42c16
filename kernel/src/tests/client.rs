//! A Jupyter client for tests: it reads and writes ZMTP frames over Unix sockets.

use super::script::Script;
use crate::wire::{Draft, Key, Origin, Request, Wire};
use crate::zmtp::{Decoder, GREETING_LEN, Unit, encode, greeting, ready};
use bytes::{Bytes, BytesMut};
use jupyter_protocol::connection_info::{ConnectionInfo, Transport};
use mobula_session::Sink;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ends a test that hangs; a loaded machine does not reach it.
const PATIENCE: Duration = Duration::from_secs(300);
const KEY: &str = "secret";

/// A kernel that runs scripts, and its folder of sockets.
pub struct TestKernel {
    folder: tempfile::TempDir,
    thread: Option<JoinHandle<Result<(), crate::KernelError>>>,
}

/// A connection file's content for sockets in this folder.
pub fn connection(folder: &std::path::Path) -> ConnectionInfo {
    ConnectionInfo {
        ip: folder.join("k").to_str().unwrap().into(),
        transport: Transport::IPC,
        shell_port: 1,
        iopub_port: 2,
        stdin_port: 3,
        control_port: 4,
        hb_port: 5,
        key: KEY.into(),
        signature_scheme: "hmac-sha256".into(),
        kernel_name: None,
    }
}

impl TestKernel {
    /// Starts a kernel.
    pub fn start() -> TestKernel {
        TestKernel::start_with(Script::new)
    }

    /// Starts a kernel with the evaluator that `make` returns.
    pub fn start_with(make: impl FnOnce(Sink) -> Script + Send + 'static) -> TestKernel {
        let folder = tempfile::tempdir().unwrap();
        let info = connection(folder.path());
        let thread = std::thread::spawn(move || crate::serve(info, make, |_| Ok(())));
        TestKernel { folder, thread: Some(thread) }
    }

    /// A connection to one of the kernel's ports, once the kernel listens there.
    pub fn connect(&self, port: u16, socket_type: &str, identity: &str) -> Socket {
        let path = self.folder.path().join(format!("k-{port}"));
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{}: {error}", path.display()),
            }
            std::thread::yield_now();
        };
        Socket::shake_hands(stream, socket_type, identity)
    }

    /// A client of this name that has subscribed to iopub.
    pub fn client(&self, name: &str) -> Client {
        let client = self.client_without_iopub(name);
        client.iopub.borrow_mut().send(&[b"\x01"]);
        assert_eq!(client.iopub().msg_type, "iopub_welcome");
        client
    }

    /// A client of this name that has not subscribed.
    pub fn client_without_iopub(&self, name: &str) -> Client {
        let [shell, control, stdin] = [1, 4, 3].map(|port| RefCell::new(self.connect(port, "DEALER", name)));
        let iopub = RefCell::new(self.connect(2, "SUB", ""));
        Client { wire: Wire::new(Key::new(KEY)), shell, control, stdin, iopub }
    }

    /// Waits for the kernel's end.
    pub fn join(mut self) {
        let thread = self.thread.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !thread.is_finished() {
            assert!(Instant::now() < deadline, "the kernel does not end");
            std::thread::yield_now();
        }
        thread.join().unwrap().unwrap();
        let left: Vec<_> = std::fs::read_dir(self.folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// One connection.
pub struct Socket {
    stream: UnixStream,
    buffer: BytesMut,
    decoder: Decoder,
}

impl Socket {
    fn shake_hands(mut stream: UnixStream, socket_type: &str, identity: &str) -> Socket {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&greeting()).unwrap();
        stream.read_exact(&mut [0; GREETING_LEN]).unwrap();
        stream.write_all(&ready(socket_type, identity.as_bytes())).unwrap();
        let mut socket = Socket { stream, buffer: BytesMut::new(), decoder: Decoder::new(1 << 30) };
        assert!(matches!(socket.unit(), Unit::Command { .. }));
        socket
    }

    fn unit(&mut self) -> Unit {
        loop {
            if let Some(unit) = self.decoder.next(&mut self.buffer).unwrap() {
                return unit;
            }
            let mut chunk = [0; 64 << 10];
            let count = self.stream.read(&mut chunk).expect("nothing came");
            assert!(count > 0, "the kernel closed the connection");
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    /// Sends one message.
    pub fn send<T: AsRef<[u8]>>(&mut self, frames: &[T]) {
        self.stream.write_all(&encode(frames)).unwrap();
    }

    /// A second handle to the connection, for a thread that only writes.
    pub fn writer(&self) -> UnixStream {
        self.stream.try_clone().unwrap()
    }

    /// Sends bytes that need not form a message.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next message.
    pub fn receive(&mut self) -> Vec<Bytes> {
        match self.unit() {
            Unit::Message(frames) => frames,
            other => panic!("{other:?}"),
        }
    }
}

/// A front end.
pub struct Client {
    pub wire: Wire,
    pub shell: RefCell<Socket>,
    pub control: RefCell<Socket>,
    pub stdin: RefCell<Socket>,
    pub iopub: RefCell<Socket>,
}

impl Client {
    /// Sends a request and returns its `msg_id`.
    pub fn send(&self, socket: &RefCell<Socket>, msg_type: &str, content: Value) -> String {
        let draft = Draft::new(msg_type.to_owned(), content);
        let (msg_id, frames) = self.wire.encode(&[], &Origin::nobody(), &draft);
        socket.borrow_mut().send(&frames);
        msg_id
    }

    /// Sends a request whose parts after the delimiter are these, correctly signed.
    pub fn send_signed(&self, socket: &RefCell<Socket>, parts: [&[u8]; 4]) {
        let signature = Key::new(KEY).sign(&parts);
        let [header, parent, metadata, content] = parts;
        socket.borrow_mut().send(&[b"<IDS|MSG>", signature.as_bytes(), header, parent, metadata, content]);
    }

    /// Sends a request to run a cell.
    pub fn execute(&self, code: &str) -> String {
        self.send(&self.shell, "execute_request", json!({ "code": code }))
    }

    /// The next message of a socket.
    pub fn receive(&self, socket: &RefCell<Socket>) -> Request {
        self.wire.decode(socket.borrow_mut().receive()).unwrap()
    }

    /// The next message on iopub.
    pub fn iopub(&self) -> Request {
        self.receive(&self.iopub)
    }

    /// The next reply on shell.
    pub fn reply(&self) -> Request {
        self.receive(&self.shell)
    }

    /// The messages on iopub for this request, up to its idle, as short texts.
    pub fn story(&self, msg_id: &str) -> Vec<String> {
        let mut story = Vec::new();
        loop {
            let message = self.iopub();
            if message.parent_id == msg_id {
                story.push(short(&message));
                if story.last().is_some_and(|last| last == "idle") {
                    return story;
                }
            }
        }
    }

    /// Runs a cell. Returns the reply's content and the story.
    pub fn run(&self, code: &str) -> (Value, Vec<String>) {
        let msg_id = self.execute(code);
        let reply = self.reply();
        assert_eq!((&*reply.msg_type, &*reply.parent_id), ("execute_reply", &*msg_id));
        (Value::Object(reply.content), self.story(&msg_id))
    }
}

fn short(message: &Request) -> String {
    let field = |name: &str| {
        message.content.get(name).map_or(String::new(), |value| value.as_str().map_or(value.to_string(), str::to_owned))
    };
    match &*message.msg_type {
        "status" => field("execution_state"),
        "stream" => format!("{}: {}", field("name"), field("text").trim_end()),
        "execute_input" => format!("in {}", field("execution_count")),
        "execute_result" => format!("result {}: {}", field("execution_count"), message.content["data"]["text/plain"]),
        "error" => format!("error {}: {}", field("ename"), field("evalue")),
        other => other.to_owned(),
    }
}
