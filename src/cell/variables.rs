//! The store of a session's variables between two cells, called by the code that a session generates around a cell.
//!
//! ```text
//!   cell n     let x = vec![1];  ──put──▶ staged ──the cell ends well──▶ kept as "x"
//!   cell n+1   take ◀── "x" ──▶ a local variable, of which the cell's closure has what it needs ──put back──▶ "x"
//! ```
//!
//! A cell names the type of each variable that it takes. The session knows that type from the compiler, which compiled
//! the cell that put the variable. `TypeId` cannot check it: the same definition, compiled into another library, has
//! another `TypeId` and the same layout.
//!
//! # Invariants
//! - A place is either full, with a value of the type that was put there, or empty: its value is on some cell's stack,
//!   or gone.
//! - Only one thread uses the store: the one that runs cells.
#![allow(unsafe_code)] // Untyped values, moved in and out.

use std::alloc::{Layout, dealloc, handle_alloc_error};
use std::any::Any;
use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt::{self, Debug, Display};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A type-erased description of a type, with all that is needed to keep a value.
#[derive(Clone, Copy)]
struct Shape {
    layout: Layout,
    /// Drops a value.
    drop: unsafe fn(*mut u8),
}

impl Shape {
    fn of<T>() -> Shape {
        unsafe fn drop<T>(memory: *mut u8) {
            // SAFETY: only `Place::drop` calls this, for a full place, which holds a `T` that is not used again.
            unsafe { memory.cast::<T>().drop_in_place() }
        }
        Shape { layout: Layout::new::<T>(), drop: drop::<T> }
    }
}

/// The memory of a variable. It stays where it is as long as the variable exists.
struct Place {
    memory: *mut u8,
    shape: Shape,
    full: bool,
}

impl Place {
    fn empty(shape: Shape) -> Place {
        let layout = shape.layout;
        if layout.size() == 0 {
            return Place { memory: layout.align() as *mut u8, shape, full: false };
        }
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { std::alloc::alloc(layout) };
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        Place { memory, shape, full: false }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (memory, Shape { layout, drop }) = (self.memory, self.shape);
        if self.full {
            self.full = false;
            // SAFETY: the place was full, so it holds a value of the type that `drop` was made for. It counts as empty
            // now, so the value is not used again.
            let end = || unsafe { drop(memory) };
            // A person's own destructor may panic; the other variables must be dropped all the same.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(end)) {
                std::mem::forget(panic);
            }
        }
        if layout.size() > 0 {
            // SAFETY: `Place::empty` allocated this memory with this layout, and nothing points to it any more.
            unsafe { dealloc(memory, layout) };
        }
    }
}

/// All variables of a session. The first cell makes them, and the process that runs cells keeps their address.
///
/// The generic functions here are a few instructions each. A cell compiles only these again, unless `common` has them.
#[derive(Default)]
pub struct Variables {
    kept: HashMap<&'static str, Place>,
    staged: Vec<(&'static str, Place)>,
    /// The fate of the value shown last, if the cell ends well: one of the words of [`last`].
    last: u32,
    /// A bit for each variable that the cell puts, in order: whether its type has no name, so that no cell could take
    /// it.
    nameless: u32,
}

impl Variables {
    /// Returns the store behind the process's pointer, and makes an empty one if the pointer is null. The lowest two
    /// bits of `word` are one of the words of [`last`]. The others say which of the new variables have types without
    /// names.
    ///
    /// # Safety
    /// - `store` is valid, the pointer in it is null or what this function left there, and nothing else uses either
    ///   while the reference lives.
    /// - The caller takes a variable only as the type that it was put as, or as a type of the same definition.
    /// - `word` asks to keep only values that refer to nothing that ends before them.
    #[inline(never)]
    pub unsafe fn at<'a>(store: *mut *mut c_void, word: u32) -> &'a mut Variables {
        // SAFETY: valid for reads and writes, and used by nothing else, by this function's contract.
        let store = unsafe { &mut *store };
        #[cfg(debug_assertions)]
        check_thread();
        if store.is_null() {
            *store = Box::into_raw(Box::<Variables>::default()).cast();
        }
        // SAFETY: the pointer came from `Box::into_raw` above, now or earlier, and nothing else uses the store, by the
        // contract.
        let variables: &mut Variables = unsafe { &mut *store.cast() };
        debug_assert!(variables.staged.is_empty(), "a cell ends before the next begins");
        (variables.last, variables.nameless) = (word & last::BITS, word >> last::BITS.count_ones());
        variables
    }

    /// Moves a variable onto the stack of a cell.
    ///
    /// Safe to call, because the caller of [`Variables::at`] has promised that the types are right. So the generated
    /// code needs only one `unsafe`, outside of the cell's own code, to which a person's `#![forbid(unsafe_code)]`
    /// applies.
    ///
    /// # Panics
    /// If the variable is not in the store, or has another layout: the session has lost track, which is a bug.
    pub fn take<T: 'static>(&mut self, name: &str) -> T {
        let memory = self.empty_place(name, Layout::new::<T>());
        // SAFETY: the place was full of a value with this layout, which is a `T` by the contract of `at`. It counts as
        // empty now, so the value is moved.
        unsafe { memory.cast::<T>().read() }
    }

    /// Moves a variable back to where it was taken from.
    pub fn put_back<T: 'static>(&mut self, name: &'static str, value: T) {
        let memory = self.fill_again(name, Shape::of::<T>());
        // SAFETY: the memory has the layout of a `T` and holds no value. It counts as full from now on.
        unsafe { memory.cast::<T>().write(value) };
    }

    /// Puts a new variable, which is kept if the cell ends well. If its type has no name, it is dropped here, at the
    /// end of its scope.
    pub fn put<T: 'static>(&mut self, name: &'static str, value: T) {
        let is_nameless = self.nameless & 1 == 1;
        self.nameless >>= 1;
        if is_nameless {
            return drop(value);
        }
        let memory = self.fill_new(name, Shape::of::<T>());
        // SAFETY: the memory has the layout of a `T` and holds no value. It counts as full from now on.
        unsafe { memory.cast::<T>().write(value) };
    }

    /// Takes the value that the cell has shown, and keeps it if it is to be kept and the cell ends well.
    ///
    /// Safe to call, as [`Variables::take`] is: the session knows from the value's type whether it may be kept, and
    /// told [`Variables::at`].
    pub fn keep<T>(&mut self, value: T) {
        if self.last == last::REPLACED {
            let memory = self.fill_new(last::NAME, Shape::of::<T>());
            // SAFETY: the memory has the layout of a `T` and holds no value. It counts as full from now on.
            unsafe { memory.cast::<T>().write(value) };
        }
    }

    /// Marks a variable's place as empty, and returns its memory.
    #[inline(never)]
    fn empty_place(&mut self, name: &str, layout: Layout) -> *const u8 {
        let place = self.kept.get_mut(name).filter(|place| place.full && place.shape.layout == layout);
        let place = place.unwrap_or_else(|| panic!("bug: the variable `{name}` is not in the store"));
        place.full = false;
        place.memory
    }

    /// Marks a variable's place as full again, and returns its memory.
    #[inline(never)]
    fn fill_again(&mut self, name: &'static str, shape: Shape) -> *mut u8 {
        let is_fit = |place: &Place| !place.full && place.shape.layout == shape.layout;
        if !self.kept.get(name).is_some_and(is_fit) {
            self.kept.insert(name, Place::empty(shape));
        }
        self.kept.get_mut(name).map_or(std::ptr::null_mut(), |place| {
            place.full = true;
            place.memory
        })
    }

    /// Adds a full place for a new variable, and returns its memory.
    #[inline(never)]
    fn fill_new(&mut self, name: &'static str, shape: Shape) -> *mut u8 {
        let place = {
            let mut place = Place::empty(shape);
            place.full = true;
            place
        };
        let memory = place.memory;
        self.staged.push((name, place));
        memory
    }

    /// Keeps what the cell put, because the cell has ended well.
    fn commit(&mut self) {
        if self.last == last::ENDS {
            drop(self.kept.remove(last::NAME));
        }
        for (name, place) in std::mem::take(&mut self.staged) {
            // The key is in the library that put the variable first; libraries are never closed.
            drop(self.kept.insert(name, place));
        }
    }
}

/// Panics when a second thread uses the store.
#[cfg(debug_assertions)]
fn check_thread() {
    static OF_CELLS: std::sync::OnceLock<std::thread::ThreadId> = std::sync::OnceLock::new();
    let here = std::thread::current().id();
    assert_eq!(*OF_CELLS.get_or_init(|| here), here, "variables are reached by the thread that runs cells");
}

/// Mentions the functions that keep a `T`, so that they are compiled into this library: see `common`.
pub(super) fn made_for<T: 'static>() {
    black_box(Variables::put::<T> as fn(&mut Variables, _, _));
    black_box(Variables::put_back::<T> as fn(&mut Variables, _, _));
    black_box(Variables::take::<T> as fn(&mut Variables, _) -> _);
    black_box(Variables::keep::<T> as fn(&mut Variables, _));
}

/// The early end of a cell: what its `?` makes of every error, after reporting it, and what its `return` gives.
pub struct Failed(u32);

impl<E: Display> From<E> for Failed {
    /// Tracks its caller, because the standard library's code behind `?` does: that is the `?`.
    #[track_caller]
    fn from(error: E) -> Failed {
        crate::calls::cell_error(&error);
        Failed(ending::FAILED)
    }
}

/// An error that has only `Debug`, such as `fn main` may return.
pub struct Debugged<E>(pub E);

impl<E: Debug> Display for Debugged<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The values that a cell's own `return` may give.
#[diagnostic::on_unimplemented(
    message = "a cell returns nothing, `Ok(…)` or `Err(…)`, not `{Self}`",
    label = "a `return` here ends the cell"
)]
pub trait Returned {
    /// Converts it into the cell's end.
    fn ended(self) -> Result<(), Failed>;
}

impl Returned for () {
    fn ended(self) -> Result<(), Failed> {
        Err(Failed(ending::RETURNED))
    }
}

impl<T, E: Display> Returned for Result<T, E> {
    fn ended(self) -> Result<(), Failed> {
        self?;
        ().ended()
    }
}

/// The replacement of a cell's own `return`. The cell ends before it has kept its new variables.
///
/// # Errors
/// Always, because this is how a cell's function ends early.
pub fn returned(value: impl Returned) -> Result<(), Failed> {
    value.ended()
}

/// The fate of the value shown last: words that a cell's function is given.
pub mod last {
    /// The variable that holds it, by which the session takes it.
    pub const NAME: &str = "mobula_last";
    /// The cell's value takes its place.
    pub const REPLACED: u32 = 1;
    /// It is dropped.
    pub const ENDS: u32 = 2;
    /// The bits of these words in the word that a cell's function is given.
    pub const BITS: u32 = 3;
}

/// The words that a cell's function returns.
pub mod ending {
    /// The cell ended well.
    pub const WELL: u32 = 0;
    /// The cell panicked.
    pub const PANICKED: u32 = 1;
    /// A `?` met an `Err`.
    pub const FAILED: u32 = 2;
    /// Added to another word: the cell has moved variables of earlier cells, which are gone.
    pub const LOST: u32 = 4;
    /// A `return` ended the cell, without an error.
    pub const RETURNED: u32 = 8;
}

/// Runs a cell's code.
#[inline]
pub fn run<B: FnOnce() -> Result<(), Failed>>(body: B) -> Result<(), u32> {
    let mut body = Some(body);
    run_it(&mut || match body.take() {
        Some(body) => body(),
        None => Ok(()),
    })
}

#[inline(never)]
fn run_it(body: &mut dyn FnMut() -> Result<(), Failed>) -> Result<(), u32> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Failed(how))) => Err(how),
        Err(payload) => {
            forget(payload);
            Err(ending::PANICKED)
        }
    }
}

fn forget(payload: Box<dyn Any + Send>) {
    // A payload may be any value, and its drop may panic again.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

/// Keeps or drops the variables that the cell put. Returns how the cell ended.
#[inline(never)]
pub fn end(variables: &mut Variables, result: Result<(), u32>) -> u32 {
    match result {
        Ok(()) => {
            variables.commit();
            ending::WELL
        }
        Err(how) => {
            variables.staged.clear();
            how
        }
    }
}

/// As [`end`], for a cell that moves variables of earlier cells: if the cell fails, they are lost.
#[inline(never)]
pub fn end_moving(variables: &mut Variables, result: Result<(), u32>) -> u32 {
    match end(variables, result) {
        how @ (ending::WELL | ending::RETURNED) => how,
        how => how | ending::LOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn what_a_cell_puts_is_there_for_the_next_if_it_ends_well() {
        let mut variables = Variables::default();
        variables.put("x", vec![1]);
        assert_eq!(end(&mut variables, Ok(())), ending::WELL);
        variables.put("x", vec![2]);
        assert_eq!(end(&mut variables, Err(ending::FAILED)), ending::FAILED);
        assert_eq!(variables.take::<Vec<i32>>("x"), [1]);
    }

    #[test]
    fn a_value_is_dropped_once_wherever_it_is() {
        let (mut variables, value) = (Variables::default(), Rc::new(()));
        variables.put("kept", value.clone());
        variables.put("taken", value.clone());
        end(&mut variables, Ok(()));
        let taken: Rc<()> = variables.take("taken");
        assert_eq!(Rc::strong_count(&value), 3);
        variables.put_back("taken", taken);
        variables.put("staged", value.clone());
        assert_eq!(Rc::strong_count(&value), 4);
        drop(variables);
        assert_eq!(Rc::strong_count(&value), 1);
    }

    #[test]
    fn a_variable_stays_where_it_is_in_memory() {
        let mut variables = Variables::default();
        variables.put("x", [1_u64; 8]);
        end(&mut variables, Ok(()));
        let before = variables.kept["x"].memory;
        let taken: [u64; 8] = variables.take("x");
        variables.put_back("x", taken);
        assert_eq!(variables.kept["x"].memory, before);
    }

    #[test]
    fn a_panic_ends_a_cell_and_nothing_else() {
        assert_eq!(run(|| panic!("x")), Err(ending::PANICKED));
        assert_eq!(run(|| Ok(())), Ok(()));
    }

    #[test]
    fn a_return_ends_a_cell_well_and_keeps_nothing_of_it() {
        assert_eq!(run(|| returned(())), Err(ending::RETURNED));
        assert_eq!(run(|| returned(Ok::<_, String>(1))), Err(ending::RETURNED));
        let mut variables = Variables::default();
        variables.put("x", 1);
        assert_eq!(end_moving(&mut variables, Err(ending::RETURNED)), ending::RETURNED);
        assert!(variables.staged.is_empty() && variables.kept.is_empty());
    }

    #[test]
    fn a_variable_whose_type_has_no_name_ends_with_its_cell() {
        let (mut variables, value) = (Variables { nameless: 0b10, ..Variables::default() }, Rc::new(()));
        variables.put("kept", value.clone());
        let closure = {
            let value = value.clone();
            move || Rc::strong_count(&value)
        };
        variables.put("closure", closure);
        assert_eq!(Rc::strong_count(&value), 2);
        end(&mut variables, Ok(()));
        assert_eq!(variables.kept.keys().collect::<Vec<_>>(), [&"kept"]);
    }
}
