//! `mobula kernel …`: installs, removes and runs the Jupyter kernel.

use super::{BROKEN, WRONG, fail, front};
use clap::{Args, Subcommand};
use mobula_kernel::install::{self, Location};
use std::path::PathBuf;
use std::process::ExitCode;

/// What `mobula kernel` can do.
#[derive(Debug, Subcommand)]
pub enum Kernel {
    /// Make Jupyter find this kernel.
    #[command(after_help = "Example:\n  mobula kernel install --sys-prefix")]
    Install {
        #[command(flatten)]
        place: Place,
        /// What the launcher shows.
        #[arg(long)]
        display_name: Option<String>,
    },
    /// Make Jupyter forget this kernel.
    #[command(after_help = "Example:\n  mobula kernel uninstall")]
    Uninstall {
        #[command(flatten)]
        place: Place,
    },
    /// Be a kernel; Jupyter starts this.
    #[command(after_help = "Example:\n  mobula kernel run -f connection.json")]
    Run {
        /// Jupyter's connection file.
        #[arg(short = 'f', long = "connection-file")]
        connection_file: PathBuf,
    },
}

/// Where a kernel is installed.
#[derive(Args, Debug)]
pub struct Place {
    /// For the present user (the default).
    #[arg(long, group = "place")]
    user: bool,
    /// In the Python environment that is active.
    #[arg(long, group = "place")]
    sys_prefix: bool,
    /// Under this folder.
    #[arg(long, group = "place", value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// The kernel's name.
    #[arg(long, default_value = "mobula")]
    name: String,
}

impl Place {
    fn location(&self) -> Location {
        match &self.prefix {
            Some(prefix) => Location::Prefix(prefix.clone()),
            None if self.sys_prefix => Location::SysPrefix,
            None => Location::User,
        }
    }
}

/// Runs `mobula kernel`.
pub fn main(command: Kernel) -> ExitCode {
    match command {
        Kernel::Install { place, display_name } => {
            let exe = match std::env::current_exe() {
                Ok(exe) => exe,
                Err(error) => {
                    return fail(&anyhow::Error::from(error).context("cannot find the path of this program"), BROKEN);
                }
            };
            let mut options = install::Options::new(place.location(), exe);
            options.name = place.name;
            if let Some(display_name) = display_name {
                options.display_name = display_name;
            }
            match install::install(&options) {
                Ok(installed) => {
                    println!("installed the kernel `{}` in {}", options.name, installed.dir.display());
                    ExitCode::SUCCESS
                }
                Err(error) => fail(&error.into(), WRONG),
            }
        }
        Kernel::Uninstall { place } => match install::uninstall(&place.name, &place.location()) {
            Ok(dir) => {
                println!("removed {}", dir.display());
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error.into(), WRONG),
        },
        Kernel::Run { connection_file } => front::run_kernel(&connection_file),
    }
}
