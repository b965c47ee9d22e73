//! Typed values as JSON.

use std::collections::HashMap;

use diesel_session::{
    AsyncNow as _, AsyncSessions as _, Blocking, Error, Expiry, MemorySession, Now, Sessions, json,
};
use serde::{Deserialize, Serialize};

use crate::support::File;
use crate::waiting::RUNTIME;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<u32>,
}

fn put<E: From<Error>>(item: u32) -> impl FnMut(Option<String>) -> Result<String, E> {
    json::change(move |cart: Option<Cart>| {
        let mut cart = cart.unwrap_or_default();
        cart.items.push(item);
        Ok(cart)
    })
}

#[test]
fn a_typed_value_comes_back_as_it_went_in() {
    let sessions = File::new().store();
    let cart = Cart { items: vec![1] };
    let key = sessions.generate(Some(&json::encode(&cart).unwrap()), None).unwrap();
    assert_eq!(json::decode::<Cart>(&sessions.get(&key).unwrap().0).unwrap(), cart);
    sessions.update::<Error>(&key, Expiry::Keep, put(2)).unwrap();
    let value = sessions.find(&key).unwrap().value.unwrap();
    assert_eq!(json::decode::<Cart>(&value).unwrap().items, [1, 2]);
}

#[test]
fn typed_values_work_on_an_asynchronous_store() {
    let sessions = Blocking::new(MemorySession::new(), 1);
    RUNTIME.block_on(async {
        let key = sessions.generate(None, None).await.unwrap();
        sessions.update::<Error>(&key, Expiry::Keep, put(1)).await.unwrap();
        sessions.update::<Error>(&key, Expiry::Keep, put(2)).await.unwrap();
        let (text, _left) = sessions.get(&key).await.unwrap();
        assert_eq!(json::decode::<Cart>(&text).unwrap().items, [1, 2]);
    });
}

#[test]
fn a_value_of_another_type_is_an_error_that_does_not_show_it() {
    let error = json::decode::<Cart>(r#"{"items":"hunter2"}"#).unwrap_err();
    assert!(matches!(error, Error::OtherShape { line: 1, .. }));
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

#[test]
fn a_value_that_json_cannot_hold_is_refused() {
    let map = HashMap::from([(vec![1], 1)]);
    assert!(matches!(json::encode(&map), Err(Error::NotJson)));
}

#[test]
fn an_update_that_cannot_read_or_write_its_json_changes_nothing() {
    let sessions = MemorySession::new();
    let key = sessions.generate(Some("[7]"), None).unwrap();
    let other = json::change(|_: Option<Cart>| -> Result<Cart, Error> { panic!("asked for another type") });
    assert!(matches!(sessions.update(&key, Expiry::Keep, other), Err(Error::OtherShape { .. })));
    let no_json = json::change(|_: Option<Vec<u32>>| -> Result<Vec<u32>, Error> { Ok(vec![8]) });
    assert_eq!(sessions.update(&key, Expiry::Keep, no_json).unwrap(), "[8]");
    let no_json = json::change(|_: Option<NoJson>| Ok::<_, Error>(NoJson));
    assert!(matches!(sessions.update(&key, Expiry::Keep, no_json), Err(Error::NotJson)));
    assert_eq!(sessions.get(&key).unwrap().0, "[8]");
}

/// A type that can be read from any list, and cannot be written.
#[derive(Deserialize)]
#[serde(from = "Vec<u32>")]
struct NoJson;

impl From<Vec<u32>> for NoJson {
    fn from(_: Vec<u32>) -> Self {
        Self
    }
}

impl Serialize for NoJson {
    fn serialize<S: serde::Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("hunter2"))
    }
}

#[test]
fn an_updates_own_error_comes_back_as_it_is() {
    #[derive(Debug, PartialEq)]
    enum Checkout {
        Empty,
        Store,
    }
    impl From<Error> for Checkout {
        fn from(_: Error) -> Self {
            Self::Store
        }
    }
    let sessions = MemorySession::new();
    let key = sessions.generate(None, None).unwrap();
    let fails = || json::change(|_: Option<Cart>| Err::<Cart, _>(Checkout::Empty));
    assert_eq!(sessions.update(&key, Expiry::Keep, fails()), Err(Checkout::Empty));
    sessions.clear(&key).unwrap();
    assert_eq!(sessions.update(&key, Expiry::Keep, fails()), Err(Checkout::Store));
}
