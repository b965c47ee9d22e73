//! Tests of the headers of every response, and of the files on disk.

use crate::support::Application;
use crate::support::visitor::Visitor;

#[test]
fn pages_are_not_cached_and_run_no_scripts() {
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
fn the_cookie_is_insecure_only_if_the_setting_says_so() {
    for (setting, name, secure) in [("1", "id", false), ("0", "__Host-id", true), ("", "__Host-id", true)] {
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
fn everything_is_in_one_sqlite_file_by_default() {
    let application = Application::on_sqlite(&[]);
    Visitor::logged_in(&application, "ada");
    assert!(application.files().contains(&"diesel-session-web.db".to_owned()));
    let files = application.files();
    assert!(files.iter().all(|file| file == "log" || file.starts_with("diesel-session-web.db")));
}
