//! Files whose names strangers have a say in.
#![expect(clippy::disallowed_methods, reason = "a test works on real files")]

use std::{fs, os::unix::fs::symlink, path::Path};

use turepe_world::{Disk as _, SystemDisk, read_exact_at};

#[test]
fn nothing_leads_out_of_the_folder() {
    let home = tempfile::tempdir().unwrap();
    let (folder, outside) = (home.path().join("dvr"), home.path().join("outside"));
    fs::create_dir_all(folder.join("live")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(folder.join("live/a.flv"), b"footage").unwrap();
    fs::write(outside.join("a.flv"), b"secret").unwrap();
    symlink(&outside, folder.join("way")).unwrap();
    symlink(outside.join("a.flv"), folder.join("live/link.flv")).unwrap();
    symlink(folder.join("live"), folder.join("inside")).unwrap();
    let open = |name: &str| SystemDisk.open_beneath(&folder, Path::new(name));
    let (file, facts) = open("live/a.flv").unwrap();
    let mut bytes = [0; 7];
    read_exact_at(file.as_ref(), &mut bytes, 0).unwrap();
    assert_eq!((&bytes, facts.len), (b"footage", 7));
    assert!(facts.modified_us > 1_600_000_000_000_000 && facts.number > 0, "{facts:?}");
    // The folder itself may be reached by a link: whoever configured it said so.
    symlink(&folder, home.path().join("named")).unwrap();
    assert!(SystemDisk.open_beneath(&home.path().join("named"), Path::new("live/a.flv")).is_ok());
    for name in [
        "",
        ".",
        "live",
        "../outside/a.flv",
        "live/../../outside/a.flv",
        "way/a.flv",
        "live/link.flv",
        "inside/a.flv",
        "/etc/passwd",
        "live/none.flv",
    ] {
        assert!(open(name).is_err(), "{name}");
    }
}
