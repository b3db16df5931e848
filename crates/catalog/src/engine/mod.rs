//! The database behind the catalog: how it is opened, and how a write begins. What only one engine needs stands in its
//! own file here and nowhere else.

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionOptions, TransactionTrait as _};

use crate::error::CatalogError;

pub(crate) mod sqlite;

/// Connections to one database.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    write_options: TransactionOptions,
}

impl Engine {
    /// Opens the database a URL names; creates it where the engine can.
    pub(crate) async fn open(url: &str) -> Result<Self, CatalogError> {
        match url.split_once(':') {
            Some(("sqlite", _)) => sqlite::open(url).await,
            // The rest of the URL may hold a password.
            Some((scheme, _)) => Err(CatalogError::UnsupportedDatabase(scheme.chars().take(32).collect())),
            None => Err(CatalogError::Url("it has no scheme; write sqlite:PATH".into())),
        }
    }

    /// For single statements that change nothing.
    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// Begins a transaction that may write. Never hold one while asking [`Engine::reader`] or beginning another.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.writer.begin_with_options(self.write_options).await
    }

    /// Closes all connections and waits until they are closed.
    pub(crate) async fn close(&self) -> Result<(), DbErr> {
        self.reader.close_by_ref().await?;
        self.writer.close_by_ref().await
    }
}
