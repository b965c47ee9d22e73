//! Keys, values, owners and passwords are only where they belong, with every log at its most verbose level.
//!
//! A separate process does everything once, and prints everything that can be printed. The test reads its output. A
//! value belongs in its column `session_data`, an owner in `owner`, and a key nowhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "what can be printed is printed")]

use std::path::{Path, PathBuf};
use std::process::Command;

mod failures;
mod loudly;
mod on_connections;
mod operations;
mod printing;
mod servers_log;
mod webs;

#[path = "../promises/proxy.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod proxy;
#[path = "../promises/support.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod support;
#[path = "../promises/waiting.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod waiting;

const PASSWORD: &str = "correct-horse";
const WRONG_PASSWORD: &str = "incorrect-zebra";
const VALUE: &str = "battery-staple";
const OWNER: &str = "alice@example.org";

/// The beginning of a line that shows an event of Diesel's instrumentation.
const INSTRUMENTATION: &str = "an event of Diesel's: ";

/// The variable that names a file. The verbose process writes to it the keys that it has drawn.
const KEYS: &str = "DIESEL_SESSION_TEST_KEYS";

/// Returns the file beside it, with the keys of stores that keep a hash.
fn of_the_hashed(keys: &Path) -> PathBuf {
    keys.with_extension("hashed")
}

#[test]
fn nothing_that_is_printed_or_logged_shows_a_secret() {
    if let Some(file) = std::env::var_os(KEYS) {
        return loudly::everything(Path::new(&file));
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_that_is_printed_or_logged_shows_a_secret", "--nocapture"])
        .env(KEYS, &file)
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let end: Vec<&str> = said.lines().rev().take(60).collect();
    assert!(output.status.success(), "{}", end.into_iter().rev().collect::<Vec<_>>().join("\n"));
    // Every log was verbose, and each source of text has written some.
    for witness in [
        "TRACE",
        "diesel_session::trace:",
        "tokio_postgres::query:",
        "tokio_postgres::connection:",
        "r2d2:",
        "password authentication failed",
        "tower_sessions::service:",
        "actix_session::",
        "SessionKey(..)",
        "check constraint",
        "panicked at",
    ] {
        assert!(said.contains(witness), "nothing of {witness}");
    }
    let keys = std::fs::read_to_string(&file).unwrap();
    let keys: Vec<&str> = keys.lines().collect();
    assert!(keys.len() > 60, "{}", keys.len());
    // At DEBUG, tokio-postgres shows bound parameters as bytes. SECURITY.md says to keep it at INFO.
    let shows_bytes =
        |line: &&str| line.contains("tokio_postgres::query: ") && line.contains(" with parameters: ");
    let (bound, said): (Vec<&str>, Vec<&str>) = said.lines().partition(shows_bytes);
    let (events, said): (Vec<&str>, Vec<&str>) =
        said.into_iter().partition(|line| line.starts_with(INSTRUMENTATION));
    instrumentation_shows(&events, &keys);
    let (bound, said) = (bound.join("\n"), said.join("\n"));
    for secret in keys.iter().copied().chain([PASSWORD, WRONG_PASSWORD, VALUE, OWNER]) {
        for form in forms(secret) {
            let line = said.lines().find(|line| line.contains(&form));
            assert_eq!(line, None, "{secret} as {form}");
        }
        assert!(!bound.contains(secret), "{secret} in clear");
    }
    assert!(
        bound.contains(&bytes(VALUE)) && bound.contains(&bytes(OWNER)),
        "then SECURITY.md need not say it"
    );
    let hashed = std::fs::read_to_string(of_the_hashed(&file)).unwrap();
    let hashed: Vec<&str> = hashed.lines().collect();
    let is_bound = |key: &&&str| bound.contains(&bytes(key));
    let plain = keys.iter().filter(|key| !hashed.contains(key)).filter(is_bound).count();
    assert!(hashed.len() > 30 && plain > 5, "{} hashed, {plain} plain ones bound", hashed.len());
    for secret in hashed.into_iter().chain([PASSWORD, WRONG_PASSWORD]) {
        for form in forms(secret) {
            assert!(!bound.contains(&form), "{secret} is bound as {form}");
        }
    }
}

/// Checks that the instrumentation shows bound values and owners, and the passwords of connections. SECURITY.md says
/// that it does. It shows no keys.
fn instrumentation_shows(events: &[&str], keys: &[&str]) {
    let (connections, queries): (Vec<&str>, Vec<&str>) =
        events.iter().partition(|event| event.contains("EstablishConnection {"));
    let (connections, queries) = (connections.join("\n"), queries.join("\n"));
    for shown in [PASSWORD, WRONG_PASSWORD] {
        assert!(connections.contains(shown), "then SECURITY.md need not say it");
        assert!(!queries.contains(shown), "a password outside of a connection's address");
    }
    assert!(queries.contains(VALUE) && queries.contains(OWNER), "then SECURITY.md need not say it");
    for form in keys.iter().copied().flat_map(forms) {
        assert!(!queries.contains(&form) && !connections.contains(&form), "a key as {form}");
    }
}

/// Returns the forms that a secret may have in a log: in clear, as a list of bytes, in hexadecimal and in base64.
fn forms(secret: &str) -> Vec<String> {
    use std::fmt::Write as _;
    let mut hex = String::new();
    secret.bytes().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
    // In base64, the bytes after the last whole group of three depend on the text that follows the secret.
    let whole = secret.len() / 3 * 3;
    vec![secret.to_owned(), bytes(secret), hex.to_uppercase(), hex, base64(&secret.as_bytes()[..whole])]
}

/// Formats the bytes as `Debug` does.
fn bytes(secret: &str) -> String {
    let list = format!("{:?}", secret.as_bytes());
    list.trim_matches(['[', ']']).to_owned()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(ALPHABET[(bits & 63) as usize]);
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        [digit(bits >> 18), digit(bits >> 12), digit(bits >> 6), digit(bits)]
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}
