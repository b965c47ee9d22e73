//! The clients of an earlier version of this repository, built from its history.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The last version whose table had neither labels nor the time of the last use. Its clients take the same orders and
/// write the same record as those of this version.
const VERSION: &str = "bb585bc";

/// The path of these clients' program.
///
/// # Panics
///
/// Panics if the program cannot be built. In particular, the build needs the repository's history. It must not be
/// skipped, because only these tests show that older programs still work.
pub(crate) static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(VERSION);
    std::fs::create_dir_all(&directory).expect("a directory for the older version");
    let mut archive = Command::new("git")
        .args(["archive", VERSION])
        .current_dir(repository)
        .stdout(Stdio::piped())
        .spawn()
        .expect("git is installed");
    let tree = archive.stdout.take().expect("its output");
    let unpacked = Command::new("tar").arg("-x").current_dir(&directory).stdin(tree).status();
    assert!(
        archive.wait().is_ok_and(|status| status.success()) && unpacked.is_ok_and(|status| status.success()),
        "{VERSION} is not in the history of this repository: run `git fetch --unshallow`"
    );
    let target = directory.join("target");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "diesel-session-faults"])
        .current_dir(&directory)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .status()
        .expect("cargo runs");
    assert!(built.success(), "{VERSION} does not build");
    target.join("debug/diesel-session-faults")
});
