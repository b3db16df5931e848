//! Pictures on disk, the least recently used leaving first.

use crate::limits::{MAX_FRAME_BYTES, MAX_FRAME_CACHE_BYTES, MAX_FRAME_CACHE_FILES};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use world::Disk;

/// The folder of pictures and what is in it.
pub(super) struct Cache {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    index: Mutex<Index>,
}

impl Cache {
    /// Reads the folder, making it if it is missing. What cannot be read is as good as not there: pictures can be made anew.
    pub(super) async fn open(disk: Arc<dyn Disk>, folder: PathBuf) -> Self {
        let cache = Self {
            disk,
            folder,
            index: Mutex::new(Index::new(MAX_FRAME_CACHE_BYTES, MAX_FRAME_CACHE_FILES)),
        };
        let found = cache.on_disk(|disk, folder| {
            disk.create_dir_all(&folder)?;
            disk.list(&folder)
        });
        match found.await {
            Ok(entries) => {
                for entry in entries {
                    if entry.name.ends_with(".jpg") && !entry.is_dir {
                        let leaving = cache.index().put(entry.name, entry.len);
                        cache.remove(leaving).await;
                    } else if entry.name.ends_with(UNFINISHED) {
                        cache.remove(vec![entry.name]).await;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the folder of pictures cannot be read"),
        }
        cache
    }

    /// A picture, if it is there.
    pub(super) async fn get(&self, name: &str) -> Option<Bytes> {
        if !self.index().touch(name) {
            return None;
        }
        let file = name.to_owned();
        let read = self.on_disk(move |disk, folder| {
            world::read_whole(disk.as_ref(), &folder.join(file), MAX_FRAME_BYTES)
        });
        match read.await {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                tracing::debug!(%error, name, "a picture is gone");
                self.index().forget(name);
                None
            }
        }
    }

    /// Keeps a picture. A disk that is full keeps none, and nobody is worse off than waiting for the next one.
    pub(super) async fn put(&self, name: String, picture: Bytes) {
        let (file, length) = (name.clone(), picture.len() as u64);
        let written = self.on_disk(move |disk, folder| {
            let unfinished = folder.join(format!("{}{UNFINISHED}", uuid::Uuid::now_v7()));
            let write = || {
                disk.create_new(&unfinished)?.append_vectored(&[io::IoSlice::new(&picture)])?;
                disk.rename(&unfinished, &folder.join(&file))
            };
            write().inspect_err(|_| {
                // What is left of it is removed at the next start at the latest.
                if let Err(error) = disk.remove(&unfinished) {
                    tracing::debug!(%error, "an unfinished picture stays");
                }
            })
        });
        match written.await {
            Ok(()) => {
                let leaving = self.index().put(name, length);
                self.remove(leaving).await;
            }
            Err(error) => tracing::debug!(%error, "a picture is not kept"),
        }
    }

    async fn remove(&self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        let removed = self
            .on_disk(move |disk, folder| names.iter().try_for_each(|name| disk.remove(&folder.join(name))));
        if let Err(error) = removed.await {
            tracing::debug!(%error, "a picture cannot be removed");
        }
    }

    fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        // The index is whole after every step, so a panic elsewhere leaves nothing half done.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<dyn Disk>, PathBuf) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (disk, folder) = (Arc::clone(&self.disk), self.folder.clone());
        tokio::task::spawn_blocking(move || work(disk, folder)).await.map_err(io::Error::other)?
    }
}

/// Ending of a picture that is being written.
const UNFINISHED: &str = ".part";

/// What is in the folder, by last use. Pure.
struct Index {
    max_bytes: u64,
    max_files: usize,
    bytes: u64,
    uses: u64,
    files: HashMap<String, File>,
    by_use: BTreeMap<u64, String>,
}

struct File {
    length: u64,
    used: u64,
}

impl Index {
    fn new(max_bytes: u64, max_files: usize) -> Self {
        Self { max_bytes, max_files, bytes: 0, uses: 0, files: HashMap::new(), by_use: BTreeMap::new() }
    }

    /// Marks a file as used now; whether it is there.
    fn touch(&mut self, name: &str) -> bool {
        let Some(file) = self.files.get_mut(name) else { return false };
        self.uses += 1;
        self.by_use.remove(&file.used);
        file.used = self.uses;
        self.by_use.insert(file.used, name.to_owned());
        true
    }

    fn forget(&mut self, name: &str) {
        if let Some(file) = self.files.remove(name) {
            self.bytes -= file.length;
            self.by_use.remove(&file.used);
        }
    }

    /// Adds a file; gives those that have to leave for it.
    fn put(&mut self, name: String, length: u64) -> Vec<String> {
        self.forget(&name);
        self.uses += 1;
        self.bytes += length;
        self.by_use.insert(self.uses, name.clone());
        self.files.insert(name, File { length, used: self.uses });
        let mut leaving = Vec::new();
        while self.bytes > self.max_bytes || self.files.len() > self.max_files {
            let Some((_, oldest)) = self.by_use.first_key_value() else { break };
            let oldest = oldest.clone();
            self.forget(&oldest);
            leaving.push(oldest);
        }
        leaving
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, Index};
    use bytes::Bytes;
    use std::{path::PathBuf, sync::Arc};
    use world::{Disk, SystemDisk};

    #[test]
    fn the_least_recently_used_leave_first() {
        let mut index = Index::new(100, 3);
        assert!(index.put("a".into(), 10).is_empty());
        assert!(index.put("b".into(), 10).is_empty());
        assert!(index.put("c".into(), 10).is_empty());
        assert!(index.touch("a"));
        assert_eq!(index.put("d".into(), 10), ["b"]);
        assert_eq!(index.put("e".into(), 95), ["c", "a", "d"]);
        assert!(!index.touch("a"));
        assert_eq!(index.put("e".into(), 10), Vec::<String>::new());
        assert_eq!((index.bytes, index.files.len(), index.by_use.len()), (10, 1, 1));
    }

    #[tokio::test]
    async fn pictures_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let path: PathBuf = folder.path().join("covers/frames");
        let cache = Cache::open(Arc::clone(&disk), path.clone()).await;
        assert_eq!(cache.get("a.jpg").await, None);
        cache.put("a.jpg".into(), Bytes::from_static(b"picture")).await;
        drop(cache);
        let cache = Cache::open(disk, path).await;
        assert_eq!(cache.get("a.jpg").await, Some(Bytes::from_static(b"picture")));
    }
}
