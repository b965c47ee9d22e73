//! Runs every operation of a store, and prints everything that its results and errors show of themselves.

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use diesel_session::{
    Error, Expiry, KeyStorage, SessionHandle, SessionKey, Sessions, Sweeper, TimeDelta, json,
};

use crate::loudly::{remember, remember_text};
use crate::support::{Store, shown};
use crate::{OWNER, VALUE};

/// The form in which a store keeps its keys.
#[derive(Clone, Copy)]
pub(crate) struct KeyForm(pub(crate) KeyStorage);

static HASHED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Returns the keys that no database has received.
pub(crate) fn hashed_keys() -> Vec<String> {
    HASHED.lock().unwrap().clone()
}

/// Remembers such a key in the form in which its holder has it.
pub(crate) fn remember_hashed(key: &str) {
    HASHED.lock().unwrap().push(key.to_owned());
    remember_text(key);
}

impl KeyForm {
    pub(crate) fn schema(self) -> &'static str {
        if self.0 == KeyStorage::Hashed { "hashed" } else { "plain" }
    }

    pub(crate) fn remember(self, key: &SessionKey) -> SessionKey {
        if self.0 == KeyStorage::Hashed {
            remember_hashed(key.as_str());
            return *key;
        }
        remember(key)
    }
}

pub(crate) fn say<T: Debug>(what: &str, result: &Result<T, Error>) {
    match result {
        Ok(result) => println!("{what}: {result:?}"),
        Err(error) => println!("{what}: {}", shown(error)),
    }
}

pub(crate) fn every_operation<S: Store + Clone + Send + 'static>(store: &S, form: KeyForm) {
    let value = || VALUE.to_owned();
    let draw = |key: Result<SessionKey, Error>| {
        say("generate", &key);
        form.remember(&key.unwrap())
    };
    say("clear_all", &store.clear_all());
    let key = draw(store.generate(Some(VALUE), None));
    let unset = draw(store.generate(None, Some(TimeDelta::hours(1))));
    let owned = draw(store.generate_for(OWNER, Some(VALUE), None));
    let expired = draw(store.generate_for(OWNER, Some(VALUE), Some(TimeDelta::hours(-2))));
    let unknown = form.remember(&format!("{:x<40}", form.schema()).parse().unwrap());
    for key in [key, unset, owned, expired, unknown] {
        // Reading the value is the purpose of `get`, so this prints only the time that is left.
        say("get", &store.get(&key).map(|(_value, left)| left));
        say("set", &store.set(&key, VALUE, None));
        say("set", &store.set(&key, &format!("{VALUE}\0"), None));
        say("set", &store.set(&key, &VALUE.repeat(1 << 17), None));
        say("set", &store.set(&key, VALUE, Some(TimeDelta::MAX)));
        say("touch", &store.touch(&key, Expiry::After(TimeDelta::days(30))));
        say("update", &store.update(&key, Expiry::Default, |_| Ok::<_, Error>(value())).map(drop));
        say(
            "update",
            &store.update(&key, Expiry::Default, |_| Ok::<_, Error>(format!("{VALUE}\0"))).map(drop),
        );
        say("update", &store.update(&key, Expiry::Default, |_| Err(Error::NotSet)).map(drop));
        say("replace", &store.replace(&key, Some(VALUE), VALUE, Expiry::Default));
        say("replace", &store.replace(&key, Some(&format!("not {VALUE}")), VALUE, Expiry::Default));
        say("bind", &store.bind(&key, OWNER));
        say("bind", &store.bind(&key, &format!("{OWNER}\0")));
        say("bind", &store.bind(&key, &OWNER.repeat(20)));
        // Pages show the owner and the label, so this prints neither them nor the value.
        say("find", &store.find(&key).map(|session| session.left));
        say("set_label", &store.set_label(&key, Some(&format!("{VALUE}\0"))));
        say("set_label", &store.set_label(&key, Some(&VALUE.repeat(20))));
        println!("{key:?} {:?} {}", store.handle(&key), store.handle(&key));
    }
    let panics =
        || store.update(&key, Expiry::Default, |_| -> Result<String, Error> { panic!("on purpose") });
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    let rotated = draw(store.rotate(&key));
    say("rotate", &store.rotate(&key));
    say("sessions_of", &store.sessions_of(OWNER, 100));
    say("clear_listed", &store.clear_listed(OWNER, &store.handle(&unset)));
    say("clear_listed", &store.clear_listed(&OWNER.repeat(20), &store.handle(&unset)));
    // Pages show the owner and the label, so this prints neither.
    let page = store.list(None, None, 1).unwrap();
    println!("list: {:?} {}", page.next, page.next.unwrap());
    say("list", &store.list(Some(&OWNER.repeat(20)), None, 1));
    say("clear_handle", &store.clear_handle(&store.handle(&unset)));
    say("clear_others", &store.clear_others(OWNER, &store.handle(&unset)));
    say("clear_owner", &store.clear_owner(OWNER, Some(&rotated)));
    say("count", &store.count());
    say("delete_expired", &store.delete_expired(100));
    say("parse", &format!("{}!", owned.as_str()).parse::<SessionKey>());
    say("parse", &owned.as_str().parse::<SessionHandle>());
    say("clear", &store.clear(&unset));
    typed(store, &rotated);
    swept(store);
}

/// Reads the value as a type that it does not have.
fn typed(store: &impl Store, key: &SessionKey) {
    for text in [VALUE.to_owned(), format!("{{\"{VALUE}\":\"{VALUE}\"}}"), format!("\"{VALUE}\"")] {
        store.set(key, &text, None).unwrap();
        let error = json::decode::<HashMap<String, u32>>(&store.get(key).unwrap().0).unwrap_err();
        println!("{}", shown(&error));
    }
    let error = json::encode(&HashMap::from([((1, VALUE), 1)])).unwrap_err();
    println!("{}", shown(&error));
    store.set(key, VALUE, None).unwrap();
}

fn swept<S: Sessions + Clone + Send + 'static>(store: &S) {
    let (report, reports) = channel();
    let builder =
        Sweeper::builder(store.clone()).on_error(move |error: &Error| report.send(shown(error)).unwrap());
    println!("{builder:?}");
    let sweeper = builder.interval(TimeDelta::milliseconds(1)).jitter(TimeDelta::zero()).start().unwrap();
    println!("{sweeper:?}");
    drop(sweeper);
    assert_eq!(reports.iter().count(), 0, "nothing was in its way");
}
