//! Tests of the application in a browser.

use std::future::Future;
use std::path::Path;
use std::time::Instant;

use crate::support::browser::Browser;
use crate::support::visitor::{COOKIE, Visitor};
use crate::support::{Application, LATE, Start, laws_on_both_databases};

laws_on_both_databases! {
    a_user_registers_logs_in_keeps_a_note_and_logs_out
}

fn in_time(law: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(law);
}

fn a_user_registers_logs_in_keeps_a_note_and_logs_out(start: Start) {
    in_time(async {
        let application = start(&[]);
        let browser = Browser::of(&application).await;
        browser.register("ada").await;
        browser.log_in("ada").await;
        browser.write("body", "buy milk").await;
        browser.press("add", "/notes").await;
        let page = browser.text().await;
        assert!(page.contains("buy milk"), "{page}");
        assert!(page.contains("Signed in as ada."), "{page}");
        browser.press("log-out", "/login").await;
        browser.open("/notes").await;
        assert_eq!(browser.path().await, "/login");
    });
}

#[tokio::test]
async fn a_login_changes_the_cookie_and_invalidates_the_old_one() {
    let application = Application::on_sqlite(&[]);
    let browser = Browser::of(&application).await;
    browser.register("ada").await;
    let before = browser.cookie().await.value;
    let mut replayed = Visitor::of(&application);
    replayed.cookie = Some(format!("{COOKIE}={before}"));
    replayed.get("/login");
    assert_eq!(replayed.cookie, Some(format!("{COOKIE}={before}")), "it is a live session before the login");

    browser.log_in("ada").await;
    assert_ne!(browser.cookie().await.value, before);
    assert!(replayed.get("/notes").is_logged_out());
    replayed.get("/login");
    assert_ne!(replayed.cookie, Some(format!("{COOKIE}={before}")), "it is dead after the login");
}

#[tokio::test]
async fn scripts_and_other_sites_cannot_use_the_cookie() {
    let application = Application::on_sqlite(&[]);
    let browser = Browser::of(&application).await;
    browser.register("ada").await;
    browser.log_in("ada").await;
    let cookie = browser.cookie().await;
    assert!(cookie.is_http_only, "{cookie:?}");
    assert!(cookie.is_secure, "{cookie:?}");
    assert_eq!(cookie.same_site.as_deref(), Some("Lax"), "{cookie:?}");
    assert_eq!(browser.script("return document.cookie").await, "");
}

#[tokio::test]
async fn two_browsers_list_each_other_and_one_signs_the_other_out() {
    let application = Application::on_sqlite(&[]);
    let (phone, laptop) = (Browser::of(&application).await, Browser::of(&application).await);
    phone.register("ada").await;
    phone.log_in("ada").await;
    laptop.log_in("ada").await;
    for browser in [&phone, &laptop] {
        browser.open("/devices").await;
        let page = browser.text().await;
        assert_eq!(page.matches("This device").count(), 1, "{page}");
        assert_eq!(page.matches("Another device").count(), 1, "{page}");
    }

    phone.press("end-others", "/devices").await;
    let page = phone.text().await;
    assert!(page.contains("This device") && !page.contains("Another device"), "{page}");
    laptop.open("/notes").await;
    assert_eq!(laptop.path().await, "/login");
}

#[tokio::test]
async fn the_idle_timeout_logs_out_an_inactive_user() {
    let application = Application::on_sqlite(&[("IDLE_SECONDS", "8")]);
    let (idle, busy) = (Browser::of(&application).await, Browser::of(&application).await);
    idle.register("ada").await;
    idle.log_in("ada").await;
    busy.log_in("ada").await;

    // The busy browser goes on until it sees the idle one disappear.
    let began = Instant::now();
    loop {
        busy.open("/devices").await;
        assert_eq!(busy.path().await, "/devices", "the busy browser was signed out");
        if !busy.text().await.contains("Another device") {
            break;
        }
        assert!(began.elapsed() < LATE, "the idle session lives on");
    }
    idle.open("/notes").await;
    assert_eq!(idle.path().await, "/login");
}

#[tokio::test]
async fn the_back_button_after_a_logout_shows_nothing_private() {
    let application = Application::on_sqlite(&[]);
    let browser = Browser::of(&application).await;
    browser.register("ada").await;
    browser.log_in("ada").await;
    browser.write("body", "a secret").await;
    browser.press("add", "/notes").await;
    browser.open("/devices").await;
    browser.open("/notes").await;
    browser.press("log-out", "/login").await;
    for _ in 0..3 {
        browser.back().await;
        let page = browser.text().await;
        assert_eq!(browser.path().await, "/login", "{page}");
        assert!(!page.contains("a secret") && !page.contains("ada"), "{page}");
    }
}

/// With `SCREENSHOTS=1`, this also saves the pictures for the README.
#[tokio::test]
async fn no_page_is_wider_than_a_phone() {
    let application = Application::on_sqlite(&[]);
    let (browser, other) = (Browser::of(&application).await, Browser::of(&application).await);
    let keep = std::env::var("SCREENSHOTS").is_ok_and(|value| value == "1");
    let look = async |name: &str| {
        let wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.script(wider).await, 0, "{name}");
        if keep {
            let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/web");
            std::fs::create_dir_all(&docs).unwrap();
            std::fs::write(docs.join(name).with_extension("png"), browser.screenshot().await).unwrap();
        }
    };
    browser.open("/register").await;
    look("register").await;
    browser.register("ada").await;
    browser.log_in("ada").await;
    for note in ["A session is a row beside this note.", "Buy milk, bread and coffee."] {
        browser.write("body", note).await;
        browser.press("add", "/notes").await;
    }
    look("notes").await;
    other.log_in("ada").await;
    browser.open("/devices").await;
    look("devices").await;
    browser.press("log-out", "/login").await;
    look("login").await;
}
