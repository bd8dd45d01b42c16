//! The kernel's description of itself: `kernel_info_reply`.

use crate::wire::PROTOCOL_VERSION;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::{Arc, OnceLock};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Answers `kernel_info_request`, without ever waiting.
#[derive(Clone)]
pub(crate) struct Info {
    rustc: Arc<OnceLock<String>>,
}

impl Info {
    /// Starts asking the compiler for its version, in the background.
    pub(crate) fn gather() -> Info {
        let rustc = Arc::new(OnceLock::new());
        let found = rustc.clone();
        std::thread::spawn(move || {
            if let Some(version) = rustc_version() {
                let _ = found.set(version);
            }
        });
        Info { rustc }
    }

    /// The content of a `kernel_info_reply`. It names the oldest supported version of Rust until the compiler has
    /// answered.
    ///
    /// Plain JSON, because the struct in `jupyter_protocol` has no `supported_features`.
    pub(crate) fn content(&self) -> Value {
        let rust = self.rustc.get().map_or(env!("CARGO_PKG_RUST_VERSION"), String::as_str);
        json!({
            "status": "ok",
            "protocol_version": PROTOCOL_VERSION,
            "implementation": "mobula",
            "implementation_version": VERSION,
            "language_info": {
                "name": "rust",
                "version": rust,
                "mimetype": "text/rust",
                "file_extension": ".rs",
                "pygments_lexer": "rust",
                "codemirror_mode": "rust",
                "nbconvert_exporter": "script",
            },
            "banner": format!("Mobula {VERSION} (Rust {rust}): remote functions in a notebook. Type :help for help."),
            "debugger": true,
            "supported_features": ["debugger"],
            "help_links": [
                {"text": "The Rust Programming Language", "url": "https://doc.rust-lang.org/book/"},
                {"text": "The Rust Standard Library", "url": "https://doc.rust-lang.org/std/"},
                {"text": "Crates and their documentation", "url": "https://docs.rs/"},
            ],
        })
    }
}

/// The version that `rustc --version` names.
fn rustc_version() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.split_whitespace().nth(1)?.to_owned())
}
