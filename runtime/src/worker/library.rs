//! Libraries with tasks in them: opened once, attached, and called at an offset.

#![allow(unsafe_code)]

use crate::abi::engine::{attach, attach_address};
use crate::abi::{ATTACH_SYMBOL, Attach, Call, Hooks, Tenant, Trampoline};
use crate::client::engine::table;
use crate::client::{library_base, program_base};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The executable's own attach function; it is in no symbol table that `dlsym` sees.
static PROGRAM: OnceLock<Attach> = OnceLock::new();

/// Says how the executable itself is attached, so that functions of a plain program can be tasks. Call it in `main` before
/// [`crate::local::Zygote::fork`] and before [`crate::local::role_from_env`]; the first call counts.
pub fn register_program(attach: Attach) {
    let _ = PROGRAM.set(attach);
}

/// What the libraries of this cell host gave when they were attached.
static CELLS: Mutex<Vec<Hooks>> = Mutex::new(Vec::new());

/// Attaches a freshly opened cell library to this process's client. `symbol` is what `dlsym` gave for
/// [`ATTACH_SYMBOL`].
///
/// # Errors
/// A sentence, when there is no such symbol or the library was built against another version.
///
/// # Safety
/// `symbol` is null or that symbol's address in a library that stays open.
pub unsafe fn attach_cell(symbol: *mut c_void, cell: u64) -> Result<(), String> {
    // SAFETY: as the caller says.
    let hooks = unsafe { attach_address(table(), symbol, Tenant::CELL_HOST, cell)? };
    let mut cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    // Cells that share one copy of the crate share its streams.
    if !cells.iter().any(|known| std::ptr::fn_addr_eq(known.flush, hooks.flush)) {
        cells.push(hooks);
    }
    Ok(())
}

/// Makes all attached cell libraries write out what they hold back of their standard output.
pub fn flush_cells() {
    let cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Not under the lock: writing may block until somebody reads.
    cells.iter().for_each(flush_library);
    flush_streams();
}

/// Does `work` while no other thread has the locks of the attached cell libraries' standard output and standard error: a fork of this
/// process, which has this thread alone, can print.
pub fn with_streams_locked(work: &mut dyn FnMut()) {
    let cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    locked(&cells, work);
}

/// What goes through the libraries' hooks: those whose streams are not locked yet, and what is done when all are.
type Locking<'a> = (&'a [Hooks], &'a mut dyn FnMut());

fn locked(cells: &[Hooks], work: &mut dyn FnMut()) {
    unsafe extern "C" fn go_on(data: *mut c_void) {
        // SAFETY: the only caller is the hook below, which passes on the pointer that it was given; what it points to outlives the call, and
        // nobody else uses it meanwhile.
        let (rest, work) = unsafe { &mut *data.cast::<Locking<'_>>() };
        locked(rest, work);
    }
    let Some((first, rest)) = cells.split_first() else { return work() };
    let mut locking: Locking<'_> = (rest, work);
    // SAFETY: the hooks are those of an attached library, which is never closed; `go_on` gets what it takes, and `work` does not unwind
    // through it because a panic in an `extern "C"` function ends the process.
    unsafe { (first.with_streams_locked)(go_on, (&raw mut locking).cast()) };
}

/// All libraries that this worker has opened. They stay open: what a task has left behind may still need them.
#[derive(Default)]
pub(super) struct Libraries {
    opened: HashMap<String, usize>,
    list: Vec<Library>,
    /// Functions by their numbers, which are given out one after the other.
    functions: Vec<Option<(usize, Trampoline)>>,
}

struct Library {
    base: usize,
    attach: Attach,
    /// The cell that it was last attached for.
    cell: Option<u64>,
    hooks: Option<Hooks>,
}

/// A function that a task is.
pub(super) struct Entry {
    trampoline: Trampoline,
    hooks: Hooks,
}

impl Libraries {
    /// Whether the function of this number was learnt.
    pub fn knows(&self, number: u32) -> bool {
        matches!(self.functions.get(number as usize), Some(Some(_)))
    }

    /// The function of this number is at `offset` of the library. An empty path is the executable itself.
    ///
    /// # Errors
    /// A sentence.
    pub fn learn(&mut self, number: u32, path: &str, offset: u64) -> Result<(), String> {
        let place = match self.opened.get(path) {
            Some(place) => *place,
            None => {
                self.list.push(if path.is_empty() { program()? } else { open(path)? });
                self.opened.insert(path.to_owned(), self.list.len() - 1);
                self.list.len() - 1
            }
        };
        let base = self.list[place].base;
        let address = (base as u64).checked_add(offset).map(|address| address as *const c_void);
        let inside = address.filter(|address| library_base(*address) == Some(base));
        let address = inside.ok_or_else(|| format!("offset {offset:#x} is not in {path}"))?;
        // SAFETY: the address is in the library, where the submitter, which has the same file open, has a trampoline.
        // Function and data pointers are the same on Linux.
        let trampoline = unsafe { std::mem::transmute::<*const c_void, Trampoline>(address) };
        let number = number as usize;
        self.functions.resize(self.functions.len().max(number + 1), None);
        self.functions[number] = Some((place, trampoline));
        Ok(())
    }

    /// A function that was learnt, attached for the cell.
    ///
    /// # Errors
    /// A sentence.
    pub fn entry(&mut self, number: u32, cell: u64) -> Result<Entry, String> {
        let known = self.functions.get(number as usize).copied().flatten();
        let (place, trampoline) = known.ok_or("the function is not known")?;
        let library = &mut self.list[place];
        if library.cell != Some(cell) {
            // SAFETY: the function is the library's attach function, and the library is never closed.
            library.hooks = Some(unsafe { attach(table(), library.attach, Tenant::WORKER, cell)? });
            library.cell = Some(cell);
        }
        let hooks = library.hooks.ok_or("the library is not attached")?;
        Ok(Entry { trampoline, hooks })
    }
}

impl Entry {
    /// Runs the task.
    pub fn call(&self, call: &Call) {
        // SAFETY: a trampoline takes a valid call and does not unwind; the call outlives it.
        unsafe { (self.trampoline)(call) };
    }

    /// Makes the library write out what it holds back of its standard output.
    pub fn flush(&self) {
        flush_library(&self.hooks);
        flush_stdout();
    }
}

fn flush_library(hooks: &Hooks) {
    // SAFETY: the hooks are those of an attached library, which is never closed.
    unsafe { (hooks.flush)() };
}

fn flush_streams() {
    // SAFETY: a null pointer means all streams of the C library, which are locked one by one.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

unsafe extern "C" {
    /// The C library's own standard output.
    static stdout: *mut libc::FILE;
}

fn flush_stdout() {
    // One stream, not all of them: this is done after every task.
    // SAFETY: the C library has made the stream before `main`, and it is locked while it is flushed.
    unsafe { libc::fflush(stdout) };
}

fn program() -> Result<Library, String> {
    let attach = *PROGRAM.get().ok_or(
        "the function is in the program itself, and `main` does not begin with mobula::worker::register_program",
    )?;
    let base = program_base().ok_or("the program does not know where it is loaded")?;
    Ok(Library { base, attach, cell: None, hooks: None })
}

fn open(path: &str) -> Result<Library, String> {
    let name = CString::new(path).map_err(|_| format!("{path:?} is no path"))?;
    // SAFETY: the library was built by the session for being loaded; its initialisers run here as they did in the
    // process that submitted the task.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(format!("the library cannot be opened: {}", loader_error()));
    }
    let symbol = CString::new(ATTACH_SYMBOL).map_err(|_| "the symbol has no name")?;
    // SAFETY: the handle is open, and the name is a C string.
    let address = unsafe { libc::dlsym(handle, symbol.as_ptr()) };
    if address.is_null() {
        return Err(format!("{path} does not know mobula: it has no symbol {ATTACH_SYMBOL}"));
    }
    // Of the library itself: its attach function may be that of a library which it shares with others.
    let base = base_of(handle).ok_or_else(|| format!("nobody knows where {path} is loaded"))?;
    // SAFETY: what this symbol names in a library is an attach function, by the waist's contract.
    let attach = unsafe { std::mem::transmute::<*mut c_void, Attach>(address) };
    Ok(Library { base, attach, cell: None, hooks: None })
}

/// Where an open library begins in memory.
fn base_of(handle: *mut c_void) -> Option<usize> {
    let mut map: *const usize = std::ptr::null();
    // SAFETY: the handle is open, and this request writes one pointer, to the loader's entry for the library.
    let status = unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast()) };
    if status != 0 || map.is_null() {
        return None;
    }
    // SAFETY: the entry lives as long as the library is open, and its first field is the address (`l_addr` in <link.h>).
    Some(unsafe { *map })
}

fn loader_error() -> String {
    // SAFETY: always allowed; gives null or a string that lives until this thread's next loader call.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "for an unknown reason".into();
    }
    // SAFETY: not null, so a C string, read at once.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}

/// Ends the process at once: no destructors, no exit handlers of libraries that a task has opened.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: always allowed; the kernel takes everything back.
    unsafe { libc::_exit(code) }
}
