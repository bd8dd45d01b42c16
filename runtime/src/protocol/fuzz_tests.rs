//! Property tests of frames: every message whole, cut anywhere or damaged, and arbitrary bytes.

use super::*;
use crate::abi::{
    ActorState, Address, Answer, Attempt, Caller, Cause, CellPlace, CommCall, Failed, Failure, Fault, InitOptions,
    ObjectState, Place, Question, TaskOptions,
};
use crate::store::{Limits, Seat};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,9}"
}

fn req() -> impl Strategy<Value = Request> {
    any::<u64>().prop_map(Request)
}

fn id() -> impl Strategy<Value = ObjectId> {
    any::<u64>().prop_map(ObjectId)
}

fn seat() -> impl Strategy<Value = Seat> {
    any::<u16>().prop_map(Seat)
}

fn function() -> impl Strategy<Value = Function> {
    (text(), any::<u64>(), text(), text()).prop_map(|(library, offset, name, folder)| Function {
        library,
        offset,
        name,
        folder,
    })
}

fn arena() -> impl Strategy<Value = ArenaInfo> {
    any::<(u32, u64, u64, bool)>().prop_map(|(generation, len, unit_bytes, huge)| ArenaInfo {
        generation,
        len,
        unit_bytes,
        huge,
    })
}

fn place() -> impl Strategy<Value = Place> {
    let cell = (any::<(u64, u32, u32)>(), text()).prop_map(|((cell, line, column), text)| CellPlace {
        cell,
        line,
        column,
        text,
    });
    let caller = (text(), any::<(u32, u32, u32)>()).prop_map(|(name, (line, column, times))| Caller {
        file: name.clone(),
        name,
        line,
        column,
        times,
        cell: None,
    });
    (text(), any::<(u32, u32)>(), text(), prop::option::of(cell), prop::collection::vec(caller, 0..3))
        .prop_map(|(file, (line, column), library, cell, callers)| Place { file, line, column, library, cell, callers })
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        (text(), prop::option::of(place())).prop_map(|(message, place)| Cause::Panic { message, place }),
        text().prop_map(|message| Cause::Error { message }),
        (any::<i32>(), text()).prop_map(|(signal, name)| Cause::Signal { signal, name }),
        any::<i32>().prop_map(|code| Cause::Exit { code }),
        text().prop_map(|message| Cause::Refused { message }),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    (text(), any::<(u32, u64)>(), cause(), prop::collection::vec(text(), 0..3)).prop_map(
        |(node, (pid, cell), cause, carried_by)| Failure {
            task: "half".into(),
            pid,
            cell,
            cause,
            carried_by,
            attempt: Attempt::ONLY,
            node,
        },
    )
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Interrupted),
        any::<u64>().prop_map(|id| Fault::NotReady { id }),
        failure().prop_map(Fault::Task),
        (any::<(u64, u64, u64)>(), text()).prop_map(|((needed, used, limit), detail)| Fault::StoreFull {
            needed,
            used,
            limit,
            detail
        }),
        any::<u64>().prop_map(|id| Fault::Unknown { id }),
        text().prop_map(|reason| Fault::Disconnected { reason }),
        text().prop_map(|message| Fault::Refused { message }),
    ]
}

fn resources() -> impl Strategy<Value = Vec<(String, f64)>> {
    prop::collection::vec((text(), any::<f64>()), 0..3)
}

fn question() -> impl Strategy<Value = Question> {
    let options = (any::<(Option<f64>, Option<u32>, Option<u64>, bool)>(), resources(), prop::option::of(text()))
        .prop_map(|((num_cpus, num_workers, object_store_memory, ignore_reinit), resources, address)| InitOptions {
            num_cpus,
            num_workers,
            object_store_memory,
            ignore_reinit,
            resources,
            address,
            ..InitOptions::default()
        });
    prop_oneof![
        options.prop_map(Question::Init),
        Just(Question::Errors),
        Just(Question::ClusterResources),
        Just(Question::AvailableResources),
        Just(Question::Actors),
        Just(Question::Dashboard),
        Just(Question::Shutdown),
        any::<u64>().prop_map(|id| Question::State { id }),
        text().prop_map(|name| Question::Actor { name }),
        any::<u64>().prop_map(|id| Question::Kill { id }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let address = ([text(), text(), text()], any::<(u64, f64)>(), any::<[u32; 2]>(), prop::option::of(text()))
        .prop_map(|([session_dir, socket, store], (object_store_memory, num_cpus), workers, dashboard_url)| {
            let workers = workers.to_vec();
            Address { session_dir, socket, store, object_store_memory, num_cpus, workers, dashboard_url }
        });
    prop_oneof![
        address.prop_map(Answer::Address),
        (text(), prop::option::of(text()))
            .prop_map(|(url, proxied)| Answer::Dashboard(crate::abi::Dashboard { url, proxied })),
        prop::collection::vec((failure(), any::<bool>()), 0..3).prop_map(|all| {
            Answer::Errors(all.into_iter().map(|(failure, is_fetched)| Failed { failure, is_fetched }).collect())
        }),
        resources().prop_map(Answer::Resources),
        any::<u64>().prop_map(|bytes| Answer::State(ObjectState::Ready { bytes })),
        Just(Answer::State(ObjectState::Failed)),
        any::<u32>().prop_map(|pid| Answer::ActorState(Some(ActorState::Alive { pid }))),
    ]
}

fn task_options() -> impl Strategy<Value = TaskOptions> {
    (resources(), any::<(Option<f64>, Option<i32>, Option<u32>)>(), prop::option::of(text())).prop_map(
        |(resources, (num_cpus, max_retries, max_calls), name)| TaskOptions {
            num_cpus,
            resources,
            max_retries,
            max_calls,
            name,
            env: vec![("NAME".into(), "value".into())],
            ..TaskOptions::default()
        },
    )
}

fn from_front() -> impl Strategy<Value = FromFront> {
    prop_oneof![
        text().prop_map(|name| FromFront::Namespace { name }),
        any::<u32>().prop_map(|share| FromFront::Share { share }),
        (any::<u64>(), text()).prop_map(|(cell, source)| FromFront::Cell(crate::abi::CellRecord {
            cell,
            source,
            ..crate::abi::CellRecord::default()
        })),
        any::<u64>().prop_map(|turn| FromFront::Interrupt { turn }),
        any::<(u32, bool)>().prop_map(|(pid, takeover)| FromFront::CellHost { pid, takeover }),
        (any::<u32>().prop_map(ClientId), req()).prop_map(|(client, req)| FromFront::Comm {
            client,
            req,
            answer: None
        }),
        (any::<u64>(), cause()).prop_map(|(number, cause)| FromFront::Located { number, cause }),
        any::<u64>().prop_map(|number| FromFront::Flush { number }),
    ]
}

fn to_front() -> impl Strategy<Value = ToFront> {
    prop_oneof![
        text().prop_map(|text| ToFront::Event(RuntimeEvent::Notice(text))),
        (any::<(u64, bool)>(), failure()).prop_map(|((number, is_shown), failure)| ToFront::Failed {
            number,
            failure,
            is_shown
        }),
        (any::<u32>().prop_map(ClientId), req(), any::<(u64, u64)>()).prop_map(|(client, req, (cell, to))| {
            ToFront::Comm { client, req, cell, call: CommCall::Value { comm: to.to_string(), key: String::new() } }
        }),
    ]
}

fn to_head() -> impl Strategy<Value = ToHead> {
    let role = prop::sample::select(vec![Role::Driver, Role::Program, Role::JoinedProgram, Role::Worker, Role::Front]);
    let held = prop::collection::vec((id(), any::<bool>()).prop_map(|(id, pinned)| Held { id, pinned }), 0..4);
    let takeover = (seat(), any::<u64>(), held).prop_map(|(seat, cell, held)| Takeover { seat, cell, held });
    let rare = prop_oneof![
        (any::<(u32, u32, u8)>(), role, prop::option::of(takeover)).prop_map(
            |((version, pid, session), role, takeover)| ToHead::Hello {
                version,
                role,
                pid,
                session: SessionId(session),
                takeover
            }
        ),
        from_front().prop_map(ToHead::Front),
        (req(), function()).prop_map(|(req, function)| ToHead::Intern { req, function }),
        (req(), any::<u32>()).prop_map(|(req, function)| ToHead::Resolve { req, function }),
        (req(), task_options()).prop_map(|(req, options)| ToHead::Number { req, options }),
        (req(), task_options()).prop_map(|(req, options)| ToHead::Spawn { req, options }),
        (any::<u32>(), id()).prop_map(|(mailbox, task)| ToHead::Spawned { mailbox, task }),
        any::<u32>().prop_map(|mailbox| ToHead::Unspawned { mailbox }),
        (req(), any::<u16>()).prop_map(|(req, options)| ToHead::CallsMax { req, options }),
        (req(), any::<u32>(), any::<u64>()).prop_map(|(req, units, bytes)| ToHead::Room { req, units, bytes }),
        req().prop_map(|req| ToHead::RoomNoLonger { req }),
        (req(), id()).prop_map(|(req, id)| ToHead::Restore { req, id }),
        any::<(u64, u64)>().prop_map(|(position, len)| ToHead::Forget { position, len }),
        (req(), id()).prop_map(|(req, id)| ToHead::Blame { req, id }),
        req().prop_map(|req| ToHead::Arena { req }),
        (req(), question()).prop_map(|(req, question)| ToHead::Ask { req, question }),
    ];
    let of_tasks = prop_oneof![
        req().prop_map(|req| ToHead::Wrote { req }),
        (req(), id(), cause()).prop_map(|(req, task, cause)| ToHead::Failed { req, task, cause }),
        (id(), id()).prop_map(|(task, object)| ToHead::Carry { task, object }),
        prop::sample::select(vec![
            ToHead::Ready,
            ToHead::Blocked,
            ToHead::Unblocked,
            ToHead::Poke,
            ToHead::Ended { also: vec![ObjectId(7)] },
            ToHead::Settled,
            ToHead::Stranded,
        ]),
        id().prop_map(|call| ToHead::Unsent { call }),
        id().prop_map(|task| ToHead::Strand { task }),
        any::<u32>().prop_map(|lease| ToHead::Parked { lease }),
        any::<u32>().prop_map(|function| ToHead::Unserved { function }),
    ];
    prop_oneof![rare, of_tasks]
}

fn to_client() -> impl Strategy<Value = ToClient> {
    let limits = any::<(u32, u32, u32)>().prop_map(|(slots, units, ring)| Limits { slots, units, ring });
    let welcome = (any::<u32>().prop_map(ClientId), seat(), limits, arena());
    let answered = prop_oneof![answer().prop_map(Ok), fault().prop_map(Err)];
    prop_oneof![
        welcome.prop_map(|(client, seat, limits, arena)| ToClient::Welcome {
            client,
            seat,
            session: SessionId(3),
            limits,
            arena,
            plain: 7
        }),
        to_front().prop_map(ToClient::Front),
        (req(), arena()).prop_map(|(req, arena)| ToClient::Arena { req, arena }),
        (req(), any::<u32>()).prop_map(|(req, function)| ToClient::Interned { req, function }),
        (req(), any::<u16>()).prop_map(|(req, options)| ToClient::Numbered { req, options }),
        (req(), any::<(u32, u16)>()).prop_map(|(req, (mailbox, options))| ToClient::Mailbox { req, mailbox, options }),
        (req(), id()).prop_map(|(req, id)| ToClient::Existing { req, id }),
        (req(), any::<Option<u32>>()).prop_map(|(req, max)| ToClient::Calls { req, max }),
        (req(), prop::option::of(function())).prop_map(|(req, function)| ToClient::Function { req, function }),
        (req(), prop::option::of(failure().prop_map(Box::new)))
            .prop_map(|(req, failure)| ToClient::Blame { req, failure }),
        req().prop_map(|req| ToClient::Done { req }),
        (req(), fault()).prop_map(|(req, fault)| ToClient::Refused { req, fault }),
        (req(), answered).prop_map(|(req, answer)| ToClient::Answer { req, answer }),
        any::<u64>().prop_map(|turn| ToClient::Interrupt { turn }),
    ]
}

/// A number for each kind of message, without gaps. A new kind must be added to the strategy above as well.
fn kind_to_head(message: &ToHead) -> usize {
    match message {
        ToHead::Hello { .. } => 0,
        ToHead::Intern { .. } => 1,
        ToHead::Resolve { .. } => 2,
        ToHead::Room { .. } => 3,
        ToHead::RoomNoLonger { .. } => 4,
        ToHead::Restore { .. } => 5,
        ToHead::Forget { .. } => 6,
        ToHead::Blame { .. } => 7,
        ToHead::Arena { .. } => 8,
        ToHead::Ask { .. } => 9,
        ToHead::Wrote { .. } => 10,
        ToHead::Failed { .. } => 11,
        ToHead::Carry { .. } => 12,
        ToHead::Ready => 13,
        ToHead::Blocked => 14,
        ToHead::Unblocked => 15,
        ToHead::Parked { .. } => 16,
        ToHead::Strand { .. } => 17,
        ToHead::Poke => 18,
        ToHead::Unserved { .. } => 19,
        ToHead::Number { .. } => 20,
        ToHead::CallsMax { .. } => 21,
        ToHead::Ended { .. } => 22,
        ToHead::Spawn { .. } => 23,
        ToHead::Spawned { .. } => 24,
        ToHead::Settled => 25,
        ToHead::Unsent { .. } => 26,
        ToHead::Unspawned { .. } => 27,
        ToHead::Stranded => 28,
        ToHead::Front(_) => 29,
    }
}

/// As above.
fn kind_to_client(message: &ToClient) -> usize {
    match message {
        ToClient::Welcome { .. } => 0,
        ToClient::Arena { .. } => 1,
        ToClient::Interned { .. } => 2,
        ToClient::Function { .. } => 3,
        ToClient::Blame { .. } => 4,
        ToClient::Done { .. } => 5,
        ToClient::Refused { .. } => 6,
        ToClient::Answer { .. } => 7,
        ToClient::Interrupt { .. } => 8,
        ToClient::Numbered { .. } => 9,
        ToClient::Calls { .. } => 10,
        ToClient::Mailbox { .. } => 11,
        ToClient::Existing { .. } => 12,
        ToClient::Front(_) => 13,
    }
}

fn kinds<T: Debug>(messages: impl Strategy<Value = T>, kind: impl Fn(&T) -> usize) -> BTreeSet<usize> {
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let kinds = std::cell::RefCell::new(BTreeSet::new());
    let seen = runner.run(&messages, |message| {
        kinds.borrow_mut().insert(kind(&message));
        Ok(())
    });
    seen.unwrap();
    kinds.into_inner()
}

#[test]
fn no_message_is_left_out_here() {
    assert_eq!(kinds(to_head(), kind_to_head), (0..30).collect());
    assert_eq!(kinds(to_client(), kind_to_client), (0..14).collect());
}

/// Bytes in pieces, cut at these places.
fn pieces<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// The messages decoded from these bytes, which arrive in pieces, and whether all of them decoded.
fn decoded<T: DeserializeOwned>(bytes: &[u8], cuts: &[Index]) -> (Vec<T>, bool) {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in pieces(bytes, cuts) {
        assert!(decoder.missing() <= FRAME_BYTES_MAX);
        decoder.room(piece.len())[..piece.len()].copy_from_slice(piece);
        decoder.arrived(piece.len());
        loop {
            match decoder.take() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    (messages, true)
}

/// The messages' bytes, and where each of them ends.
fn encoded(messages: &[impl Serialize]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let end = |message| {
        encode(message, &mut bytes).unwrap();
        bytes.len()
    };
    let ends = messages.iter().map(end).collect();
    (bytes, ends)
}

/// Damage to bytes in transit.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    End(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), prop_oneof![any::<u8>(), Just(0xff), Just(0x80)]).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        at().prop_map(Damage::Remove),
        at().prop_map(Damage::End),
    ]
}

/// Damages the bytes, and returns the first position that changed.
fn damaged(bytes: &mut Vec<u8>, all: &[Damage]) -> usize {
    let mut first = bytes.len();
    for damage in all {
        if bytes.is_empty() {
            return 0;
        }
        let len = bytes.len();
        let at = match damage {
            Damage::Set(at, byte) => {
                bytes[at.index(len)] = *byte;
                at.index(len)
            }
            Damage::Flip(at, bit) => {
                bytes[at.index(len)] ^= 1 << bit;
                at.index(len)
            }
            Damage::Insert(at, byte) => {
                bytes.insert(at.index(len), *byte);
                at.index(len)
            }
            Damage::Remove(at) => {
                bytes.remove(at.index(len));
                at.index(len)
            }
            Damage::End(at) => {
                bytes.truncate(at.index(len));
                at.index(len)
            }
        };
        first = first.min(at);
    }
    first
}

fn survive<T>(messages: &[T], cuts: &[Index]) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let (bytes, _) = encoded(messages);
    let (seen, is_sound) = decoded::<T>(&bytes, cuts);
    prop_assert!(is_sound);
    prop_assert_eq!(&seen[..], messages);
    Ok(())
}

/// Messages before the damage are unchanged. After it anything may follow, but no more messages than the bytes have
/// room for.
fn only_the_damaged_suffer<T>(messages: &[T], all: &[Damage], cuts: &[Index]) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let (mut bytes, ends) = encoded(messages);
    let first = damaged(&mut bytes, all);
    let (seen, _) = decoded::<T>(&bytes, cuts);
    let whole = ends.iter().filter(|end| **end <= first).count();
    prop_assert!(seen.len() >= whole && seen.len() <= bytes.len() / 5);
    prop_assert_eq!(&seen[..whole], &messages[..whole]);
    // The result does not depend on the cuts.
    prop_assert_eq!(decoded::<T>(&bytes, &[]).0, seen);
    Ok(())
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..8)
}

proptest! {
    #[test]
    fn what_clients_say_survives_any_cut(messages in prop::collection::vec(to_head(), 0..6), cuts in cuts()) {
        survive(&messages, &cuts)?;
    }

    #[test]
    fn what_the_head_says_survives_any_cut(messages in prop::collection::vec(to_client(), 0..6), cuts in cuts()) {
        survive(&messages, &cuts)?;
    }

    #[test]
    fn damage_to_what_clients_say_is_an_error_from_there_on(
        messages in prop::collection::vec(to_head(), 1..6),
        all in prop::collection::vec(damage(), 1..5),
        cuts in cuts(),
    ) {
        only_the_damaged_suffer(&messages, &all, &cuts)?;
    }

    #[test]
    fn damage_to_what_the_head_says_is_an_error_from_there_on(
        messages in prop::collection::vec(to_client(), 1..6),
        all in prop::collection::vec(damage(), 1..5),
        cuts in cuts(),
    ) {
        only_the_damaged_suffer(&messages, &all, &cuts)?;
    }

    #[test]
    fn any_bytes_are_messages_or_an_error(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0..24_u8], 0..200),
        len in prop::option::of(0..64_u32),
        cuts in cuts(),
    ) {
        // Mostly with a length that fits, because otherwise hardly anything would be decoded.
        let bytes: Vec<u8> = len.into_iter().flat_map(u32::to_le_bytes).chain(bytes).collect();
        prop_assert!(decoded::<ToHead>(&bytes, &cuts).0.len() <= bytes.len() / 5);
        prop_assert!(decoded::<ToClient>(&bytes, &cuts).0.len() <= bytes.len() / 5);
    }
}
