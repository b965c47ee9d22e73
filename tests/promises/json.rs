//! Typed values.

use diesel_session::{Error, Json, JsonError, MemorySession, Now};
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
