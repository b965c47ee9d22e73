//! Tests of carts and orders: the session's value and the shop's own rows change in one transaction.

use std::sync::Barrier;
use std::thread;

use crate::support::{Browser, Shop};

/// A product that was never in stock.
const SOLD_OUT: i32 = 3;

/// A product with one piece in stock.
const LAST_PIECE: i32 = 2;

#[test]
fn an_order_saves_the_orders_and_the_empty_cart() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, "laptop");
    browser.add_to_cart(&[1, LAST_PIECE]);
    assert_eq!(browser.post("/orders", &[]).status, 200);
    assert_eq!(browser.products("/orders"), [1, LAST_PIECE]);
    assert!(browser.products("/cart").is_empty());

    browser.add_to_cart(&[LAST_PIECE]);
    assert_eq!(browser.post("/orders", &[]).status, 409, "it was the last piece");
}

#[test]
fn a_failed_order_saves_neither_the_orders_nor_the_empty_cart() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, "laptop");
    browser.add_to_cart(&[LAST_PIECE, SOLD_OUT]);
    assert_eq!(browser.post("/orders", &[]).status, 409);
    assert!(browser.products("/orders").is_empty());
    assert_eq!(browser.products("/cart"), [LAST_PIECE, SOLD_OUT]);

    let mut bob = Browser::of(&shop, "bob's");
    bob.sign_in("bob", "builder");
    bob.add_to_cart(&[LAST_PIECE]);
    assert_eq!(bob.post("/orders", &[]).status, 200, "the stock was not put back");
    assert_eq!(bob.products("/orders"), [LAST_PIECE]);
    assert!(browser.products("/orders").is_empty());
}

#[test]
fn a_visitor_cannot_order_before_signing_in() {
    let shop = Shop::open();
    let mut browser = Browser::of(&shop, "laptop");
    browser.add_to_cart(&[1]);
    assert_eq!(browser.post("/orders", &[]).status, 401);
    browser.sign_in("alice", "wonderland");
    assert!(browser.products("/orders").is_empty());
    assert_eq!(browser.products("/cart"), [1]);
}

#[test]
fn products_added_concurrently_are_all_kept() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, "laptop");
    let together = Barrier::new(4);
    thread::scope(|scope| {
        for product in 1..=4 {
            let (mut browser, together) = (browser.clone(), &together);
            scope.spawn(move || {
                together.wait();
                browser.add_to_cart(&[product]);
            });
        }
    });
    let mut cart = browser.products("/cart");
    cart.sort_unstable();
    assert_eq!(cart, [1, 2, 3, 4]);
}

#[test]
fn a_full_cart_refuses_more_products_and_is_kept() {
    let shop = Shop::open();
    let mut browser = Browser::of(&shop, "laptop");
    let mut added = 0;
    let refused = loop {
        match browser.post("/cart/2147483647", &[]).status {
            200 if added < 1_000 => added += 1,
            status => break status,
        }
    };
    assert_eq!(refused, 409);
    assert_eq!(browser.products("/cart").len(), added);
}

/// A request that needed a second connection would wait for the one that it holds, and fail.
#[test]
fn one_connection_serves_every_request() {
    let shop = Shop::open_with("{shop={pool_size=1}}");
    let mut browser = Browser::of(&shop, "laptop");
    browser.add_to_cart(&[1]);
    assert_eq!(browser.sign_in("alice", "wonderland").status, 200);
    assert!(browser.is_signed_in());
    browser.add_to_cart(&[1]);
    assert_eq!(browser.products("/cart"), [1, 1]);
    assert_eq!(browser.post("/orders", &[]).status, 200);
    assert_eq!(browser.products("/orders"), [1, 1]);
    assert_eq!(browser.get("/devices").status, 200);
    assert_eq!(browser.post("/devices/00000000000000000000000000000000/end", &[]).status, 404);
    assert_eq!(browser.post("/devices/end-others", &[]).status, 200);
    assert_eq!(browser.post("/sign-out", &[]).status, 200);
}
