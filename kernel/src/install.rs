//! Installation into Jupyter: writes the kernelspec, the folder `share/jupyter/kernels/<name>`.

use mobula_session::home::variable;
use serde_json::json;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// The default name of the kernel.
pub const NAME_DEFAULT: &str = "mobula";

const LOGOS: [(&str, &[u8]); 3] = [
    ("logo-32x32.png", include_bytes!("../assets/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("../assets/logo-64x64.png")),
    ("logo-svg.svg", include_bytes!("../assets/logo-svg.svg")),
];

/// Where the kernel is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// For this user: `$JUPYTER_DATA_DIR`, or `$XDG_DATA_HOME/jupyter`, or `~/.local/share/jupyter`.
    #[default]
    User,
    /// In the active Python environment: `$VIRTUAL_ENV`, or `$CONDA_PREFIX`, or the `sys.prefix` of `python3`.
    SysPrefix,
    /// In `<prefix>/share/jupyter`, such as `/usr/local` for all users of the machine.
    Prefix(PathBuf),
}

/// Options of [`install`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to install.
    pub location: Location,
    /// The name that notebooks record and `jupyter --kernel` takes.
    pub name: String,
    /// The name that front ends show.
    pub display_name: String,
    /// The program to start, as `<exe> kernel run -f <connection file>`.
    pub exe: PathBuf,
}

impl Options {
    /// Options with the default names.
    ///
    /// ```
    /// use mobula_kernel::install::{Location, Options};
    /// let options = Options::new(Location::User, std::env::current_exe()?);
    /// assert_eq!((&*options.name, &*options.display_name), ("mobula", "Mobula (Rust)"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(location: Location, exe: impl Into<PathBuf>) -> Options {
        Options { location, name: NAME_DEFAULT.into(), display_name: "Mobula (Rust)".into(), exe: exe.into() }
    }
}

/// The result of [`install`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The kernelspec's folder.
    pub dir: PathBuf,
    /// Whether it replaced a kernelspec of the same name.
    pub replaced: bool,
}

/// Why a kernel was not installed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// Jupyter does not accept this name.
    #[error("`{name}` cannot be the name of a kernel; use letters, digits, `.`, `-` and `_`")]
    Name {
        /// The name that was asked for.
        name: String,
    },
    /// There is no home folder for the kernelspec.
    #[error("cannot tell where this user's Jupyter files are: neither HOME nor JUPYTER_DATA_DIR is set")]
    NoHome,
    /// There is no Python environment to install into.
    #[error("no Python environment is active and `python3` does not run; activate one, or use --user or --prefix DIR")]
    NoPython,
    /// A file cannot be written or removed.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No kernel of this name is installed.
    #[error("no kernel named `{name}` is installed at {}", folder.display())]
    NotInstalled {
        /// The kernel's name.
        name: String,
        /// The folder where it would be.
        folder: PathBuf,
    },
}

/// Installs the kernelspec. A kernelspec of the same name is replaced as a whole.
///
/// # Errors
/// The name is not allowed, the location does not exist, or a file cannot be written.
pub fn install(options: &Options) -> Result<Installed, InstallError> {
    let folder = kernel_folder(&options.name, &options.location, &variable)?;
    let replaced = write(&folder, &options.display_name, &options.exe)
        .map_err(|source| InstallError::Write { path: folder.clone(), source })?;
    Ok(Installed { dir: folder, replaced })
}

/// Whether a kernel of this name is there which runs this program.
///
/// # Errors
/// As for [`install`].
pub fn is_installed(options: &Options) -> Result<bool, InstallError> {
    let file = kernel_folder(&options.name, &options.location, &variable)?.join("kernel.json");
    let spec: Option<serde_json::Value> = fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok());
    Ok(spec.is_some_and(|spec| spec["argv"][0].as_str().map(Path::new) == Some(options.exe.as_path())))
}

/// Removes the kernelspec of this name, and returns its former folder.
///
/// # Errors
/// As for [`install`], or there is no such kernel.
pub fn uninstall(name: &str, location: &Location) -> Result<PathBuf, InstallError> {
    let folder = kernel_folder(name, location, &variable)?;
    if !folder.join("kernel.json").is_file() {
        return Err(InstallError::NotInstalled { name: name.into(), folder });
    }
    fs::remove_dir_all(&folder).map_err(|source| InstallError::Write { path: folder.clone(), source })?;
    Ok(folder)
}

/// The folder of a kernel, which need not exist.
fn kernel_folder(
    name: &str,
    location: &Location,
    var: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, InstallError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(allowed) || name.chars().all(|c| c == '.') {
        return Err(InstallError::Name { name: name.into() });
    }
    let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = match location {
        Location::User => user_data(&set)?,
        Location::SysPrefix => {
            let prefix = set("VIRTUAL_ENV").or_else(|| set("CONDA_PREFIX")).or_else(python_prefix);
            prefix.ok_or(InstallError::NoPython)?.join("share/jupyter")
        }
        Location::Prefix(prefix) => prefix.join("share/jupyter"),
    };
    // Kernel names are case-insensitive in Jupyter.
    Ok(data.join("kernels").join(name.to_ascii_lowercase()))
}

fn user_data(set: &dyn Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, InstallError> {
    if let Some(data) = set("JUPYTER_DATA_DIR") {
        return Ok(data);
    }
    let share = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    Ok(share.ok_or(InstallError::NoHome)?.join("jupyter"))
}

fn python_prefix() -> Option<PathBuf> {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.prefix)"]).output().ok()?;
    let prefix = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !prefix.trim().is_empty()).then(|| PathBuf::from(prefix.trim()))
}

/// Writes a draft beside `folder` and renames it, so that Jupyter never sees an incomplete folder.
fn write(folder: &Path, display_name: &str, exe: &Path) -> io::Result<bool> {
    let kernels = folder.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(kernels)?;
    // Jupyter skips names that begin with a dot. Both folders are removed when this function returns, if they still
    // exist.
    let draft = tempfile::Builder::new().prefix(".mobula-").tempdir_in(kernels)?;
    let attic = tempfile::Builder::new().prefix(".mobula-").tempdir_in(kernels)?;
    fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o755))?;
    fs::write(draft.path().join("kernel.json"), format!("{:#}\n", spec(display_name, exe)))?;
    for (name, content) in LOGOS {
        fs::write(draft.path().join(name), content)?;
    }
    let replaced = folder.exists();
    if replaced {
        fs::rename(folder, attic.path().join("old"))?;
    }
    fs::rename(draft.path(), folder)?;
    // Renamed, so nothing is left to remove.
    let _ = draft.keep();
    Ok(replaced)
}

fn spec(display_name: &str, exe: &Path) -> serde_json::Value {
    json!({
        "argv": [exe, "kernel", "run", "-f", "{connection_file}"],
        "display_name": display_name,
        "language": "rust",
        "interrupt_mode": "message",
        "kernel_protocol_version": crate::wire::PROTOCOL_VERSION,
        "metadata": {"debugger": true},
        "env": {},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn folder(location: Location, vars: &[(&str, &str)]) -> Result<PathBuf, InstallError> {
        let var = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        kernel_folder("mobula", &location, &var)
    }

    fn at(prefix: &Path, name: &str) -> Options {
        Options { name: name.into(), ..Options::new(Location::Prefix(prefix.into()), "/bin/m") }
    }

    #[test]
    fn a_user_s_kernels_are_where_jupyter_looks_for_them() {
        let home = ("HOME", "/h");
        assert_eq!(folder(Location::User, &[home]).unwrap(), Path::new("/h/.local/share/jupyter/kernels/mobula"));
        let xdg = ("XDG_DATA_HOME", "/x");
        assert_eq!(folder(Location::User, &[home, xdg]).unwrap(), Path::new("/x/jupyter/kernels/mobula"));
        let data = ("JUPYTER_DATA_DIR", "/d");
        assert_eq!(folder(Location::User, &[home, xdg, data]).unwrap(), Path::new("/d/kernels/mobula"));
        let empty = ("JUPYTER_DATA_DIR", "");
        assert_eq!(folder(Location::User, &[xdg, empty]).unwrap(), Path::new("/x/jupyter/kernels/mobula"));
        assert!(matches!(folder(Location::User, &[]), Err(InstallError::NoHome)));
    }

    #[test]
    fn an_environment_s_kernels_are_in_the_environment() {
        let conda = ("CONDA_PREFIX", "/c");
        assert_eq!(folder(Location::SysPrefix, &[conda]).unwrap(), Path::new("/c/share/jupyter/kernels/mobula"));
        let venv = ("VIRTUAL_ENV", "/v");
        assert_eq!(folder(Location::SysPrefix, &[conda, venv]).unwrap(), Path::new("/v/share/jupyter/kernels/mobula"));
    }

    #[test]
    fn a_name_that_jupyter_would_not_find_is_refused() {
        for name in ["", "..", "a b", "a/b", "é"] {
            let error = kernel_folder(name, &Location::Prefix("/p".into()), &|_| None).unwrap_err();
            assert!(matches!(error, InstallError::Name { .. }), "{name}");
        }
        let folder = kernel_folder("Mobula-2.x", &Location::Prefix("/p".into()), &|_| None).unwrap();
        assert_eq!(folder, Path::new("/p/share/jupyter/kernels/mobula-2.x"));
    }

    #[test]
    fn what_is_installed_is_whole_and_can_be_removed() {
        let prefix = tempfile::tempdir().unwrap();
        let installed = install(&at(prefix.path(), "mobula")).unwrap();
        assert!(!installed.replaced);
        let spec: Value = serde_json::from_slice(&fs::read(installed.dir.join("kernel.json")).unwrap()).unwrap();
        assert_eq!(spec["argv"], json!(["/bin/m", "kernel", "run", "-f", "{connection_file}"]));
        assert_eq!(spec["interrupt_mode"], "message");
        for size in [32u32, 64] {
            let logo = fs::read(installed.dir.join(format!("logo-{size}x{size}.png"))).unwrap();
            // A PNG has its width in bytes 16 to 19.
            assert_eq!((&logo[1..4], &logo[16..20]), (&b"PNG"[..], &size.to_be_bytes()[..]));
        }
        assert_eq!(uninstall("mobula", &Location::Prefix(prefix.path().into())).unwrap(), installed.dir);
        assert!(!installed.dir.exists());
    }

    #[test]
    fn installing_again_replaces_everything_and_leaves_nothing_beside_it() {
        let prefix = tempfile::tempdir().unwrap();
        let first = install(&at(prefix.path(), "m")).unwrap();
        fs::write(first.dir.join("stale"), "").unwrap();
        assert!(install(&at(prefix.path(), "m")).unwrap().replaced);
        assert!(!first.dir.join("stale").exists());
        let kernels = fs::read_dir(first.dir.parent().unwrap()).unwrap();
        assert_eq!(kernels.count(), 1);
    }

    #[test]
    fn what_is_not_there_is_not_removed() {
        let prefix = tempfile::tempdir().unwrap();
        let error = uninstall("mobula", &Location::Prefix(prefix.path().into())).unwrap_err();
        assert!(matches!(error, InstallError::NotInstalled { .. }));
    }
}
