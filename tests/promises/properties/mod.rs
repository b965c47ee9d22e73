//! Laws that hold for random inputs. Each law first tries known inputs, the lists in `corpus`.
//!
//! Each law names its number of random inputs. `PROPTEST_CASES` applies instead if it is larger: see `scripts/fuzz`.

use std::fmt::Debug;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestCaseResult, TestRunner};

mod conninfo;
mod keys;
mod operations;
mod payloads;
mod startup;
mod values;

/// The file in which proptest keeps the failures that it found.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/promises/corpus/seeds.txt");

/// Returns the nasty inputs of one kind.
pub(crate) fn corpus(kind: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("promises/corpus");
    let list = std::fs::read_to_string(directory.join(kind).with_extension("json")).unwrap();
    let inputs: Vec<String> = serde_json::from_str(&list).unwrap();
    assert!(inputs.len() > 20, "{kind}");
    inputs
}

/// Checks a law against every known input, and then against `cases` random ones.
#[allow(clippy::print_stdout, reason = "`scripts/fuzz` adds up what it says")]
fn holds_for<T: Debug + Clone>(
    cases: u32,
    known: impl IntoIterator<Item = T>,
    inputs: impl Strategy<Value = T>,
    law: impl Fn(T) -> TestCaseResult,
) {
    let mut count = 0_u32;
    for input in known {
        count += 1;
        let held = law(input.clone());
        assert!(held.is_ok(), "of the corpus: {input:?}: {held:?}");
    }
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked.map_or(cases, |asked: u32| asked.max(cases));
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(SEEDS))),
        ..ProptestConfig::default()
    });
    if let Err(failure) = runner.run(&inputs, law) {
        panic!("{failure}\n{runner}");
    }
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!("\nproperty {name} cases {}", count + cases);
}
