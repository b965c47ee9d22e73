//! The settings, from the environment.

use std::env;
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use chrono::TimeDelta;

/// The application's settings. Each one has a default.
pub(crate) struct Settings {
    /// The port, on the loopback interface. A proxy in front of it has TLS. 0 means any free port.
    pub(crate) port: u16,
    /// A PostgreSQL database instead of the SQLite file.
    pub(crate) database_url: Option<String>,
    /// How long a session lives without a request.
    pub(crate) idle: TimeDelta,
    /// The maximum lifetime of a session, from its first page.
    pub(crate) longest: TimeDelta,
    /// Whether cookies lack `Secure`. This is for plain HTTP to hosts other than `localhost`, where browsers accept no
    /// secure cookie.
    pub(crate) insecure_cookies: bool,
}

impl Settings {
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        Ok(Self {
            port: number("PORT", 3000)?,
            database_url: env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()),
            idle: seconds("IDLE_SECONDS", 30 * 60)?,
            longest: seconds("MAX_SECONDS", 12 * 60 * 60)?,
            insecure_cookies: env::var("INSECURE_COOKIES").is_ok_and(|value| value == "1"),
        })
    }
}

fn seconds(variable: &str, default: u32) -> anyhow::Result<TimeDelta> {
    let seconds: u32 = number(variable, default)?;
    ensure!(seconds > 0, "{variable} must be at least one second");
    Ok(TimeDelta::seconds(seconds.into()))
}

fn number<N: FromStr>(variable: &str, default: N) -> anyhow::Result<N>
where
    N::Err: std::error::Error + Send + Sync + 'static,
{
    let Ok(value) = env::var(variable) else { return Ok(default) };
    value.parse().with_context(|| format!("{variable} must be a whole number, not {value:?}"))
}
