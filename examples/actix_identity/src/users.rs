//! The users and their permissions.

use serde::Deserialize;

/// A user of the demo.
pub(crate) struct User {
    /// The id that actix-identity saves in the session. It must be text.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    /// A real application stores a hash of the password instead, for example with argon2.
    password: &'static str,
    permissions: &'static [&'static str],
}

static USERS: [User; 2] = [
    User { id: "1", name: "ada", password: "engine", permissions: &["read reports"] },
    User { id: "2", name: "bob", password: "builder", permissions: &[] },
];

/// The sign-in form.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    name: String,
    password: String,
}

impl User {
    /// Returns the user with this name and password.
    pub(crate) fn authenticate(given: &Credentials) -> Option<&'static Self> {
        USERS.iter().find(|user| user.name == given.name && user.password == given.password)
    }

    pub(crate) fn with_id(id: &str) -> Option<&'static Self> {
        USERS.iter().find(|user| user.id == id)
    }

    pub(crate) fn may(&self, permission: &str) -> bool {
        self.permissions.contains(&permission)
    }
}
