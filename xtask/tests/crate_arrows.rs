//! The arrows between rooms are a rule (ARCHITECTURE.md): whoever adds one changes this table and says why.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may use whom, by package name without its `turepe-`.
const ARROWS: [(&str, &[&str]); 12] = [
    ("access", &[]),
    ("media", &[]),
    ("refusals", &[]),
    ("world", &[]),
    ("catalog", &["access", "media", "world"]),
    ("ingest", &["media", "refusals", "world"]),
    ("live", &["media", "world"]),
    ("relay", &["live", "media", "world"]),
    ("directory", &["world"]),
    ("archive", &["catalog", "media", "world"]),
    ("serve", &["access", "archive", "catalog", "live", "media", "refusals", "world"]),
    (
        "turepe",
        &[
            "access",
            "archive",
            "catalog",
            "directory",
            "ingest",
            "live",
            "media",
            "refusals",
            "relay",
            "serve",
            "world",
        ],
    ),
];

/// What the pure room must never reach, directly or through others.
const NOT_IN_MEDIA: [&str; 5] = ["tokio", "rustix", "sea-orm", "axum", "mio"];

fn room(package: &str) -> &str {
    package.strip_prefix("turepe-").unwrap_or(package)
}

#[test]
fn arrows_between_crates_are_the_declared_ones() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let allowed: BTreeMap<_, _> = ARROWS.into_iter().collect();
    let mut seen = 0;
    for package in metadata.workspace_packages() {
        let Some(allowed) = allowed.get(room(&package.name)) else { continue };
        seen += 1;
        for dependency in &package.dependencies {
            let is_ours = dependency.path.is_some();
            if is_ours && dependency.kind == DependencyKind::Normal {
                let target = room(&dependency.name);
                assert!(allowed.contains(&target), "{} must not depend on {target}", package.name);
            }
        }
    }
    assert_eq!(seen, ARROWS.len(), "a room of the table is missing from the workspace");
}

#[test]
fn the_media_room_reaches_no_machine() {
    let metadata = MetadataCommand::new().exec().unwrap();
    let resolve = metadata.resolve.as_ref().unwrap();
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<_, _> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let start = metadata.packages.iter().find(|package| package.name.as_str() == "turepe-media").unwrap();
    let mut open = vec![&start.id];
    let mut reached = std::collections::BTreeSet::new();
    while let Some(id) = open.pop() {
        if !reached.insert(id) {
            continue;
        }
        assert!(!NOT_IN_MEDIA.contains(&names[id]), "turepe-media reaches {}", names[id]);
        for dependency in &nodes[id].deps {
            if dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal) {
                open.push(&dependency.pkg);
            }
        }
    }
}

#[test]
fn every_dependency_has_a_permissive_licence() {
    const PERMISSIVE: [&str; 14] = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unlicense",
        "Unicode-3.0",
        "CC0-1.0",
        "0BSD",
        "BSL-1.0",
        "MPL-2.0",
        "CDLA-Permissive-2.0",
        "MIT-0",
    ];
    let metadata = MetadataCommand::new().exec().unwrap();
    for package in &metadata.packages {
        let licence = package.license.clone().unwrap_or_default().replace('/', " OR ");
        let is_permissive = licence.split(" OR ").any(|choice| {
            choice.split(" AND ").all(|part| {
                let name = part.trim_matches(|c: char| c == '(' || c == ')' || c == ' ');
                let name = name.split(" WITH ").next().unwrap_or(name);
                PERMISSIVE.contains(&name)
            })
        });
        assert!(is_permissive, "{} has the licence {licence:?}", package.name);
    }
}
