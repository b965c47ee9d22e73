use std::process::Command;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::ConnectOptions;
use crate::error::Error;
use crate::options::ConnectionSettings;

fn settings() -> ConnectionSettings {
    ConnectionSettings {
        connection_timeout: Duration::from_millis(2_500),
        statement_timeout: Duration::from_millis(6_500),
        ..ConnectionSettings::default()
    }
}

/// Returns the addresses for the application's function, or for the store.
fn addresses(options: &str, application: bool) -> Result<Vec<String>, Error> {
    let options: ConnectOptions = options.parse().unwrap();
    if application {
        return options.addresses_for_the_application(&settings());
    }
    let addresses = options.asynchronous_addresses(&settings())?;
    Ok(addresses.into_iter().map(|address| address.text).collect())
}

fn configs(options: &str) -> Vec<Config> {
    let addresses = addresses(&format!("{options} sslmode=disable"), false).unwrap();
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

#[test]
fn limits_are_set_where_the_caller_has_none_and_mean_what_libpq_means() {
    let ours = &configs("host=a")[0];
    assert_eq!(ours.get_tcp_user_timeout(), Some(&Duration::from_secs(7)));
    assert_eq!(ours.get_connect_timeout(), Some(&Duration::from_secs(3)));
    assert_eq!(ours.get_keepalives_retries(), Some(3));
    let theirs = &configs("host=a tcp_user_timeout=1500 keepalives_count=9")[0];
    assert_eq!(theirs.get_tcp_user_timeout(), Some(&Duration::from_secs(2)));
    assert_eq!(theirs.get_keepalives_retries(), Some(9));
}

#[test]
fn an_empty_name_is_one_that_is_not_there() {
    let empty = "hostaddr='' user='' dbname='' password='' port='' options='' application_name=''";
    let config = &configs(&format!("host=a {empty}"))[0];
    assert_eq!((config.get_user(), config.get_dbname(), config.get_password()), (None, None, None));
    assert_eq!((config.get_options(), config.get_application_name()), (None, None));
    assert!(config.get_ports().is_empty());
}

#[test]
fn any_other_empty_value_is_refused() {
    let names = |keyword: &&str| super::NOT_GIVEN_IF_EMPTY.contains(keyword);
    let known = super::KNOWN.into_iter().filter(|keyword| !names(keyword));
    for keyword in known.map(|keyword| keyword.replace("retries", "count")) {
        // The second address is local, so only the value can be the reason.
        for options in [format!("host=a {keyword}=''"), format!("host=/tmp {keyword}=''")] {
            for application in [false, true] {
                assert!(addresses(&options, application).is_err(), "{keyword}");
            }
        }
    }
}

#[test]
fn each_host_has_an_address_of_its_own() {
    let configs = configs("host=a,b hostaddr=127.0.0.1,127.0.0.2 port=1,2");
    let hosts: Vec<_> = configs.iter().map(|config| (config.get_hosts(), config.get_ports())).collect();
    let host = |name: &str| [Host::Tcp(name.to_owned())];
    assert_eq!(hosts, [(&host("a")[..], &[1][..]), (&host("b")[..], &[2][..])]);
    let one_port = self::configs("host=a,b port=7");
    assert!(one_port.iter().all(|config| config.get_ports() == [7]));
}

/// libpq would find a stricter mode in the environment. tokio-postgres does not read the environment.
#[test]
fn requiressl_counts_whatever_the_environment_says() {
    const STRICT: (&str, &str) = ("PGSSLMODE", "verify-full");
    if std::env::var(STRICT.0).is_ok_and(|mode| mode == STRICT.1) {
        let options = ConnectOptions::new().host("a").requiressl(true);
        let addresses = options.addresses_for_the_application(&settings()).unwrap();
        return assert!(addresses[0].contains("sslmode='require'"));
    }
    let this = "conninfo::asynchronous::tests::requiressl_counts_whatever_the_environment_says";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this])
        .env(STRICT.0, STRICT.1)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_function_that_establishes_connections_gets_no_parameter_that_it_would_miss() {
    // The function would not get these parameters, so the store refuses them.
    for (said, named) in [
        ("sslmode=verify-full", "sslmode"),
        ("sslmode=verify-ca", "sslmode"),
        ("sslmode=allow", "sslmode"),
        ("sslrootcert=system", "sslrootcert"),
        ("sslrootcert=/ca.pem", "sslrootcert"),
        ("sslcert=/c sslkey=/k", "sslcert"),
        ("sslcrl=/r", "sslcrl"),
        ("sslcrldir=/d", "sslcrldir"),
        ("sslsni=0", "sslsni"),
        ("sslpassword=p", "sslpassword"),
        ("sslcertmode=require", "sslcertmode"),
        ("sslnegotiation=direct", "sslnegotiation"),
        ("ssl_min_protocol_version=TLSv1.3", "ssl_min_protocol_version"),
        ("gssencmode=require", "gssencmode"),
        ("requirepeer=postgres", "requirepeer"),
    ] {
        let refused = addresses(&format!("host=a {said}"), true);
        let Err(Error::Configuration { setting, reason }) = refused else { panic!("{said}: {refused:?}") };
        assert!(setting == named && reason.contains("`establish_with`"), "{said}: {setting}: {reason}");
    }
    // Empty values, and values that match libpq's behaviour, are accepted.
    addresses("host=a sslrootcert='' sslcert='' sslnegotiation=postgres gssencmode=prefer sslsni=1 sslcertmode=allow", true).unwrap();
    // The function also gets `require` for a remote host, unless the address asks for less.
    for (said, mode) in [("", "require"), ("sslmode=require", "require"), ("sslmode=disable", "disable")] {
        let address = &addresses(&format!("host=db.example {said}"), true).unwrap()[0];
        assert!(address.contains(&format!("sslmode='{mode}'")), "{said}: {address}");
    }
    #[cfg(not(feature = "rustls"))]
    assert!(addresses("host=a sslmode=verify-full sslrootcert=/ca.pem", false).is_err());
}

#[test]
fn each_host_of_a_list_is_judged_alone() {
    let each = |text: &str| addresses(text, false);
    assert_eq!(each("host=localhost,/tmp,::1 sslmode=prefer").unwrap().len(), 3);
    #[cfg(not(feature = "rustls"))]
    {
        assert!(each("host=localhost,db.example").is_err());
        assert!(each("host=localhost,localhost hostaddr=127.0.0.1,192.0.2.1").is_err());
    }
    #[cfg(feature = "rustls")]
    {
        use crate::conninfo::SslMode;
        let options: ConnectOptions = "host=localhost,/tmp,db.example".parse().unwrap();
        let addresses = options.asynchronous_addresses(&settings()).unwrap();
        let modes: Vec<_> = addresses.iter().map(|address| address.tls.mode).collect();
        assert_eq!(modes, [SslMode::Prefer, SslMode::Disable, SslMode::Require]);
    }
}

#[cfg(feature = "rustls")]
#[test]
fn the_name_that_tls_goes_by_is_the_host_or_else_its_address() {
    for (text, name) in [
        ("host=db.example hostaddr=192.0.2.1", "db.example"),
        ("hostaddr=192.0.2.1", "192.0.2.1"),
        ("host=/tmp hostaddr=192.0.2.1", "192.0.2.1"),
    ] {
        let config: Config = addresses(text, false).unwrap()[0].parse().unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp(name.to_owned())], "{text}");
    }
}
