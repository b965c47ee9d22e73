//! Tests of two logins at once, and of a logout in the middle of a login, in browsers.

use crate::support::browser::Browser;
use crate::support::stalled::LockedUsers;
use crate::support::visitor::{COOKIE, PASSWORD, Visitor};
use crate::support::{Application, empty_database};

/// Asserts that the user is logged in only on this device.
async fn assert_only_device(browser: &Browser) {
    browser.open("/devices").await;
    let page = browser.text().await;
    assert_eq!(page.matches("This device").count(), 1, "{page}");
    assert!(!page.contains("Another device"), "{page}");
}

#[tokio::test]
async fn a_double_click_on_the_login_button_logs_in_once() {
    let url = empty_database();
    let application = Application::on(&url);
    let browser = Browser::of(&application).await;
    browser.register("ada").await;
    browser.fill_in_login("ada").await;

    let mut users = LockedUsers::lock(&url);
    tokio::join!(browser.press_twice("log-in", "/notes"), async {
        users.wait_for(2).await;
        drop(users);
    });
    assert_only_device(&browser).await;
}

/// The browser ignores the answer to the first of two clicks. That login ends before the second one.
#[tokio::test]
async fn of_two_logins_with_one_session_only_the_later_one_lives() {
    let url = empty_database();
    let (slow, quick) = (Application::on(&url), Application::on(&url));
    let browser = Browser::of(&slow).await;
    browser.register("ada").await;
    browser.fill_in_login("ada").await;
    let mut first = Visitor::of(&quick);
    first.cookie = Some(format!("{COOKIE}={}", browser.cookie().await.value));

    let mut users = LockedUsers::lock(&url);
    tokio::join!(browser.press("log-in", "/notes"), async {
        users.wait_for(1).await;
        let _until_the_first_is_done = slow.stop();
        drop(users);
        assert_eq!(first.log_in("ada", PASSWORD).header("location"), "/notes");
        assert_eq!(first.get("/notes").status, 200);
    });
    assert_only_device(&browser).await;
    assert!(first.get("/notes").is_logged_out());
}

#[tokio::test]
async fn a_logout_in_another_browser_ends_a_login_in_progress() {
    let url = empty_database();
    let (slow, quick) = (Application::on(&url), Application::on(&url));
    let (browser, other) = (Browser::of(&slow).await, Browser::of(&quick).await);
    browser.register("ada").await;
    browser.fill_in_login("ada").await;
    other.share_session_of(&browser).await;

    let mut users = LockedUsers::lock(&url);
    tokio::join!(browser.press_for_any_page("log-in"), async {
        users.wait_for(1).await;
        let _until_the_other_is_logged_out = slow.stop();
        drop(users);
        other.log_in("ada").await;
        other.press("log-out", "/login").await;
    });
    browser.open("/notes").await;
    assert_eq!(browser.path().await, "/login");
    // There is also no session that no browser has.
    other.log_in("ada").await;
    assert_only_device(&other).await;
}
