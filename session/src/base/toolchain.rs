//! The Rust toolchain that cells are compiled with: its place, and what is missing of it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// A toolchain that can run a session.
#[derive(Clone, Debug, Default)]
pub struct Toolchain {
    /// The real rustc, not rustup's proxy.
    pub rustc: PathBuf,
    /// The real cargo.
    pub cargo: PathBuf,
    /// The toolchain's folder, with the standard library.
    pub sysroot: PathBuf,
    /// What `rustc -vV` prints; it names the version, the commit and the target.
    pub version: String,
}

impl Toolchain {
    /// Finds the toolchain for the current folder. Looks once in the life of a process.
    ///
    /// # Errors
    /// A sentence that names what is missing and the command that installs it.
    ///
    /// ```
    /// let toolchain = mobula_session::toolchain::Toolchain::find().unwrap();
    /// assert!(toolchain.target().contains("linux"));
    /// ```
    pub fn find() -> Result<Toolchain, String> {
        // It takes four processes; both the front end's check and the session need the result.
        static FOUND: OnceLock<Result<Toolchain, String>> = OnceLock::new();
        FOUND.get_or_init(Toolchain::look).clone()
    }

    fn look() -> Result<Toolchain, String> {
        let rustc = tool("rustc")?;
        let cargo = tool("cargo")?;
        let version = output(Command::new(&rustc).arg("-vV")).ok_or(
            "`rustc -vV` failed: the Rust toolchain is damaged; reinstall it with `rustup toolchain install stable`",
        )?;
        let sysroot = output(Command::new(&rustc).args(["--print", "sysroot"])).unwrap_or_default();
        let sysroot = PathBuf::from(sysroot.trim());
        Ok(Toolchain { rustc, cargo, sysroot, version })
    }

    /// Checks that the standard library's source is installed, from which completion and evcxr read types.
    ///
    /// # Errors
    /// It is not; the error names the command that installs it.
    pub fn has_source(&self) -> Result<(), String> {
        if self.sysroot.join("lib/rustlib/src/rust/library/std").is_dir() {
            return Ok(());
        }
        Err("the standard library's source is missing, which completion needs; install it with \
             `rustup component add rust-src`"
            .into())
    }

    /// The target triple of this machine.
    pub fn target(&self) -> &str {
        self.version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("unknown")
    }
}

fn tool(name: &str) -> Result<PathBuf, String> {
    if let Some(path) = output(Command::new("rustup").args(["which", name])) {
        return Ok(PathBuf::from(path.trim()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        format!(
            "no `{name}` was found: cells are compiled with it; install Rust with rustup (see rust-lang.org/tools/install), \
             then `rustup component add rust-src` for completion"
        )
    })
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(std::process::Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
