//! The load of a web application: visitors come, log in and log out. Some do so with two requests at once.

#[cfg(test)]
mod tests;

use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;

use super::KEPT;
use crate::event::{Call, Event, value};
use crate::record::Record;
use crate::web::{Framework, Refusal, Request, Site};

/// The longest time between the two calls of a login, in microseconds. It leaves time for another request or a fault.
const HANDLER: u64 = if cfg!(test) { 500 } else { 8_000 };

/// The visitors that one thread simulates.
pub(crate) struct Visits<'a> {
    site: &'a dyn Site,
    record: &'a Record,
    value_size: usize,
    random: Rng,
    live: Vec<Visit>,
}

#[derive(Debug)]
struct Visit {
    session: u64,
    cookie: String,
    /// The cookie before the last login. Another window of the browser may still have it.
    older: Option<String>,
    step: u32,
}

impl Visit {
    /// Notes that the browser has received another cookie.
    fn renew(&mut self, cookie: String) {
        self.older = Some(std::mem::replace(&mut self.cookie, cookie));
    }
}

impl<'a> Visits<'a> {
    pub(crate) fn new(site: &'a dyn Site, record: &'a Record, value_size: usize, seed: u64) -> Self {
        Self { site, record, value_size, random: Rng::with_seed(seed), live: Vec::new() }
    }

    /// Uses the site until `stop` returns true.
    pub(crate) fn run(mut self, stop: impl Fn() -> bool) -> Result<()> {
        while !stop() {
            let chance = self.random.u8(0..100);
            if self.live.is_empty() || self.live.len() < KEPT && chance < 20 {
                self.begin()?;
                continue;
            }
            let at = self.random.usize(0..self.live.len());
            let Some(request) = self.load(at)? else { continue };
            match chance {
                0..35 => self.record.say(&Event::Read)?,
                35..60 => self.save(at, request)?,
                60..75 => self.log_in(at, request)?,
                75..83 => self.log_in_twice(at, request)?,
                83..92 => self.log_out_before(at, request)?,
                _ => self.log_out_amid(at, request)?,
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        let session = self.record.next_session();
        self.say_begun(session, Call::Generate { short_lived: false })?;
        let first = value(session, 0, self.value_size);
        match self.record.timed(|| self.site.begin(&first)) {
            Ok(cookie) => {
                self.acknowledge(session, Some(&cookie))?;
                self.live.push(Visit { session, cookie, older: None, step: 0 });
                Ok(())
            }
            Err(refusal) => self.refuse(session, refusal),
        }
    }

    /// Begins a request, which must see the acknowledged state.
    fn load(&mut self, at: usize) -> Result<Option<Box<dyn Request + 'a>>> {
        let Visit { session, cookie, step, .. } = &self.live[at];
        match self.record.timed(|| self.site.load(cookie)) {
            Ok(request) if request.value() == Some(value(*session, *step, self.value_size)) => {
                return Ok(Some(request));
            }
            Ok(_) | Err(Refusal::Gone) => {
                let Visit { session, .. } = self.live.swap_remove(at);
                self.record.say(&Event::Lost { session })?;
            }
            Err(Refusal::Failed(failure)) => self.record.say(&Event::Unread { failure })?,
        }
        Ok(None)
    }

    fn save(&mut self, at: usize, request: Box<dyn Request + 'a>) -> Result<()> {
        let Visit { session, step, .. } = self.live[at];
        self.say_begun(session, Call::Write { step: step + 1 })?;
        match self.record.timed(|| request.save(&value(session, step + 1, self.value_size))) {
            Ok(()) => {
                self.live[at].step += 1;
                self.acknowledge(session, None)
            }
            Err(refusal) => {
                self.refuse(session, refusal)?;
                self.log_out(at)
            }
        }
    }

    fn log_in(&mut self, at: usize, request: Box<dyn Request + 'a>) -> Result<()> {
        let Visit { session, step, .. } = self.live[at];
        self.say_begun(session, Call::LogIn { step: step + 1 })?;
        let handler = self.handler();
        match self.record.timed(|| request.log_in(&value(session, step + 1, self.value_size), handler)) {
            Ok(new) => self.logged_in(at, new),
            Err(refusal) => {
                self.refuse(session, refusal.of_a_login())?;
                self.log_out(at)
            }
        }
    }

    /// Logs in twice at once, like a double click. One of the two sessions lives. actix-session may refuse one request.
    fn log_in_twice(&mut self, at: usize, request: Box<dyn Request + 'a>) -> Result<()> {
        let Some(another) = self.load(at)? else { return Ok(()) };
        let Visit { session, step, .. } = self.live[at];
        self.say_begun(session, Call::LogIn { step: step + 1 })?;
        let (handler, other_handler) = (self.handler(), self.handler());
        let new = value(session, step + 1, self.value_size);
        let answers = at_once(|| request.log_in(&new, handler), || another.log_in(&new, other_handler));
        let last = answers.0.as_ref().or(answers.1.as_ref()).ok().cloned();
        let refusal = match answers {
            (Ok(one), Ok(other)) => match (self.site.load(&one), self.site.load(&other)) {
                (Ok(_), Err(Refusal::Gone)) => return self.logged_in_twice(at, other, one),
                (Err(Refusal::Gone), Ok(_)) => return self.logged_in_twice(at, one, other),
                (Ok(_), Ok(_)) => {
                    self.record.say(&Event::ServedDead)?;
                    return self.logged_in_twice(at, one, other);
                }
                (Err(Refusal::Gone), Err(Refusal::Gone)) => Refusal::Gone,
                (Err(failed @ Refusal::Failed(_)), _) | (_, Err(failed)) => failed,
            },
            (Ok(new), Err(Refusal::Gone)) | (Err(Refusal::Gone), Ok(new))
                if self.site.framework() == Framework::ActixSession =>
            {
                return self.logged_in(at, new);
            }
            (Err(Refusal::Failed(failure)), _) | (_, Err(Refusal::Failed(failure))) => {
                Refusal::Failed(failure)
            }
            _ => Refusal::Gone,
        };
        self.refuse(session, refusal.of_a_login())?;
        if let Some(new) = last {
            self.live[at].renew(new);
        }
        self.log_out(at)
    }

    /// Records the two logins as if the one that lives came second.
    fn logged_in_twice(&mut self, at: usize, dead: String, live: String) -> Result<()> {
        let Visit { session, step, .. } = self.live[at];
        self.say_begun(session, Call::LogIn { step: step + 1 })?;
        self.acknowledge(session, Some(&dead))?;
        self.try_dead(&dead)?;
        self.logged_in(at, live)
    }

    fn logged_in(&mut self, at: usize, new: String) -> Result<()> {
        let visit = &mut self.live[at];
        visit.step += 1;
        visit.renew(new);
        let visit = &self.live[at];
        self.acknowledge(visit.session, Some(&visit.cookie))?;
        visit.older.as_ref().map_or(Ok(()), |old| self.try_dead(old))
    }

    /// Logs out with the current cookie or the one before, until the logout is acknowledged.
    fn log_out(&mut self, at: usize) -> Result<()> {
        let visit = self.live.swap_remove(at);
        let cookie = self.any_cookie(&visit);
        self.end(&visit, || self.site.log_out(&cookie))
    }

    /// Logs out while another request is open. That request ends later and must have no effect.
    fn log_out_before(&mut self, at: usize, late: Box<dyn Request + 'a>) -> Result<()> {
        let Visit { session, step, .. } = self.live[at];
        self.log_out(at)?;
        let (is_login, handler) = (self.random.bool(), self.handler());
        let new = value(session, step + 1, self.value_size);
        let event = match self.record.timed(|| finish(late, is_login, &new, handler)) {
            Ok(_) => Event::Revived,
            Err(Refusal::Gone) => Event::Read,
            Err(Refusal::Failed(failure)) => Event::Unread { failure },
        };
        self.record.say(&event)
    }

    /// Logs out at the same time as another request. In either order, nothing may live after both.
    fn log_out_amid(&mut self, at: usize, other: Box<dyn Request + 'a>) -> Result<()> {
        let visit = self.live.swap_remove(at);
        let cookie = self.any_cookie(&visit);
        let Visit { session, step, .. } = visit;
        let (is_login, handler, click) = (self.random.bool(), self.handler(), self.handler());
        let step = step + 1;
        self.say_begun(session, if is_login { Call::LogIn { step } } else { Call::Write { step } })?;
        self.say_begun(session, Call::Clear)?;
        let new = value(session, step, self.value_size);
        let (done, ended) = at_once(
            || finish(other, is_login, &new, handler),
            || {
                sleep(click);
                self.site.log_out(&cookie)
            },
        );
        let mut ended = Some(ended);
        self.end(&visit, || ended.take().unwrap_or_else(|| self.site.log_out(&cookie)))?;
        match done {
            Ok(Some(new)) => self.try_dead(&new),
            Ok(None) | Err(Refusal::Gone) => Ok(()),
            Err(Refusal::Failed(failure)) => self.record.say(&Event::Unread { failure }),
        }
    }

    fn end(&self, visit: &Visit, mut log_out: impl FnMut() -> Result<(), Refusal>) -> Result<()> {
        let session = visit.session;
        loop {
            self.say_begun(session, Call::Clear)?;
            match self.record.timed(&mut log_out) {
                Ok(()) => break,
                Err(Refusal::Failed(failure)) => self.record.say(&Event::Failed { session, failure })?,
                Err(Refusal::Gone) => return self.record.say(&Event::Lost { session }),
            }
        }
        self.acknowledge(session, None)?;
        self.try_dead(&visit.cookie)
    }

    fn try_dead(&self, cookie: &str) -> Result<()> {
        let event = match self.record.timed(|| self.site.load(cookie)) {
            Ok(_) => Event::ServedDead,
            Err(Refusal::Gone) => Event::Read,
            Err(Refusal::Failed(failure)) => Event::Unread { failure },
        };
        self.record.say(&event)
    }

    fn any_cookie(&mut self, visit: &Visit) -> String {
        let older = visit.older.as_ref().filter(|_| self.random.u8(0..4) == 0);
        older.unwrap_or(&visit.cookie).clone()
    }

    fn handler(&mut self) -> Duration {
        Duration::from_micros(self.random.u64(0..HANDLER))
    }

    fn say_begun(&self, session: u64, call: Call) -> Result<()> {
        self.record.say(&Event::Begun { session, call })
    }

    fn acknowledge(&self, session: u64, cookie: Option<&str>) -> Result<()> {
        let key = match cookie.map(|cookie| self.site.key(cookie)).transpose() {
            Ok(key) => key.map(|key| key.as_str().to_owned()),
            Err(refusal) => return self.refuse(session, refusal),
        };
        self.record.say(&Event::Acknowledged { session, key })
    }

    fn refuse(&self, session: u64, refusal: Refusal) -> Result<()> {
        self.record.say(&match refusal {
            Refusal::Gone => Event::Lost { session },
            Refusal::Failed(failure) => Event::Failed { session, failure },
        })
    }
}

/// Ends a request. Returns the new cookie if the request is a login.
fn finish(
    request: Box<dyn Request + '_>,
    is_login: bool,
    value: &str,
    handler: Duration,
) -> Result<Option<String>, Refusal> {
    if is_login { request.log_in(value, handler).map(Some) } else { request.save(value).map(|()| None) }
}

fn at_once<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().expect("a request does not panic"), other)
    })
}
