//! Maps that name what does not exist mislead: every path and every command in the documents is real.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Paths in backticks that look like files or folders of the checkout.
fn paths_in(text: &str) -> Vec<String> {
    let roots = ["crates/", "web/", "xtask/", "testing/", "e2e/", "bench/", "docs/", "fuzz/", ".ci/"];
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| {
            roots.iter().any(|root| word.starts_with(root)) && !word.contains([' ', '*', '{', '<', '…'])
        })
        .map(|word| word.split([':', '#']).next().unwrap_or(word).to_owned())
        .collect()
}

#[test]
fn every_path_named_in_the_documents_exists() {
    let mut documents = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            documents.push(format!("docs/{name}"));
        }
    }
    let mut found = 0;
    for document in documents {
        let text = std::fs::read_to_string(root().join(&document)).unwrap();
        for path in paths_in(&text) {
            found += 1;
            assert!(
                root().join(&path).exists() || path == "web/dist",
                "{document} names {path}, which does not exist"
            );
        }
    }
    assert!(found > 10, "the documents name almost no path: the search is broken");
}

#[test]
fn every_room_says_what_goes_in_and_out() {
    for room in ["access", "media", "world", "catalog", "ingest", "live", "relay", "archive", "serve"] {
        let text = std::fs::read_to_string(root().join(format!("crates/{room}/src/lib.rs"))).unwrap();
        for word in ["**In**", "**Out**", "**Invariants**", "**Never**"] {
            assert!(text.contains(word), "crates/{room}/src/lib.rs does not say {word}");
        }
    }
}
