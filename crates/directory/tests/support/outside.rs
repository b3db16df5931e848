//! The three kinds of directory behind one face.

use std::path::PathBuf;
use std::time::Duration;

use databases::Server;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row as _};
use turepe_directory::{DirectoryConfig, Kind};
use uuid::Uuid;

use super::postgrest::{Postgrest, SECRET};

/// As Django makes it on PostgreSQL, with an index that lets keys occur twice; the roles are Supabase's.
const POSTGRES: &str = "
    CREATE TABLE channels_channel (id uuid PRIMARY KEY, name varchar(50) NOT NULL DEFAULT '', stream_id varchar(255) NOT NULL,
        is_on_live boolean NOT NULL, last_status varchar(32) NOT NULL, cover varchar(200) NOT NULL,
        modified timestamptz NULL);
    CREATE INDEX ON channels_channel (stream_id);
    CREATE ROLE anon NOLOGIN; CREATE ROLE service_role NOLOGIN BYPASSRLS;
    GRANT SELECT, UPDATE ON channels_channel TO anon, service_role;";

/// As Django makes it on MySQL: ids without hyphens.
const MYSQL: &str = "
    CREATE DATABASE club CHARACTER SET utf8mb4; USE club;
    CREATE TABLE channels_channel (id char(32) PRIMARY KEY, name varchar(50) NOT NULL DEFAULT '', stream_id varchar(255) NOT NULL,
        is_on_live tinyint(1) NOT NULL, last_status varchar(32) NOT NULL, cover varchar(200) NOT NULL,
        modified datetime(6) NULL, INDEX (stream_id)) ENGINE=InnoDB;";

/// A directory to be told.
pub struct Outside {
    pub server: Server,
    pool: Pool,
    pub rest: Option<Postgrest>,
}

enum Pool {
    Postgres(PgPool),
    Mysql(MySqlPool),
}

/// What a row says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub is_on_live: bool,
    pub last_status: String,
    pub cover: String,
    pub modified: Option<String>,
}

impl Outside {
    pub async fn postgres() -> Self {
        let server = Server::start(databases::Kind::Postgres).unwrap();
        let pool = PgPoolOptions::new().connect_lazy(&postgres_url(&server)).unwrap();
        sqlx::raw_sql(POSTGRES).execute(&pool).await.unwrap();
        Self { server, pool: Pool::Postgres(pool), rest: None }
    }

    pub async fn supabase() -> Self {
        let mut outside = Self::postgres().await;
        let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(2));
        outside.rest =
            Some(Postgrest::start(pool.connect_lazy(&postgres_url(&outside.server)).unwrap()).await);
        outside
    }

    pub async fn mysql() -> Self {
        let server = Server::start(databases::Kind::MariaDb).unwrap();
        let admin = MySqlPool::connect(&server.url("mysql")).await.unwrap();
        sqlx::raw_sql(MYSQL).execute(&admin).await.unwrap();
        admin.close().await;
        let pool = MySqlPoolOptions::new().connect_lazy(&mysql_url(&server)).unwrap();
        Self { server, pool: Pool::Mysql(pool), rest: None }
    }

    pub fn rest(&self) -> &Postgrest {
        self.rest.as_ref().unwrap()
    }

    /// Quick ages: a second here is ten in the documented defaults.
    pub fn config(&self, journal: PathBuf) -> DirectoryConfig {
        let kind = match (&self.pool, &self.rest) {
            (_, Some(rest)) => Kind::Supabase { url: rest.url.clone(), key: SECRET.to_owned() },
            (Pool::Postgres(_), None) => Kind::Postgres { url: postgres_url(&self.server) },
            (Pool::Mysql(_), None) => Kind::Mysql { url: mysql_url(&self.server) },
        };
        let mut config = DirectoryConfig::new(kind, journal);
        config.ages.known = Duration::from_millis(300);
        config.ages.unknown = Duration::from_millis(100);
        config.ages.check = Duration::from_millis(300);
        config.ages.refresh = Duration::from_millis(1000);
        config.ages.reconcile_after = Duration::from_millis(2500);
        config
    }

    /// The same for another user; not for Supabase, whose users are its keys.
    pub fn config_as(&self, user: &str, journal: PathBuf) -> DirectoryConfig {
        let port = self.server.port();
        let kind = match &self.pool {
            Pool::Postgres(_) => {
                Kind::Postgres { url: format!("postgres://{user}:hunter2@127.0.0.1:{port}/postgres") }
            }
            Pool::Mysql(_) => Kind::Mysql { url: format!("mysql://{user}:hunter2@127.0.0.1:{port}/club") },
        };
        DirectoryConfig { kind, ..self.config(journal) }
    }

    /// Runs statements; answers are thrown away.
    pub async fn run(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.pool {
            Pool::Postgres(pool) => drop(sqlx::raw_sql(sql).execute(pool).await.unwrap()),
            Pool::Mysql(pool) => drop(sqlx::raw_sql(sql).execute(pool).await.unwrap()),
        }
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.pool {
            Pool::Postgres(pool) => sqlx::query(sql).fetch_one(pool).await.unwrap().get(0),
            Pool::Mysql(pool) => sqlx::query(sql).fetch_one(pool).await.unwrap().get(0),
        }
    }

    /// A row that was last touched in 2020.
    pub async fn insert(&self, id: Uuid, key: &str, is_on_live: bool) {
        let columns =
            "INSERT INTO channels_channel (id, stream_id, is_on_live, last_status, cover, modified) VALUES";
        match &self.pool {
            Pool::Postgres(pool) => {
                let sql = format!("{columns} ($1::uuid, $2, $3, 'new', '', '2020-01-01T00:00:00Z')");
                let query = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).bind(key).bind(is_on_live);
                query.execute(pool).await.unwrap();
            }
            Pool::Mysql(pool) => {
                let sql = format!("{columns} (?, ?, ?, 'new', '', '2020-01-01 00:00:00')");
                let query =
                    sqlx::query(AssertSqlSafe(sql)).bind(id.simple().to_string()).bind(key).bind(is_on_live);
                query.execute(pool).await.unwrap();
            }
        }
    }

    /// An id as the table writes it.
    pub fn id(&self, id: Uuid) -> String {
        match &self.pool {
            Pool::Postgres(_) => id.to_string(),
            Pool::Mysql(_) => id.simple().to_string(),
        }
    }

    pub async fn delete(&self, id: Uuid) {
        self.run(&format!("DELETE FROM channels_channel WHERE id = '{}'", self.id(id))).await;
    }

    pub async fn row(&self, id: Uuid) -> Row {
        let cast = if matches!(self.pool, Pool::Mysql(_)) { "char" } else { "text" };
        let sql = AssertSqlSafe(format!(
            "SELECT is_on_live, last_status, cover, CAST(modified AS {cast}) FROM channels_channel WHERE id = '{}'",
            self.id(id)
        ));
        macro_rules! row {
            ($pool:expr) => {{
                let row = sqlx::query(sql).fetch_one($pool).await.unwrap();
                let (is_on_live, last_status) = (row.get(0), row.get(1));
                Row { is_on_live, last_status, cover: row.get(2), modified: row.get(3) }
            }};
        }
        match &self.pool {
            Pool::Postgres(pool) => row!(pool),
            Pool::Mysql(pool) => row!(pool),
        }
    }
}

pub fn postgres_url(server: &Server) -> String {
    server.url("postgres")
}

fn mysql_url(server: &Server) -> String {
    server.url("club")
}
