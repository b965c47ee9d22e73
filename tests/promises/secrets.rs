//! Keys, values and passwords stay out of `Debug`, `Display` and error chains.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use diesel_session::{ConnectOptions, Error, Json, KeyStorage, MemorySession, Now, SessionKey};

use crate::support::{Database, Postgres, Sql};

const PASSWORD: &str = "correct-horse";
const VALUE: &str = "battery-staple";

/// Everything that an error shows of itself.
fn shown(error: &dyn StdError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    text
}

#[test]
fn nothing_that_can_be_printed_shows_a_secret() {
    let database = Database::new();
    let store = Postgres::builder().key_storage(KeyStorage::Plain).connect(&database.url).unwrap();
    store.migrate().unwrap();
    let key = store.generate(Some(VALUE.to_owned()), None).unwrap();
    let options = database.url.parse::<ConnectOptions>().unwrap().password(PASSWORD);
    let mut text = format!("{key:?} {store:?} {:?} {options:?}", Postgres::builder());
    let memory = MemorySession::new();
    memory.generate(Some(VALUE.to_owned()), None).unwrap();
    write!(text, "{memory:?} {:?}", Json::<_, String>::new(memory.clone())).unwrap();
    let mut conn = store.pool().get().unwrap();
    write!(text, "{:?}", store.on(&mut conn)).unwrap();

    // Errors, with the secrets in the statements that failed.
    let unknown: SessionKey = "k".repeat(40).parse().unwrap();
    let errors: Vec<Error> = vec![
        store.get(&unknown).unwrap_err(),
        store.set(&unknown, VALUE.to_owned(), None).unwrap_err(),
        store.set(&key, format!("{VALUE}\0"), None).unwrap_err(),
        store.set(&key, VALUE.repeat(1 << 20), None).unwrap_err(),
        format!("{}!", key.as_str()).parse::<SessionKey>().unwrap_err(),
    ];
    for error in &errors {
        text += &shown(error);
    }
    // PostgreSQL adds the failing row, key and value, as a detail.
    conn.run(&format!("ALTER TABLE session ADD CHECK (session_data <> '{VALUE}') NOT VALID"));
    text += &shown(&store.set(&key, VALUE.to_owned(), None).unwrap_err());
    text += &shown(&store.on(&mut conn).set(&key, VALUE, None).unwrap_err());
    conn.run("DROP TABLE session");
    text += &shown(&store.set(&key, VALUE.to_owned(), None).unwrap_err());

    for secret in [PASSWORD, VALUE, key.as_str()] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("SessionKey(..)") && text.contains("check constraint"), "{text}");
}

#[test]
fn a_failed_connection_shows_no_password() {
    for url in [
        format!("postgres://app:{PASSWORD}@127.0.0.1:1/shop"),
        format!("postgres://app:{PASSWORD}/more@127.0.0.1:1/shop"),
        format!("postgres://app:{PASSWORD}@and@127.0.0.1:x/shop"),
        format!("host=127.0.0.1 port=1 password={PASSWORD}"),
        format!("host=127.0.0.1 port=1 password=very {PASSWORD}"),
        format!("host=127.0.0.1 port=1 password=very {PASSWORD}=1"),
        format!("host=127.0.0.1 port=1 password='{PASSWORD}"),
    ] {
        let error =
            Postgres::builder().connection_timeout(Duration::from_millis(300)).connect(&url).unwrap_err();
        let text = shown(&error);
        assert!(!text.contains(PASSWORD) && !text.contains("horse"), "{text}");
    }
}
