//! Who a node is: a random id in its data folder, bound to the machine and to the folder.
//!
//! Rows of the catalog name the node that has their bytes, by this id. So two folders never share one: a folder that was
//! copied, to another machine or beside the original, goes by a new id from its first start on and remembers the old one.
//! The folder's lock (`data_folder`) keeps two processes from being the same node; the kernel lets go of it with the process,
//! so a restart waits for nothing.
//!
//! Belongs here: the file, and whether it was copied. Not here: what becomes of the rows (`archive`'s `claim`).

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, fsync, open, openat, renameat};
use rustix::io::{Errno, read, write};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::config::Config;
use crate::failure::Failure;

/// In the data folder.
pub(crate) const FILE: &str = "node.json";

/// What is being written.
const NEW_FILE: &str = "node.json.new";

/// What could not be read, for people.
const DAMAGED_FILE: &str = "node.json.damaged";

/// Longest file that is one of ours, in bytes.
const MAX_FILE_BYTES: usize = 64 * 1024;

/// Ids of this folder from before it was copied that are remembered.
const MAX_FORMER: usize = 16;

/// Longest name of a host, in characters.
const MAX_HOST_CHARS: usize = 64;

/// A node's id, and those that its folder had before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    /// The node.
    pub(crate) id: Uuid,
    /// What the folder was before it was copied or moved, the last first.
    pub(crate) former: Vec<Uuid>,
}

/// Where a folder is.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    /// A hash of the machine's id; `None` where it has none that is its own, as in a container.
    machine: Option<String>,
    /// The inodes of the folder and of the file: a copy has others. The root of a file system has the same everywhere, which
    /// is why the file's counts as well.
    inodes: (u64, u64),
}

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Record {
    identity: Identity,
    place: Place,
}

/// What is to be done about what the file says.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Decision {
    /// It is this folder's.
    Keep(Identity),
    /// There is none: a new one.
    Fresh,
    /// It came with a copy: a new one, which remembers it.
    Copied(Identity, &'static str),
}

/// A pure decision. A machine that is not known on either side tells nothing.
fn decide(record: Option<Record>, here: &Place) -> Decision {
    let Some(Record { identity, place }) = record else { return Decision::Fresh };
    match (&place.machine, &here.machine) {
        (Some(then), Some(now)) if then != now => Decision::Copied(identity, "it comes from another machine"),
        _ if place.inodes != here.inodes => Decision::Copied(identity, "it is a copy of another folder"),
        _ => Decision::Keep(identity),
    }
}

impl Identity {
    /// The identity of the data folder, which is there; made where there is none, renewed where the folder was copied.
    pub(crate) fn of(folder: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::context(format_args!("cannot read or write {}", folder.join(FILE).display()), error)
        };
        let root = open_folder(folder).map_err(failed)?;
        // Most of the time nothing is to be written, and a folder that cannot be written to is as good.
        if let Found::Record(record, here) = look(&root).map_err(failed)?
            && let Decision::Keep(identity) = decide(Some(record), &here)
        {
            return Ok(identity);
        }
        // One process at a time; the others find it done.
        flock(&root, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        let decision = match look(&root).map_err(failed)? {
            Found::Record(record, here) => decide(Some(record), &here),
            Found::Nothing => Decision::Fresh,
            Found::Damaged => {
                tracing::error!(
                    file = %folder.join(DAMAGED_FILE).display(),
                    "the node's identity cannot be read and is set aside; this node goes by a new one: `turepe admin node list` \
                     shows the old one, `turepe admin node adopt` takes over what it held"
                );
                renameat(&root, FILE, &root, DAMAGED_FILE).map_err(|error| failed(error.into()))?;
                Decision::Fresh
            }
        };
        let identity = match decision {
            Decision::Keep(identity) => return Ok(identity),
            Decision::Fresh => Self { id: Uuid::now_v7(), former: Vec::new() },
            Decision::Copied(old, why) => old.renewed(folder, why),
        };
        put(&root, &identity).map_err(failed)?;
        Ok(identity)
    }

    /// A new id that remembers this one.
    fn renewed(self, folder: &Path, why: &'static str) -> Self {
        tracing::warn!(folder = %folder.display(), was = %self.id, "the data folder goes by a new id from now on: {why}");
        let former = [self.id].into_iter().chain(self.former).take(MAX_FORMER).collect();
        Self { id: Uuid::now_v7(), former }
    }

    /// As [`Identity::of`], for as long as the id is held: no other process of this machine has it meanwhile. Who finds it
    /// held has a folder that was copied in a way that leaves no trace, as a snapshot of its file system, and gets a new
    /// one.
    pub(crate) fn hold(folder: &Path) -> Result<(Self, Held), Failure> {
        let failed = |error: io::Error| {
            Failure::context(format_args!("cannot hold the identity of {}", folder.display()), error)
        };
        let mut identity = Self::of(folder)?;
        loop {
            match Held::take(identity.id) {
                Ok(held) => return Ok((identity, held)),
                Err(Errno::ADDRINUSE) => {
                    identity = identity.renewed(folder, "a node of another folder runs under the old one");
                    let root = open_folder(folder).map_err(failed)?;
                    put(&root, &identity).map_err(failed)?;
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    /// What the folder's file says, whatever became of the folder. Makes nothing.
    pub(crate) fn known(folder: &Path) -> Option<Self> {
        match look(&open_folder(folder).ok()?).ok()? {
            Found::Record(record, _) => Some(record.identity),
            Found::Nothing | Found::Damaged => None,
        }
    }

    /// What the folder's next start will make of its identity, without making anything: why it will be a new one, if it
    /// will.
    pub(crate) fn would_renew(folder: &Path) -> Option<&'static str> {
        let root = open_folder(folder).ok()?;
        match look(&root).ok()? {
            Found::Record(record, here) => match decide(Some(record), &here) {
                Decision::Copied(_, why) => Some(why),
                Decision::Keep(_) | Decision::Fresh => None,
            },
            Found::Damaged => Some("its node.json cannot be read"),
            Found::Nothing => None,
        }
    }
}

/// What the node is called: as the settings say, else as its host.
pub(crate) fn name(config: &Config) -> String {
    let host = || {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_HOST_CHARS).collect();
        if name.is_empty() { "unnamed".to_owned() } else { name }
    };
    config.node.name.clone().unwrap_or_else(host)
}

/// Whether the catalog lies in the data folder: then it goes where the folder goes, and nobody who was left behind has it.
pub(crate) fn is_catalog_private(config: &Config) -> bool {
    if config.database.options.url.starts_with("sqlite::memory:") {
        return true;
    }
    let Some(path) = sqlite_file(config) else { return false };
    let (Ok(path), Ok(folder)) = (path.canonicalize(), config.node.data.canonicalize()) else { return false };
    path.starts_with(folder)
}

/// The file of an SQLite catalog; `None` for others, and where its name is encoded.
pub(crate) fn sqlite_file(config: &Config) -> Option<PathBuf> {
    let path = config.database.options.url.strip_prefix("sqlite:")?;
    let path = path.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.starts_with(":memory:") && !path.contains('%')).then(|| PathBuf::from(path))
}

/// An id that is in use on this machine. The kernel lets go of it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Held {
    _name: OwnedFd,
}

impl Held {
    /// Takes a name without a file (unix(7), "abstract"): no copy of a folder takes it along, and nothing is left behind.
    fn take(id: Uuid) -> Result<Self, Errno> {
        let name = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        bind(&name, &SocketAddrUnix::new_abstract_name(format!("turepe-node-{id}").as_bytes())?)?;
        Ok(Self { _name: name })
    }
}

impl Place {
    fn of(root: &OwnedFd, file: &OwnedFd) -> io::Result<Self> {
        Ok(Self { machine: machine(), inodes: (fstat(root)?.st_ino, fstat(file)?.st_ino) })
    }
}

/// A hash of the machine's id, which is not to be told itself (machine-id(5)). In a container it is that of an image.
fn machine() -> Option<String> {
    let is_container = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
    if is_container {
        return None;
    }
    let root = open_folder(Path::new("/etc")).ok()?;
    let (text, _) = read_file(&root, "machine-id").ok()??;
    let text = text.trim_ascii();
    // Unset as long as the machine was never started ("uninitialized").
    let is_set = text.len() == 32 && text.iter().all(u8::is_ascii_hexdigit);
    is_set.then(|| {
        let hash = Sha256::new().chain_update(b"turepe node ").chain_update(text).finalize();
        hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    })
}

fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open(folder, flags, Mode::empty())?)
}

enum Found {
    Nothing,
    Damaged,
    /// What it says, and where it is.
    Record(Record, Place),
}

fn look(root: &OwnedFd) -> io::Result<Found> {
    let Some((bytes, file)) = read_file(root, FILE)? else { return Ok(Found::Nothing) };
    let record = serde_json::from_slice(&bytes).ok().and_then(|value| Record::from_json(&value));
    let here = Place::of(root, &file)?;
    Ok(record.map_or(Found::Damaged, |record| Found::Record(record, here)))
}

fn read_file(root: &OwnedFd, name: &str) -> io::Result<Option<(Vec<u8>, OwnedFd)>> {
    let file = match openat(root, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = vec![0; MAX_FILE_BYTES];
    let mut len = 0;
    while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match read(&file, rest) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(len);
    Ok(Some((bytes, file)))
}

/// The whole file or none of it, durable: rows name the id from now on.
fn put(root: &OwnedFd, identity: &Identity) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = openat(root, NEW_FILE, flags, Mode::from_raw_mode(0o600))?;
    let record = Record { identity: identity.clone(), place: Place::of(root, &file)? };
    let text = format!("{:#}\n", record.to_json());
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match write(&file, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    fsync(&file)?;
    renameat(root, NEW_FILE, root, FILE)?;
    Ok(fsync(root)?)
}

impl Record {
    fn from_json(value: &Value) -> Option<Self> {
        let id = |value: &Value| value.as_str()?.parse::<Uuid>().ok();
        Some(Self {
            identity: Identity {
                id: id(value.get("id")?)?,
                former: value.get("former")?.as_array()?.iter().map(id).collect::<Option<_>>()?,
            },
            place: Place {
                machine: value.get("machine")?.as_str().map(str::to_owned),
                inodes: (value.get("folder")?.as_u64()?, value.get("file")?.as_u64()?),
            },
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.identity.id,
            "machine": self.place.machine,
            "folder": self.place.inodes.0,
            "file": self.place.inodes.1,
            "former": self.identity.former,
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test works on real files")]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_its_original() {
        let old = Identity { id: Uuid::from_u128(7), former: vec![Uuid::from_u128(3)] };
        let at = |machine: Option<&str>, folder| Place {
            machine: machine.map(str::to_owned),
            inodes: (folder, 10 * folder),
        };
        let root = |file| Place { machine: Some("a".to_owned()), inodes: (2, file) };
        let record = |place| Some(Record { identity: old.clone(), place });
        let keep = || Decision::Keep(old.clone());
        let copied = |why| Decision::Copied(old.clone(), why);
        let (elsewhere, beside) = ("it comes from another machine", "it is a copy of another folder");
        let table = [
            ("a first start", None, at(Some("a"), 1), Decision::Fresh),
            ("a restart", record(at(Some("a"), 1)), at(Some("a"), 1), keep()),
            ("another machine", record(at(Some("a"), 1)), at(Some("b"), 1), copied(elsewhere)),
            ("another machine and folder", record(at(Some("a"), 1)), at(Some("b"), 2), copied(elsewhere)),
            ("beside the original", record(at(Some("a"), 1)), at(Some("a"), 2), copied(beside)),
            ("the root of another disk", record(root(12)), root(13), copied(beside)),
            ("a container", record(at(None, 1)), at(None, 1), keep()),
            ("a container's copy", record(at(None, 1)), at(None, 2), copied(beside)),
            ("out of a container", record(at(None, 1)), at(Some("a"), 1), keep()),
            ("into a container", record(at(Some("a"), 1)), at(None, 1), keep()),
        ];
        for (what, record, here, decision) in table {
            assert_eq!(decide(record, &here), decision, "{what}");
        }
    }

    #[test]
    fn a_folder_keeps_its_id_and_a_copy_gets_another_one() {
        let top = tempfile::tempdir().unwrap();
        let (folder, copy) = (top.path().join("data"), top.path().join("copy"));
        std::fs::create_dir(&folder).unwrap();
        let first = Identity::of(&folder).unwrap();
        assert!(first.former.is_empty());
        assert_eq!(Identity::of(&folder).unwrap(), first);
        assert_eq!(Identity::would_renew(&folder), None);

        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(folder.join(FILE), copy.join(FILE)).unwrap();
        assert!(Identity::would_renew(&copy).is_some());
        let second = Identity::of(&copy).unwrap();
        assert_ne!(second.id, first.id);
        assert_eq!(second.former, [first.id]);
        assert_eq!(Identity::of(&copy).unwrap(), second, "once");
        assert_eq!(Identity::of(&folder).unwrap(), first, "the original is what it was");

        // A folder that is renamed is the same one.
        let moved = top.path().join("moved");
        std::fs::rename(&folder, &moved).unwrap();
        assert_eq!(Identity::of(&moved).unwrap(), first);
    }

    #[test]
    fn an_id_that_is_in_use_is_nobody_elses() {
        let (original, clone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, held) = Identity::hold(original.path()).unwrap();
        // A snapshot of a file system has the inodes as well: what is written here tells of its own place.
        put(&open_folder(clone.path()).unwrap(), &first).unwrap();
        assert_eq!(Identity::of(clone.path()).unwrap(), first);
        let (second, _other) = Identity::hold(clone.path()).unwrap();
        assert_ne!(second.id, first.id);
        assert_eq!(second.former, [first.id]);
        assert_eq!(Identity::of(clone.path()).unwrap(), second);
        drop(held);
        assert_eq!(Identity::hold(original.path()).unwrap().0, first, "at once");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_set_aside_and_recording_goes_on() {
        for text in ["", "{", "{\"id\": 7}", "\0\0\0\0"] {
            let folder = tempfile::tempdir().unwrap();
            let first = Identity::of(folder.path()).unwrap();
            std::fs::write(folder.path().join(FILE), text).unwrap();
            assert!(Identity::would_renew(folder.path()).is_some());
            let second = Identity::of(folder.path()).unwrap();
            assert_ne!(second.id, first.id, "{text:?}");
            assert_eq!(std::fs::read_to_string(folder.path().join(DAMAGED_FILE)).unwrap(), text);
        }
    }

    #[test]
    fn of_many_that_start_at_once_all_find_the_same_id() {
        let folder = tempfile::tempdir().unwrap();
        let ids: Vec<Uuid> = std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..16).map(|_| scope.spawn(|| Identity::of(folder.path()).unwrap().id)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}
