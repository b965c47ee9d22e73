//! Shared code of the fault tests.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_session_faults::{Clients, Kind, Report, Store};

/// This crate's program, which runs the clients.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_diesel-session-faults");

/// The size of a value in bytes, without its number.
pub(crate) const VALUE_SIZE: usize = 100;

/// Starts a MariaDB server that keeps acknowledged writes when it crashes, and a store on an empty database of it.
#[allow(dead_code, reason = "not each file of tests is about MariaDB")]
pub(crate) fn mariadb(settings: &[&str]) -> (throwaway_mariadb::Server, Store) {
    const DURABLE: [&str; 2] = ["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1"];
    let server = throwaway_mariadb::Server::start(&[&DURABLE[..], settings].concat()).unwrap();
    let mut root = MysqlConnection::establish(&server.url("mysql")).unwrap();
    root.batch_execute("CREATE DATABASE app").unwrap();
    let store = Store::new(Kind::Mysql, &server.url("app"));
    (server, store)
}

/// Stops the clients and checks that everything acknowledged is there, and nothing else.
pub(crate) fn holds(clients: Clients, store: &Store) -> Report {
    let report = clients.settle(&*store.open().unwrap()).unwrap();
    println!("{report}");
    assert!(report.holds(), "{report}");
    report
}

/// Generates a test of each law for each store on PostgreSQL.
#[allow(unused_macros, reason = "the tests on MariaDB have one store")]
macro_rules! on_each_store {
    ($($law:ident)*) => {
        $crate::support::on_each_store! { @store blocking Blocking $($law)* }
        $crate::support::on_each_store! { @store asynchronous Asynchronous $($law)* }
        $crate::support::on_each_store! { @store pipelined Pipelined $($law)* }
    };
    (@store $module:ident $kind:ident $($law:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $law() {
                    super::$law(diesel_session_faults::Kind::$kind);
                }
            )*
        }
    };
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use on_each_store;
