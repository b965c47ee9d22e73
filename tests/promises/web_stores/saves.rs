//! A save writes what its request has changed, and keeps what other requests have changed.

use diesel_session::{Now as _, OwnerLimit, Sessions as _};
use serde_json::{Value, json};

use super::frameworks::Framework;
use super::laws_of_both_frameworks;
use crate::hosts::{Host, Limits};

laws_of_both_frameworks! {
    two_saves_of_different_fields_keep_both
    a_removed_field_stays_removed
    a_save_computes_the_owner_from_the_merged_data
    the_last_save_wins_a_conflict_unless_conflicts_are_rejected
    a_second_save_in_one_request_keeps_its_own_changes
    an_unchanged_record_writes_no_data
    a_cleared_session_replaces_everything
    a_save_after_the_end_of_the_session_writes_nothing
    many_saves_at_once_lose_nothing
    every_accepted_save_can_be_loaded
    a_save_refuses_an_owner_or_a_label_that_is_neither_text_nor_number
    the_label_of_a_session_follows_its_data
    a_merged_owner_is_checked_like_any_other
    an_unchanged_record_leaves_what_others_have_written
}

async fn two_saves_of_different_fields_keep_both<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let (here, there) = (F::over(host.web()), F::over(host.elsewhere().await));
    let cookie = here.begin(&[("cart", json!([1]))]).await;
    let mut one = here.load(&cookie).await.unwrap();
    let mut other = there.load(&cookie).await.unwrap();
    F::put(&mut one, "cart", Some(json!([1, 2])));
    F::put(&mut other, "theme", Some(json!("dark")));
    here.save(&one).await.unwrap();
    there.save(&other).await.unwrap();
    assert_eq!(here.field(&cookie, "cart").await, Some(json!([1, 2])));
    assert_eq!(here.field(&cookie, "theme").await, Some(json!("dark")));
}

async fn a_removed_field_stays_removed<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let cookie = here.begin(&[("user", json!("42")), ("seen", json!(0))]).await;
    let mut slow = here.load(&cookie).await.unwrap();
    let mut logout = here.load(&cookie).await.unwrap();
    F::put(&mut logout, "user", None);
    here.save(&logout).await.unwrap();
    F::put(&mut slow, "seen", Some(json!(1)));
    here.save(&slow).await.unwrap();
    assert_eq!(here.field(&cookie, "user").await, None, "logged in again by an older request");
    assert_eq!(here.field(&cookie, "seen").await, Some(json!(1)));
    assert!(host.sessions().sessions_of("42", 10).unwrap().is_empty());
}

/// The same holds if an owner's limit makes room.
async fn a_save_computes_the_owner_from_the_merged_data<H: Host, F: Framework<H::Web>>() {
    let limits = Limits { owner_limit: Some(OwnerLimit::EndOldest(1)), ..Limits::default() };
    for limits in [Limits::default(), limits] {
        let host = H::limited(limits).await;
        let here = F::over(host.web());
        let owner = |name: &str| host.sessions().sessions_of(name, 10).unwrap().len();
        let other = here.begin(&[("user", json!("bob"))]).await;
        let cookie = here.begin(&[("user", json!("alice"))]).await;
        let mut slow = here.load(&cookie).await.unwrap();
        let mut login = here.load(&cookie).await.unwrap();
        F::put(&mut login, "user", Some(json!("bob")));
        here.save(&login).await.unwrap();
        assert_eq!(here.load(&other).await.is_some(), limits.owner_limit.is_none());
        F::put(&mut slow, "seen", Some(json!(1)));
        here.save(&slow).await.unwrap();
        assert_eq!(here.field(&cookie, "seen").await, Some(json!(1)));
        assert_eq!((owner("alice"), owner("bob")), (0, 1 + usize::from(limits.owner_limit.is_none())));
    }
}

async fn the_last_save_wins_a_conflict_unless_conflicts_are_rejected<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    for rejects in [false, true] {
        let here = if rejects { F::rejecting(host.web()) } else { F::over(host.web()) };
        let cookie = here.begin(&[("cart", json!(1))]).await;
        let mut one = here.load(&cookie).await.unwrap();
        let mut other = here.load(&cookie).await.unwrap();
        F::put(&mut one, "cart", Some(json!(2)));
        F::put(&mut other, "cart", Some(json!(3)));
        F::put(&mut other, "theme", Some(json!("dark")));
        here.save(&one).await.unwrap();
        let saved = here.save(&other).await;
        if rejects {
            assert!(saved.unwrap_err().contains("another request changed the session"));
            assert_eq!(here.field(&cookie, "cart").await, Some(json!(2)));
            assert_eq!(here.field(&cookie, "theme").await, None, "nothing was written");
        } else {
            saved.unwrap();
            assert_eq!(here.field(&cookie, "cart").await, Some(json!(3)));
            assert_eq!(here.field(&cookie, "theme").await, Some(json!("dark")));
        }
        // It is no conflict if both change the field to the same value.
        let mut one = here.load(&cookie).await.unwrap();
        F::put(&mut one, "cart", Some(json!(9)));
        here.save(&one).await.unwrap();
        here.save(&one).await.unwrap();
    }
}

async fn a_second_save_in_one_request_keeps_its_own_changes<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let cookie = here.begin(&[("cart", json!(1))]).await;
    let mut loaded = here.load(&cookie).await.unwrap();
    F::put(&mut loaded, "cart", Some(json!(2)));
    F::put(&mut loaded, "theme", Some(json!("dark")));
    here.save(&loaded).await.unwrap();
    F::put(&mut loaded, "cart", Some(json!(3)));
    here.save(&loaded).await.unwrap();
    assert_eq!(here.field(&cookie, "cart").await, Some(json!(3)));
    assert_eq!(here.field(&cookie, "theme").await, Some(json!("dark")));
}

/// The save writes only the expiry, whatever the order of the fields. It keeps what others have saved since then.
async fn an_unchanged_record_writes_no_data<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let fields = [("a", json!(1)), ("b", json!({"x": [1, 2.5, null]})), ("user", json!("alice"))];
    let cookie = here.begin(&fields).await;
    // The data as an earlier version wrote them, in another order and with other white space.
    let value = host.sessions().get(&here.key(&cookie)).unwrap().0;
    let Value::Object(object) = serde_json::from_str(&value).unwrap() else { panic!("{value}") };
    let reversed: Vec<String> =
        object.iter().rev().map(|(name, value)| format!("{name:?} :{value}")).collect();
    let odd = format!("{{ {} }}", reversed.join(" , "));
    host.sessions().set(&here.key(&cookie), &odd, Some(chrono::TimeDelta::hours(1))).unwrap();
    let loaded = here.load(&cookie).await.unwrap();
    host.run("UPDATE session SET expire_date = expire_date - 30 * {minute}");
    here.save(&loaded).await.unwrap();
    let (kept, left) = host.sessions().get(&here.key(&cookie)).unwrap();
    assert_eq!(kept, odd, "the text is the one that was there");
    assert!(left > chrono::TimeDelta::minutes(59) && left <= chrono::TimeDelta::hours(1), "{left}");
    // Another request's change stays.
    let mut other = here.load(&cookie).await.unwrap();
    F::put(&mut other, "a", Some(json!(2)));
    here.save(&other).await.unwrap();
    here.save(&loaded).await.unwrap();
    assert_eq!(here.field(&cookie, "a").await, Some(json!(2)));
}

async fn a_cleared_session_replaces_everything<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let cookie = here.begin(&[("user", json!("alice")), ("cart", json!(1))]).await;
    let mut loaded = here.load(&cookie).await.unwrap();
    let mut other = here.load(&cookie).await.unwrap();
    F::put(&mut other, "theme", Some(json!("dark")));
    here.save(&other).await.unwrap();
    F::clear(&mut loaded);
    F::put(&mut loaded, "cart", Some(json!(2)));
    here.save(&loaded).await.unwrap();
    assert_eq!(host.sessions().get(&here.key(&cookie)).unwrap().0.matches(':').count(), 1);
    assert!(here.field(&cookie, "cart").await.is_some());
    assert!(host.sessions().sessions_of("alice", 10).unwrap().is_empty());
}

async fn a_save_after_the_end_of_the_session_writes_nothing<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    for changed in [false, true] {
        for cleared in [false, true] {
            let cookie = here.begin(&[("user", json!("alice"))]).await;
            let mut loaded = here.load(&cookie).await.unwrap();
            if cleared {
                F::clear(&mut loaded);
            }
            if changed {
                F::put(&mut loaded, "seen", Some(json!(1)));
            }
            host.sessions().clear_owner("alice", None).unwrap();
            assert!(here.save(&loaded).await.is_err());
            assert_eq!(host.sessions().count().unwrap().live, 0);
        }
    }
}

async fn many_saves_at_once_lose_nothing<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let (here, there) = (F::over(host.web()), F::over(host.elsewhere().await));
    let cookie = here.begin(&[]).await;
    let saves = (0..8).map(async |number| {
        let store = if number % 2 == 0 { &here } else { &there };
        let mut loaded = store.load(&cookie).await.unwrap();
        F::put(&mut loaded, &format!("field {number}"), Some(json!(number)));
        store.save(&loaded).await.unwrap();
    });
    futures_util::future::join_all(saves).await;
    for number in 0..8 {
        assert_eq!(here.field(&cookie, &format!("field {number}")).await, Some(json!(number)));
    }
}

/// The save refuses data that are nested too deeply, so that not every load fails.
async fn every_accepted_save_can_be_loaded<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    for depth in [1, 100, 125, 126, 127, 128, 129, 200, 1_000] {
        let value = (0..depth).fold(json!("]["), |value, _| json!([value]));
        let begun = here.begin_for(&[("deep", value.clone())], time::Duration::HOUR).await;
        match &begun {
            Ok(cookie) => assert_eq!(here.field(cookie, "deep").await, Some(value.clone()), "{depth}"),
            Err(error) => assert!(depth > 126 && error.contains("nested"), "{depth}: {error}"),
        }
        let cookie = here.begin(&[("deep", json!(0))]).await;
        let mut loaded = here.load(&cookie).await.unwrap();
        F::put(&mut loaded, "deep", Some(value));
        assert_eq!(here.save(&loaded).await.is_ok(), begun.is_ok(), "{depth}");
    }
}

async fn a_save_refuses_an_owner_or_a_label_that_is_neither_text_nor_number<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    for field in ["user", "device"] {
        for odd in [json!({"id": 1}), json!([1]), json!(true)] {
            let begun = here.begin_for(&[(field, odd.clone())], time::Duration::HOUR).await;
            assert!(begun.is_err(), "{field} {odd}");
            let cookie = here.begin(&[]).await;
            let mut loaded = here.load(&cookie).await.unwrap();
            F::put(&mut loaded, field, Some(odd));
            assert!(here.save(&loaded).await.is_err());
        }
    }
    let reserved = here.begin_for(&[("user", json!("\u{1}alice"))], time::Duration::HOUR).await;
    assert!(reserved.is_err());
}

async fn the_label_of_a_session_follows_its_data<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let label = |cookie: &F::Cookie| host.sessions().find(&here.key(cookie)).unwrap().label;
    let cookie = here.begin(&[("device", json!("Firefox"))]).await;
    assert_eq!(label(&cookie).as_deref(), Some("Firefox"));
    let mut loaded = here.load(&cookie).await.unwrap();
    F::put(&mut loaded, "device", Some(json!(7)));
    here.save(&loaded).await.unwrap();
    assert_eq!(label(&cookie).as_deref(), Some("7"));
    let renewed = here.renew(here.load(&cookie).await.unwrap()).await.unwrap();
    assert_eq!(label(&renewed).as_deref(), Some("7"));
    let mut loaded = here.load(&renewed).await.unwrap();
    F::put(&mut loaded, "device", None);
    here.save(&loaded).await.unwrap();
    assert_eq!(label(&renewed), None);
}

/// Another program may have written an owner that this store would refuse.
async fn a_merged_owner_is_checked_like_any_other<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    let here = F::over(host.web());
    let cookie = here.begin(&[("user", json!("alice")), ("seen", json!(0))]).await;
    let mut loaded = here.load(&cookie).await.unwrap();
    let theirs = here.begin(&[("seen", json!(7))]).await;
    let odd = host.sessions().get(&here.key(&theirs)).unwrap().0;
    // The data as the framework writes them, with an owner that marks a parked session.
    let odd = if odd.contains("\"7\"") {
        r#"{"seen":"7","user":"\"\\u0001bob\""}"#
    } else {
        r#"{"seen":7,"user":"\u0001bob"}"#
    };
    host.sessions().set(&here.key(&cookie), odd, None).unwrap();
    F::put(&mut loaded, "theme", Some(json!("dark")));
    let refused = here.save(&loaded).await.unwrap_err();
    assert!(refused.contains("U+0001") || refused.contains("OwnerReserved"), "{refused}");
    assert_eq!(host.sessions().find(&here.key(&cookie)).unwrap().owner.as_deref(), Some("alice"));
}

async fn an_unchanged_record_leaves_what_others_have_written<H: Host, F: Framework<H::Web>>() {
    let host = H::new().await;
    for here in [F::over(host.web()), F::without_owners(host.web())] {
        let cookie = here.begin(&[("cart", json!(1))]).await;
        let loaded = here.load(&cookie).await.unwrap();
        host.sessions().set(&here.key(&cookie), "no data of a framework", None).unwrap();
        here.save(&loaded).await.unwrap();
        let (value, left) = host.sessions().get(&here.key(&cookie)).unwrap();
        assert_eq!(value, "no data of a framework");
        assert!(left <= chrono::TimeDelta::hours(1), "{left}");
    }
}
