//! What a host's build meets.

use std::path::Path;
use std::process::Command;

/// `1.86` or `1.86.0`, to compare.
fn version(text: &str) -> Vec<u32> {
    text.split('.').chain(["0"]).take(3).map(|part| part.parse().unwrap()).collect()
}

#[test]
fn no_dependency_asks_for_a_newer_rust_than_we_do() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--all-features"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 30);
    let ours = version(env!("CARGO_PKG_RUST_VERSION"));
    for package in packages {
        if let Some(theirs) = package["rust_version"].as_str() {
            assert!(version(theirs) <= ours, "{} asks for Rust {theirs}", package["name"]);
        }
    }
}

#[test]
fn a_connection_without_its_feature_says_which_one_to_add() {
    let ours = env!("CARGO_MANIFEST_DIR");
    let host = tempfile::tempdir().unwrap();
    std::fs::create_dir(host.path().join("src")).unwrap();
    std::fs::copy(Path::new(ours).join("Cargo.lock"), host.path().join("Cargo.lock")).unwrap();
    std::fs::write(
        host.path().join("Cargo.toml"),
        format!(
            "[package]\nname = \"host\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
             diesel-session = {{ path = \"{ours}\" }}\n\
             diesel = {{ version = \"2.3\", default-features = false, features = [\"postgres\"] }}\n"
        ),
    )
    .unwrap();
    let main = "fn main() { diesel_session::DieselSession::<diesel::PgConnection>::connect(\"\"); }";
    std::fs::write(host.path().join("src/main.rs"), main).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet"])
        .env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"))
        .current_dir(host.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("diesel-session keeps no sessions on a `PgConnection`"), "{said}");
    assert!(said.contains("add the feature `postgres` to diesel-session"), "{said}");
}
