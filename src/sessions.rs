//! The operations that applications need beyond [`Now`].

use chrono::TimeDelta;

use crate::error::Error;
use crate::key::SessionKey;
use crate::now::Now;
use crate::page::{SessionCursor, SessionPage};
use crate::session::{Expiry, NewSession, OwnedSession, Session, SessionCount, SessionHandle};

/// The operations that an application needs beyond those of [`Now`]: for logins, busy pages, concurrent requests and a
/// page "your devices". The guide `operations` says what each of them does to missing, expired and live sessions.
///
/// Only this crate implements it, so later versions can add operations. A function that works on any store takes
/// `&impl Sessions`. A program that chooses its database at run time takes `&dyn Sessions`, which has every operation
/// except [`update`](Self::update).
///
/// # Examples
///
/// ```
/// use diesel_session::{Error, MemorySession, Now, Sessions};
///
/// let sessions = MemorySession::new();
/// let visitor = sessions.generate(Some("cart=3"), None)?;
///
/// // At login: a new session for the user, with the visitor's value. Both timeouts start again.
/// let (cart, _left) = sessions.get(&visitor)?;
/// let key = sessions.generate_for("alice", Some(&cart), None)?;
/// sessions.clear(&visitor)?;
///
/// // After a change of rights: a new key. The old one is of no use to anyone who saw it.
/// let key = sessions.rotate(&key)?;
/// assert_eq!(sessions.find(&key)?.owner.as_deref(), Some("alice"));
///
/// // "Log out everywhere else".
/// sessions.generate_for("alice", None, None)?;
/// assert_eq!(sessions.sessions_of("alice", 10)?.len(), 2);
/// assert_eq!(sessions.clear_owner("alice", Some(&key))?, 1);
///
/// // An administrator sees handles, and no keys.
/// sessions.generate_for("alice", None, None)?;
/// let page = sessions.list(None, None, 50)?;
/// assert_eq!(sessions.clear_others("alice", &page.sessions[0].handle)?, 1);
/// assert!(sessions.clear_handle(&page.sessions[0].handle)?);
/// assert_eq!(sessions.clear_all()?, 0);
/// # Ok::<(), Error>(())
/// ```
pub trait Sessions: Now<Key = SessionKey, Value = str, Period = TimeDelta, Error = Error> + Sealed {
    /// Reads everything that is known of a live session: its value, owner and label, its dates, and the rest of its
    /// period. It is one query, which writes nothing. A session without a value is not an error here.
    ///
    /// # Errors
    ///
    /// *Not found* if the session is unknown, cleared or expired. Other errors are failures of the store.
    fn find(&self, key: &SessionKey) -> Result<Session, Error>;

    /// Writes a live session's value, and moves its expiry as `expiry` says. Otherwise it works as [`set`](Now::set).
    ///
    /// # Errors
    ///
    /// As for [`set`](Now::set).
    fn put(&self, key: &SessionKey, value: &str, expiry: Expiry) -> Result<(), Error>;

    /// Gives a live session a new key and returns the key. The old key is dead, except that [`clear`](Now::clear) with
    /// it still ends the session.
    ///
    /// Call it after a login or a change of rights (OWASP, "Renew the Session ID After Any Privilege Level Change").
    /// The value, owner, label, time of creation and expiry stay the same, so the absolute timeout keeps running. To
    /// restart that timeout at a login, start another session with [`generate_for`](Self::generate_for) and
    /// [`clear`](Now::clear) this one. At any time one key works. If two requests rotate a session at once, one succeeds.
    ///
    /// On PostgreSQL, `rotate` deletes the row and inserts another one. Columns that a host adds to the table lose
    /// their values, and foreign keys to the table see a DELETE.
    ///
    /// # Errors
    ///
    /// *Not found* if the session is unknown, cleared, expired, or just rotated by another request. Other errors are
    /// failures of the store. After a lost connection the session may have another key that no client knows. Then the
    /// visitor logs in again.
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error>;

    /// Extends a live session, and returns whether it wrote. It never shortens a session, and it leaves the value
    /// alone.
    ///
    /// To save writes, it writes only if the expiry moves by at least the store's
    /// [touch interval](crate::Builder::touch_interval) (default: one minute), or by a tenth of the period if that is
    /// less. So the session may expire that much too early. It also writes if the last use ([`Session::used`]) is older
    /// than the touch interval. With [`Expiry::Keep`] only this rule counts.
    ///
    /// # Errors
    ///
    /// *Not found* if the session is unknown, cleared or expired. Refuses an expiry that the store cannot hold. Other
    /// errors are failures of the store.
    fn touch(&self, key: &SessionKey, expiry: Expiry) -> Result<bool, Error>;

    /// Replaces a live session's value with the result of `change`, and returns the new value. `change` gets the
    /// present value, or `None` if there is none yet.
    ///
    /// It writes only if the session still has the value that `change` got. If another write came first, `change` runs
    /// again, with the new value. After two such conflicts the session stays locked until `change` returns, so that no
    /// other write comes first. On SQLite every write to the file then waits for `change`. Conflicts, lost connections
    /// and read-only servers together let `change` run at most three times. It should be quick, and it must not wait for
    /// another thread that calls the store. If it calls the store itself, that call returns [`Error::WithinUpdate`].
    ///
    /// In memory `change` runs once, and every call waits for it. On a connection that you hold, it runs once, with the
    /// session locked: in a transaction, or in a savepoint inside your transaction.
    /// If yours has an isolation stricter than READ COMMITTED, a write by somebody else since it began is a serialization
    /// failure ([`DatabaseErrorKind`](diesel::result::DatabaseErrorKind)): begin your transaction again.
    ///
    /// # Errors
    ///
    /// Returns the error of `change`, and then nothing is written. *Not found* if the session is unknown, cleared or
    /// expired, also if it expires during the call. Refuses a value or an expiry that the store cannot hold. Other
    /// errors are failures of the store. [`Error::OutcomeUnknown`] if the connection is lost while it writes, and
    /// [`Error::Interrupted`] if it is lost after the last run of `change`, and before anything was written.
    ///
    /// # Panics
    ///
    /// Panics if `change` panics. Nothing is written, and the store keeps working.
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

    /// Writes a live session's value if the present value is the expected one. `None` expects that there is no value
    /// yet. It is for callers that cannot hold a lock between reading and writing.
    ///
    /// # Errors
    ///
    /// *Changed* if the value is another one. *Not found* if the session is unknown, cleared or expired. Refuses a
    /// value or an expiry that the store cannot hold. In these cases nothing is written. Other errors are failures of
    /// the store. [`Error::OutcomeUnknown`] if the connection is lost: another request may have written the same value.
    fn replace(
        &self,
        key: &SessionKey,
        expected: Option<&str>,
        new: &str,
        expiry: Expiry,
    ) -> Result<(), Error>;

    /// Starts a session with an owner, a label, or both. It is the long form of [`generate`](Now::generate) and
    /// [`generate_for`](Self::generate_for).
    ///
    /// # Errors
    ///
    /// As for [`generate_for`](Self::generate_for). [`Error::LabelTooLong`] or [`Error::LabelHasNul`] if the store
    /// cannot hold the label. Then nothing is written.
    fn generate_with(&self, session: &NewSession<'_>) -> Result<SessionKey, Error>;

    /// Starts a session of an owner. In all other respects it works as [`generate`](Now::generate).
    ///
    /// # Errors
    ///
    /// As for [`generate`](Now::generate). Refuses an owner's name that the store cannot hold: [`Error::OwnerTooLong`]
    /// (over 255 bytes), [`Error::OwnerHasNul`] or [`Error::OwnerReserved`]. [`Error::OwnerLimit`] if the owner has as
    /// many live sessions as the store allows.
    fn generate_for(
        &self,
        owner: &str,
        value: Option<&str>,
        period: Option<TimeDelta>,
    ) -> Result<SessionKey, Error>;

    /// Gives a live session an owner, or another owner. Its expiry stays the same.
    ///
    /// # Errors
    ///
    /// *Not found* if the session is unknown, cleared or expired. Otherwise as for
    /// [`generate_for`](Self::generate_for).
    fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error>;

    /// Gives a live session a label ("Firefox on Linux"), another label, or none. Its expiry stays the same. Renewals keep
    /// the label, by `rotate` and by a web framework.
    ///
    /// # Errors
    ///
    /// *Not found* if the session is unknown, cleared or expired. [`Error::LabelTooLong`] for more than 255 bytes.
    /// [`Error::LabelHasNul`] for a label with a NUL. Other errors are failures of the store.
    fn set_label(&self, key: &SessionKey, label: Option<&str>) -> Result<(), Error>;

    /// Lists at most `limit` live sessions of an owner, the newest first. The list has labels and dates, but no values.
    /// An unknown owner has no sessions.
    ///
    /// # Errors
    ///
    /// Refuses an owner's name that the store cannot hold. Other errors are failures of the store.
    fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error>;

    /// Returns the handle under which [`sessions_of`](Self::sessions_of) lists the session of this key. Use it to mark
    /// "this device". It does not ask the database.
    fn handle(&self, key: &SessionKey) -> SessionHandle;

    /// Ends an owner's sessions except the one to keep, and returns how many of them were live: "log out everywhere
    /// else". It also deletes the owner's expired sessions, so that no other row of the owner is left.
    ///
    /// It ends every session that the owner had when the call began, also if it is rotated at the same moment. A session
    /// that begins during the call may stay live.
    ///
    /// It deletes batches of 1,000, each in its own transaction. So a million sessions end under any statement timeout.
    /// If a batch is retried after a lost connection, the sessions that its first attempt ended are missing from the
    /// count. Inside your transaction nothing is final before you commit.
    ///
    /// # Errors
    ///
    /// As for [`sessions_of`](Self::sessions_of). If it fails half-way, [`Error::PartlyCleared`] has the number of sessions
    /// that it ended. Then call it again.
    fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error>;

    /// Ends an owner's sessions except the one of this handle, as [`clear_owner`](Self::clear_owner) does.
    ///
    /// # Errors
    ///
    /// *Not found* if the owner has no live session of this handle. Then none ends. Otherwise as for `clear_owner`.
    fn clear_others(&self, owner: &str, keep: &SessionHandle) -> Result<usize, Error>;

    /// Ends the owner's live session of this handle, and returns whether there was one. The session may have ended, or a
    /// renewal before the call may have changed its handle. After a lost connection the store retries the call. Then
    /// `false` can also mean that the first attempt ended the session.
    ///
    /// # Errors
    ///
    /// As for [`sessions_of`](Self::sessions_of).
    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error>;

    /// Lists one page of live sessions: of all owners, or of one. The next page begins [after](SessionPage::next) it. A page
    /// has at most `limit` sessions, with their values; zero counts as one. Other sessions may begin and end in the
    /// meantime. A session that stays live is on one page, unless it is renewed.
    ///
    /// # Errors
    ///
    /// As for [`sessions_of`](Self::sessions_of).
    fn list(
        &self,
        owner: Option<&str>,
        after: Option<&SessionCursor>,
        limit: u32,
    ) -> Result<SessionPage, Error>;

    /// Ends the live session of this handle, and returns whether there was one. A renewal before the call or during it may
    /// have changed the handle. This operation reads the keys of the whole table, 10,000 at a time. If you know the owner,
    /// [`clear_listed`](Self::clear_listed) is quicker.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn clear_handle(&self, handle: &SessionHandle) -> Result<bool, Error>;

    /// Ends every session that there was when the call began, also if it is renewed at the same moment. Returns how many
    /// were live. It also deletes expired sessions. A session that begins during the call may end, or stay live. As
    /// [`clear_owner`](Self::clear_owner), it deletes batches of 1,000. At the end it reads the whole table once.
    ///
    /// # Errors
    ///
    /// As for [`clear_owner`](Self::clear_owner).
    fn clear_all(&self) -> Result<usize, Error>;

    /// Counts the live sessions, and those that have expired and are not deleted yet. It reads the whole table.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn count(&self) -> Result<SessionCount, Error>;

    /// Deletes at most `limit` expired sessions, and returns how many. A limit of zero does nothing. Any number of callers
    /// may do so at once, and none counts a session that another one deletes. If two calls want the same rows, the second
    /// one waits until the first one's transaction ends. That may be your transaction.
    ///
    /// In a database the longest expired sessions go first, by the hour. Those that expired in the current hour (UTC)
    /// are left for later. On MariaDB one call deletes at most 10,000. It also deletes, and counts, the rows that renewals
    /// and imports leave behind. A [`Sweeper`](crate::Sweeper) calls this again and again.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn delete_expired(&self, limit: u32) -> Result<usize, Error>;
}

/// Seals [`Sessions`]: other crates cannot name this trait, and so they cannot implement `Sessions`.
pub trait Sealed {}
