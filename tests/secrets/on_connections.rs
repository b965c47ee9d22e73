//! Runs every operation on a connection that the caller holds.

use diesel::prelude::*;
use diesel_session::{
    AsyncBuilder, AsyncDieselSession, AsyncNow as _, AsyncSessions as _, ConnectOptions, DieselSession,
    Error, Expiry, KeyStorage, Now as _, SessionConnection, Sessions as _,
};

use crate::operations::{KeyForm, say};
use crate::support::{File, Postgres};
use crate::waiting::runtime;
use crate::{OWNER, VALUE};

const HASHED: KeyForm = KeyForm(KeyStorage::Hashed);

pub(crate) fn every_operation(options: &ConnectOptions) {
    let settings = Postgres::builder().schema(HASHED.schema());
    blocking(&settings.connect_with(options).unwrap());
    blocking(&File::new().store());
    runtime().block_on(async {
        let settings = AsyncBuilder::default();
        asynchronous(&settings.schema(HASHED.schema()).connect_with(options).await.unwrap()).await;
    });
}

fn blocking<C: SessionConnection>(store: &DieselSession<C>) {
    let mut conn = store.pool().get().unwrap();
    conn.begin_test_transaction().unwrap();
    let on = store.on(&mut conn);
    println!("{on:?}");
    say("clear_all", &on.clear_all());
    let key = HASHED.remember(&on.generate(Some(VALUE), None).unwrap());
    say("get", &on.get(&key).map(|(_value, left)| left));
    say("set", &on.set(&key, VALUE, None));
    say("set", &on.set(&key, &format!("{VALUE}\0"), None));
    say("touch", &on.touch(&key, Expiry::Default));
    say("update", &on.update(&key, Expiry::Default, |_| Ok::<_, Error>(VALUE.to_owned())).map(drop));
    say("replace", &on.replace(&key, Some("another"), VALUE, Expiry::Default));
    say("bind", &on.bind(&key, OWNER));
    say("owner_of", &on.find(&key).map(drop));
    let listed = HASHED.remember(&on.generate_for(OWNER, Some(VALUE), None).unwrap());
    say("sessions_of", &on.sessions_of(OWNER, 100));
    say("clear_listed", &on.clear_listed(OWNER, &store.handle(&listed)));
    HASHED.remember(&on.rotate(&key).unwrap());
    say("rotate", &on.rotate(&key));
    say("clear_others", &on.clear_others(OWNER, &store.handle(&key)));
    say("clear_owner", &on.clear_owner(OWNER, None));
    say("clear", &on.clear(&key));
    say("count", &on.count());
    say("delete_expired", &on.delete_expired(10));
    say("list", &on.list(None, None, 1).map(|page| page.next));
    say("clear_handle", &on.clear_handle(&store.handle(&key)));
}

async fn asynchronous(store: &AsyncDieselSession) {
    let mut conn = store.pool().get().await.unwrap();
    let on = store.on(&mut conn);
    println!("{on:?}");
    say("clear_all", &on.clear_all().await);
    let key = HASHED.remember(&on.generate(Some(VALUE), None).await.unwrap());
    say("get", &on.get(&key).await.map(|(_value, left)| left));
    say("set", &on.set(&key, VALUE, None).await);
    say("set", &on.set(&key, &format!("{VALUE}\0"), None).await);
    say("touch", &on.touch(&key, Expiry::Default).await);
    say("update", &on.update(&key, Expiry::Default, |_| Ok::<_, Error>(VALUE.to_owned())).await.map(drop));
    say("replace", &on.replace(&key, Some("another"), VALUE, Expiry::Default).await);
    say("bind", &on.bind(&key, OWNER).await);
    say("owner_of", &on.find(&key).await.map(drop));
    let listed = HASHED.remember(&on.generate_for(OWNER, Some(VALUE), None).await.unwrap());
    say("sessions_of", &on.sessions_of(OWNER, 100).await);
    say("clear_listed", &on.clear_listed(OWNER, &store.handle(&listed)).await);
    HASHED.remember(&on.rotate(&key).await.unwrap());
    say("rotate", &on.rotate(&key).await);
    say("clear_others", &on.clear_others(OWNER, &store.handle(&key)).await);
    say("clear_owner", &on.clear_owner(OWNER, None).await);
    say("clear", &on.clear(&key).await);
    say("count", &on.count().await);
    say("delete_expired", &on.delete_expired(10).await);
    say("list", &on.list(None, None, 1).await.map(|page| page.next));
    say("clear_handle", &on.clear_handle(&store.handle(&key)).await);
}
