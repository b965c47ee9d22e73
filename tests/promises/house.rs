//! Each folder of `src` imports only from the folders below it, and no file is long.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders and files of `src`, from top to bottom. DESIGN.md says what each is for.
const ROOMS: [&str; 26] = [
    "guides",
    "web",
    "testing",
    "sweeper",
    "stores",
    "retry",
    "operations",
    "migrations",
    "memory",
    "mysql",
    "sqlite",
    "postgres",
    "conninfo",
    "database",
    "options",
    "json",
    "async_now",
    "sessions",
    "now",
    "page",
    "session",
    "table",
    "key",
    "trace",
    "error",
    "lib",
];

/// The databases. They do not import each other.
const DATABASES: [&str; 4] = ["memory", "mysql", "sqlite", "postgres"];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Returns the folder or the file of `src` that a file belongs to.
fn room(file: &Path) -> String {
    let inside = file.strip_prefix(sources()).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Returns the folders that a file names after `crate::`, except in comments.
fn imports(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.lines().map(|line| line.split("//").next().unwrap_or(line));
    let code: String = code.collect::<Vec<_>>().join("\n");
    let word = |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    let named = code.split("crate::").skip(1).map(word);
    named.filter(|name| name.starts_with(char::is_lowercase)).collect()
}

#[test]
fn imports_go_downwards_only() {
    let rank = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut seen = BTreeSet::new();
    for file in files(&sources()) {
        let room = room(&file);
        if room == "lib" {
            continue;
        }
        let here = rank(&room).unwrap_or_else(|| panic!("{room} has no place in the house"));
        seen.insert(room.clone());
        for other in imports(&file).into_iter().filter(|other| *other != room && !other.ends_with("tests")) {
            let there = rank(&other).unwrap_or_else(|| panic!("{}: crate::{other}", file.display()));
            assert!(there > here, "{} imports crate::{other}, which is above", file.display());
            let neighbours = DATABASES.contains(&&*room) && DATABASES.contains(&&*other);
            assert!(!neighbours, "{} imports another database, {other}", file.display());
        }
    }
    assert_eq!(seen.len(), ROOMS.len() - 1, "a room of the list is empty: {seen:?}");
}

#[test]
fn no_source_file_has_more_than_300_lines() {
    for file in files(&sources()) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 300, "{} has {lines} lines", file.display());
    }
}

/// A guide is a page of Markdown in `src/guides`. `tests/readme.rs` compiles its code.
#[test]
fn every_guide_is_a_page_and_its_code_is_compiled() {
    let (listed, compiled) = (include_str!("../../src/guides.rs"), include_str!("../readme.rs"));
    for file in files(&sources().join("guides")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(listed.contains(&format!("\"guides/{name}\"")), "src/guides.rs does not have {name}");
        if fs::read_to_string(&file).unwrap().contains("```rust") {
            let path = format!("\"../src/guides/{name}\"");
            assert!(compiled.contains(&path), "tests/readme.rs does not compile {name}");
        }
    }
}

/// The list of operations is written in four places, and in no test.
#[test]
fn an_operation_is_named_in_four_places() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
    let declares = |file: &PathBuf| fs::read_to_string(file).unwrap().contains("fn clear_listed(");
    let mut found: Vec<String> = files(&sources())
        .into_iter()
        .chain(files(&tests))
        .filter(|file| {
            file.extension().is_some_and(|extension| extension == "rs") && !file.ends_with("house.rs")
        })
        .filter(declares)
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort_unstable();
    // The fourth is the operation itself, `ClearListed`.
    assert_eq!(found, ["async_sessions.rs", "sessions.rs", "sessions.rs"]);
}
