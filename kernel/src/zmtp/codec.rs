//! ZMTP 3.0 encoding: greeting, handshake, frames. It has no socket and no clock.
//!
//! ```text
//! greeting (64 bytes): FF 00×8 7F | major minor | mechanism, 20 bytes | as-server | 31 zeros
//! frame:               flags (1 more, 2 long, 4 command) | length: 1 byte, or 8 when long | body
//! command body:        length of name | name | data
//! READY data:          (length of name | name | length of value, 4 bytes | value)*
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The length of a greeting.
pub(crate) const GREETING_LEN: usize = 64;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;
/// The most parts of a message. No Jupyter message has anywhere near this many.
const PARTS_MAX: usize = 4096;

/// Why a connection ends. None of these affects another connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ZmtpError {
    /// The peer speaks another protocol, such as HTTP.
    #[error("the peer does not speak ZMTP")]
    NotZmtp,
    /// A peer older than 3.0.
    #[error("the peer speaks ZMTP {major}, which is too old")]
    Version { major: u8 },
    /// CURVE, PLAIN, …
    #[error("the peer wants the security mechanism `{mechanism}`; only NULL is offered")]
    Mechanism { mechanism: String },
    /// Socket types that do not fit, such as a SUB at our shell.
    #[error("a {theirs} socket cannot talk to our {ours}")]
    SocketType { theirs: String, ours: &'static str },
    /// The bytes are not a valid frame.
    #[error("malformed {what}")]
    Malformed { what: &'static str },
    /// More than the socket accepts.
    #[error("a message of {bytes} bytes or more; the limit is {bytes_max}")]
    TooLong { bytes: u64, bytes_max: usize },
    /// The connection failed.
    #[error("connection lost")]
    Io(#[from] std::io::Error),
    /// The handshake took too long.
    #[error("no handshake in time")]
    Silent,
}

/// The greeting of a server.
pub(crate) fn greeting() -> [u8; GREETING_LEN] {
    let mut bytes = [0; GREETING_LEN];
    bytes[0] = 0xff;
    bytes[9] = 0x7f;
    bytes[10] = 3;
    bytes[12..16].copy_from_slice(b"NULL");
    bytes
}

/// Checks that we can talk to a peer with this greeting.
pub(crate) fn check_greeting(bytes: &[u8; GREETING_LEN]) -> Result<(), ZmtpError> {
    if bytes[0] != 0xff || bytes[9] & 1 == 0 {
        return Err(ZmtpError::NotZmtp);
    }
    if bytes[10] < 3 {
        return Err(ZmtpError::Version { major: bytes[10] });
    }
    let mechanism: Vec<u8> = bytes[12..32].iter().copied().take_while(|byte| *byte != 0).collect();
    if mechanism != b"NULL" {
        return Err(ZmtpError::Mechanism { mechanism: String::from_utf8_lossy(&mechanism).into_owned() });
    }
    Ok(())
}

/// The READY command of a socket of this type.
pub(crate) fn ready(socket_type: &str, identity: &[u8]) -> Bytes {
    let mut data = BytesMut::new();
    for (name, value) in [("Socket-Type", socket_type.as_bytes()), ("Identity", identity)] {
        data.put_u8(name.len() as u8);
        data.put_slice(name.as_bytes());
        data.put_u32(value.len() as u32);
        data.put_slice(value);
    }
    command(b"READY", &data)
}

/// The answer to a PING. A PING's data is a time to live (2 bytes) and a context of at most 16 bytes, which the PONG
/// returns (RFC 37/ZMTP 3.1).
///
/// # Errors
/// The context is too long.
pub(crate) fn pong(ping: &[u8]) -> Result<Bytes, ZmtpError> {
    match ping.get(2..).unwrap_or_default() {
        context if context.len() <= 16 => Ok(command(b"PONG", context)),
        _ => Err(ZmtpError::Malformed { what: "PING command" }),
    }
}

pub(super) fn command(name: &[u8], data: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    put_head(&mut out, COMMAND, 1 + name.len() + data.len());
    out.put_u8(name.len() as u8);
    out.put_slice(name);
    out.put_slice(data);
    out.freeze()
}

fn put_head(out: &mut BytesMut, flags: u8, len: usize) {
    match u8::try_from(len) {
        Ok(short) => out.put_slice(&[flags, short]),
        Err(_) => {
            out.put_u8(flags | LONG);
            out.put_u64(len as u64);
        }
    }
}

/// Encodes one message.
pub(crate) fn encode<T: AsRef<[u8]>>(frames: &[T]) -> Bytes {
    let bytes: usize = frames.iter().map(|frame| frame.as_ref().len() + 9).sum();
    let mut out = BytesMut::with_capacity(bytes);
    for (index, frame) in frames.iter().enumerate() {
        let flags = if index + 1 < frames.len() { MORE } else { 0 };
        put_head(&mut out, flags, frame.as_ref().len());
        out.put_slice(frame.as_ref());
    }
    out.freeze()
}

/// Reads socket type and identity from the data of a READY command.
pub(crate) fn parse_ready(mut data: &[u8]) -> Result<(Vec<u8>, Bytes), ZmtpError> {
    let malformed = || ZmtpError::Malformed { what: "READY command" };
    let (mut socket_type, mut identity) = (Vec::new(), Bytes::new());
    while let Some((name_len, rest)) = data.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*name_len)).ok_or_else(malformed)?;
        let (value_len, rest) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*value_len) as usize).ok_or_else(malformed)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            socket_type = value.to_vec();
        } else if name.eq_ignore_ascii_case(b"Identity") {
            identity = Bytes::copy_from_slice(value);
        }
        data = rest;
    }
    // A leading zero marks the identities that the kernel gives to peers without one.
    if identity.len() > 255 || identity.first() == Some(&0) {
        return Err(malformed());
    }
    Ok((socket_type, identity))
}

/// A unit decoded from a stream of frames.
#[derive(Debug, PartialEq)]
pub(crate) enum Unit {
    /// All parts of one message.
    Message(Vec<Bytes>),
    /// One command.
    Command { name: Bytes, data: Bytes },
}

/// Joins frames into messages.
pub(crate) struct Decoder {
    bytes_max: usize,
    bytes: usize,
    parts: Vec<Bytes>,
}

impl Decoder {
    /// A decoder that refuses messages of more than `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Decoder {
        Decoder { bytes_max, bytes: 0, parts: Vec::new() }
    }

    /// Takes the next message or command out of `buffer`. Returns `None` when more bytes are needed.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Unit>, ZmtpError> {
        while let Some((flags, head_len, body_len)) = head(buffer)? {
            if body_len > (self.bytes_max - self.bytes) as u64 {
                return Err(ZmtpError::TooLong { bytes: body_len, bytes_max: self.bytes_max });
            }
            let body_len = body_len as usize;
            if buffer.len() < head_len + body_len {
                return Ok(None);
            }
            buffer.advance(head_len);
            let mut body = buffer.split_to(body_len).freeze();
            if flags & COMMAND != 0 {
                let name_len = body.first().map_or(0, |len| usize::from(*len));
                if flags & MORE != 0 || !self.parts.is_empty() || body.len() < 1 + name_len {
                    return Err(ZmtpError::Malformed { what: "command" });
                }
                body.advance(1);
                let name = body.split_to(name_len);
                return Ok(Some(Unit::Command { name, data: body }));
            }
            self.bytes += body.len();
            debug_assert!(self.bytes <= self.bytes_max, "no message is longer than its socket takes");
            self.parts.push(body);
            if flags & MORE == 0 {
                self.bytes = 0;
                return Ok(Some(Unit::Message(std::mem::take(&mut self.parts))));
            }
            if self.parts.len() == PARTS_MAX {
                return Err(ZmtpError::Malformed { what: "message: too many parts" });
            }
        }
        Ok(None)
    }
}

/// Flags, head length and body length of the next frame, once its head is complete.
fn head(buffer: &BytesMut) -> Result<Option<(u8, usize, u64)>, ZmtpError> {
    let Some(flags) = buffer.first().copied() else { return Ok(None) };
    if flags & !(MORE | LONG | COMMAND) != 0 {
        return Err(ZmtpError::Malformed { what: "frame" });
    }
    if flags & LONG == 0 {
        return Ok(buffer.get(1).map(|len| (flags, 2, u64::from(*len))));
    }
    let len = buffer.get(1..9).and_then(|bytes| bytes.try_into().ok());
    Ok(len.map(|bytes| (flags, 9, u64::from_be_bytes(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(bytes: &[u8], chunk: usize) -> Result<Vec<Unit>, ZmtpError> {
        let (mut decoder, mut buffer, mut units) = (Decoder::new(1 << 20), BytesMut::new(), Vec::new());
        for piece in bytes.chunks(chunk) {
            buffer.extend_from_slice(piece);
            while let Some(unit) = decoder.next(&mut buffer)? {
                units.push(unit);
            }
        }
        Ok(units)
    }

    fn message(frames: &[&[u8]]) -> Unit {
        Unit::Message(frames.iter().map(|frame| Bytes::copy_from_slice(frame)).collect())
    }

    #[test]
    fn messages_survive_any_cut_of_the_stream() {
        let long = vec![7; 300];
        let mut bytes = encode(&[b"".as_slice(), b"a", &long]).to_vec();
        bytes.extend_from_slice(&encode(&[b"b"]));
        for chunk in 1..bytes.len() {
            let units = decode_all(&bytes, chunk).unwrap();
            assert_eq!(units, [message(&[b"", b"a", &long]), message(&[b"b"])], "in pieces of {chunk}");
        }
    }

    #[test]
    fn our_own_handshake_is_understood() {
        check_greeting(&greeting()).unwrap();
        let units = decode_all(&ready("ROUTER", b"me"), 3).unwrap();
        let [Unit::Command { name, data }] = &units[..] else { panic!("{units:?}") };
        assert_eq!(&name[..], b"READY");
        assert_eq!(parse_ready(data).unwrap(), (b"ROUTER".to_vec(), Bytes::from_static(b"me")));
    }

    #[test]
    fn what_is_not_zmtp_is_refused() {
        let mut http = [0; GREETING_LEN];
        http[..14].copy_from_slice(b"GET / HTTP/1.1");
        assert!(matches!(check_greeting(&http), Err(ZmtpError::NotZmtp)));
        let mut old = greeting();
        old[10] = 1;
        assert!(matches!(check_greeting(&old), Err(ZmtpError::Version { major: 1 })));
        let mut curve = greeting();
        curve[12..17].copy_from_slice(b"CURVE");
        assert!(matches!(check_greeting(&curve), Err(ZmtpError::Mechanism { .. })));
    }

    #[test]
    fn a_frame_that_announces_too_much_is_refused_at_once() {
        let mut bytes = vec![LONG];
        bytes.extend_from_slice(&u64::MAX.to_be_bytes());
        assert!(matches!(decode_all(&bytes, 100), Err(ZmtpError::TooLong { .. })));
        assert!(matches!(decode_all(&[0x80, 0], 100), Err(ZmtpError::Malformed { .. })));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        // A linear congruential generator: the same bytes each time, and no dependency.
        let mut state = 1u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let (mut refused, mut understood) = (0, 0);
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..40).map(|at| if at % 5 == 0 { byte() & 7 } else { byte() }).collect();
            match decode_all(&bytes, 7) {
                Ok(_) => understood += 1,
                Err(_) => refused += 1,
            }
            let _ = parse_ready(&bytes);
        }
        assert!(refused > 0 && understood > 0);
    }
}
