//! Names in cells' items that no value has at run time: a function's parameters, and a struct's fields with their types.
//!
//! ```text
//!   a cell runs ─▶ tell ─▶ by the name of a type: `cells_3::area` ─▶ parameters: the names of `interact`'s controls
//!                                                 `cells_3::City` ─▶ fields: the types in a table's head
//! ```
//!
//! The session reads them in the cells' text, and tells those of new items with the next cell. A cell's library is never closed, so they
//! live for ever. Workers are told nothing: there, a table has no types in its head.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// What is told of one item.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// Of a function.
    Function {
        /// The names of its parameters; empty for a pattern.
        parameters: &'static [&'static str],
    },
    /// Of a struct.
    Struct {
        /// The names of its type parameters, and of its other parameters.
        parameters: &'static [&'static str],
        /// The names of its fields and their types, as they are written.
        fields: &'static [(&'static str, &'static str)],
    },
}

static KNOWN: RwLock<BTreeMap<&'static str, Told>> = RwLock::new(BTreeMap::new());

thread_local! {
    /// The type of the closure that was named last, and its parameters.
    static CLOSURE: Cell<(&'static str, &'static [&'static str])> = const { Cell::new(("", &[])) };
}

/// Takes what a cell tells of items, which it names as `type_name` does.
pub fn tell(items: &'static [(&'static str, Told)]) {
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).extend(items.iter().copied());
}

/// Names the parameters of a closure, for the call whose argument it is.
pub fn named<F>(parameters: &'static [&'static str], closure: F) -> F {
    CLOSURE.set((std::any::type_name::<F>(), parameters));
    closure
}

fn told(type_name: &str) -> Option<Told> {
    let path = type_name.split('<').next().unwrap_or_default();
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(path).copied()
}

/// The names of a function's parameters, by the name of its type; none for one that is not known.
pub(crate) fn parameters(type_name: &str) -> &'static [&'static str] {
    let (closure, names) = CLOSURE.take();
    if closure == type_name {
        return names;
    }
    match told(type_name) {
        Some(Told::Function { parameters }) => parameters,
        _ => &[],
    }
}

/// The parameters and fields of a struct, by the name of its type; none for one that is not known.
pub(crate) fn fields(type_name: &str) -> (&'static [&'static str], &'static [(&'static str, &'static str)]) {
    match told(type_name) {
        Some(Told::Struct { parameters, fields }) => (parameters, fields),
        _ => (&[], &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::any::type_name_of_val;

    #[test]
    fn a_function_is_known_by_its_type_and_a_closure_by_its_call() {
        fn area(width: u8, height: u8) -> u8 {
            width * height
        }
        tell(&[(
            concat!(module_path!(), "::a_function_is_known_by_its_type_and_a_closure_by_its_call::area"),
            Told::Function { parameters: &["width", "height"] },
        )]);
        assert_eq!((parameters(type_name_of_val(&area)), area(1, 2)), (&["width", "height"][..], 2));
        let closure = named(&["x"], |x: u8| x);
        assert_eq!((parameters(type_name_of_val(&closure)), closure(1)), (&["x"][..], 1));
        let no_names: &[&str] = &[];
        assert_eq!(parameters(type_name_of_val(&closure)), no_names, "it is named for one call");
        assert_eq!(parameters("cells_1::unknown"), no_names);
    }
}
