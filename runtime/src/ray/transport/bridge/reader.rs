//! Frames from a bridge: answers, parts of values, output, and what is said first.
//!
//! Large values come in parts, and only as many as were allowed: each part that was read allows another one, so others get in between, and no more than
//! some 32 MiB are under way. A part is read into its place in the value.

use super::calls::{Calls, Shared, lock};
use super::frames::{Frame, bytes_of, ids_in, text_of};
use crate::ray::transport::pickle;
use crate::ray::transport::proto::data_response::Type as Answer;
use crate::ray::transport::proto::{
    ClientListNamedActorsResponse, ClientTaskTicket, DataResponse, GetResponse, LogData, PutResponse, ReleaseResponse,
};
use crate::ray::transport::stream::Reply;
use crate::ray::transport::value::Value;
use bytes::Bytes;
use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::process::ChildStdout;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// The largest head. Only what a cluster says of itself is large.
const HEAD_BYTES_MAX: usize = 1 << 30;

/// The largest body or value.
const BODY_BYTES_MAX: usize = 1 << 46;

/// How much is read at once, where it is not into its place.
const READ_BYTES: usize = 64 << 10;

/// What a bridge says first.
pub(super) struct Greeting {
    /// Why there is no session.
    pub failure: Option<String>,
    pub ray: String,
    pub python: String,
    pub commit: String,
}

/// A value whose parts are still coming.
struct Coming {
    is_valid: bool,
    lengths: Vec<usize>,
    bytes: Vec<u8>,
    filled: usize,
}

/// Reads a bridge's frames and hands them on.
pub(super) struct Reader {
    shared: Arc<Shared>,
    /// For what parts allow; nothing else of it keeps the bridge alive.
    frames: mpsc::WeakSender<Frame>,
    answers: mpsc::Sender<Result<Reply, Status>>,
    greet: Option<oneshot::Sender<Greeting>>,
    coming: HashMap<i32, Coming>,
}

impl Reader {
    pub(super) fn new(
        calls: &Calls,
        answers: mpsc::Sender<Result<Reply, Status>>,
        greet: oneshot::Sender<Greeting>,
    ) -> Reader {
        let (shared, frames) = calls.for_reader();
        Reader { shared, frames, answers, greet: Some(greet), coming: HashMap::new() }
    }

    /// Reads until the end, or until something that cannot be read.
    pub(super) fn run(mut self, output: ChildStdout) -> (Reader, Option<io::Error>) {
        let mut output = BufReader::with_capacity(READ_BYTES, output);
        loop {
            match self.frame(&mut output) {
                Ok(true) => {}
                Ok(false) => return (self, None),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return (self, None),
                Err(error) => return (self, Some(error)),
            }
        }
    }

    /// Tells everybody that the bridge has ended.
    pub(super) fn end(self, reason: &str) {
        *lock(&self.shared.ended) = Some(reason.to_owned());
        self.shared.has_ended.notify_waiters();
        drop(self.greet);
        *lock(&self.shared.logs) = None;
        lock(&self.shared.waiting).clear();
        let _ = self.answers.blocking_send(Err(Status::aborted(reason)));
    }

    /// Reads a frame. False if nobody wants any more.
    fn frame(&mut self, input: &mut impl Read) -> io::Result<bool> {
        let (mut head, mut body) = ([0; 4], [0; 8]);
        input.read_exact(&mut head)?;
        input.read_exact(&mut body)?;
        let bounded = |length: u64, max: usize| {
            usize::try_from(length).ok().filter(|length| *length <= max).ok_or_else(|| bad("a frame that is too long"))
        };
        let head = read_bytes(input, bounded(u32::from_le_bytes(head).into(), HEAD_BYTES_MAX)?)?;
        let body = bounded(u64::from_le_bytes(body), BODY_BYTES_MAX)?;
        let head = pickle::read_plain(&head.into()).map_err(bad)?;
        let Value::Tuple(mut fields) = head else { return Err(bad("a head that is no tuple")) };
        fields.reverse();
        let kind = fields.pop().as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        self.take(&kind, fields, body, input)
    }

    /// Takes a frame; the fields stand in reverse order.
    fn take(&mut self, kind: &str, mut fields: Vec<Value>, body: usize, input: &mut impl Read) -> io::Result<bool> {
        let mut field = || fields.pop().unwrap_or(Value::None);
        if kind == "log" {
            let level = if field() == Value::Bool(true) { -2 } else { -1 };
            let text = read_bytes(input, body)?;
            if let Some(tell) = &*lock(&self.shared.logs) {
                let msg = String::from_utf8_lossy(&text).into_owned();
                let _ = tell.send(LogData { msg, level, name: String::new() });
            }
            return Ok(true);
        }
        let number = field().as_int().ok_or_else(|| bad("a frame without a number"))?;
        let req = i32::try_from(number).unwrap_or_default();
        let answer = match kind {
            "value" => {
                let is_valid = field() == Value::Bool(true);
                let lengths: Vec<usize> = match field() {
                    Value::List(lengths) => {
                        lengths.iter().filter_map(|length| usize::try_from(length.as_int()?).ok()).collect()
                    }
                    _ => return Err(bad("a value without lengths")),
                };
                let length = lengths.iter().try_fold(0, |sum: usize, length| sum.checked_add(*length));
                let length =
                    length.filter(|length| *length <= BODY_BYTES_MAX).ok_or_else(|| bad("a value that is too long"))?;
                // Zeros of the system, which cost nothing until they are written over.
                let mut coming = Coming { is_valid, lengths, bytes: vec![0; length], filled: 0 };
                coming.fill(input, body)?;
                return self.came(req, coming);
            }
            "part" => {
                let mut coming = self.coming.remove(&req).ok_or_else(|| bad("a part of nothing"))?;
                coming.fill(input, body)?;
                let grant = Frame::new("grant", vec![Value::Int(body as i64)], Vec::new());
                if let Some(frames) = self.frames.upgrade() {
                    let _ = frames.blocking_send(grant);
                }
                return self.came(req, coming);
            }
            "put" => {
                let (id, error) = (field(), bytes_of(field()));
                let (valid, id) = (id != Value::None, bytes_of(id));
                Answer::Put(PutResponse { id, valid, error })
            }
            "task" => {
                let (ids, error) = (field(), bytes_of(field()));
                Answer::TaskTicket(ClientTaskTicket { return_ids: ids_in(&ids), valid: ids != Value::None, error })
            }
            "done" => Answer::Release(ReleaseResponse::default()),
            "named" => {
                let actors_json = text_of(field());
                Answer::ListNamedActors(ClientListNamedActorsResponse { actors_json })
            }
            "init" => {
                let failure = field();
                let failure = failure.as_str().map(str::to_owned);
                let greeting =
                    Greeting { failure, ray: text_of(field()), python: text_of(field()), commit: text_of(field()) };
                if let Some(greet) = self.greet.take() {
                    let _ = greet.send(greeting);
                }
                return Ok(true);
            }
            "wait" | "info" | "error" => {
                if let Some(tell) = lock(&self.shared.waiting).remove(&number) {
                    let answer = field();
                    let _ = tell.send(match kind {
                        "error" => Err(Status::unknown(text_of(answer))),
                        _ => Ok(answer),
                    });
                }
                return Ok(true);
            }
            _ => return Err(bad(format_args!("a frame of the unknown kind `{kind}`"))),
        };
        Ok(self.answer(req, answer, Vec::new()))
    }

    /// Hands on a value that is whole, and keeps one that is not.
    fn came(&mut self, req: i32, coming: Coming) -> io::Result<bool> {
        if coming.filled < coming.bytes.len() {
            self.coming.insert(req, coming);
            return Ok(true);
        }
        let Coming { is_valid, lengths, bytes, .. } = coming;
        let mut rest = Bytes::from(bytes);
        let mut pieces = lengths.into_iter().map(|length| rest.split_to(length));
        let data = pieces.next().ok_or_else(|| bad("a value without lengths"))?;
        let buffers = pieces.collect();
        let (data, error) = if is_valid { (data, Bytes::new()) } else { (Bytes::new(), data) };
        let get = GetResponse { valid: is_valid, data, error, chunk_id: 0, total_chunks: 1, total_size: 0 };
        Ok(self.answer(req, Answer::Get(get), buffers))
    }

    fn answer(&self, req_id: i32, answer: Answer, buffers: Vec<Bytes>) -> bool {
        let answer = DataResponse { req_id, r#type: Some(answer) };
        self.answers.blocking_send(Ok(Reply { answer, buffers })).is_ok()
    }
}

impl Coming {
    fn fill(&mut self, input: &mut impl Read, length: usize) -> io::Result<()> {
        let place =
            self.bytes.get_mut(self.filled..self.filled + length).ok_or_else(|| bad("more of a value than it has"))?;
        input.read_exact(place)?;
        self.filled += length;
        Ok(())
    }
}

/// So many bytes, and not the memory for them before they come.
fn read_bytes(input: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if input.take(length as u64).read_to_end(&mut bytes)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

fn bad(what: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_cut_or_too_long_is_an_error() {
        let mut coming = Coming { is_valid: true, lengths: vec![4], bytes: vec![0; 4], filled: 0 };
        assert!(coming.fill(&mut &b"abc"[..], 3).is_ok());
        assert!(coming.fill(&mut &b"de"[..], 2).is_err());
        assert!(coming.fill(&mut &b""[..], 1).is_err());
        assert!(read_bytes(&mut &b"abc"[..], 4).is_err());
    }
}
