//! Keys, values and passwords are not in `Debug`, `Display` and error chains.

use std::fmt::Write as _;

use diesel_session::{
    ConnectOptions, Error, Expiry, KeyStorage, MemorySession, NewSession, Now, OwnerLimit, SessionKey,
    Sessions, Sweeper, TimeDelta,
};

use crate::support::{Database, Postgres, Sql, shown};
use crate::{OWNER, PASSWORD, VALUE};

#[test]
fn nothing_that_can_be_printed_shows_a_secret() {
    let database = Database::new();
    let builder = Postgres::builder().key_storage(KeyStorage::Plain).owner_limit(OwnerLimit::Refuse(1));
    let store = database.store_with(builder);
    let key = store.generate(Some(VALUE), None).unwrap();
    let options = database.url.parse::<ConnectOptions>().unwrap().password(PASSWORD);
    let mut text = format!("{key:?} {store:?} {:?} {options:?}", Postgres::builder());
    let memory = MemorySession::new();
    memory.generate(Some(VALUE), None).unwrap();
    let labelled = NewSession::new().value(VALUE).period(TimeDelta::hours(1));
    let found = memory.find(&memory.generate_with(&labelled).unwrap()).unwrap();
    write!(text, "{memory:?} {labelled:?} {found:?}").unwrap();
    let mut conn = store.pool().get().unwrap();
    write!(text, "{:?}", store.on(&mut conn)).unwrap();

    store.bind(&key, OWNER).unwrap();
    write!(text, "{:?} {:?}", store.sessions_of(OWNER, 100).unwrap(), Sweeper::builder(store.clone()))
        .unwrap();

    // Errors of statements that contain the secrets.
    let unknown: SessionKey = "k".repeat(40).parse().unwrap();
    let errors: Vec<Error> = vec![
        store.get(&unknown).unwrap_err(),
        store.set(&unknown, VALUE, None).unwrap_err(),
        store.set(&key, &format!("{VALUE}\0"), None).unwrap_err(),
        store.set(&key, &VALUE.repeat(1 << 20), None).unwrap_err(),
        format!("{}!", key.as_str()).parse::<SessionKey>().unwrap_err(),
        store.rotate(&unknown).unwrap_err(),
        store.touch(&unknown, Expiry::Default).unwrap_err(),
        store.update(&key, Expiry::Default, |_| Ok::<_, Error>(format!("{VALUE}\0"))).unwrap_err(),
        store.replace(&key, Some(&format!("not {VALUE}")), VALUE, Expiry::Default).unwrap_err(),
        store.generate_for(OWNER, Some(VALUE), None).unwrap_err(),
        store.bind(&key, &format!("{OWNER}\0")).unwrap_err(),
        store.bind(&key, &OWNER.repeat(20)).unwrap_err(),
    ];
    for error in &errors {
        text += &shown(error);
    }
    // PostgreSQL adds the failing row as a detail, with key and value.
    conn.run(&format!("ALTER TABLE session ADD CHECK (session_data <> '{VALUE}') NOT VALID"));
    text += &shown(&store.set(&key, VALUE, None).unwrap_err());
    text += &shown(&store.on(&mut conn).set(&key, VALUE, None).unwrap_err());
    text += &shown(&store.update(&key, Expiry::Default, |_| Ok::<_, Error>(VALUE.to_owned())).unwrap_err());
    conn.run(&format!("ALTER TABLE session ADD CHECK (session_key = '{}') NOT VALID", key.as_str()));
    text += &shown(&store.rotate(&key).unwrap_err());
    conn.run("DROP TABLE session");
    text += &shown(&store.set(&key, VALUE, None).unwrap_err());

    for secret in [PASSWORD, VALUE, OWNER, key.as_str()] {
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
            Postgres::builder().connection_timeout(TimeDelta::milliseconds(300)).connect(&url).unwrap_err();
        let text = shown(&error);
        assert!(!text.contains(PASSWORD) && !text.contains("horse"), "{text}");
    }
}
