//! A connection is lost in the middle of a framework's call. Each statement is lost in turn, and then each answer.

use std::collections::HashMap;
use std::slice;

use diesel::{MysqlConnection, PgConnection};
use diesel_session::{
    AsyncDieselSession, Blocking, DieselSession, ImportOutcome, SessionConnection, Sessions,
    TowerSessionStore, WebStore,
};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};

use super::frameworks::{Actix, Framework, Tower};
use crate::proxy::{Cut, Proxied};
use crate::support::run_on;
use crate::waiting::runtime;

/// A database that a test reaches through a proxy, and also directly.
struct Setting {
    beside: Box<dyn Sessions>,
    at: Proxied,
}

impl Setting {
    fn postgres() -> Self {
        Self::beside::<PgConnection>(Proxied::postgres())
    }

    fn mariadb() -> Self {
        Self::beside::<MysqlConnection>(Proxied::mariadb())
    }

    fn beside<C: SessionConnection>(at: Proxied) -> Self {
        let beside = DieselSession::<C>::connect(&at.url).unwrap();
        beside.migrate().unwrap();
        Self { beside: Box::new(beside), at }
    }

    /// Makes a store with one connection, through the proxy.
    fn blocking<C: SessionConnection>(&self) -> Blocking<DieselSession<C>> {
        let builder = DieselSession::<C>::builder().pool_size(1);
        Blocking::from(builder.connect(&self.at.through).unwrap())
    }

    async fn asynchronous(&self) -> AsyncDieselSession {
        AsyncDieselSession::builder().pool_size(1).connect(&self.at.through).await.unwrap()
    }

    /// Repeats `work`. Each time it loses the next statement of it, until there is none left to lose.
    async fn losing_each_statement(&self, work: impl AsyncFn(&dyn Fn())) {
        for cut in [Cut::Request, Cut::Answer] {
            let mut number = 1;
            loop {
                work(&|| self.at.proxy.cut(number, cut)).await;
                if self.at.proxy.forget() {
                    break;
                }
                number += 1;
                assert!(number < 100, "a call has no end");
            }
            assert!(number > 1, "nothing was lost");
        }
    }
}

/// A renewal takes effect once, and a logout is final.
async fn each_statement_retried_after_a_lost_answer_ends_in_the_same_state<W, F>(setting: &Setting, store: F)
where
    W: WebStore,
    F: Framework<W>,
{
    let sessions = &setting.beside;
    setting
        .losing_each_statement(async |cut| {
            let cookie = store.begin(&[("user", json!("alice")), ("cart", json!(3))]).await;
            let loaded = store.load(&cookie).await.unwrap();
            cut();
            let renewed = store.renew(loaded).await.unwrap();
            assert_eq!(store.field(&renewed, "cart").await, Some(json!(3)));
            assert!(store.load(&cookie).await.is_none());
            assert_eq!(sessions.clear_owner("alice", None).unwrap(), 1);
            assert_eq!(sessions.count().unwrap().live, 0);
        })
        .await;
    // A logout from the session itself, from one that was renewed, and from one that is parked.
    for step in 0..3 {
        setting
            .losing_each_statement(async |cut| {
                let cookie = store.begin(&[("user", json!("alice"))]).await;
                let loaded = store.load(&cookie).await.unwrap();
                match step {
                    0 => {}
                    1 => drop(store.renew(loaded.clone()).await.unwrap()),
                    _ => store.delete(&loaded).await.unwrap(),
                }
                cut();
                store.log_out(&cookie).await.unwrap();
                assert_eq!(sessions.count().unwrap().live, 0);
                if step == 2 {
                    assert!(store.create(loaded).await.is_err());
                }
                sessions.clear_owner("alice", None).unwrap();
            })
            .await;
    }
    // Two renewals. The second one loses a statement.
    setting
        .losing_each_statement(async |cut| {
            let cookie = store.begin(&[("user", json!("alice"))]).await;
            let (one, other) = (store.load(&cookie).await.unwrap(), store.load(&cookie).await.unwrap());
            store.delete(&one).await.unwrap();
            store.delete(&other).await.unwrap();
            assert_eq!(store.create(one).await.is_ok(), F::TELLS);
            cut();
            let renewed = store.create(other).await.unwrap();
            assert!(store.load(&renewed).await.is_some());
            assert_eq!(sessions.clear_owner("alice", None).unwrap(), 1);
        })
        .await;
}

/// With actix-session, the request of the first `save` was counted and refused. Its retry finds that.
async fn a_retried_create_stops_where_its_first_run_was_counted<W: WebStore>(setting: &Setting, web: W) {
    let (store, sessions) = (Actix::over(web), &setting.beside);
    setting
        .losing_each_statement(async |cut| {
            let cookie = store.begin(&[("user", json!("alice"))]).await;
            let (one, other) = (store.load(&cookie).await.unwrap(), store.load(&cookie).await.unwrap());
            store.delete(&one).await.unwrap();
            store.delete(&other).await.unwrap();
            cut();
            assert!(store.create(one).await.is_err());
            assert!(setting.beside.sessions_of("alice", 10).unwrap().is_empty());
            store.create(other).await.unwrap();
            assert_eq!(sessions.clear_owner("alice", None).unwrap(), 1);
        })
        .await;
}

/// The retry finds its own write, and the writes of others.
async fn a_retried_save_keeps_the_fields_of_other_requests<W: WebStore, F: Framework<W>>(
    setting: &Setting,
    store: F,
    rejecting: F,
) {
    for store in [&store, &rejecting] {
        for others_save in [false, true] {
            setting
                .losing_each_statement(async |cut| {
                    let cookie = store.begin(&[("user", json!("alice")), ("cart", json!(1))]).await;
                    let mut loaded = store.load(&cookie).await.unwrap();
                    let mut other = loaded.clone();
                    if others_save {
                        F::put(&mut other, "theme", Some(json!("dark")));
                        store.save(&other).await.unwrap();
                    }
                    F::put(&mut loaded, "cart", Some(json!(2)));
                    F::put(&mut loaded, "user", None);
                    cut();
                    store.save(&loaded).await.unwrap();
                    assert_eq!(store.field(&cookie, "cart").await, Some(json!(2)));
                    assert_eq!(store.field(&cookie, "theme").await.is_some(), others_save);
                    assert!(setting.beside.sessions_of("alice", 10).unwrap().is_empty());
                    setting.beside.clear(&store.key(&cookie)).unwrap();
                })
                .await;
        }
    }
}

/// The save took effect, and then another request changed the same field. The store can no longer see whether the save
/// took effect.
async fn a_retried_save_that_meets_a_conflict_has_an_unknown_outcome<W: WebStore, F: Framework<W>>(
    setting: &Setting,
    rejecting: F,
) {
    // The trigger plays the other request, which comes directly after the first save.
    let change = "NEW.session_data = replace(NEW.session_data, '2222', '3333')";
    let trigger = "CREATE TRIGGER other BEFORE UPDATE ON session FOR EACH ROW";
    let other = if setting.at.url.starts_with("mysql:") {
        format!("{trigger} SET {change}")
    } else {
        format!(
            "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {change}; RETURN NEW; END $$; \
             {trigger} EXECUTE FUNCTION other()"
        )
    };
    run_on(&setting.at.url, &other);
    let save = async |cut: Option<Cut>| {
        let cookie = rejecting.begin(&[("cart", json!(1111))]).await;
        let mut loaded = rejecting.load(&cookie).await.unwrap();
        F::put(&mut loaded, "cart", Some(json!(2222)));
        if let Some(cut) = cut {
            setting.at.proxy.cut(1, cut);
        }
        rejecting.save(&loaded).await
    };
    // From its second run on, a statement is one request.
    save(None).await.unwrap();
    save(None).await.unwrap();
    let unknown = save(Some(Cut::Answer)).await.unwrap_err();
    assert!(unknown.contains("may have taken effect or not"), "{unknown}");
    save(None).await.unwrap();
    save(Some(Cut::Request)).await.unwrap();
}

#[test]
fn a_retried_save_that_meets_a_conflict_has_an_unknown_outcome_on_every_store() {
    let setting = Setting::postgres();
    runtime().block_on(async {
        let store = Tower::rejecting(setting.blocking::<PgConnection>());
        a_retried_save_that_meets_a_conflict_has_an_unknown_outcome(&setting, store).await;
    });
    let setting = Setting::postgres();
    runtime().block_on(async {
        let store = Actix::rejecting(setting.asynchronous().await);
        a_retried_save_that_meets_a_conflict_has_an_unknown_outcome(&setting, store).await;
    });
    let setting = Setting::mariadb();
    runtime().block_on(async {
        let store = Actix::rejecting(setting.blocking::<MysqlConnection>());
        a_retried_save_that_meets_a_conflict_has_an_unknown_outcome(&setting, store).await;
    });
}

#[test]
fn a_retry_after_any_lost_answer_ends_in_the_same_state_with_tower_sessions() {
    let setting = Setting::postgres();
    runtime().block_on(async {
        let store = Tower::over(setting.blocking::<PgConnection>());
        each_statement_retried_after_a_lost_answer_ends_in_the_same_state(&setting, store).await;
        let store = Tower::over(setting.asynchronous().await);
        each_statement_retried_after_a_lost_answer_ends_in_the_same_state(&setting, store).await;
    });
    let setting = Setting::mariadb();
    runtime().block_on(async {
        let store = Tower::over(setting.blocking::<MysqlConnection>());
        each_statement_retried_after_a_lost_answer_ends_in_the_same_state(&setting, store).await;
    });
}

#[test]
fn a_retry_after_any_lost_answer_ends_in_the_same_state_with_actix_session() {
    let setting = Setting::postgres();
    runtime().block_on(async {
        let store = Actix::over(setting.blocking::<PgConnection>());
        each_statement_retried_after_a_lost_answer_ends_in_the_same_state(&setting, store).await;
        let store = Actix::over(setting.asynchronous().await);
        each_statement_retried_after_a_lost_answer_ends_in_the_same_state(&setting, store).await;
        a_retried_create_stops_where_its_first_run_was_counted(&setting, setting.blocking::<PgConnection>())
            .await;
        let store = setting.asynchronous().await;
        a_retried_create_stops_where_its_first_run_was_counted(&setting, store).await;
    });
    let setting = Setting::mariadb();
    runtime().block_on(async {
        let store = Actix::over(setting.blocking::<MysqlConnection>());
        each_statement_retried_after_a_lost_answer_ends_in_the_same_state(&setting, store).await;
        a_retried_create_stops_where_its_first_run_was_counted(
            &setting,
            setting.blocking::<MysqlConnection>(),
        )
        .await;
    });
}

#[test]
fn a_retried_save_keeps_the_fields_of_other_requests_with_either_framework() {
    let setting = Setting::postgres();
    runtime().block_on(async {
        let web = setting.blocking::<PgConnection>();
        let stores = (Tower::over(web.clone()), Tower::rejecting(web.clone()));
        a_retried_save_keeps_the_fields_of_other_requests(&setting, stores.0, stores.1).await;
        let stores = (Actix::over(web.clone()), Actix::rejecting(web));
        a_retried_save_keeps_the_fields_of_other_requests(&setting, stores.0, stores.1).await;
        let web = setting.asynchronous().await;
        let stores = (Tower::over(web.clone()), Tower::rejecting(web));
        a_retried_save_keeps_the_fields_of_other_requests(&setting, stores.0, stores.1).await;
    });
    let setting = Setting::mariadb();
    runtime().block_on(async {
        let web = setting.blocking::<MysqlConnection>();
        let stores = (Tower::over(web.clone()), Tower::rejecting(web));
        a_retried_save_keeps_the_fields_of_other_requests(&setting, stores.0, stores.1).await;
    });
}

/// A retry reports what the lost attempt imported, and does not import it twice.
async fn a_retried_import_reports_what_its_first_run_did<W: WebStore>(setting: &Setting, web: W) {
    let store = TowerSessionStore::new(web);
    let records = || {
        let expiry_date = OffsetDateTime::now_utc() + Duration::HOUR;
        [Id::default(), Id::default()].map(|id| Record { id, data: HashMap::new(), expiry_date })
    };
    setting
        .losing_each_statement(async |cut| {
            let [one, other] = records();
            store.import(slice::from_ref(&one)).await.unwrap();
            cut();
            let outcomes = store.import(&[one.clone(), other]).await.unwrap();
            let is_right = matches!(outcomes[..], [ImportOutcome::AlreadyImported, ImportOutcome::Imported]);
            assert!(is_right, "{outcomes:?}");
            assert_eq!(setting.beside.clear_all().unwrap(), 2);
        })
        .await;
}

#[test]
fn a_retried_import_reports_what_its_first_run_did_on_every_store() {
    let setting = Setting::postgres();
    runtime().block_on(async {
        a_retried_import_reports_what_its_first_run_did(&setting, setting.blocking::<PgConnection>()).await;
        a_retried_import_reports_what_its_first_run_did(&setting, setting.asynchronous().await).await;
    });
    let setting = Setting::mariadb();
    runtime().block_on(a_retried_import_reports_what_its_first_run_did(
        &setting,
        setting.blocking::<MysqlConnection>(),
    ));
}
