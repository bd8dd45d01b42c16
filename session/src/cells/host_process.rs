//! The cell host's process, as this process's child: commands go into its standard input, and a line comes back when a library has run.

use crate::base::own_program;
use crate::cellhost::{CALLBACKS, CHILD_ENV, GO_BACK, RUN, TRY};
use crate::host::Host;
use crate::link::wire::SOCKET_ENV;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

/// The line that says that a library has run.
const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";

/// The process. Dropping it closes its standard input, which ends it.
pub struct Child {
    process: std::process::Child,
    commands: Option<ChildStdin>,
    results: BufReader<ChildStdout>,
}

impl Child {
    /// Starts the process. `arguments`: the name and arguments that it sees as its own.
    ///
    /// # Errors
    /// A sentence: this program cannot be started again.
    pub fn start(host: &dyn Host, socket: &Path, arguments: &[OsString]) -> Result<Child, String> {
        let explain = |error: std::io::Error| format!("the process that runs the cells cannot be started: {error}");
        let mut command = Command::new(own_program());
        if let Some((name, rest)) = arguments.split_first() {
            command.arg0(name).args(rest);
        }
        command.envs(host.cell_host_env()).env(SOCKET_ENV, socket).env(CHILD_ENV, "1");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(explain)?;
        let (commands, results) = (process.stdin.take(), process.stdout.take());
        let results = results.ok_or("the process that runs the cells has no output")?;
        Ok(Child { process, commands, results: BufReader::new(results) })
    }

    /// Has the cell host run a library's function, and waits until it has. What a trial does to variables is taken back by then. With
    /// `oldest`, the twin from before it is kept, and those from before back to this checkpoint.
    ///
    /// # Errors
    /// The process is gone, and no twin takes its place.
    pub fn run(
        &mut self,
        library: &Path,
        function: &str,
        word: u32,
        is_trial: bool,
        oldest: Option<u64>,
    ) -> Result<(), String> {
        let verb = if is_trial { TRY } else { RUN };
        let oldest = oldest.map_or_else(|| "-".to_owned(), |oldest| oldest.to_string());
        self.order(&format!("{verb} {function} {word} {oldest} {}", library.display()))
    }

    /// Has the twin with this checkpoint take the cell host's place, and waits until it has, or could not.
    ///
    /// # Errors
    /// As for [`Child::run`].
    pub fn go_back(&mut self, checkpoint: u64) -> Result<(), String> {
        self.order(&format!("{GO_BACK} {checkpoint}"))
    }

    /// Has the cell host run the callbacks for which messages wait, and waits until it has.
    ///
    /// # Errors
    /// As for [`Child::run`].
    pub fn run_callbacks(&mut self) -> Result<(), String> {
        self.order(CALLBACKS)
    }

    fn order(&mut self, command: &str) -> Result<(), String> {
        let gone = || "its pipe is closed".to_owned();
        let commands = self.commands.as_mut().ok_or_else(gone)?;
        writeln!(commands, "{command}").map_err(|error| error.to_string())?;
        let mut line = String::new();
        loop {
            line.clear();
            match self.results.read_line(&mut line) {
                Ok(0) => return Err(gone()),
                Ok(_) if line.trim_end() == COMPLETE => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.commands.take());
        // A twin may have taken over; only the process started here is waited for.
        let _ = self.process.wait();
    }
}
