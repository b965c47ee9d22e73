//! The text in `session_data`, whichever program wrote it, as the stores for web frameworks read it.

use std::collections::HashMap;
use std::error::Error as StdError;

use actix_session::storage::{LoadError, SessionStore as _};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Binary, Text};
use diesel_session::{
    ActixSessionStore, AsyncDieselSession, Blocking, Error, Now as _, SessionKey, Sessions,
    TowerSessionStore, WebStore, json,
};
use proptest::prelude::*;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error as StoreError, SessionStore as _};

use super::{corpus, holds_for};
use crate::support::{Database, File, Sql as _};
use crate::waiting::runtime;

/// Nested JSON, texts that look like it, and texts of any kind.
fn payload() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let json = leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::hash_map(".{0,8}", inner, 0..5).prop_map(Value::from_iter),
        ]
    });
    let texts = proptest::collection::hash_map(".{0,8}", any::<String>(), 0..5)
        .prop_map(|entries| serde_json::to_string(&entries).unwrap());
    let cut = (json.clone(), any::<usize>()).prop_map(|(json, at)| {
        let text = json.to_string();
        let characters = text.chars().count() + 1;
        text.chars().take(at % characters).collect()
    });
    prop_oneof![json.prop_map(|json| json.to_string()), texts, cut, any::<String>()]
        .prop_map(|text| text.replace('\0', ""))
}

/// One session that both frameworks read.
struct Visit<S> {
    runtime: Runtime,
    tower: TowerSessionStore<S>,
    actix: ActixSessionStore<S>,
    id: Id,
}

const SHOWN: [&str; 2] =
    ["a session holds no data of tower-sessions", "a session holds no state of actix-session"];

impl<S: WebStore> Visit<S> {
    fn begin(runtime: Runtime, store: S) -> Self {
        let tower = TowerSessionStore::new(store.clone());
        let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
        let mut record = Record { id: Id::default(), data: HashMap::new(), expiry_date };
        runtime.block_on(tower.create(&mut record)).unwrap();
        Self { actix: ActixSessionStore::new(store), tower, id: record.id, runtime }
    }

    /// Returns the data, or the text of an error about the data. `None` stands for an error of another kind.
    fn by_tower(&self) -> Result<HashMap<String, Value>, Option<String>> {
        let loaded = self.runtime.block_on(self.tower.load(&self.id));
        match loaded {
            Ok(record) => Ok(record.unwrap().data),
            Err(StoreError::Decode(shown)) => Err(Some(shown)),
            Err(_other) => Err(None),
        }
    }

    fn by_actix(&self, key: &SessionKey) -> Result<HashMap<String, String>, Option<String>> {
        let cookie = key.as_str().to_owned().try_into().unwrap();
        match self.runtime.block_on(self.actix.load(&cookie)) {
            Ok(state) => Ok(state.unwrap()),
            Err(LoadError::Deserialization(error)) => {
                // Without the backtrace, if there is one.
                let causes: Vec<String> = error.chain().map(|cause| format!("{cause:?}")).collect();
                Err(Some(format!("{error}|{}", causes.concat())))
            }
            Err(LoadError::Other(_)) => Err(None),
        }
    }

    /// Checks that both stores read `payload`, the text in every row, as serde reads it. If they refuse it, they show
    /// nothing of it.
    fn reads(&self, payload: &str, key: &SessionKey) -> Result<(), TestCaseError> {
        let ours = ["diesel-session.base", "diesel-session.created", "diesel-session.renewal"];
        match (serde_json::from_str::<HashMap<String, Value>>(payload), self.by_tower()) {
            (Ok(mut expected), Ok(mut read)) => {
                for field in ours {
                    expected.remove(field);
                    prop_assert!(read.remove(field).is_some(), "{field}");
                }
                prop_assert_eq!(read, expected);
            }
            (Err(_), Err(shown)) => prop_assert_eq!(shown.as_deref(), Some(SHOWN[0])),
            (expected, read) => prop_assert!(false, "{expected:?} {read:?}"),
        }
        match (serde_json::from_str::<HashMap<String, String>>(payload), self.by_actix(key)) {
            (Ok(mut expected), Ok(mut read)) => {
                for field in ours.into_iter().chain(["diesel-session.key"]) {
                    expected.remove(field);
                    prop_assert!(read.remove(field).is_some(), "{field}");
                }
                prop_assert_eq!(read, expected);
            }
            (Err(_), Err(shown)) => {
                let expected = format!("{}|{:?}", SHOWN[1], SHOWN[1]);
                prop_assert_eq!(shown, Some(expected));
            }
            (expected, read) => prop_assert!(false, "{expected:?} {read:?}"),
        }
        Ok(())
    }
}

/// Checks that `json::decode` reads the value. Its error may show only a line and a column.
fn typed(store: &impl Sessions, key: &SessionKey, payload: &str) -> Result<(), TestCaseError> {
    let expected = serde_json::from_str::<HashMap<String, u32>>(payload);
    let (value, _left) = store.get(key).unwrap();
    match (expected, json::decode::<HashMap<String, u32>>(&value)) {
        (Ok(expected), Ok(read)) => prop_assert_eq!(read, expected),
        (Err(_), Err(error @ Error::OtherShape { .. })) => {
            let shown = format!("{error} {error:?}");
            prop_assert!(has_no_words_but(NO_JSON, &shown), "{shown}");
            prop_assert!(error.source().is_none());
        }
        (expected, read) => prop_assert!(false, "{expected:?} {:?}", read.map(|_| ())),
    }
    Ok(())
}

const NO_JSON: &str = "the session s value is not of the expected type at line column read it with the type that was written OtherShape";

/// Returns whether `text` has only known words and numbers.
fn has_no_words_but(known: &str, text: &str) -> bool {
    let known: Vec<&str> = known.split(' ').collect();
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.all(|word| word.parse::<usize>().is_ok() || known.contains(&word))
}

#[test]
fn any_text_in_a_row_is_read_or_refused_and_never_shown_on_sqlite() {
    let file = File::new();
    let store = file.store();
    let visit = Visit::begin(runtime(), Blocking::from(store.clone()));
    let key = store.generate(None, None).unwrap();
    let mut conn = file.conn();
    let write = sql_query("UPDATE session SET session_data = ?");
    let conn = std::cell::RefCell::new(&mut conn);
    holds_for(300, corpus("payloads"), payload(), |payload| {
        write.clone().bind::<Text, _>(&payload).execute(*conn.borrow_mut()).unwrap();
        visit.reads(&payload, &key)?;
        typed(&store, &key, &payload)
    });
}

#[test]
fn any_text_in_a_row_is_read_or_refused_and_never_shown_on_postgres() {
    let database = Database::new();
    let store = database.store();
    let runtime = runtime();
    let asynchronous = runtime.block_on(AsyncDieselSession::connect(&database.url)).unwrap();
    let visit = Visit::begin(runtime, asynchronous);
    let key = store.generate(None, None).unwrap();
    let mut conn = database.conn();
    let write = sql_query("UPDATE session SET session_data = $1");
    let conn = std::cell::RefCell::new(&mut conn);
    holds_for(300, corpus("payloads"), payload(), |payload| {
        let payload = payload.replace('\0', "");
        write.clone().bind::<Text, _>(&payload).execute(*conn.borrow_mut()).unwrap();
        visit.reads(&payload, &key)?;
        typed(&store, &key, &payload)
    });
}

/// A text column of SQLite keeps whatever it is given, also a blob or text that is not UTF-8.
#[test]
fn any_bytes_in_a_row_are_read_or_refused_and_never_shown_on_sqlite() {
    let file = File::new();
    let store = file.store();
    let visit = Visit::begin(runtime(), Blocking::from(store.clone()));
    let key = store.generate(None, None).unwrap();
    let mut conn = file.conn();
    let conn = std::cell::RefCell::new(&mut conn);
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        (payload(), any::<usize>(), any::<u8>()).prop_map(|(payload, at, byte)| {
            let mut bytes = payload.into_bytes();
            bytes.insert(at % (bytes.len() + 1), byte);
            bytes
        }),
    ];
    let known =
        corpus("payloads").into_iter().map(|text| [&b"\xff"[..], text.as_bytes(), b"\xc3\x28"].concat());
    holds_for(300, known, bytes, |bytes| {
        for column in ["?", "CAST(? AS TEXT)"] {
            let write = sql_query(format!("UPDATE session SET session_data = {column}"));
            write.bind::<Binary, _>(&bytes).execute(*conn.borrow_mut()).unwrap();
            if let Ok(text) = std::str::from_utf8(&bytes) {
                visit.reads(text, &key)?;
            } else {
                prop_assert_eq!(visit.by_tower(), Err(None));
                prop_assert_eq!(visit.by_actix(&key), Err(None));
                let shown = crate::support::shown(&store.get(&key).unwrap_err());
                prop_assert!(has_no_words_but(NO_TEXT, &shown), "{shown}");
            }
        }
        Ok(())
    });
}

/// The words of Diesel's error about text that is not UTF-8.
const NO_TEXT: &str = "the database failed Database DeserializationError DeserializeFieldError field_name Some \
    session_data error Utf8Error valid_up_to error_len None Error deserializing field invalid utf sequence of bytes \
    from index incomplete byte";

/// In PostgreSQL's encoding `SQL_ASCII`, a database holds any bytes except NUL. The server does not send bytes that are
/// not UTF-8. Its message shows only these, in hexadecimal.
#[test]
fn bytes_that_are_not_utf_8_cause_a_typed_error_on_postgres() {
    let database = Database::in_encoding("SQL_ASCII");
    let store = database.store();
    let runtime = runtime();
    let asynchronous = runtime.block_on(AsyncDieselSession::connect(&database.url)).unwrap();
    let key = store.generate(None, None).unwrap();
    let by_tokio = Visit::begin(runtime, asynchronous);
    let by_libpq = Visit::begin(self::runtime(), Blocking::from(store.clone()));
    database
        .conn()
        .run("SET client_encoding = SQL_ASCII; UPDATE session SET session_data = E'{\"secret\":\"\\xff\"}'");
    let error = store.get(&key).unwrap_err();
    let shown = crate::support::shown(&error);
    assert!(matches!(error, Error::Database(_)) && !shown.contains("secret"), "{shown}");
    assert_eq!(by_libpq.by_tower(), Err(None));
    assert_eq!(by_libpq.by_actix(&key), Err(None));
    assert_eq!(by_tokio.by_tower(), Err(None));
    assert_eq!(by_tokio.by_actix(&key), Err(None));
}
