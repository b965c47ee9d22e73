//! Tests of what happens to a session when its visitor signs in or out, comes back or stays away.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use crate::support::{Browser, Shop};

#[test]
fn signing_in_without_a_session_begins_one() {
    let shop = Shop::open();
    let mut browser = Browser::of(&shop, "laptop");
    assert!(!browser.is_signed_in());
    assert_eq!(browser.cookie, None);
    assert_eq!(browser.sign_in("alice", "wonderland").status, 200);
    assert_eq!(browser.key().len(), 40);
    assert!(browser.is_signed_in());
}

#[test]
fn signing_in_keeps_the_cart_under_a_new_key_and_ends_the_old_key() {
    let shop = Shop::open();
    let mut browser = Browser::of(&shop, "laptop");
    browser.add_to_cart(&[1, 2]);
    let mut planted = browser.clone();

    assert_eq!(browser.sign_in("alice", "wonderland").status, 200);
    assert_ne!(browser.key(), planted.key());
    assert_eq!(browser.products("/cart"), [1, 2]);
    assert!(browser.is_signed_in());
    assert!(!planted.is_signed_in());
    assert!(planted.products("/cart").is_empty());
}

#[test]
fn signing_in_again_changes_the_key_again() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, "laptop");
    let mut copied = browser.clone();
    browser.sign_in("alice", "wonderland");
    assert!(browser.is_signed_in());
    assert!(!copied.is_signed_in());
    assert_eq!(browser.get("/devices").json::<Vec<serde_json::Value>>().len(), 1);
}

/// A double click: both requests have the cookie of the same visitor.
#[test]
fn two_concurrent_sign_ins_both_succeed() {
    let shop = Shop::open();
    for _ in 0..10 {
        let mut visitor = Browser::of(&shop, "laptop");
        visitor.add_to_cart(&[1]);
        let mut copy = visitor.clone();
        let statuses = std::thread::scope(|scope| {
            let other = scope.spawn(|| copy.sign_in("alice", "wonderland").status);
            [visitor.sign_in("alice", "wonderland").status, other.join().unwrap()]
        });
        assert_eq!(statuses, [200, 200]);
        assert!(visitor.is_signed_in() && copy.is_signed_in());
    }
}

#[test]
fn another_user_of_the_browser_gets_nothing_from_the_last_users_session() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, "the browser of both");
    browser.add_to_cart(&[1]);
    let mut alice = browser.clone();

    assert_eq!(browser.sign_in("bob", "builder").status, 200);
    assert!(browser.products("/cart").is_empty());
    assert!(!alice.is_signed_in());
    assert!(Browser::of_alice(&shop, "laptop").products("/cart").is_empty());
}

#[test]
fn a_wrong_name_or_password_changes_nothing() {
    let shop = Shop::open();
    let mut browser = Browser::of(&shop, "laptop");
    browser.add_to_cart(&[1]);
    for (name, password) in [("alice", "builder"), ("bob", "wonderland"), ("", ""), ("carol", "wonderland")] {
        let refused = browser.sign_in(name, password);
        assert_eq!((refused.status, refused.set_cookie), (401, None), "{name}");
    }
    assert!(!browser.is_signed_in());
    assert_eq!(browser.products("/cart"), [1]);
}

#[test]
fn signing_out_is_final_for_a_copy_of_the_cookie_too() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, "laptop");
    let mut copied = browser.clone();
    assert!(copied.is_signed_in());

    assert_eq!(browser.post("/sign-out", &[]).status, 200);
    assert_eq!(browser.cookie, None);
    assert!(!browser.is_signed_in());
    assert!(!copied.is_signed_in());
    for path in ["/orders", "/devices/end-others"] {
        assert_eq!(copied.post(path, &[]).status, 401, "{path}");
    }
}

#[test]
fn each_request_restarts_the_idle_timeout() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, "laptop");
    let mut conn = shop.database();
    let mut expiry =
        || -> i64 { sql::<BigInt>("SELECT expire_date FROM session").get_result(&mut conn).unwrap() };
    let at_sign_in = expiry();
    stay_away(&shop, 20);
    assert!(expiry() < at_sign_in);
    assert!(browser.is_signed_in());
    assert!(expiry() >= at_sign_in);
}

#[test]
fn a_user_who_stays_away_is_signed_out() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, "laptop");
    stay_away(&shop, 29);
    assert!(browser.is_signed_in());
    stay_away(&shop, 30);
    assert!(!browser.is_signed_in());
}

/// Makes each session expire earlier, as if no request had come for `minutes` minutes.
fn stay_away(shop: &Shop, minutes: u32) {
    let earlier = format!("UPDATE session SET expire_date = expire_date - {minutes} * 60000");
    sql_query(earlier).execute(&mut shop.database()).unwrap();
}
