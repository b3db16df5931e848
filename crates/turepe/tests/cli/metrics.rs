//! What operators load into their own tools names what a node really tells.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use testing::certificates::Authority;

use crate::tool::{Tool, free_port, until};

/// A document of `docs/`.
fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Every metric of ours that a text names.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !is_part(letter));
    words.filter(|word| word.starts_with("turepe_") && *word != "turepe_").map(str::to_owned).collect()
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_is_one_that_a_node_tells() {
    let tool = Tool::new();
    let channel = tool.club();
    let issued = Authority::new().issue();
    std::fs::write(tool.folder().join("full.pem"), &issued.certificate).unwrap();
    std::fs::write(tool.folder().join("key.pem"), &issued.key).unwrap();
    let (http, rtmp) = (free_port(), free_port());
    // With everything that adds numbers; whether it works is not the question here.
    let sets = [
        format!("http.listen={http}"),
        format!("rtmp.listen={rtmp}"),
        format!("rtmp.tls_listen={}", free_port()),
        "tls.certificate=full.pem".to_owned(),
        "tls.key=key.pem".to_owned(),
        "directory.kind=postgres".to_owned(),
        format!("directory.url=postgres://nobody@{}/nothing", free_port()),
    ];
    let words = sets.iter().flat_map(|set| ["--set", set.as_str()]);
    let mut node = tool.start(&["serve"].into_iter().chain(words).collect::<Vec<_>>());
    node.wait_for("Website");
    let url = format!("rtmp://{rtmp}/live/{}", channel["streamKey"].as_str().unwrap());
    let clip = Tool::clip();
    let _camera = tool.start(&["publish", "--loop", "--quiet", clip.to_str().unwrap(), &url]);
    let (dashboard, alerts) = (document("grafana-dashboard.json"), document("prometheus-alerts.yml"));
    let mut missing: BTreeSet<String> = metrics(&dashboard).union(&metrics(&alerts)).cloned().collect();
    assert!(missing.len() > 30, "the search is broken: {missing:?}");
    // Rates and forecasts come once something has been recorded.
    let mut left = Vec::new();
    until("every metric", || {
        let text = tool.operator_get(http, "/metrics");
        // Alarms of channels have no line of their own as long as there are none: their type is told.
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ").unwrap_or(line).split(['{', ' ']).next());
        let told: BTreeSet<&str> = names.collect();
        missing.retain(|name| !told.contains(name.as_str()));
        let now: Vec<String> = missing.iter().cloned().collect();
        if now != left {
            eprintln!("not told yet: {now:?}");
            left = now;
        }
        missing.is_empty().then_some(())
    });
}

/// What Grafana needs to import it, and that no panel has lost its query.
#[test]
fn the_dashboard_can_be_imported() {
    let dashboard: Value = serde_json::from_str(&document("grafana-dashboard.json")).unwrap();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(36));
    let inputs = &dashboard["__inputs"][0];
    assert_eq!((&inputs["name"], &inputs["pluginId"]), (&"DS_PROMETHEUS".into(), &"prometheus".into()));
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{} twice", panel["id"]);
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${DS_PROMETHEUS}");
        for target in panel["targets"].as_array().unwrap() {
            assert!(!metrics(target["expr"].as_str().unwrap()).is_empty(), "{panel}");
        }
    }
    assert!(panels.len() > 20);
}
