//! `.remote(…)` on any function.
//!
//! ```text
//!   f.remote(a, &b)
//!     F: the function's own type, of size zero ──▶ the address of `call_2::<F, A, B, R>`, and a name
//!     a ──codec──▶ a draft │ &b ──▶ its id     ──▶ submit ──▶ ObjectRef<R>
//!
//!   in a worker, in its own copy of the library:
//!     call_2::<F, A, B, R>: bytes ──codec──▶ (A, B) ──▶ F ──▶ R ──codec──▶ a draft, or the failure
//! ```
//!
//! There is one trait for each arity, implemented for all functions of that arity. The number of arguments picks the
//! trait, and the function's own signature gives every type, so that `let x = f.remote(1);` has a known type without a
//! macro.
//!
//! # Invariants
//! - The types of a cell's variables are inferred from items without bounds that a derive macro fulfils, because the
//!   tool that names those types does not expand derives. Such bounds stand on the methods.
//! - A task's function holds no data ([`Standalone`], and a check of its size): its type alone says what to run.
#![allow(unsafe_code)] // Making a function from its type, and taking over the loader's call.

mod checkpoint;
mod defaults;
mod later;
mod options;
mod split;

pub use crate::codec::Value;
pub use checkpoint::{NotSaved, Saved, Saving};
pub use defaults::Defaults;
pub use options::Options;

use crate::abi::{Call, Cause, Submission, TaskOptions, Trampoline, shorten, task_name};
use crate::calls::panic_hook::{Unwound, guard};
use crate::calls::{ARGS_MAX, Arg, Handle, Hold, ObjectId, Running, submit};
use crate::codec::{DecodeError, EncodeError, Encoded, decode, encode, encode_part, encode_result, nothing};
use crate::error::sentence;
use crate::future::block_on;
use crate::object::ObjectRef;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::hint::black_box;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;

/// A value that can be passed where a task takes an `A`: an `A`, or a reference to an object that is or will be an `A`.
#[diagnostic::on_unimplemented(
    message = "this task takes a `{A}` here, and `{Self}` is not one",
    label = "expected `{A}` or `ObjectRef<{A}>`, found `{Self}`",
    note = "give the value itself, or an `ObjectRef` of it (or `&` of one)",
    note = "a task owns its arguments: a function that takes `&str` or `&[T]` can be a task when it takes `String` or `Vec<T>`"
)]
pub trait IntoArg<A> {
    /// Classifies the argument.
    #[doc(hidden)]
    fn into_arg(self) -> TaskArg<A>;
}

/// A classified argument.
#[doc(hidden)]
pub enum TaskArg<A> {
    /// A value to send.
    Value(A),
    /// An object to pass on, with the caller's own reference to it.
    Ref(ObjectRef<A>),
    /// An object to pass on. `remote` was given a borrow of the caller's reference, which lasts until the task has been
    /// submitted. So the object needs no reference of its own.
    Lent(ObjectId),
}

impl<A> IntoArg<A> for A {
    fn into_arg(self) -> TaskArg<A> {
        TaskArg::Value(self)
    }
}

impl<A> IntoArg<A> for ObjectRef<A> {
    fn into_arg(self) -> TaskArg<A> {
        TaskArg::Ref(self)
    }
}

impl<A> IntoArg<A> for &ObjectRef<A> {
    fn into_arg(self) -> TaskArg<A> {
        TaskArg::Lent(self.id())
    }
}

/// Functions that need nothing but their own code: `fn` items and closures that capture nothing.
///
/// A closure that captures variables does not compile as a task, whatever it captures and however:
///
/// ```compile_fail
/// # use mobula::prelude::*;
/// let k = 2;
/// let x = (|n: i64| n * k).remote(3); // pass it instead: (|n, k| n * k).remote(3, k)
/// ```
///
/// ```compile_fail
/// # use mobula::prelude::*;
/// let name = String::from("mobula");
/// let x = (move || name.len()).remote();
/// ```
#[diagnostic::on_unimplemented(
    message = "this closure captures variables, so it cannot run in another process",
    label = "captures variables",
    note = "pass the captured value as an argument: `(|x: i64, k: i64| x + k).remote(x, k)`"
)]
pub trait Standalone: Copy {
    /// Fails to compile when the function holds data.
    #[doc(hidden)]
    const HOLDS_NO_DATA: ();
}

#[diagnostic::do_not_recommend]
impl<F: Copy + Send> Standalone for F {
    const HOLDS_NO_DATA: () = assert!(
        size_of::<F>() == 0,
        "this closure captures variables (or it is a function pointer), so it cannot run in another process; \
        pass the captured value as an argument: `(|x: i64, k: i64| x + k).remote(x, k)`"
    );
}

/// Defines the trait of one arity, its implementation for functions, and its trampoline.
macro_rules! remote {
    ($trait:ident $call:ident $number:literal $example:literal; $($arg:ident $type:ident),*) => {
        #[doc = concat!("`.remote(…)` on functions of ", $number, ".")]
        pub trait $trait<$($type,)* R> {
            /// Runs the function as a task in a worker process, and returns a reference to its result at once. Each
            /// argument is a value, an [`ObjectRef`] or a `&ObjectRef`. The task starts when all of them are ready. If
            /// one of them fails, so does the task.
            ///
            /// A task that panics or returns `Err` fails: [`get`](crate::get) of its ref returns an error.
            ///
            /// # Panics
            /// When the runtime does not accept the task: there is none, it is gone, the store has no room for an
            /// argument, or an argument's `Serialize` fails. The message says which.
            ///
            /// ```
            /// # mobula::inline::attach();
            /// # use mobula::prelude::*;
            #[doc = $example]
            /// # Ok::<(), mobula::GetError>(())
            /// ```
            #[track_caller]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's function has")]
            fn remote(self, $($arg: impl IntoArg<$type>),*) -> ObjectRef<R>
            where
                Self: Standalone,
                $($type: Value,)*
                R: Value;

            /// The function with options for its tasks: resources, retries, a name. See [`Options`].
            fn options(self) -> Options<Self, fn($($type),*) -> R>
            where
                Self: Sized;
        }

        #[diagnostic::do_not_recommend]
        impl<F, $($type,)* R> $trait<$($type,)* R> for F
        where
            F: Fn($($type),*) -> R,
        {
            #[track_caller]
            fn remote(self, $($arg: impl IntoArg<$type>),*) -> ObjectRef<R>
            where
                F: Standalone,
                $($type: Value,)*
                R: Value,
            {
                // Checked here and not in another function, so that the compiler reports the line that called `remote`.
                let () = F::HOLDS_NO_DATA;
                let name = std::any::type_name::<F>();
                #[allow(unused_mut, reason = "a function of no arguments has none to add")]
                let mut args = Outgoing::none();
                $(args.add::<$type>($arg.into_arg());)*
                ObjectRef::new(start(name, $call::<F, $($type,)* R>, args))
            }

            fn options(self) -> Options<F, fn($($type),*) -> R> {
                Options::of(self)
            }
        }

        impl<F, $($type,)* R> Options<F, fn($($type),*) -> R>
        where
            F: Fn($($type),*) -> R,
        {
            /// Runs the function as a task with these options, and returns at once; see [`Remote1::remote`].
            ///
            /// # Panics
            /// As `remote` of the function alone, and when an option makes no sense.
            #[track_caller]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's function has")]
            pub fn remote(&self, $($arg: impl IntoArg<$type>),*) -> ObjectRef<R>
            where
                F: Standalone,
                $($type: Value,)*
                R: Value,
            {
                let () = F::HOLDS_NO_DATA;
                let name = std::any::type_name::<F>();
                #[allow(unused_mut, reason = "a function of no arguments has none to add")]
                let mut args = Outgoing::with(&self.options);
                $(args.add::<$type>($arg.into_arg());)*
                ObjectRef::new(start(name, $call::<F, $($type,)* R>, args))
            }
        }

        /// The trampoline of this arity.
        unsafe extern "C" fn $call<F, $($type,)* R>(call: *const Call)
        where
            F: Fn($($type),*) -> R + Standalone,
            $($type: Value,)*
            R: Value,
        {
            // SAFETY: the loader calls a trampoline with a call that is to be run now and once, and `run` returns
            // before this does.
            let running = unsafe { Running::take(call) };
            run(running, |args| {
                // SAFETY: a value of `F` has existed. The only way to this trampoline is its address, which only
                // `remote` above takes, after it was given an `F`.
                let function = unsafe { from_type::<F>() };
                $(let Some($arg) = args.next::<$type>() else { return };)*
                if args.end() {
                    args.give::<R>(&function($($arg),*));
                }
            });
        }
    };
}

remote!(Remote0 call_0 "no arguments" "fn f() -> i64 { 1 }\nassert_eq!(get(f.remote())?, 1);";);
remote!(Remote1 call_1 "one argument" "fn f(x: i64) -> i64 { x + 1 }\nassert_eq!(get(f.remote(1))?, 2);"; a A);
remote!(Remote2 call_2 "two arguments" "assert_eq!(get((|x: i64, y: i64| x * y).remote(6, 7))?, 42);"; a A, b B);
remote!(Remote3 call_3 "three arguments"
    "fn f(a: u8, b: u8, c: u8) -> u8 { a + b + c }\nassert_eq!(get(f.remote(1, 2, 3))?, 6);"; a A, b B, c C);
remote!(Remote4 call_4 "four arguments"
    "fn f(a: u8, b: u8, c: u8, d: u8) -> u8 { a + b + c + d }\nassert_eq!(get(f.remote(1, 2, 3, 4))?, 10);"; a A, b B, c C, d D);
remote!(Remote5 call_5 "five arguments"
    "fn f(a: u8, b: u8, c: u8, d: u8, e: u8) -> u8 { a + b + c + d + e }\nassert_eq!(get(f.remote(1, 2, 3, 4, 5))?, 15);";
    a A, b B, c C, d D, e E);
remote!(Remote6 call_6 "six arguments"
    "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, g: u8) -> u8 { a + b + c + d + e + g }\nassert_eq!(get(f.remote(1, 2, 3, 4, 5, 6))?, 21);";
    a A, b B, c C, d D, e E, g G);
remote!(Remote7 call_7 "seven arguments"
    "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, g: u8, h: u8) -> u8 { a + b + c + d + e + g + h }\n\
    assert_eq!(get(f.remote(1, 2, 3, 4, 5, 6, 7))?, 28);";
    a A, b B, c C, d D, e E, g G, h H);
remote!(Remote8 call_8 "eight arguments"
    "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, g: u8, h: u8, i: u8) -> u8 { a + b + c + d + e + g + h + i }\n\
    assert_eq!(get(f.remote(1, 2, 3, 4, 5, 6, 7, 8))?, 36);";
    a A, b B, c C, d D, e E, g G, h H, i I);

/// Submits a small task that applies `part` to `whole`: the basis of [`ObjectRef::split`].
#[track_caller]
pub(crate) fn project<T: DeserializeOwned, P: Value, F: Fn(T) -> P + Standalone>(
    name: &'static str,
    whole: &ObjectRef<T>,
    _part: F,
) -> ObjectRef<P> {
    let mut args = Outgoing::none();
    args.push(Arg::Lent(whole.id().0));
    ObjectRef::new(start(name, call_part::<T, P, F>, args))
}

/// The trampoline of [`project`]. An element that is an `Err` is a value like any other, because the task that made it
/// succeeded.
unsafe extern "C" fn call_part<T: DeserializeOwned, P: Value, F: Fn(T) -> P + Standalone>(call: *const Call) {
    // SAFETY: the loader calls a trampoline with a call that is to be run now and once, and `run` returns before this does.
    let running = unsafe { Running::take(call) };
    run(running, |args| {
        // SAFETY: a value of `F` has existed. Only `project` takes this trampoline's address, after it was given an
        // `F`.
        let part = unsafe { from_type::<F>() };
        let Some(whole) = args.next::<T>() else { return };
        if args.end() {
            args.give_part::<P>(&part(whole));
        }
    });
}

/// Makes a function from its type alone.
///
/// # Safety
/// A value of `F` must have existed (an uninhabited type has none to copy).
pub(crate) unsafe fn from_type<F: Standalone>() -> F {
    let () = F::HOLDS_NO_DATA;
    // SAFETY:
    // - Readable and aligned: `F` has size 0 (the line above), and for reads of size 0 any aligned pointer is valid.
    // - A valid value: a value of size 0 has no bits that could be wrong, and one has existed.
    // - A second value: `Standalone` implies `Copy`, so the value that existed may have been copied, and `Send`, so the
    //   copy may be on another thread. Another process matters only to a captured value of size 0 that stands for a
    //   state of *this* process. Such a closure causes trouble in any `static`, too, and captures nothing that could be
    //   read.
    unsafe { NonNull::<F>::dangling().read() }
}

/// The arguments of a task that is about to be submitted.
///
/// Code that all functions of a person share goes through this type and [`Args`], without `?` and closures. Each cell
/// that calls `remote` compiles the rest, and one `?` is three functions.
pub(crate) struct Outgoing {
    args: [Option<Arg>; ARGS_MAX],
    len: usize,
    /// As in [`Submission`].
    kind: u32,
    /// What `.options()` says of this task.
    options: Option<Box<TaskOptions>>,
    /// The first argument that cannot be sent, by number, and why.
    trouble: Option<(usize, EncodeError)>,
}

impl Outgoing {
    #[inline(never)]
    fn none() -> Outgoing {
        Outgoing { args: [const { None }; ARGS_MAX], len: 0, kind: Submission::TASK, options: None, trouble: None }
    }

    fn with(options: &TaskOptions) -> Outgoing {
        let mut args = Outgoing::none();
        args.options = Some(Box::new(options.clone()));
        args
    }

    /// Those of a constructor, whose actor has these options.
    pub(crate) fn of_spawn(options: TaskOptions) -> Outgoing {
        let mut args = Outgoing::none();
        (args.kind, args.options) = (Submission::SPAWN, Some(Box::new(options)));
        args
    }

    /// Those of a call, of this kind, of the actor that an object stands for. The caller keeps that object until the call has been submitted.
    pub(crate) fn of_call(kind: u32, actor: ObjectId) -> Outgoing {
        let mut args = Outgoing::none();
        args.kind = kind;
        args.push(Arg::Lent(actor.0));
        args
    }

    pub(crate) fn add<A: Serialize>(&mut self, arg: TaskArg<A>) {
        match arg {
            // The value is dropped at once, because the draft has its bytes.
            TaskArg::Value(value) => self.push_encoded(encode(&value)),
            TaskArg::Ref(object) => self.push(Arg::Owned(object.into_handle())),
            TaskArg::Lent(id) => self.push(Arg::Lent(id.0)),
        }
    }

    fn push_encoded(&mut self, encoded: Result<Encoded, EncodeError>) {
        match encoded {
            Ok(encoded) => self.push(Arg::Draft(Some(encoded.draft), encoded.refs)),
            Err(error) => {
                self.len += 1;
                self.trouble.get_or_insert((self.len, error));
            }
        }
    }

    fn push(&mut self, arg: Arg) {
        self.args[self.len] = Some(arg);
        self.len += 1;
    }
}

impl Drop for Outgoing {
    /// Does nothing by itself. One function drops a type that has `Drop`, and cells link that function. Without `Drop`,
    /// each cell would compile the code that drops the fields.
    #[inline(never)]
    fn drop(&mut self) {}
}

/// Submits the task, or panics where the person called `remote`.
#[track_caller]
pub(crate) fn start(name: &'static str, trampoline: Trampoline, mut args: Outgoing) -> Handle {
    match try_start(name, trampoline, &mut args) {
        Ok(id) => Handle::adopt(id),
        Err(reason) => panic!("{} was not submitted: {reason}", submitted(&args, name)),
    }
}

/// What was to be submitted, for a message.
fn submitted(args: &Outgoing, name: &str) -> String {
    let word = match args.kind {
        Submission::SPAWN if args.options.as_ref().is_some_and(|options| options.actor.is_stream) => "stream",
        Submission::SPAWN => "actor",
        kind if Submission::is_call(kind) => "call",
        _ => "task",
    };
    format!("{word} `{}`", task_name(name))
}

fn try_start(name: &'static str, trampoline: Trampoline, args: &mut Outgoing) -> Result<u64, String> {
    match &args.trouble {
        None => {}
        Some((number, EncodeError::Refused(reason))) => {
            // The actor of a call is no argument that a person counts.
            let number = number - usize::from(Submission::is_call(args.kind));
            return Err(format!("argument {number} cannot be sent: {reason}"));
        }
        Some((_, EncodeError::NoRoom(fault))) => return Err(sentence(fault.clone())),
    }
    // A call takes nothing but its actor.
    let options = match Submission::is_call(args.kind) {
        true => Arc::default(),
        false => defaults::merged(name, args.options.as_deref()),
    };
    submit(args.kind, name, trampoline, args.args.iter_mut().flatten(), &options).map_err(sentence)
}

/// The arguments of a running task, and its outcome.
pub(crate) struct Args<'a, 'call> {
    running: &'a mut Running<'call>,
    taken: usize,
    /// Its result, or the cause of its failure.
    outcome: Option<Result<Encoded, Box<Cause>>>,
}

impl Args<'_, '_> {
    /// The next argument. Returns `None` if it cannot be had; the outcome then says why.
    pub(crate) fn next<A: DeserializeOwned>(&mut self) -> Option<A> {
        match decode(self.next_hold()?) {
            Ok(value) => Some(value),
            Err(error) => self.unreadable(&error),
        }
    }

    /// The state in the checkpoint that is the argument. Returns `None` if it cannot be had; the outcome then says why.
    pub(crate) fn next_checkpoint<T: DeserializeOwned>(&mut self) -> Option<T> {
        match decode(self.next_hold()?) {
            Ok(state) => Some(state),
            Err(error) => {
                self.refuse(format!("its checkpoint cannot be read: {error}"));
                None
            }
        }
    }

    fn next_hold(&mut self) -> Option<Hold> {
        self.taken += 1;
        let hold = self.running.next_arg();
        if hold.is_none() {
            self.miscounted();
        }
        hold
    }

    /// Whether there are no more arguments. Otherwise the outcome says so.
    pub(crate) fn end(&mut self) -> bool {
        let is_end = self.running.next_arg().is_none();
        if !is_end {
            self.miscounted();
        }
        is_end
    }

    /// Sets the function's result; an `Err` is the task's failure.
    pub(crate) fn give<R: Serialize>(&mut self, result: &R) {
        self.outcome = Some(encode_result(result));
    }

    /// Sets a part of a task's result, in which an `Err` is a value like any other.
    pub(crate) fn give_part<R: Serialize>(&mut self, part: &R) {
        self.outcome = Some(encode_part(part));
    }

    /// Sets an actor's state as its result, for a checkpoint.
    pub(crate) fn give_checkpoint<T: Serialize>(&mut self, state: &T) {
        self.outcome = Some(encode(state).map_err(|error| Box::new(Cause::Refused { message: error.to_string() })));
    }

    /// Sets an object without bytes as its result, which is no value.
    pub(crate) fn give_nothing(&mut self) {
        self.outcome = Some(nothing());
    }

    /// Sets the cause of its failure.
    pub(crate) fn fail(&mut self, cause: Cause) {
        self.outcome = Some(Err(Box::new(cause)));
    }

    /// Makes `state` the actor's, as its constructor's outcome.
    pub(crate) fn give_state<T: 'static>(&mut self, state: T, save: Option<Trampoline>) {
        if self.running.set_state(state, save) {
            self.give(&());
        } else {
            self.refuse("it is a constructor, and there is no actor to construct".into());
        }
    }

    /// The actor's state. Returns `None` if it is not a `T`; the outcome then says so.
    pub(crate) fn state<T: 'static>(&mut self) -> Option<&mut T> {
        if self.running.state::<T>().is_none() {
            self.of_another_type::<T>();
        }
        self.running.state()
    }

    /// The actor's state, as [`Args::state`], for a call that only reads it.
    ///
    /// # Safety
    /// As for [`Running::shared_state`].
    pub(crate) unsafe fn shared_state<T: 'static>(&mut self) -> Option<&'static T> {
        // SAFETY: the contract of `Running::shared_state` is this function's.
        let state = unsafe { self.running.shared_state::<T>() };
        if state.is_none() {
            self.of_another_type::<T>();
        }
        state
    }

    #[cold]
    fn of_another_type<T>(&mut self) {
        let name = shorten(std::any::type_name::<T>());
        self.refuse(format!(
            "the actor is of another type than this `{name}`: define its type and its methods together"
        ));
    }

    #[cold]
    fn unreadable<A>(&mut self, error: &DecodeError) -> Option<A> {
        self.refuse(format!("argument {} cannot be read: {error}", self.taken));
        None
    }

    #[cold]
    fn miscounted(&mut self) {
        self.refuse("it was called with the wrong number of arguments".into());
    }

    fn refuse(&mut self, message: String) {
        self.fail(Cause::Refused { message });
    }
}

/// Mentions the functions that all tasks with a `T` share, so that they are compiled into this library: see
/// `cell::common`.
pub(crate) fn made_for<T: Value>() {
    black_box(Outgoing::add::<T> as fn(&mut _, _));
    black_box(Args::next::<T> as fn(&mut _) -> _);
    black_box(Args::give::<T> as fn(&mut _, &_));
    black_box(<T as IntoArg<T>>::into_arg as fn(T) -> _);
    black_box(<ObjectRef<T> as IntoArg<T>>::into_arg as fn(_) -> _);
    black_box(<&ObjectRef<T> as IntoArg<T>>::into_arg as fn(_) -> _);
}

/// The rest of an async call, which gives its outcome.
pub(crate) type Rest = Pin<Box<dyn Future<Output = Result<Encoded, Box<Cause>>>>>;

/// Begins an async call, whose body gives the rest of it, and leaves that to the loader; where the loader takes none, the call is run to its
/// end. Never unwinds.
pub(crate) fn run_async(mut running: Running<'_>, body: fn(&mut Args<'_, '_>) -> Option<Rest>) {
    let begun = guard(|| {
        let mut args = Args { running: &mut running, taken: 0, outcome: None };
        let rest = body(&mut args);
        (args.outcome, rest)
    });
    match begun {
        Ok((_, Some(rest))) if running.may_pend() => later::leave(running, rest),
        Ok((_, Some(rest))) => deliver(running, guard(|| Some(block_on(rest)))),
        Ok((outcome, None)) => deliver(running, Ok(outcome)),
        Err(unwound) => deliver(running, Err(unwound)),
    }
}

/// Runs a task's body and delivers its outcome. Never unwinds, because the caller is a C function.
pub(crate) fn run(mut running: Running<'_>, body: fn(&mut Args<'_, '_>)) {
    let returns = running.returns();
    if returns != 1 {
        let message = format!("it returns one object, and {returns} are wanted");
        return running.fail(&Cause::Refused { message });
    }
    let ended = guard(|| {
        let mut args = Args { running: &mut running, taken: 0, outcome: None };
        body(&mut args);
        args.outcome
    });
    deliver(running, ended);
}

/// Delivers how a task has ended.
fn deliver(running: Running<'_>, ended: Result<Option<Result<Encoded, Box<Cause>>>, Unwound>) {
    match ended {
        Ok(Some(Ok(Encoded { draft, refs }))) => running.succeed(draft, &refs),
        Ok(Some(Err(cause))) => running.fail(&cause),
        Ok(None) => running.fail(&Cause::Refused { message: "bug: it neither returned nor failed".into() }),
        Err(Unwound::Panic(panic)) => running.fail(&Cause::Panic { message: panic.message, place: panic.place }),
        Err(Unwound::Interrupted) => running.fail(&Cause::Cancelled),
    }
}
