//! Passwords, stored as Argon2id hashes. The parameters are the crate's defaults, which OWASP recommends.

use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::Argon2;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::failure::Failure;

/// Hashes and checks passwords. At most one runs per processor, because each takes 19 MiB and noticeable time.
pub(crate) struct Passwords {
    /// A hash of a random password that is not kept.
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

    /// Returns the hash to store for a password, with a random salt.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Failure> {
        Ok(self.run(move || hash(password.as_bytes())).await??)
    }

    /// Whether the password matches the hash. Without a hash, this takes as long, so that the time does not reveal
    /// which names are registered.
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
