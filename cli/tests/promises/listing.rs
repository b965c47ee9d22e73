//! `list`.

use std::collections::BTreeSet;

use diesel_session::{NewSession, Now as _, Sessions as _, TimeDelta};

use crate::support::{Database, on_each_database, text};

on_each_database! {
    list_shows_live_sessions_without_keys_and_values
    list_goes_page_by_page
    list_can_show_one_owner
    list_can_print_json
    json_cannot_control_a_terminal
    list_is_empty_without_sessions
    no_text_of_a_session_controls_the_terminal
}

fn list_shows_live_sessions_without_keys_and_values<D: Database>(database: &D) {
    let store = database.migrated();
    let login = NewSession::new().owner("alice").label("Firefox on Linux").value("secret cart");
    let key = store.generate_with(&login.period(TimeDelta::minutes(30))).unwrap();
    store.generate(Some("gone"), Some(TimeDelta::zero())).unwrap();
    let shown = database.run(&["list"]);
    assert_eq!(shown.lines().count(), 2, "{shown}");
    for part in [&store.handle(&key).to_string(), "alice", "Firefox on Linux", "29m 5"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for secret in [key.as_str(), "secret cart"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(database.run(&["list", "--values"]).contains("secret cart"));
}

fn list_goes_page_by_page<D: Database>(database: &D) {
    let store = database.migrated();
    let handles: BTreeSet<String> =
        (0..7).map(|_| store.handle(&store.generate(None, None).unwrap()).to_string()).collect();
    let (mut seen, mut pages, mut after) = (BTreeSet::new(), 0, None::<String>);
    loop {
        let mut arguments = vec!["list", "--limit", "3"];
        if let Some(cursor) = &after {
            arguments.extend(["--after", cursor]);
        }
        let output = database.command(&arguments).output().unwrap();
        let rows = text(output.stdout);
        seen.extend(rows.lines().skip(1).map(|row| row.split(' ').next().unwrap().to_owned()));
        pages += 1;
        match text(output.stderr).trim_end().strip_prefix("for the next page: --after ") {
            Some(cursor) => after = Some(cursor.to_owned()),
            None => break,
        }
    }
    assert_eq!((seen, pages), (handles, 3));
}

fn list_can_show_one_owner<D: Database>(database: &D) {
    let store = database.migrated();
    store.generate_for("alice", None, None).unwrap();
    let bobs = store.generate_for("bob", None, None).unwrap();
    let shown = database.run(&["list", "--owner", "bob"]);
    assert!(shown.contains(&store.handle(&bobs).to_string()) && !shown.contains("alice"), "{shown}");
}

fn list_can_print_json<D: Database>(database: &D) {
    let store = database.migrated();
    for _ in 0..2 {
        store.generate_with(&NewSession::new().owner("alice").value("{\"cart\":3}")).unwrap();
    }
    let page =
        |arguments: &[&str]| -> serde_json::Value { serde_json::from_str(&database.run(arguments)).unwrap() };
    let first = page(&["list", "--json", "--limit", "1"]);
    let session = &first["sessions"][0];
    assert_eq!(session["owner"], "alice");
    assert!(session.get("value").is_none() && session["label"].is_null(), "{session}");
    assert!(session["left_seconds"].as_i64().unwrap() > 6 * 24 * 3600, "{session}");
    assert!(session["expires"].as_str().unwrap() > session["created"].as_str().unwrap());
    let cursor = first["next"].as_str().unwrap();
    let second = page(&["list", "--json", "--values", "--limit", "1", "--after", cursor]);
    assert_eq!(second["sessions"][0]["value"], "{\"cart\":3}");
    assert_ne!(second["sessions"][0]["handle"], session["handle"]);
    assert!(second["next"].is_null());
}

fn list_is_empty_without_sessions<D: Database>(database: &D) {
    database.migrated();
    assert_eq!(database.run(&["list"]), "");
    assert_eq!(database.run(&["list", "--json"]), "{\n  \"next\": null,\n  \"sessions\": []\n}\n");
}

/// The browser's name is often a label, and the browser chooses it.
fn no_text_of_a_session_controls_the_terminal<D: Database>(database: &D) {
    let store = database.migrated();
    let evil = "\u{1b}[2J\u{202e}\n\u{9b}31m";
    store.generate_with(&NewSession::new().owner(evil).label(evil).value(evil)).unwrap();
    let shown = database.run(&["list", "--values"]);
    assert_eq!(shown.lines().count(), 2, "{shown:?}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{shown:?}");
    let ended = database.fails(&["end", "--owner", evil]);
    assert!(!ended.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{ended:?}");
}

fn json_cannot_control_a_terminal<D: Database>(database: &D) {
    let owner = "\u{9b}2J\u{202e}\u{1b}[2J";
    database.migrated().generate_for(owner, None, None).unwrap();
    let said = database.run(&["list", "--json"]);
    assert!(said.contains("\"owner\": \"\\u009b2J\\u202e\\u001b[2J\""), "{said}");
    let read: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(read["sessions"][0]["owner"], owner);
}
