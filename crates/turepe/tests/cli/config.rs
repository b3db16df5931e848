//! `turepe config`, and what is wrong with a configuration.

use crate::tool::Tool;

#[test]
fn the_documented_default_is_printed_as_it_is_shipped() {
    let shipped = include_str!("../../turepe.default.toml");
    assert_eq!(Tool::new().text(&["config", "--default"]).trim_end(), shipped.trim_end());
}

#[test]
fn file_environment_and_flags_stand_in_the_documented_order() {
    let tool = Tool::new();
    std::fs::write(tool.folder().join("turepe.toml"), "[archive]\nsegment = \"10m\"\nsync = \"2s\"\n")
        .unwrap();
    std::fs::write(tool.folder().join(".env"), "TUREPE_ARCHIVE_SYNC=3s\nTUREPE_RTMP_LISTEN=127.0.0.1:7\n")
        .unwrap();
    let output = tool
        .command(&["config", "--json", "--data", "elsewhere"])
        .env("TUREPE_RTMP_LISTEN", "127.0.0.1:8")
        .output()
        .unwrap();
    let config: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(config["archive"]["segment"], "10m");
    assert_eq!(config["archive"]["sync"], "3s");
    assert_eq!(config["rtmp"]["listen"], "127.0.0.1:8");
    assert_eq!(config["node"]["data"], "elsewhere");
}

#[test]
fn mistakes_end_the_program_with_key_and_reason() {
    let tool = Tool::new();
    std::fs::write(tool.folder().join("a.toml"), "[http]\nlisten_on = \"1\"\n").unwrap();
    let said = tool.fails(2, &["serve", "--config", "a.toml"]);
    assert!(said.contains("unknown key `http.listen_on` in a.toml"), "{said}");
    let said = tool.fails(2, &["serve", "--set", "archive.segment=7m"]);
    assert!(said.contains("`archive.segment`") && said.contains("does not divide an hour"), "{said}");
    let said = tool.fails(2, &["serve", "--set", "http.operations_token=topsecret"]);
    assert!(said.contains("operators.token in the data folder") && !said.contains("topsecret"), "{said}");
    let said = tool.fails(2, &["serve", "--config", "missing.toml"]);
    assert!(said.contains("missing.toml"), "{said}");
    let output = tool.command(&["config"]).env("TUREPE_HTTP_PORT", "80").output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn the_api_document_is_printed() {
    let document = Tool::new().json(&["openapi"]);
    assert!(document["paths"]["/api/clubs/{club}"].is_object());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let tool = Tool::new();
    let mut child = tool.command(&["openapi"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
