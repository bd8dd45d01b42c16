//! The command line: parses the arguments and runs the command.

mod cell_files;
pub mod cell_host;
mod cell_log;
mod doctor;
mod embedded;
mod front;
mod jupyter_proxy;
mod kernel;
mod notebook;
mod runtime;
mod shared;
mod task_log;
mod test;
mod watching;
mod web_page;

pub use embedded::EMBEDDED_CRATE;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use mobula::abi::Joining;
use mobula_repl::ColorChoice;
use mobula_repl::script::Save;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Exit code: the user's code failed.
const FAILED: u8 = 1;
/// Exit code: the command was wrong.
const WRONG: u8 = 2;
/// Exit code: the environment is broken.
const BROKEN: u8 = 3;

/// Ray's remote functions, in Rust, in a notebook.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Examples:\n  mobula                        the REPL\n  mobula run tour.ipynb         run a notebook\n  mobula -c '1 + 1'             run a cell\n  echo '1 + 1' | mobula         run what comes from a pipe"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// A script or notebook to run, as `mobula run` does.
    file: Option<PathBuf>,
    /// What `std::env::args()` gives in the script.
    #[arg(trailing_var_arg = true)]
    arguments: Vec<OsString>,
    /// Run CODE as one cell.
    #[arg(short, value_name = "CODE")]
    code: Option<String>,
    /// Go on after a cell that fails.
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
struct Common {
    /// When to use colours; NO_COLOR is obeyed.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
    /// Join this runtime, of those that `mobula start` leaves running: `auto`, or its folder. Or a Ray cluster: `ray://HOST:10001`.
    #[arg(long, global = true, value_name = "ADDRESS", env = mobula::local::ADDRESS_ENV, hide_env_values = true)]
    address: Option<String>,
    /// The session's share of that runtime while several sessions want more than there is.
    #[arg(long, global = true, value_name = "N", env = front::SHARE_ENV, hide_env_values = true,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(mobula::abi::SHARE_MAX)))]
    share: Option<u32>,
}

impl Common {
    /// The runtime that a session joins, if it does.
    fn joining(&self) -> Option<Joining> {
        let address = self.address.clone().filter(|address| !address.is_empty())?;
        Some(Joining { address, share: self.share, ..Joining::default() })
    }
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

#[derive(Args, Debug, Default)]
struct Run {
    /// The file; `-` reads Rust, or a notebook, from standard input.
    file: PathBuf,
    /// Write the notebook with its outputs: back, or to OUT. What a .rs file shows goes to OUT, a notebook.
    #[arg(long, value_name = "OUT", num_args = 0..=1, require_equals = true)]
    save: Option<Option<PathBuf>>,
    /// Write a page of the cells and their outputs, which needs no other file.
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    /// Interrupt a cell that runs longer than this; it has failed then.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Give a variable of the cell tagged `parameters` this value, a Rust expression.
    #[arg(short, long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Leave out cells with this tag, besides `skip-execution`.
    #[arg(long, value_name = "TAG")]
    leave_out: Vec<String>,
    /// Run the `#[test]` functions after the cells.
    #[arg(long)]
    tests: bool,
    /// End when this process does, which has started it.
    #[arg(long, value_name = "PID", hide = true)]
    parent: Option<u32>,
    /// Write what became of each cell, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Go on after a cell that fails.
    #[arg(long)]
    keep_going: bool,
    /// What `std::env::args()` gives in the script.
    #[arg(trailing_var_arg = true)]
    arguments: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The REPL; cells from a pipe when standard input is no terminal.
    #[command(after_help = "Example:\n  mobula repl")]
    Repl,
    /// Run a .rs script (its cells parted by `// %%`, or its `main`) or an .ipynb notebook, outputs on the terminal.
    #[command(
        after_help = "Examples:\n  mobula run notebooks/tour.ipynb --save\n  mobula run sweep.ipynb -p n=5 -p 'name=\"x\"' --save=sweep-5.ipynb\n  mobula run report.rs --html report.html --timeout 60\n  mobula run tool.rs -- --verbose input.csv"
    )]
    Run(Run),
    /// Start JupyterLab, with the kernel installed; a notebook that does not exist is made.
    #[command(after_help = "Examples:\n  mobula notebook\n  mobula notebook sweep.ipynb")]
    Notebook {
        /// The notebook to open.
        file: Option<PathBuf>,
    },
    /// Run notebooks and compare each output with the stored one.
    #[command(
        after_help = "Examples:\n  mobula test notebooks\n  mobula test tour.ipynb --update\n\nTags of a cell: `skip` it is not run, `skip-output` it is not compared, `slow` it is run with --slow,\n`raises-error` (or `raises-exception`) it must fail.\n\nIn a folder, hidden files and folders, folders called `target`, symbolic links, and Rust files without `// %%`\nare left out. Name such a file itself to have it tested."
    )]
    Test(test::Test),
    /// Convert a .rs file with `// %%` cells to a notebook, or a notebook to such a file, or either to a page.
    #[command(
        after_help = "Examples:\n  mobula convert tour.ipynb tour.rs\n  mobula convert tour.rs tour.ipynb\n  mobula convert tour.ipynb tour.html\n\nThe .rs file is in the percent format of jupytext. A notebook that is there already keeps the outputs of cells\nwhose code is the same."
    )]
    Convert {
        /// The .rs or .ipynb file.
        from: PathBuf,
        /// The .ipynb, .rs or .html file to write.
        to: PathBuf,
    },
    /// Make a cargo project of a notebook or of a .rs file with `// %%` cells.
    #[command(
        after_help = "Example:\n  mobula export tour.ipynb tour && cd tour && cargo run\n\nThe project has all sources of Mobula that it needs. What a cell shows is printed as text. Cells tagged `skip`\nor `raises-error`, and commands other than `:dep`, are left out."
    )]
    Export {
        /// The .ipynb or .rs file.
        file: PathBuf,
        /// The folder of the project, which must be new or empty.
        folder: PathBuf,
    },
    /// Install Mobula as a Jupyter kernel, or be one.
    #[command(subcommand, after_help = "Example:\n  mobula kernel install --user")]
    Kernel(kernel::Kernel),
    /// Start a runtime that outlives sessions: notebooks, prompts and scripts join it.
    #[command(
        after_help = "Examples:\n  mobula start\n  mobula start --num-cpus 4 --object-store-memory 2GiB\n\nCells join it with `init_with(Config::connect(\"auto\"))`, whole sessions with `--address auto` or MOBULA_ADDRESS=auto."
    )]
    Start(shared::Start),
    /// End the runtime that `mobula start` has started.
    #[command(after_help = "Example:\n  mobula stop")]
    Stop,
    /// Show the runtime: its resources, what waits for them, its tasks and actors.
    #[command(after_help = "Examples:\n  mobula status\n  mobula status --watch")]
    Status {
        /// Show it again every second until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Show the tasks that have failed.
    #[command(after_help = "Example:\n  mobula errors")]
    Errors,
    /// Show the objects in the store.
    #[command(after_help = "Example:\n  mobula memory")]
    Memory,
    /// Write the runtime's tasks as a trace for Chrome or Perfetto.
    #[command(after_help = "Example:\n  mobula timeline trace.json")]
    Timeline {
        /// The JSON file to write.
        file: PathBuf,
    },
    /// Show what tasks have printed.
    #[command(after_help = "Examples:\n  mobula logs\n  mobula logs --follow")]
    Logs {
        /// Go on with what is printed from now on.
        #[arg(long, short)]
        follow: bool,
    },
    /// Print the address of the runtime's web page, and open it.
    #[command(
        after_help = "Example:\n  mobula dashboard\n\nThe runtime is the one of `mobula start`, or else that of the session that was started last. `--address` names\nanother, by its folder or its socket."
    )]
    Dashboard,
    /// Write the web page with all that it shows into one file, to hand around.
    #[command(after_help = "Example:\n  mobula report tuesday.html")]
    Report {
        /// The HTML file to write.
        file: PathBuf,
    },
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

/// Runs the command line. The process has no other thread yet.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging();
    let color = ColorChoice::from(cli.common.color);
    let joining = cli.common.joining();
    let address = joining.as_ref().map(|joining| joining.address.clone());
    let (arguments, keep_going) = (cli.arguments, cli.keep_going);
    if let Some(code) = cli.code {
        // With `-c`, the first word is an argument like the others.
        let arguments = cli.file.map(PathBuf::into_os_string).into_iter().chain(arguments).collect();
        let file = PathBuf::from("-c");
        return run(Run { file, keep_going, arguments, ..Run::default() }, Some(code), color, joining);
    }
    let command = match (cli.command, cli.file) {
        (Some(command), _) => command,
        (None, Some(file)) => Command::Run(Run { file, keep_going, arguments, ..Run::default() }),
        (None, None) => Command::Repl,
    };
    match command {
        Command::Repl => repl(keep_going, color, joining),
        Command::Run(asked) => run(asked, None, color, joining),
        Command::Notebook { file } => notebook::main(file.as_deref()),
        Command::Test(asked) => test::main(asked, color),
        Command::Convert { from, to } => match mobula_repl::script::convert::convert(&from, &to) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.into(), WRONG),
        },
        Command::Export { file, folder } => export(&file, &folder),
        Command::Kernel(command) => kernel::main(command),
        Command::Start(start) => shared::start(&start),
        Command::Stop => shared::stop(address.as_deref()),
        Command::Status { watch } => shared::status(address.as_deref(), watch),
        Command::Errors => shared::errors(address.as_deref()),
        Command::Memory => shared::memory(address.as_deref()),
        Command::Timeline { file } => shared::timeline(address.as_deref(), &file),
        Command::Logs { follow } => shared::logs(address.as_deref(), follow),
        Command::Dashboard => watching::dashboard(address.as_deref()),
        Command::Report { file } => watching::report(address.as_deref(), &file),
        Command::Doctor => doctor::main(),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "mobula", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

fn repl(keep_going: bool, color: ColorChoice, joining: Option<Joining>) -> ExitCode {
    front::with_session(front::Launch { joining, ..front::Launch::default() }, |start| {
        let options = mobula_repl::ReplOptions { color, keep_going, ..Default::default() };
        mobula_repl::repl::run(options, start).map_err(anyhow::Error::from)
    })
}

fn run(asked: Run, code: Option<String>, color: ColorChoice, joining: Option<Joining>) -> ExitCode {
    let Run {
        file,
        save,
        html,
        timeout,
        parameters,
        leave_out: left_out,
        tests,
        parent,
        report,
        keep_going,
        arguments,
    } = asked;
    if !parent.is_none_or(ends_with) {
        return ExitCode::from(FAILED);
    }
    // Before the folder is changed.
    let there = |file: PathBuf| std::path::absolute(&file).unwrap_or(file);
    let (save, report, html) = (save.map(|to| to.map(there)), report.map(there), html.map(there));
    // A notebook is no program: it has no name and no arguments of its own.
    let is_notebook = code.is_none() && file.extension().is_some_and(|end| end == "ipynb");
    if is_notebook && !arguments.is_empty() {
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        let hint =
            if save.as_ref().is_some_and(Option::is_none) { "; a copy is written with `--save=OUT`" } else { "" };
        return fail(&anyhow::anyhow!("a notebook takes no arguments such as `{}`{hint}", words.join(" ")), WRONG);
    }
    let file = if is_notebook { beside(file) } else { file };
    let words = [file.clone().into_os_string()].into_iter().chain(arguments);
    let place = front::Launch {
        folder: file.parent().map(Path::to_owned).filter(|_| code.is_none()),
        arguments: if is_notebook { Vec::new() } else { words.collect() },
        joining,
    };
    front::with_session(place, |start| {
        let save = match save {
            None => Save::No,
            Some(None) => Save::Back,
            Some(Some(file)) => Save::To(file),
        };
        let options = mobula_repl::script::RunOptions {
            file,
            code,
            save,
            html,
            timeout,
            parameters,
            left_out,
            tests,
            report,
            keep_going,
            color,
        };
        mobula_repl::script::run(options, start).map_err(anyhow::Error::from)
    })
}

fn export(file: &Path, folder: &Path) -> ExitCode {
    let sources: Vec<_> = embedded::EMBEDDED_CRATE.iter().chain(embedded::EMBEDDED_RUNTIME).collect();
    match mobula_repl::export::export(file, folder, &sources) {
        Ok(notes) => {
            notes.iter().for_each(|note| eprintln!("{note}"));
            println!("made a project in {}; `cargo run` in it builds and runs it", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.into(), WRONG),
    }
}

/// Has the system end this process when its parent ends. False if it has ended already.
fn ends_with(parent: u32) -> bool {
    let is_set = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).is_ok();
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    !is_set || now == i32::try_from(parent).ok()
}

fn seconds(text: &str) -> Result<Duration, String> {
    let read = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    read.filter(|limit| !limit.is_zero()).ok_or_else(|| "write a number of seconds, such as 60 or 0.5".into())
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Changes to a notebook's folder, as Jupyter does. Returns the notebook's path from there.
fn beside(notebook: PathBuf) -> PathBuf {
    let folder = notebook.parent().filter(|folder| notebook.is_file() && !folder.as_os_str().is_empty());
    match (folder.map(std::env::set_current_dir), notebook.file_name()) {
        (Some(Ok(())), Some(name)) => PathBuf::from(name),
        _ => notebook,
    }
}

/// Prints an error with its causes, and returns the exit code.
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(code)
}

/// Starts logging to standard error, but only if `MOBULA_LOG` asks for it.
fn start_logging() {
    if let Ok(filter) = std::env::var("MOBULA_LOG") {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    }
}
