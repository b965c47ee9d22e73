//! Typed values.

use diesel_session::{Error, Json, JsonError, MemorySession, Now, Sessions};
use serde::{Deserialize, Serialize};

use crate::support::File;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<u32>,
}

#[test]
fn a_typed_value_comes_back_as_it_went_in() {
    let file = File::new();
    let carts = Json::<_, Cart>::new(file.store());
    let key = carts.generate(Some(Cart { items: vec![1] }), None).unwrap();
    carts.set(&key, Cart { items: vec![2, 3] }, None).unwrap();
    assert_eq!(carts.get(&key).unwrap().0, Cart { items: vec![2, 3] });
    carts.clear(&key).unwrap();
    assert!(matches!(carts.get(&key), Err(JsonError::Store(Error::NotFound))));
}

#[test]
fn a_value_of_another_shape_is_an_error_and_no_lost_session() {
    let strings = MemorySession::new();
    let carts = Json::<_, Cart>::new(strings.clone());
    let key = strings.generate(Some(r#"{"items":"hunter2"}"#.to_owned()), None).unwrap();
    let error = carts.get(&key).unwrap_err();
    assert!(matches!(error, JsonError::Deserialize { line: 1, .. }));
    assert!(!format!("{error:?} {error}").contains("hunter2"));
    assert_eq!(strings.get(&key).unwrap().0, r#"{"items":"hunter2"}"#);
}

#[test]
fn a_value_that_is_no_json_is_refused_and_nothing_written() {
    let maps = Json::<_, std::collections::HashMap<Vec<u8>, u8>>::new(MemorySession::new());
    let key = maps.generate(None, None).unwrap();
    let refused = maps.set(&key, [(vec![1], 1)].into(), None);
    assert!(matches!(refused, Err(JsonError::Serialize)));
    assert!(matches!(maps.get(&key), Err(JsonError::Store(Error::NotSet))));
}

#[test]
fn a_typed_value_is_updated_and_replaced() {
    let file = File::new();
    let carts = Json::<_, Cart>::new(file.store());
    let key = carts.generate_for("alice", None, None).unwrap();
    let put = |item| {
        move |cart: Option<Cart>| {
            let mut cart = cart.unwrap_or(Cart { items: Vec::new() });
            cart.items.push(item);
            Ok::<_, JsonError<Error>>(cart)
        }
    };
    carts.update(&key, None, put(1)).unwrap();
    assert_eq!(carts.update(&key, None, put(2)).unwrap(), Cart { items: vec![1, 2] });
    let (one, two) = (|| Cart { items: vec![1, 2] }, || Cart { items: vec![3] });
    carts.replace(&key, Some(one()), two(), None).unwrap();
    let again = carts.replace(&key, Some(one()), two(), None);
    assert!(matches!(again, Err(JsonError::Store(Error::Changed))));
    let key = carts.rotate(&key).unwrap();
    assert_eq!(carts.get(&key).unwrap().0, two());
    assert_eq!(carts.sessions_of("alice", 100).unwrap()[0].handle, carts.handle(&key));
}

#[test]
fn an_update_of_a_value_of_another_shape_or_to_no_json_changes_nothing() {
    let strings = MemorySession::new();
    let key = strings.generate(Some("[7]".to_owned()), None).unwrap();
    let carts = Json::<_, Cart>::new(strings.clone());
    let updated =
        carts.update(&key, None, |_| -> Result<Cart, JsonError<Error>> { panic!("asked for another shape") });
    assert!(matches!(updated, Err(JsonError::Deserialize { .. })));
    assert_eq!(strings.get(&key).unwrap().0, "[7]");
    let maps = Json::<_, std::collections::HashMap<Vec<u8>, u8>>::new(strings.clone());
    strings.set(&key, "{}".to_owned(), None).unwrap();
    let updated = maps.update(&key, None, |_| Ok::<_, JsonError<Error>>([(vec![1], 1)].into()));
    assert!(matches!(updated, Err(JsonError::Serialize)));
    assert_eq!(strings.get(&key).unwrap().0, "{}");
}

/// With spaces, and with a field that this version does not know.
#[test]
fn a_value_that_was_written_in_other_words_can_be_replaced() {
    let strings = MemorySession::new();
    let carts = Json::<_, Cart>::new(strings.clone());
    let key = strings.generate(Some(r#"{ "items": [1], "since": 7 }"#.to_owned()), None).unwrap();
    let (cart, _) = carts.get(&key).unwrap();
    let other = carts.replace(&key, Some(Cart { items: vec![2] }), Cart { items: vec![] }, None);
    assert!(matches!(other, Err(JsonError::Store(Error::Changed))));
    carts.replace(&key, Some(cart), Cart { items: vec![3] }, None).unwrap();
    assert_eq!(carts.get(&key).unwrap().0, Cart { items: vec![3] });
}

#[test]
fn an_updates_own_error_comes_back_as_it_is() {
    #[derive(Debug, PartialEq)]
    enum Checkout {
        Empty,
        Store,
    }
    impl From<JsonError<Error>> for Checkout {
        fn from(_: JsonError<Error>) -> Self {
            Self::Store
        }
    }
    let carts = Json::<_, Cart>::new(MemorySession::new());
    let key = carts.generate(None, None).unwrap();
    assert_eq!(carts.update(&key, None, |_| Err(Checkout::Empty)), Err(Checkout::Empty));
    carts.clear(&key).unwrap();
    assert_eq!(carts.update(&key, None, |_| Err(Checkout::Empty)), Err(Checkout::Store));
}
