//! The four calls of `ptrace` that stop a thread, read its registers and let it go.

#![allow(unsafe_code)]

use super::unwind::Registers;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// The event of a stop that was asked for, and of one by a signal such as SIGSTOP.
const EVENT_STOP: i32 = 128;
/// The longest pause between two looks at a thread that is to stop.
const PAUSE_MAX: Duration = Duration::from_millis(5);

/// A thread of another process that the calling thread traces; dropped, it is let go. If it could not be stopped, the kernel lets it go when
/// the calling thread ends, so that one must end soon.
pub struct Seized {
    tid: Pid,
    /// The signal that was about to be delivered when it stopped, which it gets after all.
    signal: i32,
}

/// What became of a thread that was to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It stands still.
    Yes,
    /// It has ended.
    Over,
    /// It waits in the kernel, for a disk for example, and cannot be stopped.
    Busy,
}

/// Begins to trace a thread, which goes on.
///
/// # Errors
/// What the system says.
pub fn seize(tid: Pid) -> io::Result<Seized> {
    // SAFETY: PTRACE_SEIZE reads and writes no memory: the address must be null, and no option is set.
    answered(unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid.as_raw_nonzero().get(), 0usize, 0usize) })?;
    Ok(Seized { tid, signal: 0 })
}

impl Seized {
    /// Stops the thread, wherever it is.
    ///
    /// # Errors
    /// What the system says.
    pub fn stop(&mut self, within: Duration) -> io::Result<Stopped> {
        // SAFETY: PTRACE_INTERRUPT ignores address and data.
        let asked =
            answered(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, self.tid.as_raw_nonzero().get(), 0usize, 0usize) });
        // A thread that is ending is found to by waiting for it.
        if let Err(error) = asked
            && error.raw_os_error() != Some(libc::ESRCH)
        {
            return Err(error);
        }
        let (begun, mut pause) = (Instant::now(), Duration::from_micros(10));
        loop {
            match waitid(WaitId::Pid(self.tid), looking()) {
                Ok(Some(status)) => {
                    let Some(signal) = status.trapping_signal() else { return Ok(Stopped::Over) };
                    self.signal = if signal >> 8 == EVENT_STOP { 0 } else { signal };
                    return Ok(Stopped::Yes);
                }
                Err(Errno::CHILD) => return Ok(Stopped::Over),
                Ok(None) if begun.elapsed() > within => return Ok(Stopped::Busy),
                Ok(None) => std::thread::sleep(pause),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The registers of the stopped thread.
    ///
    /// # Errors
    /// What the system says.
    pub fn registers(&self) -> io::Result<Registers> {
        let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
        let mut place =
            libc::iovec { iov_base: registers.as_mut_ptr().cast(), iov_len: size_of::<libc::user_regs_struct>() };
        // SAFETY:
        // - PTRACE_GETREGSET takes the kind as the address, and as data an `iovec` that lives through the call.
        // - The kernel writes at most `iov_len` bytes, which is the size of `registers`, into which nobody else looks.
        answered(unsafe {
            libc::ptrace(
                libc::PTRACE_GETREGSET,
                self.tid.as_raw_nonzero().get(),
                libc::NT_PRSTATUS as usize,
                &raw mut place,
            )
        })?;
        // SAFETY: all fields are integers, of which any bytes are a value, and zeros were there before.
        Ok(by_number(&unsafe { registers.assume_init() }))
    }
}

impl Drop for Seized {
    fn drop(&mut self) {
        // SAFETY: PTRACE_DETACH ignores the address, and takes a signal's number as data. Of a thread that does not stand still it fails.
        let _ =
            unsafe { libc::ptrace(libc::PTRACE_DETACH, self.tid.as_raw_nonzero().get(), 0usize, self.signal as usize) };
    }
}

/// How a thread's state is looked at: that of this one alone, whatever kind of child it is, and so that its end stays for its parent to see.
fn looking() -> WaitIdOptions {
    let kinds = WaitIdOptions::from_bits_retain((libc::__WALL | libc::__WNOTHREAD) as u32);
    kinds | WaitIdOptions::NOHANG | WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT
}

fn answered(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Registers by the numbers that unwind tables use.
#[cfg(target_arch = "x86_64")]
fn by_number(of: &libc::user_regs_struct) -> Registers {
    let order = [
        of.rax, of.rdx, of.rcx, of.rbx, of.rsi, of.rdi, of.rbp, of.rsp, of.r8, of.r9, of.r10, of.r11, of.r12, of.r13,
        of.r14, of.r15, of.rip,
    ];
    Registers::new(of.rip, &order)
}

#[cfg(target_arch = "aarch64")]
fn by_number(of: &libc::user_regs_struct) -> Registers {
    let mut order = [0; 32];
    order[..31].copy_from_slice(&of.regs);
    order[31] = of.sp;
    Registers::new(of.pc, &order)
}
