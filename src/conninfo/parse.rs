//! Reads and writes PostgreSQL's connection strings.
//!
//! libpq reads them too, but its errors quote the part that it cannot read. That part may belong to a password, for
//! example after an unescaped `/`, `@` or blank. So this module parses the strings itself, and its errors quote
//! nothing. libpq gets only strings that this module has quoted.

use super::keywords;
use crate::error::Error;

type Parameters = Vec<(String, String)>;

/// Reads a URL or a string of `keyword=value` pairs. If a keyword occurs twice, the last one counts, as in libpq.
pub(super) fn parse(text: &str) -> Result<Parameters, Error> {
    let rest = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
    let pairs = match rest {
        Some(rest) => parse_url(rest)?,
        None => parse_pairs(text)?,
    };
    let mut parameters = Parameters::new();
    for (keyword, value) in pairs {
        // `requiressl` is a parameter of `session-postgresql`. libpq replaced it with `sslmode`, and reads only its
        // first character.
        let (keyword, value) = match keyword.as_str() {
            "requiressl" if value.starts_with('1') => ("sslmode".to_owned(), "require".to_owned()),
            "requiressl" => ("sslmode".to_owned(), "prefer".to_owned()),
            _ => (keyword, value),
        };
        if !keywords::is_known(&keyword) {
            return Err(super::foreign::refusal(&keyword).unwrap_or_else(|| refused(UNKNOWN)));
        }
        parameters.retain(|(known, _)| *known != keyword);
        parameters.push((keyword, value));
    }
    Ok(parameters)
}

/// Writes `keyword='value'` pairs.
pub(super) fn format(parameters: &[(String, String)]) -> Result<String, Error> {
    let mut text = Vec::new();
    for (keyword, value) in parameters {
        if value.contains('\0') {
            return Err(refused("a value contains a NUL character: remove it"));
        }
        let value = value.replace('\\', r"\\").replace('\'', r"\'");
        text.push(format!("{keyword}='{value}'"));
    }
    Ok(text.join(" "))
}

const UNENCODED: &str =
    "a port is not a number, or an @ follows the host: percent-encode @ : / ? # and % in a URL's other parts";

const UNKNOWN: &str =
    "libpq does not know one of the keywords: quote values with blanks, or percent-encode them in a URL";

fn refused(reason: &str) -> Error {
    Error::Configuration { setting: "conninfo", reason: reason.to_owned() }
}

/// The characters that separate pairs, as in C's `isspace`. All are ASCII. Rust's `trim` would also remove other blanks
/// from a value.
const BLANKS: [char; 6] = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];

/// Reads pairs of the form `keyword = value`. Blanks may surround the sign, values may be in single quotes, and a
/// backslash may precede quotes and backslashes.
fn parse_pairs(text: &str) -> Result<Parameters, Error> {
    let mut pairs = Parameters::new();
    let mut rest = text.trim_start_matches(BLANKS);
    while !rest.is_empty() {
        let (keyword, after) = rest
            .split_once('=')
            .ok_or_else(|| refused("neither a postgres:// URL nor keyword=value pairs"))?;
        let (value, after) = parse_value(after.trim_start_matches(BLANKS))?;
        pairs.push((keyword.trim_end_matches(BLANKS).to_owned(), value));
        rest = after.trim_start_matches(BLANKS);
    }
    Ok(pairs)
}

/// Returns one value, and the text after it.
fn parse_value(text: &str) -> Result<(String, &str), Error> {
    let (quoted, body) = text.strip_prefix('\'').map_or((false, text), |body| (true, body));
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &body[at + 1..])),
            blank if !quoted && BLANKS.contains(&blank) => return Ok((value, &body[at..])),
            other => value.push(other),
        }
    }
    if quoted { Err(refused("a quoted value has no closing quote: add it")) } else { Ok((value, "")) }
}

/// Reads `[user[:password]@][host[:port],...][/dbname][?keyword=value&...]`. Each part is percent-encoded.
fn parse_url(rest: &str) -> Result<Parameters, Error> {
    let mut pairs = Parameters::new();
    let mut push = |keyword: &str, value: &str| -> Result<(), Error> {
        if !value.is_empty() {
            pairs.push((keyword.to_owned(), decode(value)?));
        }
        Ok(())
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if rest.contains('/') && rest.rfind('@') > rest.find('/') || query.contains('@') {
        return Err(refused(UNENCODED));
    }
    let (authority, dbname) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.split_once('@').unwrap_or(("", authority));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    push("user", user)?;
    push("password", password)?;

    let hosts: Result<(Vec<_>, Vec<_>), _> = hosts.split(',').map(split_port).collect();
    let (names, ports) = hosts?;
    push("host", &names.join(","))?;
    // For two hosts without ports the value is a comma: libpq checks that the lists of hosts and ports are equally
    // long.
    push("port", &ports.join(","))?;
    push("dbname", dbname)?;

    for pair in query.split_terminator('&') {
        let (keyword, value) =
            pair.split_once('=').ok_or_else(|| refused("a parameter of the URL has no value: add it"))?;
        match (keyword, value) {
            ("ssl", "true") => pairs.push(("sslmode".to_owned(), "require".to_owned())),
            (_, value) if value.contains('=') => return Err(refused("a URL's parameter has two =")),
            // An empty value counts: it sets the parameter to an empty text.
            _ => pairs.push((decode(keyword)?, decode(value)?)),
        }
    }
    Ok(pairs)
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_port(host: &str) -> Result<(&str, &str), Error> {
    let (name, port) = match host.strip_prefix('[') {
        Some(bracketed) => {
            let (name, after) = bracketed.split_once(']').unwrap_or_default();
            let port = if after.is_empty() { Some("") } else { after.strip_prefix(':') };
            let port = port.filter(|_| !name.is_empty());
            (name, port.ok_or_else(|| refused("[ and ] around no IPv6 address, or : missing behind them"))?)
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    if name.contains(['@', ':']) && !host.starts_with('[') || !port.bytes().all(|c| c.is_ascii_digit()) {
        return Err(refused(UNENCODED));
    }
    Ok((name, port))
}

/// Decodes `%XX`.
fn decode(text: &str) -> Result<String, Error> {
    let broken = || refused("a % in a URL that two hexadecimal digits of UTF-8 do not follow");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, plain) = part.split_at_checked(2).ok_or_else(broken)?;
        bytes.extend(hex::decode(digits).map_err(|_| broken())?);
        bytes.extend_from_slice(plain.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(keyword, value)| ((*keyword).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_url_is_read_as_libpq_reads_it() {
        assert_eq!(
            pairs("postgres://app:p%40ss@[::1]:5433,db.example/shop?sslmode=require&connect_timeout=3"),
            expected(&[
                ("user", "app"),
                ("password", "p@ss"),
                ("host", "::1,db.example"),
                ("port", "5433,"),
                ("dbname", "shop"),
                ("sslmode", "require"),
                ("connect_timeout", "3"),
            ])
        );
        assert_eq!(
            pairs("postgresql:///shop?host=/run/pg"),
            expected(&[("dbname", "shop"), ("host", "/run/pg")])
        );
        assert_eq!(
            pairs("postgres://%2Frun%2Fpg/shop"),
            expected(&[("host", "/run/pg"), ("dbname", "shop")])
        );
        assert_eq!(pairs("postgres://"), []);
        assert_eq!(pairs("postgres://db?dbname="), expected(&[("host", "db"), ("dbname", "")]));
    }

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        assert_eq!(
            pairs(r"host = db  password='it\'s \\ all'  user=a\ b dbname=''"),
            expected(&[("host", "db"), ("password", r"it's \ all"), ("user", "a b"), ("dbname", "")])
        );
        assert_eq!(pairs("host=a host=b"), expected(&[("host", "b")]));
        // Only ASCII's blanks separate pairs, and the vertical tab is one of them.
        assert_eq!(pairs("user=\u{a0}\u{b}host=b"), expected(&[("user", "\u{a0}"), ("host", "b")]));
        assert_eq!(pairs("requiressl=10"), expected(&[("sslmode", "require")]));
        assert_eq!(pairs("  "), []);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let parameters = expected(&[("user", r"o'\ \\'"), ("password", "x' host='evil"), ("dbname", "")]);
        assert_eq!(pairs(&format(&parameters).unwrap()), parameters);
    }

    #[test]
    fn a_string_that_cannot_be_read_is_refused_without_being_quoted() {
        for text in [
            "postgres://app:sec/ret@db/shop",
            "postgres://app:12/secret@db/shop",
            "postgres://app:12?sslmode=secret@db/shop",
            "postgres://app@sec@ret:x/shop",
            "postgres://app:sec%ret@db/shop",
            "postgres://[::1/shop?password=secret",
            "postgres://app:secret@[::1]5433/shop",
            "postgres://secret@[]/shop",
            "postgres://db/shop?secret=x",
            "postgres://db/shop?secret",
            "postgres://db/shop?host=secret&&",
            "postgres://db/shop?password=sec=ret",
            "password=my secret=x",
            "password='secret",
            "secret",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("conninfo: "), "{error}");
            assert!(!error.contains("sec") && !error.contains("ret"), "{error}");
        }
    }
}
