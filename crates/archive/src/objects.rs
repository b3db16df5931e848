//! All objects there are, of the local store or of the bucket: page by page, in bounded memory.
//!
//! Objects of one channel come together and in the order of their names, which is that of time. Not here: what is made of
//! them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use world::{DirEntry, Disk};

use crate::{
    bucket::{Bucket, BucketError, ObjectMeta},
    error::ArchiveError,
    limits::{OBJECT_READ_ATTEMPTS, WALK_PAGE},
    upload::Pauses,
};

/// A walk over objects.
pub(crate) enum Objects {
    /// Of a bucket: one call of its dearest kind for each thousand objects.
    Bucket {
        /// The bucket.
        bucket: Arc<dyn Bucket>,
        /// What their names begin with.
        prefix: String,
        /// The last one seen.
        after: Option<String>,
        /// Nothing follows.
        is_over: bool,
    },
    /// Of the local store.
    Local(Box<LocalWalk>),
}

impl Objects {
    /// The objects of a bucket whose names begin with `prefix`.
    pub(crate) fn in_bucket(bucket: Arc<dyn Bucket>, prefix: &str) -> Self {
        Self::Bucket { bucket, prefix: prefix.to_owned(), after: None, is_over: false }
    }

    /// The objects of a local store whose names begin with `prefix`, which is empty or ends with `/`.
    pub(crate) fn in_store(disk: Arc<dyn Disk>, root: PathBuf, prefix: &str) -> Self {
        let (root, above) = (root.join(prefix), prefix.to_owned());
        Self::Local(Box::new(LocalWalk { disk, start: Some((root, above)), open: Vec::new() }))
    }

    /// The next objects; none at the end. Of a local object neither its tag nor its time is known.
    pub(crate) async fn page(&mut self) -> Result<Vec<ObjectMeta>, ArchiveError> {
        match self {
            Self::Bucket { is_over: true, .. } => Ok(Vec::new()),
            Self::Bucket { bucket, prefix, after, is_over } => {
                let page = patiently(|| bucket.list(prefix, after.as_deref(), WALK_PAGE)).await?;
                *is_over = page.len() < WALK_PAGE;
                *after = page.last().map(|last| last.name.clone());
                Ok(page)
            }
            Self::Local(walk) => {
                let mut taken = std::mem::replace(walk, Box::new(walk.emptied()));
                let done = tokio::task::spawn_blocking(move || {
                    let page = taken.page();
                    (taken, page)
                });
                let (taken, page) = done.await.map_err(|error| listing(io::Error::other(error)))?;
                *walk = taken;
                page.map_err(listing)
            }
        }
    }
}

fn listing(error: io::Error) -> ArchiveError {
    ArchiveError::io("listing the local store", error)
}

/// A walk over the folders of a local store, one folder of each depth open at a time.
pub(crate) struct LocalWalk {
    disk: Arc<dyn Disk>,
    start: Option<(PathBuf, String)>,
    /// Folders from the outermost in: path, what names in it begin with, and what is left of it.
    open: Vec<(PathBuf, String, std::vec::IntoIter<DirEntry>)>,
}

impl LocalWalk {
    fn emptied(&self) -> Self {
        Self { disk: Arc::clone(&self.disk), start: None, open: Vec::new() }
    }

    fn page(&mut self) -> io::Result<Vec<ObjectMeta>> {
        if let Some((path, above)) = self.start.take() {
            self.enter(path, above)?;
        }
        let mut page = Vec::new();
        while page.len() < WALK_PAGE {
            let Some((path, above, entries)) = self.open.last_mut() else { break };
            let Some(entry) = entries.next() else {
                self.open.pop();
                continue;
            };
            // Hidden names, and copies that are still being made.
            if entry.name.starts_with('.') || entry.name.ends_with(".incoming") {
                continue;
            }
            let name = format!("{above}{}", entry.name);
            if entry.is_dir {
                let path = path.join(&entry.name);
                self.enter(path, format!("{name}/"))?;
            } else {
                page.push(ObjectMeta { name, size_bytes: entry.len, etag: String::new(), modified_us: 0 });
            }
        }
        Ok(page)
    }

    fn enter(&mut self, path: PathBuf, above: String) -> io::Result<()> {
        match self.disk.list(&path) {
            Ok(entries) => self.open.push((path, above, entries.into_iter())),
            // Folders of days that are over go with their last object.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The length of a local object; `None` where there is none.
pub(crate) async fn local_len(
    disk: &Arc<dyn Disk>,
    root: &Path,
    name: &str,
) -> Result<Option<u64>, ArchiveError> {
    let (disk, path) = (Arc::clone(disk), root.join(name));
    let len = tokio::task::spawn_blocking(move || match disk.open(&path).and_then(|file| file.len()) {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    });
    let len = len.await.map_err(io::Error::other).flatten();
    len.map_err(|error| ArchiveError::io(format!("opening {name}"), error))
}

/// A call to a bucket that is busy for a moment, made again.
pub(crate) async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, BucketError>
where
    F: Future<Output = Result<T, BucketError>>,
{
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error) if error.is_transient() && attempt < OBJECT_READ_ATTEMPTS => {
                tokio::time::sleep(Pauses::default().after(attempt, u64::from(attempt))).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}
