//! Changes a session and the application's own data in one transaction, so either both are kept or neither is.
//!
//! `cargo run --example one_transaction --features sqlite-bundled`

#![allow(clippy::print_stdout, reason = "the example prints what it does")]

use std::error::Error as StdError;

use diesel::prelude::*;
use diesel::sql_query;
use diesel_session::{DieselSession, Now};

diesel::table! {
    /// The application's own table.
    orders (id) {
        /// The order's number.
        id -> Integer,
        /// The item that was ordered.
        item -> Text,
    }
}

fn main() -> Result<(), Box<dyn StdError>> {
    let sessions = DieselSession::<SqliteConnection>::connect(":memory:")?;
    sessions.migrate()?;
    let key = sessions.generate(Some("cart: a book"), None)?;

    // The connection comes from the store's pool here. It can be any connection to the same database.
    let mut conn = sessions.pool().get()?;
    sql_query("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL)").execute(&mut conn)?;

    for in_stock in [false, true] {
        // The transaction reads before it writes, so it takes SQLite's write lock at the start.
        let outcome = conn.immediate_transaction::<_, Box<dyn StdError>, _>(|conn| {
            let (cart, _left) = sessions.on(conn).get(&key)?;
            let item = cart.trim_start_matches("cart: ");
            diesel::insert_into(orders::table).values(orders::item.eq(item)).execute(conn)?;
            sessions.on(conn).set(&key, "cart: empty", None)?;
            if in_stock { Ok(()) } else { Err("out of stock".into()) }
        });
        let ordered: i64 = orders::table.count().get_result(&mut conn)?;
        let (cart, _left) = sessions.on(&mut conn).get(&key)?;
        println!("In stock: {in_stock}. The transaction ended with {outcome:?}; orders: {ordered}; {cart}.");
    }
    Ok(())
}
