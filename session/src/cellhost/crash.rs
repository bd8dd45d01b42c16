//! Crash reports: a signal handler sends the crashed cell's stack before the signal ends the process.
//!
//! ```text
//!   SIGSEGV … ─▶ handler, on a stack of its own ─▶ unwinds ─▶ libraries of cells and offsets in them ─▶ the front process (see `frames`)
//!                     └─▶ the earlier handler (the standard library's, which knows a stack overflow), or the signal's default action
//! ```
//!
//! The handler may interrupt anything, so it allocates nothing and takes no lock of ours. The unwinder and `dladdr` take the dynamic
//! linker's lock: a thread that crashes under it waits for itself until the alarm ends it. One of this crate's few files with `unsafe`.
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd};
use std::ffi::{CStr, c_int, c_void};
use std::io::Write;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The signals of a crash.
const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
/// The size of the handler's stack. Unwinding needs more than the 8 KiB of the standard library's.
const STACK_BYTES: usize = 64 << 10;
/// A smaller stack is too small to unwind on.
const STACK_BYTES_MIN: usize = 32 << 10;
/// How many frames are recorded: a stack overflow has a hundred thousand.
const FRAMES_MAX: usize = 48;
/// How long the report may take, in seconds.
const TELLING_MAX: u32 = 2;
/// The size of the largest report, below the link's limit for a packet.
const TOLD_BYTES_MAX: usize = 8 << 10;

/// The socket to the front process.
static FRONT: AtomicI32 = AtomicI32::new(-1);
/// Whether the crash has been reported.
static TOLD: AtomicBool = AtomicBool::new(false);
/// The handlers that were installed before.
static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

/// From now on, a crash of this process is reported through the socket `front`.
pub fn tell_to(front: BorrowedFd<'_>) {
    FRONT.store(front.as_raw_fd(), Ordering::Relaxed);
    TOLD.store(false, Ordering::Relaxed);
    BEFORE.get_or_init(|| {
        let stack = Box::leak(vec![0_u8; STACK_BYTES].into_boxed_slice());
        let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_BYTES };
        // SAFETY: `stack` describes memory that is never freed and that nothing else uses; a null pointer for the old stack is allowed.
        unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
        SIGNALS.map(|signal| {
            // SAFETY: an all-zero `sigaction` is a valid one: no flags, an empty mask.
            let [mut action, mut before]: [libc::sigaction; 2] = unsafe { std::mem::zeroed() };
            action.sa_sigaction = crashed as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // SAFETY: both are valid for the call. `crashed` takes three arguments, as `SA_SIGINFO` demands, and may run in a signal.
            unsafe { libc::sigaction(signal, &raw const action, &raw mut before) };
            before
        })
    });
}

extern "C" fn crashed(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if !TOLD.swap(true, Ordering::Relaxed) && has_room() {
        // SAFETY: `alarm` takes any number. Unless the person has set a handler, its signal ends the process, which is wanted here.
        unsafe { libc::alarm(TELLING_MAX) };
        tell(context);
        // SAFETY: `alarm` takes any number; 0 cancels it.
        unsafe { libc::alarm(0) };
    }
    hand_on(signal, info, context);
}

/// Whether the current signal stack is large enough. A thread of a cell may have another one than the one made above.
fn has_room() -> bool {
    let mut stack = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: with a null new stack, the call only writes the description of this thread's signal stack, for which there is room.
    let known = unsafe { libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr()) } == 0;
    if !known {
        return false;
    }
    // SAFETY: the call has succeeded, so it has written `stack`.
    let stack = unsafe { stack.assume_init() };
    stack.ss_flags & libc::SS_DISABLE != 0 || stack.ss_size >= STACK_BYTES_MIN
}

/// Passes the signal on: to the earlier handler, or to its default action.
fn hand_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let before = SIGNALS.iter().position(|known| *known == signal).and_then(|at| Some(BEFORE.get()?[at]));
    let handler = before.map_or(libc::SIG_DFL, |before| before.sa_sigaction);
    if ![libc::SIG_DFL, libc::SIG_IGN].contains(&handler) && before.is_some_and(|b| b.sa_flags & libc::SA_SIGINFO != 0)
    {
        // SAFETY: it was installed with `SA_SIGINFO`, so it is a function of these three arguments, which are the kernel's.
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = unsafe { std::mem::transmute(handler) };
        handler(signal, info, context);
        return;
    }
    // SAFETY: both take any signal. The signal gets its default action and is raised again, because its cause may not recur on return.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

// The unwinder of the C compiler's runtime library, which every Rust program links: `unwind.h` of the Itanium C++ ABI.
unsafe extern "C" {
    fn _Unwind_Backtrace(each: extern "C" fn(*mut c_void, *mut c_void) -> c_int, state: *mut c_void) -> c_int;
    fn _Unwind_GetIPInfo(frame: *mut c_void, before_instruction: *mut c_int) -> usize;
}

/// Addresses of instructions, innermost first.
struct Frames {
    addresses: [usize; FRAMES_MAX],
    len: usize,
}

extern "C" fn note(frame: *mut c_void, frames: *mut c_void) -> c_int {
    /// `_URC_END_OF_STACK`: anything but zero ends the walk.
    const ENOUGH: c_int = 5;
    // SAFETY: `tell` gives the unwinder a pointer to its `Frames`, which nothing else uses during the walk, and the unwinder passes it on.
    let frames = unsafe { &mut *frames.cast::<Frames>() };
    let mut before_instruction = 0;
    // SAFETY: `frame` is the unwinder's own, valid during this call, and `before_instruction` can be written.
    let address = unsafe { _Unwind_GetIPInfo(frame, &raw mut before_instruction) };
    let Some(place) = frames.addresses.get_mut(frames.len) else { return ENOUGH };
    // A return address is the instruction after the call.
    *place = if before_instruction != 0 { address } else { address.wrapping_sub(1) };
    frames.len += 1;
    0
}

/// The caller's address, if the thread was stopped at an address in no library: a call through an invalid pointer. The unwinder would look
/// for code there and crash itself. `None` if the address is in a library.
#[cfg(target_arch = "x86_64")]
fn caller_of_nowhere(context: *mut c_void) -> Option<usize> {
    // SAFETY: the kernel gives a handler of three arguments the context of the stopped thread, valid until the handler returns.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = registers[libc::REG_RIP as usize] as usize;
    is_nowhere(at).then(|| word_at(registers[libc::REG_RSP as usize] as usize))?
}

/// For AArch64, where register 30 has the return address.
#[cfg(target_arch = "aarch64")]
fn caller_of_nowhere(context: *mut c_void) -> Option<usize> {
    // SAFETY: the kernel gives a handler of three arguments the context of the stopped thread, valid until the handler returns.
    let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    is_nowhere(machine.pc as usize).then_some(machine.regs[30] as usize)
}

fn is_nowhere(address: usize) -> bool {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `dladdr` takes any address; it may write `found`, which is not read.
    unsafe { libc::dladdr(address as *const c_void, found.as_mut_ptr()) == 0 }
}

/// The word in memory at an address, which may be invalid. Only the kernel can read there without a fault.
#[cfg(target_arch = "x86_64")]
fn word_at(address: usize) -> Option<usize> {
    let mut word = 0_usize;
    let to = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: size_of::<usize>() };
    let from = libc::iovec { iov_base: address as *mut c_void, iov_len: size_of::<usize>() };
    // SAFETY: the kernel writes only into `word`, and no more than it holds; an invalid address is an error, not a fault.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &raw const to, 1, &raw const from, 1, 0) };
    (read == size_of::<usize>() as isize).then_some(word)
}

fn tell(context: *mut c_void) {
    let mut frames = Frames { addresses: [0; FRAMES_MAX], len: 0 };
    if let Some(caller) = caller_of_nowhere(context) {
        // As in `note`.
        frames.addresses[0] = caller.wrapping_sub(1);
        frames.len = 1;
    } else {
        // SAFETY: `note` has the type of the callback and expects a `Frames`, which outlives the call.
        unsafe { _Unwind_Backtrace(note, (&raw mut frames).cast()) };
    }
    let mut text = [0_u8; TOLD_BYTES_MAX];
    let mut rest = &mut text[..];
    if write_told(&mut rest, &frames.addresses[..frames.len]).is_none() {
        return;
    }
    let len = TOLD_BYTES_MAX - rest.len();
    // SAFETY: `text` has `len` readable bytes; the descriptor may be closed by now, which is an error like any other.
    unsafe { libc::send(FRONT.load(Ordering::Relaxed), text.as_ptr().cast(), len, libc::MSG_NOSIGNAL) };
}

/// Writes `FromHost::Crashed`, as serde would. `None`: there is no room for it.
fn write_told(out: &mut &mut [u8], addresses: &[usize]) -> Option<()> {
    out.write_all(b"{\"Crashed\":{\"frames\":[").ok()?;
    let mut comma = "";
    for address in addresses {
        if frame(out, comma, *address)? {
            comma = ",";
        }
    }
    out.write_all(b"]}}").ok()
}

/// Writes a frame if it is in a cell's library, and returns whether it was. `None`: there is no room left.
fn frame(out: &mut &mut [u8], comma: &str, address: usize) -> Option<bool> {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `dladdr` takes any address, and `found` can be written.
    if unsafe { libc::dladdr(address as *const c_void, found.as_mut_ptr()) } == 0 {
        return Some(false);
    }
    // SAFETY: `dladdr` has written `found`. The name is the dynamic linker's C string while the library is open, which is always.
    let (name, base) = unsafe {
        let found = found.assume_init();
        (CStr::from_ptr(found.dli_fname), found.dli_fbase as usize)
    };
    let Some(name) = name.to_str().ok().filter(|name| crate::reports::frames::is_of_a_cell(name)) else {
        return Some(false);
    };
    write!(out, "{comma}[\"{name}\",{}]", address - base).ok()?;
    Some(true)
}
