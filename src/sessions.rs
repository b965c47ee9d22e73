//! The operations that applications need beyond [`Now`].

use chrono::TimeDelta;

use crate::error::Error;
use crate::key::SessionKey;
use crate::now::Now;
use crate::session::{Expiry, NewSession, OwnedSession, Session, SessionCount, SessionHandle};

/// The operations that an application needs beyond those of [`Now`]: for logins, busy pages, several requests at once and
/// a page "your devices".
///
/// | operation | missing, cleared or expired | live |
/// |---|---|---|
/// | `find` | not found | everything that is known of the session |
/// | `put` | not found | the value is written, and the expiry moves as the caller says |
/// | `update` | not found | a function makes the new value of the old one, under a lock |
/// | `replace` | not found | the value is replaced if it is the expected one; else *changed* |
/// | `touch` | not found | the expiry and the time of the last use move later, if that is worth a write |
/// | `rotate` | not found | the session goes on under a new key, and the old one is dead |
/// | `bind`, `set_label` | not found | the session has an owner; a label |
/// | `sessions_of`, `clear_owner`, `clear_listed` | left out | listed; ended |
///
/// Every store of this crate has it. Other crates cannot implement it, so later versions can add operations. Functions that
/// work on any store take `&impl Sessions`; a program that chooses its database at run time takes `&dyn Sessions`, which
/// has all operations except [`update`](Self::update).
///
/// # Examples
///
/// ```
/// use diesel_session::{Error, MemorySession, Now, Sessions};
///
/// let sessions = MemorySession::new();
/// let visitor = sessions.generate(Some("cart=3"), None)?;
///
/// // At login: a session of the user's own, with the visitor's value. Both timeouts begin again.
/// let (cart, _left) = sessions.get(&visitor)?;
/// let key = sessions.generate_for("alice", Some(&cart), None)?;
/// sessions.clear(&visitor)?;
///
/// // After a change of rights: a new key, so that the old one is of no use to anybody who saw it.
/// let key = sessions.rotate(&key)?;
/// assert_eq!(sessions.find(&key)?.owner.as_deref(), Some("alice"));
///
/// // "Log out everywhere else".
/// sessions.generate_for("alice", None, None)?;
/// assert_eq!(sessions.sessions_of("alice", 10)?.len(), 2);
/// assert_eq!(sessions.clear_owner("alice", Some(&key))?, 1);
/// # Ok::<(), Error>(())
/// ```
///
/// ```
/// use diesel_session::{Error, MemorySession, Sessions};
///
/// fn visits(sessions: &dyn Sessions) -> Result<u64, Error> {
///     Ok(sessions.count()?.live)
/// }
/// assert_eq!(visits(&MemorySession::new())?, 0);
/// # Ok::<(), Error>(())
/// ```
pub trait Sessions: Now<Key = SessionKey, Value = str, Period = TimeDelta, Error = Error> + Sealed {
    /// Reads everything that is known of a live session: its value, owner and label, its dates, and what is left of its
    /// period. It is one query, and it writes nothing. A session without a value is no error here.
    ///
    /// # Errors
    ///
    /// *Not found* for a session that is unknown, cleared or expired; a failure of the store.
    fn find(&self, key: &SessionKey) -> Result<Session, Error>;

    /// Writes a live session's value, and does to its expiry what the caller says. With [`Expiry::Keep`] a session of 30
    /// minutes stays one of 30 minutes; otherwise as [`set`](Now::set).
    ///
    /// # Errors
    ///
    /// As for [`set`](Now::set).
    ///
    /// # Examples
    ///
    /// ```
    /// use diesel_session::{Error, Expiry, MemorySession, Now, Sessions, TimeDelta};
    ///
    /// let sessions = MemorySession::new();
    /// let key = sessions.generate(Some("cart=3"), Some(TimeDelta::minutes(30)))?;
    /// sessions.put(&key, "cart=4", Expiry::Keep)?;
    /// assert!(sessions.get(&key)?.1 <= TimeDelta::minutes(30));
    /// # Ok::<(), Error>(())
    /// ```
    fn put(&self, key: &SessionKey, value: &str, expiry: Expiry) -> Result<(), Error>;

    /// Gives a live session a new key and returns it. The old one is dead; only a `clear` with it still ends the session.
    ///
    /// For the moment of a login or a change of rights (OWASP, "Renew the Session ID After Any Privilege Level
    /// Change"). Value, owner, label, time of creation and expiry stay. So the absolute timeout counts on: to start it
    /// again at a login, [`generate_for`](Self::generate_for) another session and [`clear`](Now::clear) this one. It is
    /// atomic: at any time one key works, and of two rotations at once one wins.
    ///
    /// On PostgreSQL the row is deleted and inserted again: columns that a host adds to the table are lost, and
    /// foreign keys to it see a DELETE.
    ///
    /// # Errors
    ///
    /// *Not found* for a session that is unknown, cleared, expired or just rotated by another request; a failure
    /// of the store. If a connection is lost, the session may have another key that no client has: then the visitor logs
    /// in again.
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error>;

    /// Prolongs a live session, and returns whether it wrote. It never shortens a session and leaves the value alone.
    ///
    /// It writes if the new expiry is later by at least the store's
    /// [touch interval](crate::Builder::touch_interval) (one minute by default), or by a tenth of the period if that is
    /// less. So a busy session does not cost a write for each request, and it may expire that much sooner than the period
    /// after its last request.
    ///
    /// It also writes if the last use ([`Session::used`]) is older than the touch interval. So this time stays true at the
    /// end of the longest life, when the expiry cannot move. [`Expiry::Keep`] asks for this alone.
    ///
    /// # Errors
    ///
    /// *Not found* for a session that is unknown, cleared or expired; an expiry that the store cannot hold; a
    /// failure of the store.
    fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<bool, Error>;

    /// Replaces a live session's value by the result of `change`, and returns the new value. `change` gets the present
    /// value, or `None` if there is none yet.
    ///
    /// The session is locked until `change` returns, so that no other write comes in between. On SQLite every write to the
    /// file waits, in memory every call. So `change` should be quick. If it calls the store that it updates, that call
    /// returns [`Error::WithinUpdate`]. It must not wait for another thread that calls the store. After a lost connection
    /// or a conflict `change` runs again with the value of that moment, three times at most.
    ///
    /// On a connection that you hold, `change` runs once, in a transaction or, inside your transaction, in a savepoint.
    /// There, on PostgreSQL under an isolation stricter than READ COMMITTED, a write by somebody else since your
    /// transaction began is a serialization failure ([`DatabaseErrorKind`](diesel::result::DatabaseErrorKind)): begin
    /// your transaction again.
    ///
    /// # Errors
    ///
    /// The error of `change`, and then nothing is written. *Not found*, also if the session expires during the call. A
    /// value or an expiry that the store cannot hold. A failure of the store. If a connection is lost at the very end, the
    /// outcome is unknown. If it is lost each of the three times, because the server ends transactions that are idle for long,
    /// the error is [`Error::Interrupted`].
    ///
    /// # Panics
    ///
    /// If `change` panics. Nothing is written, and the store goes on working.
    ///
    /// # Examples
    ///
    /// ```
    /// use diesel_session::{Error, Expiry, MemorySession, Now, Sessions};
    ///
    /// let sessions = MemorySession::new();
    /// let key = sessions.generate(Some("3"), None)?;
    /// let visits = sessions.update(&key, Expiry::Keep, |value| {
    ///     let visits: u32 = value.and_then(|value| value.parse().ok()).unwrap_or(0);
    ///     Ok::<_, Error>((visits + 1).to_string())
    /// })?;
    /// assert_eq!(visits, "4");
    /// # Ok::<(), Error>(())
    /// ```
    fn update<E: From<Error>>(
        &self,
        key: &SessionKey,
        expiry: Expiry,
        change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E>
    where
        Self: Sized;

    /// Writes a live session's value if the present value is the expected one (`None`: no value yet). For callers that
    /// cannot hold a lock between reading and writing.
    ///
    /// # Errors
    ///
    /// *Changed* if the value is another one; *not found* for a session that is unknown, cleared or expired; a value
    /// or an expiry that the store cannot hold; a failure of the store. Then nothing is written. If a connection is lost
    /// during the call, the outcome is unknown, because another request may have written the same value.
    fn replace(
        &self,
        key: &SessionKey,
        expected: Option<&str>,
        new: &str,
        expiry: Expiry,
    ) -> Result<(), Error>;

    /// Starts a session with an owner or a label, or both: the long form of [`generate`](Now::generate) and
    /// [`generate_for`](Self::generate_for).
    ///
    /// # Errors
    ///
    /// As for [`generate_for`](Self::generate_for); [`Error::LabelTooLong`] and [`Error::LabelHasNul`] for a label that
    /// the store cannot hold. Then nothing is written.
    fn generate_with(&self, session: &NewSession<'_>) -> Result<SessionKey, Error>;

    /// Starts a session of an owner; otherwise as [`generate`](Now::generate).
    ///
    /// # Errors
    ///
    /// As for [`generate`](Now::generate); an owner's name that the store cannot hold (over 255 bytes, or with a NUL);
    /// [`Error::OwnerLimit`] if the owner has as many live sessions as the store allows.
    fn generate_for(
        &self,
        owner: &str,
        value: Option<&str>,
        period: Option<TimeDelta>,
    ) -> Result<SessionKey, Error>;

    /// Gives a live session an owner, or another owner. Its expiry stays.
    ///
    /// # Errors
    ///
    /// *Not found*; otherwise as for [`generate_for`](Self::generate_for).
    fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error>;

    /// Gives a live session a label ("Firefox on Linux"), another one, or none. Its expiry stays.
    ///
    /// A renewal keeps the label, through `rotate` and through a web framework.
    ///
    /// # Errors
    ///
    /// *Not found*; [`Error::LabelTooLong`] for more than 255 bytes; [`Error::LabelHasNul`]; a failure of the store.
    fn set_label(&self, key: &SessionKey, label: Option<&str>) -> Result<(), Error>;

    /// Lists at most `limit` live sessions of an owner, the newest first: with labels and dates, without values. An owner
    /// that is unknown has none.
    ///
    /// # Errors
    ///
    /// An owner's name that the store cannot hold; a failure of the store.
    fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error>;

    /// The handle under which [`sessions_of`](Self::sessions_of) lists the session of this key: to mark "this
    /// device". It asks no database.
    fn handle(&self, key: &SessionKey) -> SessionHandle;

    /// Ends an owner's sessions, except the one to keep, and returns how many of them were live: "log out everywhere
    /// else". It deletes expired sessions of the owner as well, so that nothing of theirs is left.
    ///
    /// It ends every session that the owner had when the call began. A session that is rotated at the same moment is
    /// ended under its new key. One that begins during the call may live on, so logins cannot keep the call running.
    ///
    /// It deletes batches of 1,000, each in its own transaction, so that a million sessions end under any statement
    /// timeout. A batch that had to be repeated after a lost connection is missing from the count. Inside a transaction of
    /// yours nothing is final before you commit.
    ///
    /// # Errors
    ///
    /// As for [`sessions_of`](Self::sessions_of). A call that fails half-way returns
    /// [`Error::PartlyCleared`], which says how many sessions it ended: call it again.
    fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error>;

    /// Ends the owner's live session of this handle. Returns `false` if the owner has no such session, or no longer,
    /// because it was renewed before the call, or has ended. After a lost connection the call is repeated. Then `false` can
    /// also mean that its first attempt ended the session.
    ///
    /// # Errors
    ///
    /// As for [`sessions_of`](Self::sessions_of).
    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error>;

    /// How many sessions are live, and how many have expired and are not deleted yet. It reads the whole table.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn count(&self) -> Result<SessionCount, Error>;

    /// Deletes at most `limit` expired sessions and returns how many; a limit of zero does nothing.
    ///
    /// Any number of callers may do so at once, and none ever deletes a live session. A call does not count what another
    /// one deletes at the same time. Two calls can want the same rows: then the second waits until the first one's
    /// transaction ends, which may be yours. In a database the longest expired go first, by the hour. Those that expired
    /// in the current hour (UTC) are left for later, which keeps the writes of sessions off the index. A
    /// [`Sweeper`](crate::Sweeper) calls it again and again.
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
    fn delete_expired(&self, limit: u32) -> Result<usize, Error>;
}

/// Other crates cannot name it, and so they cannot implement [`Sessions`].
pub trait Sealed {}
