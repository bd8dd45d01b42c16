//! Types of other crates that are drawn by a function instead of by `Debug`: images. Arrow's tables are known here.
//!
//! Rust has no "this trait for every type, but that one for this type", so the type is looked up when a value is shown:
//! by its type id, among the types that have a function to draw them. The base library registers those of the crates
//! that it contains, when it is opened.
#![allow(unsafe_code)] // A value cast to the type that its id names.

pub use super::Drawing;
pub use super::cell_value::Sample;

use super::Forms;
use std::any::{TypeId, type_name};
use std::fmt::Debug;
use std::sync::{PoisonError, RwLock};

/// Draws the value at this address, whose type is the registered one.
type Draw = Box<dyn Fn(*const ()) -> Option<Drawing> + Send + Sync>;

static KNOWN: RwLock<Vec<(TypeId, Draw)>> = RwLock::new(Vec::new());

/// Takes each value of a table with the number of its column.
pub type Each<'a> = &'a mut dyn FnMut(usize, Sample<'_>);

/// Reads the values of the data frame at this address, whose type is the registered one. Returns the names of the columns.
type Read = Box<dyn Fn(*const (), Each<'_>) -> Option<Vec<String>> + Send + Sync>;

static FRAMES: RwLock<Vec<(TypeId, Read)>> = RwLock::new(Vec::new());

/// Registers `read` for data frames of type `T`, whose `Debug` text does not have all of their values.
///
/// # Safety
/// As for [`draw_with`].
pub unsafe fn read_with<T: 'static>(read: fn(&T, Each<'_>) -> Option<Vec<String>>) {
    let read_at: Read = Box::new(move |at, each| {
        // SAFETY: `Seen::each_value` calls this for a value whose type has this id, which is `T`. `Seen` borrows that
        // value, so it lives and does not change.
        read(unsafe { &*at.cast::<T>() }, each)
    });
    FRAMES.write().unwrap_or_else(PoisonError::into_inner).push((TypeId::of::<T>(), read_at));
}

/// Registers `draw` for values of type `T`. Where it returns `None`, the value is shown as `Debug` writes it.
///
/// # Safety
/// `T` has no lifetime: values of `&'static str`, for example, have the same id as values of any `&str`, which may not live as long.
pub unsafe fn draw_with<T: 'static>(draw: fn(&T) -> Option<Drawing>) {
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).push(entry(draw));
}

/// Registers how a widget of this crate is shown: by the data of its view, and its `Debug` text. The types of widgets have no lifetime.
pub(crate) fn draw_widget<T: Debug + 'static>(view: fn(&T) -> String) {
    let is_known = |known: &[(TypeId, Draw)]| known.iter().any(|(id, _)| *id == TypeId::of::<T>());
    if is_known(&KNOWN.read().unwrap_or_else(PoisonError::into_inner)) {
        return;
    }
    let draw = move |widget: &T| {
        let view = view(widget).into_bytes();
        Some(vec![
            ("application/vnd.jupyter.widget-view+json", view),
            ("text/plain", format!("{widget:?}").into_bytes()),
        ])
    };
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).push(entry(draw));
}

/// The registry's entry for a type.
fn entry<T: 'static>(draw: impl Fn(&T) -> Option<Drawing> + Send + Sync + 'static) -> (TypeId, Draw) {
    let draw = move |at: *const ()| {
        // SAFETY: `Seen::drawn` calls this for a value whose type has this id, which is `T`. `Seen` borrows that value,
        // so it lives and does not change.
        draw(unsafe { &*at.cast::<T>() })
    };
    (TypeId::of::<T>(), Box::new(draw))
}

/// A value to be shown, and its type.
pub(crate) struct Seen<'a> {
    value: &'a dyn Debug,
    id: TypeId,
    type_name: &'static str,
    /// The address of the same value, valid as long as the reference above.
    at: *const (),
}

impl<'a> Seen<'a> {
    /// Takes a reference to a reference, because only a sized type can become a `dyn Debug`.
    pub(crate) fn of<T: Debug + ?Sized>(value: &'a &'a T) -> Seen<'a> {
        // The id ignores lifetimes. A registered type has no lifetime parameters, so no two types can be confused.
        Seen { value, id: typeid::of::<T>(), type_name: type_name::<T>(), at: (&raw const **value).cast() }
    }

    pub(super) fn type_name(&self) -> &'static str {
        self.type_name
    }

    pub(super) fn debug(&self) -> &dyn Debug {
        self.value
    }

    /// The value as the function for its type draws it.
    pub(super) fn drawn(&self) -> Option<Forms> {
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
        let (_, draw) = known.iter().find(|(id, _)| *id == self.id)?;
        let data = draw(self.at)?.into_iter().map(|(mime, data)| (mime.to_owned(), Forms::encoded(mime, &data)));
        Some(Forms { data: data.collect() })
    }

    /// Gives `each` every value of a registered data frame. Returns the names of its columns; `None` for a value of
    /// another type, and where a value cannot be read.
    pub(super) fn each_value(&self, each: Each<'_>) -> Option<Vec<String>> {
        let known = FRAMES.read().unwrap_or_else(PoisonError::into_inner);
        let (_, read) = known.iter().find(|(id, _)| *id == self.id)?;
        read(self.at, each)
    }

    /// The record batches in the value, if it is one or several of Arrow's or ours.
    #[cfg(feature = "arrow")]
    pub(super) fn batches(&self) -> Option<Vec<&arrow_array::RecordBatch>> {
        use crate::array::RecordBatch as Ours;
        use arrow_array::RecordBatch as Arrows;
        if let Some(batch) = self.as_a::<Arrows>() {
            return Some(vec![batch]);
        }
        if let Some(batch) = self.as_a::<Ours>() {
            return Some(vec![batch]);
        }
        if let Some(batches) = self.as_a::<Vec<Arrows>>() {
            return Some(batches.iter().collect());
        }
        self.as_a::<Vec<Ours>>().map(|batches| batches.iter().map(|batch| &**batch).collect())
    }

    /// The value, if it is of this type.
    #[cfg(feature = "arrow")]
    fn as_a<T: 'static>(&self) -> Option<&T> {
        // SAFETY: The value's type has the id of `T`, which has no lifetime parameters at any place that this is called
        // from, so it is `T`. `self` borrows the value, so it lives and does not change.
        (self.id == TypeId::of::<T>()).then(|| unsafe { &*self.at.cast::<T>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Drawn(u8);

    #[derive(Debug)]
    struct Lends<'a>(#[expect(dead_code, reason = "only shown")] &'a u8);

    #[test]
    fn a_registered_data_frame_is_read_and_no_other_value() {
        let read: fn(&Drawn, Each<'_>) -> _ = |Drawn(n), each| {
            each(0, Sample::Number(f64::from(*n)));
            Some(vec!["n".to_owned()])
        };
        // SAFETY: `Drawn` has no lifetime.
        unsafe { read_with(read) };
        let mut seen = Vec::new();
        let names = Seen::of(&&Drawn(7)).each_value(&mut |column, sample| seen.push(format!("{column} {sample:?}")));
        assert_eq!((names, seen), (Some(vec!["n".to_owned()]), vec!["0 Number(7.0)".to_owned()]));
        assert_eq!(Seen::of(&"text").each_value(&mut |_, _| {}), None);
    }

    #[test]
    fn a_type_that_somebody_can_draw_is_drawn_and_its_references_too() {
        let draw: fn(&Drawn) -> _ =
            |Drawn(n)| (*n > 0).then(|| vec![("image/png", vec![*n; 3]), ("text/plain", b"three".to_vec())]);
        // SAFETY: `Drawn` has no lifetime.
        unsafe { draw_with(draw) };
        let forms = super::super::shown(&Seen::of(&&Drawn(1)));
        assert_eq!(forms.data, [("image/png".into(), "AQEB".into()), ("text/plain".into(), "three".into())]);
        assert_eq!(super::super::shown(&Seen::of(&&Drawn(0))).data, [("text/plain".into(), "Drawn(0)".into())]);
        assert!(Seen::of(&&Lends(&1)).drawn().is_none() && Seen::of(&"text").drawn().is_none());
    }
}
