//! `stats`: how many sessions there are, and of which kinds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use diesel::QueryResult;
use indicatif::BinaryBytes;
use serde_json::{Value, json};

use crate::arguments::Stats;
use crate::database::Target;
use crate::failure::Failure;
use crate::inspect::{Group, Inspect, OwnerCount, Sizes};
use crate::screen::{self, harmless, say};
use buckets::{AGES, Buckets, LEFT, SIZES};

mod buckets;
mod html;
mod pictures;

/// How many owners are shown.
const OWNERS: i64 = 10;

/// The figures of a database.
struct Statistics {
    live: u64,
    expired: u64,
    /// The owners with most live sessions.
    owners: Vec<OwnerCount>,
    ages: Buckets,
    left: Buckets,
    sizes: Buckets,
    /// Live sessions by the hour in which they started, in seconds since 1970, for the last seven days.
    started: BTreeMap<i64, u64>,
    on_disk: Sizes,
}

pub(crate) fn stats<C: Inspect>(target: &Target<C>, stats: &Stats) -> Result<(), Failure> {
    // It looks for the table first, because the other queries cannot tell a missing table from another error.
    target.store.check()?;
    let statistics = Statistics::of(&mut *target.connection()?)?;
    if let Some(file) = &stats.html {
        write(file, &html::page(&statistics)?)?;
        return say(&format!("the report is in {}", file.display()));
    }
    if stats.json { screen::json(&statistics.as_json()) } else { statistics.show() }
}

fn write(file: &Path, page: &str) -> Result<(), Failure> {
    fs::write(file, page).map_err(|error| {
        Failure::refused(format!("{} could not be written: {error}; name another file", file.display()))
    })
}

impl Statistics {
    fn of<C: Inspect>(conn: &mut C) -> QueryResult<Self> {
        let groups = conn.groups(AGES, LEFT, SIZES)?;
        let sum = |is: &dyn Fn(&Group) -> bool| {
            groups.iter().filter(|group| is(group)).map(|group| group.sessions.unsigned_abs()).sum()
        };
        let is_live = |group: &Group| group.left.is_some();
        let buckets = |bounds: &'static [i64], place: &dyn Fn(&Group) -> i64| {
            Buckets::of(
                bounds,
                groups.iter().filter(|group| is_live(group)).map(|group| (place(group), group.sessions)),
            )
        };
        let mut started = BTreeMap::new();
        for group in groups.iter().filter(|group| is_live(group)) {
            if let Some(hour) = group.hour {
                *started.entry(hour).or_default() += group.sessions.unsigned_abs();
            }
        }
        Ok(Self {
            live: sum(&is_live),
            expired: sum(&|group| !is_live(group)),
            owners: conn.owners(OWNERS)?,
            ages: buckets(AGES, &|group| group.age),
            left: buckets(LEFT, &|group| group.left.unwrap_or_default()),
            sizes: buckets(SIZES, &|group| group.size),
            started,
            on_disk: conn.sizes()?,
        })
    }

    fn as_json(&self) -> Value {
        let owners =
            self.owners.iter().map(|owner| json!({ "owner": owner.owner, "sessions": owner.sessions }));
        let started =
            self.started.iter().map(|(hour, sessions)| json!({ "hour": hour, "sessions": sessions }));
        json!({
            "live": self.live,
            "expired": self.expired,
            "owners": owners.collect::<Vec<_>>(),
            "age_seconds": self.ages.as_json(),
            "left_seconds": self.left.as_json(),
            "value_bytes": self.sizes.as_json(),
            "started": started.collect::<Vec<_>>(),
            "table_bytes": self.on_disk.table,
            "index_bytes": self.on_disk.indexes,
            "estimate_for_ten_times_as_many_bytes": self.on_disk.of_ten_times_as_many(),
        })
    }

    fn show(&self) -> Result<(), Failure> {
        let number = |number: u64| number.to_string();
        screen::table(
            &["SESSIONS", "NUMBER"],
            vec![
                vec!["live".to_owned(), number(self.live)],
                vec!["expired, and not deleted yet".to_owned(), number(self.expired)],
            ],
        )?;
        let owners = self.owners.iter();
        let owners = owners.map(|owner| vec![harmless(&owner.owner), owner.sessions.to_string()]).collect();
        for (title, rows) in [
            ("OWNER", owners),
            ("AGE", self.ages.rows(buckets::duration)),
            ("TIME LEFT", self.left.rows(buckets::duration)),
            ("VALUE", self.sizes.rows(buckets::bytes)),
        ] {
            say("")?;
            screen::table(&[title, "LIVE SESSIONS"], rows)?;
        }
        say("")?;
        say(&self.on_disk.to_string())
    }
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = |bytes: i64| BinaryBytes(bytes.unsigned_abs()).to_string();
        write!(
            f,
            "on disk: table {}, indexes {}; with ten times as many sessions about {}",
            bytes(self.table),
            bytes(self.indexes),
            bytes(self.of_ten_times_as_many())
        )
    }
}
