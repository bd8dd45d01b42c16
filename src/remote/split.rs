//! `.split()`: a reference for each element of a tuple.

use super::project;
use crate::codec::Value;
use crate::object::ObjectRef;

/// `split` for one tuple type.
macro_rules! split_tuple {
    ($whole:ty: $($index:tt $element:ident),+) => {
        impl<$($element),+> ObjectRef<$whole> {
            /// One reference for each element of a tuple, at once: nothing is waited for. Each element becomes an object of
            /// its own, freed on its own; the tuple is freed when it has been taken apart and nothing else refers to it.
            /// If the tuple's task fails, so does each element.
            ///
            /// # Panics
            /// When the runtime does not take the work, as [`remote`](crate::remote::Remote1::remote) does.
            ///
            /// ```
            /// # mobula::inline::attach();
            /// # use mobula::prelude::*;
            /// fn pair() -> (i64, String) {
            ///     (1, "two".into())
            /// }
            /// let (one, two) = pair.remote().split();
            /// assert_eq!((get(&one)?, get(&two)?), (1, "two".to_string()));
            /// # Ok::<(), mobula::GetError>(())
            /// ```
            #[track_caller]
            pub fn split(self) -> ($(ObjectRef<$element>,)+)
            where
                $($element: Value,)+
            {
                ($(project(concat!("split().", $index), &self, |whole: $whole| whole.$index),)+)
            }
        }
    };
}

// A task's tuple is one object: whether it will be split is not known when it is submitted, and a trampoline that stored the
// elements separately would make every tuple that is only ever got whole cost one object an element. So an element is the
// result of a small task that takes the tuple apart where it lies; the price is that task.
split_tuple!((A, B): 0 A, 1 B);
split_tuple!((A, B, C): 0 A, 1 B, 2 C);
split_tuple!((A, B, C, D): 0 A, 1 B, 2 C, 3 D);
split_tuple!((A, B, C, D, E): 0 A, 1 B, 2 C, 3 D, 4 E);
split_tuple!((A, B, C, D, E, F): 0 A, 1 B, 2 C, 3 D, 4 E, 5 F);
split_tuple!((A, B, C, D, E, F, G): 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 G);
split_tuple!((A, B, C, D, E, F, G, H): 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 G, 7 H);
