use std::time::Duration;

use super::{ConnectOptions, ConnectionSettings};

fn settings() -> ConnectionSettings {
    ConnectionSettings {
        connection_timeout: Duration::from_millis(2_500),
        statement_timeout: Duration::from_secs(7),
        ..ConnectionSettings::default()
    }
}

fn address(options: ConnectOptions) -> String {
    options.address(&settings()).unwrap()
}

#[test]
fn what_a_method_set_goes_before_what_a_string_said() {
    let before = ConnectOptions::new().host("a").conninfo("host=b port=1").unwrap();
    let after = ConnectOptions::new().conninfo("host=b port=1").unwrap().host("a");
    assert_eq!(before.get("host"), Some("a"));
    assert_eq!(after.get("host"), Some("a"));
    assert_eq!(after.get("port"), Some("1"));
}

#[test]
fn a_nul_cannot_cut_the_string_short() {
    assert!(ConnectOptions::new().password("a\0b").address(&settings()).is_err());
}

#[test]
fn each_of_several_hosts_has_its_share_of_the_time() {
    let settings = ConnectionSettings { connection_timeout: Duration::from_secs(10), ..settings() };
    for (hosts, seconds) in [("a", 10), ("a,b", 5), ("a,b,c", 4), ("a,b,c,d,e,f", 2)] {
        let address = ConnectOptions::new().host(hosts).address(&settings).unwrap();
        assert!(address.contains(&format!("connect_timeout='{seconds}'")), "{address}");
    }
    let environment = |name: &str| (name == "PGHOST").then(|| "a,b".to_owned());
    for (options, seconds) in [(ConnectOptions::new(), "5"), (ConnectOptions::new().host("a"), "10")] {
        let options = options.with_limits("keepalives_count", &settings, environment).unwrap();
        assert_eq!(options.get("connect_timeout"), Some(seconds));
    }
}

#[test]
fn limits_are_set_where_the_caller_has_none() {
    let ours = address(ConnectOptions::new());
    for limit in ["connect_timeout='3'", "tcp_user_timeout='7000'", "keepalives='1'"] {
        assert!(ours.contains(limit), "{ours}");
    }
    let theirs = "connect_timeout=9 tcp_user_timeout=1 keepalives=0";
    let theirs = address(theirs.parse().unwrap());
    for limit in ["connect_timeout='9'", "tcp_user_timeout='1'", "keepalives='0'"] {
        assert!(theirs.contains(limit), "{theirs}");
    }
}
