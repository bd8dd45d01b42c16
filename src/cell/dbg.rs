//! `dbg!` with an explicit column. A session writes it in place of `dbg!`, because generated text stands before it on
//! its line.

/// As the standard library's `dbg!`, with the column as its first argument.
#[doc(hidden)]
#[macro_export]
macro_rules! __dbg_at {
    ($column:literal, $(,)?) => {
        ::std::eprintln!("[{}:{}:{}]", ::core::file!(), ::core::line!(), $column)
    };
    ($column:literal, $value:expr $(,)?) => {
        // A match, so that temporaries in the value live as long as with the standard library's macro.
        match $value {
            value => {
                ::std::eprintln!(
                    "[{}:{}:{}] {} = {:#?}",
                    ::core::file!(),
                    ::core::line!(),
                    $column,
                    ::core::stringify!($value),
                    &&value as &dyn ::core::fmt::Debug
                );
                value
            }
        }
    };
    ($column:literal, $($value:expr),+ $(,)?) => {
        ($($crate::__dbg_at!($column, $value)),+,)
    };
}
