//! The library of this process that an address lies in.
#![allow(unsafe_code)] // Asks the dynamic linker, in C.

use super::Fallible;
use crate::abi::Fault;
use crate::protocol::Function;
use std::ffi::{CStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Which library an address is in, where, and what the function there is called. `name` is its type's, as the compiler writes it.
pub(super) fn locate(address: *const c_void, name: &[u8]) -> Fallible<Function> {
    let message = "the function is in no library that a worker could open";
    let unknown = || Box::new(Fault::Refused { message: message.into() });
    let info = library_of(address).ok_or_else(unknown)?;
    let offset = (address as u64).checked_sub(info.dli_fbase as u64).ok_or_else(unknown)?;
    let name = crate::abi::task_name(&String::from_utf8_lossy(name));
    if program_base() == Some(info.dli_fbase as usize) {
        return Ok(Function { library: String::new(), offset, name });
    }
    // SAFETY: the loader's string lives as long as the library, and the library contains the code that is calling.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let path = std::path::absolute(path).map_err(|_| unknown())?;
    Ok(Function { library: path.to_str().ok_or_else(unknown)?.to_owned(), offset, name })
}

/// Where the executable itself is loaded.
pub(crate) fn program_base() -> Option<usize> {
    // SAFETY: always allowed; gives 0 when the kernel did not say.
    let entry = unsafe { libc::getauxval(libc::AT_ENTRY) };
    library_of(entry as *const c_void).map(|info| info.dli_fbase as usize)
}

/// Where the library is loaded that an address is in.
pub(crate) fn library_base(address: *const c_void) -> Option<usize> {
    library_of(address).map(|info| info.dli_fbase as usize)
}

fn library_of(address: *const c_void) -> Option<libc::Dl_info> {
    // SAFETY: plain pointers, for which zeros are a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked about, and there is room for the answer.
    let found = unsafe { libc::dladdr(address, &raw mut info) } != 0;
    (found && !info.dli_fbase.is_null() && !info.dli_fname.is_null()).then_some(info)
}
