//! How the crate affects a host's build: dependencies, licences, and the compiler's messages.

use std::path::Path;
use std::process::Command;

/// Returns the root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Parses `1.86` or `1.86.0`, so that versions can be compared.
fn version(text: &str) -> Vec<u32> {
    text.split('.').chain(["0"]).take(3).map(|part| part.parse().unwrap()).collect()
}

/// Lists every crate that any feature brings on any platform, including those for development.
fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--all-features"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn no_dependency_asks_for_a_newer_rust_than_we_do() {
    let metadata = metadata();
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
fn the_package_contains_every_file_that_the_readme_links_to() {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--locked", "-p", "diesel-session"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packed = String::from_utf8(output.stdout).unwrap();
    let readme = include_str!("../../README.md");
    let targets = readme.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap());
    let files: Vec<&str> = targets.filter(|target| !target.starts_with("https://")).collect();
    assert!(files.len() > 10);
    for file in files {
        assert!(packed.lines().any(|known| known == file), "the package lacks {file}");
    }
}

/// Whether any feature of the package builds the crate `name`, for any platform.
fn builds(package: &str, name: &str) -> bool {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", package, "--all-features", "--target=all", "--edges=all"])
        .args(["--prefix=none", "--format={p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built = String::from_utf8(output.stdout).unwrap();
    assert!(built.starts_with(package), "{built}");
    built.lines().any(|line| line.split(' ').next() == Some(name))
}

/// `cargo audit` and `cargo deny` ignore an advisory of this crate. sqlx's driver for MySQL builds it, and only the
/// comparison has that driver.
#[test]
fn only_the_comparison_builds_a_crate_that_the_audit_ignores() {
    let root = root();
    let audit = std::fs::read_to_string(root.join(".cargo/audit.toml")).unwrap();
    let audit: toml::Value = toml::from_str(&audit).unwrap();
    let ignored: Vec<String> = audit["advisories"]["ignore"].clone().try_into().unwrap();
    assert_eq!(ignored, ["RUSTSEC-2023-0071"], "each advisory needs its crate here: this one is rsa's");
    let deny = std::fs::read_to_string(root.join("deny.toml")).unwrap();
    let deny: toml::Value = toml::from_str(&deny).unwrap();
    let ignored = deny["advisories"]["ignore"].as_array().unwrap().iter();
    let ignored: Vec<_> = ignored.map(|advisory| advisory["id"].as_str().unwrap()).collect();
    assert_eq!(ignored, ["RUSTSEC-2023-0071"], "both files ignore the same");
    let metadata = metadata();
    let members =
        metadata["packages"].as_array().unwrap().iter().filter(|package| package["source"].is_null());
    let names = members.map(|member| member["name"].as_str().unwrap());
    let builders: Vec<&str> = names.filter(|member| builds(member, "rsa")).collect();
    assert_eq!(builders, ["diesel-session-bench"]);
}

/// cargo-deny makes the same checks on the same files if it is installed.
#[test]
fn every_dependency_is_from_crates_io_under_a_licence_of_deny_toml() {
    let deny = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny: toml::Value = toml::from_str(&deny).unwrap();
    let texts = |value: &toml::Value| -> Vec<String> { value.clone().try_into().unwrap() };
    let allowed = texts(&deny["licenses"]["allow"]);
    let exceptions = deny["licenses"]["exceptions"].as_array().unwrap();
    let registries = texts(&deny["sources"]["allow-registry"]);
    assert_eq!(deny["sources"]["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(deny["sources"]["unknown-git"].as_str(), Some("deny"));
    let (metadata, mut from_registries) = (metadata(), 0);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let mut allowed = allowed.clone();
        for exception in exceptions.iter().filter(|exception| exception["crate"].as_str() == Some(name)) {
            allowed.extend(texts(&exception["allow"]));
        }
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} names no licence"));
        assert!(is_allowed(licence, &allowed), "{name} is under {licence}");
        match package["source"].as_str() {
            // A crate of this workspace.
            None => {
                let manifest = package["manifest_path"].as_str().unwrap();
                assert!(Path::new(manifest).starts_with(root()), "{manifest}");
            }
            Some(source) => {
                let registry =
                    source.strip_prefix("registry+").unwrap_or_else(|| panic!("{name} is from {source}"));
                assert!(registries.iter().any(|known| known == registry), "{name} is from {source}");
                from_registries += 1;
            }
        }
    }
    assert!(from_registries > 200, "{from_registries}");
}

/// Evaluates an SPDX expression, AND before OR. In old expressions, `/` means OR.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut rest = words.as_slice();
    let result = either(&mut rest, allowed);
    assert!(rest.is_empty(), "{expression}");
    result
}

fn either(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut result = both(words, allowed);
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        result |= both(words, allowed);
    }
    result
}

fn both(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut result = one(words, allowed);
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        result &= one(words, allowed);
    }
    result
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    if words[0] == "(" {
        *words = &words[1..];
        let result = either(words, allowed);
        assert_eq!(words[0], ")");
        *words = &words[1..];
        return result;
    }
    // A licence with an exception counts as another licence.
    let length = if words.get(1) == Some(&"WITH") { 3 } else { 1 };
    let (licence, rest) = words.split_at(length);
    *words = rest;
    allowed.contains(&licence.join(" "))
}

#[test]
fn a_licence_expression_is_evaluated_correctly() {
    let allowed = ["MIT".to_owned(), "Zlib".to_owned()];
    for expression in [
        "MIT",
        "MIT OR GPL-3.0",
        "MIT WITH x OR MIT",
        "GPL-3.0/MIT",
        "MIT AND Zlib",
        "(GPL-3.0 OR MIT) AND Zlib",
    ] {
        assert!(is_allowed(expression, &allowed), "{expression}");
    }
    for expression in
        ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "GPL-3.0 OR Zlib AND ISC", "MIT WITH x"]
    {
        assert!(!is_allowed(expression, &allowed), "{expression}");
    }
}

#[test]
fn a_compiler_error_names_the_feature_that_a_connection_needs() {
    let ours = root();
    let host = tempfile::tempdir().unwrap();
    std::fs::create_dir(host.path().join("src")).unwrap();
    std::fs::copy(ours.join("Cargo.lock"), host.path().join("Cargo.lock")).unwrap();
    std::fs::write(
        host.path().join("Cargo.toml"),
        format!(
            "[package]\nname = \"host\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
             diesel-session = {{ path = \"{}\" }}\n\
             diesel = {{ version = \"2.3\", default-features = false, features = [\"postgres\"] }}\n",
            ours.display()
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
