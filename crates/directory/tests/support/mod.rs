//! Real databases, a stand-in for Supabase, and a node that does as it is told.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason
)]

pub mod outside;
pub mod postgrest;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use turepe_directory::{Directory, DirectoryConfig, Node};
use uuid::Uuid;
use world::{SystemClock, SystemDisk};

pub use self::outside::Outside;

/// Nothing here takes as long on any machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A node whose publishers are a list.
#[derive(Default)]
pub struct Publishers {
    live: Mutex<BTreeSet<Uuid>>,
    pub dropped: Mutex<Vec<Uuid>>,
}

impl Node for Publishers {
    fn live_channels(&self) -> Vec<Uuid> {
        self.live.lock().unwrap().iter().copied().collect()
    }

    fn drop_publisher(&self, channel: Uuid) {
        self.dropped.lock().unwrap().push(channel);
        self.live.lock().unwrap().remove(&channel);
    }
}

/// A directory that runs beside the test.
pub struct Running {
    pub directory: Directory,
    pub node: Arc<Publishers>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(config: DirectoryConfig) -> Self {
        Self::with(config, &[])
    }

    /// With publishers that are there from the first moment.
    pub fn with(config: DirectoryConfig, live: &[Uuid]) -> Self {
        let directory = Directory::open(config, Arc::new(SystemDisk), Arc::new(SystemClock)).unwrap();
        let node = Arc::new(Publishers::default());
        node.live.lock().unwrap().extend(live);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = directory.clone().run(node.clone(), async move { drop(stopped.await) });
        Self { directory, node, stop: Some(stop), task: tokio::spawn(running) }
    }

    pub fn publish(&self, channel: Uuid) {
        self.node.live.lock().unwrap().insert(channel);
    }

    pub fn unpublish(&self, channel: Uuid) {
        self.node.live.lock().unwrap().remove(&channel);
    }

    /// As `kill -9` does.
    pub async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    /// As Ctrl-C does.
    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// Asks again and again until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = tokio::time::Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}
