//! The shop's own tables, in the same database as the session table.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_session::Error;

use crate::failure::Failure;

diesel::table! {
    /// The stock of each product.
    stock (product) {
        product -> Integer,
        pieces -> Integer,
    }
}

diesel::table! {
    /// The orders and the users who placed them.
    orders (id) {
        id -> Integer,
        owner -> Text,
        product -> Integer,
    }
}

/// Creates the missing tables. A larger application uses migrations for that.
pub(crate) fn make_tables(conn: &mut SqliteConnection) -> Result<(), Error> {
    conn.batch_execute(
        "CREATE TABLE IF NOT EXISTS stock (product INTEGER PRIMARY KEY, pieces INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS orders (
             id INTEGER PRIMARY KEY, owner TEXT NOT NULL, product INTEGER NOT NULL
         );
         INSERT OR IGNORE INTO stock VALUES (1, 1000), (2, 1);",
    )?;
    Ok(())
}

/// Whether this is a user's password. These two demo users stand for your own table of users with hashed passwords:
/// `examples/web` has one.
pub(crate) fn is_user(name: &str, password: &str) -> bool {
    [("alice", "wonderland"), ("bob", "builder")].contains(&(name, password))
}

/// Takes the products from the stock and records an order for each. Fails at the first product that is sold out.
pub(crate) fn order(conn: &mut SqliteConnection, owner: &str, products: &[i32]) -> Result<(), Failure> {
    for product in products {
        let taken = diesel::update(stock::table.find(product).filter(stock::pieces.gt(0)))
            .set(stock::pieces.eq(stock::pieces - 1))
            .execute(conn)?;
        if taken == 0 {
            return Err(Failure::Refused("Something in your cart is sold out.\n"));
        }
        let order = (orders::owner.eq(owner), orders::product.eq(product));
        diesel::insert_into(orders::table).values(order).execute(conn)?;
    }
    Ok(())
}

/// Returns the products that a user has ordered, oldest first.
pub(crate) fn orders_of(conn: &mut SqliteConnection, owner: &str) -> QueryResult<Vec<i32>> {
    orders::table.filter(orders::owner.eq(owner)).order(orders::id).select(orders::product).load(conn)
}
