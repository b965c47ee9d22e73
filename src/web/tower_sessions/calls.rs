//! Implements the calls of tower-sessions for records of any version.

use std::collections::HashMap;
use std::time::Instant;

use chrono::TimeDelta;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::TowerSessionStore;
use crate::error::Error;
use crate::key::{SessionKey, fill_random};
use crate::operations::{Drawn, EndOrPark};
use crate::sweeper::{BATCH, PAUSE};
use crate::web::WebStore;
use crate::web::adapter::{NotLoaded, are_refused_data, period};
use crate::web::data::{reserved, text};

/// The data of a record.
pub(super) type Fields = HashMap<String, Value>;

/// Why a call of tower-sessions failed.
pub(super) enum Failure {
    /// The data cannot be saved.
    Encode(Error),
    /// The session holds no data of tower-sessions.
    Decode,
    Backend(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if are_refused_data(&error) { Self::Encode(error) } else { Self::Backend(error) }
    }
}

impl<S: WebStore> TowerSessionStore<S> {
    /// Starts or continues a session, and returns its id.
    pub(super) async fn create(
        &self,
        data: &mut Fields,
        expiry_date: OffsetDateTime,
    ) -> Result<i128, Failure> {
        let begun = self.adapter.begin::<Id>(data, left(expiry_date), None).await?;
        // From now on the request can save the session under the id itself. A `delete` of that id is a logout.
        self.adapter.mark(data, &begun.drawn.key(), begun.value, begun.created);
        Ok(begun.drawn.0)
    }

    /// Saves the session under `id`, which is the session's own id or its alias.
    pub(super) async fn save(
        &self,
        id: i128,
        data: &Fields,
        expiry_date: OffsetDateTime,
    ) -> Result<(), Failure> {
        let (this, other) = (key(id), key(id ^ ALIAS));
        let keys = match text(data, reserved::RENEWAL) {
            Some(digits) if digits == self.adapter.digits(&this) => vec![this],
            Some(_) => vec![other],
            None => vec![other, this],
        };
        Ok(self.adapter.save(&keys, data, left(expiry_date)).await?)
    }

    /// Returns the data under the alias of the id, and the expiry by this machine's clock.
    pub(super) async fn load(&self, id: i128) -> Result<Option<(i128, Fields, OffsetDateTime)>, Failure> {
        let loaded = self.adapter.load(&key(id)).await.map_err(|error| match error {
            NotLoaded::Failed(error) => Failure::Backend(error),
            NotLoaded::OtherShape => Failure::Decode,
        })?;
        Ok(loaded.map(|(data, left)| {
            let left = time::Duration::milliseconds(left.num_milliseconds());
            (id ^ ALIAS, data, OffsetDateTime::now_utc().saturating_add(left))
        }))
    }

    pub(super) async fn delete(&self, id: i128) -> Result<(), Failure> {
        let store = &self.adapter.store;
        Ok(store.execute(Ok(EndOrPark::new(store.options(), &key(id), &key(id ^ ALIAS)))).await?)
    }

    /// Deletes expired sessions until none is left, batch by batch, as a [`Sweeper`](crate::Sweeper) does.
    pub(super) async fn delete_expired(&self) -> Result<(), Failure> {
        loop {
            let started = Instant::now();
            if self.adapter.store.delete_expired(BATCH).await? == 0 {
                return Ok(());
            }
            tokio::time::sleep(started.elapsed() * PAUSE).await;
        }
    }
}

/// XOR with this number turns an id into its alias, and back.
const ALIAS: i128 = 0x6469_6573_656c_2d73_6573_7369_6f6e_2101;

/// A newly drawn id of a session.
#[derive(Clone, Copy)]
struct Id(i128);

impl Drawn for Id {
    const OPERATION: &'static str = "create";

    fn draw() -> Result<Self, Error> {
        let mut bits = [0; size_of::<i128>()];
        fill_random(&mut bits)?;
        Ok(Self(i128::from_le_bytes(bits)))
    }

    fn key(&self) -> SessionKey {
        key(self.0)
    }
}

pub(super) fn key(id: i128) -> SessionKey {
    let digest = Sha256::new()
        .chain_update("diesel-session tower-sessions:")
        .chain_update(id.to_le_bytes())
        .finalize();
    let mut bytes = [0; SessionKey::LENGTH / 2];
    bytes.copy_from_slice(&digest[..SessionKey::LENGTH / 2]);
    SessionKey::of(bytes)
}

/// Returns how long until a record expires, by this machine's clock, because tower-sessions has set the expiry by that
/// clock.
pub(super) fn left(expiry_date: OffsetDateTime) -> TimeDelta {
    period((expiry_date - OffsetDateTime::now_utc()).whole_milliseconds())
}
