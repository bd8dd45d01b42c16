//! `.split()`: a reference for each element of a tuple.

use super::project;
use crate::codec::Value;
use crate::object::ObjectRef;

/// Implements `split` for one tuple type.
macro_rules! split_tuple {
    ($whole:ty: $($index:tt $element:ident),+) => {
        impl<$($element),+> ObjectRef<$whole> {
            /// Splits a reference to a tuple into one reference for each element, without waiting. Each element becomes
            /// an object of its own and is freed on its own. The tuple is freed when it has been taken apart and
            /// nothing else refers to it. If the tuple's task fails, so does each element.
            ///
            /// # Panics
            /// When the runtime does not accept the work, as for [`remote`](crate::remote::Remote1::remote).
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

// A task's tuple is one object. Whether it will be split is not known when the task is submitted. Storing the elements
// separately would cost every tuple that is only ever got whole one object an element. So each element is the result of
// a small task that takes the tuple apart where it lies; the price is that task.
split_tuple!((A, B): 0 A, 1 B);
split_tuple!((A, B, C): 0 A, 1 B, 2 C);
split_tuple!((A, B, C, D): 0 A, 1 B, 2 C, 3 D);
split_tuple!((A, B, C, D, E): 0 A, 1 B, 2 C, 3 D, 4 E);
split_tuple!((A, B, C, D, E, F): 0 A, 1 B, 2 C, 3 D, 4 E, 5 F);
split_tuple!((A, B, C, D, E, F, G): 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 G);
split_tuple!((A, B, C, D, E, F, G, H): 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 G, 7 H);
