//! `doctor` on MariaDB, on servers that are set up badly on purpose.

use std::net::TcpListener;
use std::process::Command;

use diesel::MysqlConnection;
use diesel::connection::{Connection as _, SimpleConnection as _};
use throwaway_mariadb::Server;

use crate::doctor::{diagnosis, doctor, finds, migrate};
use crate::support::{command, text};

/// A healthy database, with further settings of its server.
struct Healthy(Server);

impl Healthy {
    fn new(settings: &[&str]) -> Self {
        let careful =
            ["--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--idle-transaction-timeout=60"];
        let server = Server::start(&[&careful, settings].concat()).unwrap();
        let healthy = Self(server);
        MysqlConnection::establish(&healthy.0.url("mysql"))
            .unwrap()
            .batch_execute("CREATE DATABASE app")
            .unwrap();
        migrate(&healthy.url());
        healthy
    }

    fn url(&self) -> String {
        self.0.url("app")
    }

    fn conn(&self) -> MysqlConnection {
        MysqlConnection::establish(&self.url()).unwrap()
    }

    fn run(&self, sql: &str) {
        self.conn().batch_execute(sql).unwrap();
    }

    fn finds(&self, level: &str, name: &str) -> String {
        finds(doctor(&self.url()), level, name)
    }
}

#[test]
fn a_healthy_database_on_mariadb_has_no_findings() {
    let healthy = Healthy::new(&[]);
    assert_eq!(diagnosis(doctor(&healthy.url())), (0, Vec::new()));
    let mut told = command(&["doctor"]);
    let told = told.env("DATABASE_URL", healthy.url()).output().unwrap();
    assert_eq!(text(told.stdout), "13 checks, 0 findings\n");
}

/// Each finding has a statement or a setting that causes it, and advice that mends it.
#[test]
fn settings_that_hurt_sessions_are_found() {
    let healthy = Healthy::new(&["--log-bin", "--server-id=1"]);
    for (cause, level, name, cure) in [
        ("SET GLOBAL binlog_format = STATEMENT", "fault", "binary_log", "SET GLOBAL binlog_format = ROW"),
        (
            "SET GLOBAL max_allowed_packet = 1048576",
            "warning",
            "packets",
            "SET GLOBAL max_allowed_packet = 16777216",
        ),
        (
            "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
            "warning",
            "flush_at_commit",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
        ),
        ("SET GLOBAL sync_binlog = 0", "warning", "flush_at_commit", "SET GLOBAL sync_binlog = 1"),
        (
            "SET GLOBAL idle_transaction_timeout = 0",
            "warning",
            "timeouts",
            "SET GLOBAL idle_transaction_timeout = 60",
        ),
        ("SET GLOBAL read_only = 1", "fault", "read_only", "SET GLOBAL read_only = 0"),
        ("ALTER TABLE session ENGINE = MyISAM", "fault", "engine", "ALTER TABLE session ENGINE = InnoDB"),
    ] {
        healthy.run(cause);
        assert!(healthy.finds(level, name).contains(cure), "{name}");
        healthy.run(cure);
    }
    assert_eq!(diagnosis(doctor(&healthy.url())), (0, Vec::new()));
}

#[test]
fn connections_that_are_nearly_used_up_are_found() {
    let healthy = Healthy::new(&["--max-connections=10"]);
    let _used: Vec<_> = (0..8).map(|_| healthy.conn()).collect();
    assert!(healthy.finds("warning", "connections").contains("of 10 connections are used"));
}

#[test]
fn an_old_server_is_found() {
    let healthy = Healthy::new(&["--version=10.5.1-MariaDB"]);
    assert!(healthy.finds("warning", "version").contains("10.5.1"));
}

#[test]
fn a_connection_over_the_network_without_tls_is_found() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port_setting = format!("--port={port}");
    let healthy = Healthy::new(&["--skip-networking=0", "--bind-address=127.0.0.1", &port_setting]);
    healthy.run("CREATE USER app@'%' IDENTIFIED BY 'sesame'; GRANT ALL ON *.* TO app@'%'");
    let told = finds(doctor(&format!("mysql://app:sesame@127.0.0.1:{port}/app")), "warning", "tls");
    assert!(told.contains("ssl_ca") && !told.contains("sesame"), "{told}");
}

#[test]
fn a_clock_that_differs_from_that_of_mariadb_is_found() {
    let healthy = Healthy::new(&[]);
    let mut late = Command::new("faketime");
    late.args(["-f", "+1h", env!("CARGO_BIN_EXE_diesel-session"), "doctor", "--json"]);
    late.env("DATABASE_URL", healthy.url());
    assert!(finds(late, "warning", "clock").contains("NTP"));
}
