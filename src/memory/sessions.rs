//! What applications ask beyond `Now`, in memory.

use chrono::TimeDelta;

use super::{MemorySession, expire_date, live};
use crate::error::Error;
use crate::key::SessionKey;
use crate::owner::{OwnedSession, SessionCount, SessionHandle};
use crate::rules::{check_owner, check_text};
use crate::sessions::Sessions;

impl Sessions for MemorySession {
    fn rotate(&self, key: &SessionKey) -> Result<SessionKey, Error> {
        let new = SessionKey::random()?;
        let mut sessions = self.shared.sessions();
        live(&mut sessions, key, self.shared.now())?;
        let mut session = sessions.remove(key).ok_or(Error::NotFound)?;
        let latest = session.created_on.saturating_add(self.shared.rules.lifetime().microseconds());
        session.expire_date = session.expire_date.min(latest);
        sessions.insert(new, session);
        Ok(new)
    }

    fn touch(&self, key: &SessionKey, expiry: Option<TimeDelta>) -> Result<bool, Error> {
        let expiry = self.shared.rules.expiry(expiry)?;
        let step = self.shared.rules.touch_step(expiry.period);
        let mut sessions = self.shared.sessions();
        let now = self.shared.now();
        let session = live(&mut sessions, key, now)?;
        let later = expire_date(session, expiry, now);
        let is_worth_it = later >= session.expire_date.saturating_add(step.microseconds());
        if is_worth_it {
            session.expire_date = later;
        }
        Ok(is_worth_it)
    }

    fn update<E: From<Error>>(
        &self,
        key: &SessionKey,
        expiry: Option<TimeDelta>,
        mut change: impl FnMut(Option<String>) -> Result<String, E>,
    ) -> Result<String, E> {
        let expiry = self.shared.rules.expiry(expiry)?;
        let mut sessions = self.shared.sessions();
        let value = live(&mut sessions, key, self.shared.now())?.value.clone();
        let made = change(value)?;
        self.shared.rules.check_value(&made)?;
        let now = self.shared.now();
        let session = live(&mut sessions, key, now)?;
        session.expire_date = expire_date(session, expiry, now);
        session.value = Some(made.clone());
        Ok(made)
    }

    fn replace(
        &self,
        key: &SessionKey,
        expected: Option<String>,
        new: String,
        expiry: Option<TimeDelta>,
    ) -> Result<(), Error> {
        expected.as_deref().map_or(Ok(()), check_text)?;
        self.shared.rules.check_value(&new)?;
        let expiry = self.shared.rules.expiry(expiry)?;
        let mut sessions = self.shared.sessions();
        let now = self.shared.now();
        let session = live(&mut sessions, key, now)?;
        if session.value != expected {
            return Err(Error::Changed);
        }
        session.expire_date = expire_date(session, expiry, now);
        session.value = Some(new);
        Ok(())
    }

    fn generate_for(
        &self,
        owner: &str,
        value: Option<String>,
        expiry: Option<TimeDelta>,
    ) -> Result<SessionKey, Error> {
        check_owner(owner)?;
        self.begin(Some(owner), value, expiry)
    }

    fn bind(&self, key: &SessionKey, owner: &str) -> Result<(), Error> {
        check_owner(owner)?;
        let mut sessions = self.shared.sessions();
        live(&mut sessions, key, self.shared.now())?;
        self.shared.make_room(&mut sessions, owner, Some(key))?;
        live(&mut sessions, key, self.shared.now())?.owner = Some(owner.to_owned());
        Ok(())
    }

    fn owner_of(&self, key: &SessionKey) -> Result<Option<String>, Error> {
        let mut sessions = self.shared.sessions();
        Ok(live(&mut sessions, key, self.shared.now())?.owner.clone())
    }

    fn sessions_of(&self, owner: &str, limit: u32) -> Result<Vec<OwnedSession>, Error> {
        check_owner(owner)?;
        let sessions = self.shared.sessions();
        let mut listed = self.shared.owned(&sessions, owner, None);
        listed.reverse();
        Ok(listed
            .into_iter()
            .take(limit as usize)
            .map(|(created_on, key)| OwnedSession {
                handle: self.handle(&key),
                created: self.shared.date(created_on),
                expires: self.shared.date(sessions[&key].expire_date),
            })
            .collect())
    }

    fn handle(&self, key: &SessionKey) -> SessionHandle {
        self.shared.rules.handle(key)
    }

    fn clear_owner(&self, owner: &str, keep: Option<&SessionKey>) -> Result<usize, Error> {
        check_owner(owner)?;
        let mut sessions = self.shared.sessions();
        let ended = self.shared.owned(&sessions, owner, keep).len();
        // Expired ones as well.
        sessions.retain(|key, session| !session.is_owned_by(owner) || Some(key) == keep);
        Ok(ended)
    }

    fn clear_listed(&self, owner: &str, handle: &SessionHandle) -> Result<bool, Error> {
        check_owner(owner)?;
        let mut sessions = self.shared.sessions();
        let theirs = self.shared.owned(&sessions, owner, None);
        let listed = theirs.iter().find(|(_, key)| self.handle(key) == *handle);
        Ok(listed.is_some_and(|(_, key)| sessions.remove(key).is_some()))
    }

    fn count(&self) -> Result<SessionCount, Error> {
        let sessions = self.shared.sessions();
        let now = self.shared.now();
        let live = sessions.values().filter(|session| session.expire_date > now).count();
        Ok(SessionCount { live: live as u64, expired: (sessions.len() - live) as u64 })
    }

    fn delete_expired(&self, limit: u32) -> Result<usize, Error> {
        let mut sessions = self.shared.sessions();
        let now = self.shared.now();
        let dead: Vec<SessionKey> = sessions
            .iter()
            .filter(|(_, session)| session.expire_date <= now)
            .map(|(key, _)| *key)
            .take(limit as usize)
            .collect();
        for key in &dead {
            sessions.remove(key);
        }
        Ok(dead.len())
    }
}
