//! Web applications whose visitors log in and out while the test kills the server or a client.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "the figures, for runs with --nocapture")]

mod support;

use std::ops::DerefMut;
use std::time::Duration;

use diesel_session_faults::{Clients, DURABLE, Framework, Kind, Store, mariadb};
use throwaway_postgres::Supervised;

use crate::support::{PROGRAM, VALUE_SIZE, holds};

type Server = Box<dyn DerefMut<Target = Supervised>>;

/// Starts a server, and returns a store on it that visitors use through the framework.
fn setting(kind: Kind, framework: Framework) -> (Server, Store) {
    let (server, store): (Server, _) = if kind == Kind::Mysql {
        let (server, store) = mariadb::start(&[]).unwrap();
        (Box::new(server), store)
    } else {
        let server = throwaway_postgres::Server::start(&DURABLE).unwrap();
        let store = Store::new(kind, &server.url("postgres"));
        (Box::new(server), store)
    };
    (server, store.through(framework))
}

/// Generates a test of each law for each framework, on the blocking store, on the asynchronous one and on MariaDB.
macro_rules! on_each_framework {
    ($($law:ident)*) => {
        on_each_framework! { @framework tower_sessions TowerSessions $($law)* }
        on_each_framework! { @framework actix_session ActixSession $($law)* }
    };
    (@framework $module:ident $framework:ident $($law:ident)*) => {
        mod $module {
            use diesel_session_faults::{Framework, Kind};

            // Reads that share connections make no difference here.
            crate::support::on_each_store! { @store blocking Blocking $($law)* }
            crate::support::on_each_store! { @store asynchronous Asynchronous $($law)* }
            crate::support::on_each_store! { @store mariadb Mysql $($law)* }

            $(
                fn $law(kind: Kind) {
                    crate::$law(Framework::$framework, kind);
                }
            )*

            #[test]
            fn killing_a_client_during_logins_loses_and_revives_nothing_on_sqlite() {
                crate::the_client_goes_on_sqlite(Framework::$framework);
            }
        }
    };
}

on_each_framework! {
    killing_the_server_during_logins_loses_and_revives_nothing
    a_logout_after_a_failed_login_is_final
    killing_a_client_during_logins_loses_and_revives_nothing
}

fn killing_the_server_during_logins_loses_and_revives_nothing(framework: Framework, kind: Kind) {
    let (mut server, store) = setting(kind, framework);
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 8).unwrap();
    for kill in [Supervised::kill, Supervised::kill_all, Supervised::kill] {
        clients.wait_for(200).unwrap();
        clients.note_fault();
        kill(&mut server).unwrap();
        server.start_again().unwrap();
    }
    clients.wait_for(200).unwrap();
    let report = holds(clients, &store);
    // If the server is back well before a call's deadline, the store retries every call.
    let is_back_in_time = report.longest_outage < store.connection_timeout / 2;
    assert!(report.errors.is_empty() || !is_back_in_time, "{report}");
}

/// The server is away for longer than a call may take: it is paused, or it is killed. A visitor then does not know the
/// outcome of a login, and logs out until that is acknowledged.
fn a_logout_after_a_failed_login_is_final(framework: Framework, kind: Kind) {
    const SHORT: Duration = Duration::from_millis(300);
    let (mut server, store) = setting(kind, framework);
    let store = store.timeouts(SHORT, SHORT);
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    clients.start(&store, 24).unwrap();
    clients.wait_for(200).unwrap();
    clients.note_fault();
    server.pause().unwrap();
    clients.wait_for_errors(48).unwrap();
    server.resume().unwrap();
    clients.wait_for(200).unwrap();
    clients.note_fault();
    server.kill_all().unwrap();
    clients.wait_for_errors(48).unwrap();
    server.start_again().unwrap();
    clients.wait_for(200).unwrap();
    let report = holds(clients, &store);
    assert!(report.failed_logins > 0, "no login failed: {report}");
}

fn killing_a_client_during_logins_loses_and_revives_nothing(framework: Framework, kind: Kind) {
    let (_server, store) = setting(kind, framework);
    the_client_goes(&store);
}

fn the_client_goes_on_sqlite(framework: Framework) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.sqlite");
    the_client_goes(&Store::new(Kind::Sqlite, file.to_str().unwrap()).through(framework));
}

/// One client is killed, and the other goes on.
fn the_client_goes(store: &Store) {
    let mut clients = Clients::new(PROGRAM.as_ref(), VALUE_SIZE);
    for _ in 0..3 {
        clients.start(store, 8).unwrap();
        clients.start(store, 8).unwrap();
        clients.wait_for(150).unwrap();
        clients.kill_one().unwrap();
        clients.wait_for(50).unwrap();
        clients.kill_one().unwrap();
    }
    let report = holds(clients, store);
    assert!(report.errors.is_empty(), "{report}");
    assert!(report.parked > 0, "no login was cut off: {report}");
}
