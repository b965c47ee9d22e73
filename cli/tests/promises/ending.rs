//! `end`.

use diesel_session::{Error, Now as _, Sessions as _};

use crate::support::{Database, counts, on_each_database};

on_each_database! {
    end_ends_the_sessions_of_an_owner
    end_can_keep_one_session_of_an_owner
    end_ends_one_session_by_its_handle
    end_ends_all_sessions
    nothing_ends_without_a_yes
    whoever_has_no_session_is_named
    a_session_that_is_being_renewed_ends_as_well
}

fn end_ends_the_sessions_of_an_owner<D: Database>(database: &D) {
    let store = database.migrated();
    let keys: Vec<_> = (0..3).map(|_| store.generate_for("alice", None, None).unwrap()).collect();
    store.generate_for("bob", None, None).unwrap();
    assert_eq!(database.run(&["end", "--owner", "alice", "--yes"]), "3 sessions ended\n");
    assert!(keys.iter().all(|key| matches!(store.get(key), Err(Error::NotFound))));
    assert_eq!(counts(&store), (1, 0));
}

fn end_can_keep_one_session_of_an_owner<D: Database>(database: &D) {
    let store = database.migrated();
    let keys: Vec<_> = (0..3).map(|_| store.generate_for("alice", None, None).unwrap()).collect();
    let kept = store.handle(&keys[1]).to_string();
    assert_eq!(database.run(&["end", "--owner", "alice", "--keep", &kept, "--yes"]), "2 sessions ended\n");
    assert!(matches!(store.get(&keys[1]), Err(Error::NotSet)));
    assert_eq!(counts(&store), (1, 0));
    let another = "0".repeat(32);
    let refused = database.fails(&["end", "--owner", "alice", "--keep", &another, "--yes"]);
    assert!(refused.contains("no session was ended"), "{refused}");
    assert_eq!(counts(&store), (1, 0));
}

fn end_ends_one_session_by_its_handle<D: Database>(database: &D) {
    let store = database.migrated();
    let (one, other) = (store.generate(None, None).unwrap(), store.generate(None, None).unwrap());
    let handle = store.handle(&one).to_string();
    assert_eq!(database.run(&["end", "--handle", &handle, "--yes"]), "1 session ended\n");
    assert!(matches!(store.get(&one), Err(Error::NotFound)));
    assert!(matches!(store.get(&other), Err(Error::NotSet)));
    let again = database.fails(&["end", "--handle", &handle, "--yes"]);
    assert!(again.starts_with("no live session has the handle"), "{again}");
}

fn end_ends_all_sessions<D: Database>(database: &D) {
    let store = database.migrated();
    for owner in ["alice", "bob"] {
        store.generate_for(owner, None, None).unwrap();
    }
    let key = store.generate(None, None).unwrap();
    store.rotate(&key).unwrap();
    assert_eq!(database.run(&["end", "--all", "--yes"]), "3 sessions ended\n");
    assert_eq!(counts(&store), (0, 0));
    assert_eq!(database.run(&["end", "--all", "--yes"]), "0 sessions ended\n");
}

fn nothing_ends_without_a_yes<D: Database>(database: &D) {
    let store = database.migrated();
    let keys: Vec<_> = (0..3).map(|_| store.generate_for("alice", None, None).unwrap()).collect();
    let handle = store.handle(&keys[0]).to_string();
    for (arguments, count) in [
        (vec!["end", "--owner", "alice"], "alice has 3 live sessions. End all?"),
        (vec!["end", "--owner", "alice", "--keep", &handle], "alice has 3 live sessions. End all except"),
        (vec!["end", "--handle", &handle], "End the session"),
        (vec!["end", "--all"], "End all 3 live sessions?"),
    ] {
        let asked = database.fails(&arguments);
        assert!(asked.starts_with(count) && asked.contains("--yes"), "{asked}");
        assert_eq!(counts(&store), (3, 0));
    }
}

fn whoever_has_no_session_is_named<D: Database>(database: &D) {
    database.migrated();
    let unknown = database.fails(&["end", "--owner", "carol", "--yes"]);
    assert!(unknown.starts_with("carol had no live session"), "{unknown}");
}

fn a_session_that_is_being_renewed_ends_as_well<D: Database>(database: &D) {
    let store = database.migrated();
    database.run_sql("CREATE TABLE none_left (sessions INTEGER CHECK (sessions = 0))");
    for arguments in [&["end", "--owner", "alice", "--yes"][..], &["end", "--all", "--yes"]] {
        store.generate_for("alice", None, None).unwrap();
        // The row that a web framework's renewal leaves until it is complete.
        database.run_sql(&format!(
            "UPDATE session SET session_key = '!renewed{}', owner = '\u{1}alice', session_data = '-nonce'",
            "a".repeat(32)
        ));
        assert_eq!(counts(&store), (0, 0));
        // It says that no session was live.
        database.command(arguments).output().unwrap();
        database.run_sql("INSERT INTO none_left SELECT count(*) FROM session");
    }
}
