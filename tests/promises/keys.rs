//! The text that a client sends names one session or none.

use diesel_session::{Error, KeyStorage, Now, SessionKey};

use crate::support::{Database, File, Sql};

const KEY: &str = "0123456789abcdefABCDEF+/0123456789abcdef";

#[test]
fn a_malformed_key_is_not_found_before_any_database_is_asked() {
    let long = "a".repeat(1 << 20);
    let malformed = [
        "",
        &KEY[1..],
        &format!("{KEY}0"),
        &format!("{} ", &KEY[1..]),
        &format!(" {}", &KEY[1..]),
        &format!("{}\0", &KEY[1..]),
        &format!("{}-", &KEY[1..]),
        &format!("{}_", &KEY[1..]),
        &format!("{}=", &KEY[1..]),
        &format!("{}é", &KEY[2..]),
        &format!("${}", &KEY[1..]),
        &"é".repeat(20),
        &long,
    ];
    for text in malformed {
        assert!(matches!(text.parse::<SessionKey>(), Err(Error::NotFound)), "{}", text.len());
        assert!(matches!(SessionKey::try_from(text), Err(Error::NotFound)));
    }
    assert_eq!(KEY.parse::<SessionKey>().unwrap().as_str(), KEY);
}

#[test]
fn keys_are_case_sensitive() {
    let upper: SessionKey = KEY.to_uppercase().parse().unwrap();
    assert_ne!(upper, KEY.parse().unwrap());
    let database = Database::new();
    let store = database.store();
    let key = store.generate(Some("x"), None).unwrap();
    let upper: SessionKey = key.as_str().to_uppercase().parse().unwrap();
    assert!(matches!(store.get(&upper), Err(Error::NotFound)));
}

/// In the original (fault 9), `"KEY   "` found `KEY`, because the column ignores trailing blanks. Here keys with blanks
/// never reach the database, and a key that fills the column finds no shorter one.
#[test]
fn a_key_with_trailing_blanks_finds_nothing() {
    let database = Database::new();
    database.store();
    let plain = crate::support::Postgres::builder().key_storage(KeyStorage::Plain);
    let plain = plain.connect(&database.url).unwrap();
    let short = "k".repeat(39);
    database.conn().run(&format!(
        "INSERT INTO session (session_key, expire_date, session_data) VALUES ('{short}', now() + '1 day', 'x')"
    ));
    for text in [short.clone(), format!("{short} "), format!("{short}  ")] {
        assert!(matches!(text.parse::<SessionKey>(), Err(Error::NotFound)));
    }
    let longer: SessionKey = format!("{short}k").parse().unwrap();
    assert!(matches!(plain.get(&longer), Err(Error::NotFound)));
    assert!(matches!(plain.set(&longer, "", None), Err(Error::NotFound)));
}

#[test]
fn the_content_of_the_table_opens_no_session() {
    fn hashed(stored: &str, key: &SessionKey) {
        assert_eq!(stored.len(), SessionKey::LENGTH);
        assert!(stored.starts_with('$'));
        assert!(!stored.contains(key.as_str()));
        assert!(matches!(stored.parse::<SessionKey>(), Err(Error::NotFound)));
        // Neither does a key that a thief could make of it.
        assert!(matches!(stored[1..].parse::<SessionKey>(), Err(Error::NotFound)));
    }
    let database = Database::new();
    let key = database.store().generate(None, None).unwrap();
    hashed(&database.conn().text("SELECT session_key FROM session"), &key);

    let file = File::new();
    let key = file.store().generate(None, None).unwrap();
    hashed(&file.conn().text("SELECT session_key FROM session"), &key);
}

#[test]
fn a_store_finds_only_keys_of_its_own_key_storage() {
    let file = File::new();
    let hashed = file.store();
    let plain = crate::support::Sqlite::builder().key_storage(KeyStorage::Plain).connect(&file.path).unwrap();
    let key = plain.generate(Some("x"), None).unwrap();
    assert_eq!(file.conn().text("SELECT session_key FROM session"), key.as_str());
    assert!(matches!(hashed.get(&key), Err(Error::NotFound)));
    let key = hashed.generate(Some("x"), None).unwrap();
    assert!(matches!(plain.get(&key), Err(Error::NotFound)));
}

#[test]
fn equal_keys_are_equal_and_hash_alike() {
    use std::collections::HashSet;
    let key: SessionKey = KEY.parse().unwrap();
    let mut keys = HashSet::from([key]);
    assert!(!keys.insert(KEY.parse().unwrap()));
    assert!(keys.insert(KEY.to_lowercase().parse().unwrap()));
}
