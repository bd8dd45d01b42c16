//! Libraries with tasks in them: opened once, attached, and called at an offset.

#![allow(unsafe_code)]

use crate::abi::engine::{attach, attach_address};
use crate::abi::{ATTACH_SYMBOL, Attach, Awake, Call, Hooks, Instance, Pending, Table, Tenant, Trampoline, View};
use crate::client::engine::table;
use crate::client::{be_program, current, elsewhere, library_base, program_base};
use crate::protocol::{Function, OTHER_PROGRAM};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The executable's own attach function; it is in no symbol table that `dlsym` sees.
static PROGRAM: OnceLock<Attach> = OnceLock::new();

/// Registers the executable's own attach function, so that functions of a plain program can be tasks. Call it in `main` before
/// [`crate::local::Zygote::fork`] and before [`crate::local::role_from_env`]; the first call counts.
pub fn register_program(attach: Attach) {
    let _ = PROGRAM.set(attach);
    be_program();
}

/// The hooks of the cell libraries attached to this cell host.
static CELLS: Mutex<Vec<Hooks>> = Mutex::new(Vec::new());

/// The attach functions of these, with the cells that they were attached for.
static ATTACHED: Mutex<Vec<(usize, u64)>> = Mutex::new(Vec::new());

/// Attaches a freshly opened cell library to this process's client. `symbol` is what `dlsym` returned for [`ATTACH_SYMBOL`].
///
/// # Errors
/// A message, when there is no such symbol or the library was built against another version.
///
/// # Safety
/// `symbol` is null or that symbol's address in a library that stays open.
pub unsafe fn attach_cell(symbol: *mut c_void, cell: u64) -> Result<(), String> {
    // SAFETY: `symbol` is null or an attach function in a library that stays open, by this function's contract.
    let hooks = unsafe { attach_address(cell_table(), symbol, Tenant::CELL_HOST, cell)? };
    let mut cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    // Cells that share one copy of the crate share its streams.
    if !cells.iter().any(|known| std::ptr::fn_addr_eq(known.flush, hooks.flush)) {
        cells.push(hooks);
        ATTACHED.lock().unwrap_or_else(PoisonError::into_inner).push((symbol as usize, cell));
    }
    Ok(())
}

/// The table that the cells of this process have now: another engine's, if the session has joined one.
fn cell_table() -> &'static Table {
    elsewhere().map_or_else(table, |elsewhere| elsewhere.table())
}

/// Has the calls of all attached cell libraries go where the session's calls go now.
pub(crate) fn attach_cells_again() {
    for (symbol, cell) in &*ATTACHED.lock().unwrap_or_else(PoisonError::into_inner) {
        // SAFETY: it was attached by this address before, and the library stays open.
        if let Err(message) = unsafe { attach_address(cell_table(), *symbol as *mut c_void, Tenant::CELL_HOST, *cell) }
        {
            tracing::error!(message, "a library cannot be attached again");
        }
    }
}

/// Flushes the standard output of all attached cell libraries, and all streams of the C library.
pub fn flush_cells() {
    let cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Not under the lock, because a write may block until the output is read.
    cells.iter().for_each(flush_library);
    flush_streams();
}

/// Runs the callbacks of all attached cell libraries for which messages wait. Returns 1 if one of them panicked.
pub fn run_callbacks() -> u32 {
    let cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // SAFETY: the hook belongs to an attached library, which is never closed. It does not unwind.
    cells.iter().map(|hooks| unsafe { (hooks.run_callbacks)() }).max().unwrap_or(0)
}

/// Does `work` while this thread holds the stdout and stderr locks of all attached cell libraries. A process forked in `work` has only this
/// thread, so it can print.
pub fn with_streams_locked(work: &mut dyn FnMut()) {
    let cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    locked(&cells, work);
}

/// The data passed through the hooks: the libraries whose streams are not locked yet, and the work to do when all are.
type Locking<'a> = (&'a [Hooks], &'a mut dyn FnMut());

fn locked(cells: &[Hooks], work: &mut dyn FnMut()) {
    unsafe extern "C" fn go_on(data: *mut c_void) {
        // SAFETY: `data` is the pointer to `locking` below, which the hook passes on unchanged: valid, aligned and initialised. `locking`
        // outlives the call, and nothing else uses it meanwhile.
        let (rest, work) = unsafe { &mut *data.cast::<Locking<'_>>() };
        locked(rest, work);
    }
    let Some((first, rest)) = cells.split_first() else { return work() };
    let mut locking: Locking<'_> = (rest, work);
    // SAFETY: the hook belongs to an attached library, which is never closed. `data` is the `Locking` that `go_on` expects. `go_on` does
    // not unwind, because a panic in an `extern "C"` function ends the process.
    unsafe { (first.with_streams_locked)(go_on, (&raw mut locking).cast()) };
}

/// All libraries that this worker has opened. They stay open, because threads or values that a task left behind may use them.
#[derive(Default)]
pub(super) struct Libraries {
    opened: HashMap<String, usize>,
    list: Vec<Library>,
    /// Functions by number; numbers are given out in sequence.
    functions: Vec<Option<Learnt>>,
    /// The folder of the function that ran last, if that is not the runtime's.
    folder: Arc<str>,
    /// The runtime's.
    home: Option<PathBuf>,
    /// How many libraries there were when they were last looked at.
    looked_at: usize,
}

/// How many libraries a worker opens before it looks how many of their files are still there.
const LOOKED_AT_FROM: usize = 64;

/// A function: the place of its library, its address, and the folder in which it runs.
#[derive(Clone)]
struct Learnt {
    place: usize,
    trampoline: Trampoline,
    folder: Arc<str>,
}

struct Library {
    base: usize,
    attach: Attach,
    /// The cell for which the library was last attached.
    cell: Option<u64>,
    hooks: Option<Hooks>,
}

/// The function of a task, with its library's hooks.
pub(super) struct Entry {
    trampoline: Trampoline,
    hooks: Hooks,
}

impl Libraries {
    /// Whether [`Libraries::learn`] has recorded this function.
    pub fn knows(&self, number: u32) -> bool {
        matches!(self.functions.get(number as usize), Some(Some(_)))
    }

    /// Whether the files of most libraries are gone, with the sessions that they were of. Looks only when they have doubled since.
    pub fn are_mostly_gone(&mut self) -> bool {
        if self.list.len() < LOOKED_AT_FROM.max(2 * self.looked_at) {
            return false;
        }
        self.looked_at = self.list.len();
        let gone = self.opened.keys().filter(|path| !path.is_empty() && !Path::new(path).exists()).count();
        2 * gone > self.list.len()
    }

    /// Records where function `number` is, and in which folder it runs.
    ///
    /// # Errors
    /// A message.
    pub fn learn(&mut self, number: u32, function: &Function) -> Result<(), String> {
        let (path, offset) = (function.library.as_str(), function.offset);
        if let Some(program) = path.strip_prefix(OTHER_PROGRAM) {
            return Err(format!(
                "`{}` is a function of {program}, and this process is another program: the methods of an actor run in its own process, so \
                 only the program that has made it can call it",
                function.name
            ));
        }
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
        // SAFETY: `address` lies in the library, which is never closed. The submitter has the same file loaded and found a trampoline at
        // this offset. On Linux, function and data pointers have the same representation.
        let trampoline = unsafe { std::mem::transmute::<*const c_void, Trampoline>(address) };
        let number = number as usize;
        self.functions.resize(self.functions.len().max(number + 1), None);
        self.functions[number] = Some(Learnt { place, trampoline, folder: function.folder.as_str().into() });
        Ok(())
    }

    /// Changes to a function's folder. It runs all the same if its session has none any more.
    fn go_to(&mut self, folder: Arc<str>) {
        let home = self.home.get_or_insert_with(|| std::env::current_dir().unwrap_or_default());
        let _ = std::env::set_current_dir(if folder.is_empty() { home.as_path() } else { Path::new(&*folder) });
        self.folder = folder;
        if let Some(client) = current() {
            client.forget_functions();
        }
    }

    /// A recorded function, attached for the cell.
    ///
    /// # Errors
    /// A message.
    pub fn entry(&mut self, number: u32, cell: u64) -> Result<Entry, String> {
        let known = self.functions.get(number as usize).and_then(Option::as_ref).ok_or("the function is not known")?;
        let (place, trampoline) = (known.place, known.trampoline);
        if known.folder != self.folder {
            let folder = Arc::clone(&known.folder);
            self.go_to(folder);
        }
        let library = &mut self.list[place];
        if library.cell != Some(cell) {
            // SAFETY: `attach` is the library's attach function, and the library is never closed.
            library.hooks = Some(unsafe { attach(table(), library.attach, Tenant::WORKER, cell)? });
            library.cell = Some(cell);
        }
        let hooks = library.hooks.ok_or("the library is not attached")?;
        Ok(Entry { trampoline, hooks })
    }
}

impl Libraries {
    /// Flushes the standard output of all libraries and of the C library.
    pub fn flush(&self) {
        self.list.iter().filter_map(|library| library.hooks.as_ref()).for_each(flush_library);
        flush_stdout();
    }
}

/// Goes on with an async call. True when it has ended.
pub(super) fn poll(pending: &Pending, token: u64, wake: Awake) -> bool {
    let Some(poll) = pending.poll else { return true };
    // SAFETY: the library that gave `data` with `poll` is never closed. The call has not ended, so `data` is there; and this is the thread
    // that ran the trampoline, which is that of the actor.
    unsafe { poll(pending.data, token, wake) }
}

/// Ends an async call as cancelled.
pub(super) fn cancel(pending: &Pending) {
    if let Some(cancel) = pending.cancel {
        // SAFETY: as in `poll`. The caller has taken the call out of those that are polled.
        unsafe { cancel(pending.data) };
    }
}

/// The place of an actor's state, also for threads whose calls only read it.
#[derive(Clone, Copy)]
pub(super) struct Shared(pub *mut Instance);

// SAFETY: the state is read from several threads only by calls that are `Submission::READ`, which an actor has in other threads only if its
// type is `Sync`: `max_concurrency` asks for that.
unsafe impl Send for Shared {}

/// The arguments of a call.
pub(super) struct Views(pub Vec<View>);

// SAFETY: views are plain addresses of memory that is only read, and every function of the table may be called from any thread, that which
// closes them included.
unsafe impl Send for Views {}

/// Has an actor's state saved, as the result of a call of this name. No call that changes the state runs.
pub(super) fn save(instance: Shared, call: u64) {
    // SAFETY: `run` leaked it, and while this thread, which is that of the actor, is here, nobody writes to it.
    if let Some(save) = unsafe { (*instance.0).save } {
        let (args, pending) = (std::ptr::null(), std::ptr::null_mut());
        let call = Call { call, args, args_len: 0, returns: 1, is_restore: 0, instance: instance.0, pending };
        // SAFETY: the library that made the state, which is never closed, gave this trampoline with it. `call` is valid and outlives the
        // call, which only reads the state, and nobody writes to that meanwhile. A trampoline does not unwind.
        unsafe { save(&raw const call) };
    }
}

/// Drops an actor's state.
pub(super) fn drop_instance(instance: Shared) {
    // SAFETY: `run` leaked it and no call runs any more, so nothing else uses it.
    let instance = unsafe { &mut *instance.0 };
    let Instance { state, drop, .. } = std::mem::replace(instance, Instance::EMPTY);
    if let Some(drop) = drop {
        // SAFETY: the library that made the state, which is never closed, gave its `drop` with it, and the state is dropped once: it has just
        // been taken out. No call of the actor runs, because this is the thread that runs them.
        unsafe { drop(state) };
    }
}

impl Entry {
    /// Runs the task.
    pub fn call(&self, call: &Call) {
        // SAFETY: the trampoline is in a library that is never closed. `call` is valid and outlives the call. A trampoline does not unwind.
        unsafe { (self.trampoline)(call) };
    }

    /// Flushes the standard output of the library and of the C library.
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
    // SAFETY: null is allowed and means all streams of the C library, each of which it locks.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

unsafe extern "C" {
    /// The C library's own standard output.
    static stdout: *mut libc::FILE;
}

fn flush_stdout() {
    // One stream and not all of them, because this is done after every task.
    // SAFETY: the C library has opened `stdout` before `main`, and locks the stream while it flushes.
    unsafe { libc::fflush(stdout) };
}

fn program() -> Result<Library, String> {
    let attach = *PROGRAM.get().ok_or(
        "the function is in the program itself, but `main` does not call `mobula::worker::register_program` first",
    )?;
    let base = program_base().ok_or("the load address of the program cannot be found")?;
    Ok(Library { base, attach, cell: None, hooks: None })
}

fn open(path: &str) -> Result<Library, String> {
    let name = CString::new(path).map_err(|_| format!("the library path {path:?} contains a zero byte"))?;
    // SAFETY: `name` is a C string that outlives the call. The session built the library for being loaded; its initialisers run here as
    // they did in the process that submitted the task.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(format!("the library cannot be opened: {}", loader_error()));
    }
    let symbol = CString::new(ATTACH_SYMBOL).map_err(|_| "the symbol has no name")?;
    // SAFETY: the handle is open, and `symbol` is a C string that outlives the call.
    let address = unsafe { libc::dlsym(handle, symbol.as_ptr()) };
    if address.is_null() {
        return Err(format!("{path} is not a mobula library: it has no symbol {ATTACH_SYMBOL}"));
    }
    // The base of the library itself, because its attach function may lie in another library that it shares.
    let base = base_of(handle).ok_or_else(|| format!("the load address of {path} cannot be found"))?;
    // SAFETY: this symbol names an attach function, by the waist's contract. On Linux, function and data pointers have the same
    // representation.
    let attach = unsafe { std::mem::transmute::<*mut c_void, Attach>(address) };
    Ok(Library { base, attach, cell: None, hooks: None })
}

/// Where an open library begins in memory.
fn base_of(handle: *mut c_void) -> Option<usize> {
    let mut map: *const usize = std::ptr::null();
    // SAFETY: the handle is open, and this request writes one pointer into `map`: to the loader's entry for the library.
    let status = unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast()) };
    if status != 0 || map.is_null() {
        return None;
    }
    // SAFETY: `map` is not null, so it points to an aligned entry that lives while the library is open, whose first field is the address
    // (`l_addr` in <link.h>).
    Some(unsafe { *map })
}

fn loader_error() -> String {
    // SAFETY: always allowed; returns null or a string that lives until this thread's next loader call.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "for an unknown reason".into();
    }
    // SAFETY: not null, so it is a C string, and it is copied before this thread's next loader call.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}

/// Ends the process at once: no destructors, no exit handlers of libraries that a task has opened.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions; the kernel releases all resources.
    unsafe { libc::_exit(code) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_worker_whose_sessions_have_ended_has_libraries_without_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut libraries = Libraries::default();
        let open = |libraries: &mut Libraries, number: usize| {
            let path = folder.path().join(format!("cell_{number}.so"));
            std::fs::write(&path, "").unwrap();
            libraries.list.push(program_for_tests());
            libraries.opened.insert(path.to_str().unwrap().to_owned(), number);
            path
        };
        let first: Vec<PathBuf> = (0..LOOKED_AT_FROM).map(|number| open(&mut libraries, number)).collect();
        assert!(!libraries.are_mostly_gone(), "all files are there");
        first.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        assert!(!libraries.are_mostly_gone(), "that was looked at just now");
        (LOOKED_AT_FROM..2 * LOOKED_AT_FROM - 1).for_each(|number| _ = open(&mut libraries, number));
        assert!(!libraries.are_mostly_gone());
        std::fs::remove_file(open(&mut libraries, 2 * LOOKED_AT_FROM)).unwrap();
        assert!(libraries.are_mostly_gone());
    }

    fn program_for_tests() -> Library {
        unsafe extern "C" fn attach(_table: *const Table, _tenant: *const Tenant) -> *const Hooks {
            std::ptr::null()
        }
        Library { base: 0, attach, cell: None, hooks: None }
    }
}
