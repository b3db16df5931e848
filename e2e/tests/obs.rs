//! OBS without a screen as the publisher. It is large and rarely changes: `cargo xtask obs` installs it and runs this.

#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use turepe_e2e::{Node, NodeOptions, decode_warnings, now_us, probe, save, wait_until};

const PATIENCE: Duration = Duration::from_secs(90);

/// Name of its profile, its scenes and its one scene.
const NAME: &str = "TuRepe";

/// OBS with the display it draws on, ended with all its processes.
struct Obs {
    child: Child,
    log: PathBuf,
}

impl Obs {
    /// Starts it with a profile and scenes of its own, streaming from the first moment.
    fn start(home: &Path, server: &str, key: &str) -> Self {
        let folder = home.join("obs-studio");
        let profile = folder.join("basic/profiles").join(NAME);
        let settings = serde_json::json!({ "server": server, "key": key, "use_auth": false });
        let service = serde_json::json!({ "type": "rtmp_custom", "settings": settings });
        let source = serde_json::json!({
            "id": "color_source_v3", "name": "green", "enabled": true,
            "settings": { "color": 4_278_255_360_u32, "width": 640, "height": 360 },
        });
        let item = serde_json::json!({ "id": 1, "name": "green", "visible": true });
        let scene = serde_json::json!({
            "id": "scene", "name": NAME, "settings": { "id_counter": 1, "items": [item] },
        });
        let scenes = serde_json::json!({
            "name": NAME, "current_scene": NAME, "current_program_scene": NAME,
            "scene_order": [{ "name": NAME }], "sources": [source, scene],
        });
        for (path, text) in [
            (folder.join("global.ini"), "[General]\nFirstRun=true\nEnableAutoUpdates=false\n".to_owned()),
            (
                profile.join("basic.ini"),
                format!(
                    "[General]\nName={NAME}\n[Output]\nMode=Simple\n[SimpleOutput]\nVBitrate=1000\nABitrate=128\n\
                     StreamEncoder=x264\nPreset=ultrafast\n[Video]\nBaseCX=640\nBaseCY=360\nOutputCX=640\nOutputCY=360\n\
                     FPSType=0\nFPSCommon=30\n"
                ),
            ),
            (profile.join("service.json"), service.to_string()),
            (folder.join("basic/scenes").join(format!("{NAME}.json")), scenes.to_string()),
        ] {
            write(&path, &text);
        }
        let log_path = home.join("obs.log");
        let log = std::fs::File::options().create(true).append(true).open(&log_path).expect("a log");
        let child = Command::new("xvfb-run")
            .args(["-a", "obs", "--startstreaming", "--multi", "--minimize-to-tray", "--disable-updater"])
            .args(["--profile", NAME, "--collection", NAME, "--scene", NAME])
            .env("XDG_CONFIG_HOME", home)
            .env("HOME", home)
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("QT_QPA_PLATFORM", "xcb")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log twice"))
            .stderr(log)
            // The display's server and OBS are children of a script: they are ended as one group.
            .process_group(0)
            .spawn()
            .expect("xvfb-run starts");
        Self { child, log: log_path }
    }

    fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.id());
        drop(Command::new("kill").args(["-s", name, "--", &group]).stderr(Stdio::null()).status());
    }
}

impl Drop for Obs {
    fn drop(&mut self) {
        self.signal("TERM");
        std::thread::sleep(Duration::from_secs(1));
        self.signal("KILL");
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("OBS says:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test sets another program up")]
fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

#[test]
fn obs_publishes_and_its_match_is_replayed() {
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 60);
    let court = node.add_court("club", "uno");
    let begin = now_us();
    let home = tempfile::tempdir().expect("a folder");
    let obs = Obs::start(home.path(), &format!("rtmp://{}/live", node.rtmp), &court.key);
    let seconds = || {
        let replay = node.replay(&court, begin, now_us());
        replay["coverage"].as_f64().expect("coverage") * (now_us() - begin) as f64 / 1e6
    };
    wait_until("eight seconds of OBS's stream", PATIENCE, || (seconds() > 8.0).then_some(()));
    drop(obs);
    let replay = node.ended(&court, begin);
    let file = save(&node, replay["downloadUrl"].as_str().expect("downloadUrl"), &home, "match.mp4");
    assert_eq!(decode_warnings(&file, &[]), "");
    let probe = probe(&file);
    println!("OBS's match: {probe:?}");
    assert_eq!((probe.video_codec.as_str(), probe.audio_codec.as_str()), ("h264", "aac"));
    assert!(probe.duration_s > 7.0, "{probe:?}");
}
