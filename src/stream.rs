//! `.stream(…)` on functions that return many values one after the other.
//!
//! ```text
//!   numbers.stream(10) ─▶ an actor whose state is the iterator ◀── `next` calls, as many at once as the buffer has places
//!                         └─ each item is the result of one call ─▶ ObjectRef<T> as soon as it is made
//! ```
//!
//! So an item is an object like any other, a slow reader keeps no more than its buffer, a reader that is gone ends the task, and a task that
//! died is the error of the stream's last item.
#![allow(unsafe_code)] // Making a function from its type, and taking over the loader's call.

use crate::abi::{Call, Fault, Submission, TaskOptions, Trampoline, task_name};
use crate::actor::Actor;
use crate::calls::{self, Hold, Running, type_id, wake_when_finished};
use crate::codec::Value;
use crate::object::ObjectRef;
use crate::remote::{IntoArg, Options, Outgoing, Standalone, from_type, run, start};
use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How many items a task may be ahead of its reader, if `.options().buffer(…)` does not say.
const BUFFER: usize = 64;

/// The refs of the items that a task makes one after the other, each as soon as it is there.
///
/// `f.stream(…)` returns it at once, for a function that returns an iterator (or anything that can be iterated). The task is
/// ahead of its reader by at most `.options().buffer(n)` items, 64 if that is not said. Dropping the stream ends the task.
/// If the function or its iterator panics, or the task's process dies, the last ref gives the error.
///
/// An [`Iterator`], whose `next` blocks until the next item is there, and a `futures::Stream`. It has a process of its own,
/// and takes a CPU while it is started; after that only what its options ask for.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn squares(n: u64) -> impl Iterator<Item = u64> {
///     (0..n).map(|n| n * n)
/// }
/// let mut sum = 0;
/// for item in squares.stream(4) {
///     sum += get(&item)?;
/// }
/// assert_eq!(sum, 14);
/// # Ok::<(), mobula::GetError>(())
/// ```
#[must_use = "the task ends when its stream is dropped"]
pub struct TaskStream<T> {
    /// `None` when the last item has come.
    source: Option<Source>,
    /// Items that are asked for, in order.
    asked: VecDeque<ObjectRef<T>>,
}

/// The actor whose state is the iterator.
struct Source {
    actor: Actor<()>,
    /// The call of its `next`, and the name of the function.
    next: Trampoline,
    name: &'static str,
    buffer: usize,
}

/// What has become of the first item that was asked for.
enum First {
    Item,
    /// Its call failed: it is the last.
    Failed,
    /// There is none.
    End,
}

impl<T> TaskStream<T> {
    fn new(source: Source) -> TaskStream<T> {
        let mut stream = TaskStream { source: Some(source), asked: VecDeque::new() };
        stream.ask();
        stream
    }

    /// Asks for as many items as the buffer has places.
    fn ask(&mut self) {
        let Some(Source { actor, next, name, buffer }) = &self.source else { return };
        while self.asked.len() < *buffer {
            let item = start(name, *next, Outgoing::of_call(Submission::CALL, actor.id()));
            self.asked.push_back(ObjectRef::new(item));
        }
    }

    /// Takes the first item, which is finished, and asks for one more.
    fn take_first(&mut self) -> Option<ObjectRef<T>> {
        let item = self.asked.pop_front()?;
        match first(item.id().0) {
            First::Item => {
                self.ask();
                Some(item)
            }
            First::Failed => {
                self.end();
                Some(item)
            }
            First::End => {
                self.end();
                None
            }
        }
    }

    fn end(&mut self) {
        self.source = None;
        self.asked.clear();
    }
}

/// A finished item is an object with bytes; the end of a stream is one without.
fn first(id: u64) -> First {
    match Hold::open(id) {
        Ok(Some(hold)) if hold.bytes().is_empty() => First::End,
        // `get` of the item says why.
        Err(fault) if matches!(*fault, Fault::Task(_)) => First::Failed,
        // Also one that cannot be read now.
        Ok(_) | Err(_) => First::Item,
    }
}

impl<T> Iterator for TaskStream<T> {
    type Item = ObjectRef<T>;

    fn next(&mut self) -> Option<ObjectRef<T>> {
        let id = self.asked.front()?.id().0;
        // Should the runtime be gone, `get` of the item says so.
        let _ = calls::wait(&[id], 1, u64::MAX, &mut [0]);
        self.take_first()
    }
}

impl<T> FusedIterator for TaskStream<T> {}

impl<T> futures_core::Stream for TaskStream<T> {
    type Item = ObjectRef<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ObjectRef<T>>> {
        let Some(id) = self.asked.front().map(|item| item.id().0) else { return Poll::Ready(None) };
        let mut mark = [0];
        let _ = calls::wait(&[id], 1, 0, &mut mark);
        // Should it be finished by now, the waker is woken at once.
        if mark == [0] && wake_when_finished(id, context.waker()).is_ok() {
            return Poll::Pending;
        }
        Poll::Ready(self.take_first())
    }
}

impl<T> Unpin for TaskStream<T> {}

impl<T> fmt::Debug for TaskStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "TaskStream({}, buffer of {})", task_name(source.name), source.buffer),
            None => write!(f, "TaskStream(ended)"),
        }
    }
}

/// The state of a stream's actor: the iterator, until it has ended or panicked.
struct Items<I>(Option<I>);

/// Starts the actor of a stream.
#[track_caller]
fn begin<I, T>(name: &'static str, create: Trampoline, args: Outgoing, buffer: Option<usize>) -> TaskStream<T>
where
    I: Iterator<Item = T> + 'static,
    T: Value,
{
    let actor = Actor::new(start(name, create, args));
    let buffer = buffer.unwrap_or(BUFFER).max(1);
    TaskStream::new(Source { actor, next: next_item::<I>, name, buffer })
}

/// The arguments of a function whose stream has these options, none yet.
fn arguments_of<I: 'static>(options: &TaskOptions, name: &'static str) -> Outgoing {
    let mut options = options.clone();
    options.actor.type_id = type_id::<Items<I>>();
    (options.actor.type_name, options.actor.is_stream) = (task_name(name), true);
    Outgoing::of_spawn(options)
}

/// The trampoline of an iterator's `next`.
unsafe extern "C" fn next_item<I>(call: *const Call)
where
    I: Iterator<Item: Value> + 'static,
{
    // SAFETY: the loader calls a trampoline with a call that is to be run now and once, and `run` returns before this does.
    let running = unsafe { Running::take(call) };
    run(running, |args| {
        if !args.end() {
            return;
        }
        let Some(items) = args.state::<Items<I>>() else { return };
        // Taken out while it runs: one that panics has no more items.
        let taken = items.0.take();
        let Some(mut iterator) = taken else { return args.give_nothing() };
        match iterator.next() {
            Some(item) => {
                if let Some(items) = args.state::<Items<I>>() {
                    items.0 = Some(iterator);
                }
                args.give_part(&item);
            }
            None => args.give_nothing(),
        }
    });
}

/// Defines the trait of one arity, its implementation for functions, and its trampoline.
macro_rules! stream {
    ($trait:ident $create:ident $number:literal; $($arg:ident $type:ident),*) => {
        #[doc = concat!("`.stream(…)` on functions of ", $number, ".")]
        pub trait $trait<$($type,)* R> {
            /// Runs the function as a task in a process of its own, and returns its items' refs as they are made. Each argument is a value,
            /// an [`ObjectRef`] or a `&ObjectRef`. See [`TaskStream`].
            ///
            /// # Panics
            /// When the runtime does not accept the task: as `remote`.
            #[track_caller]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's function has")]
            fn stream(self, $($arg: impl IntoArg<$type>),*) -> TaskStream<R::Item>
            where
                Self: Standalone,
                $($type: Value,)*
                R: IntoIterator<Item: Value, IntoIter: 'static>;
        }

        #[diagnostic::do_not_recommend]
        impl<F, $($type,)* R> $trait<$($type,)* R> for F
        where
            F: Fn($($type),*) -> R,
        {
            #[track_caller]
            fn stream(self, $($arg: impl IntoArg<$type>),*) -> TaskStream<R::Item>
            where
                F: Standalone,
                $($type: Value,)*
                R: IntoIterator<Item: Value, IntoIter: 'static>,
            {
                // Also here, so that the compiler reports the line that called it.
                let () = F::HOLDS_NO_DATA;
                Options::of(self).stream($($arg),*)
            }
        }

        impl<F, $($type,)* R> Options<F, fn($($type),*) -> R>
        where
            F: Fn($($type),*) -> R,
        {
            /// Runs the function with these options, and returns its items' refs as they are made; see [`TaskStream`].
            ///
            /// # Panics
            /// As `remote` of the function alone, and when an option makes no sense.
            #[track_caller]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's function has")]
            pub fn stream(&self, $($arg: impl IntoArg<$type>),*) -> TaskStream<R::Item>
            where
                F: Standalone,
                $($type: Value,)*
                R: IntoIterator<Item: Value, IntoIter: 'static>,
            {
                let () = F::HOLDS_NO_DATA;
                let name = std::any::type_name::<F>();
                #[allow(unused_mut, reason = "a function of no arguments has none to add")]
                let mut args = arguments_of::<R::IntoIter>(&self.options, name);
                $(args.add::<$type>($arg.into_arg());)*
                begin::<R::IntoIter, _>(name, $create::<F, $($type,)* R>, args, self.buffer)
            }
        }

        /// The trampoline of this arity.
        unsafe extern "C" fn $create<F, $($type,)* R>(call: *const Call)
        where
            F: Fn($($type),*) -> R + Standalone,
            $($type: Value,)*
            R: IntoIterator<IntoIter: 'static>,
        {
            // SAFETY: the loader calls a trampoline with a call that is to be run now and once, and `run` returns before this does.
            let running = unsafe { Running::take(call) };
            run(running, |args| {
                // SAFETY: a value of `F` has existed. Only `stream` takes this trampoline's address, after it was given one.
                let function = unsafe { from_type::<F>() };
                $(let Some($arg) = args.next::<$type>() else { return };)*
                if args.end() {
                    let items = function($($arg),*).into_iter();
                    args.give_state(Items(Some(items)), None);
                }
            });
        }
    };
}

stream!(Stream0 stream_0 "no arguments";);
stream!(Stream1 stream_1 "one argument"; a A);
stream!(Stream2 stream_2 "two arguments"; a A, b B);
stream!(Stream3 stream_3 "three arguments"; a A, b B, c C);
stream!(Stream4 stream_4 "four arguments"; a A, b B, c C, d D);
stream!(Stream5 stream_5 "five arguments"; a A, b B, c C, d D, e E);
stream!(Stream6 stream_6 "six arguments"; a A, b B, c C, d D, e E, g G);
stream!(Stream7 stream_7 "seven arguments"; a A, b B, c C, d D, e E, g G, h H);
stream!(Stream8 stream_8 "eight arguments"; a A, b B, c C, d D, e E, g G, h H, i I);
