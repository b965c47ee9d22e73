//! The parameters of a connection. Each arrives as itself and as no other, whatever text it holds.
//!
//! Ten parameters are not `conninfo` itself. Two of these, `requiressl` and `startonly`, can only be true or false, by
//! their type.

use diesel::prelude::*;
use diesel_async::AsyncPgConnection;
use diesel_session::{AsyncDieselSession, Builder, ConnectOptions, Error, TimeDelta};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::startup::{self, Door, Startup};
use super::{corpus, holds_for};
use crate::support::{Guarded, Postgres, Sql as _};
use crate::waiting::runtime;

/// Two doors of one server, and a runtime for the clients.
struct Doors {
    runtime: Runtime,
    good: Door,
    evil: Door,
    directory: TempDir,
    house: Guarded,
}

impl Doors {
    fn new() -> Self {
        let (house, directory) = (startup::house(), tempfile::tempdir().unwrap());
        let door = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            Door::in_directory(&path, &house)
        };
        Self { runtime: runtime(), good: door("good"), evil: door("evil"), directory, house }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Returns the corpus, with the evil door's directory in place of `evil.example`. A client that is misled is seen
    /// there.
    fn known(&self) -> Vec<String> {
        corpus("conninfo").iter().map(|text| text.replace("evil.example", &self.path("evil"))).collect()
    }

    /// Connects one pool through libpq and one through tokio-postgres, each with one connection.
    fn connect(&self, options: &ConnectOptions) -> [Result<(), Error>; 2] {
        self.connect_within(TimeDelta::seconds(5), options)
    }

    fn connect_within(&self, limit: TimeDelta, options: &ConnectOptions) -> [Result<(), Error>; 2] {
        let blocking = settings::<PgConnection, _>(limit).connect_with(options).map(drop);
        let asynchronous = settings::<AsyncPgConnection, _>(limit).connect_with(options);
        [blocking, self.runtime.block_on(asynchronous).map(drop)]
    }

    fn nobody_was_misled(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.evil.visitors(), []);
        Ok(())
    }
}

fn settings<C, P>(limit: TimeDelta) -> Builder<C, P> {
    Builder::default().pool_size(1).connection_timeout(limit)
}

/// Every parameter that reaches the server.
#[derive(Debug, Clone)]
struct Parameters {
    user: String,
    dbname: String,
    password: String,
    options: String,
    tty: String,
}

/// Texts that are neither empty nor contain a NUL. The client replaces an empty one, and a NUL is refused.
fn text() -> impl Strategy<Value = String> {
    let any = any::<String>().prop_map(|text| text.replace('\0', "x"));
    prop_oneof![any, r"[ '\\=x\t\n]{1,12}", "[a-z]{1,4}'? (host|user|hostaddr) ?= ?'?[a-z]{1,4}'?"]
        .prop_filter("not empty", |text| !text.is_empty())
}

#[test]
fn any_parameter_arrives_as_itself_and_no_other() {
    let doors = Doors::new();
    let inputs = (text(), text(), text(), text(), text());
    let inputs = inputs.prop_map(|(user, dbname, password, options, tty)| Parameters {
        user,
        dbname,
        password,
        options,
        tty,
    });
    let known = doors.known().into_iter().map(|text| Parameters {
        user: text.clone(),
        dbname: text.clone(),
        password: text.clone(),
        options: text.clone(),
        tty: text,
    });
    holds_for(60, known, inputs, |given| {
        let options = ConnectOptions::new()
            .host(&doors.path("good"))
            .user(&given.user)
            .dbname(&given.dbname)
            .password(&given.password)
            .options(&given.options)
            .tty(&given.tty)
            .requiressl(false)
            .startonly(false);
        for (client, connected) in ["libpq", "tokio-postgres"].iter().zip(doors.connect(&options)) {
            prop_assert!(connected.is_ok(), "{client}: {connected:?}");
        }
        let visitors = doors.good.visitors();
        prop_assert_eq!(visitors.len(), 2);
        for Startup { mut parameters, password } in visitors {
            prop_assert_eq!(parameters.remove("user"), Some(given.user.clone()));
            prop_assert_eq!(parameters.remove("database"), Some(given.dbname.clone()));
            prop_assert_eq!(parameters.remove("options"), Some(given.options.clone()));
            prop_assert_eq!(password, Some(given.password.clone()));
            parameters.remove("client_encoding");
            prop_assert!(parameters.is_empty(), "{parameters:?}");
        }
        doors.nobody_was_misled()
    });
}

/// A comma separates hosts, and a path ends at a NUL, so a name can hold neither.
#[test]
fn any_host_is_that_host_and_no_other() {
    let doors = Doors::new();
    let known = doors.known().into_iter().map(|text| text.replace(['/', ','], "-"));
    // A socket's path has at most 107 bytes.
    let fits = |name: &String| name.len() <= 40 && name != "." && name != "..";
    let inputs = text().prop_map(|text| text.replace(['/', ','], "-"));
    holds_for(40, known.filter(fits), inputs.prop_filter("a name of a directory", fits), |name| {
        // A directory for this case alone. A case that failed may have left its socket, and the next may have the same
        // name.
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(&name);
        std::fs::create_dir(&path).unwrap();
        let door = Door::in_directory(&path, &doors.house);
        let options = ConnectOptions::new().host(path.to_str().unwrap()).user("u").password("p");
        for (client, connected) in ["libpq", "tokio-postgres"].iter().zip(doors.connect(&options)) {
            prop_assert!(connected.is_ok(), "{client}: {connected:?}");
        }
        prop_assert_eq!(door.visitors().len(), 2);
        prop_assert_eq!(doors.good.visitors(), []);
        Ok(())
    });
}

/// No server can be reached at these, so each takes its full time. There are only a few.
#[test]
fn a_text_in_an_address_or_a_port_leads_to_no_other_host() {
    let doors = Doors::new();
    let evil = doors.path("evil");
    for text in [
        format!("5432' host='{evil}"),
        format!("127.0.0.1' host='{evil}"),
        format!("1 host={evil}"),
        format!("host={evil}"),
        format!("postgres://%2F{evil}/"),
        evil.clone(),
    ] {
        let options = || ConnectOptions::new().user("u").password("p");
        for options in [options().host(&doors.path("good")).port(&text), options().hostaddr(&text).port("1")]
        {
            for connected in doors.connect_within(TimeDelta::milliseconds(100), &options) {
                let refused =
                    matches!(connected, Err(Error::PoolTimeout { .. } | Error::Configuration { .. }));
                assert!(refused, "{text}: {connected:?}");
            }
        }
    }
    doors.nobody_was_misled().unwrap();
}

/// Connection strings with blanks, quotes and escapes of every kind around the values.
fn conninfo() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        r"[a-z'\\ =]{0,6}",
        r"'([a-z =]|\\'|\\\\){0,6}'",
        r"[a-z\x09-\x0d \\]{0,6}",
        "[a-z\u{a0}\u{85}\u{2003}\u{3000}]{0,6}",
        "'[a-z]{0,3}'[a-z'=]{0,3}",
    ];
    let sign = prop_oneof![4 => Just("="), 1 => Just(" = "), 1 => Just("=\n"), 1 => Just("\u{b}=\u{b}"), 1 => Just("\u{a0}=")];
    let keyword = prop_oneof!["user", "dbname", "password", "options", "application_name"];
    let pair = (keyword, sign, value).prop_map(|(keyword, sign, value)| format!("{keyword}{sign}{value}"));
    let blank = prop_oneof![4 => Just(" "), 1 => Just("\t"), 1 => Just("\u{b}"), 1 => Just("\u{c}"), 1 => Just("\u{a0}")];
    let pairs = proptest::collection::vec((pair, blank), 0..4);
    pairs.prop_map(|pairs| pairs.into_iter().map(|(pair, blank)| pair + blank).collect())
}

/// URLs. Their parts contain characters that must be percent-encoded, and characters that need not be.
fn url() -> impl Strategy<Value = String> {
    let part =
        || prop_oneof![3 => "[a-z]{0,4}", 1 => r"[a-z:@/?#&='% \\]{0,5}", 1 => "(%[0-9a-f]{2}|[a-z]|é){0,4}"];
    let user = prop_oneof![
        4 => (part(), part()).prop_map(|(user, password)| format!("{user}:{password}@")),
        1 => part().prop_map(|user| format!("{user}@")),
        1 => Just(String::new()),
    ];
    let host = prop_oneof![
        2 => Just(String::new()),
        2 => r"\[[a-f0-9:]{0,3}\]:?(5432)?[a-z]?",
        1 => r"[a-z]{0,3}(:[0-9]{0,4})?",
        1 => r"[a-z\[\]:@%0-9]{0,5}",
    ];
    let hosts = proptest::collection::vec(host, 1..3).prop_map(|hosts| hosts.join(","));
    // The door has one port, whichever port the authority names.
    let after = prop_oneof![Just(""), Just("port=5432&")];
    (user, hosts, part(), part(), after).prop_map(|(user, hosts, dbname, name, after)| {
        format!("postgres://{user}{hosts}/{dbname}?application_name={name}&{after}")
    })
}

/// Our parser may refuse more strings than libpq. But no string means one thing to libpq and another to us.
#[test]
fn an_accepted_string_means_the_same_as_to_libpq() {
    let doors = Doors::new();
    let inputs = prop_oneof![
        conninfo().prop_map(|text| format!("user=u password=p {text} host={{}}")),
        url().prop_map(|text| format!("{text}host={{}}")),
    ];
    holds_for(80, corpus("strings"), inputs, |text| {
        // A door for this case alone. A client that gave up in an earlier case may still knock there.
        let directory = tempfile::tempdir().unwrap();
        let door = Door::in_directory(directory.path(), &doors.house);
        let text = text.replace("{}", directory.path().to_str().unwrap());
        let Ok(options) = text.parse::<ConnectOptions>() else { return Ok(()) };
        let by_libpq = PgConnection::establish(&text).map(drop);
        let said_by_libpq = door.visitors();
        let soon = TimeDelta::milliseconds(200);
        let limit = if by_libpq.is_ok() { TimeDelta::seconds(10) } else { soon };
        let by_us = settings::<PgConnection, _>(limit).connect_with(&options).map(drop);
        prop_assert_eq!(by_us.is_ok(), by_libpq.is_ok(), "{:?}: {:?}", by_us, by_libpq);
        let said_by_us = door.visitors();
        prop_assert_eq!(said_by_us.first(), said_by_libpq.first());
        // tokio-postgres has other defaults.
        let by_tokio = settings::<AsyncPgConnection, _>(soon).connect_with(&options);
        if doors.runtime.block_on(by_tokio).is_ok() {
            prop_assert!(by_us.is_ok(), "tokio-postgres connects, and libpq does not: {:?}", by_us);
            let said_by_tokio = door.visitors();
            prop_assert_eq!(&said_by_tokio[0].password, &said_by_us[0].password);
            let user = |said: &[Startup]| said[0].parameters.get("user").cloned();
            prop_assert_eq!(user(&said_by_tokio), user(&said_by_us));
        }
        Ok(())
    });
}

/// An example is `sslmode='${UNSET}'`. The caller meant to ask for TLS, and gets an error because the value is empty.
#[test]
fn neither_client_accepts_an_empty_value_that_libpq_refuses() {
    let doors = Doors::new();
    for keyword in ["sslmode", "target_session_attrs", "channel_binding"] {
        let text = format!("user=u password=p host={} {keyword}=''", doors.path("good"));
        assert!(PgConnection::establish(&text).is_err(), "libpq takes an empty {keyword}");
        let options: ConnectOptions = text.parse().unwrap();
        for connected in doors.connect_within(TimeDelta::milliseconds(200), &options) {
            assert!(connected.is_err(), "{keyword}");
        }
    }
    assert_eq!(doors.good.visitors(), []);
}

/// The test's own server has roles and databases with these names, and asks for passwords.
#[test]
fn a_role_and_a_database_of_any_name_are_reached_with_any_password() {
    let Guarded { server, .. } = &Guarded::by("local all all scram-sha-256", &[]);
    let mut admin = PgConnection::establish(&server.url("postgres")).unwrap();
    let runtime = runtime();
    let names = corpus("conninfo").into_iter().filter(|name| name.len() <= 63).step_by(3);
    let mut reached = 0;
    for name in names {
        let (identifier, literal) = (name.replace('"', "\"\""), name.replace('\'', "''"));
        admin.run(&format!("CREATE ROLE \"{identifier}\" LOGIN PASSWORD '{literal}'"));
        admin.run(&format!("CREATE DATABASE \"{identifier}\""));
        let options = ConnectOptions::new()
            .host(server.directory().to_str().unwrap())
            .dbname(&name)
            .user(&name)
            .password(&name)
            .options("-c application_name=diesel\\ session");
        let store = Postgres::builder().pool_size(1).connect_with(&options).unwrap();
        let mut conn = store.pool().get().unwrap();
        assert_eq!(conn.text("SELECT current_user::text"), name);
        assert_eq!(conn.text("SELECT current_database()::text"), name);
        assert_eq!(conn.text("SELECT current_setting('application_name')"), "diesel session");
        let store = AsyncDieselSession::builder().pool_size(1).connect_with(&options);
        let store = runtime.block_on(store).unwrap();
        let who = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{literal}' AND datname = '{literal}'"
        );
        assert_eq!(admin.number(&who), 2, "{name}");
        drop(store);
        reached += 1;
    }
    assert!(reached > 12, "{reached}");
}
