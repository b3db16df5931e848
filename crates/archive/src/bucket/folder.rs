//! A bucket in a folder: one file an object, below the folder by its name.
//!
//! Beside the objects stand two hidden folders: `.uploads/{id}/` holds an upload's parts, and `.etags/{name}` what a file
//! system does not keep of an object. An object that came here by another way, as the local store's by renaming, has
//! no such record: its ETag then says its length alone, and its time is not known.
//!
//! What is stored is written beside, synced and renamed, and the folders are synced: a power cut leaves the old object,
//! the new one, or none where there was none, never half of one.

use std::{
    io::{self, IoSlice},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use world::{Clock, Disk, DiskFile, read_exact_at, read_whole, write_whole};

use super::{
    BoxFuture, Bucket, BucketError, ObjectMeta, PendingUpload, UploadedPart, check_name, md5_etag,
    multipart_etag, parts,
};
use crate::{
    limits::{MAX_FOLDER_RECORD_BYTES, MIN_PART_BYTES, READ_BYTES},
    name::new_id,
};

/// Folder of pending uploads.
const UPLOADS: &str = ".uploads";

/// Folder of what is known of objects.
const ETAGS: &str = ".etags";

/// In an upload's folder: when it was begun, and the object's name.
const ABOUT: &str = "about";

/// Ending of a file that the local store is still copying.
const INCOMING: &str = ".incoming";

/// Each part's file ends with its ETag.
const ETAG_BYTES: u64 = 32;

/// Objects as files below one folder. Clones are the same bucket.
#[derive(Clone)]
pub struct FolderBucket {
    folder: Arc<Folder>,
}

struct Folder {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    clock: Arc<dyn Clock>,
    min_part_bytes: u64,
    /// Tells files apart that are written beside at the same time.
    written: AtomicU64,
    /// Held while names change, so that no folder is removed for being empty while a file is on its way into it.
    naming: Mutex<()>,
}

impl FolderBucket {
    /// A bucket below `root`, which is made when it is first needed, with the least size of a part that S3 has.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let folder = Folder {
            disk,
            root,
            clock,
            min_part_bytes: MIN_PART_BYTES,
            written: AtomicU64::new(0),
            naming: Mutex::new(()),
        };
        Self { folder: Arc::new(folder) }
    }

    /// A bucket of its own on the same folder with another least size of all parts but the last.
    #[must_use]
    pub fn with_min_part_bytes(self, min_part_bytes: u64) -> Self {
        let Folder { disk, root, clock, .. } = self.folder.as_ref();
        let folder = Folder {
            disk: disk.clone(),
            root: root.clone(),
            clock: clock.clone(),
            min_part_bytes,
            written: AtomicU64::new(0),
            naming: Mutex::new(()),
        };
        Self { folder: Arc::new(folder) }
    }

    /// Runs what blocks on a thread that may.
    fn blocking<'a, T: Send + 'static>(
        &self,
        act: impl FnOnce(&Folder) -> Result<T, BucketError> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, BucketError>> {
        let folder = self.folder.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || act(&folder))
                .await
                .unwrap_or_else(|_| Err(BucketError::unreachable("the program is ending")))
        })
    }
}

/// What an error of the disk means to who asked for the object `name`.
fn failed(name: &str) -> impl Fn(io::Error) -> BucketError {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => BucketError::not_found(name),
        io::ErrorKind::PermissionDenied => BucketError::Refused { status: 403, message: error.to_string() },
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::InvalidFilename => {
            BucketError::invalid(format!("{name}: {error}"))
        }
        _ => BucketError::unreachable(error.to_string()),
    }
}

fn missing_is<T>(found: io::Result<T>, otherwise: T) -> io::Result<T> {
    match found {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(otherwise)
        }
        found => found,
    }
}

/// What is known of an object beside its bytes.
struct Record {
    size_bytes: u64,
    modified_us: i64,
    etag: String,
}

impl Folder {
    fn object(&self, name: &str) -> Result<PathBuf, BucketError> {
        check_name(name)?;
        if is_hidden(name) {
            return Err(BucketError::invalid("the object's name is one that the folder needs itself"));
        }
        Ok(self.root.join(name))
    }

    fn upload(&self, upload_id: &str) -> Result<PathBuf, BucketError> {
        // An id is ours or nobody's: it never leaves the folder.
        let id: uuid::Uuid = upload_id.parse().map_err(|_| BucketError::NoSuchUpload)?;
        Ok(self.root.join(UPLOADS).join(id.to_string()))
    }

    /// The folder of a pending upload of this object.
    fn pending(&self, name: &str, upload_id: &str) -> Result<PathBuf, BucketError> {
        let folder = self.upload(upload_id)?;
        match self.about(&folder).map_err(failed(name))? {
            Some((_, of)) if of == name => Ok(folder),
            _ => Err(BucketError::NoSuchUpload),
        }
    }

    fn about(&self, folder: &Path) -> io::Result<Option<(i64, String)>> {
        let about = read_whole(self.disk.as_ref(), &folder.join(ABOUT), MAX_FOLDER_RECORD_BYTES).map(Some);
        let Some(bytes) = missing_is(about, None)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.split_once('\n').and_then(|(started, name)| Some((started.parse().ok()?, name.to_owned()))))
    }

    /// A new file beside, whole and synced.
    fn write_beside(
        &self,
        folder: &Path,
        fill: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        let path = folder.join(format!("beside-{}", self.written.fetch_add(1, Ordering::Relaxed)));
        // One of that name is what a crash left.
        missing_is(self.disk.remove(&path), ())?;
        let file = self.disk.create_new(&path)?;
        let filled = fill(file.as_ref()).and_then(|()| file.sync_data());
        if let Err(error) = filled {
            // The first error is the one that matters; what cannot be removed is overwritten later.
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        Ok(path)
    }

    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path.parent().unwrap_or(&self.root))
    }

    /// Gives a whole synced file the object's name, and writes down what else is known of it.
    fn name_object(&self, beside: &Path, name: &str, record: &Record) -> Result<ObjectMeta, BucketError> {
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let object = self.object(name)?;
        let etag = self.root.join(ETAGS).join(name);
        (|| {
            // The old record goes first: it must never be taken for the new object's.
            if self.disk.exists(&etag) {
                self.disk.remove(&etag)?;
                self.sync_parent(&etag)?;
            }
            if let Some(folder) = object.parent() {
                self.disk.create_dir_all(folder)?;
            }
            self.disk.rename(beside, &object)?;
            self.sync_parent(&object)?;
            self.sync_parent(beside)?;
            if let Some(folder) = etag.parent() {
                self.disk.create_dir_all(folder)?;
            }
            let text = format!("{} {} {}", record.size_bytes, record.modified_us, record.etag);
            write_whole(self.disk.as_ref(), &etag, text.as_bytes())
        })()
        .map_err(failed(name))?;
        Ok(meta(name, record))
    }

    /// What is known of an object of that length.
    fn record(&self, name: &str, size_bytes: u64) -> io::Result<Record> {
        let path = self.root.join(ETAGS).join(name);
        let read = read_whole(self.disk.as_ref(), &path, MAX_FOLDER_RECORD_BYTES).map(Some);
        let text = String::from_utf8(missing_is(read, None)?.unwrap_or_default()).unwrap_or_default();
        let mut words = text.split(' ');
        let recorded = (|| {
            let size: u64 = words.next()?.parse().ok()?;
            let modified_us = words.next()?.parse().ok()?;
            let etag = words.next()?.to_owned();
            (size == size_bytes).then_some(Record { size_bytes, modified_us, etag })
        })();
        Ok(recorded.unwrap_or_else(|| Record {
            size_bytes,
            modified_us: 0,
            etag: format!("folder-{size_bytes:x}"),
        }))
    }

    fn listed(&self, folder: &Path) -> io::Result<Vec<UploadedPart>> {
        let mut parts = Vec::new();
        for entry in self.disk.list(folder)? {
            let Ok(number) = entry.name.parse() else { continue };
            let Some(size_bytes) = entry.len.checked_sub(ETAG_BYTES) else { continue };
            let file = self.disk.open(&folder.join(&entry.name))?;
            let mut etag = vec![0; 32];
            read_exact_at(file.as_ref(), &mut etag, size_bytes)?;
            parts.push(UploadedPart {
                number,
                size_bytes,
                etag: String::from_utf8_lossy(&etag).into_owned(),
            });
        }
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    /// Copies a part's bytes, without its ETag, to the end of `whole`.
    fn append_part(&self, folder: &Path, part: &UploadedPart, whole: &dyn DiskFile) -> io::Result<()> {
        let file = self.disk.open(&folder.join(part_file(part.number)))?;
        let mut buffer = vec![0; READ_BYTES];
        let mut offset = 0;
        while offset < part.size_bytes {
            let left = usize::try_from(part.size_bytes - offset).unwrap_or(usize::MAX).min(READ_BYTES);
            let piece = buffer.get_mut(..left).unwrap_or_default();
            read_exact_at(file.as_ref(), piece, offset)?;
            whole.append_vectored(&[IoSlice::new(piece)])?;
            offset += left as u64;
        }
        Ok(())
    }

    fn complete(
        &self,
        name: &str,
        upload_id: &str,
        wanted: &[(u32, String)],
    ) -> Result<Option<String>, BucketError> {
        let folder = self.pending(name, upload_id)?;
        let there = self.listed(&folder).map_err(failed(name))?;
        let chosen = parts::chosen(wanted, &there, self.min_part_bytes)?;
        let record = Record {
            size_bytes: chosen.iter().map(|part| part.size_bytes).sum(),
            modified_us: self.clock.now_us(),
            etag: multipart_etag(chosen.iter().map(|part| part.etag.as_str())).unwrap_or_default(),
        };
        let beside = self
            .write_beside(&folder, |whole| {
                chosen.iter().try_for_each(|part| self.append_part(&folder, part, whole))
            })
            .map_err(failed(name))?;
        let meta = self.name_object(&beside, name, &record)?;
        // A crash before this leaves an upload that can be completed again, to the same end.
        self.forget(&folder).map_err(failed(name))?;
        Ok(Some(meta.etag))
    }

    /// Removes an upload. What makes it one goes first.
    fn forget(&self, folder: &Path) -> io::Result<()> {
        missing_is(self.disk.remove(&folder.join(ABOUT)), ())?;
        for entry in missing_is(self.disk.list(folder), Vec::new())? {
            missing_is(self.disk.remove(&folder.join(entry.name)), ())?;
        }
        missing_is(self.disk.remove_dir(folder), ())?;
        missing_is(self.sync_parent(folder), ())
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        for top in [self.root.clone(), self.root.join(ETAGS)] {
            let path = top.join(name);
            if !self.disk.exists(&path) {
                continue;
            }
            missing_is(self.disk.remove(&path), ())?;
            self.sync_parent(&path)?;
            // Folders of days that are gone would slow every listing.
            let mut folder = path.parent();
            while let Some(empty) = folder.filter(|folder| **folder != top && folder.starts_with(&top)) {
                if self.disk.remove_dir(empty).is_err() {
                    break;
                }
                folder = empty.parent();
            }
        }
        Ok(())
    }

    /// Adds the objects below `folder`, whose names begin with `above`, in the order of names.
    fn list(
        &self,
        folder: &Path,
        above: &str,
        wanted: &Wanted<'_>,
        found: &mut Vec<ObjectMeta>,
    ) -> io::Result<()> {
        // As S3 has it, the whole name decides, so that `a.mp4` comes before `a/b.mp4`.
        let mut entries: Vec<(String, bool, u64)> = missing_is(self.disk.list(folder), Vec::new())?
            .into_iter()
            .map(|entry| {
                let slash = if entry.is_dir { "/" } else { "" };
                (format!("{above}{}{slash}", entry.name), entry.is_dir, entry.len)
            })
            .filter(|(name, ..)| !is_hidden(name) && !name.ends_with(INCOMING))
            .collect();
        entries.sort_unstable();
        for (name, is_dir, size_bytes) in entries {
            if found.len() >= wanted.limit {
                break;
            }
            if is_dir {
                let has_prefix = name.starts_with(wanted.prefix) || wanted.prefix.starts_with(&name);
                let is_over =
                    wanted.after.is_some_and(|after| name.as_str() < after && !after.starts_with(&name));
                if has_prefix && !is_over {
                    self.list(&self.root.join(&name), &name, wanted, found)?;
                }
            } else if name.starts_with(wanted.prefix)
                && wanted.after.is_none_or(|after| name.as_str() > after)
            {
                found.push(meta(&name, &self.record(&name, size_bytes)?));
            }
        }
        Ok(())
    }
}

/// What a listing asks for.
struct Wanted<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
}

fn is_hidden(name: &str) -> bool {
    matches!(name.split('/').next(), Some(UPLOADS | ETAGS))
}

fn part_file(number: u32) -> String {
    format!("{number:05}")
}

fn meta(name: &str, record: &Record) -> ObjectMeta {
    ObjectMeta {
        name: name.to_owned(),
        size_bytes: record.size_bytes,
        etag: record.etag.clone(),
        modified_us: record.modified_us,
    }
}

impl Bucket for FolderBucket {
    fn describe(&self) -> String {
        format!("file:{}", self.folder.root.display())
    }

    fn head<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObjectMeta>, BucketError>> {
        let name = name.to_owned();
        self.blocking(move |folder| {
            let opened = folder.disk.open(&folder.object(&name)?).map(Some);
            let is_folder = opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::IsADirectory);
            if is_folder {
                return Ok(None);
            }
            (|| {
                let Some(file) = missing_is(opened, None)? else { return Ok(None) };
                Ok(Some(meta(&name, &folder.record(&name, file.len()?)?)))
            })()
            .map_err(failed(&name))
        })
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        let name = name.to_owned();
        self.blocking(move |folder| {
            let path = folder.object(&name)?;
            let file = folder.disk.open(&path).map_err(|error| match error.kind() {
                io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => BucketError::not_found(&name),
                _ => failed(&name)(error),
            })?;
            let size_bytes = file.len().map_err(failed(&name))?;
            let len = range.end.checked_sub(range.start).and_then(|len| usize::try_from(len).ok());
            let Some(len) = len.filter(|_| range.end <= size_bytes) else {
                return Err(BucketError::Invalid {
                    status: Some(416),
                    message: "the range is not inside the object".into(),
                });
            };
            let mut bytes = vec![0; len];
            read_exact_at(file.as_ref(), &mut bytes, range.start).map_err(failed(&name))?;
            Ok(bytes.into())
        })
    }

    fn put<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<ObjectMeta, BucketError>> {
        let name = name.to_owned();
        self.blocking(move |folder| {
            folder.object(&name)?;
            let uploads = folder.root.join(UPLOADS);
            let beside = folder
                .disk
                .create_dir_all(&uploads)
                .and_then(|()| {
                    folder.write_beside(&uploads, |file| file.append_vectored(&[IoSlice::new(&body)]))
                })
                .map_err(failed(&name))?;
            let record = Record {
                size_bytes: body.len() as u64,
                modified_us: folder.clock.now_us(),
                etag: md5_etag(&body),
            };
            folder.name_object(&beside, &name, &record)
        })
    }

    fn begin_upload<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        let name = name.to_owned();
        self.blocking(move |folder| {
            folder.object(&name)?;
            let started_us = folder.clock.now_us();
            let upload_id = new_id(started_us).to_string();
            let path = folder.upload(&upload_id)?;
            let about = format!("{started_us}\n{name}");
            folder
                .disk
                .create_dir_all(&path)
                .and_then(|()| write_whole(folder.disk.as_ref(), &path.join(ABOUT), about.as_bytes()))
                .map_err(failed(&name))?;
            Ok(upload_id)
        })
    }

    fn put_part<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
        number: u32,
        body: Bytes,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        let (name, upload_id) = (name.to_owned(), upload_id.to_owned());
        self.blocking(move |folder| {
            parts::check_number(number)?;
            let path = folder.pending(&name, &upload_id)?;
            let etag = md5_etag(&body);
            folder
                .write_beside(&path, |file| {
                    file.append_vectored(&[IoSlice::new(&body), IoSlice::new(etag.as_bytes())])
                })
                .and_then(|beside| folder.disk.rename(&beside, &path.join(part_file(number))))
                .and_then(|()| folder.disk.sync_dir(&path))
                .map_err(failed(&name))?;
            Ok(etag)
        })
    }

    fn parts<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<UploadedPart>, BucketError>> {
        let (name, upload_id) = (name.to_owned(), upload_id.to_owned());
        self.blocking(move |folder| {
            let path = folder.pending(&name, &upload_id)?;
            folder.listed(&path).map_err(failed(&name))
        })
    }

    fn complete_upload<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
        parts: &'a [(u32, String)],
    ) -> BoxFuture<'a, Result<Option<String>, BucketError>> {
        let (name, upload_id, parts) = (name.to_owned(), upload_id.to_owned(), parts.to_vec());
        self.blocking(move |folder| folder.complete(&name, &upload_id, &parts))
    }

    fn abort_upload<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        let (name, upload_id) = (name.to_owned(), upload_id.to_owned());
        self.blocking(move |folder| match folder.pending(&name, &upload_id) {
            Ok(path) => folder.forget(&path).map_err(failed(&name)),
            Err(BucketError::NoSuchUpload) => Ok(()),
            Err(error) => Err(error),
        })
    }

    fn uploads<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<PendingUpload>, BucketError>> {
        let prefix = prefix.to_owned();
        self.blocking(move |folder| {
            let top = folder.root.join(UPLOADS);
            let mut uploads = Vec::new();
            let entries = missing_is(folder.disk.list(&top), Vec::new()).map_err(failed(&prefix))?;
            for entry in entries.into_iter().filter(|entry| entry.is_dir) {
                let about = folder.about(&top.join(&entry.name)).map_err(failed(&prefix))?;
                if let Some((started_us, name)) = about.filter(|(_, name)| name.starts_with(&prefix)) {
                    uploads.push(PendingUpload { name, upload_id: entry.name, started_us });
                }
            }
            uploads.sort_by(|one, next| (&one.name, &one.upload_id).cmp(&(&next.name, &next.upload_id)));
            Ok(uploads)
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        let name = name.to_owned();
        self.blocking(move |folder| {
            folder.object(&name)?;
            folder.delete(&name).map_err(failed(&name))
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<ObjectMeta>, BucketError>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(move |folder| {
            let mut found = Vec::new();
            let wanted = Wanted { prefix: &prefix, after: after.as_deref(), limit };
            folder.list(&folder.root, "", &wanted, &mut found).map_err(failed(&prefix))?;
            Ok(found)
        })
    }

    fn presigned_get<'a>(
        &'a self,
        _name: &'a str,
        _expires_in: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, BucketError>> {
        Box::pin(async { Ok(None) })
    }
}
