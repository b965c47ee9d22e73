//! The code of the README and of the guides, compiled and run as documentation tests of this package, which has what that
//! code needs.

/// Declares an item for each page.
#[cfg(doctest)]
macro_rules! pages {
    ($($name:ident: $file:literal),+ $(,)?) => {
        $(
            #[doc = include_str!($file)]
            pub struct $name;
        )+
    };
}

#[cfg(doctest)]
pages! {
    Readme: "../README.md",
    Actix: "../src/guides/actix.md",
    Axum: "../src/guides/axum.md",
    FromDieselStore: "../src/guides/from_diesel_store.md",
    FromOcaml: "../src/guides/from_ocaml.md",
    FromSqlxStore: "../src/guides/from_sqlx_store.md",
    MariaDb: "../src/guides/mariadb.md",
    Rocket: "../src/guides/rocket.md",
    SignIn: "../src/guides/sign_in.md",
    Testing: "../src/guides/testing.md",
    WithoutAFramework: "../src/guides/without_a_framework.md",
}
