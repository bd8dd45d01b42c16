//! `mobula dashboard` and `mobula report`: the web page of a runtime that runs already.

use super::web_page::{WebPage, of_fault};
use super::{FAILED, WRONG, fail};
use anyhow::{Context, Result, bail};
use mobula::abi::{Answer, Question};
use mobula::attached::find_to_look_at;
use mobula::client::Reader;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Prints the page's address. A person at a terminal gets it opened, too.
pub fn dashboard(address: Option<&str>) -> ExitCode {
    with_socket(address, |socket| {
        let url = url_of(&socket)?;
        println!("{url}");
        if std::io::stdout().is_terminal() {
            // Without a browser there is the address.
            let opener = Command::new("xdg-open")
                .arg(&url)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            drop(opener);
        }
        Ok(())
    })
}

/// Writes a report.
pub fn report(address: Option<&str>, file: &Path) -> ExitCode {
    with_socket(address, |socket| {
        let text = match url_of(&socket) {
            Ok(url) => mobula_dashboard::saved_report(&url)?,
            // A plain program has no page, and tells all the same.
            Err(_) => {
                let page = WebPage::new();
                page.set_socket(socket);
                mobula_dashboard::report_page(page.source())?
            }
        };
        std::fs::write(file, text).with_context(|| format!("`{}` cannot be written", file.display()))?;
        println!("wrote {}", file.display());
        Ok(())
    })
}

fn with_socket(address: Option<&str>, work: impl FnOnce(PathBuf) -> Result<()>) -> ExitCode {
    match find_to_look_at(address) {
        Err(error) => fail(&error.into(), WRONG),
        Ok(socket) => match work(socket) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, FAILED),
        },
    }
}

/// The address of the page of the runtime that listens here; it is started if it is not there.
fn url_of(socket: &Path) -> Result<String> {
    match Reader::connect(socket)?.ask(Question::Dashboard).map_err(of_fault)? {
        Answer::Dashboard(dashboard) => Ok(dashboard.url),
        other => bail!("the runtime answered `dashboard` with {other:?}"),
    }
}
