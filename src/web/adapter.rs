//! The part that the stores for web frameworks share, with the options that the frameworks do not have.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::data::{Data, Field, decode, encode, merge, own, reserved, text};
use super::source::Source;
use super::{OnMissing, WebStore};
use crate::database::SavedText;
use crate::error::Error;
use crate::key::SessionKey;
use crate::operations::{Conflicts, Continue, Draft, Drawn, Generate, Merge, Merged, Nonce, Save};
use crate::options::LONGEST_PERIOD;
use crate::session::NewSession;

/// A store, and the options of its adapter.
#[derive(Debug, Clone)]
pub(super) struct Adapter<S, V> {
    pub(super) store: S,
    pub(super) on_missing: OnMissing,
    sources: Arc<Sources<V>>,
}

/// The sources of a save's texts, and the rule for conflicts.
#[derive(Debug)]
struct Sources<V> {
    owner: Option<Source<V>>,
    label: Option<Source<V>>,
    conflicts: Conflicts,
}

impl<V> Clone for Sources<V> {
    fn clone(&self) -> Self {
        Self { owner: self.owner.clone(), label: self.label.clone(), conflicts: self.conflicts }
    }
}

impl<V: Field> Sources<V> {
    fn merged(&self, data: &Data<V>) -> Result<Merged, Error> {
        let read = |source: &Option<Source<V>>| match source {
            Some(source) => source.read(data),
            None => Ok(SavedText::Keep),
        };
        Ok(Merged { value: encode(data)?, owner: read(&self.owner)?, label: read(&self.label)? })
    }

    /// Merges three texts: the loaded one, that of this request, and the current one.
    fn merge(&self, base: Option<&str>, mine: &str, theirs: Option<&str>) -> Result<Merged, Error> {
        let mine = decode(mine).unwrap_or_default();
        match (base.and_then(decode), theirs.and_then(decode)) {
            (Some(base), Some(theirs)) => self.merged(&merge(&base, &mine, &theirs, self.conflicts)?),
            // The request has changed nothing, and others have written data that are not of this framework.
            (Some(base), None) if own(&base) == own(&mine) => {
                let value = theirs.unwrap_or_default().to_owned();
                Ok(Merged { value, owner: SavedText::Keep, label: SavedText::Keep })
            }
            // The request has discarded the old data, or others have.
            _ => self.merged(&mine),
        }
    }
}

/// A session that was started or continued.
#[cfg_attr(
    not(any(feature = "tower-sessions", feature = "tower-sessions-0-14")),
    allow(dead_code, reason = "actix-session forgets the state that it has saved")
)]
pub(super) struct Begun<D> {
    pub(super) drawn: D,
    /// When the session was created, if it was continued.
    pub(super) created: Option<DateTime<Utc>>,
    /// The text for the table.
    pub(super) value: String,
}

/// A failure to load a session.
pub(super) enum NotLoaded {
    Failed(Error),
    /// The session has a value, but not of this framework.
    OtherShape,
}

impl<S: WebStore, V: Field> Adapter<S, V> {
    pub(super) fn new(store: S) -> Self {
        let sources = Sources { owner: None, label: None, conflicts: Conflicts::default() };
        Self { store, on_missing: OnMissing::default(), sources: Arc::new(sources) }
    }

    pub(super) fn owner_from(&mut self, source: Source<V>) {
        Arc::make_mut(&mut self.sources).owner = Some(source);
    }

    pub(super) fn label_from(&mut self, source: Source<V>) {
        Arc::make_mut(&mut self.sources).label = Some(source);
    }

    pub(super) fn conflicts(&mut self, conflicts: Conflicts) {
        Arc::make_mut(&mut self.sources).conflicts = conflicts;
    }

    /// Returns the data of a session that has a value, with the reserved fields, and the rest of its period.
    pub(super) async fn load(&self, key: &SessionKey) -> Result<Option<(Data<V>, TimeDelta)>, NotLoaded> {
        let session = match self.store.find(key).await {
            Ok(session) => session,
            Err(Error::NotFound) => return Ok(None),
            Err(other) => return Err(NotLoaded::Failed(other)),
        };
        let Some(value) = session.value else { return Ok(None) };
        let mut data = decode(&value).ok_or(NotLoaded::OtherShape)?;
        self.mark(&mut data, key, value, Some(session.created));
        Ok(Some((data, session.left)))
    }

    /// Adds the reserved fields of a session that was just read or written.
    pub(super) fn mark(
        &self,
        data: &mut Data<V>,
        key: &SessionKey,
        base: String,
        created: Option<DateTime<Utc>>,
    ) {
        let mut add = |field: &str, text: String| data.insert(field.to_owned(), V::reserved(text));
        add(reserved::BASE, base);
        add(reserved::RENEWAL, self.digits(key));
        if let Some(created) = created {
            add(reserved::CREATED, created.timestamp_millis().to_string());
        }
    }

    /// Returns the digits of a session's tombstone.
    pub(super) fn digits(&self, key: &SessionKey) -> String {
        self.store.options().stored_key(key).tombstone().digits().to_owned()
    }

    pub(super) fn draft(&self, data: &Data<V>, expiry: TimeDelta) -> Result<Draft, Error> {
        let Merged { value, owner, label } = self.sources.merged(data)?;
        Draft::new(self.store.options(), value, (owner, label), expiry)
    }

    /// Starts or continues a session under a newly drawn key, never under one that a client has sent.
    pub(super) async fn begin<D: Drawn>(
        &self,
        data: &Data<V>,
        expiry: TimeDelta,
        nonce: Option<Nonce>,
    ) -> Result<Begun<D>, Error> {
        let draft = self.draft(data, expiry)?;
        let Some(digits) = text(data, reserved::RENEWAL) else {
            let session = NewSession {
                value: Some(&draft.value),
                owner: draft.owner.or(None),
                label: draft.label.or(None),
                period: Some(expiry),
            };
            let drawn = self.store.execute(Generate::new(self.store.options(), &session)).await?;
            return Ok(Begun { drawn, created: None, value: draft.value });
        };
        let value = draft.value.clone();
        let renewal = Continue::new(self.store.options(), digits, nonce, draft);
        let (drawn, created) = match self.store.execute(renewal).await {
            Ok((drawn, created)) => (drawn, Some(created)),
            Err(Error::NotFound) => {
                self.missing()?;
                // A key that belongs to no session.
                (D::draw()?, None)
            }
            Err(other) => return Err(other),
        };
        Ok(Begun { drawn, created, value })
    }

    /// Saves the data of the session under the first of these keys that is live.
    pub(super) async fn save(
        &self,
        keys: &[SessionKey],
        data: &Data<V>,
        expiry: TimeDelta,
    ) -> Result<(), Error> {
        let draft = self.draft(data, expiry)?;
        let base = text(data, reserved::BASE).map(str::to_owned);
        let is_same =
            |base: &String| *base == draft.value || decode(base).is_some_and(|base| own(&base) == own(data));
        let is_changed = !base.as_ref().is_some_and(is_same);
        let sources = Arc::clone(&self.sources);
        let merge: Merge = Box::new(move |base, mine, theirs| sources.merge(base, mine, theirs));
        let save = Save::new(self.store.options(), keys, draft, (base, is_changed), merge);
        match self.store.execute(Ok(save)).await {
            Err(Error::NotFound) => self.missing(),
            result => result,
        }
    }

    /// Returns the result of a save if its session is gone.
    pub(super) fn missing(&self) -> Result<(), Error> {
        if self.on_missing == OnMissing::Discard { Ok(()) } else { Err(Error::NotFound) }
    }
}

/// Whether the error refuses the data themselves. Another store would refuse them too.
pub(super) fn are_refused_data(error: &Error) -> bool {
    matches!(error, Error::NotText { .. } | Error::TooDeep { .. })
}

/// Reads when a session was created from its reserved field.
pub(super) fn created(text: &str) -> Option<DateTime<Utc>> {
    text.parse().ok().and_then(DateTime::from_timestamp_millis)
}

/// Converts a framework's period, and limits it to the longest that a database can hold. For a framework, "never" is a
/// very long time.
pub(super) fn period(milliseconds: i128) -> TimeDelta {
    let longest = i128::from(LONGEST_PERIOD.num_milliseconds());
    let milliseconds = i64::try_from(milliseconds.clamp(-longest, longest));
    milliseconds.map_or(LONGEST_PERIOD, TimeDelta::milliseconds)
}
