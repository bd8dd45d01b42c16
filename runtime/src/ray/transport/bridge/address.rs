//! Addresses of bridges: which Python, where, and what `ray.init` is told.

use crate::ray::transport::value::Value;
use std::fmt;

/// The Python that is run where none is named.
const PYTHON: &str = "python3";

/// Where a bridge runs.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ray::transport) struct BridgeAddress {
    /// Another machine, as `ssh` names it.
    host: Option<String>,
    python: String,
    options: Vec<(String, Value)>,
}

impl BridgeAddress {
    /// What such addresses begin with.
    pub(in crate::ray::transport) const SCHEME: &str = "ray+bridge:";

    /// Reads what follows the scheme: nothing, a Python, or `ssh` and a host and perhaps a Python; then perhaps options behind a `?`.
    pub(in crate::ray::transport) fn parse(rest: &str) -> Result<BridgeAddress, &'static str> {
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let mut words = place.split_whitespace();
        let (host, python) = match place.strip_prefix("ssh ") {
            Some(_) => {
                let host = words.nth(1).ok_or("`ssh` needs a host; `ray+bridge:ssh head` is one")?;
                if host.starts_with('-') {
                    return Err("options of `ssh` belong into its configuration file");
                }
                let python = words.next();
                if words.next().is_some() {
                    return Err("behind the host stands at most the Python to run there");
                }
                (Some(host.to_owned()), python.unwrap_or(PYTHON).to_owned())
            }
            None if place.trim() == "ssh" => return Err("`ssh` needs a host; `ray+bridge:ssh head` is one"),
            // A path may have spaces.
            None => (None, if place.is_empty() { PYTHON } else { place }.to_owned()),
        };
        let option = |pair: &str| -> Result<_, &'static str> {
            let (name, value) = pair.split_once('=').ok_or("its options are no `name=value`, joined by `&`")?;
            Ok((name.to_owned(), option_value(value)))
        };
        let options = options.split('&').filter(|pair| !pair.is_empty()).map(option).collect::<Result<_, _>>()?;
        Ok(BridgeAddress { host, python, options })
    }

    /// What `ray.init` is given.
    pub(super) fn options(&self) -> &[(String, Value)] {
        &self.options
    }

    /// The program and its arguments that run Python with this text of code, which has no single quotes.
    pub(super) fn command(&self, code: &str) -> Vec<String> {
        match &self.host {
            None => vec![self.python.clone(), "-c".into(), code.into()],
            Some(host) => {
                // Nobody can be asked for a password here.
                let ssh = ["ssh", "-o", "BatchMode=yes", host].map(str::to_owned);
                let there = format!("exec {} -c '{code}'", self.python);
                ssh.into_iter().chain([there]).collect()
            }
        }
    }
}

/// A number or a truth value if it reads as one.
fn option_value(text: &str) -> Value {
    match text {
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        "none" | "None" => Value::None,
        text => match (text.parse(), text.parse()) {
            (Ok(number), _) => Value::Int(number),
            (_, Ok(number)) => Value::Float(number),
            _ => Value::text(text),
        },
    }
}

impl fmt::Display for BridgeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "ssh {host} {}", self.python),
            None => f.write_str(&self.python),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_python_or_a_host_and_options() {
        let shown = |rest: &str| BridgeAddress::parse(rest).map(|address| address.to_string());
        assert_eq!(shown(""), Ok("python3".into()));
        assert_eq!(shown("/opt/my ray/bin/python?address=auto"), Ok("/opt/my ray/bin/python".into()));
        assert_eq!(shown("ssh head"), Ok("ssh head python3".into()));
        assert_eq!(shown("ssh user@head /opt/ray/bin/python"), Ok("ssh user@head /opt/ray/bin/python".into()));
        for bad in ["ssh", "ssh ", "ssh -oProxyCommand=x", "ssh a b c", "?address"] {
            assert!(BridgeAddress::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_are_numbers_where_they_read_as_such() {
        let address = BridgeAddress::parse("?address=10.0.0.1:6379&num_cpus=2&include_dashboard=false").unwrap();
        let expected = [
            ("address".to_owned(), Value::text("10.0.0.1:6379")),
            ("num_cpus".to_owned(), Value::Int(2)),
            ("include_dashboard".to_owned(), Value::Bool(false)),
        ];
        assert_eq!(address.options(), expected);
    }

    #[test]
    fn another_machine_is_reached_by_ssh_without_a_question() {
        let address = BridgeAddress::parse("ssh head").unwrap();
        assert_eq!(address.command("1"), ["ssh", "-o", "BatchMode=yes", "head", "exec python3 -c '1'"]);
    }
}
