//! The base library that cells are linked against: the crate `mobula` and everything else that a cell can use.
//!
//! It is a library of its own, and not part of each cell's, for three reasons. Linking a cell takes a third of the time. The statics of a
//! crate exist once in the cell host. So do those of the items that cells share.

mod base_source;
mod cache;
mod cargo;
mod checksums;
pub mod compiler_process;
mod dep_cache;
mod link_tree;
mod linker;
mod local_crate;
mod own_program;
mod project;
pub mod rustc_wrapper;
mod template;
pub mod toolchain;

pub use base_source::{Tokio, tokio};
pub use cache::cache_dir;
pub use cargo::{OPT_LEVEL, manifest};
pub use linker::Linker;
pub use local_crate::LocalCrate;
pub use own_program::own_program;
pub use project::Project;
pub use template::{CELL_DEPS, Damage, Template};

use crate::base::toolchain::Toolchain;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The crate's name.
pub const CRATE: &str = "mobula_base";

/// What was built, as it is written into a file beside it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Built {
    /// The base library.
    pub library: PathBuf,
    /// The crates that a cell can name, and their files.
    pub externs: BTreeMap<String, PathBuf>,
    /// Folders with the crates that those depend on.
    pub dirs: Vec<PathBuf>,
    /// The system's libraries that its crates link.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// The linker for cells; `None` where rustc must call a C compiler.
    pub linker: Option<Linker>,
    /// The crates in folders of this machine, which a person may edit. The template's own are not among them.
    #[serde(skip)]
    pub local: Vec<LocalCrate>,
}

/// How cells are compiled and linked.
#[derive(Clone, Debug)]
pub struct Base {
    /// The compiler.
    pub rustc: PathBuf,
    /// Its options.
    pub flags: Vec<OsString>,
    /// Folders in which a running cell finds its libraries.
    found_in: Vec<PathBuf>,
    /// The linker that rustc calls itself, without a C compiler between them.
    pub linker: Option<Linker>,
    /// The crates in folders of this machine that it contains.
    pub local: Vec<LocalCrate>,
}

impl Base {
    /// Options for what was built. `stubs` is a folder for empty stand-ins of the system's libraries.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn new(built: &Built, toolchain: &Toolchain, stubs: &Path) -> std::io::Result<Base> {
        let target = toolchain.target();
        let mut flags: Vec<OsString> = Vec::new();
        let mut flag = |name: &str, path: &Path| {
            let mut word = OsString::from(name);
            word.push(path);
            flags.push(word);
        };
        if let Some(linker) = &built.linker {
            write_stubs(stubs, &built.libraries)?;
            flag("-Lnative=", stubs);
            flag("-Clinker=", linker.path());
        }
        flag(&format!("--extern={CRATE}="), &built.library);
        for (name, path) in &built.externs {
            flag(&format!("--extern={name}="), path);
        }
        for dir in &built.dirs {
            flag("-Ldependency=", dir);
        }
        if let Some(linker) = &built.linker {
            flags.extend(["-Zunstable-options", "-Crelro-level=off"].iter().chain(linker.flags()).map(OsString::from));
        }
        let mut found_in =
            vec![toolchain.sysroot.join("lib"), toolchain.sysroot.join("lib/rustlib").join(target).join("lib")];
        found_in.extend(built.library.parent().map(Path::to_path_buf));
        Ok(Base {
            rustc: toolchain.rustc.clone(),
            flags,
            found_in,
            linker: built.linker.clone(),
            local: built.local.clone(),
        })
    }

    /// Options that write into a library the folders of its dependencies (its rpath), `units` among them, and its own: a runtime that
    /// outlives the session keeps its libraries in one folder.
    pub fn rpath(&self, units: &Path) -> Vec<OsString> {
        let dirs = self.found_in.iter().map(PathBuf::as_path).chain([units, Path::new("$ORIGIN")]);
        dirs.map(|dir| {
            let mut word =
                OsString::from(if self.linker.is_some() { "-Clink-arg=-rpath=" } else { "-Clink-arg=-Wl,-rpath," });
            word.push(dir);
            word
        })
        .collect()
    }
}

/// Writes empty stand-ins for the system's libraries. These are in the process when a cell is opened, so the linker only needs them to
/// exist. The C compiler knows where they are, but takes ten milliseconds to say it.
fn write_stubs(dir: &Path, others: &[String]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for name in ["gcc_s", "util", "rt", "pthread", "m", "dl", "c"].into_iter().chain(others.iter().map(String::as_str))
    {
        std::fs::write(dir.join(format!("lib{name}.so")), "/* in the process already */\n")?;
    }
    Ok(())
}
