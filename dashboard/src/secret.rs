//! Random text that lets a browser in.

use subtle::ConstantTimeEq;

/// A secret of 128 bits, as 32 digits.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> std::io::Result<Secret> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Secret(hex::encode(bytes)))
    }

    /// Whether `text` is this secret. How long that takes does not depend on how much of it is right.
    pub fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }

    /// The digits.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_it() {
        let (secret, other) = (Secret::new().unwrap(), Secret::new().unwrap());
        assert!(secret.is(secret.digits()) && secret.digits().len() == 32);
        assert!(!secret.is(other.digits()) && !secret.is("") && !secret.is(&secret.digits()[..31]));
        assert!(!format!("{secret:?}").contains(secret.digits()));
    }
}
