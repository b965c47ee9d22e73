//! Tenants with a schema each, on one pool: every tenant has its own session table, and none sees another's sessions.
//!
//! `DATABASE_URL=postgres://... cargo run --example tenants --features postgres`
//!
//! It makes the schemas `tenant_a` and `tenant_b`, and leaves them there.

#![allow(clippy::print_stdout, reason = "it is there to be read")]

use std::error::Error as StdError;

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::sql_types::Text;
use diesel_session::{DieselSession, Error, Now, Options, Sessions};

type Connections = Pool<ConnectionManager<PgConnection>>;

struct Tenant {
    schema: &'static str,
    options: Options,
}

impl Tenant {
    fn new(schema: &'static str) -> Result<Self, Error> {
        let options = DieselSession::<PgConnection>::builder().schema(schema).options()?;
        Ok(Self { schema, options })
    }

    /// Runs `work` in a transaction that finds the tenant's tables. The path ends with the transaction, so the next
    /// borrower of the connection does not inherit it.
    fn serve<T>(
        &self,
        pool: &Connections,
        work: impl FnOnce(&Options, &mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Box<dyn StdError>> {
        let mut conn = pool.get()?;
        Ok(conn.transaction(|conn| {
            diesel::sql_query(
                "SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident($1), true)",
            )
            .bind::<Text, _>(self.schema)
            .execute(conn)?;
            work(&self.options, conn)
        })?)
    }
}

fn main() -> Result<(), Box<dyn StdError>> {
    let pool = Pool::new(ConnectionManager::new(std::env::var("DATABASE_URL")?))?;
    let (a, b) = (Tenant::new("tenant_a")?, Tenant::new("tenant_b")?);

    // When a tenant is set up: the schema is named, whatever the connection's path says.
    for tenant in [&a, &b] {
        tenant.options.table().migrate(&mut *pool.get()?)?;
        // When the application starts: a path that leads to another tenant's table is refused.
        tenant.serve(&pool, Options::check)?;
        println!("{} has a session table of its own.", tenant.schema);
    }

    // For each request.
    let key = a.serve(&pool, |options, conn| options.on(conn).generate_for("alice", Some("cart=3"), None))?;
    let (value, _left) = a.serve(&pool, |options, conn| options.on(conn).get(&key))?;
    println!("{} finds {value}.", a.schema);
    let elsewhere = b.serve(&pool, |options, conn| match options.on(conn).get(&key) {
        Err(Error::NotFound) => Ok("no such session"),
        other => other.map(|_| "a session of another tenant"),
    })?;
    println!("{} finds {elsewhere}.", b.schema);
    Ok(())
}
