//! Frames to a bridge, each a length, a head and a body, and the requests of a session as such. `bridge.py` is the other side.
//!
//! A head is a pickled tuple: the frame's kind, its number, and what belongs to the kind.

use crate::ray::transport::pickle;
use crate::ray::transport::proto::data_request::Type as Ask;
use crate::ray::transport::proto::terminate_request::TerminateType;
use crate::ray::transport::proto::{ClientTask, DataRequest};
use crate::ray::transport::value::Value;
use bytes::Bytes;
use tokio::sync::mpsc;

/// A frame to the bridge.
pub(super) struct Frame {
    head: Vec<Bytes>,
    body: Vec<Bytes>,
}

impl Frame {
    pub(super) fn new(kind: &str, fields: Vec<Value>, body: Vec<Bytes>) -> Frame {
        let head = Value::Tuple(std::iter::once(Value::text(kind)).chain(fields).collect());
        let head = pickle::write(&head, "", &|_| None).expect("it is flat and has no references");
        Frame { head: head.finish(), body }
    }

    /// Its lengths and its head.
    pub(super) fn write_head(&self, out: &mut Vec<u8>) {
        let length = |pieces: &[Bytes]| pieces.iter().map(Bytes::len).sum::<usize>();
        let head = u32::try_from(length(&self.head)).expect("a head is short");
        out.extend_from_slice(&head.to_le_bytes());
        out.extend_from_slice(&(length(&self.body) as u64).to_le_bytes());
        self.head.iter().for_each(|piece| out.extend_from_slice(piece));
    }

    pub(super) fn body(&self) -> &[Bytes] {
        &self.body
    }
}

/// Makes frames of a session's requests. The chunks of one request become one frame again.
pub(super) async fn pump(mut requests: mpsc::Receiver<DataRequest>, frames: mpsc::Sender<Frame>) {
    let mut chunks = Vec::new();
    while let Some(request) = requests.recv().await {
        if let Some(frame) = frame(request, &mut chunks)
            && frames.send(frame).await.is_err()
        {
            return;
        }
    }
    // However it ends: the session does not ask any more.
    let _ = frames.send(Frame::new("close", Vec::new(), Vec::new())).await;
}

/// The frame of a request, if it is complete.
fn frame(request: DataRequest, chunks: &mut Vec<Bytes>) -> Option<Frame> {
    let number = Value::Int(request.req_id.into());
    let bytes = Value::Bytes;
    Some(match request.r#type? {
        Ask::Put(put) => {
            chunks.push(put.data);
            if put.chunk_id + 1 < put.total_chunks {
                return None;
            }
            Frame::new("put", vec![number], std::mem::take(chunks))
        }
        Ask::Task(task) => {
            let ClientTask { r#type, name, payload_id, namespace, options, baseline_options, .. } = task;
            chunks.push(task.data);
            if task.chunk_id + 1 < task.total_chunks {
                return None;
            }
            let options = [options, baseline_options].map(|options| bytes(options.unwrap_or_default().pickled_options));
            let mut fields =
                vec![number, Value::Int(r#type.into()), Value::Str(name), bytes(payload_id), Value::Str(namespace)];
            fields.extend(options);
            Frame::new("task", fields, std::mem::take(chunks))
        }
        Ask::Get(get) => Frame::new("get", vec![number, bytes(get.ids.into_iter().next()?)], Vec::new()),
        Ask::Release(release) => {
            let ids = Value::List(release.ids.into_iter().map(bytes).collect());
            Frame::new("release", vec![number, ids], Vec::new())
        }
        Ask::Terminate(terminate) => match terminate.terminate_type? {
            TerminateType::TaskObject(task) => {
                let how = [task.force, task.recursive].map(Value::Bool);
                let fields = [number, bytes(task.id)].into_iter().chain(how).collect();
                Frame::new("cancel", fields, Vec::new())
            }
            TerminateType::Actor(actor) => {
                Frame::new("kill", vec![number, bytes(actor.id), Value::Bool(actor.no_restart)], Vec::new())
            }
        },
        Ask::ListNamedActors(list) => Frame::new("named", vec![number, Value::Bool(list.all_namespaces)], Vec::new()),
        // The end of requests says it.
        _ => return None,
    })
}

/// The bytes, if it is some.
pub(super) fn bytes_of(value: Value) -> Bytes {
    match value {
        Value::Bytes(bytes) => bytes,
        _ => Bytes::new(),
    }
}

/// The text, if it is one.
pub(super) fn text_of(value: Value) -> String {
    match value {
        Value::Str(text) => text,
        _ => String::new(),
    }
}

/// The ids in a list.
pub(super) fn ids_in(value: &Value) -> Vec<Bytes> {
    match value {
        Value::List(ids) => ids.iter().cloned().map(bytes_of).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ray::transport::proto::{PutRequest, TaskOptions};

    fn head(frame: &Frame) -> Value {
        pickle::read_plain(&frame.head.concat().into()).unwrap()
    }

    fn request(req_id: i32, ask: Ask) -> DataRequest {
        DataRequest { req_id, r#type: Some(ask) }
    }

    #[test]
    fn the_chunks_of_a_request_become_one_frame_that_shares_them() {
        let pieces = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
        let put = |chunk_id: i32| PutRequest {
            data: pieces[chunk_id as usize].clone(),
            chunk_id,
            total_chunks: 2,
            total_size: 6,
        };
        let mut chunks = Vec::new();
        assert!(frame(request(7, Ask::Put(put(0))), &mut chunks).is_none());
        let whole = frame(request(7, Ask::Put(put(1))), &mut chunks).unwrap();
        assert_eq!(head(&whole), Value::Tuple(vec![Value::text("put"), Value::Int(7)]));
        assert!(whole.body().iter().zip(&pieces).all(|(body, piece)| body.as_ptr() == piece.as_ptr()));
        assert!(chunks.is_empty());
    }

    #[test]
    fn a_call_without_options_has_empty_ones() {
        let options = Some(TaskOptions { pickled_options: Bytes::from_static(b"o") });
        let task = ClientTask { name: "f".into(), options, total_chunks: 1, ..ClientTask::default() };
        let Value::Tuple(fields) = head(&frame(request(1, Ask::Task(task)), &mut Vec::new()).unwrap()) else {
            panic!("a tuple")
        };
        assert_eq!(fields[6..], [Value::Bytes(Bytes::from_static(b"o")), Value::Bytes(Bytes::new())]);
    }
}
