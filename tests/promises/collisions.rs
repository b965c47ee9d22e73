//! If a new key is taken already, the store draws another and overwrites nothing.

use diesel_session::{AsyncNow as _, Now as _, SessionKey, Sessions as _};

use crate::hosts::{Host, laws_on_every_host};

laws_on_every_host! {
    a_key_that_is_taken_is_drawn_again
    a_blocking_store_draws_again_as_well
}

async fn a_key_that_is_taken_is_drawn_again<H: Host>() {
    let host = H::new().await;
    host.take_the_next_key();
    let key: SessionKey = host.web().generate(Some("x"), None).await.unwrap();
    assert_eq!(host.web().get(&key).await.unwrap().0, "x");
    assert_eq!(host.sessions().count().unwrap().live, 1);
}

async fn a_blocking_store_draws_again_as_well<H: Host>() {
    let host = H::new().await;
    host.take_the_next_key();
    let key = host.sessions().generate(Some("x"), None).unwrap();
    assert_eq!(host.sessions().get(&key).unwrap().0, "x");
}
