//! Who may watch a club's courts live.

use sea_orm::DbErr;
use sea_orm_migration::sea_query::{Alias, ColumnDef, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0003_live_access"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = ColumnDef::new(Alias::new("live_access"));
        column.string_len(8).not_null().default("open");
        manager.alter_table(Table::alter().table(Alias::new("clubs")).add_column(column).take()).await
    }
}
