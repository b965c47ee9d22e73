//! A table and programs of an earlier version of this crate, together with this version.

use diesel_session::{Error, KeyStorage, MigrationError, Now, Sessions, migrations};

use crate::support::{File, Sql};

/// The statements of version 1.
const OLD_INSERT: &str = "INSERT INTO session (session_key, expire_date, session_data) \
     VALUES ('$old', CAST((julianday('now') - 2440587.5) * 86400000.0 AS BIGINT) + 60000, 'old') \
     ON CONFLICT (session_key) DO NOTHING";
const OLD_UPDATE: &str = "UPDATE session SET session_data = 'older', \
     expire_date = CAST((julianday('now') - 2440587.5) * 86400000.0 AS BIGINT) - 7200000 \
     WHERE session_key = '$old' AND expire_date > CAST((julianday('now') - 2440587.5) * 86400000.0 AS BIGINT)";
const OLD_SWEEP: &str = "DELETE FROM session WHERE session_key IN (SELECT session_key FROM session \
     WHERE expire_date <= CAST((julianday('now') - 2440587.5) * 86400000.0 AS BIGINT) ORDER BY expire_date LIMIT 10)";

#[test]
fn sessions_of_version_one_live_on_and_expire_as_they_would_have_on_sqlite() {
    let file = File::new();
    let mut conn = file.conn();
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261127000003");
    assert_eq!(migrations::revert(&mut conn).unwrap(), "20261125000002");
    let missing = migrations::check(&mut conn, KeyStorage::Hashed);
    assert!(
        matches!(missing, Err(Error::Migration(MigrationError::Missing { versions, .. })) if versions == ["20261125000002", "20261127000003"])
    );
    conn.run(OLD_INSERT);
    conn.run("INSERT INTO session (session_key, expire_date, session_data) VALUES ('$dead', 0, 'dead')");
    assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap(), 2);
    let store = file.store();
    assert_eq!(store.count().unwrap().live, 1);
    assert_eq!(store.delete_expired(10).unwrap(), 1);
    assert_eq!(conn.text("SELECT session_data FROM session"), "old");
}

#[test]
fn a_program_of_version_one_works_on_this_versions_table_on_sqlite() {
    let file = File::new();
    let store = file.store();
    let ours = store.generate(Some("ours"), None).unwrap();
    let mut old = file.conn();
    old.run(OLD_INSERT);
    assert_eq!(store.count().unwrap().live, 2);
    // Each version sweeps the sessions of the other.
    old.run(OLD_UPDATE);
    assert_eq!(store.count().unwrap().expired, 1);
    assert_eq!(store.delete_expired(10).unwrap(), 1);
    store.generate(None, Some(diesel_session::TimeDelta::hours(-2))).unwrap();
    old.run(OLD_SWEEP);
    assert_eq!(store.count().unwrap().expired, 0);
    assert_eq!(store.get(&ours).unwrap().0, "ours");
}
