//! Shared code of the fault tests.

use diesel_session_faults::{Clients, Report, Store};

/// This crate's program, which runs the clients.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_diesel-session-faults");

/// The size of a value in bytes, without its number.
pub(crate) const VALUE_SIZE: usize = 100;

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
