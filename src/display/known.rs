//! Types that are shown otherwise than as `Debug` writes them, though they are not ours and have no `evcxr_display`: images, Arrow's
//! tables.
//!
//! Rust has no way to say "this trait for every type, but that for this one", so it is asked when a value is shown: its type's id is
//! looked up among those that somebody has said how to draw. The library that cells are linked with says it of the crates that it
//! contains, when it is opened.
#![allow(unsafe_code)] // A value seen as the type that its id says it is.

pub use super::Drawing;

use super::Forms;
use std::any::TypeId;
use std::fmt::Debug;
use std::sync::{LazyLock, PoisonError, RwLock};

/// Draws the value at this address, which is of the type that it was registered for.
type Draw = Box<dyn Fn(*const ()) -> Option<Drawing> + Send + Sync>;

static KNOWN: LazyLock<RwLock<Vec<(TypeId, Draw)>>> = LazyLock::new(|| {
    #[cfg_attr(not(feature = "arrow"), expect(unused_mut, reason = "nothing is known without it"))]
    let mut known = Vec::new();
    #[cfg(feature = "arrow")]
    {
        use super::arrow::drawn;
        known.push(entry(|batch: &arrow_array::RecordBatch| drawn(std::slice::from_ref(batch))));
        known.push(entry(|batch: &crate::array::RecordBatch| drawn(std::slice::from_ref(&**batch))));
        known.push(entry(|batches: &Vec<arrow_array::RecordBatch>| drawn(batches)));
    }
    RwLock::new(known)
});

/// From now on, values of type `T` are drawn by this; as `Debug` writes them where it gives nothing.
pub fn draw_with<T: 'static>(draw: fn(&T) -> Option<Drawing>) {
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).push(entry(draw));
}

/// A type and how its values are drawn.
fn entry<T: 'static>(draw: fn(&T) -> Option<Drawing>) -> (TypeId, Draw) {
    let draw = move |at: *const ()| {
        // SAFETY: `Seen::drawn` calls this for a value that lives, of the type with this id, which is `T`.
        draw(unsafe { &*at.cast::<T>() })
    };
    (TypeId::of::<T>(), Box::new(draw))
}

/// A value to be shown, and of what type it is.
pub(super) struct Seen<'a> {
    value: &'a dyn Debug,
    id: TypeId,
    /// The same value: it lives as long as the reference above.
    at: *const (),
}

impl<'a> Seen<'a> {
    /// A reference to a reference, because only what has a size can be a `dyn Debug`.
    pub(super) fn of<T: Debug + ?Sized>(value: &'a &'a T) -> Seen<'a> {
        // The id is of the type whatever its lifetimes. A type that is registered has none, so they cannot be confused.
        Seen { value, id: typeid::of::<T>(), at: (&raw const **value).cast() }
    }

    pub(super) fn debug(&self) -> &dyn Debug {
        self.value
    }

    /// As whoever knows its type draws it.
    pub(super) fn drawn(&self) -> Option<Forms> {
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
        let (_, draw) = known.iter().find(|(id, _)| *id == self.id)?;
        let data = draw(self.at)?.into_iter().map(|(mime, data)| (mime.to_owned(), Forms::encoded(mime, &data)));
        Some(Forms { data: data.collect() })
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
    fn a_type_that_somebody_can_draw_is_drawn_and_its_references_too() {
        draw_with(|Drawn(n)| (*n > 0).then(|| vec![("image/png", vec![*n; 3]), ("text/plain", b"three".to_vec())]));
        let forms = super::super::shown(&Seen::of(&&Drawn(1)));
        assert_eq!(forms.data, [("image/png".into(), "AQEB".into()), ("text/plain".into(), "three".into())]);
        assert_eq!(super::super::shown(&Seen::of(&&Drawn(0))).data, [("text/plain".into(), "Drawn(0)".into())]);
        assert!(Seen::of(&&Lends(&1)).drawn().is_none() && Seen::of(&"text").drawn().is_none());
    }
}
