//! What a simulated power cut takes, and how a simulated disk fails.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::collections::BTreeSet;
use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;

use turepe_world::{
    Clock as _, Disk, DiskFile, Fault, FaultRule, Operation, SimulatedClock, SimulatedDisk, read_whole,
    write_whole,
};

fn disk() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    disk.create_dir_all(Path::new("/spool")).unwrap();
    disk.create_dir_all(Path::new("/store")).unwrap();
    disk
}

fn append(file: &Arc<dyn DiskFile>, bytes: &[u8]) {
    file.append_vectored(&[IoSlice::new(bytes)]).unwrap();
}

/// A file with `bytes` that outlives crashes.
fn durable(disk: &SimulatedDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let path = Path::new(path);
    let file = disk.create_new(path).unwrap();
    append(&file, bytes);
    file.sync_data().unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
    file
}

#[test]
fn unsynced_bytes_are_gone_and_synced_ones_stay() {
    let disk = disk();
    let file = durable(&disk, "/spool/a", b"synced");
    append(&file, b" not synced");
    file.write_all_at(b"X", 0).unwrap();
    disk.crash();
    assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), b"synced");
    assert!(file.append_vectored(&[IoSlice::new(b"x")]).is_err(), "a handle from before the crash is dead");
}

#[test]
fn a_name_needs_its_directory_synced() {
    let disk = disk();
    let file = disk.create_new(Path::new("/spool/a")).unwrap();
    append(&file, b"bytes");
    file.sync_data().unwrap();
    disk.crash();
    assert!(!disk.exists(Path::new("/spool/a")));
}

#[test]
fn an_unsynced_removal_comes_back() {
    let disk = disk();
    durable(&disk, "/spool/a", b"bytes");
    disk.remove(Path::new("/spool/a")).unwrap();
    disk.crash();
    assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), b"bytes");
    disk.remove(Path::new("/spool/a")).unwrap();
    disk.sync_dir(Path::new("/spool")).unwrap();
    disk.crash();
    assert!(!disk.exists(Path::new("/spool/a")));
}

#[test]
fn a_rename_across_directories_depends_on_the_order_of_syncs() {
    let (old, new) = (Path::new("/spool/a"), Path::new("/store/a"));
    let outcome = |syncs: &[&str]| {
        let disk = disk();
        durable(&disk, "/spool/a", b"match");
        disk.rename(old, new).unwrap();
        for directory in syncs {
            disk.sync_dir(Path::new(directory)).unwrap();
        }
        disk.crash();
        (disk.bytes(old).is_some(), disk.bytes(new).is_some())
    };
    assert_eq!(outcome(&[]), (true, false));
    assert_eq!(outcome(&["/store"]), (true, true));
    assert_eq!(outcome(&["/store", "/spool"]), (false, true));
    assert_eq!(outcome(&["/spool"]), (false, false), "this is why the new directory is synced first");
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one_at_every_step() {
    let path = Path::new("/store/cover.jpg");
    let mut seen = BTreeSet::new();
    for step in 0.. {
        let disk = disk();
        write_whole(&disk, path, b"old").unwrap();
        let begun = disk.operations();
        disk.cut_power_at(begun + step);
        let done = write_whole(&disk, path, b"new").is_ok();
        disk.crash_torn(step);
        let bytes = read_whole(&disk, path, 10).unwrap();
        assert!(bytes == b"old" || bytes == b"new", "after {step} steps: {bytes:?}");
        if done {
            assert_eq!(bytes, b"new");
            break;
        }
        seen.insert(bytes);
        write_whole(&disk, path, b"newer").unwrap();
    }
    assert!(seen.contains(b"old".as_slice()));
}

#[test]
fn a_torn_crash_is_repeatable_and_never_touches_what_was_synced() {
    let run = |seed| {
        let disk = disk();
        let file = durable(&disk, "/spool/a", b"synced");
        for piece in [b"one", b"two", b"six"] {
            append(&file, piece);
        }
        disk.crash_torn(seed);
        disk.bytes(Path::new("/spool/a")).unwrap()
    };
    let outcomes: BTreeSet<Vec<u8>> = (0..100).map(run).collect();
    assert!(outcomes.iter().all(|bytes| bytes.starts_with(b"synced")));
    assert!(outcomes.contains(b"synced".as_slice()), "all lost");
    assert!(outcomes.contains(b"syncedonetwosix".as_slice()), "all kept");
    assert!(outcomes.contains(b"synced\0\0\0two".as_slice()), "out of order");
    assert!(outcomes.len() > 10, "torn in many ways: {outcomes:?}");
    assert_eq!(run(7), run(7));
}

#[test]
fn a_full_disk_tears_the_write_and_heals() {
    let disk = disk();
    let file = disk.create_new(Path::new("/spool/a")).unwrap();
    append(&file, b"12345");
    disk.set_capacity(Some(8));
    assert_eq!(disk.free_bytes(Path::new("/spool")).unwrap(), 3);
    let error = file.append_vectored(&[IoSlice::new(b"6789")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 5, "nothing counts as appended");
    assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), b"12345678", "but torn bytes may be there");
    disk.set_capacity(None);
    append(&file, b"abcd");
    assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), b"12345abcd");
}

#[test]
fn rules_strike_by_operation_path_and_count() {
    let disk = disk();
    disk.inject(FaultRule::on(Operation::Create, Fault::Denied).path("/store"));
    disk.inject(FaultRule::on(Operation::Append, Fault::TornWrite(2)).after(1).times(1));
    disk.inject(FaultRule::on(Operation::Read, Fault::ShortRead(1)));
    let error = disk.create_new(Path::new("/store/a")).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let file = disk.create_new(Path::new("/spool/a")).unwrap();
    append(&file, b"abc");
    assert_eq!(file.append_vectored(&[IoSlice::new(b"def")]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), b"abcde");
    append(&file, b"xyz");
    assert_eq!(file.read_at(&mut [0; 9], 0).unwrap(), 1);
    assert_eq!(read_whole(&disk, Path::new("/spool/a"), 9).unwrap(), b"abcxyz", "short reads are read on");
    disk.heal();
    assert_eq!(file.read_at(&mut [0; 9], 0).unwrap(), 6);
    disk.create_new(Path::new("/store/a")).unwrap();
}

/// As Linux does: the pages are marked clean, so a second, successful sync promises nothing about them.
#[test]
fn a_failed_sync_loses_bytes_for_good() {
    let disk = disk();
    let file = durable(&disk, "/spool/a", b"kept ");
    append(&file, b"lost ");
    disk.inject(FaultRule::on(Operation::SyncData, Fault::Io).times(1));
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), b"kept lost ");
    disk.crash();
    assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), b"kept ");
}

#[test]
fn a_synced_volume_keeps_bytes_and_names() {
    let disk = disk();
    let volume = disk.volume(Path::new("/spool")).unwrap();
    let old = durable(&disk, "/spool/old", b"old");
    append(&old, b" more");
    append(&disk.create_new(Path::new("/spool/new")).unwrap(), b"new");
    disk.rename(Path::new("/spool/old"), Path::new("/store/old")).unwrap();
    volume.sync_all().unwrap();
    append(&old, b" too late");
    disk.crash();
    assert_eq!(disk.files(), [Path::new("/spool/new"), Path::new("/store/old")]);
    assert_eq!(disk.bytes(Path::new("/spool/new")).unwrap(), b"new");
    assert_eq!(disk.bytes(Path::new("/store/old")).unwrap(), b"old more");
    assert!(volume.sync_all().is_err(), "a volume from before the crash is dead");
}

/// `errseq_t`: the volume says that something is lost, the file that was hit says that it is this one, each once.
#[test]
fn a_failed_sync_of_a_volume_is_told_by_the_file_that_was_hit() {
    let disk = disk();
    let volume = disk.volume(Path::new("/spool")).unwrap();
    let hit = durable(&disk, "/spool/hit", b"kept ");
    let spared = durable(&disk, "/spool/spared", b"kept ");
    append(&hit, b"lost");
    append(&spared, b"synced");
    disk.inject(FaultRule::on(Operation::SyncData, Fault::Io).path("hit").times(1));
    assert_eq!(volume.sync_all().unwrap_err().raw_os_error(), Some(5));
    spared.sync_data().unwrap();
    hit.sync_data().unwrap_err();
    hit.sync_data().unwrap();
    volume.sync_all().unwrap();
    disk.crash();
    assert_eq!(disk.bytes(Path::new("/spool/hit")).unwrap(), b"kept ");
    assert_eq!(disk.bytes(Path::new("/spool/spared")).unwrap(), b"kept synced");
}

#[test]
fn a_volume_whose_journal_fails_leaves_the_files_to_be_asked() {
    let disk = disk();
    let volume = disk.volume(Path::new("/spool")).unwrap();
    let file = durable(&disk, "/spool/a", b"one");
    append(&file, b" two");
    disk.inject(FaultRule::on(Operation::SyncAll, Fault::Io).times(1));
    volume.sync_all().unwrap_err();
    file.sync_data().unwrap();
    disk.crash();
    assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), b"one two");
}

#[test]
fn a_slow_disk_takes_time_on_the_simulated_clock() {
    let disk = disk();
    let clock = Arc::new(SimulatedClock::new(0));
    disk.set_clock(Arc::clone(&clock));
    let file = disk.create_new(Path::new("/spool/a")).unwrap();
    disk.inject(FaultRule::on(Operation::Append, Fault::Slow(250_000)).times(2));
    for _ in 0..3 {
        append(&file, b"abc");
    }
    assert_eq!(clock.now_us(), 500_000);
    assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), b"abcabcabc");
}

#[test]
fn a_held_operation_goes_on_when_the_disk_is_healed_and_dies_with_a_crash() {
    for is_crash in [false, true] {
        let disk = disk();
        let file = durable(&disk, "/spool/a", b"one");
        disk.inject(FaultRule::on(Operation::Append, Fault::Held));
        let held = std::thread::spawn(move || file.append_vectored(&[IoSlice::new(b" two")]));
        while disk.held() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(read_whole(&disk, Path::new("/spool/a"), 9).unwrap(), b"one", "others go on meanwhile");
        if is_crash {
            disk.crash();
        } else {
            disk.heal();
        }
        assert_eq!(held.join().unwrap().is_err(), is_crash);
        let bytes: &[u8] = if is_crash { b"one" } else { b"one two" };
        assert_eq!(disk.bytes(Path::new("/spool/a")).unwrap(), bytes);
    }
}

#[test]
fn without_power_nothing_works_until_the_restart() {
    let disk = disk();
    let file = durable(&disk, "/spool/a", b"bytes");
    disk.cut_power_at(disk.operations());
    assert!(file.sync_data().is_err());
    assert!(disk.open(Path::new("/spool/a")).is_err());
    assert!(disk.list(Path::new("/spool")).is_err());
    disk.crash();
    assert_eq!(read_whole(&disk, Path::new("/spool/a"), 9).unwrap(), b"bytes");
}
