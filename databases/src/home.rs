//! A database for one test, on any engine.

use tempfile::TempDir;

use crate::{Kind, Server, shared};

/// One of the engines that the catalog runs on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A MariaDB server, by the protocol of MySQL.
    MariaDb,
    /// A PostgreSQL server.
    Postgres,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::MariaDb, Self::Postgres];

    /// The server of this engine that the process shares; none for a file.
    #[must_use]
    pub fn server(self) -> Option<&'static Server> {
        match self {
            Self::Sqlite => None,
            Self::MariaDb => Some(shared(Kind::MariaDb)),
            Self::Postgres => Some(shared(Kind::Postgres)),
        }
    }
}

/// An empty database of its own.
pub struct Home {
    /// Its engine.
    pub engine: Engine,
    /// Where it is.
    pub url: String,
    folder: Option<TempDir>,
}

impl Home {
    /// Makes one, and starts the engine's server where it does not run yet.
    ///
    /// # Panics
    /// When it cannot be made: a test without its peer is no test.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        match engine.server() {
            None => {
                let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
                let url = format!("sqlite:{}", folder.path().join("turepe.db").display());
                Self { engine, url, folder: Some(folder) }
            }
            Some(server) => {
                let url = server.create_database().unwrap_or_else(|error| panic!("{engine:?}: {error:#}"));
                Self { engine, url, folder: None }
            }
        }
    }

    /// The folder of the file; none for a server.
    #[must_use]
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_ref().map(TempDir::path)
    }
}

/// Makes each async function, which takes a [`Home`], a test on every engine.
#[macro_export]
macro_rules! on_every_engine {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$test($crate::Home::new($crate::Engine::Sqlite)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mariadb() {
                super::$test($crate::Home::new($crate::Engine::MariaDb)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$test($crate::Home::new($crate::Engine::Postgres)).await;
            }
        }
    )+};
}
