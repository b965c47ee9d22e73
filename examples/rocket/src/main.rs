//! A small shop on Rocket. Its sessions are in the same database as its orders, and both use the connections of
//! Rocket's own pool.
//!
//! `cargo run -p rocket_sessions` needs no configuration. It keeps everything in `rocket_sessions.db` in the working
//! directory. Then, from another terminal:
//!
//! ```sh
//! curl -b jar -c jar -X POST localhost:8000/cart/1
//! curl -b jar -c jar -d name=alice -d password=wonderland localhost:8000/sign-in
//! curl -b jar -c jar localhost:8000/devices
//! curl -b jar -c jar -X POST localhost:8000/orders
//! curl -b jar -c jar -X POST localhost:8000/sign-out
//! ```
//!
//! Do not set Rocket's log level to `debug` in production. Rocket then prints the headers of each request, and with them
//! the keys in its cookies. The other levels print no key.
//!
//! | file | what it does |
//! |---|---|
//! | `session.rs` | the request guard: the cookie, its key, and the live session |
//! | `routes.rs` | what each request does: sign in and out, cart, orders, devices |
//! | `shop.rs` | the shop's own tables and queries |
//! | `failure.rs` | the answers to requests that are not served |

mod failure;
mod routes;
mod session;
mod shop;

use std::error::Error;
use std::sync::Arc;

use diesel::SqliteConnection;
use diesel_session::{DieselSession, Options, Sweeper};
use rocket::fairing::{self, AdHoc};
use rocket::{Build, Rocket, error};

use session::Db;

/// The maximum size of a session's value, in bytes. A cart of some hundred products fits.
const LARGEST_CART: usize = 400;

#[rocket::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // `Rocket.toml` and the environment can name another file.
    let settings = rocket::Config::figment().join(("databases.shop.url", "rocket_sessions.db"));
    let url: String = settings.extract_inner("databases.shop.url")?;
    let sessions =
        DieselSession::<SqliteConnection>::builder().recommended_timeouts().value_limit(LARGEST_CART);
    let shop = rocket::custom(settings)
        .manage(Arc::new(sessions.options()?))
        .attach(Db::fairing())
        .attach(AdHoc::try_on_ignite("Tables", make_tables))
        .mount("/", routes::all())
        .ignite()
        .await?;
    // Deletes expired sessions until it is dropped. It needs a store, which has one connection of its own.
    let _sweeper = Sweeper::builder(sessions.pool_size(1).connect(&url)?)
        .on_error(|error| error!("expired sessions were not deleted: {error:?}"))
        .start()?;
    shop.launch().await?;
    Ok(())
}

/// Creates the missing tables: the session table and the shop's own.
async fn make_tables(rocket: Rocket<Build>) -> fairing::Result {
    let (Some(options), Some(db)) =
        (rocket.state::<Arc<Options>>().map(Arc::clone), Db::get_one(&rocket).await)
    else {
        return Err(rocket);
    };
    let made = db.run(move |conn| {
        options.table().migrate(conn)?;
        shop::make_tables(conn)
    });
    match made.await {
        Ok(()) => Ok(rocket),
        Err(error) => {
            error!("the tables cannot be created: {error:?}");
            Err(rocket)
        }
    }
}
