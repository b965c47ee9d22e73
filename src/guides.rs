//! Guides: from the first program to a move from another store.
//!
//! | guide | for |
//! |---|---|
//! | [`axum`] | a first program with axum, or another framework on tower-sessions |
//! | [`actix`] | a first program with actix-web |
//! | [`rocket`] | Rocket |
//! | [`without_a_framework`] | setting the cookie yourself |
//! | [`sign_in`] | what to call at sign-in, sign-out, a change of rights and a new password |
//! | [`testing`] | tests of your application |
//! | [`operations`] | what each operation does: results, expiry, limits, retries, deadlines |
//! | [`table`] | the table: migrations, rights, schemas, tenants |
//! | [`deploying`] | managed PostgreSQL, poolers, serverless |
//! | [`mariadb`] | MariaDB: settings, and what differs |
//! | [`upgrading`] | older and newer programs on one table |
//! | [`from_sqlx_store`] | coming from tower-sessions-sqlx-store |
//! | [`from_diesel_store`] | coming from a store of your own over Diesel |
//! | [`from_ocaml`] | coming from OCaml's `session-postgresql` |
//! | [`comparison`] | every store that we looked at, with versions |
//!
//! The repository's documentation tests compile the code of each guide.

/// Declares a page for each name, from the file of that name.
macro_rules! guides {
    ($($name:ident: $file:literal),+ $(,)?) => {
        $(
            #[cfg_attr(not(doctest), doc = include_str!($file), doc = "", doc = include_str!("guides/links.md"))]
            pub mod $name {}
        )+
    };
}

guides! {
    axum: "guides/axum.md",
    actix: "guides/actix.md",
    rocket: "guides/rocket.md",
    without_a_framework: "guides/without_a_framework.md",
    sign_in: "guides/sign_in.md",
    testing: "guides/testing.md",
    operations: "guides/operations.md",
    table: "guides/table.md",
    deploying: "guides/deploying.md",
    mariadb: "guides/mariadb.md",
    upgrading: "guides/upgrading.md",
    from_sqlx_store: "guides/from_sqlx_store.md",
    from_diesel_store: "guides/from_diesel_store.md",
    from_ocaml: "guides/from_ocaml.md",
    comparison: "guides/comparison.md",
}
