//! Opening a cell's library and calling into it. One of this crate's few files with `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};

/// The symbol of a cell library's attach function; the same as `mobula::abi::ATTACH_SYMBOL`.
const ATTACH_SYMBOL: &str = "mobula_attach";

/// A function of a library, by the evaluator that made it.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// From evcxr's evaluator: its name.
    Evcxr(&'a str),
    /// From the direct evaluator: its name, and what becomes of the value that was shown last.
    Direct(&'a str, u32),
}

/// The session's variables: the evaluator's store, which each cell passes on to the next. Null before the first cell that has any.
#[derive(Debug)]
pub struct Variables(*mut c_void);

impl Variables {
    /// No variables yet.
    pub const NONE: Variables = Variables(std::ptr::null_mut());
}

/// A cell's library. It is never closed, because values of its types and threads in its code may live on.
#[derive(Debug)]
pub struct Library {
    handle: *mut c_void,
}

impl Library {
    /// Opens the library at `path`.
    ///
    /// # Errors
    /// The dynamic linker's message.
    pub fn open(path: &str) -> Result<Library, String> {
        let path = CString::new(path).map_err(|_| "the library's path has a zero byte".to_owned())?;
        // SAFETY: `path` is a C string that outlives the call. Opening runs the library's initialisers: that is the
        // person's own code, which this process exists to run.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() { Err(linker_error()) } else { Ok(Library { handle }) }
    }

    /// The address of the library's attach function; `None` for a library that was built without the crate `mobula`.
    pub fn attach_symbol(&self) -> Option<*mut c_void> {
        self.symbol(ATTACH_SYMBOL)
    }

    /// Runs a function of this library on the session's variables. Returns how it ended: 0 for well, else a code that the session knows.
    ///
    /// # Errors
    /// The library has no such function.
    pub fn run(&self, entry: Entry<'_>, variables: &mut Variables) -> Result<u32, String> {
        let (Entry::Evcxr(name) | Entry::Direct(name, _)) = entry;
        let symbol = self.symbol(name).ok_or_else(|| format!("the cell's library has no function `{name}`"))?;
        Ok(match entry {
            Entry::Evcxr(_) => {
                // SAFETY: evcxr generates every function that it asks its child to run with exactly this type
                // (`pub extern "C" fn name(store: *mut T) -> *mut T`), and `symbol` is not null.
                let cell: extern "C" fn(*mut c_void) -> *mut c_void = unsafe { std::mem::transmute(symbol) };
                variables.0 = cell(variables.0);
                0
            }
            Entry::Direct(_, last) => {
                // SAFETY: the direct evaluator generates every function that it asks for with exactly this type, and `symbol` is not null.
                let cell: unsafe extern "C" fn(*mut *mut c_void, u32) -> u32 = unsafe { std::mem::transmute(symbol) };
                // SAFETY: the pointer is null or what an earlier such function left there, and only this thread uses it.
                unsafe { cell(&mut variables.0, last) }
            }
        })
    }

    fn symbol(&self, name: &str) -> Option<*mut c_void> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle came from `dlopen` and is never closed; `name` is a C string that outlives the call.
        let symbol = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        (!symbol.is_null()).then_some(symbol)
    }
}

/// Removes the marks of evcxr's child, so that programs that cells start do not take themselves for one.
///
/// Must be called before any thread exists.
pub fn forget_role(variables: &[&str]) {
    for variable in variables {
        // SAFETY: the process has one thread (the caller's duty, and the cell host calls this first of all), so no other thread reads or
        // writes the environment meanwhile.
        unsafe { std::env::remove_var(variable) };
    }
}

fn linker_error() -> String {
    // SAFETY: `dlerror` returns null or a C string that stays valid until the next call of the dynamic linker on this
    // thread; it is copied before that.
    let message = unsafe {
        let message: *const c_char = libc::dlerror();
        (!message.is_null()).then(|| CStr::from_ptr(message).to_string_lossy().into_owned())
    };
    message.unwrap_or_else(|| "the dynamic linker did not say why".to_owned())
}
