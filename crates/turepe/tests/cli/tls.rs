//! `[tls]`: what is said of a certificate that cannot serve.

use std::path::PathBuf;

use serde_json::Value;
use testing::certificates::{Authority, Issued};

use crate::tool::{Tool, free_port};

fn write(tool: &Tool, name: &str, text: &str) -> PathBuf {
    let path = tool.folder().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The settings of a pair of files, and of ports that are free.
fn settings(tool: &Tool, certificate: &str, key: &str) -> Vec<String> {
    let (certificate, key) = (write(tool, "full.pem", certificate), write(tool, "key.pem", key));
    let pairs = [
        ("tls.certificate", certificate.display().to_string()),
        ("tls.key", key.display().to_string()),
        ("http.listen", free_port().to_string()),
        ("http.tls_listen", free_port().to_string()),
        ("rtmp.listen", free_port().to_string()),
        ("rtmp.tls_listen", free_port().to_string()),
        ("retention.min_free", "0".to_owned()),
    ];
    pairs.into_iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]).collect()
}

fn with<'a>(command: &'a str, settings: &'a [String]) -> Vec<&'a str> {
    std::iter::once(command).chain(settings.iter().map(String::as_str)).collect()
}

#[test]
fn a_pair_that_cannot_serve_keeps_the_node_from_starting_and_is_named() {
    let tool = Tool::new();
    let authority = Authority::new();
    let Issued { certificate, key } = authority.issue();
    let other = authority.issue();
    for (certificate, key, setting, says) in [
        ("", key.as_str(), "`tls.certificate`", "no certificate"),
        (&certificate, "", "`tls.key`", "no private key"),
        (&certificate, &other.key, "`tls.key`", "is not the key of"),
    ] {
        let said = tool.fails(2, &with("serve", &settings(&tool, certificate, key)));
        assert!(said.contains(setting) && said.contains(says), "{said}");
        let report =
            tool.run(&with("doctor", &[settings(&tool, certificate, key), vec!["--json".into()]].concat()));
        assert_eq!(report.status.code(), Some(6));
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["check"] == "tls").unwrap();
        assert_eq!(found["verdict"], "bad");
        assert!(found["says"].as_str().unwrap().contains(says), "{found}");
    }
    // Half of it.
    let said = tool.fails(2, &["serve", "--set", "http.tls_listen=127.0.0.1:1"]);
    assert!(said.contains("`http.tls_listen` from flag") && said.contains("tls.certificate"), "{said}");
}

#[test]
fn a_certificate_that_has_expired_keeps_nothing_else_from_working() {
    let tool = Tool::new();
    let Issued { certificate, key } = Authority::new().issue_until(2024);
    let settings = settings(&tool, &certificate, &key);
    let mut node = tool.start(&with("serve", &settings));
    node.wait_for("expired on 2024-01-01");
    node.wait_for("turepe admin channel add");
    let report = tool.run(&with("doctor", &[settings, vec!["--json".into()]].concat()));
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == "tls").unwrap();
    assert_eq!(found["verdict"], "bad");
    assert!(node.interrupt().0.success());
}

#[test]
fn a_node_says_where_it_speaks_tls() {
    let tool = Tool::new();
    let Issued { certificate, key } = Authority::new().issue();
    let settings = settings(&tool, &certificate, &key);
    let port = |key: &str| {
        let of = settings.iter().find_map(|word| word.strip_prefix(&format!("{key}=127.0.0.1:")));
        of.unwrap().to_owned()
    };
    let mut node = tool.start(&with("serve", &settings));
    node.wait_for(&format!("https://127.0.0.1:{}/", port("http.tls_listen")));
    // Only this machine reaches the plain port.
    node.wait_for(&format!("rtmps://localhost:{}/live", port("rtmp.tls_listen")));
    node.wait_for("turepe admin channel add");
    assert!(node.interrupt().0.success());
}
