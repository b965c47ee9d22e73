//! Texts that a client sends as a key or a handle.

use std::time::{Duration, Instant};

use diesel_session::{Error, Now as _, SessionHandle, SessionKey};
use proptest::prelude::*;

use super::{corpus, holds_for};
use crate::support::{Database, Postgres, Sqlite};

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[A-Za-z0-9+/]{40}",
        "[A-Za-z0-9+/ $=_-]{39,41}",
        "[A-Za-z0-9+/]{0,80}",
        ".{40}",
        "[0-9a-fA-F]{31,33}",
    ]
}

#[test]
fn any_text_as_a_key_is_not_found() {
    let database = Database::new();
    let postgres = Postgres::builder().test_transaction(&database.url).unwrap();
    let sqlite = Sqlite::builder().test_transaction(":memory:").unwrap();
    holds_for(500, corpus("keys"), texts(), |text| {
        match text.parse::<SessionKey>() {
            Err(error) => prop_assert!(matches!(error, Error::NotFound)),
            Ok(key) => {
                prop_assert!(matches!(postgres.get(&key), Err(Error::NotFound)));
                prop_assert!(matches!(sqlite.get(&key), Err(Error::NotFound)));
                prop_assert!(matches!(postgres.set(&key, "", None), Err(Error::NotFound)));
                prop_assert!(matches!(sqlite.set(&key, "", None), Err(Error::NotFound)));
                postgres.clear(&key).unwrap();
                sqlite.clear(&key).unwrap();
            }
        }
        Ok(())
    });
}

#[test]
fn only_40_characters_of_the_alphabet_are_a_key_and_only_32_hex_digits_are_a_handle() {
    holds_for(2_000, corpus("keys"), texts(), |text| {
        let in_alphabet = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        let is_key = text.chars().count() == 40 && text.chars().all(in_alphabet);
        match text.parse::<SessionKey>() {
            Ok(key) => prop_assert_eq!((is_key, key.as_str()), (true, text.as_str())),
            Err(error) => prop_assert!(!is_key && matches!(error, Error::NotFound), "{error:?}"),
        }
        let is_handle = text.chars().count() == 32 && text.chars().all(|c| c.is_ascii_hexdigit());
        match text.parse::<SessionHandle>() {
            Ok(handle) => prop_assert_eq!((is_handle, handle.to_string()), (true, text.to_lowercase())),
            Err(error) => prop_assert!(!is_handle && matches!(error, Error::NotFound), "{error:?}"),
        }
        Ok(())
    });
}

/// The length alone decides. Reading ten thousand keys of ten megabytes just once would take minutes.
#[test]
fn a_key_of_ten_megabytes_is_refused_without_being_read() {
    let long = "a".repeat(10 << 20);
    let started = Instant::now();
    for _ in 0..10_000 {
        assert!(matches!(std::hint::black_box(&long).parse::<SessionKey>(), Err(Error::NotFound)));
        assert!(matches!(std::hint::black_box(&long).parse::<SessionHandle>(), Err(Error::NotFound)));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // The type has no room for a longer text.
    assert_eq!(size_of::<SessionKey>(), SessionKey::LENGTH);
}
