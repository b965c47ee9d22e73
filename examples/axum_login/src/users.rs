//! The users and their permissions.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;

use axum_login::{AuthUser, AuthnBackend, AuthzBackend};
use serde::Deserialize;

/// A user of the demo.
#[derive(Clone, Copy)]
pub(crate) struct User {
    id: i64,
    pub(crate) name: &'static str,
    /// A real application stores a hash of the password instead, for example with argon2.
    password: &'static str,
    /// The date of the last change of the password.
    password_since: &'static str,
    permissions: &'static [&'static str],
}

const USERS: [User; 2] = [
    User {
        id: 1,
        name: "ada",
        password: "engine",
        password_since: "2026-01-05",
        permissions: &["read reports"],
    },
    User { id: 2, name: "bob", password: "builder", password_since: "2026-02-10", permissions: &[] },
];

/// axum-login logs users with this at the level "debug", so it does not show the password.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    /// axum-login saves this in the session and signs the user out if it has changed. A new password therefore ends all
    /// sessions of the user.
    fn session_auth_hash(&self) -> &[u8] {
        self.password_since.as_bytes()
    }
}

/// The sign-in form.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    name: String,
    password: String,
}

/// All users.
#[derive(Clone, Copy)]
pub(crate) struct Users;

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = Infallible;

    async fn authenticate(&self, given: Credentials) -> Result<Option<User>, Infallible> {
        let fits = |user: &User| user.name == given.name && user.password == given.password;
        Ok(USERS.into_iter().find(fits))
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, Infallible> {
        Ok(USERS.into_iter().find(|user| user.id == *id))
    }
}

impl AuthzBackend for Users {
    type Permission = &'static str;

    async fn get_user_permissions(&self, user: &User) -> Result<HashSet<&'static str>, Infallible> {
        Ok(user.permissions.iter().copied().collect())
    }
}
