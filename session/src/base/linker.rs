//! The linker that rustc calls for each cell, without a C compiler between them: the fastest one that this machine has.
//!
//! For a library of a few functions, most of a linker's time is its own start. Measured on the development machine (two cores): rust-lld 10
//! ms, GNU ld 7 ms, gold 4 ms. So each is tried when the template is made.

use super::{Base, Built};
use crate::base::toolchain::Toolchain;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often each linker is tried; its best time counts.
const TRIES: usize = 3;

/// The family of a linker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Lld,
    Gold,
    Bfd,
    Mold,
}

/// A linker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linker {
    path: PathBuf,
    kind: Kind,
}

impl Linker {
    /// The fastest linker on this machine that can link a cell. `None` where rustc must call a C compiler.
    pub fn fastest(built: &Built, toolchain: &Toolchain, scratch: &Path) -> Option<Linker> {
        let timed = candidates(toolchain).into_iter().filter_map(|linker| {
            let built = Built { linker: Some(linker.clone()), ..built.clone() };
            Some((time(&built, toolchain, scratch)?, linker))
        });
        timed.min_by_key(|(took, _)| *took).map(|(_, linker)| linker)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// rustc's options for it. They ask for few mappings in each library, because a fork, and so each checkpoint, goes through all of them.
    pub fn flags(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Lld => &["-Clinker-flavor=gnu-lld", "-Clink-arg=--no-rosegment", "-Clink-arg=--threads=1"],
            Kind::Gold => &["-Clinker-flavor=gnu"],
            Kind::Bfd => &["-Clinker-flavor=gnu", "-Clink-arg=-znoseparate-code"],
            Kind::Mold => &["-Clinker-flavor=gnu", "-Clink-arg=-znoseparate-code", "-Clink-arg=--threads=1"],
        }
    }
}

fn candidates(toolchain: &Toolchain) -> Vec<Linker> {
    let target = toolchain.target();
    if !target.starts_with("x86_64") {
        return Vec::new();
    }
    let lld = toolchain.sysroot.join("lib/rustlib").join(target).join("bin/rust-lld");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    let installed = [("ld.gold", Kind::Gold), ("ld.bfd", Kind::Bfd), ("ld.mold", Kind::Mold)];
    let installed = installed.into_iter().filter_map(|(name, kind)| Some(Linker { path: find(name)?, kind }));
    installed.chain(lld.is_file().then_some(Linker { path: lld, kind: Kind::Lld })).collect()
}

/// How long compiling a cell takes with it; `None` if it cannot link one.
fn time(built: &Built, toolchain: &Toolchain, scratch: &Path) -> Option<Duration> {
    let base = Base::new(built, toolchain, &scratch.join("stubs")).ok()?;
    let source = scratch.join("trial.rs");
    let text = format!(
        "extern crate {} as _; #[unsafe(no_mangle)] extern \"C\" fn trial(x: f64) {{ mobula::display(&x); }}\n",
        super::CRATE
    );
    std::fs::write(&source, text).ok()?;
    let library = scratch.join("trial.so");
    let tries = (0..TRIES).map(|_| {
        let mut command = Command::new(&base.rustc);
        command.arg(&source).arg("-o").arg(&library).args([
            "--edition=2024",
            "--crate-type=cdylib",
            "-Cprefer-dynamic",
        ]);
        command.args(&base.flags).env("RUSTC_BOOTSTRAP", "1").stdout(Stdio::null()).stderr(Stdio::null());
        let begin = Instant::now();
        command.status().is_ok_and(|status| status.success()).then(|| begin.elapsed())
    });
    tries.collect::<Option<Vec<Duration>>>()?.into_iter().min()
}
