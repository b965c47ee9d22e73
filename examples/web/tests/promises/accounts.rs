//! Tests of names and of what belongs to a user.

use crate::support::visitor::{PASSWORD, Visitor};
use crate::support::{Application, Start, laws_on_both_databases};

laws_on_both_databases! {
    a_name_is_registered_once
    a_user_can_reach_only_their_own_notes_and_devices
}

fn a_name_is_registered_once(start: Start) {
    let application = start(&[]);
    let mut ada = Visitor::logged_in(&application, "ada");
    ada.submit("/notes", "/notes", &[("body", "private")]);

    let mut other = Visitor::of(&application);
    for name in ["ada", "Ada", " ada "] {
        let refused = other.register(name, "another password");
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains("This name is already taken."));
    }
    assert_eq!(other.log_in("ada", "another password").status, 422);
    assert!(other.get("/notes").is_logged_out());
    assert_eq!(other.log_in("ada", PASSWORD).status, 303);
    assert!(other.get("/notes").body.contains("private"));
}

fn a_user_can_reach_only_their_own_notes_and_devices(start: Start) {
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
