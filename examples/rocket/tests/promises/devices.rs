//! Tests of the list of devices and of signing them out.

use serde::Deserialize;

use crate::support::{Browser, Shop};

#[derive(Deserialize)]
struct Device {
    handle: String,
    label: Option<String>,
    this_one: bool,
}

fn devices(browser: &mut Browser) -> Vec<Device> {
    browser.get("/devices").json()
}

/// Returns the handle under which a browser lists itself.
fn own_handle(browser: &mut Browser) -> String {
    devices(browser).into_iter().find(|device| device.this_one).unwrap().handle
}

#[test]
fn devices_are_listed_by_their_labels_and_without_keys() {
    let shop = Shop::open();
    let mut laptop = Browser::of_alice(&shop, "laptop");
    // The phone had a visitor's session before, which the sign-in continues.
    let mut phone = Browser::of(&shop, "phone");
    phone.add_to_cart(&[1]);
    phone.sign_in("alice", "wonderland");

    let mut labels: Vec<_> =
        devices(&mut laptop).into_iter().map(|device| (device.label.unwrap(), device.this_one)).collect();
    labels.sort();
    assert_eq!(labels, [("laptop".to_owned(), true), ("phone".to_owned(), false)]);
    for device in devices(&mut phone) {
        assert_eq!(device.this_one, device.label.as_deref() == Some("phone"));
        assert_ne!(device.handle, phone.key());
        let mut other = Browser::of(&shop, "other");
        other.cookie = Some(format!("session={}", device.handle));
        assert!(!other.is_signed_in());
    }
}

#[test]
fn a_device_can_end_another_one_by_its_handle() {
    let shop = Shop::open();
    let mut laptop = Browser::of_alice(&shop, "laptop");
    let mut phone = Browser::of_alice(&shop, "phone");
    let mut tablet = Browser::of_alice(&shop, "tablet");
    let end = format!("/devices/{}/end", own_handle(&mut phone));

    assert_eq!(laptop.post(&end, &[]).status, 200);
    assert!(!phone.is_signed_in());
    assert!(laptop.is_signed_in());
    assert!(tablet.is_signed_in());
    assert_eq!(laptop.post(&end, &[]).status, 404);
}

#[test]
fn ending_all_others_keeps_this_device_and_other_users() {
    let shop = Shop::open();
    let mut laptop = Browser::of_alice(&shop, "laptop");
    let mut phone = Browser::of_alice(&shop, "phone");
    let mut tablet = Browser::of_alice(&shop, "tablet");
    let mut bob = Browser::of(&shop, "bob's");
    bob.sign_in("bob", "builder");

    assert_eq!(laptop.post("/devices/end-others", &[]).status, 200);
    assert!(laptop.is_signed_in());
    assert!(!phone.is_signed_in());
    assert!(!tablet.is_signed_in());
    assert!(bob.is_signed_in());
}

#[test]
fn a_user_cannot_see_or_end_devices_of_another_user() {
    let shop = Shop::open();
    let mut alice = Browser::of_alice(&shop, "alice's");
    let mut bob = Browser::of(&shop, "bob's");
    bob.sign_in("bob", "builder");
    assert_eq!(devices(&mut bob).len(), 1);
    let of_alice = own_handle(&mut alice);
    for handle in [of_alice.as_str(), "garbage", "0"] {
        assert_eq!(bob.post(&format!("/devices/{handle}/end"), &[]).status, 404, "{handle}");
    }
    assert!(alice.is_signed_in());

    let mut visitor = Browser::of(&shop, "a visitor's");
    visitor.add_to_cart(&[1]);
    assert_eq!(visitor.get("/devices").status, 401);
    assert_eq!(visitor.post(&format!("/devices/{of_alice}/end"), &[]).status, 401);
    assert!(alice.is_signed_in());
}

#[test]
fn a_browser_with_a_long_name_signs_in() {
    let shop = Shop::open();
    let mut browser = Browser::of_alice(&shop, &"x".repeat(2_000));
    assert_eq!(devices(&mut browser)[0].label.as_deref(), Some("x".repeat(60).as_str()));
}
