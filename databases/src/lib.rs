//! Private database servers for tests and measurements: MariaDB and PostgreSQL from Debian's packages, each in a folder
//! of its own and on a free port.
//!
//! - **In**: the packages `mariadb-server` and `postgresql` (`cargo xtask setup` installs them).
//! - **Out**: servers that can be stopped, killed, frozen and started again; new empty databases on them; free ports.
//! - **Invariants**: a server and its folder go with the process that started it, however that ends.
//! - **Never**: a server that was there before, a database that somebody needs. Durability against a power cut is traded
//!   for speed: these servers survive `kill -9` and nothing worse.

mod guard;
mod home;
mod port;
mod server;
mod tls;

use std::sync::OnceLock;

pub use home::{Engine, Home};
pub use port::free_port;
pub use server::{Kind, Server};

/// The one server of a kind that the tests of this process share, started when it is first asked for.
///
/// # Panics
/// When it cannot be started: a test without its peer is no test.
#[must_use]
pub fn shared(kind: Kind) -> &'static Server {
    static MARIADB: OnceLock<Server> = OnceLock::new();
    static POSTGRES: OnceLock<Server> = OnceLock::new();
    let cell = match kind {
        Kind::MariaDb => &MARIADB,
        Kind::Postgres => &POSTGRES,
    };
    cell.get_or_init(|| Server::start(kind).unwrap_or_else(|error| panic!("{kind:?}: {error:#}")))
}
