//! A session that is renewed goes on under its new key. A session that has ended does not go on.

use std::sync::Arc;

use diesel_session::{AsyncSessions as _, Now as _, OwnerLimit, Sessions as _, TimeDelta, TowerSessionStore};
use serde_json::json;
use time::Duration;
use tokio::join;
use tower_sessions::{Session, SessionStore};

use super::frameworks::{Framework, Tower};
use super::laws_of_both_frameworks;
use crate::hosts::{Host, Limits, OnPostgres, OnSqlite, laws_on_every_host};
use crate::waiting::runtime;

laws_of_both_frameworks! {
    two_concurrent_logins_leave_one_session
    a_renewal_may_be_created_in_another_task_and_through_another_store
    a_logout_on_another_server_between_delete_and_create_is_final
    a_logout_with_the_old_key_ends_the_renewed_session
    a_session_that_expired_before_cycle_id_is_not_continued
    a_parked_session_is_absent_and_neither_listed_nor_counted
    parked_rows_are_swept
    a_bound_owner_and_the_creation_time_survive_a_renewal
    a_forged_created_field_changes_nothing
    a_renewal_after_a_failed_delete_continues_nothing_that_was_logged_out
    a_renewal_without_its_delete_continues_nothing
    a_cleared_session_is_renewed_as_a_new_one
    a_renewal_keeps_the_owners_limit
    two_logins_under_an_owner_limit_do_not_deadlock
    two_renewals_of_an_owned_session_under_a_limit_leave_one
}

/// Logs in: renews the session and makes it the user's. Returns `None` if the request finds no session.
async fn log_in<W, F: Framework<W>>(
    store: &F,
    cookie: &F::Cookie,
    user: &str,
) -> Option<Result<F::Cookie, String>> {
    let mut loaded = store.load(cookie).await?;
    F::put(&mut loaded, "user", Some(json!(user)));
    Some(store.renew(loaded).await)
}

/// A double click: two requests at the same time, each on its own server.
async fn two_concurrent_logins_leave_one_session<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let (here, there) = (F::over(host.web()), F::over(host.elsewhere().await));
    for _ in 0..50 {
        let cookie = here.begin(&[("cart", json!(3))]).await;
        let both = join!(log_in(&here, &cookie, "alice"), log_in(&there, &cookie, "alice"));
        let answers: Vec<_> = [both.0, both.1].into_iter().flatten().collect();
        let granted: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        if F::TELLS {
            assert_eq!(granted.len(), answers.len(), "a login of a double click was refused: {answers:?}");
        }
        let mut live = 0;
        for cookie in granted {
            live += usize::from(here.field(cookie, "cart").await == Some(json!(3)));
        }
        assert_eq!(live, 1, "{answers:?}");
        assert_eq!(host.sessions().clear_owner("alice", None).unwrap(), 1);
        assert_eq!(host.sessions().count().unwrap().live, 0);
    }
}

/// The renewal depends neither on the task nor on the store's instance.
async fn a_renewal_may_be_created_in_another_task_and_through_another_store<H, F>()
where
    H: Host,
    F: Framework<H::Web>,
{
    let host = H::new().await;
    let (here, there) = (F::over(host.web()), F::over(host.elsewhere().await));
    let cookie = here.begin(&[("cart", json!(3))]).await;
    let loaded = here.load(&cookie).await.unwrap();
    here.delete(&loaded).await.unwrap();
    let renewed = there.create(loaded).await.unwrap();
    assert_eq!(here.field(&renewed, "cart").await, Some(json!(3)));
    assert!(here.load(&cookie).await.is_none());
    assert_eq!(host.sessions().count().unwrap().live, 1);
}

/// The ways to end a session while another request renews it.
const ENDS: [&str; 7] =
    ["log out", "clear", "clear_owner", "end and log out", "clear_owner twice", "clear_all", "rotate"];

async fn end<H: Host, F: Framework<H::Web>>(host: &H, there: &F, cookie: &F::Cookie, how: &str) {
    let sessions = host.sessions();
    match how {
        "log out" => there.log_out(cookie).await.unwrap(),
        "clear" => sessions.clear(&there.key(cookie)).unwrap(),
        "clear_owner" => assert_eq!(sessions.clear_owner("alice", None).unwrap(), 0, "none was live"),
        "end and log out" => {
            sessions.clear(&there.key(cookie)).unwrap();
            there.log_out(cookie).await.unwrap();
        }
        "clear_owner twice" => {
            sessions.clear_owner("alice", None).unwrap();
            sessions.clear_owner("alice", None).unwrap();
        }
        "clear_all" => assert_eq!(sessions.clear_all().unwrap(), 0, "none was live"),
        // A dead key cannot be rotated again, and the attempt changes nothing.
        "rotate" => assert!(sessions.rotate(&there.key(cookie)).is_err()),
        other => panic!("{other}"),
    }
}

async fn a_logout_on_another_server_between_delete_and_create_is_final<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let (here, there) = (F::over(host.web()), F::over(host.elsewhere().await));
    for how in ENDS {
        let cookie = here.begin(&[("user", json!("alice"))]).await;
        let loaded = here.load(&cookie).await.unwrap();
        here.delete(&loaded).await.unwrap();
        end(&host, &there, &cookie, how).await;
        let created = here.create(loaded).await;
        assert_eq!(created.is_ok(), how == "rotate", "{how}: {created:?}");
        assert_eq!(host.sessions().count().unwrap().live, u64::from(how == "rotate"), "{how}");
        host.sessions().clear_owner("alice", None).unwrap();
        assert_eq!(host.sessions().count().unwrap().live, 0, "{how}");
    }
}

async fn a_logout_with_the_old_key_ends_the_renewed_session<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let (here, there) = (F::over(host.web()), F::over(host.elsewhere().await));
    for renewals in 1..4 {
        for clear in [false, true] {
            let old = here.begin(&[("cart", json!(3))]).await;
            let mut newest = old.clone();
            for _ in 0..renewals {
                newest = here.renew(here.load(&newest).await.unwrap()).await.unwrap();
            }
            if clear {
                host.sessions().clear(&there.key(&old)).unwrap();
            } else {
                there.log_out(&old).await.unwrap();
            }
            assert!(here.load(&newest).await.is_none(), "{renewals} renewals, {clear}");
            assert_eq!(host.sessions().count().unwrap().live, 0);
        }
    }
    // A logout also follows a rotation by the application.
    let old = here.begin(&[("cart", json!(3))]).await;
    let rotated = host.sessions().rotate(&here.key(&old)).unwrap();
    there.log_out(&old).await.unwrap();
    assert!(host.sessions().find(&rotated).is_err());
    assert_eq!(host.sessions().count().unwrap().live, 0);
}

/// The session expires before the renewal, or in the middle of it.
async fn a_session_that_expired_before_cycle_id_is_not_continued<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    for parked in [false, true] {
        let cookie = here.begin(&[("cart", json!(3))]).await;
        let loaded = here.load(&cookie).await.unwrap();
        if parked {
            here.delete(&loaded).await.unwrap();
        }
        host.run("UPDATE session SET expire_date = expire_date - 61 * {minute}");
        if !parked {
            here.delete(&loaded).await.unwrap();
        }
        assert!(here.create(loaded).await.is_err(), "{parked}");
        assert_eq!(host.sessions().count().unwrap().live, 0);
    }
    // A session that lives longer does not go on either, if its renewal takes too long.
    let cookie = here.begin_for(&[("cart", json!(3))], Duration::days(7)).await.unwrap();
    let loaded = here.load(&cookie).await.unwrap();
    here.delete(&loaded).await.unwrap();
    host.run("UPDATE session SET expire_date = expire_date - 10 * {minute}");
    assert!(here.create(loaded).await.is_err());
}

async fn a_parked_session_is_absent_and_neither_listed_nor_counted<H: Host, F: Framework<H::Web>>() {
    let host = H::limited(Limits { owner_limit: Some(OwnerLimit::Refuse(1)), ..Limits::default() }).await;
    let here = F::over(host.web());
    let sessions = host.sessions();
    let cookie = here.begin(&[("user", json!("alice"))]).await;
    let loaded = here.load(&cookie).await.unwrap();
    here.delete(&loaded).await.unwrap();
    let key = here.key(&cookie);
    assert!(sessions.find(&key).is_err() && sessions.get(&key).is_err());
    assert!(sessions.set(&key, "x", None).is_err() && sessions.bind(&key, "bob").is_err());
    assert!(here.load(&cookie).await.is_none());
    assert!(here.save(&loaded).await.is_err());
    assert!(sessions.sessions_of("alice", 10).unwrap().is_empty());
    assert!(!sessions.clear_listed("alice", &sessions.handle(&key)).unwrap());
    assert!(sessions.list(None, None, 10).unwrap().sessions.is_empty());
    assert!(!sessions.clear_handle(&sessions.handle(&key)).unwrap());
    let count = sessions.count().unwrap();
    assert_eq!((count.live, count.expired), (0, 0));
    // The limit does not count it either, so another login can take its place.
    sessions.generate_for("alice", None, None).unwrap();
    assert!(here.create(loaded.clone()).await.is_err());
    sessions.clear_owner("alice", None).unwrap();
    // The limit refused the session, and then it was ended.
    assert!(here.create(loaded).await.is_err());
    assert_eq!(sessions.count().unwrap().live, 0);
}

async fn parked_rows_are_swept<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let loaded = here.load(&here.begin(&[]).await).await.unwrap();
    here.delete(&loaded).await.unwrap();
    let old = here.begin(&[]).await;
    here.renew(here.load(&old).await.unwrap()).await.unwrap();
    assert_eq!(host.sessions().delete_expired(10).unwrap(), 0);
    host.run("UPDATE session SET expire_date = expire_date - 180 * {minute}");
    assert_eq!(host.sessions().delete_expired(10).unwrap(), 3, "parked, renewed, and the session itself");
}

async fn a_bound_owner_and_the_creation_time_survive_a_renewal<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    // The owner is not part of the session's data.
    let here = F::without_owners(host.web());
    let sessions = host.sessions();
    let cookie = here.begin(&[("cart", json!(3))]).await;
    sessions.bind(&here.key(&cookie), "alice").unwrap();
    sessions.set_label(&here.key(&cookie), Some("Firefox on Linux")).unwrap();
    host.run("UPDATE session SET created_on = created_on - 20 * {minute}");
    let before = sessions.sessions_of("alice", 10).unwrap();
    let renewed = here.renew(here.load(&cookie).await.unwrap()).await.unwrap();
    let renewed = here.renew(here.load(&renewed).await.unwrap()).await.unwrap();
    let after = sessions.sessions_of("alice", 10).unwrap();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_eq!((before[0].created, &before[0].label), (after[0].created, &after[0].label));
    assert_eq!(after[0].handle, sessions.handle(&here.key(&renewed)));
    // If the data name the owner and the label, those names count.
    let here = F::over(host.web());
    let mut loaded = here.load(&renewed).await.unwrap();
    F::put(&mut loaded, "user", Some(json!("bob")));
    let renewed = here.renew(loaded).await.unwrap();
    let found = sessions.find(&here.key(&renewed)).unwrap();
    assert_eq!((found.owner.as_deref(), found.label), (Some("bob"), None));
}

/// Any other field that an application could take from a client changes nothing either.
async fn a_forged_created_field_changes_nothing<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let theirs = here.begin(&[("cart", json!("theirs"))]).await;
    let cookie = here.begin(&[("user", json!("alice"))]).await;
    let created = host.sessions().find(&here.key(&cookie)).unwrap().created;
    let mut loaded = here.load(&cookie).await.unwrap();
    F::put(&mut loaded, "diesel-session.created", Some(json!(0)));
    F::put(&mut loaded, "diesel-session.key", Some(json!("forged")));
    let renewed = here.renew(loaded).await.unwrap();
    assert_eq!(host.sessions().find(&here.key(&renewed)).unwrap().created, created);
    // A handle, which pages show, names no session here. Neither does any other forged value.
    let handle = host.sessions().handle(&here.key(&theirs)).to_string();
    for forged in [json!(handle), json!("x".repeat(32)), json!(7), json!("%' OR 1=1"), json!(null)] {
        let mut loaded = here.load(&renewed).await.unwrap();
        F::put(&mut loaded, "diesel-session.renewal", Some(forged));
        assert!(here.create(loaded).await.is_err());
    }
    assert_eq!(here.field(&theirs, "cart").await, Some(json!("theirs")));
    assert_eq!(host.sessions().count().unwrap().live, 2);
}

/// The database fails once. The same renewal works later, but not after a logout.
async fn a_renewal_after_a_failed_delete_continues_nothing_that_was_logged_out<H, F>()
where
    H: Host,
    F: Framework<H::Web>,
{
    let host = H::new().await;
    let here = F::over(host.web());
    for logged_out in [false, true] {
        let cookie = here.begin(&[("cart", json!(3))]).await;
        let loaded = here.load(&cookie).await.unwrap();
        host.run("ALTER TABLE session RENAME TO away");
        assert!(here.delete(&loaded).await.is_err());
        host.run("ALTER TABLE away RENAME TO session");
        if logged_out {
            here.log_out(&cookie).await.unwrap();
        }
        let renewed = here.renew(loaded).await;
        // actix-session does not tell the second delete from another logout, but the store did not count the failed
        // one.
        assert_eq!(renewed.is_ok(), !logged_out, "{renewed:?}");
        if let Ok(renewed) = renewed {
            assert_eq!(here.field(&renewed, "cart").await, Some(json!(3)));
            here.log_out(&renewed).await.unwrap();
        }
        assert_eq!(host.sessions().count().unwrap().live, 0);
    }
}

/// The delete failed, but the framework or the application went on.
async fn a_renewal_without_its_delete_continues_nothing<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let cookie = here.begin(&[("cart", json!(3))]).await;
    let loaded = here.load(&cookie).await.unwrap();
    assert!(here.create(loaded.clone()).await.is_err());
    assert!(here.load(&cookie).await.is_some());
    here.log_out(&cookie).await.unwrap();
    // actix-session never saves after a failed delete, so its store assumes that each save follows a delete.
    assert_eq!(here.create(loaded).await.is_ok(), !F::TELLS);
    host.sessions().clear(&here.key(&cookie)).unwrap();
    assert_eq!(host.sessions().count().unwrap().live, 0);
}

/// `Session::clear` discards what the session was, so the renewal begins another session.
async fn a_cleared_session_is_renewed_as_a_new_one<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let cookie = here.begin(&[("user", json!("alice"))]).await;
    host.run("UPDATE session SET created_on = created_on - 20 * {minute}");
    let mut loaded = here.load(&cookie).await.unwrap();
    F::clear(&mut loaded);
    F::put(&mut loaded, "cart", Some(json!(1)));
    let begun = here.renew(loaded).await.unwrap();
    let found = host.sessions().find(&here.key(&begun)).unwrap();
    assert_eq!(found.owner, None);
    assert!(chrono::Utc::now() - found.created < TimeDelta::minutes(1));
    assert_eq!(here.field(&begun, "user").await, None);
    // The row that it leaves behind is no session, and is swept.
    assert!(here.load(&cookie).await.is_none());
    assert_eq!(host.sessions().count().unwrap().live, 1);
}

/// While a session is parked, another login may take its place. The session that is renewed last always has room.
async fn a_renewal_keeps_the_owners_limit<H: Host, F: Framework<H::Web>>() {
    let limits = Limits { owner_limit: Some(OwnerLimit::EndOldest(2)), ..Limits::default() };
    let host = H::limited(limits).await;
    let here = F::over(host.web());
    let listed = || host.sessions().sessions_of("alice", 10).unwrap().len();
    let oldest = here.begin(&[("user", json!("alice"))]).await;
    let loaded = here.load(&oldest).await.unwrap();
    here.delete(&loaded).await.unwrap();
    for _ in 0..3 {
        here.begin(&[("user", json!("alice"))]).await;
    }
    assert_eq!(listed(), 2);
    let renewed = here.create(loaded).await.unwrap();
    assert_eq!(listed(), 2);
    assert!(here.load(&renewed).await.is_some());
}

async fn two_logins_under_an_owner_limit_do_not_deadlock<H: Host, F: Framework<H::Web>>() {
    let limits = Limits { owner_limit: Some(OwnerLimit::EndOldest(1)), ..Limits::default() };
    let host = H::limited(limits).await;
    let (here, there) = (F::over(host.web()), F::over(host.elsewhere().await));
    for _ in 0..20 {
        let one = here.begin(&[]).await;
        let other = here.begin(&[]).await;
        let (one, other) = join!(log_in(&here, &one, "alice"), log_in(&there, &other, "alice"));
        assert!(one.unwrap().is_ok() && other.unwrap().is_ok());
        assert_eq!(host.sessions().sessions_of("alice", 10).unwrap().len(), 1);
    }
}

/// Both renewals continue the session that counts against the limit.
async fn two_renewals_of_an_owned_session_under_a_limit_leave_one<H: Host, F: Framework<H::Web>>() {
    let limits = Limits { owner_limit: Some(OwnerLimit::EndOldest(1)), ..Limits::default() };
    let host = H::limited(limits).await;
    let (here, there) = (F::over(host.web()), F::over(host.elsewhere().await));
    for _ in 0..20 {
        let cookie = here.begin(&[("user", json!("alice"))]).await;
        let both = join!(log_in(&here, &cookie, "alice"), log_in(&there, &cookie, "alice"));
        let granted = [both.0, both.1].into_iter().flatten().flatten().count();
        assert!(granted >= 1);
        assert_eq!(host.sessions().sessions_of("alice", 10).unwrap().len(), 1);
        assert_eq!(host.sessions().clear_owner("alice", None).unwrap(), 1);
    }
}

laws_on_every_host! {
    a_login_survives_the_cancelled_login_beside_it
    cycle_id_deletes_the_id_of_the_loaded_record_and_flush_that_of_the_cookie
    the_id_of_a_loaded_record_opens_no_session
    a_renewal_after_an_explicit_save_is_refused_unless_it_loads_again
    the_later_of_two_renewals_keeps_its_own_data
    a_request_can_keep_its_session_by_the_key_from_before_cycle_id
    a_flush_after_cycle_id_reaches_no_store
}

/// tower-sessions tells a renewal from a logout.
async fn a_login_survives_the_cancelled_login_beside_it<H: Host>() {
    let host = H::new().await;
    let here = Tower::over(host.web());
    let cookie = here.begin(&[("cart", json!(3))]).await;
    let (one, other) = (here.load(&cookie).await.unwrap(), here.load(&cookie).await.unwrap());
    here.delete(&one).await.unwrap();
    here.delete(&other).await.unwrap();
    // The client of the other request hangs up.
    let renewed = here.create(one).await.unwrap();
    assert_eq!(here.field(&renewed, "cart").await, Some(json!(3)));
}

/// Uses the framework's own session, so that a later version that passes other ids fails this test.
async fn cycle_id_deletes_the_id_of_the_loaded_record_and_flush_that_of_the_cookie<H: Host>() {
    let host = H::new().await;
    let store = TowerSessionStore::new(host.web());
    let cookie = Tower::over(host.web()).begin(&[("cart", json!(3))]).await;
    let session = Session::new(Some(cookie), Arc::new(store.clone()), None);
    assert_eq!(session.get::<u32>("cart").await.unwrap(), Some(3));
    assert_eq!(session.id(), Some(cookie), "the application sees the cookie's id");
    let record = store.load(&cookie).await.unwrap().unwrap();
    assert_ne!(record.id, cookie);
    // A renewal parks the session, and a logout does not.
    let rows = || host.sessions().delete_expired(10).unwrap();
    session.cycle_id().await.unwrap();
    host.run("UPDATE session SET expire_date = expire_date - 180 * {minute}");
    assert_eq!(rows(), 1);
    let cookie = Tower::over(host.web()).begin(&[("cart", json!(3))]).await;
    let session = Session::new(Some(cookie), Arc::new(store.clone()), None);
    assert_eq!(session.get::<u32>("cart").await.unwrap(), Some(3));
    session.flush().await.unwrap();
    host.run("UPDATE session SET expire_date = expire_date - 180 * {minute}");
    assert_eq!(rows(), 0);
}

async fn the_id_of_a_loaded_record_opens_no_session<H: Host>() {
    let host = H::new().await;
    let store = TowerSessionStore::new(host.web());
    let cookie = Tower::over(host.web()).begin(&[("cart", json!(3))]).await;
    let record = store.load(&cookie).await.unwrap().unwrap();
    assert!(store.load(&record.id).await.unwrap().is_none());
    assert_ne!(store.key(&record.id), store.key(&cookie));
    assert!(host.web().find(&store.key(&record.id)).await.is_err());
}

async fn a_renewal_after_an_explicit_save_is_refused_unless_it_loads_again<H: Host>() {
    let host = H::new().await;
    let store = Arc::new(TowerSessionStore::new(host.web()));
    for loads in [false, true] {
        let session = Session::new(None, store.clone(), None);
        session.insert("cart", 3).await.unwrap();
        session.save().await.unwrap();
        if loads {
            session.load().await.unwrap();
        }
        session.cycle_id().await.unwrap();
        assert_eq!(session.save().await.is_ok(), loads);
    }
}

async fn the_later_of_two_renewals_keeps_its_own_data<H: Host>() {
    let host = H::new().await;
    let here = Tower::over(host.web());
    let cookie = here.begin(&[("cart", json!(3))]).await;
    let mut one = here.load(&cookie).await.unwrap();
    let mut other = one.clone();
    Tower::<H::Web>::put(&mut one, "user", Some(json!("alice")));
    Tower::<H::Web>::put(&mut other, "user", Some(json!("bob")));
    here.delete(&one).await.unwrap();
    let first = here.create(one).await.unwrap();
    here.delete(&other).await.unwrap();
    let last = here.create(other).await.unwrap();
    assert!(here.load(&first).await.is_none());
    assert_eq!(here.field(&last, "user").await, Some(json!("bob")));
    assert!(host.sessions().sessions_of("alice", 10).unwrap().is_empty());
    assert_eq!(host.sessions().sessions_of("bob", 10).unwrap().len(), 1);
}

/// "Sign out of all other sessions", in a request that also renews its own session.
async fn a_request_can_keep_its_session_by_the_key_from_before_cycle_id<H: Host>() {
    let host = H::new().await;
    let store = TowerSessionStore::new(host.web()).owner_from("user");
    for before in [true, false] {
        let cookie = Tower::over(host.web()).begin(&[("user", json!("alice"))]).await;
        let session = Session::new(Some(cookie), Arc::new(store.clone()), None);
        session.load().await.unwrap();
        let key = before.then(|| store.key(&session.id().unwrap()));
        session.cycle_id().await.unwrap();
        assert_eq!(session.id(), None);
        host.sessions().clear_owner("alice", key.as_ref()).unwrap();
        assert_eq!(session.save().await.is_ok(), before);
        host.sessions().clear_owner("alice", None).unwrap();
    }
}

/// The framework forgets the id, so no store learns of the logout. The session stays parked, and only a request that
/// loaded it before can continue it.
async fn a_flush_after_cycle_id_reaches_no_store<H: Host>() {
    let host = H::new().await;
    let store = TowerSessionStore::new(host.web());
    let cookie = Tower::over(host.web()).begin(&[("cart", json!(3))]).await;
    let session = Session::new(Some(cookie), Arc::new(store.clone()), None);
    session.load().await.unwrap();
    session.cycle_id().await.unwrap();
    session.flush().await.unwrap();
    assert_eq!(host.sessions().count().unwrap().live, 0);
    assert!(store.load(&cookie).await.unwrap().is_none());
}

/// A program of an earlier version meets the row of a parked session.
async fn an_older_program_sees_parked_rows_as_dead<H: Host>() {
    let host = H::new().await;
    let here = Tower::over(host.web());
    let cookie = here.begin(&[("user", json!("alice"))]).await;
    let loaded = here.load(&cookie).await.unwrap();
    here.delete(&loaded).await.unwrap();
    let sessions = host.sessions();
    // The earlier program finds no session under the key, and lists none of the owner's.
    assert!(sessions.find(&here.key(&cookie)).is_err());
    // Its `clear_owner` and its `clear` know only the owner's own name and the session's own key.
    host.run("DELETE FROM session WHERE owner = 'alice'");
    assert_eq!(sessions.delete_expired(10).unwrap(), 0, "it lies there until it expires");
    let renewed = here.create(loaded).await.unwrap();
    host.run("DELETE FROM session WHERE owner = 'alice'");
    assert!(here.load(&renewed).await.is_none());
}

#[test]
fn an_older_program_sees_parked_rows_as_dead_on_both_databases() {
    runtime().block_on(an_older_program_sees_parked_rows_as_dead::<OnSqlite>());
    runtime().block_on(an_older_program_sees_parked_rows_as_dead::<OnPostgres>());
}
