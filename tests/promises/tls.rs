//! TLS of the asynchronous store, compared with psql: the same address on the same server ends the same way.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use diesel::sql_types::Bool;
use diesel::{Connection as _, PgConnection, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use diesel_session::{
    AsyncBuilder, AsyncDieselSession, AsyncNow as _, AsyncPool as _, ConnectOptions, Error, TimeDelta,
};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::iter;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};
use tokio_postgres::CancelToken;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::certificates::{Authority, Files, Listening, authority_itself, expired, of, self_signed};
use crate::support::{LATE, Sql as _, shown};
use crate::waiting::RUNTIME;

/// The result of connecting to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Refused,
    InClear,
    Encrypted,
}

const ENCRYPTED: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    ssl: bool,
}

/// Connects with libpq, without an environment and a home directory. Returns the result, and the error's text.
fn by_psql(address: &str) -> (End, String) {
    let psql = throwaway_postgres::binaries().unwrap().join("psql");
    let output = Command::new(psql)
        .args(["-XAtwc", ENCRYPTED, address])
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let end = match String::from_utf8_lossy(&output.stdout).trim() {
        "t" => End::Encrypted,
        "f" => End::InClear,
        _ => End::Refused,
    };
    assert_eq!(output.status.success(), end != End::Refused, "{said}");
    (end, said)
}

/// Connects with the store. Returns the result, and the error's text. The store tries again until the connection
/// timeout. If no attempt has ended by then, the result is unknown, and this tries again with a longer timeout.
async fn by_us(address: &str) -> (End, String) {
    let connect =
        |limit| AsyncDieselSession::builder().pool_size(1).connection_timeout(limit).connect(address);
    let mut connected = connect(SOON).await;
    if connected.as_ref().is_err_and(is_undecided) {
        connected = connect(LONG).await;
    }
    let store = match connected {
        Ok(store) => store,
        Err(error) => {
            assert!(!is_undecided(&error), "{address}: {}", shown(&error));
            return (End::Refused, shown(&error));
        }
    };
    let mut conn = store.pool().connection().await.unwrap();
    let answer: Answer = RunQueryDsl::get_result(sql_query(ENCRYPTED), &mut *conn).await.unwrap();
    (if answer.ssl { End::Encrypted } else { End::InClear }, String::new())
}

/// Returns whether the time was over before the server or the client had refused the connection.
fn is_undecided(error: &Error) -> bool {
    let said = shown(error);
    said.contains("Elapsed") || said.contains("the server did not accept the connection within")
}

const SOON: TimeDelta = TimeDelta::milliseconds(600);
const LONG: TimeDelta = TimeDelta::seconds(20);

/// The password of every role.
const PASSWORD: &str = "Op3nSesame";

/// Returns the setting that the error names.
fn refused_setting(address: &str) -> &'static str {
    match RUNTIME.block_on(AsyncDieselSession::builder().connect(address)) {
        Err(Error::Configuration { setting, .. }) => setting,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it connects"),
    }
}

/// Fails unless both clients end the same way at each address. Returns how often each end was seen.
fn same_ends(addresses: Vec<String>) -> [usize; 3] {
    let count = addresses.len();
    let compared: Vec<_> = RUNTIME.block_on(
        iter(addresses)
            .map(|address| async move {
                let told = address.clone();
                let psql = tokio::task::spawn_blocking(move || by_psql(&told)).await.unwrap();
                let ours = by_us(&address).await;
                (address, psql, ours)
            })
            .buffer_unordered(32)
            .collect(),
    );
    for (address, _, (_, said)) in &compared {
        assert!(!said.contains(PASSWORD), "{address}: {said}");
    }
    let differences: Vec<_> = compared.iter().filter(|(_, psql, ours)| psql.0 != ours.0).collect();
    assert!(differences.is_empty(), "{} of {count}: {differences:#?}", differences.len());
    [End::Refused, End::InClear, End::Encrypted]
        .map(|end| compared.iter().filter(|(_, psql, _)| psql.0 == end).count())
}

const MODES: [&str; 7] = [
    "",
    "sslmode=disable",
    "sslmode=allow",
    "sslmode=prefer",
    "sslmode=require",
    "sslmode=verify-ca",
    "sslmode=verify-full",
];

/// The server's rules: one role may connect with or without TLS, one only with TLS, and one only without.
const RULES: &str = "host all either all trust\n\
                     hostssl all only_encrypted all trust\n\
                     hostnossl all only_in_clear all trust";
const ROLES: [&str; 3] = ["either", "only_encrypted", "only_in_clear"];

/// Adds roles with a password. The server stores it for SCRAM.
fn add_roles(server: &Listening, roles: &[&str]) {
    let mut admin = PgConnection::establish(&server.server.url("postgres")).unwrap();
    for role in roles {
        admin.run(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"));
    }
}

#[test]
fn every_mode_and_certificate_ends_as_with_psql() {
    let (authority, stranger) = (Authority::named("the authority"), Authority::named("a stranger"));
    let below = authority.signs_authority("an authority below");
    let mut by_one_below = below.signs(&of("localhost"));
    by_one_below.certificate += &below.pem;
    // The second value says whether the certificate is also tried as its own authority.
    let certificates = [
        (Some(authority.signs(&of("localhost"))), false),
        (Some(by_one_below), true),
        (Some(authority.signs(&expired("localhost"))), false),
        (Some(authority.signs(&of("db.example"))), true),
        (Some(stranger.signs(&of("localhost"))), false),
        (Some(self_signed(&of("localhost"))), true),
        (Some(self_signed(&authority_itself(of("localhost")))), true),
        (Some(self_signed(&authority_itself(expired("localhost")))), true),
        (None, false),
    ];
    let files = Files::new();
    let known = files.write("authority.crt", &authority.pem);
    let servers: Vec<Listening> = thread::scope(|scope| {
        let start = |shown| scope.spawn(move || Listening::start(shown, "", RULES));
        let starting: Vec<_> = certificates.iter().map(|(shown, _)| start(shown.as_ref())).collect();
        starting.into_iter().map(|server| server.join().unwrap()).collect()
    });
    let mut addresses = Vec::new();
    for (number, (server, (shown, by_itself))) in servers.iter().zip(&certificates).enumerate() {
        add_roles(server, &ROLES);
        let itself = shown
            .as_ref()
            .filter(|_| *by_itself)
            .map(|shown| files.write(&format!("{number}.crt"), &shown.certificate));
        for mode in MODES {
            let itself = itself.as_ref().map(Some);
            for roots in [None, Some(&known)].into_iter().chain(itself) {
                // Not compared: the store's error says what to do, and psql's is another one.
                if roots.is_none() && mode.starts_with("sslmode=verify") {
                    continue;
                }
                let roots = roots.map(|file| format!("sslrootcert={}", file.display())).unwrap_or_default();
                addresses.extend(ROLES.map(|role| format!("{} {mode} {roots}", server.to(role))));
            }
        }
    }
    let [refused, in_clear, encrypted] = same_ends(addresses);
    assert!(refused > 50 && in_clear > 50 && encrypted > 50, "{refused}, {in_clear}, {encrypted}");
}

/// The server's rules: each role authenticates in another way. `unbound` may connect only without TLS, and all others
/// only with TLS.
const PROOFS: &str = "hostssl all certified all cert\n\
                      hostssl all shown all trust clientcert=verify-full\n\
                      hostssl all bound all scram-sha-256\n\
                      hostssl all digested all md5\n\
                      hostssl all trusted all trust\n\
                      hostnossl all unbound all scram-sha-256";
const PROVERS: [&str; 6] = ["certified", "shown", "bound", "digested", "trusted", "unbound"];

#[test]
fn client_certificates_open_the_door_that_needs_one() {
    let (authority, stranger) = (Authority::named("the authority"), Authority::named("a stranger"));
    let server = Listening::start(Some(&authority.signs(&of("localhost"))), &authority.pem, PROOFS);
    add_roles(&server, &PROVERS);
    let files = Files::new();
    let roots = files.write("authority.crt", &authority.pem);
    let mut identities = vec![String::new()];
    for (number, shown) in [
        authority.signs(&of("certified")),
        authority.signs(&of("shown")),
        authority.signs(&expired("certified")),
        stranger.signs(&of("certified")),
        self_signed(&of("shown")),
    ]
    .iter()
    .enumerate()
    {
        let certificate = files.write(&format!("{number}.crt"), &shown.certificate);
        let key = files.write(&format!("{number}.key"), &shown.key);
        identities.push(format!("sslcert={} sslkey={}", certificate.display(), key.display()));
    }
    let mut addresses = Vec::new();
    for role in ["certified", "shown", "trusted"] {
        for mode in ["allow", "prefer", "require", "verify-full"] {
            for version in ["", "ssl_max_protocol_version=TLSv1.2", "ssl_min_protocol_version=TLSv1.3"] {
                for identity in &identities {
                    let to = server.to(role);
                    let roots = roots.display();
                    addresses.push(format!("{to} sslmode={mode} sslrootcert={roots} {version} {identity}"));
                }
            }
        }
    }
    let [refused, in_clear, encrypted] = same_ends(addresses);
    assert!(refused > 20 && in_clear == 0 && encrypted > 20, "{refused}, {in_clear}, {encrypted}");
}

#[test]
fn channel_binding_is_required_if_asked_for() {
    let authority = Authority::named("the authority");
    let server = Listening::start(Some(&authority.signs(&of("localhost"))), "", PROOFS);
    add_roles(&server, &PROVERS);
    let mut admin = PgConnection::establish(&server.server.url("postgres")).unwrap();
    admin.run(&format!("SET password_encryption = md5; ALTER ROLE digested PASSWORD '{PASSWORD}'"));
    let address = |role: &str, mode: &str, binding: &str, password: &str| {
        format!("{} sslmode={mode} channel_binding={binding} password={password}", server.to(role))
    };
    let mut addresses = Vec::new();
    for role in ["bound", "digested", "trusted", "unbound"] {
        for mode in ["disable", "allow", "prefer", "require"] {
            for binding in ["disable", "prefer", "require"] {
                for password in [PASSWORD, "wrong"] {
                    addresses.push(address(role, mode, binding, password));
                }
            }
        }
    }
    let [refused, in_clear, encrypted] = same_ends(addresses);
    assert!(refused > 20 && in_clear > 2 && encrypted > 10, "{refused}, {in_clear}, {encrypted}");
    assert_eq!(by_psql(&address("bound", "require", "require", PASSWORD)).0, End::Encrypted);
    for without in ["digested", "trusted", "unbound"] {
        assert_eq!(by_psql(&address(without, "prefer", "require", PASSWORD)).0, End::Refused);
    }
}

#[test]
fn a_revoked_certificate_and_the_names_of_a_server_count_as_with_psql() {
    let (authority, stranger) = (Authority::named("the authority"), Authority::named("a stranger"));
    // All of these certificates have the same serial number.
    let start = |name: &str| Listening::start(Some(&authority.signs(&of(name))), "", RULES);
    let [named, wild, other] = ["localhost", "*.db.example", "127.0.0.1"].map(start);
    let files = Files::new();
    let roots = files.write("authority.crt", &authority.pem);
    let lists = [
        authority.revokes(&[7]),
        authority.revokes(&[8]),
        // The list of another authority says nothing about the certificate.
        stranger.revokes(&[8]),
    ];
    let mut addresses = Vec::new();
    add_roles(&named, &ROLES);
    for (number, list) in lists.iter().enumerate() {
        let list = files.write(&format!("{number}.crl"), list);
        for mode in ["prefer", "require", "verify-ca", "verify-full"] {
            let (to, roots, list) = (named.to("either"), roots.display(), list.display());
            addresses.push(format!("{to} sslmode={mode} sslrootcert={roots} sslcrl={list}"));
        }
    }
    for server in [wild, other] {
        add_roles(&server, &ROLES);
        for host in ["a.db.example", "A.DB.EXAMPLE", "b.a.db.example", "db.example", "localhost", "127.0.0.1"]
        {
            for sni in [0, 1] {
                let (address, roots) = (&server.address, roots.display());
                addresses.push(format!(
                    "host={host} hostaddr={address} user=either dbname=postgres sslmode=verify-full \
                     sslrootcert={roots} sslsni={sni}"
                ));
            }
        }
        let [refused, _, encrypted] = same_ends(std::mem::take(&mut addresses));
        assert!(refused > 2 && encrypted > 1, "{refused}, {encrypted}");
    }
}

/// Returns an authority, a server with a certificate of it, and a superuser's connection to the server. The role
/// `bound` may create tables.
fn a_server_for_a_store() -> (Authority, Listening, PgConnection) {
    let authority = Authority::named("the authority");
    let server = Listening::start(Some(&authority.signs(&of("localhost"))), "", PROOFS);
    add_roles(&server, &PROVERS);
    let mut admin = PgConnection::establish(&server.server.url("postgres")).unwrap();
    admin.run("GRANT CREATE ON SCHEMA public TO bound");
    (authority, server, admin)
}

#[test]
fn all_connections_of_a_store_are_encrypted_and_verified() {
    let (authority, server, mut admin) = a_server_for_a_store();
    let files = Files::new();
    let roots = files.write("authority.crt", &authority.pem);
    let address = format!(
        "{} password={PASSWORD} sslmode=verify-full channel_binding=require sslrootcert={}",
        server.to("bound"),
        roots.display()
    );
    RUNTIME.block_on(async {
        let store = AsyncDieselSession::builder().pool_size(4).pipelined(2).connect(&address).await.unwrap();
        store.migrate().await.unwrap();
        let key = store.generate(Some("x"), None).await.unwrap();
        let reads = join_all((0..20).map(|_| store.get(&key))).await;
        assert!(reads.iter().all(|read| read.as_ref().unwrap().0 == "x"));
        let with = |ssl: bool| {
            format!("SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'bound' AND ssl = {ssl}")
        };
        assert!(admin.number(&with(true)) > 0);
        assert_eq!(admin.number(&with(false)), 0);
    });
}

#[test]
fn a_late_statement_is_cancelled_over_tls() {
    is_cancelled(|_authority, own| async { own });
}

/// The store does not know the pool's TLS settings, so the application's function sends the request to cancel.
#[test]
fn a_late_statement_of_the_applications_pool_is_cancelled_by_its_function() {
    is_cancelled(|authority, own| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth());
        async move {
            let cancel = move |token: CancelToken| {
                let tls = tls.clone();
                async move { token.cancel_query(tls).await }
            };
            limited().cancel_with(cancel).over(own.pool().clone()).unwrap()
        }
    });
}

fn limited() -> AsyncBuilder {
    let second = TimeDelta::seconds(1);
    AsyncDieselSession::builder().connection_timeout(second).statement_timeout(second)
}

/// A write waits for a standby that never comes. A server process that waits does not notice that its client has left.
fn is_cancelled<S: Future<Output = AsyncDieselSession>>(
    store: impl FnOnce(Authority, AsyncDieselSession) -> S,
) {
    let (authority, server, mut admin) = a_server_for_a_store();
    let address = format!("{} password={PASSWORD} sslmode=require", server.to("bound"));
    RUNTIME.block_on(async {
        let options = address.parse::<ConnectOptions>().unwrap().options("-c synchronous_commit=on");
        let store = store(authority, limited().pool_size(1).connect_with(&options).await.unwrap()).await;
        store.migrate().await.unwrap();
        admin.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        admin.run("SELECT pg_reload_conf()");
        // The first call may come before the server has read its new setting.
        while store.generate(None, None).await.is_ok() {}
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        admin.wait_until(waiting, |processes| processes == 0);
    });
}

/// Checks `sslrootcert=system`, as in libpq 16 and later. OpenSSL would read the same file.
#[test]
fn the_systems_certificates_are_those_that_openssl_would_take() {
    const SERVER: &str = "DIESEL_SESSION_TLS_SERVER";
    if let Ok(server) = std::env::var(SERVER) {
        let (address, known) = server.split_once(' ').unwrap();
        let end = |host: &str, more: &str| {
            let to = format!("host={host} hostaddr={address} user=either dbname=postgres");
            let (end, said) = RUNTIME.block_on(by_us(&format!("{to} sslrootcert=system {more}")));
            (end == End::Encrypted, said)
        };
        let (encrypted, said) = end("localhost", "");
        assert_eq!(encrypted, known == "known", "{said}");
        assert_eq!(end("localhost", "sslmode=verify-full").0, known == "known");
        assert!(!end("db.example", "").0);
        assert!(end("localhost", "sslmode=verify-ca").1.contains("verify-full"));
        return;
    }
    let (authority, stranger) = (Authority::named("the authority"), Authority::named("a stranger"));
    let server = Listening::start(Some(&authority.signs(&of("localhost"))), "", RULES);
    add_roles(&server, &ROLES);
    let files = Files::new();
    for (known, authority) in [("known", authority), ("unknown", stranger)] {
        let this = "tls::the_systems_certificates_are_those_that_openssl_would_take";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env(SERVER, format!("{} {known}", server.address))
            .env("SSL_CERT_FILE", files.write(known, &authority.pem))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
}

#[test]
fn parameters_that_cannot_be_honoured_are_refused() {
    let shown = self_signed(&of("localhost"));
    let files = Files::new();
    let file = |name: &str, text: &str| files.write(name, text).to_str().unwrap().to_owned();
    let (certificate, key) = (file("certificate", &shown.certificate), file("key", &shown.key));
    let other = file("other", &self_signed(&of("localhost")).key);
    let readable = file("readable", &shown.key);
    std::fs::set_permissions(&readable, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (empty, broken) = (file("empty", ""), file("broken", "-----BEGIN CERTIFICATE-----\nsecret!\n"));
    for (parameters, setting) in [
        ("sslpassword=x".to_owned(), "sslpassword"),
        ("sslcompression=1".to_owned(), "sslcompression"),
        ("sslnegotiation=direct".to_owned(), "sslnegotiation"),
        ("sslcertmode=require".to_owned(), "sslcertmode"),
        ("sslkeylogfile=/tmp/x".to_owned(), "sslkeylogfile"),
        ("sslcrldir=/tmp".to_owned(), "sslcrldir"),
        ("requirepeer=postgres".to_owned(), "requirepeer"),
        ("gssencmode=require".to_owned(), "gssencmode"),
        ("ssl_max_protocol_version=TLSv1.1".to_owned(), "ssl_max_protocol_version"),
        ("require_auth=scram-sha-256".to_owned(), "connection"),
        ("sslmode=nonsense".to_owned(), "sslmode"),
        ("sslmode=verify-full".to_owned(), "sslrootcert"),
        ("sslmode=verify-ca".to_owned(), "sslrootcert"),
        ("sslmode=require sslrootcert=system".to_owned(), "sslrootcert"),
        ("sslrootcert=/nonexistent".to_owned(), "sslrootcert"),
        (format!("sslrootcert={empty}"), "sslrootcert"),
        (format!("sslrootcert={broken}"), "sslrootcert"),
        (format!("sslrootcert={certificate} sslcrl={certificate}"), "sslcrl"),
        (format!("sslcert={certificate}"), "sslkey"),
        (format!("sslkey={key}"), "sslcert"),
        (format!("sslcert={certificate} sslkey={other}"), "sslkey"),
        (format!("sslcert={certificate} sslkey={certificate}"), "sslkey"),
        (format!("sslcert={certificate} sslkey={readable}"), "sslkey"),
        (format!("sslcert={empty} sslkey={key}"), "sslcert"),
    ] {
        let address = format!("host=localhost port=1 password={PASSWORD} {parameters}");
        assert_eq!(refused_setting(&address), setting, "{parameters}");
    }
}

/// Starts a server that uses TLS with this certificate and this key. For each client it sends whether the handshake
/// succeeded.
fn speaking_tls(certificate: &str, key: &str) -> (u16, Receiver<bool>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_cert_resolver(Arc::new(shown)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (took, taken) = channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut request) = (client.unwrap(), [0; 8]);
            if client.read_exact(&mut request).is_err() || client.write_all(b"S").is_err() {
                continue;
            }
            let mut server = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut done = true;
            while done && server.is_handshaking() {
                done = server.complete_io(&mut client).is_ok();
            }
            if took.send(done).is_err() {
                return;
            }
        }
    });
    (port, taken)
}

/// Otherwise channel binding would succeed for an attacker in between, because anyone can see the server's certificate.
#[test]
fn a_server_that_shows_a_certificate_without_its_key_is_refused_in_every_mode() {
    let authority = Authority::named("the authority");
    let (server, other) = (authority.signs(&of("localhost")), authority.signs(&of("localhost")));
    let files = Files::new();
    let roots = files.write("authority.crt", &authority.pem);
    let trusting = format!("sslrootcert={}", roots.display());
    for (key, taken) in [(&server.key, true), (&other.key, false)] {
        let (port, heard) = speaking_tls(&server.certificate, key);
        for version in ["ssl_max_protocol_version=TLSv1.2", "ssl_min_protocol_version=TLSv1.3"] {
            for rest in ["sslmode=require", &format!("sslmode=verify-full {trusting}")] {
                let address =
                    format!("host=localhost hostaddr=127.0.0.1 port={port} user=app {version} {rest}");
                let (end, said) = RUNTIME.block_on(by_us(&address));
                assert_eq!(end, End::Refused);
                let first = heard.recv_timeout(LATE).unwrap();
                assert!(heard.try_iter().chain([first]).all(|took| took == taken), "{address}: {said}");
            }
        }
    }
}

/// Starts a server that answers a request for TLS with `answer`. For each client it sends the bytes that the client
/// sent.
fn answering(answer: &'static [u8]) -> (u16, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (said, heard) = channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut request, mut rest) = (client.unwrap(), [0; 8], Vec::new());
            client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            if client.read_exact(&mut request).is_ok() {
                let _ = client.write_all(answer);
                let _ = client.shutdown(Shutdown::Write);
                let _ = client.read_to_end(&mut rest);
                if said.send([&request[..], &rest].concat()).is_err() {
                    return;
                }
            }
        }
    });
    (port, heard)
}

/// The message `SSLRequest` of PostgreSQL's manual.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

#[test]
fn nothing_falls_back_to_clear_text() {
    let files = Files::new();
    let roots = files.write("authority.crt", &Authority::named("the authority").pem);
    // This address leads to this machine, but the store treats it as remote. So the default for remote hosts applies.
    let remote = "host=0.0.0.0";
    let strict = format!("host=localhost hostaddr=127.0.0.1 sslrootcert={}", roots.display());
    let addresses = [
        remote.to_owned(),
        format!("{remote} channel_binding=prefer"),
        format!("{remote},0.0.0.0"),
        "host=localhost hostaddr=0.0.0.0".to_owned(),
        "host=/tmp hostaddr=0.0.0.0".to_owned(),
        "host=localhost hostaddr=127.0.0.1 sslmode=require".to_owned(),
        format!("{strict} sslmode=verify-ca"),
        format!("{strict} sslmode=verify-full"),
        format!("{strict} sslmode=require"),
    ];
    // The server has no TLS. It has TLS, which then fails. It sends an error. It closes the connection. The last two
    // add bytes that an attacker on the network could have added.
    let answers = [&b"N"[..], b"S", b"E", b"", b"Sno TLS at all", b"NR\0\0\0\x08\0\0\0\x03"];
    thread::scope(|scope| {
        for answer in answers {
            for address in &addresses {
                scope.spawn(move || says_nothing_in_clear(answer, address));
            }
        }
    });
}

fn says_nothing_in_clear(answer: &'static [u8], address: &str) {
    let (port, heard) = answering(answer);
    let address = format!("{address} port={port} user=app password={PASSWORD} dbname=shop");
    let (end, said) = RUNTIME.block_on(by_us(&address));
    assert_eq!(end, End::Refused);
    assert!(!said.contains(PASSWORD), "{said}");
    let builder = AsyncDieselSession::builder().connection_timeout(SOON);
    assert!(RUNTIME.block_on(builder.test_transaction(&address)).is_err());
    let first = heard.recv_timeout(LATE).unwrap();
    for said in heard.try_iter().chain([first]) {
        assert_eq!(said[..8], SSL_REQUEST, "{address}");
        // After the request, only a TLS handshake may follow. It begins with these two bytes.
        assert!(said.len() == 8 || said[8..10] == [22, 3], "{address}: {said:?}");
        assert!(!String::from_utf8_lossy(&said).contains("shop"), "{address}");
    }
}
