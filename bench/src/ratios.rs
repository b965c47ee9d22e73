//! The figures that divide one contender's operations per second by another one's.

use crate::contenders::Name;
use crate::measure::Operation;
use crate::plan::Database;

use Database::{Mariadb, Postgres, Sqlite};
use Name::{
    Async, AsyncPipelined, Blocking, Bounded, Held, Locked, Memory, PgBench, PgBenchPipelined,
    PgBenchTwoThreads, Prepared, Redis, Sqlx, SqlxUnchecked, Sysbench, Tower, TowerPipelined, Unbounded,
};
use Operation::{Clear, Generate, Get, Set, Update, UpdateOne};

/// A figure's name; the database, the operation and the number of clients; the two contenders; and the least value that
/// the figure should have.
pub(crate) type Ratio = (&'static str, Database, Operation, usize, Name, Name, Option<f64>);

pub(crate) const RATIOS: &[Ratio] = &[
    ("get_vs_libpq_c1", Postgres, Get, 1, Unbounded, PgBench, Some(0.90)),
    ("get_vs_libpq_c8", Postgres, Get, 8, Unbounded, PgBench, Some(0.90)),
    ("set_vs_libpq_c1", Postgres, Set, 1, Unbounded, PgBench, Some(0.90)),
    ("set_vs_libpq_c8", Postgres, Set, 8, Unbounded, PgBench, Some(0.90)),
    ("generate_vs_libpq_c8", Postgres, Generate, 8, Unbounded, PgBench, None),
    ("clear_vs_libpq_c8", Postgres, Clear, 8, Unbounded, PgBench, None),
    ("get_vs_sqlx_c8", Postgres, Get, 8, Unbounded, Sqlx, Some(1.7)),
    ("set_vs_sqlx_c8", Postgres, Set, 8, Unbounded, Sqlx, Some(1.6)),
    ("generate_vs_sqlx_c8", Postgres, Generate, 8, Unbounded, Sqlx, Some(2.5)),
    ("clear_vs_sqlx_c8", Postgres, Clear, 8, Unbounded, Sqlx, Some(1.4)),
    ("get_vs_sqlx_unchecked_c8", Postgres, Get, 8, Unbounded, SqlxUnchecked, None),
    ("set_vs_sqlx_unchecked_c8", Postgres, Set, 8, Unbounded, SqlxUnchecked, None),
    ("async_get_vs_sqlx_c8", Postgres, Get, 8, Tower, Sqlx, Some(1.7)),
    ("async_set_vs_sqlx_c8", Postgres, Set, 8, Tower, Sqlx, Some(1.6)),
    ("async_generate_vs_sqlx_c8", Postgres, Generate, 8, Tower, Sqlx, Some(2.5)),
    ("async_clear_vs_sqlx_c8", Postgres, Clear, 8, Tower, Sqlx, None),
    ("async_pipelined_get_vs_sqlx_c32", Postgres, Get, 32, TowerPipelined, Sqlx, Some(2.5)),
    ("async_pipelined_get_vs_libpq_c32", Postgres, Get, 32, AsyncPipelined, PgBench, Some(1.2)),
    (
        "async_pipelined_get_vs_libpq_two_threads_c32",
        Postgres,
        Get,
        32,
        AsyncPipelined,
        PgBenchTwoThreads,
        None,
    ),
    ("async_pipelined_get_vs_libpq_pipelined_c32", Postgres, Get, 32, AsyncPipelined, PgBenchPipelined, None),
    ("async_get_vs_libpq_c8", Postgres, Get, 8, Async, PgBench, None),
    ("async_pipelined_get_vs_libpq_c8", Postgres, Get, 8, AsyncPipelined, PgBench, None),
    ("async_set_vs_libpq_c8", Postgres, Set, 8, Async, PgBench, None),
    ("async_get_vs_libpq_c32", Postgres, Get, 32, Async, PgBench, None),
    ("async_get_vs_sqlx_c32", Postgres, Get, 32, Tower, Sqlx, None),
    ("async_set_vs_sqlx_c32", Postgres, Set, 32, Tower, Sqlx, None),
    ("get_vs_libpq_c1_bounded", Postgres, Get, 1, Bounded, PgBench, None),
    ("get_vs_libpq_c8_bounded", Postgres, Get, 8, Bounded, PgBench, Some(0.70)),
    ("set_vs_libpq_c1_bounded", Postgres, Set, 1, Bounded, PgBench, None),
    ("set_vs_libpq_c8_bounded", Postgres, Set, 8, Bounded, PgBench, Some(0.80)),
    ("get_vs_redis_c8", Postgres, Get, 8, Unbounded, Redis, None),
    ("set_vs_redis_c8", Postgres, Set, 8, Unbounded, Redis, None),
    ("async_get_vs_redis_c8", Postgres, Get, 8, Tower, Redis, None),
    ("async_set_vs_redis_c8", Postgres, Set, 8, Tower, Redis, None),
    ("async_generate_vs_redis_c8", Postgres, Generate, 8, Tower, Redis, None),
    ("async_clear_vs_redis_c8", Postgres, Clear, 8, Tower, Redis, None),
    ("async_get_vs_memory_c8", Postgres, Get, 8, Tower, Memory, None),
    ("async_set_vs_memory_c8", Postgres, Set, 8, Tower, Memory, None),
    ("blocking_get_vs_store_c8", Postgres, Get, 8, Blocking, Bounded, None),
    ("blocking_set_vs_store_c8", Postgres, Set, 8, Blocking, Bounded, None),
    ("update_vs_before_c8", Postgres, Update, 8, Unbounded, Locked, None),
    ("update_one_vs_before_c8", Postgres, UpdateOne, 8, Unbounded, Locked, None),
    ("get_vs_sqlx_c8_bounded", Postgres, Get, 8, Bounded, Sqlx, None),
    ("set_vs_sqlx_c8_bounded", Postgres, Set, 8, Bounded, Sqlx, None),
    ("generate_vs_sqlx_c8_bounded", Postgres, Generate, 8, Bounded, Sqlx, None),
    ("clear_vs_sqlx_c8_bounded", Postgres, Clear, 8, Bounded, Sqlx, None),
    ("get_vs_libpq_c8_held", Postgres, Get, 8, Held, PgBench, None),
    ("set_vs_libpq_c8_held", Postgres, Set, 8, Held, PgBench, None),
    ("get_vs_libpq_two_threads_c8", Postgres, Get, 8, Unbounded, PgBenchTwoThreads, None),
    ("set_vs_libpq_two_threads_c8", Postgres, Set, 8, Unbounded, PgBenchTwoThreads, None),
    ("sqlite_get_vs_sqlx_c8", Sqlite, Get, 8, Unbounded, Sqlx, Some(2.0)),
    ("sqlite_set_vs_sqlx_c8", Sqlite, Set, 8, Unbounded, Sqlx, Some(2.0)),
    ("sqlite_get_vs_sqlx_unchecked_c8", Sqlite, Get, 8, Unbounded, SqlxUnchecked, None),
    ("sqlite_set_vs_sqlx_unchecked_c8", Sqlite, Set, 8, Unbounded, SqlxUnchecked, None),
    ("sqlite_get_vs_prepared_c8", Sqlite, Get, 8, Unbounded, Prepared, None),
    ("sqlite_set_vs_prepared_c8", Sqlite, Set, 8, Unbounded, Prepared, None),
    ("sqlite_set_prepared_vs_sqlx_c8", Sqlite, Set, 8, Prepared, Sqlx, None),
    ("mariadb_get_vs_sqlx_c8", Mariadb, Get, 8, Unbounded, Sqlx, Some(1.7)),
    ("mariadb_set_vs_sqlx_c8", Mariadb, Set, 8, Unbounded, Sqlx, Some(1.4)),
    ("mariadb_get_vs_prepared_c8", Mariadb, Get, 8, Unbounded, Sysbench, Some(0.80)),
    ("mariadb_set_vs_prepared_c8", Mariadb, Set, 8, Unbounded, Sysbench, Some(0.90)),
    ("mariadb_get_vs_sqlx_c8_bounded", Mariadb, Get, 8, Bounded, Sqlx, None),
    ("mariadb_set_vs_sqlx_c8_bounded", Mariadb, Set, 8, Bounded, Sqlx, None),
    ("mariadb_get_vs_prepared_c8_bounded", Mariadb, Get, 8, Bounded, Sysbench, None),
    ("mariadb_set_vs_prepared_c8_bounded", Mariadb, Set, 8, Bounded, Sysbench, None),
    ("mariadb_generate_vs_sqlx_c8", Mariadb, Generate, 8, Unbounded, Sqlx, None),
    ("mariadb_clear_vs_sqlx_c8", Mariadb, Clear, 8, Unbounded, Sqlx, None),
];
