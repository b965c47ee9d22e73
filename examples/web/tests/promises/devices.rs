//! Tests of the list of devices and of signing them out.

use crate::support::visitor::{PASSWORD, Visitor};
use crate::support::{Application, Start, laws_on_both_databases};

laws_on_both_databases! {
    signing_out_one_device_ends_only_its_session
    signing_out_of_all_other_sessions_keeps_only_this_device
    a_login_beyond_the_device_limit_ends_the_oldest_session
    each_device_is_named_after_its_browser_at_the_login
}

/// Logs one user in on three devices.
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

fn signing_out_one_device_ends_only_its_session(start: Start) {
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

fn signing_out_of_all_other_sessions_keeps_only_this_device(start: Start) {
    let application = start(&[]);
    let [mut first, mut second, mut third] = devices(&application);
    let mut eve = Visitor::logged_in(&application, "eve");
    second.submit("/devices", "/devices/end-others", &[]);
    assert!(first.get("/notes").is_logged_out());
    assert!(third.get("/notes").is_logged_out());
    let page = second.get("/devices").body;
    assert!(page.contains("This device") && !page.contains("Another device"), "{page}");
    assert_eq!(eve.get("/notes").status, 200);
}

fn a_login_beyond_the_device_limit_ends_the_oldest_session(start: Start) {
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

fn each_device_is_named_after_its_browser_at_the_login(start: Start) {
    let application = start(&[]);
    let mut ada = Visitor::logged_in(&application, "ada");
    let agents = [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("<b>Firefox/140.0</b>", "Unknown device"),
    ];
    for (agent, name) in agents {
        let mut other = Visitor::of(&application);
        other.user_agent = agent;
        other.log_in("ada", PASSWORD);
        other.user_agent = "Chrome/138 on Windows";
        let page = other.get("/devices");
        let this = page.between("This device", "</li>").unwrap();
        assert!(this.contains(name), "{this}");
    }
    let page = ada.get("/devices").body;
    assert_eq!(page.matches("Firefox on Linux").count(), 1, "{page}");
    assert_eq!(page.matches("Unknown device").count(), 2, "{page}");
}
