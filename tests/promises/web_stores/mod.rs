//! The common promises of the stores for both web frameworks: a logout is final, a double login works, and saves lose
//! nothing.

mod frameworks;
mod importing;
mod interleavings;
mod lost_answers;
mod orders;
mod renewals;
mod saves;

/// Makes a test of each law for each framework on each host. A law is an asynchronous function that is generic over
/// both.
macro_rules! laws_of_both_frameworks {
    ($($law:ident)*) => {
        laws_of_both_frameworks! { @framework with_tower_sessions Tower $($law)* }
        laws_of_both_frameworks! { @framework with_actix_session Actix $($law)* }
    };
    (@framework $module:ident $framework:ident $($law:ident)*) => {
        mod $module {
            $(
                mod $law {
                    use crate::hosts::{Asynchronous, Host, OnMariaDb, OnPostgres, OnSqlite};
                    use crate::waiting::runtime;
                    use crate::web_stores::frameworks::$framework;

                    #[test]
                    fn on_sqlite() {
                        type Web = <OnSqlite as Host>::Web;
                        runtime().block_on(super::super::$law::<OnSqlite, $framework<Web>>());
                    }

                    #[test]
                    fn on_mysql() {
                        type Web = <OnMariaDb as Host>::Web;
                        runtime().block_on(super::super::$law::<OnMariaDb, $framework<Web>>());
                    }

                    #[test]
                    fn on_postgres() {
                        type Web = <OnPostgres as Host>::Web;
                        runtime().block_on(super::super::$law::<OnPostgres, $framework<Web>>());
                    }

                    #[test]
                    fn without_blocking() {
                        type Web = <Asynchronous as Host>::Web;
                        runtime().block_on(super::super::$law::<Asynchronous, $framework<Web>>());
                    }
                }
            )*
        }
    };
}
use laws_of_both_frameworks;
