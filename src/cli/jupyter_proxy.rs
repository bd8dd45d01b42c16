//! jupyter-server-proxy: the path at which the Jupyter server of a notebook passes on ports of this machine, if it does.
//!
//! ```text
//!   browser ── https://hub/user/a/proxy/41085/ ──▶ Jupyter server ── http://127.0.0.1:41085/ ──▶ the web page
//! ```
//!
//! A kernel knows its server's process. The server has the extension if its configuration enables it, which installing the package does,
//! in a file under the prefix of the server's Python.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The file that enables the extension, below a folder of configuration.
const ENABLED: &str = "jupyter_server_config.d/jupyter-server-proxy.json";

/// The path on the Jupyter server below which it passes on ports, such as `/user/a/`; `None` without a server that does.
pub fn proxy_base() -> Option<&'static str> {
    static BASE: LazyLock<Option<String>> = LazyLock::new(|| {
        let server: u32 = std::env::var("JPY_PARENT_PID").ok()?.parse().ok()?;
        let home = mobula_session::home();
        let has_proxy =
            config_folders(&server_words(server), home.as_deref()).iter().any(|folder| folder.join(ENABLED).is_file());
        has_proxy.then(|| base(server, home.as_deref()))
    });
    BASE.as_deref()
}

/// The command line of the server.
fn server_words(server: u32) -> Vec<PathBuf> {
    let text = std::fs::read(format!("/proc/{server}/cmdline")).unwrap_or_default();
    text.split(|byte| *byte == 0).map(|word| PathBuf::from(OsStr::from_bytes(word))).collect()
}

/// The folders in which a server that was started by these words looks for its configuration.
fn config_folders(words: &[PathBuf], home: Option<&Path>) -> Vec<PathBuf> {
    // `/venv/bin/python /venv/bin/jupyter-lab`
    let prefixes = words.iter().take(2).filter_map(|word| word.parent()?.parent().map(Path::to_owned));
    let mut folders: Vec<PathBuf> = prefixes.map(|prefix| prefix.join("etc/jupyter")).collect();
    folders.extend(home.map(|home| home.join(".jupyter")));
    folders.extend(["/usr/local/etc/jupyter", "/etc/jupyter"].map(PathBuf::from));
    folders
}

/// The path below which the server's addresses are.
fn base(server: u32, home: Option<&Path>) -> String {
    if let Ok(prefix) = std::env::var("JUPYTERHUB_SERVICE_PREFIX") {
        return prefix;
    }
    let runtime = std::env::var_os("JUPYTER_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.or_else(|| home.map(|home| home.join(".local/share/jupyter/runtime")));
    let text = runtime.and_then(|folder| std::fs::read_to_string(folder.join(format!("jpserver-{server}.json"))).ok());
    text.and_then(|text| base_in(&text)).unwrap_or_else(|| "/".into())
}

/// The path in what a server writes down of itself.
fn base_in(text: &str) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(text).ok()?;
    record["base_url"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_where_the_servers_python_is() {
        let words = ["/venv/bin/python3", "/venv/bin/jupyter-lab", "--port=1"].map(PathBuf::from);
        let folders = config_folders(&words, Some(Path::new("/people/a")));
        assert_eq!(folders[0], Path::new("/venv/etc/jupyter"));
        assert!(
            folders.contains(&PathBuf::from("/people/a/.jupyter")) && folders.contains(&PathBuf::from("/etc/jupyter"))
        );
        assert_eq!(config_folders(&[PathBuf::from("jupyter")], None).len(), 2, "a word without a folder says nothing");
    }

    #[test]
    fn a_server_says_below_which_path_it_is() {
        assert_eq!(base_in(r#"{"base_url": "/user/a/", "port": 8888}"#).as_deref(), Some("/user/a/"));
        assert_eq!((base_in("{}"), base_in("nonsense")), (None, None));
    }
}
