//! The library of this process that an address lies in.
#![allow(unsafe_code)] // Asks the dynamic linker, in C.

use super::Fallible;
use crate::abi::Fault;
use crate::protocol::Function;
use std::ffi::{CStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The library that an address is in, its offset there, and the function's name for people. `name` is the name of its
/// type, as the compiler writes it.
pub(crate) fn locate(address: *const c_void, name: &[u8]) -> Fallible<Function> {
    let message = "the function is in no library that a worker could open";
    let unknown = || Box::new(Fault::Refused { message: message.into() });
    let info = library_of(address).ok_or_else(unknown)?;
    let offset = (address as u64).checked_sub(info.dli_fbase as u64).ok_or_else(unknown)?;
    let name = crate::abi::task_name(&String::from_utf8_lossy(name));
    if program_base() == Some(info.dli_fbase as usize) {
        return Ok(Function { library: String::new(), offset, name, folder: String::new() });
    }
    // SAFETY: not null, so it is the loader's C string, which lives as long as the library; the library contains the
    // calling code.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let path = std::path::absolute(path).map_err(|_| unknown())?;
    let library = path.to_str().ok_or_else(unknown)?.to_owned();
    Ok(Function { library, offset, name, folder: String::new() })
}

/// The address at which the executable itself is loaded.
pub(crate) fn program_base() -> Option<usize> {
    // SAFETY: always allowed; returns 0 when the kernel did not say.
    let entry = unsafe { libc::getauxval(libc::AT_ENTRY) };
    library_of(entry as *const c_void).map(|info| info.dli_fbase as usize)
}

/// The address at which the library of an address is loaded.
pub(crate) fn library_base(address: *const c_void) -> Option<usize> {
    library_of(address).map(|info| info.dli_fbase as usize)
}

fn library_of(address: *const c_void) -> Option<libc::Dl_info> {
    // SAFETY: the structure has only pointers, for which zero is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked about, and `info` is valid for writing the answer.
    let found = unsafe { libc::dladdr(address, &raw mut info) } != 0;
    (found && !info.dli_fbase.is_null() && !info.dli_fname.is_null()).then_some(info)
}
