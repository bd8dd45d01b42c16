//! The connection file: addresses to listen on, and the signing key.

use jupyter_protocol::ConnectionInfo;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Why a connection file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionFileError {
    /// The file does not exist, or cannot be read.
    #[error("cannot read the connection file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not a connection file.
    #[error("{} is not a Jupyter connection file", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The error of the JSON parser.
        source: serde_json::Error,
    },
    /// The file asks for a signature scheme that this kernel does not support.
    #[error("{} asks for the signature scheme `{scheme}`; only `hmac-sha256` is supported", path.display())]
    Scheme {
        /// The file.
        path: PathBuf,
        /// The scheme that it asks for.
        scheme: String,
    },
}

/// Reads a connection file. Fields for which Jupyter has a default may be missing.
pub(crate) fn read(path: &Path) -> Result<ConnectionInfo, ConnectionFileError> {
    let path_buf = || path.to_path_buf();
    let text = std::fs::read(path).map_err(|source| ConnectionFileError::Read { path: path_buf(), source })?;
    let info = parse(&text).map_err(|source| ConnectionFileError::Format { path: path_buf(), source })?;
    if !info.key.is_empty() && info.signature_scheme != "hmac-sha256" {
        return Err(ConnectionFileError::Scheme { path: path_buf(), scheme: info.signature_scheme });
    }
    Ok(info)
}

fn parse(text: &[u8]) -> serde_json::Result<ConnectionInfo> {
    let mut fields: Map<String, Value> = serde_json::from_slice(text)?;
    let defaults = json!({"transport": "tcp", "ip": "127.0.0.1", "key": "", "signature_scheme": "hmac-sha256"});
    if let Value::Object(defaults) = defaults {
        for (field, default) in defaults {
            fields.entry(field).or_insert(default);
        }
    }
    serde_json::from_value(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: &str = r#""shell_port":1,"iopub_port":2,"stdin_port":3,"control_port":4,"hb_port":5"#;

    fn read_text(text: &str) -> Result<ConnectionInfo, ConnectionFileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn only_the_ports_have_no_default() {
        let info = read_text(&format!("{{{PORTS}}}")).unwrap();
        assert_eq!(info.shell_url(), "tcp://127.0.0.1:1");
        assert!(matches!(read_text("{}"), Err(ConnectionFileError::Format { .. })));
        assert!(matches!(read(Path::new("/nowhere/at/all")), Err(ConnectionFileError::Read { .. })));
    }

    #[test]
    fn a_file_with_any_field_gone_or_of_another_type_is_read_or_refused_by_its_name() {
        let whole = json!({
            "transport": "tcp", "ip": "127.0.0.1", "shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4,
            "hb_port": 5, "key": "k", "signature_scheme": "hmac-sha256", "kernel_name": "mobula",
        });
        for field in whole.as_object().unwrap().keys() {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(field);
            assert_eq!(read_text(&without.to_string()).is_err(), field.ends_with("_port"), "{field}");
            for value in [json!(null), json!(true), json!(-1), json!(1e9), json!("x"), json!(["a"]), json!({"a": 1})] {
                let mut changed = whole.clone();
                changed[field] = value.clone();
                let read = read_text(&changed.to_string());
                let is_text = matches!(&**field, "ip" | "key" | "kernel_name") && value.is_string();
                assert_eq!(read.is_ok(), is_text || (field == "kernel_name" && value.is_null()), "{field}: {value}");
            }
        }
        for text in ["", "{", "[]", "null", "\u{0}", &"[".repeat(1_000_000), &format!("{{{PORTS}")] {
            let error = read_text(text).unwrap_err();
            assert!(error.to_string().ends_with("is not a Jupyter connection file"), "{error}");
        }
    }

    #[test]
    fn an_unknown_signature_scheme_is_refused_by_name() {
        let error = read_text(&format!(r#"{{{PORTS},"key":"k","signature_scheme":"hmac-md5"}}"#)).unwrap_err();
        assert!(error.to_string().contains("hmac-md5"), "{error}");
    }
}
