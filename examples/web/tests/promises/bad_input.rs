//! Tests of input that no browser sends: cookies, forms and text. None may cause an internal error or have an effect.

use crate::support::visitor::{COOKIE, PASSWORD, Visitor};
use crate::support::{Start, laws_on_both_databases};

laws_on_both_databases! {
    a_cookie_without_a_session_begins_a_new_anonymous_session
    a_form_without_the_token_of_its_session_is_refused
    no_input_causes_an_internal_error
}

fn a_cookie_without_a_session_begins_a_new_anonymous_session(start: Start) {
    let application = start(&[]);
    // A session in the form of each store, which has ended.
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
        // The new session is like any other.
        assert_eq!(visitor.get("/login").token(), page.token(), "{bad}");
        assert_eq!(visitor.cookie, Some(fresh));
    }
}

fn a_form_without_the_token_of_its_session_is_refused(start: Start) {
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

    // An empty token is not accepted without a session either.
    let mut nobody = Visitor::of(&application);
    assert_eq!(nobody.post("/login", &[account[0], account[1], ("csrf", "")]).status, 403);
}

fn no_input_causes_an_internal_error(start: Start) {
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
