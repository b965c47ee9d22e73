//! If a new key is taken already, the store draws another and overwrites nothing.

use diesel_session::{AsyncNow as _, Now as _, SessionKey, Sessions as _};

use crate::hosts::{Host, laws_on_every_host};

laws_on_every_host! {
    a_new_key_is_drawn_if_the_first_is_taken
    a_blocking_store_also_draws_a_new_key_if_the_first_is_taken
}

async fn a_new_key_is_drawn_if_the_first_is_taken<H: Host>() {
    let host = H::new().await;
    host.take_the_next_key();
    let key: SessionKey = host.web().generate(Some("x"), None).await.unwrap();
    assert_eq!(host.web().get(&key).await.unwrap().0, "x");
    assert_eq!(host.sessions().count().unwrap().live, 1);
}

async fn a_blocking_store_also_draws_a_new_key_if_the_first_is_taken<H: Host>() {
    let host = H::new().await;
    host.take_the_next_key();
    let key = host.sessions().generate(Some("x"), None).unwrap();
    assert_eq!(host.sessions().get(&key).unwrap().0, "x");
}
