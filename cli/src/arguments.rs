//! The command line. The completions and the manual page are made from it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use diesel_session::{SessionCursor, SessionHandle};

/// Looks after the sessions that diesel-session keeps in a database.
///
/// Exit status: 0 if all went well, 1 if something failed or was refused, 2 for a wrong command line.
#[derive(Parser)]
#[command(name = "diesel-session", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) database: DatabaseArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Says which sessions are meant.
#[derive(Args)]
pub(crate) struct DatabaseArguments {
    /// The database: a URL of PostgreSQL or MariaDB, or the path of an SQLite file.
    ///
    /// Set the variable instead if the URL has a password, because the system's list of processes shows arguments. Or
    /// leave the password out and keep it in the file that PGPASSFILE names.
    #[arg(long, env, hide_env_values = true, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,

    /// The schema of the session table, on PostgreSQL. Without it, the first one of the `search_path`.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) schema: Option<String>,

    /// The table holds keys in clear, because OCaml services share it.
    #[arg(long, global = true)]
    pub(crate) plain_keys: bool,

    /// A role that may own the session table, on PostgreSQL.
    #[arg(long, global = true, value_name = "ROLE")]
    pub(crate) table_owner: Option<String>,

    /// How long one statement may take, for example 5m. Without it, 30s, unless the role has a limit.
    #[arg(long, global = true, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// The connection goes through PgBouncer in transaction mode. Then only the role can limit its statements.
    #[arg(long, global = true, conflicts_with = "timeout")]
    pub(crate) pgbouncer: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    OnDatabase(DatabaseCommand),
    /// Print a shell's completions.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

#[derive(Subcommand)]
pub(crate) enum DatabaseCommand {
    /// Bring the session table to this version's form, or create it.
    Migrate {
        /// Only say which migrations are missing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Check that the session table has this version's form. Changes nothing.
    Check,
    /// Undo the newest migration. The first one drops the table with all its sessions.
    Revert {
        /// Only say which migration is the newest.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        question: Question,
    },
    /// Hash the clear keys of a table of OCaml's session-postgresql, on PostgreSQL. OCaml services then find no session.
    Adopt {
        /// Only say how many sessions there are.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        question: Question,
    },
    /// Say how many sessions there are, and of which kinds. Reads the whole table, without locks.
    Stats(Stats),
    /// Look for everything that hurts sessions in production, and say how to mend it.
    ///
    /// Exit status: 0 if all is well, 1 for warnings, 2 for faults.
    Doctor(Doctor),
    /// List live sessions, page by page. Never shows a key.
    List(List),
    /// End sessions: their visitors have to log in again.
    End(End),
    /// Take over the sessions of another store. The visitors stay signed in.
    ///
    /// They keep their cookies. The other store's table stays as it is. A second run takes what is new. It never
    /// brings back a session that was ended in between.
    Import(Import),
    /// Delete expired sessions, at a pace that leaves the database to others.
    Sweep(Sweep),
}

/// The answer to a question, in advance.
#[derive(Args)]
pub(crate) struct Question {
    /// Do it without a question.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Args)]
pub(crate) struct Stats {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a report with pictures: one file, without scripts and without access to the network.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only this owner's sessions.
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// How many sessions a page has.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// The page that comes after this cursor, which the page before has printed.
    #[arg(long, value_name = "CURSOR", value_parser = cursor)]
    pub(crate) after: Option<SessionCursor>,
    /// Show the sessions' values, too.
    #[arg(long)]
    pub(crate) values: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[group(id = "which", required = true, multiple = false, args = ["owner", "handle", "all"])]
pub(crate) struct End {
    /// All sessions of this owner.
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// Keep this session of the owner.
    #[arg(long, value_name = "HANDLE", requires = "owner", conflicts_with_all = ["handle", "all"], value_parser = handle)]
    pub(crate) keep: Option<SessionHandle>,
    /// One session, by the handle that `list` shows.
    #[arg(long, value_name = "HANDLE", value_parser = handle)]
    pub(crate) handle: Option<SessionHandle>,
    /// All sessions of everybody.
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) question: Question,
}

#[derive(Args)]
pub(crate) struct Sweep {
    /// Sweep once and stop. This is the default.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "every")]
    pub(crate) once: bool,
    /// Sweep again and again, with this time in between, for example 10m.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) every: Option<Duration>,
}

#[derive(Args)]
pub(crate) struct Import {
    /// The other store.
    #[arg(long, value_name = "STORE")]
    pub(crate) from: Origin,
    /// The other store's database: a URL of PostgreSQL, or the path of an SQLite file. Without it, the same database.
    #[arg(long, env = "SOURCE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) source_url: Option<String>,
    /// The schema of the other store's table, on PostgreSQL. Without it, `tower_sessions`.
    #[arg(long, value_name = "NAME")]
    pub(crate) source_schema: Option<String>,
    /// The other store's table. Without it, `session`, and on SQLite `tower_sessions`.
    #[arg(long, value_name = "NAME")]
    pub(crate) source_table: Option<String>,
    /// The field that names a session's owner, or a JSON pointer: what your program passes to `owner_from`.
    #[arg(long, value_name = "FIELD")]
    pub(crate) owner_from: Option<String>,
    /// The field that holds a session's label, or a JSON pointer: what your program passes to `label_from`.
    #[arg(long, value_name = "FIELD")]
    pub(crate) label_from: Option<String>,
}

/// A store whose sessions can be imported.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Origin {
    /// `PostgresStore` or `SqliteStore` of tower-sessions-sqlx-store 0.15.
    TowerSessionsSqlx,
}

fn cursor(text: &str) -> Result<SessionCursor, &'static str> {
    text.parse().map_err(|_| "not a cursor: copy it from the end of the page before")
}

fn handle(text: &str) -> Result<SessionHandle, &'static str> {
    text.parse().map_err(|_| "not a handle: it has 32 hexadecimal digits, and `diesel-session list` shows it")
}
