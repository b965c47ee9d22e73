//! What the application promises to whoever sends it a request.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::support::visitor::{COOKIE, PASSWORD, Visitor};
use crate::support::{Application, LATE, Start, laws_on_both_databases};

laws_on_both_databases! {
    a_user_registers_logs_in_keeps_notes_and_logs_out
    a_login_begins_another_session_and_ends_the_last_one
    of_many_views_at_once_none_is_lost
    a_name_is_registered_once
    a_cookie_that_names_no_session_begins_an_anonymous_one
    a_form_without_its_own_sessions_token_is_refused
    no_input_is_our_failure
    a_user_reaches_only_what_is_theirs
    log_out_of_one_device_ends_that_one_alone
    log_out_everywhere_else_keeps_this_device_alone
    a_login_on_one_device_too_many_ends_the_oldest
    the_longest_lifetime_ends_a_session_in_use
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
    assert!(ada.get("/notes").is_logged_out(), "the cookie was replayed");
}

fn a_login_begins_another_session_and_ends_the_last_one(start: Start) {
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

fn of_many_views_at_once_none_is_lost(start: Start) {
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

fn a_name_is_registered_once(start: Start) {
    let application = start(&[]);
    let mut ada = Visitor::logged_in(&application, "ada");
    ada.submit("/notes", "/notes", &[("body", "private")]);

    let mut other = Visitor::of(&application);
    for name in ["ada", "Ada", " ada "] {
        let refused = other.register(name, "another password");
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains("This name is taken."));
    }
    assert_eq!(other.log_in("ada", "another password").status, 422);
    assert!(other.get("/notes").is_logged_out());
    assert_eq!(other.log_in("ada", PASSWORD).status, 303);
    assert!(other.get("/notes").body.contains("private"));
}

fn a_cookie_that_names_no_session_begins_an_anonymous_one(start: Start) {
    let application = start(&[]);
    // A session of each form's, that is over.
    let mut visitor = Visitor::logged_in(&application, "ada");
    let dead = visitor.cookie.clone().unwrap();
    visitor.submit("/notes", "/logout", &[]);

    let bad = [
        dead,
        format!("{COOKIE}="),
        format!("{COOKIE}=garbage"),
        format!("{COOKIE}=';DROP TABLE session--"),
        format!("{COOKIE}=%00%ff"),
        format!("{COOKIE}=AAAAAAAAAAAAAAAAAAAAAA"),
        format!("{COOKIE}={}", "A".repeat(10_000)),
        format!("{COOKIE}=garbage; {COOKIE}=AAAAAAAAAAAAAAAAAAAAAA"),
        format!("{COOKIE}=AAAAAAAAAAAAAAAAAAAAAA; {COOKIE}=AAAAAAAAAAAAAAAAAAAAAQ"),
        "no cookie at all;;=;".to_owned(),
    ];
    for bad in bad {
        let mut visitor = Visitor::of(&application);
        visitor.cookie = Some(bad.clone());
        assert!(visitor.get("/notes").is_logged_out(), "{bad}");
        visitor.cookie = Some(bad.clone());
        let page = visitor.get("/login");
        assert_eq!(page.status, 200, "{bad}");
        let fresh = visitor.cookie.clone().unwrap();
        assert!(!bad.contains(&fresh), "{bad}");
        // It is a session like any other.
        assert_eq!(visitor.get("/login").token(), page.token(), "{bad}");
        assert_eq!(visitor.cookie, Some(fresh));
    }
}

fn a_form_without_its_own_sessions_token_is_refused(start: Start) {
    let application = start(&[]);
    let mut ada = Visitor::logged_in(&application, "ada");
    let mut eve = Visitor::logged_in(&application, "eve");
    let strange = eve.get("/notes").token();
    let account = [("name", "mallory"), ("password", PASSWORD)];
    let forms: [(&str, &[_]); 7] = [
        ("/register", &account),
        ("/login", &account),
        ("/logout", &[]),
        ("/notes", &[("body", "forged")]),
        ("/notes/delete", &[("note", "1")]),
        ("/devices/end", &[("device", "00")]),
        ("/devices/end-others", &[]),
    ];
    for (action, fields) in forms {
        assert_eq!(ada.post(action, fields).status, 403, "{action}");
        for wrong in ["", "0", &strange] {
            let answer = ada.post(action, &[fields, &[("csrf", wrong)]].concat());
            assert_eq!(answer.status, 403, "{action}");
        }
    }
    assert!(!ada.get("/notes").body.contains("forged"));

    // Nor does the absence of a session pass for a token.
    let mut nobody = Visitor::of(&application);
    assert_eq!(nobody.post("/login", &[account[0], account[1], ("csrf", "")]).status, 403);
}

fn no_input_is_our_failure(start: Start) {
    let application = start(&[]);
    let long = "x".repeat(10_000);
    let mut visitor = Visitor::of(&application);
    for strange in ["", "a\0b", "\u{1F600}", "' OR 1=1 --", &long] {
        assert_eq!(visitor.register(strange, PASSWORD).status, 422, "{strange:?}");
        assert_eq!(visitor.log_in(strange, PASSWORD).status, 422, "{strange:?}");
        assert_eq!(visitor.log_in("ada", strange).status, 422, "{strange:?}");
    }
    assert_eq!(visitor.submit("/login", "/login", &[("name", "ada")]).status, 400);

    let mut ada = Visitor::logged_in(&application, "ada");
    for strange in ["", "a\0b", &long] {
        assert_eq!(ada.submit("/notes", "/notes", &[("body", strange)]).status, 422, "{strange:?}");
    }
    let too_long = "x".repeat(100_000);
    assert_eq!(ada.submit("/notes", "/notes", &[("body", &too_long)]).status, 400);
    for strange in ["", "-1", "99999999999999999999", "one"] {
        assert_eq!(ada.submit("/notes", "/notes/delete", &[("note", strange)]).status, 303);
        assert_eq!(ada.submit("/devices", "/devices/end", &[("device", strange)]).status, 303);
    }
    assert_eq!(ada.get("/nowhere").status, 404);
    assert_eq!(ada.get("/logout").status, 405);
    assert!(!application.log().contains("ERROR"), "{}", application.log());
}

fn a_user_reaches_only_what_is_theirs(start: Start) {
    let application = start(&[]);
    let mut ada = Visitor::logged_in(&application, "ada");
    let mut eve = Visitor::logged_in(&application, "eve");
    ada.submit("/notes", "/notes", &[("body", "private")]);
    let page = ada.get("/notes");
    let note = page.between(r#"name="note" value=""#, "\"").unwrap();
    let page = ada.get("/devices");
    let device = page.between(r#"name="device" value=""#, "\"").unwrap();

    eve.submit("/notes", "/notes/delete", &[("note", note)]);
    eve.submit("/devices", "/devices/end", &[("device", device)]);
    assert!(!eve.get("/notes").body.contains("private"));
    assert!(!eve.get("/devices").body.contains(device));
    assert!(ada.get("/notes").body.contains("private"));
}

/// Three sessions of one user.
fn devices(application: &Application) -> [Visitor; 3] {
    let mut first = Visitor::logged_in(application, "ada");
    let mut others = [Visitor::of(application), Visitor::of(application)];
    for other in &mut others {
        other.log_in("ada", PASSWORD);
    }
    assert_eq!(first.get("/devices").body.matches("Another device").count(), 2);
    let [second, third] = others;
    [first, second, third]
}

fn log_out_of_one_device_ends_that_one_alone(start: Start) {
    let application = start(&[]);
    let [mut first, mut second, mut third] = devices(&application);
    let page = second.get("/devices");
    let this = page.between("This device", "</li>").unwrap();
    let handle = this.split_once(r#"name="device" value=""#).unwrap().1.split_once('"').unwrap().0;

    first.submit("/devices", "/devices/end", &[("device", handle)]);
    assert!(second.get("/notes").is_logged_out());
    assert_eq!(first.get("/notes").status, 200);
    assert_eq!(third.get("/notes").status, 200);
}

fn log_out_everywhere_else_keeps_this_device_alone(start: Start) {
    let application = start(&[]);
    let [mut first, mut second, mut third] = devices(&application);
    let mut eve = Visitor::logged_in(&application, "eve");
    second.submit("/devices", "/devices/end-others", &[]);
    assert!(first.get("/notes").is_logged_out());
    assert!(third.get("/notes").is_logged_out());
    assert_eq!(second.get("/devices").body.matches("Another device").count(), 0);
    assert_eq!(eve.get("/notes").status, 200);
}

fn a_login_on_one_device_too_many_ends_the_oldest(start: Start) {
    let application = start(&[]);
    let mut first = Visitor::logged_in(&application, "ada");
    let mut later: Vec<_> = (0..20).map(|_| Visitor::of(&application)).collect();
    for visitor in &mut later[..19] {
        visitor.log_in("ada", PASSWORD);
    }
    assert_eq!(first.get("/devices").body.matches("Another device").count(), 19);
    later[19].log_in("ada", PASSWORD);
    assert!(first.get("/notes").is_logged_out());
    assert_eq!(later[0].get("/devices").body.matches("Another device").count(), 19);
}

fn the_longest_lifetime_ends_a_session_in_use(start: Start) {
    let application = start(&[("MAX_SECONDS", "3")]);
    let mut ada = Visitor::logged_in(&application, "ada");
    let began = Instant::now();
    while ada.get("/notes").status == 200 {
        assert!(began.elapsed() < LATE, "it lives on");
    }
    assert!(ada.get("/notes").is_logged_out());
}

mod answers {
    use crate::support::Application;
    use crate::support::visitor::{PASSWORD, Visitor};

    #[test]
    fn a_failed_login_does_not_tell_what_was_wrong() {
        let application = Application::on_sqlite(&[]);
        let mut visitor = Visitor::of(&application);
        visitor.register("ada", PASSWORD);
        let wrong_password = visitor.log_in("ada", "something else");
        let wrong_name = visitor.log_in("eve", PASSWORD);
        assert_eq!(wrong_password.status, wrong_name.status);
        assert_eq!(wrong_password.body, wrong_name.body.replace(r#"value="eve""#, r#"value="ada""#));
    }

    #[test]
    fn a_page_is_kept_nowhere_and_runs_no_script() {
        let application = Application::on_sqlite(&[]);
        let mut ada = Visitor::logged_in(&application, "ada");
        for path in ["/login", "/register", "/notes", "/devices", "/nowhere"] {
            let page = ada.get(path);
            assert_eq!(page.header("cache-control"), "no-store", "{path}");
            assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
            assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        }
        assert_eq!(ada.get("/style.css").header("cache-control"), "max-age=3600");
    }

    #[test]
    fn the_cookie_is_insecure_only_where_that_was_asked_for() {
        for (setting, name, secure) in [("1", "id", false), ("0", "__Host-id", true), ("", "__Host-id", true)]
        {
            let application = Application::on_sqlite(&[("INSECURE_COOKIES", setting)]);
            let page = Visitor::of(&application).get("/login");
            let cookie = page.header("set-cookie");
            assert!(cookie.starts_with(&format!("{name}=")), "{cookie}");
            assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
            assert!(cookie.contains("; HttpOnly; SameSite=Lax; "), "{cookie}");
            assert!(cookie.contains("; Path=/; Max-Age=1800"), "{cookie}");
        }
    }

    #[test]
    fn everything_lies_in_one_sqlite_file_by_default() {
        let application = Application::on_sqlite(&[]);
        Visitor::logged_in(&application, "ada");
        assert!(application.files().contains(&"diesel-session-web.db".to_owned()));
        let files = application.files();
        assert!(files.iter().all(|file| file == "log" || file.starts_with("diesel-session-web.db")));
    }
}
