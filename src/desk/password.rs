//! Operators' passwords and the tokens of those who have signed in. What is stored of either does not open anything.

use std::fmt::Write as _;
use std::num::NonZeroU32;

use aws_lc_rs::{pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// How the stored text begins, and with it how the rest is meant.
const METHOD: &str = "pbkdf2";
/// Rounds of HMAC-SHA-256, as OWASP asks for: a fraction of a second for us, years for who has stolen the texts.
pub const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("is not zero");
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// What to store of a password: `pbkdf2$rounds$salt$hash`, the last two in base64. Takes as long as it is meant to, so not
/// inside a transaction.
pub fn hash(password: &Secret) -> String {
    hash_in(ROUNDS, password)
}

/// The same in so many rounds: for tests, which have no password to protect.
pub fn hash_in(rounds: NonZeroU32, password: &Secret) -> String {
    let salt = random::<SALT_BYTES>();
    let mut hash = [0; HASH_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.reveal().as_bytes(), &mut hash);
    format!("{METHOD}${rounds}${}${}", STANDARD.encode(salt), STANDARD.encode(hash))
}

/// Whether it is the password of which `stored` was made. A text that [`hash`] did not make fits no password.
pub fn verify(password: &Secret, stored: &str) -> bool {
    let Some((rounds, salt, hash)) = read(stored) else { return false };
    // Compares in constant time.
    pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.reveal().as_bytes(), &hash).is_ok()
}

fn read(stored: &str) -> Option<(NonZeroU32, Vec<u8>, Vec<u8>)> {
    let mut parts = stored.strip_prefix(METHOD)?.strip_prefix('$')?.split('$');
    let rounds = parts.next()?.parse().ok()?;
    let mut bytes = |length: usize| STANDARD.decode(parts.next()?).ok().filter(|bytes| bytes.len() == length);
    let (salt, hash) = (bytes(SALT_BYTES)?, bytes(HASH_BYTES)?);
    parts.next().is_none().then_some((rounds, salt, hash))
}

/// A fresh token for somebody who has signed in: 256 random bits in hex.
pub fn token() -> Secret {
    Secret::new(hex(&random::<32>()))
}

/// What to store of a token and to look it up by: SHA-256 in hex. One round is enough, since nobody guesses 256 bits.
pub fn token_hash(token: &Secret) -> String {
    hex(&Sha256::digest(token.reveal()))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The system's generator fails only where there is none; without randomness nobody may sign in.
    rand::fill(&mut bytes).expect("the system has a random generator");
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: NonZeroU32 = NonZeroU32::new(10).unwrap();

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    /// Computed by Python's `hashlib.pbkdf2_hmac`, salt 0 to 15.
    #[test]
    fn a_stored_text_of_another_program_is_understood() {
        let stored = "pbkdf2$1000$AAECAwQFBgcICQoLDA0ODw==$wn8NihRdm+Adc36Im2pVeoWfxES6P01lJ72EMjMcOLY=";
        assert!(verify(&secret("пароль 1"), stored));
        assert!(!verify(&secret("пароль 2"), stored));
    }

    #[test]
    fn only_the_password_fits() {
        for password in ["", "a", "correct horse battery staple", "пароль 👋", &"long ".repeat(1000)] {
            let stored = hash_in(FEW, &secret(password));
            assert!(stored.starts_with("pbkdf2$10$") && stored.is_ascii(), "{stored}");
            assert!(verify(&secret(password), &stored), "{password}");
            assert!(!verify(&secret(&format!("{password} ")), &stored), "{password}");
            assert_ne!(hash_in(FEW, &secret(password)), stored, "each has its own salt");
        }
    }

    /// Also the real number of rounds; one hash, for its price.
    #[test]
    fn passwords_are_expensive() {
        let stored = hash(&secret("x"));
        assert!(stored.starts_with("pbkdf2$600000$"), "{stored}");
    }

    #[test]
    fn what_we_did_not_store_fits_nothing() {
        let stored = hash_in(FEW, &secret("x"));
        let parts: Vec<_> = stored.split('$').collect();
        let with = |place: usize, part: &str| {
            let mut parts = parts.clone();
            parts[place] = part;
            parts.join("$")
        };
        for broken in [
            String::new(),
            "x".to_owned(),
            with(0, "pbkdf3"),
            with(1, "0"),
            with(1, "-10"),
            with(1, "99999999999"),
            with(2, ""),
            with(2, "?"),
            with(3, ""),
            with(3, &STANDARD.encode([0; 31])),
            with(3, &STANDARD.encode([0; 32])),
            parts[..3].join("$"),
            format!("{stored}$"),
            format!(" {stored}"),
        ] {
            assert!(!verify(&secret("x"), &broken) && !verify(&secret(""), &broken), "{broken}");
        }
        assert!(verify(&secret("x"), &stored));
    }

    #[test]
    fn tokens() {
        let (one, two) = (token(), token());
        assert!(one.reveal().len() == 64 && one.reveal().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(!one.matches(two.reveal()));
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(token_hash(&secret("abc")), abc);
    }
}
