//! Tests of the cookie: its attributes, and how the server handles any value.

use diesel::prelude::*;
use diesel::sql_query;

use crate::support::{Browser, Shop};

#[test]
fn scripts_and_other_sites_cannot_use_the_cookie() {
    let shop = Shop::open();
    let mut browser = Browser::of(&shop, "laptop");
    let begun = browser.post("/cart/1", &[]).set_cookie.unwrap();
    let signed_in = browser.sign_in("alice", "wonderland").set_cookie.unwrap();
    for cookie in [begun, signed_in] {
        let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
        for expected in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(attributes.contains(&expected), "{expected}: {cookie}");
        }
        // The tests and the server have the same build profile.
        assert_eq!(attributes.contains(&"Secure"), !cfg!(debug_assertions), "{cookie}");
    }
}

#[test]
fn a_key_goes_into_the_cookie_only_when_it_is_new() {
    let shop = Shop::open();
    let mut browser = Browser::of(&shop, "laptop");
    assert!(browser.post("/cart/1", &[]).set_cookie.is_some());
    assert_eq!(browser.post("/cart/1", &[]).set_cookie, None);
    assert_eq!(browser.get("/cart").set_cookie, None);
}

#[test]
fn a_malformed_cookie_counts_as_no_session_and_costs_no_query() {
    let shop = Shop::open();
    let unknown = format!("session={}", "0".repeat(40));
    let malformed = [
        String::new(),
        "session".to_owned(),
        "session=".to_owned(),
        "session=garbage".to_owned(),
        "session=' OR 1=1 --".to_owned(),
        format!("session={}", "0".repeat(39)),
        format!("session={}", "$".repeat(40)),
        format!("session={}", "A".repeat(5_000)),
    ];
    let mut browser = Browser::of(&shop, "laptop");
    let mut status = |cookie: &String| {
        browser.cookie = Some(cookie.clone());
        browser.get("/").status
    };
    assert_eq!(status(&unknown), 401);

    // From here on, every query on sessions fails.
    sql_query("DROP TABLE session").execute(&mut shop.database()).unwrap();
    assert_eq!(status(&unknown), 500);
    for cookie in &malformed {
        assert_eq!(status(cookie), 401, "{cookie}");
    }
}

#[test]
fn a_visitor_with_a_dead_cookie_gets_a_new_session() {
    let shop = Shop::open();
    let mut browser = Browser::of(&shop, "laptop");
    for dead in ["session=garbage".to_owned(), format!("session={}", "0".repeat(40))] {
        browser.cookie = Some(dead.clone());
        browser.add_to_cart(&[1]);
        assert_ne!(browser.cookie, Some(dead));
        assert_eq!(browser.products("/cart"), [1]);
    }
}

#[test]
fn a_get_request_changes_nothing() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, "laptop");
    browser.add_to_cart(&[1]);
    for path in ["/sign-out", "/cart/1", "/devices/end-others", "/sign-in?name=bob&password=builder"] {
        assert_eq!(browser.get(path).status, 404, "{path}");
    }
    assert!(browser.is_signed_in());
    assert_eq!(browser.products("/cart"), [1]);
}

#[test]
fn no_key_and_no_password_reaches_the_log() {
    let shop = Shop::open();
    let mut browser = Browser::of(&shop, "laptop");
    browser.add_to_cart(&[1]);
    let mut keys = vec![browser.key().to_owned()];
    browser.sign_in("alice", "wonderland");
    keys.push(browser.key().to_owned());
    browser.post("/orders", &[]);
    browser.get("/devices");
    sql_query("DROP TABLE session").execute(&mut shop.database()).unwrap();
    assert_eq!(browser.get("/").status, 500);

    let log = shop.close();
    assert!(log.contains("POST /sign-in") && log.contains("the session cannot be read"), "{log}");
    for secret in keys.iter().map(String::as_str).chain(["wonderland"]) {
        assert!(!log.contains(secret), "{log}");
    }
}
