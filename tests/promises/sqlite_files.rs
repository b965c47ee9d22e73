//! SQLite as applications use it: their own pools, addresses in the style of other libraries, and the loss of power.

use diesel::SqliteConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_session::{DieselSession, Error, Expiry, Now as _, Sessions as _, Synchronous};

use crate::support::{File, Sql as _, Sqlite, at_once};

#[test]
fn a_hosts_plain_sqlite_pool_serves_eight_threads() {
    let file = File::new();
    let manager = ConnectionManager::<SqliteConnection>::new(&file.path);
    let sessions = DieselSession::new(Pool::builder().max_size(8).build(manager).unwrap());
    sessions.migrate().unwrap();
    let failed = at_once(8, |_| {
        let key = sessions.generate(Some("a"), None).unwrap();
        (0..40)
            .filter_map(|number| match number % 4 {
                0 => sessions.update(&key, Expiry::Default, |_| Ok::<_, Error>("b".to_owned())).err(),
                1 => sessions.bind(&key, "alice").err(),
                _ => sessions.set(&key, &number.to_string(), None).err(),
            })
            .count()
    });
    assert_eq!(failed.iter().sum::<usize>(), 0, "of 320 writes failed");
}

/// If the application sets how long a connection waits, its choice counts.
#[test]
fn a_hosts_own_busy_timeout_stays() {
    #[derive(Debug)]
    struct Patient;
    impl diesel::r2d2::CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Patient {
        fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
            conn.run("PRAGMA busy_timeout = 77");
            Ok(())
        }
    }
    let file = File::new();
    let manager = || ConnectionManager::<SqliteConnection>::new(&file.path);
    let theirs =
        Pool::builder().max_size(1).connection_customizer(Box::new(Patient)).build(manager()).unwrap();
    let plain = Pool::builder().max_size(1).build(manager()).unwrap();
    for (pool, expected) in [(theirs, 77), (plain, 5_000)] {
        let sessions = DieselSession::new(pool);
        sessions.migrate().unwrap();
        sessions.generate(None, None).unwrap();
        let mut conn = sessions.pool().get().unwrap();
        assert_eq!(conn.number("SELECT timeout FROM pragma_busy_timeout"), expected);
    }
}

#[test]
fn an_address_of_another_library_makes_no_file_of_that_name() {
    for url in [
        "sqlite:app.db",
        "sqlite::memory:",
        "SQLite:app.db",
        "sqlite:/tmp/app.db",
        "postgres://app@db.example/shop",
        "postgresql://app@db.example/shop",
        "mysql://app@db.example/shop",
        "mariadb://app@db.example/shop",
    ] {
        for refused in [Sqlite::connect(url), Sqlite::builder().test_transaction(url)] {
            let Err(error @ Error::Configuration { setting: "connection", .. }) = refused else {
                panic!("{url}")
            };
            assert!(error.to_string().contains("`:memory:`"), "{error}");
        }
    }
    let file = File::new();
    for url in [file.path.clone(), format!("sqlite://{}", file.path), format!("file:{}", file.path)] {
        Sqlite::connect(&url).unwrap().migrate().unwrap();
    }
    for url in [":memory:", "file::memory:", "sqlite://:memory:"] {
        let sessions = Sqlite::connect(url).unwrap();
        sessions.migrate().unwrap();
        sessions.generate(None, None).unwrap();
    }
    let strays = std::fs::read_dir(".").unwrap().map(|entry| entry.unwrap().file_name());
    assert!(strays.into_iter().all(|name| !name.to_string_lossy().contains(':')));
}

fn synchronous(store: &Sqlite) -> (String, i64) {
    let mut conn = store.pool().get().unwrap();
    let mode = conn.text("SELECT journal_mode FROM pragma_journal_mode");
    (mode, conn.number("SELECT synchronous FROM pragma_synchronous"))
}

/// 1 is NORMAL, 2 is FULL.
#[test]
fn connections_wait_for_the_disk_at_checkpoints_or_at_each_commit_as_asked_for() {
    let file = File::new();
    let normal = file.store();
    assert_eq!(synchronous(&normal), ("wal".to_owned(), 1));
    let full = file.store_with(Sqlite::builder().synchronous(Synchronous::Full));
    assert_eq!(synchronous(&full), ("wal".to_owned(), 2));
}

/// Some files cannot use a write-ahead log. This one cannot because another file beside it serves as its lock.
#[test]
fn a_file_without_a_write_ahead_log_waits_for_the_disk_at_each_commit() {
    let file = File::new();
    let store = Sqlite::connect(&format!("file:{}?vfs=unix-dotfile", file.path)).unwrap();
    store.migrate().unwrap();
    store.generate(None, None).unwrap();
    assert_eq!(synchronous(&store), ("delete".to_owned(), 2));
}
