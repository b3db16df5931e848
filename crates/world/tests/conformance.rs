//! One suite, both disks: what the trait promises, each must keep.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use turepe_world::{Disk, DiskFile, SimulatedDisk, SystemDisk, read_exact_at, read_whole, write_whole};

/// Runs a test on a real folder and on a simulated disk.
fn on_both(test: impl Fn(&dyn Disk, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    test(&SystemDisk, folder.path());
    let disk = SimulatedDisk::new();
    let root = PathBuf::from("/data");
    disk.create_dir_all(&root).unwrap();
    test(&disk, &root);
}

fn append(file: &Arc<dyn DiskFile>, bytes: &[u8]) {
    file.append_vectored(&[IoSlice::new(bytes)]).unwrap();
}

fn whole(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    read_whole(disk, path, 1 << 20).unwrap()
}

#[test]
fn a_file_grows_is_patched_and_read() {
    on_both(|disk, root| {
        let path = root.join("segment.mp4.part");
        let file = disk.create_new(&path).unwrap();
        assert!(file.is_empty().unwrap());
        file.append_vectored(&[IoSlice::new(b"ftyp"), IoSlice::new(b""), IoSlice::new(b"free")]).unwrap();
        append(&file, b"moof");
        file.write_all_at(b"mdat", 4).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.len().unwrap(), 12);
        assert_eq!(whole(disk, &path), b"ftypmdatmoof");

        let reader = disk.open(&path).unwrap();
        append(&file, b"more");
        assert_eq!(reader.len().unwrap(), 16);
        let mut buf = [0; 8];
        read_exact_at(reader.as_ref(), &mut buf, 8).unwrap();
        assert_eq!(&buf, b"moofmore");
        assert_eq!(reader.read_at(&mut buf, 14).unwrap(), 2);
        assert_eq!(reader.read_at(&mut buf, 16).unwrap(), 0);
        assert_eq!(reader.read_at(&mut buf, 1 << 40).unwrap(), 0);
        assert_eq!(
            read_exact_at(reader.as_ref(), &mut buf, 12).unwrap_err().kind(),
            ErrorKind::UnexpectedEof
        );
    });
}

#[test]
fn appending_goes_on_where_the_file_was_cut_off() {
    on_both(|disk, root| {
        let path = root.join("torn");
        append(&disk.create_new(&path).unwrap(), b"whole fragment, torn");
        let file = disk.open_rw(&path).unwrap();
        assert_eq!(file.len().unwrap(), 20);
        file.set_len(14).unwrap();
        append(&file, b"!");
        assert_eq!(whole(disk, &path), b"whole fragment!");
        file.set_len(17).unwrap();
        append(&file, b"x");
        assert_eq!(whole(disk, &path), b"whole fragment!\0\0x");
    });
}

#[test]
fn a_write_past_the_end_moves_the_end() {
    on_both(|disk, root| {
        let path = root.join("sparse");
        let file = disk.create_new(&path).unwrap();
        file.write_all_at(b"far", 3).unwrap();
        append(&file, b"!");
        assert_eq!(whole(disk, &path), b"\0\0\0far!");
    });
}

#[test]
fn a_reader_cannot_write() {
    on_both(|disk, root| {
        let path = root.join("sealed");
        append(&disk.create_new(&path).unwrap(), b"sealed");
        let reader = disk.open(&path).unwrap();
        assert!(reader.append_vectored(&[IoSlice::new(b"x")]).is_err());
        assert!(reader.write_all_at(b"x", 0).is_err());
        assert!(reader.set_len(0).is_err());
        assert_eq!(whole(disk, &path), b"sealed");
    });
}

#[test]
fn names_are_taken_changed_listed_and_removed() {
    on_both(|disk, root| {
        let day = root.join("store/club/2026/03/29");
        disk.create_dir_all(&day).unwrap();
        disk.create_dir_all(&day).unwrap();
        assert!(disk.exists(&day));

        let part = root.join("one.part");
        append(&disk.create_new(&part).unwrap(), b"one");
        assert_eq!(disk.create_new(&part).map(|_| ()).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let sealed = day.join("one.mp4");
        let open_before = disk.open(&part).unwrap();
        disk.rename(&part, &sealed).unwrap();
        disk.sync_dir(&day).unwrap();
        disk.sync_dir(root).unwrap();
        assert!(!disk.exists(&part));
        assert_eq!(whole(disk, &sealed), b"one");

        let entries = disk.list(&day).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].name.as_str(), entries[0].is_dir, entries[0].len), ("one.mp4", false, 3));
        let entries = disk.list(root).unwrap();
        assert_eq!((entries[0].name.as_str(), entries[0].is_dir, entries[0].len), ("store", true, 0));

        append(&disk.create_new(&part).unwrap(), b"two");
        disk.rename(&part, &sealed).unwrap();
        assert_eq!(whole(disk, &sealed), b"two", "a rename replaces");
        assert_eq!(disk.remove_dir(&day).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
        disk.remove(&sealed).unwrap();
        assert_eq!(disk.remove(&sealed).unwrap_err().kind(), ErrorKind::NotFound);
        disk.remove_dir(&day).unwrap();
        assert!(!disk.exists(&day));

        let mut buf = [0; 3];
        read_exact_at(open_before.as_ref(), &mut buf, 0).unwrap();
        assert_eq!(&buf, b"one", "an open file outlives its name");
    });
}

#[test]
fn what_is_not_there_says_so() {
    on_both(|disk, root| {
        let missing = root.join("no/such/file");
        assert_eq!(disk.open(&missing).map(|_| ()).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.open_rw(&missing).map(|_| ()).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.create_new(&missing).map(|_| ()).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.rename(&missing, &root.join("x")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.list(&missing).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.sync_dir(&missing).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!disk.exists(&missing));
        assert_eq!(disk.open(root).map(|_| ()).unwrap_err().kind(), ErrorKind::IsADirectory);
        append(&disk.create_new(&root.join("file")).unwrap(), b"");
        assert!(disk.create_dir_all(&root.join("file")).is_err());
        assert!(disk.create_dir_all(&root.join("file/below")).is_err());
        assert!(disk.free_bytes(root).unwrap() > 0);
    });
}

#[test]
fn a_small_file_is_replaced_whole() {
    on_both(|disk, root| {
        let path = root.join("cover.jpg");
        write_whole(disk, &path, b"first").unwrap();
        write_whole(disk, &path, b"second").unwrap();
        assert_eq!(whole(disk, &path), b"second");
        assert_eq!(disk.list(root).unwrap().len(), 1, "nothing is left beside it");
        assert_eq!(read_whole(disk, &path, 5).unwrap_err().kind(), ErrorKind::FileTooLarge);
    });
}

#[test]
fn appends_of_several_threads_do_not_mix() {
    on_both(|disk, root| {
        let path = root.join("shared");
        let file = disk.create_new(&path).unwrap();
        std::thread::scope(|scope| {
            for letter in b'a'..b'e' {
                let file = &file;
                scope.spawn(move || {
                    for _ in 0..50 {
                        file.append_vectored(&[IoSlice::new(&[letter; 3]), IoSlice::new(&[letter; 5])])
                            .unwrap();
                    }
                });
            }
        });
        let bytes = whole(disk, &path);
        assert_eq!(bytes.len(), 4 * 50 * 8);
        assert!(bytes.chunks(8).all(|record| record.iter().all(|byte| *byte == record[0])));
    });
}

#[test]
fn a_whole_volume_is_synced_at_once() {
    on_both(|disk, root| {
        let volume = disk.volume(root).unwrap();
        let file = disk.create_new(&root.join("one")).unwrap();
        append(&file, b"one");
        volume.sync_all().unwrap();
        assert!(volume.holds(&root.join("one")).unwrap());
        assert!(volume.holds(root).unwrap());
        assert_eq!(volume.holds(&root.join("no")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.volume(&root.join("no")).map(|_| ()).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(whole(disk, &root.join("one")), b"one");
    });
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Append(u8, Vec<u8>),
    Patch(u8, u8, Vec<u8>),
    Cut(u8, u8),
    Rename(u8, u8),
    Remove(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4_u8;
    let bytes = proptest::collection::vec(any::<u8>(), 0..9);
    prop_oneof![
        name.clone().prop_map(Step::Create),
        (name.clone(), bytes.clone()).prop_map(|(name, bytes)| Step::Append(name, bytes)),
        (name.clone(), 0..20_u8, bytes).prop_map(|(name, at, bytes)| Step::Patch(name, at, bytes)),
        (name.clone(), 0..20_u8).prop_map(|(name, len)| Step::Cut(name, len)),
        (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        name.prop_map(Step::Remove),
    ]
}

/// What a step did, as far as one can see.
fn take(disk: &dyn Disk, root: &Path, step: &Step) -> Result<u64, ErrorKind> {
    let path = |name: &u8| root.join(name.to_string());
    let result = match step {
        Step::Create(name) => disk.create_new(&path(name)).and_then(|file| file.len()),
        Step::Append(name, bytes) => disk.open_rw(&path(name)).and_then(|file| {
            file.append_vectored(&[IoSlice::new(bytes)])?;
            file.len()
        }),
        Step::Patch(name, at, bytes) => disk.open_rw(&path(name)).and_then(|file| {
            // An empty write past the end moves nothing on any disk; it is not worth a rule.
            if !bytes.is_empty() {
                file.write_all_at(bytes, u64::from(*at))?;
            }
            file.len()
        }),
        Step::Cut(name, len) => disk.open_rw(&path(name)).and_then(|file| {
            file.set_len(u64::from(*len))?;
            file.len()
        }),
        Step::Rename(from, to) => disk.rename(&path(from), &path(to)).map(|()| 0),
        Step::Remove(name) => disk.remove(&path(name)).map(|()| 0),
    };
    result.map_err(|error| error.kind())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The simulated disk does what the real one does, step by step.
    #[test]
    fn both_disks_do_the_same(steps in proptest::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let simulated = SimulatedDisk::new();
        let root = Path::new("/data");
        simulated.create_dir_all(root).unwrap();
        for step in &steps {
            prop_assert_eq!(take(&SystemDisk, folder.path(), step), take(&simulated, root, step), "{:?}", step);
        }
        let entries = SystemDisk.list(folder.path()).unwrap();
        prop_assert_eq!(&entries, &simulated.list(root).unwrap());
        for entry in entries {
            let real = whole(&SystemDisk, &folder.path().join(&entry.name));
            prop_assert_eq!(real, whole(&simulated, &root.join(&entry.name)));
        }
    }
}
