//! Crash reports: a signal handler sends the crashed cell's stack before the signal ends the process.
//!
//! ```text
//!   SIGSEGV … ─▶ handler, on a stack of its own ─▶ unwinds ─▶ libraries of cells and offsets in them ─▶ the front process (see `frames`)
//!                     └─▶ whoever had the signal before (the standard library, which knows a stack overflow), or the signal's own effect
//! ```
//!
//! In the middle of anything, so it allocates nothing and takes no lock of ours. The unwinder and `dladdr` take the dynamic linker's: a
//! thread that crashes in there would wait for itself, and the alarm ends it. One of this crate's few files with `unsafe`.
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd};
use std::ffi::{CStr, c_int, c_void};
use std::io::Write;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The signals that a crash has.
const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
/// The handler's stack: unwinding needs some of it, and the standard library's has 8 KiB.
const STACK_BYTES: usize = 64 << 10;
/// Less is not enough to unwind on.
const STACK_BYTES_MIN: usize = 32 << 10;
/// So many frames are looked at: a stack overflow has a hundred thousand.
const FRAMES_MAX: usize = 48;
/// How long telling may take, in seconds.
const TELLING_MAX: u32 = 2;
/// What is told, at most; the link takes no longer packet.
const TOLD_BYTES_MAX: usize = 8 << 10;

/// Where the front process listens.
static FRONT: AtomicI32 = AtomicI32::new(-1);
/// It is told once.
static TOLD: AtomicBool = AtomicBool::new(false);
/// Who had the signals before.
static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

/// From now on, a crash of this process is told to whoever reads from `front`.
pub fn tell_to(front: BorrowedFd<'_>) {
    FRONT.store(front.as_raw_fd(), Ordering::Relaxed);
    TOLD.store(false, Ordering::Relaxed);
    BEFORE.get_or_init(|| {
        let stack = Box::leak(vec![0_u8; STACK_BYTES].into_boxed_slice());
        let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_BYTES };
        // SAFETY: the memory is never given back, and nothing else uses it.
        unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
        SIGNALS.map(|signal| {
            // SAFETY: an all-zero `sigaction` is a valid one: no flags, an empty mask.
            let [mut action, mut before]: [libc::sigaction; 2] = unsafe { std::mem::zeroed() };
            action.sa_sigaction = crashed as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // SAFETY: both are valid for the call, and `crashed` is a handler of three arguments, as the flag says.
            unsafe { libc::sigaction(signal, &raw const action, &raw mut before) };
            before
        })
    });
}

extern "C" fn crashed(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if !TOLD.swap(true, Ordering::Relaxed) && has_room() {
        // SAFETY: without a handler of the person's own, the signal ends the process, which is what is wanted.
        unsafe { libc::alarm(TELLING_MAX) };
        tell(context);
        // SAFETY: as above.
        unsafe { libc::alarm(0) };
    }
    hand_on(signal, info, context);
}

/// Whether the stack that this runs on is long enough. A thread of a cell's may have another one than the one made above.
fn has_room() -> bool {
    let mut stack = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: writes the description of this thread's stack for handlers.
    let known = unsafe { libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr()) } == 0;
    if !known {
        return false;
    }
    // SAFETY: it was written.
    let stack = unsafe { stack.assume_init() };
    stack.ss_flags & libc::SS_DISABLE != 0 || stack.ss_size >= STACK_BYTES_MIN
}

/// What happens with the signal otherwise.
fn hand_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let before = SIGNALS.iter().position(|known| *known == signal).and_then(|at| Some(BEFORE.get()?[at]));
    let handler = before.map_or(libc::SIG_DFL, |before| before.sa_sigaction);
    if ![libc::SIG_DFL, libc::SIG_IGN].contains(&handler) && before.is_some_and(|b| b.sa_flags & libc::SA_SIGINFO != 0)
    {
        // SAFETY: it was installed as a handler of three arguments, and these are the kernel's.
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = unsafe { std::mem::transmute(handler) };
        handler(signal, info, context);
        return;
    }
    // SAFETY: gives the signal its own effect, and sends it once more: what caused it may not happen again on return.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

// The unwinder of the C compiler's library, which every Rust program has: `unwind.h` of the Itanium C++ ABI.
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
    // SAFETY: `tell` hands the unwinder its `Frames`, and the unwinder hands them on.
    let frames = unsafe { &mut *frames.cast::<Frames>() };
    let mut before_instruction = 0;
    // SAFETY: the frame is the unwinder's own.
    let address = unsafe { _Unwind_GetIPInfo(frame, &raw mut before_instruction) };
    let Some(place) = frames.addresses.get_mut(frames.len) else { return ENOUGH };
    // A return address is the instruction after the call.
    *place = if before_instruction != 0 { address } else { address.wrapping_sub(1) };
    frames.len += 1;
    0
}

/// Who called the instruction at which the thread was stopped, if there is nothing at that address: a call to nowhere, where the
/// unwinder would look for code, and fall itself. None: something is there.
#[cfg(target_arch = "x86_64")]
fn caller_of_nowhere(context: *mut c_void) -> Option<usize> {
    // SAFETY: the kernel hands a handler of three arguments the context of the thread that it has stopped.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = registers[libc::REG_RIP as usize] as usize;
    is_nowhere(at).then(|| word_at(registers[libc::REG_RSP as usize] as usize))?
}

/// As above.
#[cfg(target_arch = "aarch64")]
fn caller_of_nowhere(context: *mut c_void) -> Option<usize> {
    // SAFETY: as above.
    let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    is_nowhere(machine.pc as usize).then_some(machine.regs[30] as usize)
}

fn is_nowhere(address: usize) -> bool {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `dladdr` takes any address, and writes what it found, which is not looked at.
    unsafe { libc::dladdr(address as *const c_void, found.as_mut_ptr()) == 0 }
}

/// The word in memory at an address, which may be any. Only the kernel can look without falling itself.
#[cfg(target_arch = "x86_64")]
fn word_at(address: usize) -> Option<usize> {
    let mut word = 0_usize;
    let to = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: size_of::<usize>() };
    let from = libc::iovec { iov_base: address as *mut c_void, iov_len: size_of::<usize>() };
    // SAFETY: writes into `word` alone, and no more than it holds; an address where nothing is, is an error.
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
        // SAFETY: `note` takes what it is given here as what it is, and both live through the call.
        unsafe { _Unwind_Backtrace(note, (&raw mut frames).cast()) };
    }
    let mut text = [0_u8; TOLD_BYTES_MAX];
    let mut rest = &mut text[..];
    if write_told(&mut rest, &frames.addresses[..frames.len]).is_none() {
        return;
    }
    let len = TOLD_BYTES_MAX - rest.len();
    // SAFETY: the bytes are readable; the descriptor may be closed by now, which is an error like any other.
    unsafe { libc::send(FRONT.load(Ordering::Relaxed), text.as_ptr().cast(), len, libc::MSG_NOSIGNAL) };
}

/// Writes `FromHost::Crashed`, as serde would. None: there is no room for it.
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

/// Writes a frame, if it is of a cell's library: whether it was one. None: there is no room left.
fn frame(out: &mut &mut [u8], comma: &str, address: usize) -> Option<bool> {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `dladdr` takes any address, and writes what it found.
    if unsafe { libc::dladdr(address as *const c_void, found.as_mut_ptr()) } == 0 {
        return Some(false);
    }
    // SAFETY: it was written, and the name is the dynamic linker's own for as long as the library is open, which is always.
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
