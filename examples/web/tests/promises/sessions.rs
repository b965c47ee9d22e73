//! Tests of a session from the login to its end.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::visitor::{PASSWORD, Visitor};
use crate::support::{LATE, Start, laws_on_both_databases};

laws_on_both_databases! {
    a_user_registers_logs_in_keeps_notes_and_logs_out
    a_login_changes_cookie_and_token_and_invalidates_the_old_ones
    of_concurrent_logins_with_one_cookie_only_one_lives
    concurrent_views_are_all_counted
    the_idle_timeout_ends_no_session_in_use
    the_maximum_lifetime_also_ends_a_session_in_use
}

fn a_user_registers_logs_in_keeps_notes_and_logs_out(start: Start) {
    let application = start(&[]);
    let mut ada = Visitor::of(&application);
    assert!(ada.get("/notes").is_logged_out());
    assert_eq!(ada.register("ada", PASSWORD).header("location"), "/login");
    assert_eq!(ada.log_in("ada", PASSWORD).header("location"), "/notes");

    ada.submit("/notes", "/notes", &[("body", "buy <b>milk</b>")]);
    let page = ada.get("/notes");
    assert!(page.body.contains("buy &#60;b&#62;milk&#60;/b&#62;"), "{}", page.body);
    assert!(page.between(r#"id="idle">"#, " min<").is_some_and(|left| ["29", "30"].contains(&left)));
    assert!(page.between(r#"id="longest">"#, "<").is_some_and(|left| left.starts_with("11 h 5")));

    let note = page.between(r#"name="note" value=""#, "\"").unwrap();
    ada.submit("/notes", "/notes/delete", &[("note", note)]);
    assert!(!ada.get("/notes").body.contains("milk"));

    let cookie = ada.cookie.clone();
    assert!(ada.submit("/notes", "/logout", &[]).is_logged_out());
    assert!(ada.get("/notes").is_logged_out());
    ada.cookie = cookie;
    assert!(ada.get("/notes").is_logged_out(), "the old cookie still works");
}

fn a_login_changes_cookie_and_token_and_invalidates_the_old_ones(start: Start) {
    let application = start(&[]);
    let mut ada = Visitor::logged_in(&application, "ada");
    ada.submit("/notes", "/logout", &[]);

    let token = ada.get("/login").token();
    let mut planted = ada.clone();
    ada.log_in("ada", PASSWORD);
    assert_ne!(ada.cookie, planted.cookie);
    assert_ne!(ada.get("/notes").token(), token);
    assert!(planted.get("/notes").is_logged_out());
    assert_ne!(planted.get("/login").token(), token);
}

fn of_concurrent_logins_with_one_cookie_only_one_lives(start: Start) {
    let application = start(&[]);
    let mut ada = Visitor::of(&application);
    ada.register("ada", PASSWORD);
    let token = ada.get("/login").token();
    let login = [("name", "ada"), ("password", PASSWORD), ("csrf", token.as_str())];

    let mut twins = [(); 4].map(|()| ada.clone());
    let together = Barrier::new(twins.len());
    thread::scope(|scope| {
        for twin in &mut twins {
            scope.spawn(|| {
                together.wait();
                // A form that arrives after another login is refused, because the session has another token by then.
                assert!([303, 403].contains(&twin.post("/login", &login).status));
            });
        }
    });
    let mut live: Vec<_> = twins
        .iter_mut()
        .filter_map(|twin| {
            let page = twin.get("/devices");
            (page.status == 200).then_some(page)
        })
        .collect();
    let page = live.pop().expect("one is logged in");
    assert!(live.is_empty(), "more than one is logged in");
    assert!(!page.body.contains("Another device"), "{}", page.body);
}

fn concurrent_views_are_all_counted(start: Start) {
    let application = start(&[]);
    let mut ada = Visitor::logged_in(&application, "ada");
    let views = |ada: &mut Visitor| -> usize {
        let page = ada.get("/notes");
        page.between(r#"id="views">"#, "<").expect("a count").parse().unwrap()
    };
    assert_eq!(views(&mut ada), 1);

    let at_once = 16;
    let together = Barrier::new(at_once);
    thread::scope(|scope| {
        for _ in 0..at_once {
            let (mut ada, together) = (ada.clone(), &together);
            scope.spawn(move || {
                together.wait();
                views(&mut ada)
            });
        }
    });
    assert_eq!(views(&mut ada), 1 + at_once + 1);
}

fn the_idle_timeout_ends_no_session_in_use(start: Start) {
    let application = start(&[("IDLE_SECONDS", "5")]);
    let mut ada = Visitor::logged_in(&application, "ada");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        assert_eq!(ada.get("/devices").status, 200, "after {:?}", began.elapsed());
    }
}

fn the_maximum_lifetime_also_ends_a_session_in_use(start: Start) {
    let application = start(&[("MAX_SECONDS", "3")]);
    let mut ada = Visitor::logged_in(&application, "ada");
    let began = Instant::now();
    while ada.get("/notes").status == 200 {
        assert!(began.elapsed() < LATE, "the session lives on");
    }
    assert!(ada.get("/notes").is_logged_out());
}
