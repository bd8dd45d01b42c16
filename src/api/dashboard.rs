//! `dashboard()`: the runtime's web page.

use crate::abi::{Answer, Dashboard, Question};
use crate::calls;
use crate::display::{escaped, show_drawing};
use crate::error::InitError;
use std::fmt;

/// Starts the web page of this runtime, unless it is there, and returns its address. As the result of a cell it is shown in the
/// notebook, with a link.
///
/// The page lives as long as the runtime. Who has its address, with the token, sees what the session does and can change nothing.
///
/// # Errors
/// There is no page in a plain program, and none without a free port.
///
/// ```no_run
/// # use mobula::prelude::*;
/// println!("{}", dashboard()?.url);
/// # Ok::<(), mobula::InitError>(())
/// ```
pub fn dashboard() -> Result<DashboardInfo, InitError> {
    match calls::ask(&Question::Dashboard).map_err(InitError::from_fault)? {
        Answer::Dashboard(Dashboard { url, proxied }) => Ok(DashboardInfo { url, proxied }),
        other => Err(InitError::Disconnected { reason: format!("it answered `dashboard` with {other:?}") }),
    }
}

/// The address of the web page, as [`dashboard`](crate::dashboard) returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DashboardInfo {
    /// The address on this machine, with the token.
    pub url: String,
    /// The path at which the notebook's Jupyter server passes the page on, when it has jupyter-server-proxy.
    pub proxied: Option<String>,
}

impl DashboardInfo {
    fn html(&self) -> String {
        let address = escaped(self.proxied.as_ref().unwrap_or(&self.url));
        format!(
            "<div><a href=\"{address}\" target=\"_blank\" rel=\"noopener\">the web page of this runtime</a></div>\
             <iframe src=\"{address}\" title=\"Mobula\" style=\"width:100%;height:640px;border:1px solid #8884;border-radius:4px\"></iframe>"
        )
    }

    /// Shows the page as the result of the cell.
    #[doc(hidden)]
    pub fn evcxr_display(&self) {
        show_drawing("result", [("text/html", self.html()), ("text/plain", self.to_string())]);
    }
}

impl fmt::Display for DashboardInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "web page: {}", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notebook_of_a_server_that_passes_the_page_on_shows_it_from_there() {
        let url = "http://127.0.0.1:1234/?token=a".to_owned();
        let here = DashboardInfo { url: url.clone(), proxied: None };
        assert!(here.html().contains("src=\"http://127.0.0.1:1234/?token=a\""));
        let there = DashboardInfo { proxied: Some("/user/b/proxy/1234/?token=a".into()), ..here };
        assert!(there.html().contains("src=\"/user/b/proxy/1234/?token=a\"") && !there.html().contains("127.0.0.1"));
        assert_eq!(there.to_string(), format!("web page: {url}"));
    }
}
