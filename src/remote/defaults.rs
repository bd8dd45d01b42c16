//! The options that `#[remote(…)]` gives a function.

use crate::abi::TaskOptions;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A function's path, as [`std::any::type_name`] writes it without type arguments, and its options. The attribute registers one of these
/// beside the function.
pub struct Defaults {
    /// The function's path.
    pub function: &'static str,
    /// Its options.
    pub options: fn() -> TaskOptions,
}

inventory::collect!(Defaults);

/// Postcard of a task's options: those of its function, overridden by those of this call; empty when neither says anything.
///
/// `name` is the function's, by address: it is the same for each task of a function, and another one in another library.
pub(super) fn merged(name: &'static str, call: Option<&TaskOptions>) -> Arc<[u8]> {
    let is_registered = inventory::iter::<Defaults>.into_iter().next().is_some();
    let function = if is_registered { of_function(name) } else { None };
    match (function, call) {
        (None, None) => Arc::default(),
        (Some(function), None) => function.1,
        (None, Some(call)) => encoded(call),
        (Some(function), Some(call)) => encoded(&function.0.overridden_by(call)),
    }
}

fn encoded(options: &TaskOptions) -> Arc<[u8]> {
    postcard::to_stdvec(options).expect("bug: options are plain data").into()
}

/// A function's options, and the same as bytes.
type Known = Option<(Arc<TaskOptions>, Arc<[u8]>)>;

/// What is registered for a function, looked up once.
fn of_function(name: &'static str) -> Known {
    static KNOWN: Mutex<Option<HashMap<usize, Known>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let look = || {
        let path = name.split('<').next().unwrap_or(name);
        let mut registered = inventory::iter::<Defaults>.into_iter();
        let options = (registered.find(|defaults| defaults.function == path)?.options)();
        let bytes = encoded(&options);
        Some((Arc::new(options), bytes))
    };
    known.get_or_insert_default().entry(name.as_ptr() as usize).or_insert_with(look).clone()
}
