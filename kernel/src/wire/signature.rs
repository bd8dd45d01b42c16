//! Message signatures: HMAC-SHA256 with the key of the connection file.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The signing key of a connection. With an empty key, messages are neither signed nor verified, as Jupyter defines it.
pub(crate) struct Key(Option<Hmac<Sha256>>);

impl Key {
    /// The key as it stands in the connection file.
    pub(crate) fn new(key: &str) -> Key {
        // HMAC takes keys of any length.
        Key((!key.is_empty()).then(|| Hmac::new_from_slice(key.as_bytes()).expect("any length will do")))
    }

    /// The signature of a message, in lower-case hex.
    pub(crate) fn sign<T: AsRef<[u8]>>(&self, parts: &[T]) -> String {
        let Some(mac) = &self.0 else { return String::new() };
        hex::encode(update(mac, parts).finalize().into_bytes())
    }

    /// Whether `signature` is right for these parts. Takes the same time whichever byte is wrong.
    pub(crate) fn verify<T: AsRef<[u8]>>(&self, parts: &[T], signature: &[u8]) -> bool {
        let Some(mac) = &self.0 else { return true };
        hex::decode(signature).is_ok_and(|signature| update(mac, parts).verify_slice(&signature).is_ok())
    }
}

fn update<T: AsRef<[u8]>>(mac: &Hmac<Sha256>, parts: &[T]) -> Hmac<Sha256> {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(part.as_ref());
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_plain_hmac_sha256_of_the_joined_parts() {
        // RFC 4231, test case 2.
        let signature = Key::new("Jefe").sign(&["what do ya want ", "for nothing?"]);
        assert_eq!(signature, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn only_the_right_signature_of_the_right_parts_is_believed() {
        let key = Key::new("secret");
        let good = key.sign(&["a", "b"]);
        assert!(key.verify(&["a", "b"], good.as_bytes()));
        assert!(!key.verify(&["a", "c"], good.as_bytes()));
        assert!(!Key::new("other").verify(&["a", "b"], good.as_bytes()));
        for bad in ["", "zz", &good[2..], &format!("{good}00")] {
            assert!(!key.verify(&["a", "b"], bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn without_a_key_nothing_is_signed_and_everything_believed() {
        assert_eq!(Key::new("").sign(&["a"]), "");
        assert!(Key::new("").verify(&["a"], b"anything"));
    }
}
