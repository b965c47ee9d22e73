//! Tenants with one schema each, on one pool. Every tenant has its own session table and cannot see another's sessions.
//!
//! `DATABASE_URL=postgres://... cargo run --example tenants --features postgres`
//!
//! The example creates the schemas `tenant_a` and `tenant_b` and does not remove them.

#![allow(clippy::print_stdout, reason = "the example prints what it does")]

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

    /// Runs `work` in a transaction with the tenant's schema as the search path. The path ends with the transaction, so
    /// the connection's next user does not inherit it.
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

    // Done once for each tenant. The options name the schema, so the connection's search path does not matter.
    for tenant in [&a, &b] {
        tenant.options.table().migrate(&mut *pool.get()?)?;
        // Done when the application starts. It fails if the path leads to another tenant's table.
        tenant.serve(&pool, Options::check)?;
        println!("{} has its own session table.", tenant.schema);
    }

    // Done for each request.
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
