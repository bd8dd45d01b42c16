//! The sources of the crate `mobula` in this program, as `build.rs` has gathered them.

use mobula_session::EmbeddedFile;

/// The sources that cells are compiled against.
pub static EMBEDDED_CRATE: &[EmbeddedFile] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The other sources of the crate with its runtime. A file in both lists is the one here.
pub static EMBEDDED_RUNTIME: &[EmbeddedFile] = include!(concat!(env!("OUT_DIR"), "/embedded_runtime.rs"));
