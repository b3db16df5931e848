//! The program answers as its OpenAPI document says, whatever is asked: `schemathesis` (PyPI) reads the document and makes
//! the requests up.

#![expect(clippy::disallowed_methods, reason = "a test works on real files")]

use std::process::Command;

use turepe_e2e::{Clip, Node, NodeOptions, Publisher, now_us, recorded, tool};

/// Requests for each operation, beside those that try each limit of the document once.
const EXAMPLES: &str = "25";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method";

/// Once with names that nobody has, once with a real court, its footage and a camera that publishes.
#[test]
fn every_answer_is_as_the_document_says() {
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let begin_us = now_us();
    let mut camera = Publisher::ffmpeg(Clip::H264, &node.rtmp_url(&court.key));
    recorded(&node, &court, begin_us, 2);
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain.toml");
    std::fs::write(&plain, "").expect("a configuration");
    let real = folder.path().join("real.toml");
    let text = format!(
        "[parameters]\n\"path.club\" = \"club\"\n\"path.court\" = \"uno\"\n\"path.channel\" = \"{}\"\n",
        court.channel
    );
    std::fs::write(&real, text).expect("a configuration");
    for configuration in [&plain, &real] {
        let output = Command::new(tool("schemathesis"))
            .arg("--config-file")
            .arg(configuration)
            .args(["run", &node.url("/openapi.json"), "--phases", "coverage,fuzzing"])
            .args(["--checks", CHECKS, "--max-examples", EXAMPLES, "--no-color"])
            // The same requests each time: a fault is found by whoever makes it, and not by chance.
            .arg("--generation-deterministic")
            // What is live has no end: its first answer is enough.
            .args(["--exclude-path-regex", r"\.flv$|/live/"])
            .current_dir(folder.path())
            .output()
            .expect("schemathesis starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("passed"), "{said}");
    }
    assert!(camera.is_running(), "the camera was not disturbed");
    assert!(!node.log().contains("panicked at"), "{}", node.log());
}
