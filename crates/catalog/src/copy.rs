//! A whole catalog from one database into another, for instance from SQLite to PostgreSQL.
//!
//! The source is read as it was at one instant. The target has to be empty; while the copy runs it carries a mark, with
//! which no node takes it for a catalog and by which a copy that was cut off is recognised and begun again.

use std::pin::Pin;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{IntoValueTuple as _, ValueTuple};
use sea_orm::{
    ActiveModelTrait, DatabaseTransaction, EntityTrait, FromQueryResult, IntoActiveModel, IntoIdentity,
    PaginatorTrait as _,
};

use crate::engine::Engine;
use crate::entity::{
    channel, club, club_schedule, code_attempt, court, deletion, gap, growing_segment, init, node,
    protection, relay_target, segment, segment_index, setting, slot_code, unstored_segment, upload,
    upload_part, viewing_link,
};
use crate::error::CatalogError;
use crate::migration;
use crate::options::DatabaseOptions;

/// Name of the setting that marks an unfinished copy.
const MARK: &str = "copy.unfinished";

/// Rows per statement where rows are short: SQLite takes 32 766 values at once.
const ROWS: u64 = 500;

/// Rows per statement where they hold kilobytes: MariaDB takes 16 MiB at once.
const LONG_ROWS: u64 = 64;

/// Statements per transaction of the target.
const PAGES_PER_TRANSACTION: u64 = 20;

/// How far a table is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CopyProgress {
    /// Its name.
    pub table: &'static str,
    /// Rows that are there.
    pub done: u64,
    /// Rows that will be.
    pub total: u64,
}

/// A table that was copied, and counted at both ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableCopied {
    /// Its name.
    pub table: &'static str,
    /// Rows on either side.
    pub rows: u64,
}

/// All tables, those that others belong to first.
const TABLES: [Work; 20] = [
    Work::of::<club::Entity>(),
    Work::of::<club_schedule::Entity>(),
    Work::of::<court::Entity>(),
    Work::of::<channel::Entity>(),
    Work::of::<relay_target::Entity>(),
    Work::of::<viewing_link::Entity>(),
    Work::of::<slot_code::Entity>(),
    Work::of::<code_attempt::Entity>(),
    Work::of::<segment::Entity>(),
    Work::of::<growing_segment::Entity>(),
    Work::of::<segment_index::Entity>(),
    Work::of::<unstored_segment::Entity>(),
    Work::of::<upload::Entity>(),
    Work::of::<upload_part::Entity>(),
    Work::of::<protection::Entity>(),
    Work::of::<deletion::Entity>(),
    Work::of::<init::Entity>(),
    Work::of::<gap::Entity>(),
    Work::of::<node::Entity>(),
    Work::of::<setting::Entity>(),
];

/// How a table is read page by page: the rows after a key, in the order of the key.
trait Table: EntityTrait {
    /// Its name.
    const NAME: &'static str;
    /// Rows per statement.
    const PAGE: u64;
    /// The primary key.
    fn columns() -> impl IntoIdentity;
    /// Its values in a row.
    fn key(row: &Self::Model) -> ValueTuple;
}

macro_rules! table {
    ($entity:ident, $name:literal, $page:expr, $column:ident = $field:ident) => {
        impl Table for $entity::Entity {
            const NAME: &'static str = $name;
            const PAGE: u64 = $page;
            fn columns() -> impl IntoIdentity {
                $entity::Column::$column
            }
            fn key(row: &Self::Model) -> ValueTuple {
                row.$field.clone().into_value_tuple()
            }
        }
    };
    ($entity:ident, $name:literal, $page:expr, $first:ident = $one:ident, $second:ident = $two:ident) => {
        impl Table for $entity::Entity {
            const NAME: &'static str = $name;
            const PAGE: u64 = $page;
            fn columns() -> impl IntoIdentity {
                ($entity::Column::$first, $entity::Column::$second)
            }
            fn key(row: &Self::Model) -> ValueTuple {
                (row.$one.clone(), row.$two.clone()).into_value_tuple()
            }
        }
    };
}

table!(club, "clubs", ROWS, Id = id);
table!(club_schedule, "club_schedules", ROWS, ClubId = club_id, EffectiveFromUs = effective_from_us);
table!(court, "courts", ROWS, Id = id);
table!(channel, "channels", ROWS, Id = id);
table!(segment, "segments", ROWS, Id = id);
table!(growing_segment, "growing_segments", ROWS, SegmentId = segment_id);
table!(segment_index, "segment_indexes", LONG_ROWS, SegmentId = segment_id);
table!(unstored_segment, "unstored_segments", ROWS, SegmentId = segment_id);
table!(upload, "uploads", ROWS, SegmentId = segment_id);
table!(upload_part, "upload_parts", ROWS, SegmentId = segment_id, Number = number);
table!(relay_target, "relay_targets", ROWS, Id = id);
table!(protection, "protections", ROWS, Id = id);
table!(viewing_link, "viewing_links", ROWS, Id = id);
table!(slot_code, "slot_codes", ROWS, Id = id);
table!(code_attempt, "code_attempts", ROWS, Subject = subject);
table!(deletion, "deletions", ROWS, SegmentId = segment_id);
table!(init, "inits", LONG_ROWS, Hash = hash);
table!(gap, "gaps", ROWS, ChannelId = channel_id, StartUs = start_us);
table!(setting, "settings", ROWS, Name = name);
table!(node, "nodes", ROWS, Id = id);

type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, CatalogError>> + Send + 'a>>;

/// What is done with each table.
struct Work {
    name: &'static str,
    count: for<'a> fn(&'a DatabaseTransaction) -> Doing<'a, u64>,
    clear: for<'a> fn(&'a Engine) -> Doing<'a, ()>,
    copy: for<'a, 'b> fn(&'a mut Copying<'b>) -> Doing<'a, u64>,
}

impl Work {
    const fn of<T>() -> Self
    where
        T: Table,
        T::Model: FromQueryResult + IntoActiveModel<T::ActiveModel> + Send + Sync,
        T::ActiveModel: ActiveModelTrait<Entity = T> + Send,
    {
        Self {
            name: T::NAME,
            count: |connection| Box::pin(async { Ok(T::find().count(connection).await?) }),
            clear: |engine| {
                Box::pin(async {
                    let transaction = engine.begin().await?;
                    T::delete_many().exec(&transaction).await?;
                    Ok(transaction.commit().await?)
                })
            },
            copy: |copying| Box::pin(copying.table::<T>()),
        }
    }
}

/// A copy while it runs.
struct Copying<'a> {
    source: &'a DatabaseTransaction,
    target: &'a Engine,
    progress: &'a mut (dyn FnMut(CopyProgress) + Send),
}

impl Copying<'_> {
    /// Copies one table; how many rows.
    async fn table<T>(&mut self) -> Result<u64, CatalogError>
    where
        T: Table,
        T::Model: FromQueryResult + IntoActiveModel<T::ActiveModel> + Send + Sync,
        T::ActiveModel: ActiveModelTrait<Entity = T> + Send,
    {
        let table = T::NAME;
        let total = T::find().count(self.source).await?;
        let mut done = 0;
        let mut after: Option<ValueTuple> = None;
        loop {
            (self.progress)(CopyProgress { table, done, total });
            let transaction = self.target.begin().await?;
            for _ in 0..PAGES_PER_TRANSACTION {
                let mut page = T::find().cursor_by(T::columns());
                if let Some(after) = after.clone() {
                    page.after(after);
                }
                let rows = page.first(T::PAGE).all(self.source).await?;
                let Some(last) = rows.last() else {
                    transaction.commit().await?;
                    (self.progress)(CopyProgress { table, done, total });
                    return Ok(done);
                };
                after = Some(T::key(last));
                done += rows.len() as u64;
                let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
                T::insert_many(rows).exec_without_returning(&transaction).await?;
            }
            transaction.commit().await?;
        }
    }
}

/// Copies everything, and counts it at both ends. Whoever writes to the source meanwhile writes to the past.
///
/// The target is made where the engine can, and brought up to date. A copy that was cut off is begun again.
pub async fn copy(
    from: &DatabaseOptions,
    to: &DatabaseOptions,
    progress: &mut (dyn FnMut(CopyProgress) + Send),
) -> Result<Vec<TableCopied>, CatalogError> {
    if from.url == to.url {
        return Err(CatalogError::Url("source and target are the same".into()));
    }
    let source = crate::maintenance::open_existing(from).await?;
    let copied = async {
        if !migration::pending(&migration::applied(&source).await?)?.is_empty() {
            return Err(CatalogError::OldSchema);
        }
        refuse_unfinished(&source).await?;
        let target = Engine::open_for_maintenance(to).await?;
        let copied = copy_into(&source, &target, progress).await;
        let closed = target.close().await;
        let copied = copied?;
        closed?;
        Ok(copied)
    }
    .await;
    source.close().await?;
    copied
}

async fn copy_into(
    source: &Engine,
    target: &Engine,
    progress: &mut (dyn FnMut(CopyProgress) + Send),
) -> Result<Vec<TableCopied>, CatalogError> {
    if !migration::pending(&migration::applied(target).await?)?.is_empty() {
        migration::up(target).await?;
    }
    make_room(target).await?;
    let snapshot = source.snapshot().await?;
    let mut copying = Copying { source: &snapshot, target, progress };
    let mut copied = Vec::with_capacity(TABLES.len());
    for work in &TABLES {
        let rows = (work.copy)(&mut copying).await?;
        copied.push(TableCopied { table: work.name, rows });
    }
    let arrived = target.snapshot().await?;
    for (work, TableCopied { table, rows }) in TABLES.iter().zip(&copied) {
        let expected = (work.count)(&snapshot).await?;
        let mut there = (work.count)(&arrived).await?;
        if *table == setting::Entity::NAME {
            // The mark.
            there = there.saturating_sub(1);
        }
        if there != expected || *rows != expected {
            return Err(CatalogError::IncompleteCopy { table, expected, copied: there });
        }
    }
    arrived.rollback().await?;
    snapshot.rollback().await?;
    let transaction = target.begin().await?;
    setting::Entity::delete_by_id(MARK).exec(&transaction).await?;
    transaction.commit().await?;
    Ok(copied)
}

/// Refuses a target that holds anything but a copy that was cut off, of which nothing stays; then marks it.
async fn make_room(target: &Engine) -> Result<(), CatalogError> {
    if is_unfinished(target).await? {
        for work in TABLES.iter().rev() {
            (work.clear)(target).await?;
        }
    }
    let found = target.snapshot().await?;
    for work in &TABLES {
        let rows = (work.count)(&found).await?;
        if rows > 0 {
            return Err(CatalogError::NotEmpty { table: work.name, rows });
        }
    }
    found.rollback().await?;
    let transaction = target.begin().await?;
    let mark = setting::ActiveModel { name: Set(MARK.to_owned()), content: Set(Vec::new()) };
    setting::Entity::insert(mark).exec_without_returning(&transaction).await?;
    Ok(transaction.commit().await?)
}

async fn is_unfinished(engine: &Engine) -> Result<bool, CatalogError> {
    Ok(setting::Entity::find_by_id(MARK).one(engine.reader()).await?.is_some())
}

/// Refuses a database that holds half of a catalog.
pub(crate) async fn refuse_unfinished(engine: &Engine) -> Result<(), CatalogError> {
    if is_unfinished(engine).await? { Err(CatalogError::UnfinishedCopy) } else { Ok(()) }
}

/// The names of all tables.
pub(crate) fn table_names() -> Vec<&'static str> {
    TABLES.iter().map(|work| work.name).collect()
}
