//! Encrypted connections, and refusals that keep the password to themselves.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use databases::{Kind, Server};
use sea_orm::{ConnectionTrait as _, Database, Statement};
use turepe_catalog::{Catalog, CatalogError};

async fn refusal(url: &str) -> CatalogError {
    let error = Catalog::open(url).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    error
}

/// What the server says of its connection to a client with this URL.
async fn ask(url: &str, sql: &str, column: usize) -> String {
    let connection = Database::connect(url).await.unwrap();
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(column).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_by_tls() {
    let server = Server::start_with_tls(Kind::MariaDb).unwrap();
    let other = Server::start_with_tls(Kind::MariaDb).unwrap();
    server.run_sql("CREATE DATABASE turepe; CREATE USER u@localhost IDENTIFIED BY 'hunter2' REQUIRE SSL; CREATE USER u@'%' IDENTIFIED BY 'hunter2' REQUIRE SSL; GRANT ALL ON turepe.* TO u@localhost; GRANT ALL ON turepe.* TO u@'%'").unwrap();
    let base = format!("mysql://u:hunter2@localhost:{}/turepe", server.port());
    let with = |server: &Server, mode: &str| {
        format!("{base}?ssl-mode={mode}&ssl-ca={}", server.authority().unwrap().display())
    };
    let verified = with(&server, "VERIFY_IDENTITY");
    Catalog::open(&verified).await.unwrap().ping().await.unwrap();
    let cipher = ask(&verified, "SHOW STATUS LIKE 'Ssl_cipher'", 1).await;
    assert!(!cipher.is_empty());
    Catalog::open(&format!("{base}?ssl-mode=REQUIRED")).await.unwrap();
    for url in [
        with(&other, "VERIFY_CA"),
        format!("{base}?ssl-mode=VERIFY_IDENTITY"),
        with(&server, "VERIFY_IDENTITY").replace("@localhost:", "@127.0.0.1:"),
        format!("{base}?ssl-mode=DISABLED"),
        base.replace("u:hunter2", "root:hunter2"),
    ] {
        let error = refusal(&url).await;
        assert!(matches!(error, CatalogError::Url(_)), "{url}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_by_tls() {
    let server = Server::start_with_tls(Kind::Postgres).unwrap();
    let other = Server::start_with_tls(Kind::Postgres).unwrap();
    server.run_sql("CREATE ROLE u LOGIN PASSWORD 'hunter2'").unwrap();
    server.run_sql("CREATE DATABASE turepe OWNER u").unwrap();
    let base = format!("postgres://u:hunter2@localhost:{}/turepe", server.port());
    let with = |server: &Server, mode: &str| {
        format!("{base}?sslmode={mode}&sslrootcert={}", server.authority().unwrap().display())
    };
    let verified = with(&server, "verify-full");
    Catalog::open(&verified).await.unwrap().ping().await.unwrap();
    let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(ask(&verified, sql, 0).await.starts_with("TLS"));
    Catalog::open(&format!("{base}?sslmode=require")).await.unwrap();
    for url in [
        with(&other, "verify-ca"),
        format!("{base}?sslmode=verify-full"),
        with(&server, "verify-full").replace("@localhost:", "@127.0.0.1:"),
        base.replace("/turepe", "/nowhere"),
    ] {
        let error = refusal(&url).await;
        assert!(matches!(error, CatalogError::Url(_)), "{url}: {error:?}");
    }
}
