//! Tests of the program with all sizes divided by a hundred.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::Command;

/// All names that a script may look for.
const FIGURES: [&str; 42] = [
    "get_vs_libpq_c1",
    "get_vs_libpq_c8",
    "set_vs_libpq_c1",
    "set_vs_libpq_c8",
    "get_vs_sqlx_c8",
    "set_vs_sqlx_c8",
    "generate_vs_sqlx_c8",
    "clear_vs_sqlx_c8",
    "async_get_vs_sqlx_c8",
    "async_set_vs_sqlx_c8",
    "async_generate_vs_sqlx_c8",
    "async_pipelined_get_vs_sqlx_c32",
    "async_pipelined_get_vs_libpq_c32",
    "async_pipelined_get_vs_libpq_two_threads_c32",
    "async_pipelined_get_vs_libpq_pipelined_c32",
    "sqlite_get_vs_sqlx_c8",
    "sqlite_set_vs_sqlx_c8",
    "sqlite_async_get_vs_rusqlite_c8",
    "sqlite_async_set_vs_rusqlite_c8",
    "sqlite_async_visit_vs_rusqlite_c8",
    "mariadb_get_vs_sqlx_c8",
    "mariadb_set_vs_sqlx_c8",
    "mariadb_get_vs_prepared_c8",
    "mariadb_set_vs_prepared_c8",
    "get_latency_1m_vs_10k",
    "get_vs_libpq_c8_bounded",
    "set_vs_libpq_c8_bounded",
    "get_vs_redis_c8",
    "set_vs_redis_c8",
    "blocking_get_vs_store_c8",
    "update_vs_before_c8",
    "update_one_vs_before_c8",
    "update_round_trips",
    "round_trips_get",
    "round_trips_set",
    "round_trips_generate",
    "round_trips_clear",
    "hot_share",
    "index_growth",
    "get_p99_during_delete_expired_vs_idle",
    "get_p99_during_long_sweep_vs_idle",
    "idle_sweep_buffers_share",
];

/// Runs the comparison on a throwaway server.
fn compare(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_diesel-session-bench"))
        .args(["compare", "--smaller=100", "--rounds=1"])
        .args(arguments)
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_quick_comparison_gives_every_figure() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("figures.json");
    let said = compare(&["--quick", "--json", file.to_str().unwrap()]);
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for name in FIGURES {
        let figure = json["figures"][name].as_f64();
        assert!(figure.is_some_and(f64::is_finite), "{name}: {figure:?}");
        assert!(said.contains(name), "{name} is not in the table");
    }
    // These figures are the same for small tables and slow machines.
    for operation in ["get", "set", "generate", "clear"] {
        let name = format!("round_trips_{operation}");
        assert_eq!(json["figures"][&name].as_f64(), Some(1.0), "{name}");
    }
    assert_eq!(json["figures"]["update_round_trips"].as_f64(), Some(2.0));
    assert!(json["measured"]["rounds"].as_array().unwrap().len() > 20);
}

#[test]
fn growth_has_the_times_of_every_operation() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("growth.json");
    let output = Command::new(env!("CARGO_BIN_EXE_diesel-session-bench"))
        .args(["growth", "--smaller=100", "--json", file.to_str().unwrap()])
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let times = json.as_array().unwrap();
    assert_eq!(times.len(), 3 * 6 + 3, "{times:?}");
    assert!(times.iter().all(|time| time["p50"].as_f64().is_some_and(|p50| p50 > 0.0)));
}

#[test]
fn a_full_comparison_draws_both_plots() {
    let directory = tempfile::tempdir().unwrap();
    compare(&["--plots", directory.path().to_str().unwrap()]);
    for plot in ["throughput.svg", "latency.svg"] {
        let svg = std::fs::read_to_string(directory.path().join(plot)).unwrap();
        for contender in ["diesel-session", "tower-sessions-sqlx-store", "pgbench"] {
            assert!(svg.contains(contender), "{contender} is not in {plot}");
        }
    }
}
