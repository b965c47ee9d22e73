//! Passwords, kept as Argon2id hashes with the parameters that OWASP asks for, which are the crate's defaults.

use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::Argon2;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::failure::Failure;

/// Hashes passwords and compares them, as many at once as there are processors: each takes 19 MiB and a while.
pub(crate) struct Passwords {
    /// A hash whose password nobody knows.
    nobody: String,
    permits: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut password = [0; 32];
        getrandom::fill(&mut password)?;
        Ok(Self {
            nobody: hash(&password)?,
            permits: Arc::new(Semaphore::new(available_parallelism()?.get())),
        })
    }

    /// The hash to keep of a password, with a salt of its own.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Failure> {
        Ok(self.run(move || hash(password.as_bytes())).await??)
    }

    /// Whether a password is the one of this hash. Without a hash it takes as long, so that nobody learns from the
    /// time which names are registered.
    pub(crate) async fn is_right(&self, password: String, hash: Option<&str>) -> Result<bool, Failure> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let right = self.run(move || Argon2::default().verify_password(password.as_bytes(), &*hash)).await?;
        match right {
            Ok(()) => Ok(known),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let permit = Arc::clone(&self.permits).acquire_owned().await?;
        let done = spawn_blocking(move || {
            let _until_it_is_done = permit;
            work()
        });
        Ok(done.await?)
    }
}

fn hash(password: &[u8]) -> password_hash::Result<String> {
    Ok(Argon2::default().hash_password(password)?.to_string())
}
