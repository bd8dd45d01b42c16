//! The decision whether a cell's shown value becomes `_`.

use super::last_value::Shown;
use super::session_state::Lost;
use crate::event::CellId;

/// What becomes of the value kept so far, when a cell ends well. The numbers are those of `mobula::__private::last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stays = 0,
    /// The cell's value takes its place.
    Replaced = 1,
    /// It ends.
    Ends = 2,
}

/// The fate after a cell that shows this, of this type if the compiler has told it.
pub fn fate(shown: &Shown, ty: Option<&str>) -> Fate {
    match (shown, ty) {
        (Shown::Last, _) | (Shown::Value, Some("()" | "!")) => Fate::Stays,
        (Shown::Value, Some(ty)) if why_lost(ty, CellId(0)).is_none() => Fate::Replaced,
        _ => Fate::Ends,
    }
}

/// Why a value of this type cannot be kept. A type's text does not tell how long a borrowed value lives, so nothing that borrows is kept.
pub fn why_lost(ty: &str, cell: CellId) -> Option<Lost> {
    if ty.is_empty() || ty.contains('{') || ty.contains("impl ") {
        return Some(Lost::Nameless(cell, ty.to_owned()));
    }
    (ty.contains(['&', '\'', '*']) || ty.contains("dyn ")).then_some(Lost::Borrowed(cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_value_that_refers_to_nothing_is_kept() {
        let of = |ty| fate(&Shown::Value, Some(ty));
        assert_eq!(of("std::vec::Vec<(i64, cells_1::P)>"), Fate::Replaced);
        for ty in [
            "&str",
            "std::option::Option<&i64>",
            "std::slice::Iter<'_, i64>",
            "std::boxed::Box<dyn std::ops::Fn()>",
            "*const u8",
        ] {
            assert_eq!((of(ty), why_lost(ty, CellId(1))), (Fate::Ends, Some(Lost::Borrowed(CellId(1)))), "{ty}");
        }
        assert_eq!(of("{closure@cell 1:1:2: 1:3}"), Fate::Ends);
        assert_eq!([of("()"), of("!"), fate(&Shown::Last, None)], [Fate::Stays; 3]);
        assert_eq!([fate(&Shown::Value, None), fate(&Shown::Part, None)], [Fate::Ends; 2]);
    }
}
