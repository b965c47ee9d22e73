//! The laws that both examples of signing in keep, over HTTP. Each law is a test of each program.

mod browser;
mod program;

use std::sync::Barrier;
use std::thread;

use browser::Browser;
use program::Program;

/// The ids of the users of both programs.
const ADA: &str = "1";
const BOB: &str = "2";

#[test]
fn a_sign_in_renews_the_session() {
    let program = Program::start();
    let mut ada = Browser::of(&program);
    ada.see_home();
    let planted = ada.clone();
    ada.sign_in("ada", "engine");
    assert_ne!(ada.cookie, planted.cookie);
    assert!(ada.see_home().contains("You are ada."));
    let mut planted = planted;
    assert!(planted.see_home().contains("You are a visitor. Visit number 1."));
}

#[test]
fn a_sign_in_keeps_the_visitors_data() {
    let program = Program::start();
    let mut ada = Browser::of(&program);
    ada.see_home();
    ada.sign_in("ada", "engine");
    let home = ada.see_home();
    assert!(home.contains("You are ada. Visit number 2."), "{home}");
}

#[test]
fn a_wrong_name_or_password_is_refused() {
    let program = Program::start();
    for (name, password) in [("ada", "builder"), ("ada", ""), ("eve", "engine")] {
        let mut visitor = Browser::of(&program);
        visitor.see_home();
        assert_eq!(visitor.post_sign_in(name, password).status, 401);
        assert!(visitor.see_home().contains("You are a visitor. Visit number 2."));
    }
    assert_eq!(program.labels_of(ADA), [""; 0]);
}

#[test]
fn a_page_is_only_for_users_with_its_permission() {
    let program = Program::start();
    let mut visitor = Browser::of(&program);
    assert_eq!(visitor.get("/reports").status, 401);
    visitor.sign_in("bob", "builder");
    assert_eq!(visitor.get("/reports").status, 403);
    let mut ada = Browser::of(&program);
    ada.sign_in("ada", "engine");
    let reports = ada.get("/reports");
    assert_eq!((reports.status, reports.body.as_str()), (200, "Nothing to report.\n"));
}

#[test]
fn a_sign_out_is_final() {
    let program = Program::start();
    let mut ada = Browser::of(&program);
    ada.sign_in("ada", "engine");
    let mut replayed = ada.clone();
    assert_eq!(ada.post("/logout", &[]).status, 303);
    assert!(ada.see_home().contains("You are a visitor. Visit number 1."));
    assert_eq!(replayed.get("/devices").status, 401);
    assert!(replayed.see_home().contains("You are a visitor. Visit number 1."));
    assert_eq!(program.labels_of(ADA), [""; 0]);
}

#[test]
fn a_sign_out_everywhere_ends_all_sessions_of_the_user_and_no_others() {
    let program = Program::start();
    let [mut laptop, mut phone, mut bob] = [(); 3].map(|()| Browser::of(&program));
    laptop.sign_in("ada", "engine");
    phone.sign_in("ada", "engine");
    bob.sign_in("bob", "builder");
    let mut replayed = laptop.clone();
    assert_eq!(laptop.post("/logout-everywhere", &[]).status, 303);
    assert_eq!(program.labels_of(ADA), [""; 0]);
    for browser in [&mut laptop, &mut phone, &mut replayed] {
        assert!(browser.see_home().contains("You are a visitor. Visit number 1."));
    }
    assert!(bob.see_home().contains("You are bob."));
    assert_eq!(program.labels_of(BOB).len(), 1);
}

#[test]
fn the_devices_of_a_user_have_their_browsers_names() {
    let program = Program::start();
    let mut laptop = Browser::named(&program, "Laptop");
    let mut phone = Browser::named(&program, &"Phone".repeat(100));
    laptop.sign_in("ada", "engine");
    phone.sign_in("ada", "engine");
    let cut = "Phone".repeat(20);
    let page = laptop.get("/devices").body;
    let mut lines: Vec<&str> = page.lines().collect();
    lines.sort_unstable();
    let [this, other] = lines[..] else { panic!("{page}") };
    assert!(this.starts_with("Laptop, since ") && this.ends_with("UTC (this device)"), "{page}");
    assert!(other.starts_with(&format!("{cut}, since ")) && other.ends_with("UTC"), "{page}");
    assert_eq!(program.labels_of(ADA), ["Laptop", &cut]);
}

#[test]
fn a_sign_in_as_another_user_begins_another_session() {
    let program = Program::start();
    let mut browser = Browser::of(&program);
    browser.sign_in("ada", "engine");
    browser.see_home();
    let mut replayed = browser.clone();
    browser.sign_in("bob", "builder");
    let home = browser.see_home();
    assert!(home.contains("You are bob. Visit number 1."), "{home}");
    assert!(replayed.see_home().contains("You are a visitor."));
    assert_eq!((program.labels_of(ADA).len(), program.labels_of(BOB).len()), (0, 1));
}

#[test]
fn of_two_concurrent_sign_ins_with_one_cookie_at_least_one_works() {
    let program = Program::start();
    let mut working = 0;
    for round in 1..=20 {
        let mut visitor = Browser::of(&program);
        visitor.see_home();
        let together = Barrier::new(2);
        let click = || {
            let mut browser = visitor.clone();
            together.wait();
            browser.post_sign_in("ada", "engine");
            browser
        };
        let mut browsers = thread::scope(|scope| {
            let clicks = [scope.spawn(click), scope.spawn(click)];
            clicks.map(|click| click.join().unwrap())
        });
        let signed_in = browsers.each_mut().map(|browser| browser.get("/devices").status == 200);
        assert_ne!(signed_in, [false; 2], "round {round}");
        working += signed_in.into_iter().filter(|is| *is).count();
        assert!(visitor.see_home().contains("You are a visitor. Visit number 1."), "round {round}");
    }
    assert_eq!(program.labels_of(ADA).len(), working, "the table has a session that no browser has");
}
