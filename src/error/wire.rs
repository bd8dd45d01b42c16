//! Serialisation of this crate's errors: a task may return `Result<T, GetError>`, so that `?` works in it.
//!
//! An error travels as its report and, for a [`GetError`], the fault that it came from. The report comes first, so that
//! it can be read from a task's `Err` without knowing the error's type (`codec::outcome`).

use super::{
    ActorError, CancelError, GetError, InitError, PlacementGroupError, PutError, TaskError, WaitError, WorkerStatus,
};
use crate::abi::{Attempt, Cause, Failure, Fault};
use serde::ser::SerializeTupleStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// The name of this crate's errors in serde's data model.
pub(crate) const NAME: &str = "mobula::Error";

impl GetError {
    /// The fault from which this error can be made again.
    fn to_fault(&self) -> (Fault, Duration) {
        let fault = match self.clone() {
            GetError::NotReady { id, waited } => return (Fault::NotReady { id: id.0 }, waited),
            GetError::TaskFailed { source: TaskError(failure), .. }
            | GetError::ActorDied { source: TaskError(failure), .. }
            | GetError::ObjectLost { source: TaskError(failure), .. } => Fault::Task(*failure),
            GetError::WorkerDied { task, pid, status, carried_by, attempt } => {
                let cause = match status {
                    WorkerStatus::Signal { signal, name } => Cause::Signal { signal, name },
                    WorkerStatus::Exit { code } => Cause::Exit { code },
                };
                Fault::Task(Failure { task, pid, cell: 0, cause, carried_by, attempt, node: String::new() })
            }
            GetError::Cancelled { task, carried_by } => {
                let (cause, attempt) = (Cause::Cancelled, Attempt::ONLY);
                Fault::Task(Failure { task, pid: 0, cell: 0, cause, carried_by, attempt, node: String::new() })
            }
            GetError::Lost { id } => Fault::Unknown { id: id.0 },
            GetError::StoreFull(room) => {
                Fault::StoreFull { needed: room.needed, used: room.used, limit: room.limit, detail: room.detail }
            }
            GetError::Disconnected { reason } => Fault::Disconnected { reason },
            GetError::Refused { message } => Fault::Refused { message },
            GetError::Unreadable { .. } => Fault::Refused { message: self.to_string() },
        };
        (fault, Duration::ZERO)
    }
}

impl Serialize for GetError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_tuple_struct(NAME, 2)?;
        fields.serialize_field(&format!("{self:#}"))?;
        fields.serialize_field(&self.to_fault())?;
        fields.end()
    }
}

#[derive(Deserialize)]
#[serde(rename = "mobula::Error")]
struct ReportAndFault(#[expect(dead_code, reason = "made anew from the fault")] String, (Fault, Duration));

impl<'de> Deserialize<'de> for GetError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GetError, D::Error> {
        let ReportAndFault(_, (fault, waited)) = Deserialize::deserialize(deserializer)?;
        Ok(GetError::from_fault(fault, waited))
    }
}

/// The other errors travel as their report alone.
macro_rules! as_report {
    ($($error:ident),*) => {
        $(
            impl Serialize for $error {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    let mut fields = serializer.serialize_tuple_struct(NAME, 1)?;
                    fields.serialize_field(&format!("{self:#}"))?;
                    fields.end()
                }
            }

            impl<'de> Deserialize<'de> for $error {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$error, D::Error> {
                    let (message,) = Deserialize::deserialize(deserializer)?;
                    Ok($error::Refused { message })
                }
            }
        )*
    };
}

as_report!(PutError, WaitError, CancelError, ActorError, PlacementGroupError, InitError);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ObjectId, inline, prelude::*};

    fn round_trip<E: Serialize + for<'de> Deserialize<'de>>(error: &E) -> E {
        postcard::from_bytes(&postcard::to_stdvec(error).unwrap()).unwrap()
    }

    #[test]
    fn a_get_error_travels_whole() {
        let attempt = Attempt { number: 4, of: Some(4) };
        let failure = |cause| Failure {
            task: "f".into(),
            pid: 7,
            cell: 0,
            cause,
            carried_by: vec!["g".into()],
            attempt,
            node: String::new(),
        };
        let full = Fault::StoreFull { needed: 2, used: 1, limit: 1, detail: "x".into() };
        let faults = [
            Fault::NotReady { id: 3 },
            Fault::Task(failure(Cause::Error { message: "m".into() })),
            Fault::Task(failure(Cause::Signal { signal: 9, name: "SIGKILL".into() })),
            Fault::Task(failure(Cause::Exit { code: 1 })),
            Fault::Task(failure(Cause::Cancelled)),
            Fault::Task(failure(Cause::ActorDied {
                actor: "a".into(),
                death: Box::new(Cause::Exit { code: 1 }),
                output: vec!["last".into()],
            })),
            Fault::Unknown { id: 4 },
            full,
            Fault::Disconnected { reason: "r".into() },
            Fault::Refused { message: "m".into() },
        ];
        for fault in faults {
            let error = GetError::from_fault(fault, Duration::from_millis(5));
            assert_eq!(format!("{error:?}"), format!("{:?}", round_trip(&error)));
        }
        let unreadable = GetError::Unreadable { id: ObjectId(1), reason: "r".into() };
        assert_eq!(unreadable.to_string(), round_trip(&unreadable).to_string());
    }

    #[test]
    fn the_other_errors_travel_as_their_words() {
        let error = WaitError::TooMany { num_returns: 3, refs: 1 };
        assert_eq!(round_trip(&error).to_string(), error.to_string());
    }

    #[test]
    fn a_task_can_use_the_question_mark_and_its_failure_shows_the_one_inside() {
        inline::attach();
        fn inner() -> u32 {
            panic!("deep")
        }
        fn outer() -> Result<u32, GetError> {
            Ok(get(inner.remote())? + 1)
        }
        let report = format!("{:#}", get(outer.remote()).unwrap_err());
        assert!(report.contains("outer` failed\n  caused by: returned Err: task `"), "{report}");
        assert!(report.contains("inner` failed\n      caused by: panicked: deep\n"), "{report}");
    }
}
