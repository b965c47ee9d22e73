//! Three requests of one session, in every order of their calls to the store. The calls go to two stores that share
//! only the database. A model says what each call must answer, and which session must be left.

use std::collections::BTreeSet;

use diesel_session::Sessions as _;
use serde_json::json;

use super::frameworks::Framework;
use crate::hosts::Host;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// A login: loads the session, deletes it, and creates another one.
    Renew,
    /// The same, but its client hangs up before the last step.
    Cancelled,
    /// Loads the session and saves it.
    Save,
    LogOut,
    /// Ends all sessions of the user.
    ClearOwner,
}

use Request::{Cancelled, ClearOwner, LogOut, Renew, Save};

impl Request {
    fn calls(self) -> usize {
        match self {
            Renew => 3,
            Cancelled | Save => 2,
            LogOut | ClearOwner => 1,
        }
    }
}

/// Returns every group of three requests of which at least one renews.
fn threes() -> Vec<[Request; 3]> {
    let all = [Renew, Cancelled, Save, LogOut, ClearOwner];
    let mut threes = Vec::new();
    for (first, one) in all.iter().enumerate() {
        for other in &all[first..] {
            threes.push([Renew, *one, *other]);
        }
    }
    threes
}

/// Returns every order of their calls. An order is a list of the requests' numbers.
fn orders(requests: [Request; 3]) -> Vec<Vec<usize>> {
    fn extend(left: [usize; 3], order: &mut Vec<usize>, orders: &mut Vec<Vec<usize>>) {
        if left == [0; 3] {
            orders.push(order.clone());
        }
        for request in 0..3 {
            let mut rest = left;
            if rest[request] > 0 {
                rest[request] -= 1;
                order.push(request);
                extend(rest, order, orders);
                order.pop();
            }
        }
    }
    let mut orders = Vec::new();
    extend(requests.map(Request::calls), &mut Vec::new(), &mut orders);
    orders
}

/// A session and its renewals, the oldest first. Each of them except the last was renewed.
struct Model {
    tells: bool,
    sessions: Vec<State>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Live,
    /// The requests that have deleted it, and those that wanted to continue it.
    Parked(BTreeSet<usize>, BTreeSet<usize>),
    Renewed {
        by: usize,
        creates: BTreeSet<usize>,
    },
    Ended,
}

impl Model {
    fn new(tells: bool) -> Self {
        Self { tells, sessions: vec![State::Live] }
    }

    fn last(&mut self) -> &mut State {
        self.sessions.last_mut().unwrap()
    }

    /// Whether the first session is live. All requests have its cookie.
    fn is_first_live(&self) -> bool {
        self.sessions[0] == State::Live
    }

    /// Deletes a session. If the framework tells a renewal from a logout, the delete only means the cookie's own
    /// session.
    fn delete(&mut self, request: usize) {
        if self.tells {
            if self.is_first_live() {
                self.sessions[0] = State::Parked(BTreeSet::new(), BTreeSet::new());
            }
            return;
        }
        match self.last() {
            State::Parked(deletes, _) => drop(deletes.insert(request)),
            last @ State::Live => *last = State::Parked([request].into(), BTreeSet::new()),
            State::Renewed { .. } | State::Ended => {}
        }
    }

    /// Creates a session if the request may go on. A parked session goes on with the last request that creates.
    fn create(&mut self, request: usize) -> bool {
        let was_counted =
            |state: &State| matches!(state, State::Renewed { creates, .. } if creates.contains(&request));
        if self.sessions.iter().any(was_counted) {
            return false;
        }
        let tells = self.tells;
        let creates = match self.last() {
            State::Parked(deletes, creates) => {
                creates.insert(request);
                if creates.len() < deletes.len() {
                    return false;
                }
                std::mem::take(creates)
            }
            // Another renewal has continued the session, and now this one does.
            State::Live if tells => BTreeSet::new(),
            _ => return false,
        };
        *self.last() = State::Renewed { by: request, creates };
        self.sessions.push(State::Live);
        true
    }

    fn end(&mut self) {
        *self.last() = State::Ended;
    }

    /// Returns the request whose session is live, if there is one. `None` in the list is the first session of all.
    fn live(&self) -> Vec<Option<usize>> {
        let before = self.sessions.len().checked_sub(2).map(|before| &self.sessions[before]);
        let by = before.map(|state| match state {
            State::Renewed { by, .. } => *by,
            other => panic!("{other:?}"),
        });
        if self.sessions.last() == Some(&State::Live) { vec![by] } else { Vec::new() }
    }
}

/// Replays one order, and compares each answer and the end with the model.
async fn replay<H: Host, F: Framework<H::Web>>(
    host: &H,
    stores: &[F; 2],
    requests: [Request; 3],
    order: &[usize],
) {
    let told = || format!("{requests:?} {order:?}");
    let cookie = stores[0].begin(&[("user", json!("alice"))]).await;
    let mut model = Model::new(F::TELLS);
    let mut calls = [0; 3];
    let mut loaded: [Option<F::Loaded>; 3] = [None, None, None];
    let mut created: [Option<F::Cookie>; 3] = [None, None, None];
    for number in order.iter().copied() {
        let store = &stores[number % 2];
        let call = calls[number];
        calls[number] += 1;
        match (requests[number], call) {
            (LogOut, _) => {
                store.log_out(&cookie).await.unwrap();
                if F::TELLS { model.end() } else { model.delete(number) }
            }
            (ClearOwner, _) => {
                let was_live = model.live().len();
                assert_eq!(host.sessions().clear_owner("alice", None).unwrap(), was_live, "{}", told());
                model.end();
            }
            (_, 0) => {
                loaded[number] = store.load(&cookie).await;
                assert_eq!(loaded[number].is_some(), model.is_first_live(), "{}", told());
            }
            // The request has no session.
            _ if loaded[number].is_none() => {}
            (Save, _) => {
                let saved = store.save(loaded[number].as_ref().unwrap()).await;
                assert_eq!(saved.is_ok(), model.is_first_live(), "{}", told());
            }
            (_, 1) => {
                store.delete(loaded[number].as_ref().unwrap()).await.unwrap();
                model.delete(number);
            }
            _ => {
                created[number] = store.create(loaded[number].take().unwrap()).await.ok();
                assert_eq!(created[number].is_some(), model.create(number), "{}", told());
            }
        }
    }
    let mut live = Vec::new();
    for (number, cookie) in
        [(None, Some(&cookie))].into_iter().chain((0..3).map(|n| (Some(n), created[n].as_ref())))
    {
        if let Some(cookie) = cookie {
            if stores[0].load(cookie).await.is_some() {
                live.push(number);
            }
        }
    }
    assert_eq!(live, model.live(), "{}", told());
    let has_ended = requests.contains(&LogOut) || requests.contains(&ClearOwner);
    assert!(live.len() <= usize::from(!has_ended), "{}", told());
    if requests == [Renew; 3] {
        assert_eq!(live.len(), 1, "{}", told());
    }
    let listed = host.sessions().clear_owner("alice", None).unwrap();
    assert_eq!(listed, live.len(), "{}", told());
}

async fn every_order_of_three_requests<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let stores = [F::over(host.web()), F::over(host.elsewhere().await)];
    let mut replayed = 0;
    for requests in threes() {
        let orders = orders(requests);
        if requests == [Renew; 3] {
            assert_eq!(orders.len(), 1_680);
        }
        for order in orders {
            replay(&host, &stores, requests, &order).await;
            replayed += 1;
        }
    }
    assert_eq!(replayed, 4_010);
}

mod with_tower_sessions {
    use crate::hosts::{Host, OnMariaDb, OnPostgres, OnSqlite};
    use crate::waiting::runtime;
    use crate::web_stores::frameworks::Tower;

    #[test]
    fn every_order_of_three_requests_on_sqlite() {
        type Web = <OnSqlite as Host>::Web;
        runtime().block_on(super::every_order_of_three_requests::<OnSqlite, Tower<Web>>());
    }

    #[test]
    fn every_order_of_three_requests_on_postgres() {
        type Web = <OnPostgres as Host>::Web;
        runtime().block_on(super::every_order_of_three_requests::<OnPostgres, Tower<Web>>());
    }

    #[test]
    fn every_order_of_three_requests_on_mariadb() {
        type Web = <OnMariaDb as Host>::Web;
        runtime().block_on(super::every_order_of_three_requests::<OnMariaDb, Tower<Web>>());
    }
}

mod with_actix_session {
    use crate::hosts::{Host, OnMariaDb, OnPostgres, OnSqlite};
    use crate::waiting::runtime;
    use crate::web_stores::frameworks::Actix;

    #[test]
    fn every_order_of_three_requests_on_sqlite() {
        type Web = <OnSqlite as Host>::Web;
        runtime().block_on(super::every_order_of_three_requests::<OnSqlite, Actix<Web>>());
    }

    #[test]
    fn every_order_of_three_requests_on_postgres() {
        type Web = <OnPostgres as Host>::Web;
        runtime().block_on(super::every_order_of_three_requests::<OnPostgres, Actix<Web>>());
    }

    #[test]
    fn every_order_of_three_requests_on_mariadb() {
        type Web = <OnMariaDb as Host>::Web;
        runtime().block_on(super::every_order_of_three_requests::<OnMariaDb, Actix<Web>>());
    }
}
