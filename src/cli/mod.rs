//! The command line: what can be said, and who does it.

pub mod cell_host;
mod doctor;
mod front;
pub use front::EMBEDDED_CRATE;
mod kernel;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use mobula_repl::ColorChoice;
use std::path::PathBuf;
use std::process::ExitCode;

/// The user's code failed.
const FAILED: u8 = 1;
/// The command was wrong.
const WRONG: u8 = 2;
/// The environment is broken.
const BROKEN: u8 = 3;

/// Ray's remote functions, in Rust, in a notebook.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Examples:\n  mobula                        the REPL\n  mobula run tour.ipynb         run a notebook\n  echo '1 + 1' | mobula         run what comes from a pipe"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// A script or notebook to run, as `mobula run` does.
    file: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
struct Common {
    /// When to use colours; NO_COLOR is obeyed.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The REPL; cells from a pipe when standard input is no terminal.
    #[command(after_help = "Example:\n  mobula repl")]
    Repl,
    /// Run a .rs script (as one cell) or an .ipynb notebook, outputs on the terminal.
    #[command(after_help = "Example:\n  mobula run notebooks/tour.ipynb --save")]
    Run {
        /// The file.
        file: PathBuf,
        /// Write the notebook back with its outputs.
        #[arg(long)]
        save: bool,
    },
    /// Install Mobula as a Jupyter kernel, or be one.
    #[command(subcommand, after_help = "Example:\n  mobula kernel install --user")]
    Kernel(kernel::Kernel),
    /// Check everything that a session needs and say what mends it.
    #[command(after_help = "Example:\n  mobula doctor")]
    Doctor,
    /// Print a shell's completion script.
    #[command(after_help = "Example:\n  mobula completions bash > ~/.local/share/bash-completion/completions/mobula")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Runs the command line. Still without threads when it is called.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging();
    let color = ColorChoice::from(cli.common.color);
    let command = match (cli.command, cli.file) {
        (Some(command), _) => command,
        (None, Some(file)) => Command::Run { file, save: false },
        (None, None) => Command::Repl,
    };
    match command {
        Command::Repl => repl(color),
        Command::Run { file, save } => run(file, save, color),
        Command::Kernel(command) => kernel::main(command),
        Command::Doctor => doctor::main(),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "mobula", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

fn repl(color: ColorChoice) -> ExitCode {
    front::with_session(|start| {
        let options = mobula_repl::ReplOptions { color, ..Default::default() };
        mobula_repl::repl::run(options, start).map_err(anyhow::Error::from)
    })
}

fn run(file: PathBuf, save: bool, color: ColorChoice) -> ExitCode {
    front::with_session(|start| {
        let options = mobula_repl::script::RunOptions { file, save, color };
        mobula_repl::script::run(options, start).map_err(anyhow::Error::from)
    })
}

/// Prints an error with its causes and gives the exit code.
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(code)
}

/// Logs go to standard error, and only when `MOBULA_LOG` asks for them.
fn start_logging() {
    if let Ok(filter) = std::env::var("MOBULA_LOG") {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    }
}
