//! One connection from greeting to end: a task that reads and writes at the same time.

use super::codec::{Decoder, GREETING_LEN, Unit, ZmtpError, check_greeting, greeting, parse_ready, pong, ready};
use super::outbox::Outbox;
use bytes::{Buf, Bytes, BytesMut};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A peer has this long to send its greeting and its READY.
const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(10);

/// The most bytes that a peer can make us keep before its handshake is done.
const HANDSHAKE_BYTES_MAX: usize = 4 << 10;

/// While more than this waits for a peer, its pings are not answered, because it does not read.
const UNREAD_BYTES_MAX: usize = 64 << 10;

/// The behaviour of one kind of socket towards its peers.
pub(crate) trait Service: Send + Sync + 'static {
    /// Our socket's type, for the handshake.
    const TYPE: &'static str;
    /// The socket types that may connect.
    const PEERS: &'static [&'static str];
    /// The largest message that is accepted.
    const BYTES_MAX: usize;

    /// Called when a peer has connected. Nothing has been received from it yet.
    fn joined(&self, peer: &Arc<Peer>);
    /// Called for each message. The peer's next message is not read before this returns.
    fn received(&self, peer: &Arc<Peer>, frames: Vec<Bytes>) -> impl Future<Output = ()> + Send;
    /// Called once for each `joined`, when the peer has gone.
    fn left(&self, peer: &Arc<Peer>);
}

/// The other end of a connection.
pub(crate) struct Peer {
    /// The identity that the peer sent, or one of ours, which begin with a zero byte that no peer may send.
    pub(crate) identity: Bytes,
    /// Messages to be written to it.
    pub(crate) outbox: Outbox,
}

/// Serves one connection until its end.
pub(crate) async fn run<S: Service, T>(stream: T, service: Arc<S>)
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut read, mut write) = tokio::io::split(stream);
    let mut incoming = Incoming { buffer: BytesMut::new(), decoder: Decoder::new(HANDSHAKE_BYTES_MAX) };
    let handshake = shake_hands::<S, _, _>(&mut read, &mut write, &mut incoming);
    let identity = match tokio::time::timeout(HANDSHAKE_WAIT_MAX, handshake).await {
        Ok(Ok(identity)) => identity,
        Ok(Err(error)) => return tracing::debug!(socket = S::TYPE, %error, "connection refused"),
        Err(_) => return tracing::debug!(socket = S::TYPE, error = %ZmtpError::Silent, "connection refused"),
    };
    incoming.decoder = Decoder::new(S::BYTES_MAX);
    let identity = if identity.is_empty() { new_name() } else { identity };
    let peer = Arc::new(Peer { identity, outbox: Outbox::new() });
    service.joined(&peer);
    let end = tokio::select! {
        end = read_all(&mut read, &mut incoming, &peer, &*service) => end,
        end = write_all(&mut write, &peer.outbox) => end,
        () = peer.outbox.closed() => Ok(()),
    };
    if let Err(error) = end {
        tracing::debug!(socket = S::TYPE, %error, "connection ended");
    }
    peer.outbox.close();
    service.left(&peer);
}

/// An identity for a peer that sent none.
fn new_name() -> Bytes {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut name = vec![0];
    name.extend_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    name.into()
}

/// Bytes received, and the frames begun in them.
struct Incoming {
    buffer: BytesMut,
    decoder: Decoder,
}

impl Incoming {
    /// The next message or command; `None` at the end of the stream.
    async fn next(&mut self, read: &mut (impl AsyncRead + Unpin)) -> Result<Option<Unit>, ZmtpError> {
        loop {
            if let Some(unit) = self.decoder.next(&mut self.buffer)? {
                return Ok(Some(unit));
            }
            if read.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

async fn shake_hands<S: Service, R, W>(read: &mut R, write: &mut W, incoming: &mut Incoming) -> Result<Bytes, ZmtpError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    write.write_all(&greeting()).await?;
    let mut theirs = [0; GREETING_LEN];
    read.read_exact(&mut theirs).await?;
    check_greeting(&theirs)?;
    write.write_all(&ready(S::TYPE, b"")).await?;
    let Some(Unit::Command { name, data }) = incoming.next(read).await? else {
        return Err(ZmtpError::Malformed { what: "handshake" });
    };
    if &name[..] != b"READY" {
        return Err(ZmtpError::Malformed { what: "handshake" });
    }
    let (socket_type, identity) = parse_ready(&data)?;
    if !S::PEERS.iter().any(|allowed| allowed.as_bytes() == socket_type) {
        let theirs = String::from_utf8_lossy(&socket_type).into_owned();
        return Err(ZmtpError::SocketType { theirs, ours: S::TYPE });
    }
    Ok(identity)
}

async fn read_all<S: Service>(
    read: &mut (impl AsyncRead + Unpin),
    incoming: &mut Incoming,
    peer: &Arc<Peer>,
    service: &S,
) -> Result<(), ZmtpError> {
    while let Some(unit) = incoming.next(read).await? {
        match unit {
            Unit::Message(frames) => service.received(peer, frames).await,
            Unit::Command { name, data } if &name[..] == b"PING" => {
                if peer.outbox.bytes() <= UNREAD_BYTES_MAX {
                    peer.outbox.push(pong(&data)?);
                }
            }
            Unit::Command { .. } => {}
        }
    }
    Ok(())
}

async fn write_all(write: &mut (impl AsyncWrite + Unpin), outbox: &Outbox) -> Result<(), ZmtpError> {
    while let Some(mut message) = outbox.next().await {
        while message.has_remaining() {
            let count = write.write_buf(&mut message).await?;
            if count == 0 {
                return Err(ZmtpError::Io(std::io::ErrorKind::WriteZero.into()));
            }
            outbox.wrote(count);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::codec::{command, encode};
    use super::*;
    use tokio::io::{DuplexStream, duplex};
    use tokio::sync::mpsc;

    /// Reports each peer that joins, and each message.
    struct Told(mpsc::UnboundedSender<(Arc<Peer>, Vec<Bytes>)>);

    impl Service for Told {
        const TYPE: &'static str = "ROUTER";
        const PEERS: &'static [&'static str] = &["DEALER"];
        const BYTES_MAX: usize = 1 << 20;

        fn joined(&self, peer: &Arc<Peer>) {
            let _ = self.0.send((peer.clone(), Vec::new()));
        }

        async fn received(&self, peer: &Arc<Peer>, frames: Vec<Bytes>) {
            let _ = self.0.send((peer.clone(), frames));
        }

        fn left(&self, _: &Arc<Peer>) {}
    }

    type Said = mpsc::UnboundedReceiver<(Arc<Peer>, Vec<Bytes>)>;

    /// A connection on which these bytes follow the greeting, and what its service reports.
    async fn connect(bytes: &[u8]) -> (DuplexStream, Said) {
        let (mut ours, theirs) = duplex(64 << 10);
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(run(theirs, Arc::new(Told(tell))));
        ours.write_all(&greeting()).await.unwrap();
        ours.write_all(bytes).await.unwrap();
        (ours, told)
    }

    #[tokio::test]
    async fn a_name_that_no_peer_can_give_itself_is_refused() {
        let (_ours, mut told) = connect(&ready("DEALER", &[0, 1])).await;
        assert!(told.recv().await.is_none());
        let (_ours, mut told) = connect(&ready("DEALER", b"mine")).await;
        assert_eq!(told.recv().await.unwrap().0.identity, "mine");
    }

    #[tokio::test]
    async fn who_has_not_shaken_hands_makes_nobody_keep_much() {
        let long = encode(&[vec![0; HANDSHAKE_BYTES_MAX + 1]]);
        let (_ours, mut told) = connect(&long[..10]).await;
        assert!(told.recv().await.is_none());
    }

    #[tokio::test]
    async fn pings_are_short_and_are_not_answered_to_who_does_not_read() {
        let (mut ours, mut told) = connect(&ready("DEALER", b"mine")).await;
        let (peer, _) = told.recv().await.unwrap();
        let ping = command(b"PING", &[7; 2 + 16]);
        for _ in 0..20_000 {
            ours.write_all(&ping).await.unwrap();
        }
        ours.write_all(&encode(&[b"last"])).await.unwrap();
        assert_eq!(told.recv().await.unwrap().1, ["last"]);
        assert!(peer.outbox.bytes() <= UNREAD_BYTES_MAX + 64, "{}", peer.outbox.bytes());
        let (mut ours, mut told) = connect(&ready("DEALER", b"mine")).await;
        told.recv().await.unwrap();
        ours.write_all(&command(b"PING", &[7; 2 + 17])).await.unwrap();
        assert!(told.recv().await.is_none(), "a longer one is no ping");
    }
}
