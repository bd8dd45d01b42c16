//! The Python of `cargo xtask setup`, and Jupyter with Mobula's kernel installed.

use super::{Finished, Place, finish};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// The environment's Python. `cargo xtask test` names it; else it is looked for where `cargo xtask setup` puts it.
#[track_caller]
pub fn python() -> PathBuf {
    let beside_target = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../python/bin/python");
    let python = std::env::var_os("MOBULA_TEST_PYTHON").map_or_else(beside_target, PathBuf::from);
    assert!(python.exists(), "{} is not there; `cargo xtask setup` makes it", python.display());
    python
}

/// A script of `tests/python`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name)
}

/// A Jupyter that knows the kernel `mobula`, installed by the program itself.
pub struct Jupyter {
    place: Place,
}

impl Jupyter {
    /// Installs the kernel below the place.
    #[track_caller]
    pub fn with_kernel(place: Place) -> Jupyter {
        // What the first session of all has to say while it prepares is not part of a conversation.
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| {
            finish(place.mobula().arg("run").arg(place.write("first.rs", "1 + 1\n"))).exits(0);
        });
        finish(place.mobula().args(["kernel", "install", "--prefix"]).arg(place.path("prefix"))).exits(0);
        Jupyter { place }
    }

    /// Writes a file at its place.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        self.place.write(name, text)
    }

    /// A path at its place.
    pub fn path(&self, name: &str) -> String {
        self.place.path(name)
    }

    /// The place alone.
    pub fn into_place(self) -> Place {
        self.place
    }

    /// One of our scripts, which finds the kernel.
    pub fn script(&self, name: &str) -> Command {
        let mut command = self.place.command(python());
        command.arg(script(name)).env("JUPYTER_PATH", self.place.path("prefix/share/jupyter"));
        command.env("JUPYTER_RUNTIME_DIR", self.place.path("home")).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs one of our scripts; it must exit with 0, and nothing may be left after it.
    #[track_caller]
    pub fn run(&self, name: &str, arguments: &[&str]) -> Finished {
        let finished = finish(self.script(name).args(arguments)).exits(0);
        self.place.leaves_nothing();
        finished
    }
}
