//! What applications ask of a store beyond [`Now`].

use crate::now::Now;
use crate::owner::{OwnedSession, SessionCount, SessionHandle};

mod pointers;

/// A store's operations beyond those of [`Now`]: what a login, a busy page, two requests at once and a page 'your
/// devices' need.
///
/// | operation | missing, cleared or expired | live |
/// |---|---|---|
/// | `rotate` | not found | the session goes on under a new key, and the old one is dead |
/// | `touch` | not found | the expiry moves away, if that is worth a write |
/// | `update` | not found | the value becomes what a function makes of it, and nobody else writes meanwhile |
/// | `replace` | not found | the value is replaced if it is the expected one; else *changed* |
/// | `bind` | not found | the session has an owner |
/// | `sessions_of`, `clear_owner`, `clear_listed` | left out | listed; ended |
///
/// # Examples
///
/// ```
/// use diesel_session::{Error, MemorySession, Now, Sessions};
///
/// let sessions = MemorySession::new();
/// let visitor = sessions.generate(Some("cart=3".to_owned()), None)?;
///
/// // At login: a session of the user's own, with what the visitor had; both timeouts begin anew.
/// let (cart, _left) = sessions.get(&visitor)?;
/// let key = sessions.generate_for("alice", Some(cart), None)?;
/// sessions.clear(&visitor)?;
///
/// // After a change of rights: a new key, for whoever planted or saw the old one.
/// let key = sessions.rotate(&key)?;
/// assert_eq!(sessions.owner_of(&key)?.as_deref(), Some("alice"));
///
/// // 'Log out everywhere else'.
/// sessions.generate_for("alice", None, None)?;
/// assert_eq!(sessions.sessions_of("alice", 10)?.len(), 2);
/// assert_eq!(sessions.clear_owner("alice", Some(&key))?, 1);
/// # Ok::<(), Error>(())
/// ```
pub trait Sessions: Now {
    /// Gives a live session a new key, and returns it; the old one is dead for every later operation.
    ///
    /// For the moment of a login or a change of rights (OWASP, "Renew the Session ID After Any Privilege Level
    /// Change"). Value, owner, time of creation and expiry stay, so the absolute timeout goes on from where the
    /// session began: to begin it anew at a login, [`generate_for`](Self::generate_for) another session and
    /// [`clear`](Now::clear) this one. Atomic: there is one working key at any time, and of two rotations at once one
    /// wins.
    ///
    /// On PostgreSQL the row is deleted and inserted again: columns that a host adds to the table are lost, and
    /// foreign keys to it see a DELETE.
    ///
    /// # Errors
    ///
    /// *Not found* for a session that is unknown, cleared, expired or just rotated by another request; a failure
    /// of the store. A call that was lost may have taken effect, under a key that nobody knows: then the visitor
    /// logs in again.
    fn rotate(&self, key: &Self::Key) -> Result<Self::Key, Self::Error>;

    /// Prolongs a live session to `expiry` from now, or the default period from now, and says whether it wrote.
    ///
    /// Never shortens, and leaves the value where it is. It writes only what gains the store's
    /// [touch interval](crate::Builder::touch_interval) (a minute, unless set otherwise) or a tenth of the period,
    /// whichever is less: a busy session costs no write a request, and may expire by that much sooner than `expiry`
    /// after its last request.
    ///
    /// # Errors
    ///
    /// *Not found* for a session that is unknown, cleared or expired; an expiry that the store cannot hold; a
    /// failure of the store.
    fn touch(&self, key: &Self::Key, expiry: Option<Self::Period>) -> Result<bool, Self::Error>;

    /// Sets a live session's value to what `change` makes of it (`None` where it has none), and its expiry as
    /// [`set`](Now::set) does; returns the new value.
    ///
    /// No other write to the session comes in between: it is locked meanwhile; on SQLite every write to the file
    /// waits, in memory every call. So `change` should be quick, and must not call the store. That would wait for
    /// another connection of the pool, or with it for the lock that this call holds, until a timeout; in memory for
    /// ever. It may run again after a lost connection or a conflict, three times at most, and then sees the new value.
    ///
    /// # Errors
    ///
    /// What `change` returns, and then nothing is written. *Not found*, also where the session expired
    /// meanwhile; a value or an expiry that the store cannot hold; a failure of the store. A connection that was
    /// lost at the very end leaves the outcome unknown. A connection that was lost each of the three times, because the
    /// server ends transactions that are idle for long, is [`Error::Interrupted`](crate::Error::Interrupted).
    ///
    /// # Panics
    ///
    /// Where `change` panics: nothing is written, and the store goes on working.
    ///
    /// # Examples
    ///
    /// ```
    /// use diesel_session::{Error, MemorySession, Now, Sessions};
    ///
    /// let sessions = MemorySession::new();
    /// let key = sessions.generate(Some("3".to_owned()), None)?;
    /// let visits = sessions.update(&key, None, |value| {
    ///     let visits: u32 = value.and_then(|value| value.parse().ok()).unwrap_or(0);
    ///     Ok::<_, Error>((visits + 1).to_string())
    /// })?;
    /// assert_eq!(visits, "4");
    /// # Ok::<(), Error>(())
    /// ```
    fn update<E: From<Self::Error>>(
        &self,
        key: &Self::Key,
        expiry: Option<Self::Period>,
        change: impl FnMut(Option<Self::Value>) -> Result<Self::Value, E>,
    ) -> Result<Self::Value, E>;

    /// Sets a live session's value, and its expiry as [`set`](Now::set) does, if its value is the expected one
    /// (`None`: none yet): for whoever cannot hold a lock from reading to writing.
    ///
    /// # Errors
    ///
    /// *Changed* where the value is another; *not found* for a session that is unknown, cleared or expired; a value
    /// or an expiry that the store cannot hold; a failure of the store. Then nothing is written. A connection that was
    /// lost meanwhile leaves the outcome unknown, for the value alone does not tell whose write it was.
    fn replace(
        &self,
        key: &Self::Key,
        expected: Option<Self::Value>,
        new: Self::Value,
        expiry: Option<Self::Period>,
    ) -> Result<(), Self::Error>;

    /// Starts a session of an owner, otherwise as [`generate`](Now::generate).
    ///
    /// # Errors
    ///
    /// As there; an owner's name that the store cannot hold (over 255 bytes, or with a NUL);
    /// [`Error::OwnerLimit`](crate::Error::OwnerLimit) where the owner has as many live sessions as the store allows.
    fn generate_for(
        &self,
        owner: &str,
        value: Option<Self::Value>,
        expiry: Option<Self::Period>,
    ) -> Result<Self::Key, Self::Error>;

    /// Makes a live session that of an owner, whoever's it was before. Its expiry stays.
    ///
    /// # Errors
    ///
    /// *Not found*; else as for [`generate_for`](Self::generate_for).
    fn bind(&self, key: &Self::Key, owner: &str) -> Result<(), Self::Error>;

    /// The owner of a live session; `None` where it was bound to nobody.
    ///
    /// # Errors
    ///
    /// *Not found*; a failure of the store.
    fn owner_of(&self, key: &Self::Key) -> Result<Option<String>, Self::Error>;

    /// At most `limit` live sessions of an owner, the newest first. An owner that is unknown has none.
    ///
    /// # Errors
    ///
    /// An owner's name that the store cannot hold; a failure of the store.
    fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Self::Error>;

    /// The handle under which [`sessions_of`](Self::sessions_of) lists the session of this key: to mark 'this
    /// device'. It asks no database.
    fn handle(&self, key: &Self::Key) -> SessionHandle;

    /// Ends an owner's sessions, except the one to keep, and returns how many of them were live: 'log out everywhere
    /// else'. It deletes expired sessions of the owner as well, so that nothing of theirs is left.
    ///
    /// It ends every session that the owner had when the call began. A session that is rotated at the same moment is
    /// ended under its new key. One that begins during the call may live on, so logins cannot keep the call running.
    ///
    /// In a database it deletes batches of 1,000, each committed on its own, so that a million sessions end under any
    /// statement timeout. A batch that had to be repeated after a lost connection is missing from the count. On a
    /// connection that you hold everything is one transaction.
    ///
    /// # Errors
    ///
    /// As for [`sessions_of`](Self::sessions_of). A call that fails half-way returns
    /// [`Error::PartlyCleared`](crate::Error::PartlyCleared), which says how many sessions it ended: call it again.
    fn clear_owner(&self, owner: &str, keep: Option<&Self::Key>) -> Result<usize, Self::Error>;

    /// Ends the owner's live session of this handle. Returns `false` if the owner has no such session, or no longer,
    /// because it was rotated or has ended. After a lost connection the call is repeated, and then `false` can also mean
    /// that its first attempt ended the session.
    ///
    /// # Errors
    ///
    /// As for [`sessions_of`](Self::sessions_of).
    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Self::Error>;

    /// How many sessions are live, and how many have expired and are not deleted yet. It reads the whole table.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn count(&self) -> Result<SessionCount, Self::Error>;

    /// Deletes at most `limit` expired sessions and returns how many; a limit of zero does nothing.
    ///
    /// Any number of callers may do so at once, and none ever deletes a live session; what another
    /// deletes at the same time is missing from this one's count. One waits for another's batch; in a transaction of
    /// yours a batch holds the others up until you end it. In a database the longest expired go first, by the
    /// hour, and those that expired in the current hour (UTC) are left for later, which keeps the writes of
    /// sessions off the index. A [`Sweeper`](crate::Sweeper) calls it again and again.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    ///
    /// # Examples
    ///
    /// ```
    /// use diesel_session::{MemorySession, Sessions};
    ///
    /// let sessions = MemorySession::new();
    /// // Small batches, and pauses in which others have the processor.
    /// loop {
    ///     let started = std::time::Instant::now();
    ///     if sessions.delete_expired(200)? == 0 {
    ///         break;
    ///     }
    ///     std::thread::sleep(started.elapsed() * 3);
    /// }
    /// # Ok::<(), diesel_session::Error>(())
    /// ```
    fn delete_expired(&self, limit: u32) -> Result<usize, Self::Error>;
}
