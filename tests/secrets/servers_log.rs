//! What a PostgreSQL server logs of sessions, by the settings of its administrator. SECURITY.md describes it.

use diesel_session::{Now as _, Sessions as _};
use throwaway_postgres::Server;

use crate::support::{Database, Sql as _};
use crate::{OWNER, VALUE};

/// Returns the log of such a server and the keys. The server has had sessions with the value and the owner, and an
/// error about a row.
fn log(settings: &[&str]) -> (String, Vec<String>) {
    let server = Server::start(settings).unwrap();
    let database = Database::on(&server.url("postgres"));
    let store = database.store();
    let mut keys = vec![store.generate(Some(VALUE), None).unwrap()];
    keys.push(store.generate_for(OWNER, Some(VALUE), None).unwrap());
    keys.push(store.rotate(&keys[0]).unwrap());
    // The condition that makes the row fail contains neither our value nor our owner.
    database.conn().run("ALTER TABLE session ADD CHECK (length(session_data) <> 15)");
    store.set(&keys[1], &format!("{VALUE}!"), None).unwrap_err();
    let keys = keys.iter().map(|key| key.as_str().to_owned()).collect();
    (server.log().unwrap(), keys)
}

#[test]
fn a_servers_log_never_has_keys_and_has_values_and_owners_only_if_a_row_fails_or_parameters_are_logged() {
    let ordinary: &[&str] = &[];
    let terse = &["log_error_verbosity=terse"][..];
    let statements = &["log_statement=all"][..];
    let without_parameters =
        &["log_statement=all", "log_parameter_max_length=0", "log_error_verbosity=terse"][..];
    for (settings, shows) in
        [(ordinary, true), (terse, false), (statements, true), (without_parameters, false)]
    {
        let (log, keys) = log(settings);
        assert!(log.contains("violates check constraint"), "{log}");
        assert_eq!(log.contains(VALUE), shows, "{settings:?}: {log}");
        assert_eq!(log.contains(OWNER), shows, "{settings:?}: {log}");
        assert!(keys.iter().all(|key| !log.contains(key.as_str())), "{settings:?}: {log}");
    }
}
